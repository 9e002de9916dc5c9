//! Why a request is not granted, and how a stream ends, in the words that clients get.

use std::fmt;

/// Why a request is not granted: the line that the client gets, without `error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    BadStart,
    BadHeader,
    HeaderTooLong,
    UnknownOption,
    /// A condition that every line meets.
    EmptyText,
    /// More conditions than a line is to be judged by.
    TooManyTexts,
    PathNeeded,
    NoSuchFile,
    TryAgain,
    TooManyClients,
    TooManyOfHost,
    TooManyFiles,
    FileWasReplaced,
    NoHeader {
        within_seconds: u64,
    },
    ShuttingDown,
    /// There are more files than a list may have.
    MoreFiles,
    // What only HTTP can ask for.
    BadRequest,
    MethodNotAllowed,
    VersionNotSupported,
    UnknownQuery,
    /// The name in `Host` is none of this server's.
    WrongHost,
    CrossSite,
    /// A range that begins at or beyond the end of a file of so many bytes.
    NotSatisfiable {
        length: u64,
    },
    PlaceIsGone,
}

/// A limit on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Server,
    /// What one host may have.
    Host,
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Refusal {
        match full {
            Full::Server => Refusal::TooManyClients,
            Full::Host => Refusal::TooManyOfHost,
        }
    }
}

/// How a stream ends. It is displayed as clients hear it at the end of a stream that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was asked for was sent.
    Complete,
    /// The server stops.
    Shutdown,
    Refused(Refusal),
    /// So many bytes were missed; `why` is said where nothing was sent yet.
    Lost {
        bytes: u64,
        why: Refusal,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Refusal::BadStart => "bad start",
            Refusal::BadHeader => "bad header",
            Refusal::HeaderTooLong => "header too long",
            Refusal::UnknownOption => "unknown option",
            Refusal::EmptyText => "empty text",
            Refusal::TooManyTexts => "too many texts",
            Refusal::PathNeeded => "path needed",
            Refusal::NoSuchFile => "no such file",
            Refusal::TryAgain => "try again",
            Refusal::TooManyClients => "too many clients",
            Refusal::TooManyOfHost => "too many clients from this host",
            Refusal::TooManyFiles => "too many files",
            Refusal::FileWasReplaced => "file was replaced",
            Refusal::NoHeader { within_seconds } => {
                return write!(f, "no header within {within_seconds} s");
            }
            Refusal::ShuttingDown => "shutting down",
            Refusal::MoreFiles => "more than 10000 files",
            Refusal::BadRequest => "bad request",
            Refusal::MethodNotAllowed => "method not allowed",
            Refusal::VersionNotSupported => "HTTP version not supported",
            Refusal::UnknownQuery => "unknown query word",
            Refusal::WrongHost => {
                "not served under this name: --host NAME is what allows another one"
            }
            Refusal::CrossSite => "not for pages of other sites",
            Refusal::NotSatisfiable { .. } => "range not satisfiable",
            Refusal::PlaceIsGone => "place is gone",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ending::Complete => f.write_str("complete"),
            Ending::Shutdown | Ending::Refused(Refusal::ShuttingDown) => f.write_str("shutdown"),
            Ending::Refused(refusal)
            | Ending::Lost {
                bytes: 0,
                why: refusal,
            } => refusal.fmt(f),
            Ending::Lost { bytes, .. } => write!(f, "lost {bytes} bytes"),
        }
    }
}

impl Ending {
    /// What a client that got no data is told.
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Ending::Complete | Ending::Shutdown => None,
            Ending::Refused(refusal) | Ending::Lost { why: refusal, .. } => Some(refusal),
        }
    }
}
