//! Opens what lies below a directory, and never outside: the kernel sees to that, or we do.
//!
//! openat2(2) is what it takes, but it is not to be had everywhere: a seccomp filter cannot look
//! into its arguments, so that some answer ENOSYS to it, systemd's for `RestrictSUIDSGID=` among
//! them, which `DynamicUser=` brings along (systemd.exec(5)); old containers answer EPERM. Then we
//! walk name by name ourselves, by the same rules.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// A `..` that meets a rename elsewhere is EAGAIN and to be tried again (openat2(2)).
const ATTEMPTS_MAX: u32 = 16;

/// As many links as the kernel follows (path_resolution(7)).
const LINKS_MAX: u32 = 40;

/// Opens `below` in `directory` as a mere place (O_PATH). `flags` may say more: O_NOFOLLOW.
///
/// EXDEV: it leads out, by `..`, by a link or by an absolute path.
pub fn open_below(directory: &Path, below: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let place = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let directory = open(directory, place | OFlag::O_DIRECTORY, Mode::empty())?;
    match resolve_below(&directory, below, place | flags) {
        Err(Errno::ENOSYS | Errno::EPERM) => walk_below(directory, below, place | flags),
        opened => Ok(opened?),
    }
}

fn resolve_below(directory: &OwnedFd, below: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    for _ in 0..ATTEMPTS_MAX {
        match openat2(directory, below, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::EAGAIN)
}

/// A `..` goes back to the descriptor that we came through, so that no rename meanwhile leads
/// outside.
fn walk_below(bottom: OwnedFd, below: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let mut opened = vec![bottom];
    let mut names = reversed(below)?;
    let mut links = 0;
    while let Some(name) = names.pop() {
        let here = opened.last().ok_or(Errno::EXDEV)?;
        if name == ".." {
            opened.pop();
            continue;
        }
        let next = openat(here, &*name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
        let is_wanted_itself = names.is_empty() && flags.contains(OFlag::O_NOFOLLOW);
        if is_wanted_itself || !is_link(&next)? {
            opened.push(next);
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::ELOOP.into());
        }
        names.extend(reversed(Path::new(&readlinkat(&next, "")?))?);
    }
    Ok(opened.pop().ok_or(Errno::EXDEV)?)
}

fn is_link(place: &OwnedFd) -> io::Result<bool> {
    let kind = SFlag::from_bits_truncate(fstat(place)?.st_mode) & SFlag::S_IFMT;
    Ok(kind == SFlag::S_IFLNK)
}

/// The names of a path in the order in which `pop` gives them. An absolute one leads out.
fn reversed(path: &Path) -> io::Result<Vec<OsString>> {
    if path.is_absolute() {
        return Err(Errno::EXDEV.into());
    }
    let names = path.components().rev();
    let names = names.filter(|name| *name != Component::CurDir);
    Ok(names.map(|name| name.as_os_str().into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::symlink;

    /// Every path is what it is for the kernel: the same inode, or the same error.
    #[test]
    fn both_ways_lead_to_the_same_place() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(directory.path().join("outside"), "").unwrap();
        fs::write(root.join("file"), "").unwrap();
        fs::write(root.join("a/b/deep"), "").unwrap();
        for (target, link) in [
            ("file", "to-file"),
            ("to-file", "to-link"),
            ("../file", "a/up"),
            ("b/../../a/./b/deep", "a/around"),
            ("b", "a/to-directory"),
            ("../outside", "out"),
            ("../../outside", "a/out"),
            ("../root/file", "out-and-in"),
            ("/etc/passwd", "absolute"),
            ("/proc/self/fd/0", "magic"),
            ("nothing", "dangling"),
            ("loop", "loop"),
            ("..", "a/parent"),
            (".", "self"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        for below in [
            "file",
            "to-file",
            "to-link",
            "a/up",
            "a/around",
            "a/to-directory",
            "out",
            "a/out",
            "a/to-directory/deep",
            "a/b/deep",
            "a/b",
            "absolute",
            "magic",
            "dangling",
            "loop",
            "nothing",
            "file/x",
            "a/b/deep/x",
            "a/parent",
            "a/parent/file",
            "self/self/file",
            "../outside",
            "a/../../outside",
            "/etc/passwd",
            "a/./b/../b/deep",
            "out-and-in",
        ] {
            for flags in [OFlag::empty(), OFlag::O_NOFOLLOW] {
                let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
                let bottom = || open(&root, OFlag::O_PATH, Mode::empty()).unwrap();
                let inode = |place: OwnedFd| fstat(place).unwrap().st_ino;
                let kernel = resolve_below(&bottom(), Path::new(below), flags);
                let ours = walk_below(bottom(), Path::new(below), flags);
                assert_eq!(
                    ours.map(inode).map_err(|error| error.raw_os_error()),
                    kernel.map(inode).map_err(|error| Some(error as i32)),
                    "{below} {flags:?}"
                );
            }
        }
    }
}
