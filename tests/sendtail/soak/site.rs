//! The directories of a soak, and what is served of them.
//!
//! | where                | what                                                         |
//! |----------------------|--------------------------------------------------------------|
//! | `disk/histories`,    | a directory for each history, on the file system for         |
//! | `memory/histories-2` | temporary files and on tmpfs                                 |
//! | `disk/road-1/log-1`, | a file PATH each, below a directory that is made anew        |
//! | `memory/road-2/...`  |                                                              |
//! | `disk/quiet/copied`  | a file that is not rotated: mirrors copy it                  |
//! | `disk/quiet/sipped`  | another: somebody reads a byte of it a second                |
//! | `disk/quiet/canary`  | a line each few milliseconds, for one who is to be on time   |

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::content::Content;
use super::service::Service;
use crate::support::Server;

pub struct Site {
    pub disk: TempDir,
    pub memory: TempDir,
}

/// What it holds before anybody asks: more than the kernel takes for one who does not read.
pub const SIPPED_BYTES: usize = 8 << 20;
pub const SIPPED: Content = Content { name: 90, piece: 0 };
pub const COPIED_BYTES: usize = 1 << 20;
pub const COPIED: Content = Content { name: 91, piece: 0 };

/// Of each server.
pub const ROADS: u64 = 2;

impl Site {
    pub fn new() -> Site {
        let site = Site {
            disk: tempfile::tempdir().expect("there is room for tests"),
            memory: tempfile::tempdir_in("/dev/shm").expect("there is room for tests"),
        };
        for directory in [site.histories(false), site.histories(true), site.quiet("")] {
            fs::create_dir(directory).expect("the directory is ours");
        }
        for name in 1..=2 * ROADS {
            fs::create_dir(site.road(name)).expect("the directory is ours");
        }
        for (name, content, bytes) in [
            ("copied", COPIED, COPIED_BYTES),
            ("sipped", SIPPED, SIPPED_BYTES),
            ("canary", Content { name: 92, piece: 0 }, 0),
        ] {
            let written = fs::write(site.quiet(name), content.bytes(0, bytes));
            written.expect("the directory is ours");
        }
        site
    }

    /// One that is still to be started.
    pub fn service(&self, name: &'static str) -> Service {
        Service::new(name, self.disk.path().join(format!("socket-{name}")))
    }

    pub fn histories(&self, is_in_memory: bool) -> PathBuf {
        match is_in_memory {
            true => self.memory.path().join("histories-2"),
            false => self.disk.path().join("histories"),
        }
    }

    /// The directory of this long-lived name.
    pub fn road(&self, name: u64) -> PathBuf {
        let parent = if name % 2 == 1 {
            &self.disk
        } else {
            &self.memory
        };
        parent.path().join(format!("road-{name}"))
    }

    pub fn quiet(&self, name: &str) -> PathBuf {
        self.disk.path().join("quiet").join(name)
    }

    /// Starts the server, the first time on a free port and then on the same.
    pub fn start(&self, service: &Service, host: &str) -> Server {
        let mut paths = vec![self.histories(false), self.histories(true)];
        paths.extend((1..=2 * ROADS).map(|name| self.road(name).join(format!("log-{name}"))));
        paths.extend(["copied", "sipped", "canary"].map(|name| self.quiet(name)));
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let unix = format!("unix:{}", service.unix.display());
        let port = match service.pid.load(Ordering::Relaxed) {
            0 => 0,
            _ => service.address().port(),
        };
        let port = port.to_string();
        // The writers of the histories never close their files for long.
        let flags = [
            "-b",
            host,
            "-p",
            &port,
            "-b",
            &unix,
            "--drain-grace",
            "3600",
        ];
        let server = Server::with(&flags, &paths);
        service.listens_on(server.address());
        service.pid.store(server.pid(), Ordering::Relaxed);
        service.turn_over();
        server
    }
}
