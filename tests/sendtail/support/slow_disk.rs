//! A real disk that is slow: an ext4 image on a loop device, of which the kernel lets the server
//! read only so many bytes a second: a tenth of them at once, and then none for as long. What is
//! dropped from the page cache has to come from there.

use std::fs::{self, File, OpenOptions};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Server, can_run, wait_until, wrapped};

/// What the figures for cold data are about.
pub const BYTES_A_SECOND: u64 = 20_000_000;

const PAGE: usize = 4096;

/// It is mounted in a namespace of the test's own thread and of what that starts: whatever becomes
/// of the test, nothing stays mounted. Servers have to be dropped before.
pub struct SlowDisk {
    /// The image, and the directory `mounted`.
    directory: TempDir,
    /// `MAJOR:MINOR` of the loop device.
    device: String,
    cgroup: PathBuf,
}

/// No journal and no barriers: what the image is on need not hurry, and is never slow.
const MAKE: &str = r#"
    export PATH="$PATH:/usr/sbin:/sbin" && cd "$0" && mkdir mounted &&
    truncate -s 256M image &&
    mkfs.ext4 -q -F -b 4096 -m 0 -N 1024 -O ^has_journal -E lazy_itable_init=0 image &&
    mount --make-rprivate / &&
    mount -o loop,noatime,barrier=0 image mounted"#;

/// The first hierarchy of control groups that can throttle: the file with the limit, what the
/// limit looks like, and where a group is made.
const HIERARCHIES: [(&str, &str, &str); 2] = [
    ("blkio.throttle.read_bps_device", "", "/sys/fs/cgroup/blkio"),
    ("io.max", "rbps=", "/sys/fs/cgroup"),
];

impl SlowDisk {
    /// Nothing if this cannot be had here: the test is then skipped, or fails where everything is
    /// meant to run.
    pub fn new(bytes_a_second: u64) -> Option<SlowDisk> {
        let all = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            "PATH=$PATH:/usr/sbin:/sbin; mkfs.ext4 -V && losetup --find && mount --make-rprivate /",
        ];
        if !can_run(&all) {
            return None;
        }
        let directory = tempfile::tempdir().expect("there is room for tests");
        // The mount is seen by nobody else, and ends with whoever sees it.
        unshare(CloneFlags::CLONE_NEWNS).expect("it has just been possible");
        let made = Command::new("sh")
            .args(["-c", MAKE])
            .arg(directory.path())
            .output();
        let made = made.expect("there is a shell");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no loop device: {said}");
        let mut disk = SlowDisk {
            device: device(&directory.path().join("mounted")),
            directory,
            cgroup: PathBuf::new(),
        };
        disk.throttle(bytes_a_second).then_some(disk)
    }

    /// Makes the control group.
    fn throttle(&mut self, bytes_a_second: u64) -> bool {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // With the second version a controller has to be handed down.
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+io");
        let name = format!(
            "sendtail-test-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Relaxed)
        );
        for (file, key, parent) in HIERARCHIES {
            let cgroup = Path::new(parent).join(&name);
            if fs::create_dir(&cgroup).is_err() {
                continue;
            }
            self.cgroup = cgroup;
            let limit = format!("{} {key}{bytes_a_second}", self.device);
            if fs::write(self.cgroup.join(file), limit).is_ok() {
                return true;
            }
            let _ = fs::remove_dir(&self.cgroup);
        }
        can_run(&[
            "sh",
            "-c",
            "echo 'no control group can throttle' >&2; false",
        ])
    }

    /// What it has mounted.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A file of which nothing is cached.
    pub fn cold(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("there is room");
        drop_cached(&path);
        path
    }

    /// A server that reads this disk slowly.
    pub fn server(&self, flags: &[&str], paths: &[&Path]) -> Server {
        let group = self.cgroup.join("cgroup.procs");
        let group = group.to_str().expect("it is ASCII");
        let wrapper = ["sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", group];
        let flags = [flags, &["-b", "127.0.0.1"]].concat();
        Server::command(wrapped(&wrapper, &Server::program(&flags, paths)))
    }

    /// The bytes that have been read from it so far, by anybody.
    pub fn bytes_read(&self) -> u64 {
        let stat = fs::read_to_string(format!("/sys/dev/block/{}/stat", self.device));
        let stat = stat.expect("it is there");
        let sectors = stat.split_whitespace().nth(2);
        let sectors: u64 = sectors
            .and_then(|field| field.parse().ok())
            .expect("sectors");
        sectors * 512
    }

    /// From the block of this offset on, in the image's order, the disk cannot be read any more.
    /// Nothing may be written to it from now on.
    pub fn break_from(&self, path: &Path, offset: u64) {
        let file = File::open(path).expect("it is there");
        let mut block = libc::c_int::try_from(offset / PAGE as u64).expect("it is small");
        // SAFETY: the kernel reads and writes one number.
        let asked = unsafe { libc::ioctl(file.as_raw_fd(), FIBMAP, &mut block) };
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        let remount = ["mount", "-o", "remount,ro"];
        let mut command = Command::new(remount[0]);
        let status = command.args(&remount[1..]).arg(self.root()).status();
        assert!(status.expect("it is installed").success());
        let image = self.directory.path().join("image");
        let image = OpenOptions::new().write(true).open(image);
        let bytes = u64::try_from(block).expect("it has a place") * PAGE as u64;
        // A loop device answers with EIO what its file does not have.
        let cut = image.expect("it is ours").set_len(bytes);
        cut.expect("it is ours");
    }
}

