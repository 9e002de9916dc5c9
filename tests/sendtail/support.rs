//! What every test needs: a server that is killed with its test, clients that compare what they
//! read, files that grow, and the one way to wait. Tests wait for facts; nothing here sleeps for
//! luck.

mod alone;
mod audience;
mod child;
mod client;
mod inherit;
mod log;
mod network;
mod output;
mod pace;
mod programs;
mod server;
mod slow_disk;

pub use alone::Alone;
pub use audience::{Audience, BACKLOG};
pub use child::start;
pub use client::Client;
pub use inherit::{inheriting, with_descriptors};
pub use log::{Log, append, numbered_lines, on_each_file_system};
pub use network::{connect_from, in_a_network_with, ip};
pub use pace::{Late, Pace, in_time};
pub use programs::{Helper, Tracer, bare, can_run, fails, library, netcat};
pub use server::{BINARY, Server, wrapped};
pub use slow_disk::{BYTES_A_SECOND, SlowDisk, drop_cached};

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How long a fact may take on a machine that is busy with other things; success returns at once.
const DEADLINE: Duration = Duration::from_secs(60);

/// Raises this process's descriptor limit, for tests with many clients; 1024 is a common default.
pub fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit it is allowed");
}

/// Polls until it holds, and fails with the text when it does not come to hold.
pub fn wait_until(awaited: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never came: {awaited}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Does something many times that needs an event each time, and fails if it took long enough for
/// the tick to have brought it about instead: it comes once a second.
pub fn on_time(rounds: u32, mut action: impl FnMut(u32)) {
    let start = Instant::now();
    (0..rounds).for_each(&mut action);
    let (elapsed, allowed) = (start.elapsed(), Duration::from_secs(2) * rounds / 3);
    assert!(elapsed < allowed, "{rounds} rounds took {elapsed:?}");
}

/// Whether a program is installed. When it is not, the caller's test is skipped, which is said,
/// or fails where everything is meant to run.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| {
        let metadata = std::fs::metadata(directory.join(name));
        metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    });
    if !found {
        let all = std::env::var_os("SENDTAIL_TEST_ALL").is_some_and(|value| value == "1");
        assert!(!all, "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}
