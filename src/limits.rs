//! How many clients and files there may be at a time. To be full is ordinary; to be out of
//! descriptors in the middle of a rotation is not, so some are kept back.
//!
//! | descriptors     | for                                                                      |
//! |-----------------|--------------------------------------------------------------------------|
//! | `OWN_MAX`       | standard streams, epoll, inotify, signals, listeners, opening a file (3) |
//! | `ANSWERED_MAX`  | clients over the limit, while they are told so                           |
//! | up to `KEPT`    | the first few followed files                                             |
//! | all others      | clients and followed files                                               |

use crate::error::Fatal;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use std::io;

/// Clients over the limit that are being told so at one time. Further ones wait in the listener's
/// backlog.
pub const ANSWERED_MAX: usize = 16;

const OWN_MAX: usize = 40;

/// So many of these are for listeners. Further ones are taken from the others.
const LISTENERS_KEPT: usize = 16;

/// What `--max-clients` leaves of the descriptor limit by default, and what a new name leaves.
const KEPT: usize = 64;

/// The limits of this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// RLIMIT_NOFILE, which counts all that is open, less listeners beyond the usual.
    descriptors_max: usize,
    /// `--max-clients`.
    clients_max: usize,
}

impl Limits {
    /// Raises the descriptor limit to its hard value. `clients_max` is `--max-clients`; so many
    /// `listeners` there are.
    pub fn new(clients_max: Option<u32>, listeners: usize) -> Result<Limits, Fatal> {
        let descriptors_max = raise_descriptor_limit()
            .map_err(|error| Fatal::io("cannot raise the limit of open files", &error))?
            .saturating_sub(listeners.saturating_sub(LISTENERS_KEPT));
        let clients_max = match clients_max {
            Some(clients) => clients as usize,
            None => descriptors_max.saturating_sub(KEPT),
        };
        let limits = Limits {
            descriptors_max,
            clients_max,
        };
        // One client and the name it asks for.
        if !limits.have_room_for_name(1, 0, 0) {
            let what = format!("cannot serve with {descriptors_max} open files (ulimit -n)");
            return Err(Fatal::new(
                what,
                format!("at least {} are needed", KEPT + 2),
            ));
        }
        Ok(limits)
    }

    /// Whether one more client can be served beside `clients`, without touching what is kept back.
    /// `open_segments` are files held open.
    pub fn have_room_for_client(&self, clients: usize, open_segments: usize) -> bool {
        clients < self.clients_max
            && clients + open_segments + OWN_MAX + ANSWERED_MAX < self.descriptors_max
    }

    /// Whether one more name can be followed: each may need a second file at its next rotation.
    pub fn have_room_for_name(&self, clients: usize, names: usize, open_segments: usize) -> bool {
        clients + 2 * names + open_segments + KEPT < self.descriptors_max
    }
}

fn raise_descriptor_limit() -> io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room() {
        let mut limits = Limits {
            descriptors_max: 100,
            clients_max: 36,
        };
        assert!(limits.have_room_for_client(35, 8));
        assert!(!limits.have_room_for_client(36, 8));
        assert!(!limits.have_room_for_client(35, 9));
        assert!(limits.have_room_for_name(10, 10, 5));
        assert!(!limits.have_room_for_name(10, 10, 6));
        limits.clients_max = 10;
        assert!(limits.have_room_for_client(9, 34));
        assert!(!limits.have_room_for_client(10, 0));
        assert!(!limits.have_room_for_client(9, 35));
    }
}
