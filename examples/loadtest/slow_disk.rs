//! A disk that is slow: ext4 in a file, mounted through a loop device, and a limit of bytes a
//! second for the server that reads it. Only root can have one.

use crate::bench::Bench;
use crate::failure::{Failure, cannot};
use crate::throttle::Throttle;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Unmounted when dropped; with that the kernel frees the loop device, too.
pub struct SlowDisk {
    pub mount_point: PathBuf,
    /// As the kernel writes it: `7:0`.
    device: String,
}

pub const LIMIT_BYTES_PER_SECOND: u64 = 20_000_000;

/// What the file system needs for itself.
const SPARE_BYTES: u64 = 32 << 20;

const SECTOR_BYTES: u64 = 512;

impl SlowDisk {
    /// With room for `bytes`, under a `name` of its own in the directory of `bench`.
    pub fn mount(bench: &Bench, name: &str, bytes: u64) -> Result<SlowDisk, Failure> {
        let (image, mount_point) = (bench.path(&format!("{name}.image")), bench.path(name));
        File::create(&image)
            .and_then(|file| file.set_len(bytes + bytes / 8 + SPARE_BYTES))
            .map_err(cannot(format!("write {}", image.display())))?;
        fs::create_dir_all(&mount_point)
            .map_err(cannot(format!("make {}", mount_point.display())))?;
        run("mkfs.ext4", |command| command.arg("-q").arg(&image))?;
        run("mount", |command| {
            command
                .args(["-o", "loop,noatime"])
                .args([&image, &mount_point])
        })?;
        let mut disk = SlowDisk {
            mount_point,
            device: String::new(),
        };
        disk.device = device_of(&disk.mount_point)?;
        // Whether it can be slow is better known before the first run.
        Throttle::new(&disk.device, LIMIT_BYTES_PER_SECOND)?;
        Ok(disk)
    }

    /// Slows the disk down for one process.
    pub fn throttle(&self, pid: u32) -> Result<Throttle, Failure> {
        let throttle = Throttle::new(&self.device, LIMIT_BYTES_PER_SECOND)?;
        throttle.admit(pid)?;
        Ok(throttle)
    }

    /// Read since it is there, by whomever.
    pub fn read_bytes(&self) -> Result<u64, Failure> {
        let path = format!("/sys/dev/block/{}/stat", self.device);
        let stat = fs::read_to_string(&path).map_err(cannot(format!("read {path}")))?;
        // Reads, reads merged, sectors read: Documentation/block/stat.rst.
        let sectors = stat.split_whitespace().nth(2);
        let sectors: Option<u64> = sectors.and_then(|number| number.parse().ok());
        sectors
            .map(|sectors| sectors * SECTOR_BYTES)
            .ok_or_else(|| Failure::new(format!("{path} has no sectors")))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        let unmount = |option: &[&str]| {
            run("umount", |command| {
                command.args(option).arg(&self.mount_point)
            })
        };
        // Somebody may look into it just now: then it goes when that one has left.
        if unmount(&[]).is_err() {
            let _ = unmount(&["--lazy"]);
        }
    }
}

fn device_of(path: &Path) -> Result<String, Failure> {
    let metadata = fs::metadata(path).map_err(cannot(format!("look at {}", path.display())))?;
    let device = metadata.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    Ok(format!("{major}:{minor}"))
}

/// Runs a program to its end. The last line that it says is why it has failed.
fn run(name: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), Failure> {
    let mut command = Command::new(name);
    // Where a user has no sbin in the PATH, root's programs are there all the same.
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null());
    let output = arguments(&mut command)
        .output()
        .map_err(cannot(format!("run {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.trim().lines().next().unwrap_or("it does not say why");
    Err(Failure::new(format!("{name} failed: {why}")))
}
