//! search: a file is followed while another client asks for its last 2,000,000 lines, which are not
//! in the page cache. How long appends take meanwhile. The bare loop knows no lines.

use crate::bench::Bench;
use crate::cores::Place;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::pulse::Pulse;
use crate::readers::Readers;
use crate::sample::{LINE_BYTES, Sample};
use crate::server::{Contender, Server};
use crate::slow_disk::{LIMIT_BYTES_PER_SECOND, SlowDisk};
use crate::table::Table;

use std::thread;
use std::time::{Duration, Instant};

const CONTENDERS: [Contender; 1] = [Contender::Sendtail];
const FIGURES: [&str; 5] = [
    "median ms",
    "most ms",
    "search seconds",
    "search MB/s",
    "share made before the search had ended",
];
const LINES_BACK: u64 = 2_000_000;
const SIZE_BYTES: u64 = 256 << 20;
const APPENDS: usize = 20;
const MS_PER_US: f64 = 1e-3;
const MB_BYTES: f64 = 1e6;

/// Between two appends where nobody knows how fast the disk is.
const INTERVAL: Duration = Duration::from_millis(3);

/// A search that takes longer has been forgotten.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(60);

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let size_bytes = bench.options.size.unwrap_or(SIZE_BYTES);
    let disk = SlowDisk::mount(bench, "search", size_bytes);
    if let Err(why) = &disk {
        bench.say(&format!("search: no disk of 20 MB/s: {why}"));
    }
    let disk = disk.ok();
    let path = match &disk {
        Some(disk) => disk.mount_point.join("search.log"),
        None => bench.path("search.log"),
    };
    let mut sample = bench.sample_at(path, size_bytes)?;
    let title = format!(
        "search: {APPENDS} appends to a followed file while somebody else has asked for \
         -{LINES_BACK}, none of it cached, on {}",
        match &disk {
            Some(_) => "a disk of 20 MB/s",
            None => "the disk there is",
        },
    );
    let mut table = Table::new(title, &CONTENDERS);
    bench.compare(&mut table, &CONTENDERS, "appends", &FIGURES, |contender| {
        measure(bench, contender, &mut sample, disk.as_ref())
    })?;
    Ok(table)
}

fn measure(
    bench: &Bench,
    contender: Contender,
    sample: &mut Sample,
    disk: Option<&SlowDisk>,
) -> Result<Vec<f64>, Failure> {
    sample.cool()?;
    let searched_bytes = sample.bytes.min(LINES_BACK * LINE_BYTES) as f64;
    let server = Server::start_on(disk, bench, contender, &sample.path)?;
    let mut pulse = Pulse::start(bench, &server, sample, 1)?;
    let interval = match disk {
        // All appends take half as long as the search has to.
        Some(_) => Duration::from_secs_f64(
            searched_bytes / LIMIT_BYTES_PER_SECOND as f64 / 2.0 / APPENDS as f64,
        ),
        None => INTERVAL,
    };
    let start = Instant::now();
    let mut searcher = Crowd::new(contender, Taking::Discard)?;
    searcher.join(&server, &format!("-{LINES_BACK}"))?;
    let readers = Readers::start(bench, searcher, Place::OursWhenIdle);
    let latencies_us = pulse.run(APPENDS, interval)?;
    let appended = start.elapsed();
    let searched = first_receipt(&readers)?.duration_since(start);
    readers.stop()?;
    let seconds = searched.as_secs_f64();
    Ok(vec![
        latencies_us.median() * MS_PER_US,
        latencies_us.quantile(1.0) * MS_PER_US,
        seconds,
        searched_bytes / seconds / MB_BYTES,
        (seconds / appended.as_secs_f64()).min(1.0),
    ])
}

/// The search has found its line when the first byte comes.
fn first_receipt(readers: &Readers) -> Result<Instant, Failure> {
    let deadline = Instant::now() + SEARCH_TIMEOUT;
    while Instant::now() < deadline {
        if let Some(found) = readers.first_receipt() {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(Failure::new(format!(
        "a search took more than {SEARCH_TIMEOUT:?}"
    )))
}
