//! live: followers of one file get appends of 100 bytes. What a delivery costs, and how long it
//! takes.

use crate::bench::Bench;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::{Samples, Table};

use std::thread;
use std::time::{Duration, Instant};

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 4] = [
    "CPU us a delivery",
    "latency p50 us",
    "latency p90 us",
    "latency p99 us",
];
const US_PER_SECOND: f64 = 1e6;

/// The first deliveries meet cold caches and a socket that has never sent.
const WARM_APPENDS: usize = 10;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let title = format!("live: appends of {LINE_BYTES} bytes to a followed file");
    let mut table = Table::new(title, CONTENDERS.map(Contender::name));
    for &followers in &bench.options.followers {
        let case = match followers {
            1 => "1 follower".to_string(),
            _ => format!("{followers} followers"),
        };
        bench.compare(&mut table, CONTENDERS, &case, &FIGURES, |contender| {
            measure(bench, contender, followers)
        })?;
    }
    Ok(table)
}

/// One append at a time: everybody has it before the next. So nothing is merged, a latency has one
/// beginning, and each append finds the server asleep.
fn measure(bench: &Bench, contender: Contender, followers: usize) -> Result<Vec<f64>, Failure> {
    bench.allow_descriptors(followers)?;
    let appends = bench.options.appends_for(followers);
    let pause = Duration::from_micros(bench.options.pause);
    let mut sample = bench.sample("live.log", LINE_BYTES)?;
    let server = Server::start(bench, contender, &sample.path)?;
    let mut crowd = Crowd::of(&server, followers, sample.bytes, Taking::Copy)?;
    let mut latencies_us = Samples::default();
    let (mut cpu, begin_bytes) = (Duration::ZERO, sample.bytes);
    for number in 0..WARM_APPENDS + appends {
        if number == WARM_APPENDS {
            cpu = server.cpu()?;
            latencies_us = Samples::default();
        }
        thread::sleep(pause);
        let start = Instant::now();
        sample.append()?;
        crowd.receive(sample.bytes - begin_bytes, || {
            latencies_us.push(start.elapsed().as_secs_f64() * US_PER_SECOND);
        })?;
    }
    let cpu_us = (server.cpu()? - cpu).as_secs_f64() * US_PER_SECOND;
    Ok(vec![
        cpu_us / (appends * followers) as f64,
        latencies_us.quantile(0.5),
        latencies_us.quantile(0.9),
        latencies_us.quantile(0.99),
    ])
}
