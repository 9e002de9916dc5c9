//! storm: a program writes lines at full speed, and the file is followed. How many lines a second
//! come, and how many of those that were written by then.
//!
//! The server has its core to itself. The writer and the readers, who discard what they get, share
//! the other one, so that the writer cannot take it all.

use crate::bench::Bench;
use crate::cores::Place;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::readers::Readers;
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::Table;

use std::time::Instant;

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 4] = [
    "written, lines a second",
    "received by each, lines a second",
    "received of what was written",
    "CPU us a line and follower",
];
const FOLLOWERS: [usize; 2] = [1, 100];

/// The clock is not looked at for each line.
const LINES_AT_ONCE: usize = 100;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let title = "storm: a program writes lines of 100 bytes at full speed, one write each";
    let mut table = Table::new(title, &CONTENDERS);
    for followers in FOLLOWERS {
        let case = match followers {
            1 => "1 follower".to_string(),
            _ => format!("{followers} followers"),
        };
        bench.compare(&mut table, &CONTENDERS, &case, &FIGURES, |contender| {
            measure(bench, contender, followers)
        })?;
    }
    Ok(table)
}

fn measure(bench: &Bench, contender: Contender, followers: usize) -> Result<Vec<f64>, Failure> {
    bench.allow_descriptors(followers)?;
    let mut sample = bench.sample("storm.log", LINE_BYTES)?;
    let server = Server::start(bench, contender, &sample.path)?;
    let mut crowd = Crowd::of(&server, followers, 0, Taking::Discard)?;
    crowd.receive(sample.bytes, |_| {})?;
    let (begin_bytes, cpu) = (sample.bytes, server.cpu()?);
    let readers = Readers::start(bench, crowd, Place::Ours);
    let start = Instant::now();
    while start.elapsed() < bench.options.seconds {
        for _ in 0..LINES_AT_ONCE {
            sample.append()?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let lines = |bytes: u64| bytes as f64 / LINE_BYTES as f64;
    let received = lines(readers.received_bytes()) / followers as f64 - lines(begin_bytes);
    let written = lines(sample.bytes - begin_bytes);
    // This waits until the server has sent the rest, more or less.
    let cpu_us = (server.cpu()? - cpu).as_micros() as f64;
    let all_received = lines(readers.received_bytes()) - lines(begin_bytes) * followers as f64;
    readers.stop()?;
    Ok(vec![
        written / seconds,
        received / seconds,
        received / written,
        cpu_us / all_received,
    ])
}
