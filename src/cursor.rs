//! A place in the stream and the one rule for what to do there. Pure.
//!
//! | the segment there                     | the cursor           | step       |
//! |---------------------------------------|----------------------|------------|
//! | truncated                             | anywhere             | `Lost`     |
//! | whole                                 | before the end       | `Send`     |
//! | whole, another file bears the name    | beyond the end       | `Replaced` |
//! | whole                                 | at or beyond the end | `Wait`     |

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
    /// The file's last known length in bytes.
    pub end: u64,
    /// Bytes before `end` are gone.
    pub truncated: bool,
    /// A younger segment has the name.
    pub replaced: bool,
}

/// What there is to do at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(Range<u64>),
    Wait,
    /// The bytes that follow were truncated away.
    Lost,
    /// The start lies beyond the end of a file that was replaced before it got there.
    Replaced,
}

impl Cursor {
    /// The table above.
    pub fn step(&self, span: Span) -> Step {
        if span.truncated {
            Step::Lost
        } else if self.offset < span.end {
            Step::Send(self.offset..span.end)
        } else if self.offset > span.end && span.replaced {
            Step::Replaced
        } else {
            Step::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let whole = Span {
            end: 10,
            truncated: false,
            replaced: false,
        };
        let replaced = Span {
            replaced: true,
            ..whole
        };
        let truncated = Span {
            truncated: true,
            replaced: true,
            ..whole
        };
        for (span, offset, expected) in [
            (whole, 0, Step::Send(0..10)),
            (whole, 9, Step::Send(9..10)),
            (whole, 10, Step::Wait),
            (whole, 11, Step::Wait),
            (replaced, 9, Step::Send(9..10)),
            (replaced, 10, Step::Wait),
            (replaced, 11, Step::Replaced),
            (truncated, 0, Step::Lost),
            (truncated, 10, Step::Lost),
            (truncated, 11, Step::Lost),
        ] {
            assert_eq!(
                Cursor { segment: 0, offset }.step(span),
                expected,
                "{offset} in {span:?}"
            );
        }
    }
}
