//! A place in the stream and the one rule for what to do there. Pure.
//!
//! | the segment there           | the cursor     | step                                          |
//! |-----------------------------|----------------|-----------------------------------------------|
//! | was never opened            | anywhere       | `Lost`                                        |
//! | was truncated               | before the end | `Lost`                                        |
//! | is whole                    | before the end | `Send`                                        |
//! | is not the newest           | beyond the end | `Replaced`                                    |
//! | is finished, one follows    | at the end     | `Next`                                        |
//! | anything else               |                | `Wait`                                        |

use std::ops::Range;

/// Names a segment within its tail: the first is 0, each next one is one more.
pub type SegmentId = u32;

/// Where a client is: the next byte that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub segment: SegmentId,
    /// In bytes from the start of the segment's file. Beyond the end only where the client asked
    /// for that.
    pub offset: u64,
}

/// What is known of a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The last known length of the file in bytes.
    pub end: u64,
    pub bytes: Bytes,
    /// A younger segment has the name.
    pub replaced: bool,
    /// The segment is finished, and the next one goes on at this offset.
    pub next: Option<u64>,
}

/// Whether the bytes before a segment's end can still be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    Whole,
    /// They were truncated away.
    Truncated,
    /// The file was deleted before it could be opened; nobody knows how many they were.
    NeverSeen,
}

/// What there is to do at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(Range<u64>),
    Wait,
    /// To go on at this offset of the next segment.
    Next(u64),
    /// The bytes that follow cannot be had any more.
    Lost,
    /// The start lies beyond the end of a file that was replaced before it got there.
    Replaced,
}

impl Cursor {
    /// The table above.
    pub fn step(&self, span: Span) -> Step {
        match (span.bytes, span.next) {
            (Bytes::NeverSeen, _) => Step::Lost,
            (Bytes::Truncated, _) if self.offset < span.end => Step::Lost,
            (Bytes::Whole, _) if self.offset < span.end => Step::Send(self.offset..span.end),
            _ if self.offset > span.end && span.replaced => Step::Replaced,
            (_, Some(begin)) if self.offset == span.end => Step::Next(begin),
            _ => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let newest = Span {
            end: 10,
            bytes: Bytes::Whole,
            replaced: false,
            next: None,
        };
        let rotated = Span {
            replaced: true,
            ..newest
        };
        let finished = Span {
            next: Some(3),
            ..rotated
        };
        let truncated = Span {
            bytes: Bytes::Truncated,
            next: Some(0),
            ..rotated
        };
        let never_seen = Span {
            bytes: Bytes::NeverSeen,
            end: 0,
            ..finished
        };
        for (span, offset, expected) in [
            (newest, 0, Step::Send(0..10)),
            (newest, 9, Step::Send(9..10)),
            (newest, 10, Step::Wait),
            (newest, 11, Step::Wait),
            (rotated, 9, Step::Send(9..10)),
            (rotated, 10, Step::Wait),
            (rotated, 11, Step::Replaced),
            (finished, 9, Step::Send(9..10)),
            (finished, 10, Step::Next(3)),
            (finished, 11, Step::Replaced),
            (truncated, 9, Step::Lost),
            (truncated, 10, Step::Next(0)),
            (truncated, 11, Step::Replaced),
            (never_seen, 0, Step::Lost),
            (never_seen, 11, Step::Lost),
        ] {
            assert_eq!(
                Cursor { segment: 0, offset }.step(span),
                expected,
                "{offset} in {span:?}"
            );
        }
    }
}
