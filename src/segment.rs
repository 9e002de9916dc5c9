//! One file between two truncations: its length, what is known of its bytes, what is sent of them.

use crate::cursor::Bytes;
use crate::disk;
use crate::finish::Writers;
use crate::marker::{Compared, Marker, Seen};
use crate::open_file::{Identity, OpenFile, Residency};

use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::Instant;

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
    /// The last time that the disk was asked for what a client needs.
    asked: Option<Instant>,
}

enum State {
    ToCome,
    Open(OpenFile),
    Truncated,
    NeverSeen,
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
    /// That cannot be told without waiting for the disk, which was asked.
    Cold,
    /// It is as long as it was, nothing says that it has changed, and its bytes were not looked at.
    Quiet,
}

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
            asked: None,
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

    /// Asks for the length (fstat) and whether the bytes are still those that were there, without
    /// waiting for the disk unless it `may_wait`. After `Truncated` the caller decides, with
    /// `truncate` or `end_truncated`; until then nothing has changed, as after `Cold` and after an
    /// error: what cannot be looked at may be another file by now.
    pub fn measure(&mut self, depth: Depth, may_wait: bool) -> io::Result<Measured> {
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
        let is_quiet = depth == Depth::BothEnds && length == end && self.seen.is_marked();
        let compared = match is_quiet {
            true => self.seen.compare_cached(file),
            false => self.seen.follow(file, length, may_wait)?,
        };
        let is_other_at_start = depth == Depth::BothEnds && !self.first.follow_start(file, length);
        match compared {
            _ if is_other_at_start => return Ok(Measured::Truncated),
            Compared::Same => {}
            Compared::Other => return Ok(Measured::Truncated),
            Compared::Cold if is_quiet => return Ok(Measured::Quiet),
            Compared::Cold => return Ok(Measured::Cold),
        }
        self.seen.end = length;
        Ok(match length - end {
            0 => Measured::Same,
            bytes => Measured::Grown(bytes),
        })
    }

    /// The bytes before the end are known: the next look can tell whether they are others.
    pub fn is_marked(&self) -> bool {
        !self.is_open() || self.seen.is_marked()
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

    /// The same without waiting for the disk, where `residency` is `Told`: only as much as is in
    /// memory from `offset` on.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.opened() {
            Some(file) => Ok(file.read_cached(buffer, offset)?.unwrap_or(0)),
            None => Ok(0),
        }
    }

    /// Whether reads and sends can be kept from waiting for the disk.
    pub fn residency(&self) -> Residency {
        self.opened().map_or(Residency::Memory, OpenFile::residency)
    }

    /// Whether the byte at `offset` is in memory, where `residency` is `Told`.
    pub fn is_cached_at(&self, offset: u64) -> io::Result<bool> {
        self.opened()
            .map_or(Ok(true), |file| file.is_cached_at(offset))
    }

    /// Whether the disk was asked for something a moment ago: then it says little of what lies
    /// before a byte that this is in memory, for it need not bring things in their order.
    pub fn is_coming(&self, now: Instant) -> bool {
        self.asked
            .is_some_and(|asked| disk::is_bringing(asked, now))
    }

    /// Asks for what there is of `range` to be read into memory.
    pub fn ask_for(&mut self, range: Range<u64>, now: Instant) {
        self.asked = Some(now);
        let range = range.start..range.end.min(self.end());
        if let Some(file) = self.opened() {
            file.ask_for(range);
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
        assert_eq!(
            segment.measure(Depth::Marker, false).unwrap(),
            Measured::Same
        );
        file.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(
            segment.measure(Depth::Marker, false).unwrap(),
            Measured::Grown(8)
        );
        assert_eq!(segment.end(), 8);

        let mut buffer = [0; 16];
        assert_eq!(segment.read_at(&mut buffer, 4).unwrap(), 4);
        assert_eq!(&buffer[..4], b"two\n");

        file.set_len(3).unwrap();
        assert_eq!(
            segment.measure(Depth::Marker, false).unwrap(),
            Measured::Truncated
        );
        let mut next = segment.truncate();
        assert!(segment.bytes() == Bytes::Truncated && !segment.is_open());
        assert_eq!(segment.end(), 8);
        assert_eq!(
            next.measure(Depth::Marker, false).unwrap(),
            Measured::Grown(3)
        );
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
                segment.measure(Depth::BothEnds, false).unwrap();
                file.write_all_at(&content[..new], 0).unwrap();
                if let Some(at) = changed {
                    file.write_all_at(b"\xff", at as u64).unwrap();
                }
                let expected = match (changed, new - old) {
                    (Some(_), _) => Measured::Truncated,
                    (None, 0) => Measured::Same,
                    (None, more) => Measured::Grown(more as u64),
                };
                let measured = segment.measure(Depth::Marker, false).unwrap();
                assert_eq!(measured, expected, "{old} to {new}, {changed:?} changed");
                if changed.is_none() {
                    assert_eq!(
                        segment.measure(Depth::Marker, false).unwrap(),
                        Measured::Same
                    );
                    assert_eq!(
                        segment.measure(Depth::BothEnds, false).unwrap(),
                        Measured::Same
                    );
                }
            }
        }
    }
}
