//! connect: many connections as fast as one thread can open them, each served a small file.

use crate::bench::Bench;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::Table;

use std::time::Instant;

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 2] = ["wall seconds", "CPU us a connection"];

/// Between two looks at what has come. The kernel keeps what was not read yet.
const CONNECTIONS_AT_ONCE: usize = 64;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let title = "connect: opened at once, each asks for a file of one line and gets it";
    let mut table = Table::new(title, &CONTENDERS);
    let case = format!("{} connections", bench.options.connections);
    bench.compare(&mut table, &CONTENDERS, &case, &FIGURES, |contender| {
        measure(bench, contender)
    })?;
    Ok(table)
}

fn measure(bench: &Bench, contender: Contender) -> Result<Vec<f64>, Failure> {
    let connections = bench.options.connections;
    bench.allow_descriptors(connections)?;
    let sample = bench.sample("connect.log", LINE_BYTES)?;
    let server = Server::start(bench, contender, &sample.path)?;
    let mut crowd = Crowd::new(contender, Taking::Copy)?;
    let (cpu, start) = (server.cpu()?, Instant::now());
    for number in 1..=connections {
        crowd.join(&server, "0")?;
        if number % CONNECTIONS_AT_ONCE == 0 {
            crowd.receive_some()?;
        }
    }
    crowd.receive(sample.bytes, |_| {})?;
    let elapsed = start.elapsed();
    let cpu = server.cpu()? - cpu;
    Ok(vec![
        elapsed.as_secs_f64(),
        cpu.as_micros() as f64 / connections as f64,
    ])
}
