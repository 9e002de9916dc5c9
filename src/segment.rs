//! One file between two truncations: its length, and the marker that tells it from another.
//!
//! A file that was truncated and has grown again shows nothing in its length. The *marker* does:
//! the bytes before the last known end, which an append leaves as they are.

use crate::cursor::Bytes;
use crate::finish::Writers;
use crate::open_file::{Identity, OpenFile};

use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;

/// An opened file, or what is left of one, or (only as the newest of a tail) a file that is still
/// to come.
pub struct Segment {
    state: State,
    seen: Seen,
    /// As of the last look: no name leads to the file, and what it takes of the disk, in bytes.
    is_deleted: bool,
    disk_bytes: u64,
    /// The first bytes, as far as they are known.
    first: Marker,
    /// What comes now does not belong to it any more.
    is_finished: bool,
}

enum State {
    ToCome,
    Open(OpenFile),
    Truncated,
    NeverSeen,
}

/// What has been seen of a file: enough to go on there, or to tell that it is not what it was.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// The last known length in bytes.
    end: u64,
    /// The bytes before `end`.
    last: Marker,
}

/// Up to `MARKER_BYTES` of a file.
#[derive(Clone, Copy)]
struct Marker {
    bytes: [u8; MARKER_BYTES],
    count: u8,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At the length and the marker.
    Marker,
    /// At both ends of the file, as far as that needs no disk: nothing says that it has changed.
    BothEnds,
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    Same,
    /// By so many bytes.
    Grown(u64),
    /// It is shorter than it was, or its bytes are others.
    Truncated,
}

/// As design and measurements have it: one read of these and of what an append has added costs 3 %
/// of a delivery.
const MARKER_BYTES: usize = 64;

/// One read takes the old end and the new one if they are not farther apart.
const CHECK_BYTES: usize = 1024;

impl Segment {
    /// A file that is still to come counts as an empty one.
    pub fn to_come() -> Segment {
        Segment::new(State::ToCome, Seen::default())
    }

    /// A file that was deleted before it could be opened.
    pub fn never_seen() -> Segment {
        Segment::new(State::NeverSeen, Seen::default())
    }

    /// `file` and what fstat said of it when it was opened; `seen` is where it goes on. Its length
    /// has to be measured once it is watched.
    pub fn open(file: File, metadata: &Metadata, seen: Seen) -> Segment {
        Segment::new(State::Open(OpenFile::new(file, metadata)), seen)
    }

    fn new(state: State, seen: Seen) -> Segment {
        Segment {
            state,
            seen,
            is_deleted: false,
            disk_bytes: 0,
            first: Marker::default(),
            is_finished: false,
        }
    }

    pub fn is_to_come(&self) -> bool {
        matches!(self.state, State::ToCome)
    }

    pub fn is_open(&self) -> bool {
        self.opened().is_some()
    }

    /// What has become of the bytes before `end`.
    pub fn bytes(&self) -> Bytes {
        match self.state {
            State::Truncated => Bytes::Truncated,
            State::NeverSeen => Bytes::NeverSeen,
            State::ToCome | State::Open(_) => Bytes::Whole,
        }
    }

    /// In bytes, as of the last look.
    pub fn end(&self) -> u64 {
        self.seen.end
    }

    /// Where a segment of the same file would go on.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// `None` without an open file.
    pub fn identity(&self) -> Option<Identity> {
        self.opened().map(OpenFile::identity)
    }

