//! The command line.

use clap::{Parser, ValueEnum};

use std::path::PathBuf;

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

    /// The file of bulk [default: 512M] and of lines [default: 1G]; K, M, G
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub size: Option<u64>,

    /// bulk: how many readers at once
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,8", value_parser = parse_count)]
    pub readers: Vec<usize>,

    /// live: how many followers
    #[arg(long, value_name = "N,N...", value_delimiter = ',', default_value = "1,100,1000", value_parser = parse_count)]
    pub followers: Vec<usize>,

    /// live: appends a run [default: 200,000 deliveries, at least 200 and at most 5000 appends]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub appends: Option<usize>,

    /// live: rest between an append that everybody has and the next, in microseconds
    #[arg(long, value_name = "US", default_value_t = 200)]
    pub pause: u64,

    /// idle: how many clients
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_count)]
    pub clients: usize,

    /// idle: for how long
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,

    /// connect: how many connections
    #[arg(long, value_name = "N", default_value = "5000", value_parser = parse_count)]
    pub connections: usize,

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
}

/// With 1000 followers still enough appends for a p99, with one not so many that it takes long.
const DELIVERIES: usize = 200_000;
const APPENDS_MIN: usize = 200;
const APPENDS_MAX: usize = 5000;

impl Options {
    /// What to measure, one after the other.
    pub fn modes(&self) -> Vec<Mode> {
        match self.mode {
            Mode::All => Mode::value_variants()[1..].to_vec(),
            mode => vec![mode],
        }
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
