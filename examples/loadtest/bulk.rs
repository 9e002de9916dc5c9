//! bulk: readers take a cached file from 0 to its end. What a byte costs.
//!
//! Once they copy what they receive, as clients do: then one thread that reads for all of them may
//! be slower than the server, and sockets are mostly full. And once they discard it: then the
//! server is what everybody waits for, and the wall time is its own.

use crate::bench::Bench;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::sample::Sample;
use crate::server::{Contender, Server};
use crate::table::Table;

use std::time::Instant;

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 2] = ["CPU seconds a GB", "wall seconds"];
const SIZE_BYTES: u64 = 512 << 20;
const GB_BYTES: f64 = 1e9;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let size_bytes = bench.options.size.unwrap_or(SIZE_BYTES);
    let sample = bench.sample("bulk.log", size_bytes)?;
    let title = format!(
        "bulk: a cached file of {} MiB from 0 to its end",
        sample.bytes >> 20
    );
    let mut table = Table::new(title, &CONTENDERS);
    for &readers in &bench.options.readers {
        let case = match readers {
            1 => "1 reader".to_string(),
            _ => format!("{readers} readers"),
        };
        for (taking, how) in [(Taking::Copy, ""), (Taking::Discard, ", discarding")] {
            let case = format!("{case}{how}");
            bench.compare(&mut table, &CONTENDERS, &case, &FIGURES, |contender| {
                measure(bench, contender, &sample, readers, taking)
            })?;
        }
    }
    Ok(table)
}

fn measure(
    bench: &Bench,
    contender: Contender,
    sample: &Sample,
    readers: usize,
    taking: Taking,
) -> Result<Vec<f64>, Failure> {
    bench.allow_descriptors(readers)?;
    let server = Server::start(bench, contender, &sample.path)?;
    let (cpu, start) = (server.cpu()?, Instant::now());
    let mut crowd = Crowd::of(&server, readers, 0, taking)?;
    crowd.receive(sample.bytes, |_| {})?;
    let elapsed = start.elapsed();
    let cpu = server.cpu()? - cpu;
    let sent_gb = (sample.bytes * readers as u64) as f64 / GB_BYTES;
    Ok(vec![cpu.as_secs_f64() / sent_gb, elapsed.as_secs_f64()])
}
