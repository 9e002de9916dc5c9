//! What looks at files have brought: whom to wake, who cannot go on, when to look again, and what
//! an operator should hear.

use crate::cursor::SegmentId;
use crate::finish::Rule;
use crate::watch::TailKey;

use mio::Token;

use std::path::PathBuf;
use std::time::Instant;

/// Kept and used again, so that nothing is allocated a delivery.
#[derive(Default)]
pub struct News {
    /// Clients that waited and have something to do now. They stand in no waiting list any more.
    pub woken: Vec<Token>,
    /// Clients that cannot go on.
    pub losses: Vec<Loss>,
    /// Tails that want to be looked at before their tick.
    pub soon: Vec<(TailKey, Instant)>,
    /// What is said in the log.
    pub notes: Vec<Note>,
}

impl News {
    /// For `debug_assert`.
    pub fn is_empty(&self) -> bool {
        self.woken.is_empty()
            && self.losses.is_empty()
            && self.soon.is_empty()
            && self.notes.is_empty()
    }
}

/// Something that some clients of a tail do not get.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    pub tail: TailKey,
    pub segment: SegmentId,
    pub kind: LossKind,
}

/// Who does not get what.
#[derive(Clone, Copy, Debug)]
pub enum LossKind {
    /// Clients in the segment that are not at its end, at most so many: it was truncated there.
    Truncated { end: u64, clients_behind: usize },
    /// Clients that have passed over the segment: at `offset`, where it had ended, so many bytes
    /// came late.
    Late { offset: u64, bytes: u64 },
    /// Clients in the segment or an earlier one that are behind: it is deleted and takes too much
    /// of the disk.
    Held,
    /// Clients in the segment or an earlier one: there are too many segments.
    Crowded,
    /// Clients in the segment: it cannot be looked at, for this reason (errno).
    Unreadable { errno: i32 },
}

/// Something that happened to a followed name.
pub enum Note {
    /// Another file bears the name now.
    Replaced { path: PathBuf },
    /// Another file bears the name, and no event has said how that came about.
    Unverified { path: PathBuf },
    /// No more is expected of a file that bore the name.
    Finished {
        path: PathBuf,
        end: u64,
        rule: Rule,
        clients: usize,
    },
    /// A file bore the name and was deleted before it could be opened.
    Gap { path: PathBuf },
    /// A file has grown by so many bytes after it was left.
    Late { path: PathBuf, bytes: u64 },
    /// What bears the name now cannot be opened.
    CannotOpen { path: PathBuf, why: String },
    /// There is no watch to be had; the name is polled.
    CannotWatch { path: PathBuf, why: String },
}
