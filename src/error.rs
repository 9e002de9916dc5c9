//! Failures that end the process, worded for an operator.

use nix::errno::Errno;

use std::fmt;
use std::io;

/// One line: what could not be done, and why.
#[derive(Debug)]
pub struct Fatal {
    what: String,
    why: String,
}

impl Fatal {
    /// `what` as in "cannot bind 0.0.0.0:80".
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Fatal {
        Fatal {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// The same for a failed system call.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Fatal {
        Fatal::new(what, reason(error))
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// What `strerror(3)` says: an operator knows "Permission denied" and has no use for "(os error
/// 13)".
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}
