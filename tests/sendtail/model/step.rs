//! What a history is made of, and the plain operations on files that its steps consist of.

use std::fmt;

use super::face::Face;

/// A writer of the test: a descriptor that stays open until it is closed.
pub type Writer = usize;

/// A client of the test, in the order of their connecting.
pub type Id = usize;

#[derive(Clone, Debug)]
pub enum Step {
    /// Lines in one write, through an open descriptor or one of its own for this write.
    Append {
        to: To,
        lines: usize,
    },
    /// Much, in writes of 64 KiB.
    Flood {
        to: To,
        bytes: usize,
    },
    /// A logger opens the log and keeps it open.
    Open,
    Close(Writer),
    /// The old files move up by one name, the oldest goes, and `log` becomes `log.1`.
    Rotate,
    /// `log` moves to another directory.
    MoveAway,
    Unlink(String),
    /// The log is made anew, with a first few lines.
    Create {
        lines: usize,
        kept_open: bool,
    },
    /// A file that was prepared elsewhere is renamed over the log.
    Replace {
        lines: usize,
        kept_open: bool,
    },
    /// And at once these lines are in it.
    Truncate {
        how: Truncation,
        lines: usize,
    },
    /// logrotate's: a copy is made, and the log truncated.
    CopyTruncate {
        lines: usize,
    },
    /// An old file is truncated, and then written to again.
    TruncateOld {
        name: String,
        lines: usize,
    },
    /// An old file gets the name of the log back, which may be in use.
    ComeBack {
        name: String,
    },
    /// RENAME_EXCHANGE of the log with this one.
    Exchange {
        name: String,
    },
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// Wait until the server has looked at everything and every client that reads has all that it
    /// is to have.
    Settle,
    /// SIGHUP: the server looks at everything without having been told what.
    Hup,
    /// Wait for the tick.
    Tick,
    Connect(Connect),
    /// The client stops reading, as long as it has not stopped already; it goes on with `Resume`.
    Stall(Id),
    Resume(Id),
    HalfClose(Id),
    Reset(Id),
    Leave(Id),
}

#[derive(Clone, Debug, PartialEq)]
pub enum To {
    Open(Writer),
    /// A file by its name.
    Name(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truncation {
    /// ftruncate, writers go on at the new end.
    SetLength,
    /// `> log`: open with O_TRUNC, write, close.
    Open,
    /// `> log` again, with as many bytes as there were before.
    SameLength,
    /// What a writer without O_APPEND makes of it: it writes on where it was, behind a hole.
    Hole,
}

#[derive(Clone, Debug)]
pub struct Connect {
    pub how: How,
    pub face: Face,
    pub start: Start,
    /// 0 follows `log`; 1 follows `log.1`, which each rotation replaces.
    pub tail: usize,
    pub stalls: bool,
    pub half_closes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// TCP as it is by default: megabytes fit in between.
    Wide,
    /// TCP with small segments and a small buffer: 300 KB fit in between.
    Narrow,
    /// A unix socket: 256 KB.
    Unix,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// `N`
    Byte(usize),
    /// `-Nc`
    LastBytes(usize),
    /// `-N`
    LastLines(usize),
    /// `+N`
    FromLine(usize),
    /// The empty line.
    Default,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Start::Byte(offset) => write!(f, "{offset}"),
            Start::LastBytes(bytes) => write!(f, "-{bytes}c"),
            Start::LastLines(lines) => write!(f, "-{lines}"),
            Start::FromLine(line) => write!(f, "+{line}"),
            Start::Default => Ok(()),
        }
    }
}

/// One operation on files. The model and the world do the same with it.
#[derive(Clone)]
pub enum Op {
    /// With O_APPEND. The descriptor is the next `Writer`.
    Open {
        name: String,
        mode: Mode,
    },
    Write {
        writer: Writer,
        bytes: Vec<u8>,
    },
    Close(Writer),
    Rename {
        from: String,
        to: String,
    },
    Unlink(String),
    Exchange(String, String),
    SetLengthZero(String),
    /// Without O_APPEND, beyond the end.
    WriteAt {
        name: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Copy {
        from: String,
        to: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Existing,
    CreateNew,
    Truncate,
}