    /// The open file, to be watched.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.opened().map(OpenFile::descriptor)
    }

    /// It is open and had no name at the last look.
    pub fn is_deleted(&self) -> bool {
        self.is_open() && self.is_deleted
    }

    /// What a deleted file takes of the disk, in bytes; 0 for others.
    pub fn held_bytes(&self) -> u64 {
        if self.is_deleted() {
            self.disk_bytes
        } else {
            0
        }
    }

    /// Whether a process has the file open for writing.
    pub fn writers(&self) -> Writers {
        self.opened().map_or(Writers::Gone, OpenFile::writers)
    }

    /// Asks for the length (fstat) and whether the bytes are still those that were there. After
    /// `Truncated` the caller decides, with `truncate` or `end_truncated`; until then nothing has
    /// changed, as after an error: what cannot be looked at may be another file by now.
    pub fn measure(&mut self, depth: Depth) -> io::Result<Measured> {
        let State::Open(file) = &self.state else {
            return Ok(Measured::Same);
        };
        let Some(status) = file.status()? else {
            return Ok(Measured::Same);
        };
        (self.is_deleted, self.disk_bytes) = (status.is_deleted, status.disk_bytes);
        let end = self.seen.end;
        let length = match status.length {
            length if length > end && self.is_finished => end,
            length => length,
        };
        if length < end {
            return Ok(Measured::Truncated);
        }
        let is_same = match depth {
            Depth::BothEnds if length == end => self.seen.is_cached_same(file),
            _ => self.seen.follow(file, length)?,
        };
        let is_same =
            is_same && (depth != Depth::BothEnds || self.first.follow_start(file, length));
        if !is_same {
            self.seen.end = end;
            return Ok(Measured::Truncated);
        }
        self.seen.end = length;
        Ok(match length - end {
            0 => Measured::Same,
            bytes => Measured::Grown(bytes),
        })
    }

    /// Ends this segment where it was; the file goes on in the one that is returned, from 0.
    pub fn truncate(&mut self) -> Segment {
        let state = mem::replace(&mut self.state, State::Truncated);
        Segment::new(state, Seen::default())
    }

    /// The same for a file that nobody goes on with.
    pub fn end_truncated(&mut self) {
        self.state = State::Truncated;
    }

    /// What the file gets from now on is not this segment's.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Reads at `offset`, as much as there is up to `buffer.len()`. 0: the file ends there.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.opened() {
            Some(file) => file.read_at(buffer, offset),
            None => Ok(0),
        }
    }

    /// Moves up to `count` bytes from `offset` on into `socket`. `offset + count` must not be
    /// beyond `end`. 0: the file ends before `offset`. Errors are those of `OpenFile::send_to`.
    pub fn send_to(&self, socket: BorrowedFd, offset: u64, count: usize) -> io::Result<usize> {
        debug_assert!(offset + count as u64 <= self.end());
        match self.opened() {
            Some(file) => file.send_to(socket, offset, count),
            None => Ok(0),
        }
    }

    fn opened(&self) -> Option<&OpenFile> {
        match &self.state {
            State::Open(file) => Some(file),
            _ => None,
        }
    }
}

impl Seen {
    /// Compares with a file that is `length` bytes long now, and takes its new marker. False: the
    /// bytes are others, or there are fewer than a moment ago.
    fn follow(&mut self, file: &OpenFile, length: u64) -> io::Result<bool> {
        let known = self.last.known();
        let from = self.end - known.len() as u64;
        let mut buffer = [0; CHECK_BYTES];
        let wanted = CHECK_BYTES.min((length - from) as usize);
        let read = file.read_at(&mut buffer[..wanted], from)?;
        if read < wanted || buffer[..known.len()] != *known {
            return Ok(false);
        }
        if from + (read as u64) < length {
            let read = file.read_at(&mut buffer[..MARKER_BYTES], length - MARKER_BYTES as u64)?;
            self.last = Marker::of_end(&buffer[..read]);
            return Ok(read == MARKER_BYTES);
        }
        self.last = Marker::of_end(&buffer[..read]);
        Ok(true)
    }

    /// Whether the marker still stands where it did; true where that is not to be had. The end of a
    /// log is in memory as a rule, also where the file system cannot tell.
    fn is_cached_same(&self, file: &OpenFile) -> bool {
        let known = self.last.known();
        let mut buffer = [0; MARKER_BYTES];
        let (buffer, from) = (&mut buffer[..known.len()], self.end - known.len() as u64);
        match file.read_cached(buffer, from, true) {
            Ok(Some(read)) if read == known.len() => *buffer == *known,
            Ok(_) | Err(_) => true,
        }
    }
}

