//! live: followers of one file get appends of 100 bytes. What a delivery costs, and how long it
//! takes.

use crate::bench::Bench;
use crate::failure::Failure;
use crate::pulse::{Pulse, US_PER_SECOND};
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::{Samples, Table};

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 4] = [
    "CPU us a delivery",
    "latency p50 us",
    "latency p90 us",
    "latency p99 us",
];
pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let title = format!("live: appends of {LINE_BYTES} bytes to a followed file");
    let mut table = Table::new(title, &CONTENDERS);
    for &followers in &bench.options.followers {
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
    let measured = Measured::take(bench, contender, followers)?;
    let latencies_us = &measured.latencies_us;
    Ok(vec![
        measured.cpu_us,
        latencies_us.quantile(0.5),
        latencies_us.quantile(0.9),
        latencies_us.quantile(0.99),
    ])
}

/// Appends to a file that nobody else reads.
pub struct Measured {
    /// For one delivery.
    pub cpu_us: f64,
    latencies_us: Samples,
}

impl Measured {
    pub fn take(
        bench: &Bench,
        contender: Contender,
        followers: usize,
    ) -> Result<Measured, Failure> {
        let appends = bench.options.appends_for(followers);
        let mut sample = bench.sample("live.log", LINE_BYTES)?;
        let server = Server::start(bench, contender, &sample.path)?;
        let mut pulse = Pulse::start(bench, &server, &mut sample, followers)?;
        let cpu = server.cpu()?;
        let latencies_us = pulse.beat(appends, bench.options.pause())?;
        let cpu = server.cpu()? - cpu;
        Ok(Measured {
            cpu_us: cpu.as_secs_f64() * US_PER_SECOND / (appends * followers) as f64,
            latencies_us,
        })
    }
}
