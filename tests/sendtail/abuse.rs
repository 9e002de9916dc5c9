//! What comes to an open port: scanners, other protocols, random bytes, crowds that do nothing,
//! reset or flood. Each gets one `error:` line, what it asked for, or silence; a witness beside
//! them, who follows a file, gets everything in time; and when they have gone, so has all that
//! they have cost.

mod crowds;
mod escaping;
mod floods;
mod probes;
mod random;
mod slow;
mod states;
mod strangers;

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::support::{Alone, Client, Log, Server, allow_many_descriptors, wait_until};

const TEXT: &str = "one\ntwo\n";

/// A follower beside the abuse, and what the server had before it came.
struct Witness<'a> {
    log: &'a Log,
    server: &'a Server,
    follower: Client,
    appended: u32,
    descriptors: usize,
    watches: usize,
    memory: u64,
    waited: Duration,
    worst: Duration,
    _alone: Alone,
}

/// An append arrives by its event: the tick would have brought it after half a second on average. A
/// machine that is busy with others may keep one of them waiting for longer.
const USUAL_MAX: Duration = Duration::from_millis(250);
const WORST_MAX: Duration = Duration::from_secs(5);

impl Witness<'_> {
    /// `path` is what its header says behind the start.
    fn of<'a>(log: &'a Log, server: &'a Server, path: &str) -> Witness<'a> {
        let alone = Alone::wait();
        // What the first client of all makes the server load stays.
        for _ in 0..4 {
            server.ask("nonsense\n").expect_error("bad start");
        }
        let content = std::fs::read(&log.path).expect("it is there");
        let mut follower = server.reader(&format!("0{path}\n"), content);
        wait_until("it is alone", || server.totals("clients") == 1);
        follower.expect_nothing();
        Witness {
            log,
            server,
            follower,
            appended: 0,
            descriptors: server.descriptors(),
            watches: server.watches(),
            memory: server.memory(),
            waited: Duration::ZERO,
            worst: Duration::ZERO,
            _alone: alone,
        }
    }

    /// One line more.
    fn append(&mut self) {
        self.appended += 1;
        let line = format!("appended {}\n", self.appended);
        self.log.append(&line);
        let start = Instant::now();
        self.follower.expect(line.as_bytes());
        let took = start.elapsed();
        self.waited += took;
        self.worst = self.worst.max(took);
    }

    /// The same again and again until something has happened.
    fn append_until(&mut self, awaited: &str, mut has_happened: impl FnMut() -> bool) {
        wait_until(awaited, || {
            self.append();
            has_happened()
        });
    }

    fn memory_grown(&self) -> u64 {
        self.server.memory().saturating_sub(self.memory)
    }

    /// Everybody else has gone, and nothing was lost.
    fn check(self, memory_max: u64) {
        for field in ["cut", "gaps", "missed", "late"] {
            assert_eq!(self.server.totals(field), 0, "{field}");
        }
        self.check_rest(memory_max);
    }

    /// Everybody else has gone: so has all that they had, but for so many bytes; the server sleeps,
    /// and nothing was late.
    fn check_rest(mut self, memory_max: u64) {
        let server = self.server;
        self.append();
        wait_until("their descriptors are free", || {
            server.descriptors() == self.descriptors
        });
        wait_until("they are gone", || server.totals("clients") == 1);
        assert_eq!(server.watches(), self.watches);
        let grown = self.memory_grown();
        assert!(grown <= memory_max, "{grown} bytes of memory are left");
        expect_rest(server, &mut self.follower);
        self.append();
        let usual = self.waited / self.appended;
        let shown = format!(
            "{} appends, {usual:?}, worst {:?}",
            self.appended, self.worst
        );
        eprintln!("{shown}");
        assert!(usual < USUAL_MAX && self.worst < WORST_MAX, "late: {shown}");
    }
}

/// A server that spins makes some hundred thousand turns in this time, and keeps a core busy. To
/// list its clients it takes one for each hundred of the most that it has had.
fn expect_rest(server: &Server, client: &mut Client) {
    let (turns, busy) = (server.totals("turns"), server.cpu_time());
    client.expect_silence();
    let busy = server.cpu_time() - busy;
    let turns = server.totals("turns") - turns;
    assert!(turns < 400, "{turns} turns while nothing happened");
    assert!(busy < Duration::from_millis(60), "{busy:?} for nothing");
}

/// As many as wanted, or as this machine lets one process have open.
fn many(wanted: usize) -> usize {
    allow_many_descriptors();
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Other tests of this process run at the same time; the server keeps back fewer.
    let possible = limit.saturating_sub(limit.min(8000) / 4);
    if possible < wanted {
        eprintln!("only {possible} connections instead of {wanted}: the limit is {limit}");
    }
    wanted.min(possible)
}

/// The log without what SIGUSR1 adds, and without what is only said at debug.
fn loud_lines(log: &str) -> Vec<&str> {
    let quiet = [
        "sendtail: debug: ",
        "sendtail: totals: ",
        "sendtail: client ",
    ];
    let lines = log.lines();
    lines
        .filter(|line| !quiet.iter().any(|start| line.starts_with(start)))
        .collect()
}
