//! Sockets that a server is started with, as a service manager does it.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;

use super::wrapped;

/// The first number of a descriptor that is handed down (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// Above all that the two of them use.
const ASIDE: RawFd = 200;

/// The command with these descriptors from number 3 on, and with `environment`, a piece of shell
/// that sets the variables; `$$` in it is the process that the server will be.
pub fn with_descriptors(
    command: &Command,
    descriptors: &[impl AsFd],
    environment: &str,
) -> Command {
    let script = format!("{environment} exec \"$@\"");
    let mut outer = wrapped(&["sh", "-c", &script, "sh"], command);
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        outer.env_remove(variable);
    }
    let numbers: Vec<RawFd> = descriptors
        .iter()
        .map(|one| one.as_fd().as_raw_fd())
        .collect();
    // SAFETY: between fork and exec only dup and dup2 are called, which may be (signal-safety(7)).
    unsafe {
        outer.pre_exec(move || {
            // One of them may bear the number that another one gets.
            for (place, number) in numbers.iter().enumerate() {
                let aside = ASIDE + place as RawFd;
                Errno::result(libc::dup2(*number, aside))?;
            }
            for place in 0..numbers.len() as RawFd {
                Errno::result(libc::dup2(ASIDE + place, FIRST + place))?;
                Errno::result(libc::close(ASIDE + place))?;
            }
            Ok(())
        });
    }
    outer
}

/// The command with these listening sockets, handed down as systemd does it.
pub fn inheriting(command: &Command, sockets: &[impl AsFd]) -> Command {
    let environment = format!("LISTEN_PID=$$ LISTEN_FDS={}", sockets.len());
    with_descriptors(command, sockets, &environment)
}