const FIBMAP: libc::Ioctl = 1;

impl Drop for SlowDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let _ = umount.arg("--lazy").arg(self.root()).status();
        if !self.cgroup.as_os_str().is_empty() {
            // Who was in it has been waited for, but may still be counted.
            let removed = || !self.cgroup.exists() || fs::remove_dir(&self.cgroup).is_ok();
            if std::thread::panicking() {
                removed();
            } else {
                wait_until("the control group is empty", removed);
            }
        }
    }
}

/// What the page cache has of this file goes: all of it, since nobody uses it.
pub fn drop_cached(path: &Path) {
    let file = File::open(path).expect("it is there");
    file.sync_all().expect("it can be written");
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    wait_until("nothing of it is cached", || {
        posix_fadvise(&file, 0, 0, advice).expect("it is a file");
        let gone = cached_pages(&file) == 0;
        if !gone {
            receive_on_each_processor();
        }
        gone
    });
}

/// What a client has read is given back by the processor that had sent it, when that next receives
/// something; until then the pages cannot be dropped.
fn receive_on_each_processor() {
    let this_thread = Pid::from_raw(0);
    let all = sched_getaffinity(this_thread).expect("it runs somewhere");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = socket.local_addr().expect("it is bound");
    for processor in (0..CpuSet::count()).filter(|number| all.is_set(*number) == Ok(true)) {
        let mut one = CpuSet::new();
        one.set(processor).expect("it is one of them");
        sched_setaffinity(this_thread, &one).expect("it is one of them");
        socket.send_to(b"x", address).expect("nobody is in between");
    }
    sched_setaffinity(this_thread, &all).expect("it was possible before");
}

/// Asking by reading would make the kernel read ahead.
fn cached_pages(file: &File) -> usize {
    let length = file.metadata().expect("it is open").len();
    let length = usize::try_from(length).expect("it is small");
    if length == 0 {
        return 0;
    }
    let mut pages = vec![0_u8; length.div_ceil(PAGE)];
    // SAFETY: a new mapping touches no memory of ours, is not looked into, and ends here; the
    // kernel writes a byte a page.
    unsafe {
        let anywhere = std::ptr::null_mut();
        let descriptor = file.as_raw_fd();
        let start = libc::mmap(
            anywhere,
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            descriptor,
            0,
        );
        assert_ne!(start, libc::MAP_FAILED, "it can be mapped");
        let asked = libc::mincore(start, length, pages.as_mut_ptr());
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        libc::munmap(start, length);
    }
    pages.iter().filter(|page| **page & 1 != 0).count()
}

fn device(mounted: &Path) -> String {
    let device = fs::metadata(mounted).expect("it is mounted").dev();
    format!("{}:{}", libc::major(device), libc::minor(device))
}
