//! What a client may have in one serve: so much, and only what needs no waiting for the disk.
//!
//! | the file's bytes are                | what is sent or searched at a time                          |
//! |-------------------------------------|-------------------------------------------------------------|
//! | in memory, always (tmpfs)           | the share                                                   |
//! | there, says the kernel              | the share; less at first, at the end of the file, and while |
//! |                                     | the disk brings what was asked for                          |
//! | not there, and asked for long ago   | a little, and that is waited for                            |
//! | where nobody says (FUSE, overlayfs) | the same                                                    |

use crate::disk;
use crate::open_file::Residency;
use crate::reach::Reach;
use crate::segment::Segment;

use std::io;
use std::time::Instant;

/// What one serve may do.
pub struct Share<'a> {
    /// The most to send, or to search as far as the scratch buffer goes.
    pub bytes: usize,
    /// It has waited long enough for what is not in the page cache: now the read may wait.
    pub may_wait: bool,
    /// The time at which serving began in this turn: who goes on to another segment may have what
    /// was looked at since.
    pub now: Instant,
    /// To read into; not kept.
    pub scratch: &'a mut [u8],
    /// What has been done of it.
    pub sent_bytes: u64,
    pub searched_bytes: u64,
}

/// What is looked at closely before it is sent or searched, byte by byte. A read that is not to
/// wait starts to read what it does not find (measured): so little that it costs others nothing.
const CLOSE_BYTES: usize = 64 << 10;

/// No part of a page is in memory without the rest. Where pages are larger, this is on the safe
/// side.
const PAGE_BYTES: u64 = 4096;

/// What is known of where the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    Unknown,
    /// Those before were in memory.
    Warm,
    /// They were written a moment ago: the client has had everything before.
    Live,
}

/// What reading has brought.
pub enum Read<'a> {
    Bytes(&'a [u8]),
    /// The file ends before its known length.
    Short,
    Cold,
}

impl Share<'_> {
    /// How many of the `wanted` bytes from `offset` on can be sent now; 0: they are not in memory.
    #[inline(always)]
    pub fn at_hand(
        &mut self,
        segment: &Segment,
        offset: u64,
        wanted: usize,
        heat: &mut Heat,
    ) -> io::Result<usize> {
        match segment.residency() {
            Residency::Memory => return Ok(wanted),
            Residency::Unknown => return Ok(wanted.min(disk::WAIT_BYTES_MAX)),
            Residency::Told if *heat == Heat::Live => return Ok(wanted),
            Residency::Told => {}
        }
        let is_warm = *heat == Heat::Warm && !segment.is_coming(self.now);
        if is_warm && segment.is_cached_at(offset + wanted as u64 - 1)? {
            return Ok(wanted);
        }
        let close = wanted.min(CLOSE_BYTES);
        let read = match segment.is_cached_at(offset)? {
            true => segment.read_cached(&mut self.scratch[..close], offset)?,
            false => 0,
        };
        *heat = match read == close {
            true => Heat::Warm,
            false => Heat::Unknown,
        };
        Ok(match read {
            0 if self.may_wait => wanted.min(disk::WAIT_BYTES_MAX),
            read => read,
        })
    }

    /// The next bytes of a file that ends at `end`: more than `known_bytes` of them, which are of
    /// no use alone.
    pub fn read(
        &mut self,
        segment: &Segment,
        reach: Reach,
        end: u64,
        known_bytes: usize,
    ) -> io::Result<Read<'_>> {
        let bytes_max = self.bytes.min(self.scratch.len());
        let count = match segment.residency() {
            Residency::Memory => self.read_waiting(segment, reach, end, bytes_max)?,
            Residency::Unknown => {
                self.read_waiting(segment, reach, end, bytes_max.min(disk::WAIT_BYTES_MAX))?
            }
            Residency::Told => match self.read_cached(segment, reach, end, bytes_max)? {
                count if count > known_bytes => count,
                _ if self.may_wait => {
                    self.read_waiting(segment, reach, end, disk::WAIT_BYTES_MAX)?
                }
                _ => return Ok(Read::Cold),
            },
        };
        self.searched_bytes += count as u64;
        Ok(match count {
            0 => Read::Short,
            count => Read::Bytes(&self.scratch[..count]),
        })
    }

    /// 0: the file ends before its known length.
    fn read_waiting(
        &mut self,
        segment: &Segment,
        reach: Reach,
        end: u64,
        bytes: usize,
    ) -> io::Result<usize> {
        let chunk = reach.next_chunk(end, bytes as u64);
        let wanted = (chunk.end - chunk.start) as usize;
        let read = segment.read_at(&mut self.scratch[..wanted], chunk.start)?;
        Ok(if read == wanted { read } else { 0 })
    }

    /// 0: what comes next is not in memory.
    fn read_cached(
        &mut self,
        segment: &Segment,
        reach: Reach,
        end: u64,
        bytes_max: usize,
    ) -> io::Result<usize> {
        let bytes = match segment.is_coming(self.now) {
            true => bytes_max.min(CLOSE_BYTES),
            false => bytes_max,
        };
        let chunk = reach.next_chunk(end, bytes as u64);
        if reach.is_forwards() && chunk.end - chunk.start <= CLOSE_BYTES as u64 {
            let wanted = (chunk.end - chunk.start) as usize;
            return segment.read_cached(&mut self.scratch[..wanted], chunk.start);
        }
        let (near, far) = match reach.is_forwards() {
            true => (chunk.start, chunk.end - 1),
            false => (chunk.end - 1, chunk.start),
        };
        if !segment.is_cached_at(near)? {
            return Ok(0);
        }
        let wanted = (chunk.end - chunk.start) as usize;
        if segment.is_cached_at(far)? {
            let read = segment.read_cached(&mut self.scratch[..wanted], chunk.start)?;
            if read == wanted || reach.is_forwards() {
                return Ok(read);
            }
        }
        // The page that it is at: for the last ten lines that may do.
        let page = near / PAGE_BYTES * PAGE_BYTES;
        let part = match reach.is_forwards() {
            true => near..chunk.end.min(page + PAGE_BYTES),
            false => page.max(chunk.start)..chunk.end,
        };
        let wanted = (part.end - part.start) as usize;
        let read = segment.read_cached(&mut self.scratch[..wanted], part.start)?;
        Ok(if read == wanted { read } else { 0 })
    }
}
