//! Find the n-th line, forwards or backwards, a chunk at a time. Pure.
//!
//! The caller reads where `reach` points and hands the bytes to `feed`, until a place is
//! found. What is asked, in a file of `end` bytes:
//!
//! | start | search                                                                           |
//! |-------|----------------------------------------------------------------------------------|
//! | `-N`  | backwards from `end`, for newline N, or N+1 if the file ends with one            |
//! | `+N`  | forwards from 0, for newline N-1; it may have to wait for lines not yet written |

use crate::reach::Reach;

use memchr::{memchr_iter, memrchr_iter};

/// A search under way. `Copy` and small: it is part of every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    direction: Direction,
    /// Newlines still to be passed before the place is found; at least 1.
    newlines: u64,
    /// Forwards: everything before it was searched. Backwards: everything from it on.
    at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
    /// Backwards, and nothing was read yet: a newline at the very end closes the last line and does
    /// not count.
    BackwardsFromEnd,
}

/// What a chunk brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Found(u64),
    Searching(Scan),
}

impl Scan {
    /// Where the last `lines` lines of a file of `end` bytes begin.
    pub fn last_lines(lines: u64, end: u64) -> Progress {
        if lines == 0 || end == 0 {
            return Progress::Found(end);
        }
        Progress::Searching(Scan {
            direction: Direction::BackwardsFromEnd,
            newlines: lines,
            at: end,
        })
    }

    /// Where line `line` begins, counted from 1; 0 is 1.
    pub fn from_line(line: u64) -> Progress {
        match line {
            0 | 1 => Progress::Found(0),
            _ => Progress::Searching(Scan {
                direction: Direction::Forwards,
                newlines: line - 1,
                at: 0,
            }),
        }
    }

    /// Where to read next.
    pub fn reach(&self) -> Reach {
        match self.direction {
            Direction::Forwards => Reach::From(self.at),
            _ => Reach::Before(self.at),
        }
    }

    /// Takes the bytes of the next chunk of `reach`, not empty. A forwards search may be handed
    /// fewer, a backwards one needs them all.
    pub fn feed(self, chunk: &[u8]) -> Progress {
        match self.direction {
            Direction::Forwards => self.feed_forwards(chunk),
            Direction::Backwards => self.feed_backwards(chunk, chunk),
            Direction::BackwardsFromEnd => {
                self.feed_backwards(chunk, chunk.strip_suffix(b"\n").unwrap_or(chunk))
            }
        }
    }

    fn feed_forwards(self, chunk: &[u8]) -> Progress {
        let count = count_newlines(chunk);
        if count >= self.newlines {
            // A usize: it is not above the count of newlines in a slice.
            let newline = memchr_iter(b'\n', chunk).nth(self.newlines as usize - 1);
            return Progress::Found(self.at + newline.map_or(0, |newline| newline as u64 + 1));
        }
        Progress::Searching(Scan {
            newlines: self.newlines - count,
            at: self.at + chunk.len() as u64,
            ..self
        })
    }

    /// `counted` is `chunk` less the newline that ends the file, if it does.
    fn feed_backwards(self, chunk: &[u8], counted: &[u8]) -> Progress {
        let chunk_start = self.at - chunk.len() as u64;
        let count = count_newlines(counted);
        if count >= self.newlines {
            let newline = memrchr_iter(b'\n', counted).nth(self.newlines as usize - 1);
            return Progress::Found(chunk_start + newline.map_or(0, |newline| newline as u64 + 1));
        }
        if chunk_start == 0 {
            return Progress::Found(0);
        }
        let direction = Direction::Backwards;
        Progress::Searching(Scan {
            direction,
            newlines: self.newlines - count,
            at: chunk_start,
        })
    }
}

/// Counting is several times faster than visiting each newline (memchr has a vectorised count), so
/// that only the chunk that holds the place is walked.
fn count_newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives a search over `text` in chunks of `chunk_bytes`; `None` if it would have to wait.
    fn search(mut progress: Progress, text: &[u8], chunk_bytes: u64) -> Option<u64> {
        loop {
            match progress {
                Progress::Found(offset) => return Some(offset),
                Progress::Searching(scan) => {
                    let chunk = scan.reach().next_chunk(text.len() as u64, chunk_bytes);
                    if chunk.is_empty() {
                        return None;
                    }
                    progress = scan.feed(&text[chunk.start as usize..chunk.end as usize]);
                }
            }
        }
    }

    /// Every text of up to 8 bytes over {a, newline}.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        (0..=8u32).flat_map(|length| {
            (0..1u32 << length).map(move |bits| {
                (0..length)
                    .map(|i| if bits >> i & 1 == 1 { b'\n' } else { b'a' })
                    .collect()
            })
        })
    }

    fn lines(text: &[u8]) -> Vec<&[u8]> {
        text.split_inclusive(|&byte| byte == b'\n').collect()
    }

    #[test]
    fn last_lines_of_every_short_text_in_every_chunk_size() {
        for text in texts() {
            let lines = lines(&text);
            for (n, chunk_bytes) in
                (0..=9).flat_map(|n| (1..=9).map(move |chunk_bytes| (n, chunk_bytes)))
            {
                let expected: usize = lines[..lines.len().saturating_sub(n)].concat().len();
                let found = search(
                    Scan::last_lines(n as u64, text.len() as u64),
                    &text,
                    chunk_bytes,
                );
                assert_eq!(
                    found,
                    Some(expected as u64),
                    "-{n} of {:?} by {chunk_bytes}",
                    text.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn from_line_of_every_short_text_in_every_chunk_size() {
        for text in texts() {
            let starts: Vec<u64> = [0]
                .into_iter()
                .chain(memchr_iter(b'\n', &text).map(|newline| newline as u64 + 1))
                .collect();
            for (n, chunk_bytes) in
                (0..=9).flat_map(|n: u64| (1..=9).map(move |chunk_bytes| (n, chunk_bytes)))
            {
                let expected = starts.get(n.max(1) as usize - 1).copied();
                let found = search(Scan::from_line(n), &text, chunk_bytes);
                assert_eq!(
                    found,
                    expected,
                    "+{n} of {:?} by {chunk_bytes}",
                    text.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn a_forwards_search_goes_on_when_the_file_has_grown() {
        let Progress::Searching(scan) = Scan::from_line(3) else {
            panic!("line 3 has to be searched for")
        };
        let Progress::Searching(scan) = scan.feed(b"one\ntw") else {
            panic!("line 3 is not there yet")
        };
        assert_eq!(scan.reach().next_chunk(6, 100), 6..6);
        assert_eq!(scan.reach().next_chunk(12, 100), 6..12);
        assert_eq!(scan.feed(b"o\nthre"), Progress::Found(8));
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let most = i64::MAX as u64;
        assert_eq!(search(Scan::last_lines(most, 4), b"a\nb\n", 2), Some(0));
        assert_eq!(search(Scan::from_line(most), b"a\nb\n", 2), None);
        let Progress::Searching(scan) = Scan::last_lines(1, most) else {
            panic!("a search")
        };
        assert_eq!(scan.reach().next_chunk(most, 128), most - 128..most);
    }
}
