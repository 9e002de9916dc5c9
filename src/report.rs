//! What the operator reads: the totals, and the wording of every message.
//!
//! | level   | what                                                            |
//! |---------|-----------------------------------------------------------------|
//! | error   | that the process ends                                           |
//! | warning | losses and limits, at most one a second of a kind               |
//! | info    | what an operator wants to know once; refusals, limited the same |
//! | debug   | each connect and close; what the limits hold back               |

mod files;

mod metrics;

mod now;

mod repetition;

mod stderr;

pub use stderr::{init_log, say_fatal};

pub use metrics::MEDIA_TYPE as METRICS_MEDIA_TYPE;
pub use now::{Faces, Now};

use repetition::Repetition;

use crate::cursor::SegmentId;
use crate::error::{Escaped, reason};
use crate::exposure::Exposure;
use crate::outcome::{Closed, Cut};
use crate::refusal::Refusal;
use crate::sandbox::{Enforced, Sandbox};
use crate::socket::Peer;

use log::{Level, debug, info, warn};

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Counters since the start, and how often each kind of message was held back.
#[derive(Default)]
pub struct Report {
    /// Accepted.
    pub connections: u64,
    /// Bytes of files, and what was made of them; without refusals and texts.
    pub sent_bytes: u64,
    /// How often the loop has gone round.
    pub turns: u64,
    /// Requests not granted, by the label of the reason.
    refused: BTreeMap<&'static str, u64>,
    /// Connections of hosts that `--allow` does not name.
    denied: u64,
    /// Streams that could not go on, and the bytes that their clients did not get.
    cut: u64,
    missed_bytes: u64,
    /// Files that bore a followed name and were deleted before they could be opened.
    gaps: u64,
    /// Bytes that came to a file after it was left.
    late_bytes: u64,
    /// Switches from one file to another that no event explained.
    unverified: u64,
    /// Files that came to bear a followed name in place of another.
    rotations: u64,
    /// Followed files that were truncated.
    truncations: u64,
    /// `--drain-grace`, for the words of one rule.
    drain_grace: Duration,
    repetitions: [Repetition; KINDS],
    /// When `say_held_back` has something to say. Taken by whoever sees to that.
    held_until: Option<Instant>,
}

/// What a client of the totals is at.
pub enum Doing<'a> {
    Asking,
    Following {
        path: &'a Path,
        /// Counted from 0, from the first that was followed under its name.
        segment: SegmentId,
        offset: u64,
        behind_bytes: u64,
    },
    Ending,
}

/// Messages that others can provoke, each with a limit of its own.
#[derive(Clone, Copy)]
enum Kind {
    Denied,
    Refused,
    Full,
    HostFull,
    Cut,
    Truncated,
    /// All of it had been sent.
    TruncatedSent,
    Replaced,
    Finished,
    Unverified,
    Gap,
    Late,
    CannotOpen,
    CannotWatch,
    CannotAccept,
}

const KINDS: usize = Kind::CannotAccept as usize + 1;

impl Report {
    /// Nothing counted yet.
    pub fn new(drain_grace: Duration) -> Report {
        Report {
            drain_grace,
            ..Report::default()
        }
    }

    /// The service manager cannot be told anything.
    pub fn unheard(&self, error: &io::Error) {
        warn!("cannot reach NOTIFY_SOCKET: {}", reason(error));
    }

    /// What an operator may not have meant.
    pub fn exposure(&self, exposure: &Exposure) {
        match exposure {
            Exposure::ThisHostOnly => {
                info!("serving this host only; -b 0.0.0.0 or -b :: serves others, too")
            }
            Exposure::Nobody => {
                warn!(
                    "--allow names nobody who could connect: this host alone could, and is not named"
                )
            }
            Exposure::AnyHost(listener) => warn!(
                "any host that reaches {listener} can read what is served; --allow CIDR limits that"
            ),
            Exposure::AnyLocalUser { path, listener } => warn!(
                "{} is not readable by all users, but through {listener} any local user can read \
                 it; -b unix:PATH with --socket-mode limits that",
                Escaped(path)
            ),
        }
    }

    /// How far the process is confined, where that is not all that was asked for.
    pub fn sandbox(&self, sandbox: &Sandbox, enforced: Enforced) {
        match enforced {
            Enforced::Whole => {}
            Enforced::Part => {
                info!("sandbox: this kernel enforces a part of it, Linux 6.12 and later all")
            }
            Enforced::No => return info!("no sandbox: Landlock is not to be had here"),
        }
        if let Some(directory) = &sandbox.reads_all {
            let directory = Escaped(directory);
            warn!("sandbox: {directory} is served, so every file can be read");
        }
        for directory in &sandbox.topmost {
            info!(
                "sandbox: if {} is made anew or mounted over, a restart is needed to serve it: the \
                 sandbox cannot let it read all of /",
                Escaped(directory)
            );
        }
        for path in &sandbox.dangling {
            info!(
                "sandbox: {} leads into a directory that is not there: when it is made, a restart \
                 is needed to serve it",
                Escaped(path)
            );
        }
    }

    pub fn connected(&self, peer: Peer) {
        debug!("{peer} connected");
    }

    pub fn closed(&self, peer: Peer, why: &Closed) {
        match why {
            Closed::Silence => debug!("{peer} closed: asked for nothing"),
            Closed::Drained => debug!("{peer} closed: done"),
            Closed::TooMuchInput => debug!("{peer} closed: sends without end"),
            Closed::NotDrained => debug!("{peer} closed: did not close its side in time"),
            Closed::Gone => debug!("{peer} closed: gone"),
            Closed::Error(error) => debug!("{peer} closed: {}", reason(error)),
        }
    }

