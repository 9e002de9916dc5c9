//! One file between two truncations: identity, length, positioned read, sendfile.

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use nix::sys::stat::fstat;

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::SystemTime;

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
}

/// An opened file, or the end of one that was truncated, or (only as the newest of a tail) a file
/// that is still to come.
pub struct Segment {
    /// `None`: still to come, or truncated.
    open: Option<Open>,
    /// The file's last known length in bytes; 0 while it is still to come.
    end: u64,
    truncated: bool,
}

struct Open {
    file: File,
    identity: Identity,
}

/// What a look at the length has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    Same,
    Grown,
    Shrunk,
}

impl Segment {
    /// A file that is still to come counts as an empty one.
    pub fn to_come() -> Segment {
        Segment {
            open: None,
            end: 0,
            truncated: false,
        }
    }

    /// `file` and what fstat said of it when it was opened. Its length has to be measured once it
    /// is watched.
    pub fn open(file: File, metadata: &Metadata) -> Segment {
        Segment {
            open: Some(Open {
                file,
                identity: Identity::of(metadata),
            }),
            end: 0,
            truncated: false,
        }
    }

    pub fn is_to_come(&self) -> bool {
        self.open.is_none() && !self.truncated
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// In bytes, as of the last look.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// `None` without an open file.
    pub fn identity(&self) -> Option<Identity> {
        self.open.as_ref().map(|open| open.identity)
    }

    /// The open file, to be watched.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.file.as_fd())
    }

    /// Asks for the length (fstat). One that shrank is left as it was: the caller decides with
    /// `truncate`.
    pub fn measure(&mut self) -> io::Result<Measured> {
        let Some(open) = &self.open else {
            return Ok(Measured::Same);
        };
        let length = fstat(&open.file)?.st_size as u64;
        if length < self.end {
            return Ok(Measured::Shrunk);
        }
        let grown = length > self.end;
        self.end = length;
        Ok(if grown {
            Measured::Grown
        } else {
            Measured::Same
        })
    }

    /// Ends this segment where it was; the file goes on in the one that is returned, from 0.
    pub fn truncate(&mut self) -> Segment {
        self.truncated = true;
        Segment {
            open: self.open.take(),
            end: 0,
            truncated: false,
        }
    }

    /// Closes the file.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Reads at `offset`, as much as there is up to `buffer.len()`. 0: the file ends there.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(open) = &self.open else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() {
            match open
                .file
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Moves up to `count` bytes from `offset` on into `socket` without their ever being in this
    /// process: the only line of the program that does. `offset + count` must not be beyond `end`.
    ///
    /// 0: the file ends before `offset`, somebody has truncated it. `WouldBlock`: the socket is
    /// full. `Interrupted` is tried again. Anything else: the peer is gone (EPIPE, ECONNRESET) or
    /// the file cannot be read (EIO).
    pub fn send_to(&self, socket: BorrowedFd, offset: u64, count: usize) -> io::Result<usize> {
        debug_assert!(offset + count as u64 <= self.end);
        let Some(open) = &self.open else { return Ok(0) };
        let mut offset = offset as i64;
        loop {
            match sendfile64(socket, &open.file, Some(&mut offset), count) {
                Err(Errno::EINTR) => {}
                sent => return Ok(sent?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_length_that_grows_and_shrinks() {
        let mut file = tempfile::tempfile().unwrap();
        let mut segment = Segment::open(file.try_clone().unwrap(), &file.metadata().unwrap());
        assert_eq!(segment.measure().unwrap(), Measured::Same);
        file.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(segment.measure().unwrap(), Measured::Grown);
        assert_eq!(segment.end(), 8);

        let mut buffer = [0; 16];
        assert_eq!(segment.read_at(&mut buffer, 4).unwrap(), 4);
        assert_eq!(&buffer[..4], b"two\n");

        file.set_len(3).unwrap();
        assert_eq!(segment.measure().unwrap(), Measured::Shrunk);
        let mut next = segment.truncate();
        assert!(segment.is_truncated() && !segment.is_open() && !segment.is_to_come());
        assert_eq!(segment.end(), 8);
        assert_eq!(next.measure().unwrap(), Measured::Grown);
        assert_eq!(next.end(), 3);
    }
}
