//! A server at rest, again and again with the same clients: what it holds must be the same each
//! time, and what it does next to nothing.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::service::{Service, count};
use crate::model::report::Report;
use crate::support::{Server, wait_until};

/// How much more memory it may take than at the first time: what it has allocated once it keeps for
/// the next rush, and a rush may be greater than those before.
const GROWTH_MAX: u64 = 512 << 10;

/// For a second of rest: a look at each of a few followed files, and some of its neighbours.
const CPU_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 10 } else { 2 });
const TURNS_MAX: f64 = 20.0;

#[derive(Default)]
pub struct Census {
    first: Option<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    descriptors: usize,
    watches: usize,
    clients: usize,
    files: usize,
    segments: usize,
    held: usize,
    memory: u64,
}

impl Sample {
    fn of(server: &Server) -> Sample {
        let report = Report::of(server);
        Sample {
            descriptors: server.descriptors(),
            watches: server.watches(),
            clients: report.field("clients"),
            files: report.field("files"),
            segments: report.field("segments"),
            held: report.field("held"),
            memory: server.memory(),
        }
    }

    fn is_like(&self, other: &Sample) -> bool {
        let memory = self.memory;
        *self
            == Sample {
                memory,
                ..other.clone()
            }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} descriptors, {} watches, {} clients, {} files, {} segments, {} held, {} KiB",
            self.descriptors,
            self.watches,
            self.clients,
            self.files,
            self.segments,
            self.held,
            self.memory >> 10
        )
    }
}

impl Census {
    pub fn take(&mut self, server: &Server, service: &Service) {
        let mut sample = Sample::of(server);
        match &self.first {
            None => {
                // Those who have left are gone when nothing changes any more.
                wait_until("all have left", || {
                    let before = sample.clone();
                    std::thread::sleep(Duration::from_millis(100));
                    sample = Sample::of(server);
                    sample.is_like(&before) && sample.held == 0
                });
                self.first = Some(sample.clone());
            }
            Some(first) => {
                let start = Instant::now();
                while !sample.is_like(first) {
                    let is_late = start.elapsed() > Duration::from_secs(30);
                    assert!(!is_late, "it was {first}, and is {sample}");
                    std::thread::sleep(Duration::from_millis(10));
                    sample = Sample::of(server);
                }
                let memory_max = first.memory + GROWTH_MAX;
                assert!(
                    sample.memory <= memory_max,
                    "it was {first}, and is {sample}"
                );
            }
        }
        // The one who sips keeps its place on the server, and not in the kernel's buffers.
        let places = Report::of(server).places("quiet/sipped");
        let is_behind = |line: &String| !line.contains(", 0 bytes behind");
        assert!(places.iter().all(is_behind), "{places:?}");
        let idle = idle(server);
        eprintln!("soak {}: at rest: {sample}; {idle}", service.name);
        check_turns(server, service);
    }

    /// Nobody is there any more.
    pub fn expect_nothing_left(server: &Server, service: &Service) {
        wait_until("nothing is left", || {
            let left = Sample::of(server);
            (left.clients, left.files, left.watches, left.held) == (0, 0, 0, 0)
        });
        check_turns(server, service);
        assert_eq!(Report::of(server).field("late"), 0, "late bytes");
    }
}

/// What it costs when nothing happens.
fn idle(server: &Server) -> String {
    let (before, cpu) = (Report::of(server).field("turns"), server.cpu_time());
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, seconds) = (server.cpu_time() - cpu, start.elapsed().as_secs_f64());
    let turns = Report::of(server).field("turns") - before;
    let each = turns as f64 / seconds;
    let shown = format!(
        "idle: {:.2?} of CPU and {each:.1} turns a second",
        cpu.div_f64(seconds)
    );
    assert!(each <= TURNS_MAX, "{shown}");
    assert!(cpu <= CPU_MAX.mul_f64(seconds), "{shown}");
    shown
}

/// Turns of the loop come from something: a few for each thing that was done, and for each piece of
/// what was sent.
fn check_turns(server: &Server, service: &Service) {
    let done = &service.done;
    let events: u64 = [&done.ops, &done.connects, &done.ends, &done.signals]
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed))
        .sum();
    let report = Report::of(server);
    count(&done.signals, 1);
    let (turns, sent) = (report.field("turns") as u64, report.field("sent") as u64);
    let seconds = service.born.elapsed().as_secs();
    let allowed = 2000 + 4 * events + sent / 1000 + TURNS_MAX as u64 * seconds;
    eprintln!(
        "soak {}: {turns} turns for {events} events and {sent} bytes",
        service.name
    );
    assert!(
        turns <= allowed,
        "{turns} turns, {allowed} allowed: {events} events, {sent} bytes"
    );
}