    /// A host that may not connect. It is told nothing.
    pub fn denied(&mut self, peer: Peer) {
        self.denied += 1;
        let message = format_args!("{peer} denied: not in --allow");
        self.say(Level::Info, Kind::Denied, message);
    }

    /// `asked` and `why` say what the client itself is not told.
    pub fn refused(
        &mut self,
        peer: Peer,
        refusal: Refusal,
        asked: Option<&Path>,
        why: Option<String>,
    ) {
        *self.refused.entry(metrics::label(refusal)).or_default() += 1;
        let (level, kind) = match refusal {
            Refusal::TooManyClients | Refusal::TooManyFiles | Refusal::TryAgain => {
                (Level::Warn, Kind::Full)
            }
            Refusal::TooManyOfHost => (Level::Info, Kind::HostFull),
            Refusal::NoSuchFile | Refusal::PathNeeded | Refusal::FileWasReplaced => {
                (Level::Info, Kind::Refused)
            }
            _ => return debug!("{peer} refused: {refusal}"),
        };
        let mut message = format!("{peer} refused: {refusal}");
        if let Some(asked) = asked {
            let _ = write!(message, ": {}", Escaped(asked));
        }
        if let Some(why) = why {
            let _ = write!(message, ": {why}");
        }
        self.say(level, kind, format_args!("{message}"));
    }

    /// A stream that could not go on from `offset`; `missed_bytes` of what the file had were not
    /// sent.
    pub fn cut(&mut self, peer: Peer, path: &Path, offset: u64, missed_bytes: u64, cut: &Cut) {
        let path = Escaped(path);
        if matches!(cut, Cut::Replaced) {
            return debug!("{peer} closed: {path} was replaced before it had {offset} bytes");
        }
        self.cut += 1;
        self.missed_bytes += missed_bytes;
        let missed = format_args!("at offset {offset}, {missed_bytes} bytes missed");
        match cut {
            Cut::Replaced => {}
            Cut::Truncated => self.say(
                Level::Warn,
                Kind::Cut,
                format_args!("{peer} closed: {path} was truncated when it was {missed}"),
            ),
            Cut::NeverSeen => self.say(
                Level::Warn,
                Kind::Cut,
                format_args!(
                    "{peer} closed: a file that was {path} is missing, it was deleted before it \
                     could be opened"
                ),
            ),
            Cut::Late { .. } => self.say(
                Level::Warn,
                Kind::Cut,
                format_args!("{peer} closed: the old file of {path} grew late, {missed}"),
            ),
            Cut::Held => self.say(
                Level::Warn,
                Kind::Cut,
                format_args!(
                    "{peer} closed: {path} was deleted and held too much disk space, {missed}"
                ),
            ),
            Cut::Crowded => self.say(
                Level::Warn,
                Kind::Cut,
                format_args!("{peer} closed: {path} has too many old files, {missed}"),
            ),
            Cut::Unreadable(error) => {
                let why = reason(error);
                self.say(
                    Level::Warn,
                    Kind::Cut,
                    format_args!("{peer} closed: cannot read {path}: {why}, {missed}"),
                );
            }
        }
    }

    pub fn cannot_accept(&mut self, error: &io::Error) {
        self.say(
            Level::Warn,
            Kind::CannotAccept,
            format_args!("cannot accept connections: {}", reason(error)),
        );
    }

    pub fn totals(&self, now: &Now) {
        info!(
            "totals: clients {}, files {}, segments {}, held {}, watches {}, connections {}, \
             refused {}, denied {}, cut {}, gaps {}, missed {}, late {}, unverified {}, sent {}, turns {}",
            now.clients,
            now.files,
            now.segments,
            now.held_bytes,
            now.watches,
            self.connections,
            self.refused.values().sum::<u64>(),
            self.denied,
            self.cut,
            self.gaps,
            self.missed_bytes,
            self.late_bytes,
            self.unverified,
            self.sent_bytes,
            self.turns
        );
    }

    /// One client of the totals, connected for so long.
    pub fn client(&self, peer: Peer, doing: &Doing, age: Duration) {
        let age = format_args!("connected for {} s", age.as_secs());
        match doing {
            Doing::Asking => info!("client {peer}: no request yet, {age}"),
            Doing::Following {
                path,
                segment,
                offset,
                behind_bytes,
            } => info!(
                "client {peer}: {} segment {segment} offset {offset}, {behind_bytes} bytes behind, \
                 {age}",
                Escaped(path)
            ),
            Doing::Ending => info!("client {peer}: ending, {age}"),
        }
    }

    /// Messages were held back, and are due at this time if no other of their kind comes. Said
    /// once.
    pub fn take_held_until(&mut self) -> Option<Instant> {
        self.held_until.take()
    }

    /// Says what was held back before this time.
    pub fn say_held_back(&mut self, now: Instant) {
        let held = self.repetitions.iter_mut();
        self.held_until = held.filter_map(|kind| kind.say_held_back(now)).min();
    }

    /// Says everything: the process ends.
    pub fn end(&mut self) {
        let now = Instant::now();
        self.repetitions
            .iter_mut()
            .for_each(|kind| kind.say_last(now));
    }

    pub fn stopping(&self, clients: usize) {
        info!("stopping; {clients} clients to drain");
    }

    fn say(&mut self, level: Level, kind: Kind, message: fmt::Arguments) {
        let until = self.repetitions[kind as usize].say(level, message, Instant::now());
        self.note_held(until);
    }

    fn note_held(&mut self, until: Option<Instant>) {
        self.held_until = self.held_until.into_iter().chain(until).min();
    }
}
