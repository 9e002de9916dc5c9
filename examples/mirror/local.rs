//! The local file: opened for appending, locked for this process alone, never shortened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// As many bytes as are asked for again and compared: long enough that two logs do not agree by
/// chance.
const OVERLAP_BYTES_MAX: u64 = 64;

pub struct Local {
    file: Flock<File>,
}

/// The end of the file, which the remote one has to repeat.
pub struct Overlap {
    pub start: u64,
    pub bytes: Vec<u8>,
}

impl Local {
    /// A file that does not exist yet is made.
    pub fn open(path: &Path) -> io::Result<Local> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // The kernel takes the lock away when the process ends, however it ends.
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Local { file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(io::Error::other("locked by another process")),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// In bytes, as it is now.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Read from the file each time: what counts is what arrived there.
    pub fn overlap(&self) -> io::Result<Overlap> {
        let length = self.length()?;
        let start = length.saturating_sub(OVERLAP_BYTES_MAX);
        let mut bytes = vec![0; (length - start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(Overlap { start, bytes })
    }

    /// A write that fails half-way leaves what was written, and the next start goes on there.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }
}
