//! A limit of bytes a second that a process may read from a device: a cgroup, of either version.

use crate::failure::{Failure, cannot};

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// A control group with a limit. Removed when dropped, which must be after its processes have
/// ended.
pub struct Throttle {
    group: PathBuf,
}

/// Where groups are made, and what it takes to set a limit.
enum Hierarchy {
    /// Version 1, with one hierarchy for block devices.
    Blkio(PathBuf),
    /// Version 2, with one for everything.
    Unified(PathBuf),
}

/// The kernel takes a moment after the end of its last process before a group is free.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(2);

impl Throttle {
    /// `device` is MAJOR:MINOR.
    pub fn new(device: &str, bytes_per_second: u64) -> Result<Throttle, Failure> {
        let hierarchy = Hierarchy::find()?;
        let group = hierarchy
            .root()
            .join(format!("sendtail-loadtest-{}", process::id()));
        hierarchy.prepare()?;
        fs::create_dir(&group).map_err(cannot(format!("make {}", group.display())))?;
        let throttle = Throttle { group };
        match hierarchy {
            Hierarchy::Blkio(_) => throttle.set(
                "blkio.throttle.read_bps_device",
                &format!("{device} {bytes_per_second}"),
            )?,
            Hierarchy::Unified(_) => {
                throttle.set("io.max", &format!("{device} rbps={bytes_per_second}"))?
            }
        }
        Ok(throttle)
    }

    /// From now on it holds for this process, too.
    pub fn admit(&self, pid: u32) -> Result<(), Failure> {
        self.set("cgroup.procs", &pid.to_string())
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Failure> {
        write(&self.group.join(name), value)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        let deadline = Instant::now() + REMOVAL_TIMEOUT;
        while fs::remove_dir(&self.group).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Hierarchy {
    /// The one that limits block devices: it is in use in one version only.
    fn find() -> Result<Hierarchy, Failure> {
        let path = "/proc/self/mounts";
        let mounts = fs::read_to_string(path).map_err(cannot(format!("read {path}")))?;
        for mount in mounts.lines() {
            let mut words = mount.split_whitespace().skip(1);
            let (Some(root), Some(kind), Some(options)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let root = PathBuf::from(root);
            match kind {
                "cgroup" if has_word(options, ',', "blkio") => {
                    return Ok(Hierarchy::Blkio(root));
                }
                "cgroup2" if has_io(&root.join("cgroup.controllers")) => {
                    return Ok(Hierarchy::Unified(root));
                }
                _ => (),
            }
        }
        Err(Failure::new("no cgroup limits block devices here"))
    }

    fn root(&self) -> &Path {
        match self {
            Hierarchy::Blkio(root) | Hierarchy::Unified(root) => root,
        }
    }

    /// In version 2 a controller has to be turned on for the groups below. systemd does; where
    /// nobody has, it stays on, which costs nothing.
    fn prepare(&self) -> Result<(), Failure> {
        match self {
            Hierarchy::Unified(root) if !has_io(&root.join("cgroup.subtree_control")) => {
                write(&root.join("cgroup.subtree_control"), "+io")
            }
            _ => Ok(()),
        }
    }
}

fn has_io(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|words| has_word(words.trim(), ' ', "io"))
}

fn has_word(words: &str, separator: char, word: &str) -> bool {
    words.split(separator).any(|it| it == word)
}

fn write(path: &Path, value: &str) -> Result<(), Failure> {
    fs::write(path, value).map_err(cannot(format!("write {value} to {}", path.display())))
}
