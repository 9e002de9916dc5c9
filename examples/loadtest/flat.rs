//! flat: what a delivery costs must not depend on how many clients there are, nor on how many other
//! files are followed.
//!
//! With many files each has one follower, and one of them is appended to. All of them are looked at
//! once a second (ticks): what that costs is measured first, and not counted with the deliveries;
//! whether it holds up a delivery shows in the highest latency. The bare loop has one file.

use crate::bench::Bench;
use crate::crowd::{Crowd, Taking};
use crate::failure::{Failure, cannot};
use crate::live::Measured;
use crate::plots::Plots;
use crate::pulse::{Pulse, US_PER_SECOND};
use crate::sample::{LINE_BYTES, Sample};
use crate::server::{Contender, Server};
use crate::table::Table;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];

pub fn run(bench: &Bench, plots: &mut Plots) -> Result<Table, Failure> {
    let mut table = Table::new("flat: the cost of a delivery", &CONTENDERS);
    for &followers in &bench.options.crowds {
        let followers = bench.afford(followers, 1, "followers")?;
        let case = format!("1 file, {followers} followers");
        let figures = ["CPU us a delivery"];
        bench.compare(&mut table, &CONTENDERS, &case, &figures, |contender| {
            let measured = Measured::take(bench, contender, followers)?;
            plots.cost(contender, followers, measured.cpu_us);
            Ok(vec![measured.cpu_us])
        })?;
    }
    for &files in &bench.options.files {
        let files = bench.afford(files, DESCRIPTORS_A_FILE, "files")?;
        let case = match files {
            1 => "1 file, 1 follower".to_string(),
            _ => format!("{files} files, 1 follower each"),
        };
        bench.compare(&mut table, &CONTENDERS[..1], &case, &FIGURES, |contender| {
            measure(bench, contender, files)
        })?;
    }
    Ok(table)
}

const FIGURES: [&str; 5] = [
    "CPU us a delivery",
    "ticks, CPU us a second",
    "latency p50 us",
    "latency p99 us",
    "latency most us",
];

const APPENDS: usize = 2000;

/// Often enough to meet any tick that takes 2 ms.
const INTERVAL: Duration = Duration::from_millis(2);

/// What sendtail counts: a follower, a file, and what the next rotation of each may take.
const DESCRIPTORS_A_FILE: usize = 4;

fn measure(bench: &Bench, contender: Contender, files: usize) -> Result<Vec<f64>, Failure> {
    let directory = bench.path("flat");
    fs::create_dir_all(&directory).map_err(cannot(format!("make {}", directory.display())))?;
    let name = |number: usize| format!("{number}.log");
    let mut sample = Sample::create(directory.join(name(0)), LINE_BYTES)?;
    for number in 1..files {
        // Not one by one onto the disk, as a sample would be.
        let path = directory.join(name(number));
        fs::write(&path, "quiet\n").map_err(cannot(format!("write {}", path.display())))?;
    }
    let server = Server::start(bench, contender, &directory)?;
    let mut quiet = Crowd::new(contender, Taking::Copy)?;
    for number in 1..files {
        quiet.join(&server, &format!("0 {}", name(number)))?;
    }
    quiet.receive("quiet\n".len() as u64, |_| {})?;
    let mut crowd = Crowd::new(contender, Taking::Stamp)?;
    crowd.join(&server, &format!("{} {}", sample.bytes, name(0)))?;
    let mut pulse = Pulse::of(crowd, &mut sample)?;

    let rest = bench.options.seconds / 2;
    let cpu = server.cpu()?;
    thread::sleep(rest);
    let ticks = (server.cpu()? - cpu).as_secs_f64() / rest.as_secs_f64();

    let (cpu, start) = (server.cpu()?, Instant::now());
    let appends = bench.options.appends.unwrap_or(APPENDS);
    pulse.beat(appends, bench.options.pause())?;
    let cpu = (server.cpu()? - cpu).as_secs_f64();
    let cpu_a_delivery = (cpu - ticks * start.elapsed().as_secs_f64()) / appends as f64;

    let appends = (bench.options.seconds.as_millis() / INTERVAL.as_millis()) as usize;
    let latencies_us = pulse.run(appends, INTERVAL)?;
    Ok(vec![
        cpu_a_delivery * US_PER_SECOND,
        ticks * US_PER_SECOND,
        latencies_us.quantile(0.5),
        latencies_us.quantile(0.99),
        latencies_us.quantile(1.0),
    ])
}