impl Marker {
    /// The last bytes of `bytes`.
    fn of_end(bytes: &[u8]) -> Marker {
        let mut marker = Marker::default();
        let count = bytes.len().min(MARKER_BYTES);
        marker.bytes[..count].copy_from_slice(&bytes[bytes.len() - count..]);
        marker.count = count as u8;
        marker
    }

    /// Whether the file still begins as it did; takes in what is not yet known of it.
    fn follow_start(&mut self, file: &OpenFile, length: u64) -> bool {
        let mut buffer = [0; MARKER_BYTES];
        let wanted = MARKER_BYTES.min(length as usize);
        let known = self.known();
        match file.read_cached(&mut buffer[..wanted], 0, false) {
            Ok(Some(read)) if read >= known.len() => {
                let is_same = buffer[..known.len()] == *known;
                *self = Marker::of_end(&buffer[..read]);
                is_same
            }
            Ok(_) | Err(_) => true,
        }
    }

    fn known(&self) -> &[u8] {
        &self.bytes[..self.count.into()]
    }
}

impl Default for Marker {
    fn default() -> Marker {
        Marker {
            bytes: [0; MARKER_BYTES],
            count: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_length_that_grows_and_shrinks() {
        let mut file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let clone = file.try_clone().unwrap();
        let mut segment = Segment::open(clone, &metadata, Seen::default());
        assert_eq!(segment.measure(Depth::Marker).unwrap(), Measured::Same);
        file.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(segment.measure(Depth::Marker).unwrap(), Measured::Grown(8));
        assert_eq!(segment.end(), 8);

        let mut buffer = [0; 16];
        assert_eq!(segment.read_at(&mut buffer, 4).unwrap(), 4);
        assert_eq!(&buffer[..4], b"two\n");

        file.set_len(3).unwrap();
        assert_eq!(segment.measure(Depth::Marker).unwrap(), Measured::Truncated);
        let mut next = segment.truncate();
        assert!(segment.bytes() == Bytes::Truncated && !segment.is_open());
        assert_eq!(segment.end(), 8);
        assert_eq!(next.measure(Depth::Marker).unwrap(), Measured::Grown(3));
        assert_eq!(next.end(), 3);
    }

    /// Every length around the marker's and the check's, and every way to have changed.
    #[test]
    fn bytes_that_are_others_are_seen_whatever_the_length() {
        let content: Vec<u8> = (0..3000).map(|n| (n % 251) as u8).collect();
        for (old, new) in [1_usize, 2, 63, 64, 65, 1000, 1023, 1024, 1025, 2000]
            .into_iter()
            .flat_map(|old| [0, 1, 63, 64, 65, 900, 960, 961, 999].map(|more| (old, old + more)))
        {
            for changed in [None, Some(old - 1), Some(old.saturating_sub(64))] {
                let file = tempfile::tempfile().unwrap();
                file.write_all_at(&content[..old], 0).unwrap();
                let metadata = file.metadata().unwrap();
                let clone = file.try_clone().unwrap();
                let mut segment = Segment::open(clone, &metadata, Seen::default());
                segment.measure(Depth::BothEnds).unwrap();
                file.write_all_at(&content[..new], 0).unwrap();
                if let Some(at) = changed {
                    file.write_all_at(b"\xff", at as u64).unwrap();
                }
                let expected = match (changed, new - old) {
                    (Some(_), _) => Measured::Truncated,
                    (None, 0) => Measured::Same,
                    (None, more) => Measured::Grown(more as u64),
                };
                let measured = segment.measure(Depth::Marker).unwrap();
                assert_eq!(measured, expected, "{old} to {new}, {changed:?} changed");
                if changed.is_none() {
                    assert_eq!(segment.measure(Depth::Marker).unwrap(), Measured::Same);
                    assert_eq!(segment.measure(Depth::BothEnds).unwrap(), Measured::Same);
                }
            }
        }
    }
}
