//! How many clients and files there may be at a time. To be full is ordinary; to be out of
//! descriptors in the middle of a rotation is not, so some are kept back.
//!
//! | descriptors    | for                                                                       |
//! |----------------|---------------------------------------------------------------------------|
//! | `OWN_MAX`      | standard streams, epoll, inotify, signals, listeners, opening a file (3)  |
//! | `ANSWERED_MAX` | clients over the limit, while they are told so                            |
//! | all others     | clients and followed files                                                |

use crate::error::Fatal;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use std::io;

/// Clients over the limit that are being told so at one time. Further ones wait in the listener's
/// backlog.
pub const ANSWERED_MAX: usize = 16;

const OWN_MAX: usize = 48;

const RESERVED: usize = OWN_MAX + ANSWERED_MAX;

/// The limits of this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    descriptors_max: usize,
    /// Clients served at a time.
    pub clients_max: usize,
}

impl Limits {
    /// Raises the descriptor limit to its hard value and takes from it what `--max-clients` leaves
    /// open.
    pub fn new(clients_max: Option<u32>) -> Result<Limits, Fatal> {
        let descriptors_max = raise_descriptor_limit().map_err(|error| {
            Fatal::io(
                "cannot raise the limit of open files (RLIMIT_NOFILE)",
                &error,
            )
        })?;
        // One client and the name it asks for.
        if descriptors_max < RESERVED + 2 {
            let what =
                format!("cannot serve with a limit of {descriptors_max} open files (ulimit -n)");
            return Err(Fatal::new(
                what,
                format!("at least {} are needed", RESERVED + 2),
            ));
        }
        let possible = descriptors_max - RESERVED;
        let clients_max = clients_max.map_or(possible, |wanted| possible.min(wanted as usize));
        Ok(Limits {
            descriptors_max,
            clients_max,
        })
    }

    /// Whether a connection can be accepted without touching what is kept back for files.
    /// `open_segments` are files held open.
    pub fn have_room_for_client(&self, clients: usize, open_segments: usize) -> bool {
        clients + open_segments + OWN_MAX < self.descriptors_max
    }

    /// Whether one more name can be followed: each may need a second file at its next rotation.
    pub fn have_room_for_name(&self, clients: usize, names: usize, open_segments: usize) -> bool {
        clients + 2 * names + open_segments + RESERVED < self.descriptors_max
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
        let limits = Limits {
            descriptors_max: 100,
            clients_max: 36,
        };
        assert!(limits.have_room_for_client(51, 0));
        assert!(!limits.have_room_for_client(52, 0));
        assert!(!limits.have_room_for_client(50, 2));
        assert!(limits.have_room_for_name(10, 10, 5));
        assert!(!limits.have_room_for_name(10, 10, 6));
    }
}
