//! How to tell that a file is not what it was: the bytes before its known end, and its first ones.
//!
//! An append leaves them as they are. A file that was truncated and has grown again has others, as
//! a rule, whatever its length says.

use crate::open_file::{OpenFile, Residency};

use std::io;
use std::ops::Range;

/// What has been seen of a file: enough to go on there, or to tell that it is not what it was.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// The last known length in bytes.
    pub end: u64,
    /// The bytes before `end`; none while they are not known.
    last: Marker,
}

/// Up to `MARKER_BYTES` of a file.
#[derive(Clone, Copy)]
pub struct Marker {
    bytes: [u8; MARKER_BYTES],
    count: u8,
}

/// What comparing with the marker has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    Same,
    Other,
    /// That cannot be told without waiting for the disk, which was asked.
    Cold,
}

/// A line of a log with its time is seldom shorter. To read them together with what an append has
/// added costs 3 % of a delivery.
const MARKER_BYTES: usize = 64;

/// One read takes the old end and the new one if they are not farther apart.
const CHECK_BYTES: usize = 1024;

impl Seen {
    /// The bytes before the end are known.
    pub fn is_marked(&self) -> bool {
        u64::from(self.last.count) == self.end.min(MARKER_BYTES as u64)
    }

    /// Compares with a file that is `length` bytes long now, and takes its new marker, without
    /// waiting for the disk unless it `may_wait`. `Other`: the bytes are others, or there are fewer
    /// than a moment ago. With nothing to compare it is the same, whether it is marked then or not.
    pub fn follow(&mut self, file: &OpenFile, length: u64, may_wait: bool) -> io::Result<Compared> {
        let may_wait = may_wait || file.residency() != Residency::Told;
        let known = self.last.known();
        let from = self.end - known.len() as u64;
        let is_near = length - from <= CHECK_BYTES as u64;
        if !known.is_empty() {
            let mut buffer = [0; CHECK_BYTES];
            let wanted = match is_near {
                true => &mut buffer[..(length - from) as usize],
                false => &mut buffer[..known.len()],
            };
            let read = read(file, wanted, from, may_wait)?;
            if read >= known.len() && wanted[..known.len()] != *known {
                return Ok(Compared::Other);
            }
            if read < wanted.len() {
                return Ok(missing(file, from..length, may_wait));
            }
            if is_near {
                self.last = Marker::of_end(wanted);
                return Ok(Compared::Same);
            }
        }
        let compared = self.mark(file, length, may_wait)?;
        Ok(match compared {
            Compared::Cold if self.last.count == 0 => Compared::Same,
            compared => compared,
        })
    }

    /// Takes the marker of a file that is `length` bytes long now.
    fn mark(&mut self, file: &OpenFile, length: u64, may_wait: bool) -> io::Result<Compared> {
        let from = length.saturating_sub(MARKER_BYTES as u64);
        let mut buffer = [0; MARKER_BYTES];
        let wanted = &mut buffer[..(length - from) as usize];
        if read(file, wanted, from, may_wait)? < wanted.len() {
            return Ok(missing(file, from..length, may_wait));
        }
        self.last = Marker::of_end(wanted);
        Ok(Compared::Same)
    }

    /// Whether the marker still stands where it did, if that is in memory: `Cold` asks for nothing.
    /// The end of a log is in memory as a rule, also where the file system cannot tell.
    pub fn compare_cached(&self, file: &OpenFile) -> Compared {
        let known = self.last.known();
        let mut buffer = [0; MARKER_BYTES];
        let (buffer, from) = (&mut buffer[..known.len()], self.end - known.len() as u64);
        match file.read_cached(buffer, from) {
            Ok(Some(read)) if read < known.len() => Compared::Cold,
            Ok(Some(_)) if *buffer != *known => Compared::Other,
            Ok(Some(_)) => Compared::Same,
            Ok(None) | Err(_) => Compared::Cold,
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
    pub fn follow_start(&mut self, file: &OpenFile, length: u64) -> bool {
        if file.residency() == Residency::Unknown {
            return true;
        }
        let mut buffer = [0; MARKER_BYTES];
        let wanted = MARKER_BYTES.min(length as usize);
        let known = self.known();
        match file.read_cached(&mut buffer[..wanted], 0) {
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

fn read(file: &OpenFile, buffer: &mut [u8], at: u64, may_wait: bool) -> io::Result<usize> {
    let cached = file.read_cached(buffer, at)?.unwrap_or(0);
    if cached == buffer.len() || !may_wait {
        return Ok(cached);
    }
    file.read_at(buffer, at)
}

/// What it means that a read of `range` has not brought all of it: that the file ends before, if
/// the read might wait for the rest. Otherwise that, or that the rest is not in memory; which of
/// them, the next look shows.
fn missing(file: &OpenFile, range: Range<u64>, may_wait: bool) -> Compared {
    if may_wait {
        return Compared::Other;
    }
    file.ask_for(range.start..range.end.min(range.start + CHECK_BYTES as u64));
    Compared::Cold
}
