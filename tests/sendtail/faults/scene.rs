//! What goes on while calls fail: clients come, a log grows, is rotated (with late writes, and
//! twice within one look) and truncated. And what has to hold whatever has failed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::history::Followed;
use crate::support::{Log, Server, wait_until};

/// What the server is busy with while its calls fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Clients ask for a name that nobody follows yet.
    Connect,
    Append,
    /// Rename and create; the old file's writer goes on for a moment.
    Rotate,
    /// Two rotations while the server is stopped: the file between them is found by its new name.
    RotateTwice,
    /// To nothing, and at once there is more than there was.
    Truncate,
}

/// A server with two logs: one to which everything happens, and one that only grows.
pub struct Scene {
    pub server: Server,
    pub log: Followed,
    pub other: Followed,
    /// How many clients' streams have ended: all, those of `other`, and those without a FIN.
    pub cut: usize,
    pub others_cut: usize,
    pub reset: usize,
    descriptors: usize,
    acts: u64,
    turns: u64,
    cpu: Duration,
    start: Instant,
    _directory: Log,
}

/// Bytes enough for several shares of a serve.
const FIRST_LINES: usize = 3000;

/// An act takes twenty or so; a loop that spins makes as many in a few milliseconds.
const ACT_TURNS_MAX: u64 = 60;

impl Scene {
    /// The usual server of both logs.
    pub fn start(log: &Log) -> Server {
        Server::start(&[&log.path, &log.beside("other")])
    }

    /// Everybody is there and has everything, but for those who are to come with `Act::Connect`.
    /// `start` gets the files' directory, where `log` and `other` are.
    pub fn new(act: Act, start: impl FnOnce(&Log) -> Server) -> Scene {
        let directory = Log::absent();
        let mut log = Followed::new(&directory.path, " log", FIRST_LINES);
        let mut other = Followed::new(&directory.beside("other"), " other", 3);
        let server = start(&directory);
        let descriptors = server.descriptors();
        other.connect(&server, "0");
        if act != Act::Connect {
            log.connect(&server, "0");
            log.connect(&server, "-2");
        }
        other.settle();
        log.settle();
        Scene {
            acts: 1,
            turns: server.totals("turns"),
            cpu: server.cpu_time(),
            start: Instant::now(),
            cut: 0,
            others_cut: 0,
            reset: 0,
            descriptors,
            _directory: directory,
            server,
            log,
            other,
        }
    }

    /// After each step `pause` is called, which waits for what the step is to bring about.
    pub fn perform(&mut self, act: Act, mut pause: impl FnMut(&mut Scene)) {
        self.acts += 1;
        self.other.append(1);
        match act {
            Act::Connect => {
                for start in ["0", "-2", "+2", "0"] {
                    self.log.connect(&self.server, start);
                    pause(self);
                }
            }
            Act::Append => {
                for _ in 0..6 {
                    self.log.append(1);
                    pause(self);
                }
            }
            Act::Rotate => {
                let logger = self.log.logger();
                self.log.rename();
                self.log.write_late(&logger, 0);
                pause(self);
                self.log.create(3);
                self.log.write_late(&logger, 1);
                drop(logger);
                self.log.append(1);
                pause(self);
            }
            Act::RotateTwice => {
                self.server.signal(Signal::SIGSTOP);
                for _ in 0..2 {
                    self.log.rename();
                    self.log.create(2);
                }
                self.server.signal(Signal::SIGCONT);
                pause(self);
            }
            Act::Truncate => {
                // Stopped, so that the length never shows it.
                self.server.signal(Signal::SIGSTOP);
                self.log.truncate();
                self.log.append(2 * FIRST_LINES);
                self.server.signal(Signal::SIGCONT);
                pause(self);
            }
        }
        self.other.append(1);
        pause(self);
    }

    /// Something happens at every socket, and all that was missed there is looked at.
    pub fn nudge(&self) {
        self.log.nudge();
        self.other.nudge();
        drop(self.server.connect());
    }

    /// Reads what has come; whether every client has all or has ended.
    pub fn is_settled(&mut self) -> bool {
        let settled = self.log.is_settled();
        self.other.is_settled() && settled
    }

    /// Waits for that, and takes out those that have ended: the log has to say so of each.
    pub fn settle(&mut self) {
        self.log.settle();
        self.other.settle();
        let others = self.other.take_cut();
        self.others_cut += others.len();
        for stream in self.log.take_cut().iter().chain(&others) {
            self.cut += 1;
            self.reset += usize::from(stream.was_reset);
            let peer = stream.client.stream.local_addr();
            let peer = peer.expect("it was connected");
            let says = [format!("{peer} closed: "), format!("{peer} refused: ")];
            wait_until(&format!("the log says what became of {peer}"), || {
                let log = self.server.log();
                says.iter().any(|text| log.contains(text))
            });
        }
    }

    /// Nothing fails any more: everybody is served, newcomers too; the server has not turned more
    /// than it had to, sleeps, and has lost nothing of its own.
    pub fn end(mut self) -> Server {
        let already_cut = self.cut;
        self.log.connect(&self.server, "0");
        self.log.connect(&self.server, "-2");
        self.settle();
        self.log.append(1);
        self.other.append(1);
        self.settle();
        assert_eq!(self.cut, already_cut, "cut after the faults");
        self.expect_rest();
        let streams = self.log.streams.drain(..);
        for stream in streams.chain(self.other.streams.drain(..)) {
            stream.client.reset();
        }
        wait_until("the files and the clients are closed", || {
            self.server.descriptors() == self.descriptors
        });
        assert_eq!(self.server.watches(), 0);
        self.server
    }

    fn expect_rest(&mut self) {
        let turns = self.server.totals("turns");
        let seconds = self.start.elapsed().as_secs();
        let used = turns - self.turns;
        let allowed = ACT_TURNS_MAX * self.acts + 20 * seconds;
        assert!(used < allowed, "{used} turns");
        let cpu = self.server.cpu_time() - self.cpu;
        assert!(
            cpu < Duration::from_millis(250 + 50 * seconds),
            "{cpu:?} CPU"
        );
        self.log.streams[0].client.expect_silence();
        let idle = self.server.totals("turns") - turns;
        assert!(idle < 30, "{idle} turns while nothing happened");
    }
}
