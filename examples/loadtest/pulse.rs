//! Followers of a file that is appended to at times of its own, as a log is.

use crate::bench::Bench;
use crate::crowd::{Crowd, Receipt, Taking};
use crate::failure::Failure;
use crate::sample::{LINE_BYTES, Sample};
use crate::server::Server;
use crate::table::Samples;

use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Followers at the end of a sample.
pub struct Pulse<'a> {
    sample: &'a mut Sample,
    crowd: Crowd,
    /// The length of the sample when they came.
    joined_bytes: u64,
}

/// When lines were appended, and how long they took to whoever has received them.
struct Arrivals {
    first_line: u64,
    appended: Vec<SystemTime>,
    latencies_us: Samples,
}

pub const US_PER_SECOND: f64 = 1e6;

/// The first deliveries meet cold caches and sockets that have never sent.
const WARM_APPENDS: usize = 10;

impl Pulse<'_> {
    /// Followers of the one file that a server has.
    pub fn start<'a>(
        bench: &Bench,
        server: &Server,
        sample: &'a mut Sample,
        followers: usize,
    ) -> Result<Pulse<'a>, Failure> {
        bench.allow_descriptors(followers)?;
        let crowd = Crowd::of(server, followers, sample.bytes, Taking::Stamp)?;
        Pulse::of(crowd, sample)
    }

    /// A crowd that has asked for what comes behind the sample. Returns once everybody has got a
    /// line: who has, has been accepted and heard.
    pub fn of(crowd: Crowd, sample: &mut Sample) -> Result<Pulse<'_>, Failure> {
        let mut pulse = Pulse {
            crowd,
            joined_bytes: sample.bytes,
            sample,
        };
        for _ in 0..WARM_APPENDS {
            pulse.sample.append()?;
            pulse.crowd.receive(pulse.appended_bytes(), |_| {})?;
        }
        Ok(pulse)
    }

    /// Appends one line at a time: everybody has it before the next. So nothing is merged, and each
    /// append finds the server asleep. Tells how many microseconds each line took to each follower.
    pub fn beat(&mut self, appends: usize, pause: Duration) -> Result<Samples, Failure> {
        let mut arrivals = self.arrivals();
        for _ in 0..appends {
            thread::sleep(pause);
            self.append(&mut arrivals)?;
            self.crowd
                .receive(self.appended_bytes(), |receipt| arrivals.note(receipt))?;
        }
        Ok(arrivals.latencies_us)
    }

    /// Appends about `interval` apart, and tells the same. The writer waits for nobody: else a
    /// server that is stuck for a second would delay a single line, and not all those that come in
    /// that second.
    pub fn run(&mut self, appends: usize, interval: Duration) -> Result<Samples, Failure> {
        let mut arrivals = self.arrivals();
        let mut due = Instant::now();
        for number in 0..appends {
            loop {
                let wait = due.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    break;
                }
                self.crowd
                    .turn(wait, &mut |receipt| arrivals.note(receipt))?;
            }
            self.append(&mut arrivals)?;
            due += uneven(interval, number);
        }
        self.crowd
            .receive(self.appended_bytes(), |receipt| arrivals.note(receipt))?;
        Ok(arrivals.latencies_us)
    }

    fn arrivals(&self) -> Arrivals {
        Arrivals {
            first_line: self.appended_bytes() / LINE_BYTES,
            appended: vec![],
            latencies_us: Samples::default(),
        }
    }

    fn append(&mut self, arrivals: &mut Arrivals) -> Result<(), Failure> {
        arrivals.appended.push(SystemTime::now());
        self.sample.append()
    }

    fn appended_bytes(&self) -> u64 {
        self.sample.bytes - self.joined_bytes
    }
}

impl Arrivals {
    fn note(&mut self, receipt: Receipt) {
        let arrived = receipt.arrived.unwrap_or_else(SystemTime::now);
        let first = receipt.before_bytes / LINE_BYTES - self.first_line;
        let end = receipt.after_bytes / LINE_BYTES - self.first_line;
        for &appended in &self.appended[first as usize..end as usize] {
            // Less than nothing only if somebody has set the clock.
            let latency = arrived.duration_since(appended).unwrap_or_default();
            self.latencies_us
                .push(latency.as_secs_f64() * US_PER_SECOND);
        }
    }
}

/// From half of it to one and a half: an even beat could keep in step with a server's timers.
fn uneven(interval: Duration, number: usize) -> Duration {
    const GOLDEN_RATIO: f64 = 0.618_034;
    interval.mul_f64(0.5 + (number as f64 * GOLDEN_RATIO).fract())
}
