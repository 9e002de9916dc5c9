//! What a client may have in one serve: so much, and only what needs no waiting for the disk.
//!
//! | the file's bytes are          | what is sent or searched at a time                                |
//! |-------------------------------|-------------------------------------------------------------------|
//! | in memory, always (tmpfs)     | the share                                                         |
//! | told to be in memory          | the share; less at first, and while the disk brings them, as far  |
//! |                               | as they have come                                                 |
//! | told to be not, for long      | a little, and that is waited for                                  |
//! | nobody knows where (FUSE)     | the same                                                          |

use crate::disk;
use crate::open_file::Residency;
use crate::scan::Scan;
use crate::segment::Segment;

use std::io;
use std::time::Instant;

/// What one serve may do.
pub struct Share<'a> {
    /// The most to send, or to search as far as the scratch buffer goes.
    pub bytes: usize,
    /// It has waited long enough for what is not in the page cache: now the read may wait.
    pub may_wait: bool,
    /// The time at the beginning of the turn.
    pub now: Instant,
    /// To read into; not kept.
    pub scratch: &'a mut [u8],
}

/// What is known of where the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    Unknown,
    /// Those before were in memory.
    Warm,
    /// They were written a moment ago: the client has had everything before.
    Live,
}

/// What reading for a search has brought.
pub enum Read<'a> {
    Bytes(&'a [u8]),
    /// The file ends before its known length.
    Short,
    Cold,
}

impl Share<'_> {
    /// How many of the `wanted` bytes from `offset` on can be sent now; 0: they are not in memory.
    pub fn at_hand(
        &mut self,
        segment: &Segment,
        offset: u64,
        wanted: usize,
        heat: &mut Heat,
    ) -> io::Result<usize> {
        if let Some(bytes) = self.waits_for(segment) {
            return Ok(wanted.min(bytes));
        }
        let is_cached = match heat {
            Heat::Live => true,
            Heat::Warm => segment.seems_cached_to(offset + wanted as u64, self.now)?,
            Heat::Unknown => false,
        };
        if is_cached {
            return Ok(wanted);
        }
        // To read them is dear, but there is no other way to know of each.
        let close = wanted.min(self.scratch.len());
        let read = segment.read_cached(&mut self.scratch[..close], offset)?;
        *heat = match read == close {
            true => Heat::Warm,
            false => Heat::Unknown,
        };
        Ok(read)
    }

    /// The next chunk of a search, or as much of it as is of use.
    pub fn read(&mut self, segment: &Segment, scan: Scan, end: u64) -> io::Result<Read<'_>> {
        let waits_for = self.waits_for(segment);
        let scratch = &mut *self.scratch;
        let bytes_max = self.bytes.min(scratch.len());
        let chunk = |bytes: usize| {
            let chunk = scan.next_chunk(end, bytes as u64);
            (chunk.start, (chunk.end - chunk.start) as usize)
        };
        if let Some(bytes) = waits_for {
            let (from, wanted) = chunk(bytes_max.min(bytes));
            let read = segment.read_at(&mut scratch[..wanted], from)?;
            return Ok(match read == wanted {
                true => Read::Bytes(&scratch[..wanted]),
                false => Read::Short,
            });
        }
        for bytes in [bytes_max, bytes_max.min(disk::WAIT_BYTES_MAX)] {
            let (from, wanted) = chunk(bytes);
            let read = segment.read_cached(&mut scratch[..wanted], from)?;
            if read == wanted || (read > 0 && scan.takes_parts()) {
                return Ok(Read::Bytes(&scratch[..read]));
            }
        }
        Ok(Read::Cold)
    }

    /// How much may be read or sent at a time where that may wait for the disk, or cannot.
    fn waits_for(&self, segment: &Segment) -> Option<usize> {
        match segment.residency() {
            Residency::Memory => Some(self.bytes),
            Residency::Told if !self.may_wait => None,
            Residency::Told | Residency::Unknown => Some(disk::WAIT_BYTES_MAX),
        }
    }
}
