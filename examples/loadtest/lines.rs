//! lines: the last lines of a large cached file, beside `tail`. How fast they are found.

use crate::bench::Bench;
use crate::failure::{Failure, cannot};
use crate::sample::{LINE_BYTES, Sample};
use crate::server::{Contender, Server};
use crate::table::{Samples, Table};

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The bare loop knows no lines.
const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::Tail];
const SIZE_BYTES: u64 = 1 << 30;
const FEW_LINES: u64 = 10;
const MANY_LINES: u64 = 1_000_000;

/// One try takes a fraction of a millisecond: a run is the median of several.
const TRIES: usize = 21;

const BUFFER_BYTES: usize = 256 << 10;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let size_bytes = bench.options.size.unwrap_or(SIZE_BYTES);
    let sample = bench.sample("lines.log", size_bytes)?;
    let title = format!(
        "lines: the last ones of a cached file of {} MiB, beside tail -n N into a pipe",
        sample.bytes >> 20
    );
    let mut table = Table::new(title, &CONTENDERS);
    let case = format!("-{FEW_LINES}");
    bench.compare(&mut table, &CONTENDERS, &case, &["first byte ms"], |who| {
        let server = start(bench, who, &sample)?;
        let mut times_ms = Samples::default();
        for _ in 0..TRIES {
            let taken = take(bench, &sample, server.as_ref(), FEW_LINES)?;
            times_ms.push(taken.first_byte.as_secs_f64() * 1e3);
        }
        Ok(vec![times_ms.median()])
    })?;
    let case = format!("-{MANY_LINES}");
    let figures = ["first byte ms", "wall ms"];
    bench.compare(&mut table, &CONTENDERS, &case, &figures, |who| {
        let server = start(bench, who, &sample)?;
        let taken = take(bench, &sample, server.as_ref(), MANY_LINES)?;
        Ok(vec![
            taken.first_byte.as_secs_f64() * 1e3,
            taken.all.as_secs_f64() * 1e3,
        ])
    })?;
    Ok(table)
}

fn start(bench: &Bench, who: Contender, sample: &Sample) -> Result<Option<Server>, Failure> {
    match who {
        Contender::Tail => Ok(None),
        server => Server::start(bench, server, &sample.path).map(Some),
    }
}

/// How long it took from connect(2), or from fork(2).
struct Taken {
    first_byte: Duration,
    all: Duration,
}

fn take(
    bench: &Bench,
    sample: &Sample,
    server: Option<&Server>,
    lines: u64,
) -> Result<Taken, Failure> {
    let expected_bytes = sample.bytes.min(lines * LINE_BYTES);
    let start = Instant::now();
    match server {
        Some(server) => {
            let mut stream = TcpStream::connect(server.address)
                .map_err(cannot(format!("connect to {}", server.contender.name())))?;
            stream
                .write_all(format!("-{lines}\n").as_bytes())
                .map_err(cannot("ask for lines"))?;
            drain(&mut stream, expected_bytes, start)
        }
        None => {
            let mut command = Command::new("tail");
            command
                .args(["-n", &lines.to_string(), "--"])
                .arg(&sample.path)
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
            let mut tail = bench.cores.start(&mut command)?;
            let drained = match tail.stdout.take() {
                Some(mut pipe) => drain(&mut pipe, expected_bytes, start),
                None => Err(Failure::new("tail has no output")),
            };
            tail.wait().map_err(cannot("wait for tail"))?;
            drained
        }
    }
}

fn drain(source: &mut impl Read, expected_bytes: u64, start: Instant) -> Result<Taken, Failure> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut first_byte, mut received_bytes) = (None, 0);
    while received_bytes < expected_bytes {
        match source.read(&mut buffer) {
            Ok(0) => {
                return Err(Failure::new(format!(
                    "{received_bytes} bytes came instead of {expected_bytes}"
                )));
            }
            Ok(n) => received_bytes += n as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot("read lines")(error)),
        }
        first_byte.get_or_insert_with(|| start.elapsed());
    }
    let all = start.elapsed();
    Ok(Taken {
        first_byte: first_byte.unwrap_or(all),
        all,
    })
}
