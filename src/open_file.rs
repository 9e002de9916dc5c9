//! An opened regular file: who it is, reading it with and without waiting for the disk, sending it,
//! and whether somebody writes to it.

use crate::bookmark;
use crate::finish::Writers;
use crate::sys;

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::sendfile::sendfile64;
use nix::sys::stat::fstat;
use nix::sys::statfs::{self, fstatfs};

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells one inode from every other, also from a later one with the same number: ext4 gives a
/// number out again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// Birth time, where the file system knows one.
    born: Option<SystemTime>,
}

impl Identity {
    pub fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: metadata.created().ok(),
        }
    }

    /// Its number in places.
    pub fn file_number(&self) -> u64 {
        let born = self
            .born
            .and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        bookmark::file_id(self.inode, born.map(|born| born.as_nanos()))
    }
}

/// A file that is open for reading.
pub struct OpenFile {
    file: File,
    identity: Identity,
    kind: FileSystem,
    /// A read that finds nothing in the page cache can say so and not wait.
    can_tell_cold: bool,
}

/// What changes about a file.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Its length in bytes.
    pub length: u64,
    /// No name leads to it.
    pub is_deleted: bool,
    /// What it takes of the disk, in bytes.
    pub disk_bytes: u64,
}

/// What can be known of where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// In memory, all of them: tmpfs.
    Memory,
    /// A read says what is not in the page cache, when asked not to wait (preadv2(2), RWF_NOWAIT).
    Told,
    /// A read waits without a word (FUSE, overlayfs).
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileSystem {
    /// All that is written is in memory.
    Tmpfs,
    /// Its leases tell of every writer.
    Local,
    /// A writer behind it may not show: FUSE and network file systems.
    Other,
}

impl OpenFile {
    /// `file` and what fstat said of it when it was opened.
    pub fn new(file: File, metadata: &Metadata) -> OpenFile {
        // EOPNOTSUPP comes before anything is read, also at the end. Elsewhere it would start a
        // read of what it does not find (measured).
        let probe = sys::read_cached(file.as_fd(), &mut [0], metadata.len());
        let is_told = |error: &io::Error| {
            use io::ErrorKind::{Interrupted, WouldBlock};
            matches!(error.kind(), WouldBlock | Interrupted)
        };
        let open = OpenFile {
            kind: FileSystem::of(&file),
            can_tell_cold: probe.as_ref().err().is_none_or(is_told),
            file,
            identity: Identity::of(metadata),
        };
        if open.residency() == Residency::Told {
            // The kernel would read ahead as its device's setting says, 8 MiB here and there, and
            // all others would wait for that. What is wanted is asked for.
            let advice = PosixFadviseAdvice::POSIX_FADV_RANDOM;
            let _ = posix_fadvise(&open.file, 0, 0, advice);
        }
        open
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// To be watched.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What fstat(2) says now. `None`: it speaks of another file. FUSE file systems answer by the
    /// name that they know, and behind the mount that may be another's by now (measured with
    /// bindfs); what is read is still this one.
    pub fn status(&self) -> io::Result<Option<Status>> {
        let stat = fstat(&self.file)?;
        let is_ours = (stat.st_dev, stat.st_ino) == (self.identity.device, self.identity.inode);
        Ok(is_ours.then_some(Status {
            length: stat.st_size as u64,
            is_deleted: stat.st_nlink == 0,
            // stat(2): in units of 512 bytes, whatever the file system's own are.
            disk_bytes: stat.st_blocks as u64 * 512,
        }))
    }

    /// Asks the kernel whether a process has the file open for writing: a read lease is to be had
    /// only while none has (fcntl(2)). Exact, and 1.4 us. Whoever opens the file in the moment that
    /// we hold it waits, so only files that have lost their name are asked for.
    pub fn writers(&self) -> Writers {
        if self.kind == FileSystem::Other {
            return Writers::Unknown;
        }
        match sys::take_read_lease(self.file.as_fd()) {
            Ok(()) => {
                // It cannot fail: the lease is ours. If it did, the kernel would take it back in
                // time (/proc/sys/fs/lease-break-time).
                let _ = sys::drop_lease(self.file.as_fd());
                Writers::Gone
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writers::Present,
            Err(_) => Writers::Unknown,
        }
    }

    /// Reads at `offset`, as much as there is up to `buffer.len()`. 0: the file ends there.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The same without waiting for the disk, if `residency` is `Told`: what is in the page cache
    /// from `offset` on without a hole, `None` for nothing. It may be less than there is.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if self.residency() != Residency::Told {
            return self.read_at(buffer, offset).map(Some);
        }
        loop {
            match sys::read_cached(self.file.as_fd(), buffer, offset) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether reads can be kept from waiting for the disk.
    pub fn residency(&self) -> Residency {
        match (self.kind, self.can_tell_cold) {
            (FileSystem::Tmpfs, _) => Residency::Memory,
            (_, true) => Residency::Told,
            (_, false) => Residency::Unknown,
        }
    }

    /// Whether the byte at `offset` is in the page cache: what lies before it is there too, as a
    /// rule, if what lies before that is. To be asked where `residency` is `Told`.
    pub fn is_cached_at(&self, offset: u64) -> io::Result<bool> {
        Ok(self.read_cached(&mut [0], offset)?.is_some())
    }

    /// Asks the kernel to read `range` into the page cache, and does not wait for it
    /// (posix_fadvise(2)). That it did not help shows in the next probe.
    pub fn ask_for(&self, range: Range<u64>) {
        let bytes = (range.end - range.start) as i64;
        let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
        let _ = posix_fadvise(&self.file, range.start as i64, bytes, advice);
    }

    /// Moves up to `count` bytes from `offset` on into `socket` without their ever being in this
    /// process: the only line of the program that does.
    ///
    /// 0: the file ends before `offset`, somebody has truncated it. `WouldBlock`: the socket is
    /// full. `Interrupted` is tried again. Anything else: the peer is gone (EPIPE, ECONNRESET) or
    /// the file cannot be read (EIO).
    pub fn send_to(&self, socket: BorrowedFd, offset: u64, count: usize) -> io::Result<usize> {
        let mut offset = offset as i64;
        loop {
            match sendfile64(socket, &self.file, Some(&mut offset), count) {
                Err(Errno::EINTR) => {}
                sent => return Ok(sent?),
            }
        }
    }
}

impl FileSystem {
    /// fstatfs(2) names the file system. Leases were tried on ext4, tmpfs and overlayfs; on FUSE
    /// one is given although a writer behind the mount has the file open (measured).
    fn of(file: &File) -> FileSystem {
        const LOCAL: [statfs::FsType; 5] = [
            statfs::EXT4_SUPER_MAGIC,
            statfs::XFS_SUPER_MAGIC,
            statfs::BTRFS_SUPER_MAGIC,
            statfs::F2FS_SUPER_MAGIC,
            statfs::OVERLAYFS_SUPER_MAGIC,
        ];
        match fstatfs(file).map(|known| known.filesystem_type()) {
            Ok(statfs::TMPFS_MAGIC) => FileSystem::Tmpfs,
            Ok(kind) if LOCAL.contains(&kind) => FileSystem::Local,
            _ => FileSystem::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let file = File::open(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let open = OpenFile::new(file, &metadata);
        let writer = File::options().append(true).open(&path).unwrap();
        assert_eq!(open.writers(), Writers::Present);
        drop(writer);
        assert_eq!(open.writers(), Writers::Gone);
        assert_eq!(open.writers(), Writers::Gone);
    }
}
