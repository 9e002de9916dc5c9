//! The command line.

use crate::beside::Load;

use clap::{Parser, ValueEnum};

use std::path::PathBuf;
use std::time::Duration;

/// Measures sendtail beside the least a tail server can do, and prints medians and ratios.
#[derive(Parser)]
#[command(name = "loadtest", max_term_width = 100)]
pub struct Options {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    mode: Mode,

    /// Runs of each server; they take turns
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,

    /// The file that is read [default: 512M; of lines 1G; on the slow disk 256M]; K, M, G
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub size: Option<u64>,

    /// bulk: how many readers at once
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,8", value_parser = parse_count)]
    pub readers: Vec<usize>,

    /// live: how many followers
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,100,1000", value_parser = parse_count)]
    pub followers: Vec<usize>,

    /// live: beside so many readers of the same file, which is cached [all: 8]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    backlog: Option<usize>,

    /// live: beside so many readers of the same file, which is on a slow disk [all: 4]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    cold: Option<usize>,

    /// live: beside so many clients of the same file that never read [all: 100]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    stuck: Option<usize>,

    /// live, flat: appends a run [default: 200,000 deliveries, at least 50 and at most 5000
    /// appends]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub appends: Option<usize>,

    /// live, flat: rest between an append that everybody has and the next, in microseconds
    #[arg(long, value_name = "US", default_value_t = 200)]
    pause: u64,

    /// idle: how many clients
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_count)]
    pub clients: usize,

    /// How long one run takes of idle, storm, flat with files, and live beside others
    #[arg(long, value_name = "N", default_value = "4", value_parser = parse_seconds)]
    pub seconds: Duration,

    /// connect: how many connections
    #[arg(long, value_name = "N", default_value = "5000", value_parser = parse_count)]
    pub connections: usize,

    /// flat: how many followers of one file
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "10,100,1000,10000", value_parser = parse_count)]
    pub crowds: Vec<usize>,

    /// flat: how many files with a follower each
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,5000", value_parser = parse_count)]
    pub files: Vec<usize>,

    /// producer: how many lines
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = parse_count)]
    pub lines: usize,

    /// Write the plots latency.svg (of live beside others) and cost.svg (of flat) there
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,

    /// Where to put the files, removed at the end [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    All,
    Bulk,
    Live,
    Idle,
    Connect,
    Lines,
    Search,
    Storm,
    Producer,
    Flat,
}

/// With 1000 followers still enough appends for a p99, with one not so many that it takes long.
const DELIVERIES: usize = 200_000;
const APPENDS_MIN: usize = 50;
const APPENDS_MAX: usize = 5000;

impl Options {
    /// What to measure, one after the other.
    pub fn modes(&self) -> Vec<Mode> {
        match self.mode {
            Mode::All => Mode::value_variants()[1..].to_vec(),
            mode => vec![mode],
        }
    }

    /// Who is there beside the followers of live, one after the other.
    pub fn loads(&self) -> Vec<Load> {
        let or = |given: Option<usize>, default| match self.mode {
            Mode::All => Some(given.unwrap_or(default)),
            _ => given,
        };
        let loads = [
            or(self.backlog, 8).map(Load::Backlog),
            or(self.cold, 4).map(Load::Cold),
            or(self.stuck, 100).map(Load::Stuck),
        ];
        loads.into_iter().flatten().collect()
    }

    /// Followers without others are measured unless others were asked for.
    pub fn is_live_alone(&self) -> bool {
        self.mode == Mode::All || self.loads().is_empty()
    }

    pub fn pause(&self) -> Duration {
        Duration::from_micros(self.pause)
    }

    pub fn appends_for(&self, followers: usize) -> usize {
        let appends = (DELIVERIES / followers).clamp(APPENDS_MIN, APPENDS_MAX);
        self.appends.unwrap_or(appends)
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number above 0 is needed".to_string()),
        Ok(count) => Ok(count),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("a number above 0 is needed, such as 0.5".to_string()),
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K')) => (&text[..at], 10),
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    match digits.parse::<u64>() {
        Ok(number @ 1..) if number <= u64::MAX >> shift => Ok(number << shift),
        _ => Err("a number of bytes is needed, such as 512M".to_string()),
    }
}
