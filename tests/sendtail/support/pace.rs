//! How long followers wait for what is appended, and how long the machine itself takes for less.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Alone, Client, append};

/// Many rounds: an append, and until every follower has it. Beside each an echo: a byte to a
/// thread and back, which is less than a delivery and waits for the same processors. What the
/// machine keeps an echo waiting for it may keep a follower waiting for.
pub struct Pace {
    echo: UnixStream,
    waits: Vec<Duration>,
    echoes: Vec<Duration>,
}

/// An append beside an idle server takes as long as a few echoes: two processes and four calls.
const ECHOES: u32 = 4;

/// About the time between two appends.
const INTERVAL: Duration = Duration::from_millis(4);

impl Pace {
    pub fn new() -> Pace {
        let (echo, mut other) = UnixStream::pair().expect("descriptors can be had");
        std::thread::spawn(move || {
            let mut byte = [0];
            while other.read_exact(&mut byte).is_ok() && other.write_all(&byte).is_ok() {}
        });
        Pace {
            echo,
            waits: vec![],
            echoes: vec![],
        }
    }

    /// One line more for these followers of the file. The append itself may wait for the disk, or
    /// for a page that is being read: it does not count.
    pub fn append(&mut self, path: &Path, followers: &mut [Client]) {
        let line = format!("round {}\n", self.waits.len());
        let start = Instant::now();
        self.echo.write_all(b"e").expect("the other end is there");
        self.echo.read_exact(&mut [0]).expect("it answers");
        self.echoes.push(start.elapsed());
        append(path, line.as_bytes());
        let start = Instant::now();
        for follower in followers {
            follower.expect(line.as_bytes());
        }
        self.waits.push(start.elapsed());
    }

    pub fn rounds(&self) -> usize {
        self.waits.len()
    }

    /// Nine of ten come within `most_max`, and the others within `worst_max`, beside what the
    /// machine takes.
    pub fn check(&self, most_max: Duration, worst_max: Duration) -> Result<(), Late> {
        let [waits, echoes] = [&self.waits, &self.echoes].map(|times| Distribution::of(times));
        let shown = format!("{} rounds: {waits}; an echo: {echoes}", self.rounds());
        eprintln!("{shown}");
        Late::if_over(waits.most, most_max + ECHOES * echoes.most, &shown)?;
        Late::if_over(waits.worst, worst_max + ECHOES * echoes.worst, &shown)
    }
}

impl Pace {
    /// Half of them come within `median_max` and the others within `worst_max`, beside what the
    /// machine takes: of a long time, in which the machine may be busy for minutes.
    pub fn check_for_long(&self, median_max: Duration, worst_max: Duration) -> Result<(), Late> {
        let [waits, echoes] = [&self.waits, &self.echoes].map(|times| Distribution::of(times));
        let shown = format!("{} rounds: {waits}; an echo: {echoes}", self.rounds());
        eprintln!("{shown}");
        Late::if_over(waits.median, median_max + ECHOES * echoes.median, &shown)?;
        Late::if_over(waits.worst, worst_max + ECHOES * echoes.worst, &shown)
    }
}

/// Something was right, but took too long.
pub struct Late(String);

impl Late {
    pub fn if_over(took: Duration, allowed: Duration, what: &str) -> Result<(), Late> {
        match took <= allowed {
            true => Ok(()),
            false => Err(Late(format!("{took:?}, and not {allowed:?}: {what}"))),
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A machine that is busy with others may make a test late: but not again and again. What is wrong
/// in any other way is wrong the first time.
#[track_caller]
pub fn in_time(test: impl Fn() -> Result<(), Late>) {
    const ATTEMPTS: usize = 3;
    let _alone = Alone::wait();
    let mut late = vec![];
    while late.len() < ATTEMPTS {
        match test() {
            Ok(()) => return,
            Err(Late(reason)) => late.push(reason),
        }
        eprintln!("late: {late:?}");
    }
    panic!("late each time: {late:#?}");
}

struct Distribution {
    median: Duration,
    most: Duration,
    worst: Duration,
}

impl Distribution {
    /// While one append waits, others are not made that would have waited as well: they count too,
    /// or ten long waits among a hundred short ones would seem to be the exception.
    fn of(times: &[Duration]) -> Distribution {
        let mut times: Vec<Duration> = times
            .iter()
            .flat_map(|time| {
                let missed = (time.as_micros() / INTERVAL.as_micros()) as u32;
                (0..=missed).map(|number| *time - INTERVAL * number)
            })
            .collect();
        times.sort();
        Distribution {
            median: times[times.len() / 2],
            most: times[times.len() * 9 / 10],
            worst: *times.last().expect("there was a round"),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Distribution {
            median,
            most,
            worst,
        } = self;
        write!(f, "median {median:?}, most {most:?}, worst {worst:?}")
    }
}
