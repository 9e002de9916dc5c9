//! What can be said of a path by itself: the directory it is in, where links lead, who may read it.

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The directory a path is in: `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Where `path` leads: the links that its last component is and leads to are followed, whether or
/// not there is anything at the end. Links among its directories stay.
pub fn follow_links(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = parent(&path).join(target);
    }
    path
}

/// Whether a file can come to be at `path`: not where it ends with a slash or a dot.
pub fn names_a_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    !name.is_empty() && path.as_os_str().as_bytes().ends_with(name.as_bytes())
}

/// The way to a descriptor's own inode, whatever has become of its path (proc(5)).
pub fn descriptor_path(descriptor: impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()).into()
}

/// Whether this process may read a file by its permissions (access(2)), which is not to say that it
/// can.
pub fn may_read(path: &Path) -> bool {
    faccessat(AT_FDCWD, path, AccessFlags::R_OK, AtFlags::AT_EACCESS).is_ok()
}
