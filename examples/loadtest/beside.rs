//! live with `--backlog`, `--cold`, `--stuck`: how long a line takes to 20 followers of a file,
//! alone and beside others who read the same file from far back, or do not read.
//!
//! | load    | who they are                                                  | the file is        |
//! |---------|---------------------------------------------------------------|--------------------|
//! | backlog | read it from 0 to its end, and again, as fast as they get it  | in the page cache  |
//! | cold    | read it from places far apart, so that none reads for another | on a disk: 20 MB/s |
//! | stuck   | ask for all of it and never read                              | in the page cache  |
//!
//! The thread that appends shares its core with the readers, and must not wait for them: that would
//! be the clients' delay and no server's. So they run in a thread that gets the core only while the
//! other one sleeps (SCHED_IDLE), and let the kernel throw away what they get (MSG_TRUNC), so that
//! one thread takes as much as any server sends. When a line has arrived is what the kernel says.

use crate::bench::Bench;
use crate::cores::Place;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::plots::Plots;
use crate::pulse::Pulse;
use crate::readers::Readers;
use crate::sample::Sample;
use crate::server::{Contender, Server};
use crate::slow_disk::{LIMIT_BYTES_PER_SECOND, SlowDisk};
use crate::table::{Samples, Table};

use std::thread;
use std::time::{Duration, Instant};

/// Who is there beside the followers, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    Backlog(usize),
    Cold(usize),
    Stuck(usize),
}

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FOLLOWERS: usize = 20;

/// Between two appends: 200 lines a second.
const INTERVAL: Duration = Duration::from_millis(5);

const CACHED_BYTES: u64 = 512 << 20;

/// Far more than is read while it is measured.
const COLD_BYTES: u64 = 256 << 20;

/// What the load does before it is measured: the first chunks are not like the others.
const WARM_UP: Duration = Duration::from_millis(300);

pub fn run(bench: &Bench, load: Load, plots: &mut Plots) -> Result<Table, Failure> {
    let title = format!("live: {FOLLOWERS} followers, {}", load.description());
    let size_bytes = bench.options.size.unwrap_or(load.size_bytes());
    let disk = match load {
        Load::Cold(_) => match SlowDisk::mount(bench, "cold", size_bytes) {
            Ok(disk) => Some(disk),
            Err(why) => return Ok(Table::left_out(title, why)),
        },
        Load::Backlog(_) | Load::Stuck(_) => None,
    };
    let path = match &disk {
        Some(disk) => disk.mount_point.join("live.log"),
        None => bench.path("live.log"),
    };
    let mut stage = Stage {
        bench,
        load,
        sample: bench.sample_at(path, size_bytes)?,
        disk,
    };
    let mut table = Table::new(title, &CONTENDERS);
    let case = load.name();
    bench.compare(&mut table, &CONTENDERS, &case, &load.figures(), |who| {
        stage.measure(who, plots)
    })?;
    Ok(table)
}

/// What all runs have in common.
struct Stage<'a> {
    bench: &'a Bench,
    load: Load,
    sample: Sample,
    disk: Option<SlowDisk>,
}

impl Stage<'_> {
    fn measure(&mut self, contender: Contender, plots: &mut Plots) -> Result<Vec<f64>, Failure> {
        let appends = (self.bench.options.seconds.as_millis() / INTERVAL.as_millis()) as usize;
        let backlog_bytes = self.sample.bytes;
        if self.disk.is_some() {
            self.sample.cool()?;
        }
        let (bench, disk) = (self.bench, self.disk.as_ref());
        let server = Server::start_on(disk, bench, contender, &self.sample.path)?;
        let mut pulse = Pulse::start(bench, &server, &mut self.sample, FOLLOWERS)?;
        let alone_us = pulse.run(appends / 2, INTERVAL)?;

        let others = self.load.crowd(bench, &server, backlog_bytes)?;
        let readers = Readers::start(bench, others, Place::OursWhenIdle);
        thread::sleep(WARM_UP);
        let meter = Meter::start(&readers, disk)?;
        let beside_us = pulse.run(appends, INTERVAL)?;
        let mut values = percentiles(&alone_us, &beside_us);
        values.extend(meter.rates(self.load)?);
        readers.stop()?;
        plots.latencies("alone", contender, &alone_us);
        if let Some(situation) = self.load.plotted_as() {
            plots.latencies(&situation, contender, &beside_us);
        }
        Ok(values)
    }
}

const PERCENTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Each alone, beside the others, and the second as a multiple of the first.
fn percentiles(alone_us: &Samples, beside_us: &Samples) -> Vec<f64> {
    let [alone, beside] = [alone_us, beside_us].map(|us| PERCENTILES.map(|p| us.quantile(p)));
    let times = [0, 1, 2].map(|at| beside[at] / alone[at]);
    [alone, beside, times].concat()
}

const LATENCIES: [&str; 9] = [
    "alone p50 us",
    "alone p90 us",
    "alone p99 us",
    "beside p50 us",
    "beside p90 us",
    "beside p99 us",
    "p50 beside / alone",
    "p90 beside / alone",
    "p99 beside / alone",
];

impl Load {
    fn name(self) -> String {
        let (count, who) = match self {
            Load::Backlog(1) => (1, "reader of the backlog"),
            Load::Backlog(count) => (count, "readers of the backlog"),
            Load::Cold(1) => (1, "cold reader"),
            Load::Cold(count) => (count, "cold readers"),
            Load::Stuck(1) => (1, "stuck client"),
            Load::Stuck(count) => (count, "stuck clients"),
        };
        format!("{count} {who}")
    }

    fn description(self) -> String {
        let file = match self {
            Load::Backlog(_) => "the same file, which is cached",
            Load::Cold(_) => "the same file, which is on a disk of 20 MB/s and not cached",
            Load::Stuck(_) => "the same file, who never read",
        };
        format!("alone and beside {} of {file}", self.name())
    }

    /// Nobody would see stuck clients.
    fn plotted_as(self) -> Option<String> {
        match self {
            Load::Backlog(count) => Some(format!("beside {count} readers, cached file")),
            Load::Cold(count) => Some(format!("beside {count} readers, disk of 20 MB/s")),
            Load::Stuck(_) => None,
        }
    }

    fn size_bytes(self) -> u64 {
        match self {
            Load::Backlog(_) | Load::Stuck(_) => CACHED_BYTES,
            Load::Cold(_) => COLD_BYTES,
        }
    }

    fn figures(self) -> Vec<&'static str> {
        let rates: &[&str] = match self {
            Load::Backlog(_) => &["backlog GB/s"],
            Load::Cold(_) => &["received MB/s", "disk MB/s", "disk of its limit"],
            Load::Stuck(_) => &[],
        };
        [&LATENCIES, rates].concat()
    }

    fn crowd(self, bench: &Bench, server: &Server, backlog_bytes: u64) -> Result<Crowd, Failure> {
        let (Load::Backlog(count) | Load::Cold(count) | Load::Stuck(count)) = self;
        bench.allow_descriptors(FOLLOWERS + count)?;
        match self {
            Load::Backlog(_) => {
                let crowd = Crowd::of(server, count, 0, Taking::Discard)?;
                Ok(crowd.in_laps(backlog_bytes))
            }
            Load::Cold(_) => {
                let mut crowd = Crowd::new(server.contender, Taking::Discard)?;
                let apart_bytes = backlog_bytes / count as u64;
                for number in 0..count as u64 {
                    crowd.join(server, &(number * apart_bytes).to_string())?;
                }
                Ok(crowd)
            }
            Load::Stuck(_) => Crowd::of(server, count, 0, Taking::Nothing),
        }
    }
}

/// What is received, and read from the disk, from now on.
struct Meter<'a> {
    readers: &'a Readers,
    disk: Option<&'a SlowDisk>,
    start: Instant,
    received_bytes: u64,
    disk_bytes: u64,
}

impl<'a> Meter<'a> {
    fn start(readers: &'a Readers, disk: Option<&'a SlowDisk>) -> Result<Meter<'a>, Failure> {
        Ok(Meter {
            readers,
            disk,
            start: Instant::now(),
            received_bytes: readers.received_bytes(),
            disk_bytes: disk.map_or(Ok(0), SlowDisk::read_bytes)?,
        })
    }

    /// In the order of the figures.
    fn rates(&self, load: Load) -> Result<Vec<f64>, Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        let received = (self.readers.received_bytes() - self.received_bytes) as f64 / seconds;
        let disk_bytes = self.disk.map_or(Ok(0), SlowDisk::read_bytes)? - self.disk_bytes;
        let disk = disk_bytes as f64 / seconds;
        Ok(match load {
            Load::Backlog(_) => vec![received / GB_BYTES],
            Load::Cold(_) => vec![
                received / MB_BYTES,
                disk / MB_BYTES,
                disk / LIMIT_BYTES_PER_SECOND as f64,
            ],
            Load::Stuck(_) => vec![],
        })
    }
}

const GB_BYTES: f64 = 1e9;
const MB_BYTES: f64 = 1e6;
