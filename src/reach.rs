//! Which way a file is read, and how far that has come. Pure.

use std::ops::Range;

/// Where to read next. A read towards the end of the file may bring less than was asked for; one
/// towards its beginning is of use as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From this offset towards the end.
    From(u64),
    /// What lies before this offset, towards the beginning.
    Before(u64),
}

impl Reach {
    /// The bytes to read next, at most `bytes_max` of them, of a file that now ends at `end`. Empty
    /// towards the end when all was read.
    pub fn next_chunk(&self, end: u64, bytes_max: u64) -> Range<u64> {
        match *self {
            Reach::From(at) => at..end.min(at + bytes_max).max(at),
            Reach::Before(at) => at.saturating_sub(bytes_max)..at,
        }
    }

    /// Whether it goes towards the end of the file.
    pub fn is_forwards(&self) -> bool {
        matches!(self, Reach::From(_))
    }

    /// So many bytes, from where reading goes on to where it leads.
    pub fn ahead(&self, bytes: u64) -> Range<u64> {
        match *self {
            Reach::From(at) => at..at + bytes,
            Reach::Before(at) => at.saturating_sub(bytes)..at,
        }
    }
}
