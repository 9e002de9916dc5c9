//! Find the n-th last line that a filter wants, a chunk at a time. Pure.
//!
//! | step         | reads                                        | until                          |
//! |--------------|----------------------------------------------|--------------------------------|
//! | Unterminated | backwards from the end                       | the newline of the last line   |
//! | Lines        | backwards, lines that are whole in the chunk | n are found, or the first line |
//! | Beginning    | backwards in a line longer than a chunk      | the newline before it          |
//! | Judgement    | forwards, what that line is judged by        | its end, or enough of it       |
//!
//! The part of a line that a chunk begins with is left to the next chunk, which ends behind that
//! line.

use super::Filter;
use crate::reach::Reach;

use memchr::{memchr, memchr_iter, memrchr};

/// A search under way. `Copy` and small: it is part of every client. What it needs beside is the
/// client's filter, which has not begun then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWanted {
    step: Step,
    /// Lines still to be found; at least 1.
    lines: u64,
    /// Where the earliest of those that were found begins; while there is none, the end of the last
    /// whole line.
    found: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Everything from `at` on is behind the last newline.
    Unterminated { at: u64 },
    /// Everything from `at` on was searched; a line ends there.
    Lines { at: u64 },
    /// The line that ends at `end` begins before `at`, or there.
    Beginning { at: u64, end: u64 },
    /// The line that begins at `start` is examined up to `at`, and is to be up to `end`.
    Judgement { start: u64, at: u64, end: u64 },
}

/// What a chunk brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Found(u64),
    Searching(LastWanted),
}

impl LastWanted {
    /// Where the last `lines` whole lines that are wanted begin, in a file of `end` bytes. If there
    /// are not so many, it is where the first of them begins, for nothing before it is wanted; if
    /// there are none, where the unterminated line does.
    pub fn search(lines: u64, end: u64) -> Progress {
        if lines == 0 || end == 0 {
            return Progress::Found(end);
        }
        Progress::Searching(LastWanted {
            step: Step::Unterminated { at: end },
            lines,
            found: end,
        })
    }

    /// Where to read next.
    pub fn reach(&self) -> Reach {
        match self.step {
            Step::Judgement { at, .. } => Reach::From(at),
            step => Reach::Before(step.at()),
        }
    }

    /// Towards the end only so much is of use, of what there is in a file that ends at `end`.
    pub fn end_within(&self, end: u64) -> u64 {
        match self.step {
            Step::Judgement { end: judged, .. } => judged.min(end),
            _ => end,
        }
    }

    /// Takes the bytes of the next chunk, not empty. Forwards it may be handed fewer, the first of
    /// them; backwards too, the last of them.
    pub fn feed(self, chunk: &[u8], filter: &mut Filter) -> Progress {
        let progress = match self.step {
            Step::Unterminated { at } => self.feed_unterminated(chunk, at),
            Step::Lines { at } => self.feed_lines(chunk, at, filter),
            Step::Beginning { at, end } => self.feed_beginning(chunk, at, end, filter),
            Step::Judgement { start, at, end } => {
                filter.texts.examine(chunk);
                self.judge(start, at + chunk.len() as u64, end, filter)
            }
        };
        if let Progress::Found(_) = progress {
            filter.restart();
        }
        progress
    }

    fn feed_unterminated(self, chunk: &[u8], at: u64) -> Progress {
        let start = at - chunk.len() as u64;
        match memrchr(b'\n', chunk) {
            Some(newline) => {
                let at = start + newline as u64 + 1;
                self.go_on(Step::Lines { at }, at)
            }
            None if start == 0 => Progress::Found(0),
            None => self.go_on(Step::Unterminated { at: start }, self.found),
        }
    }

    fn feed_lines(self, chunk: &[u8], at: u64, filter: &mut Filter) -> Progress {
        let start = at - chunk.len() as u64;
        // The last byte is the newline of the last line.
        let first_line = match memchr(b'\n', &chunk[..chunk.len() - 1]) {
            _ if start == 0 => 0,
            Some(newline) => newline + 1,
            None => return self.go_on(Step::Beginning { at: start, end: at }, self.found),
        };
        let lines = &chunk[first_line..];
        let at = start + first_line as u64;
        filter.texts.forget();
        let (count, first) = filter.texts.count_wanted(lines);
        if count >= self.lines {
            return Progress::Found(at + Self::nth(count - self.lines, lines, filter) as u64);
        }
        let left = LastWanted {
            lines: self.lines - count,
            ..self
        };
        left.go_back(at, first.map_or(self.found, |first| at + first as u64))
    }

    fn feed_beginning(self, chunk: &[u8], at: u64, end: u64, filter: &mut Filter) -> Progress {
        let start = at - chunk.len() as u64;
        let line = match memrchr(b'\n', chunk) {
            Some(newline) => start + newline as u64 + 1,
            None if start == 0 => 0,
            None => return self.go_on(Step::Beginning { at: start, end }, self.found),
        };
        filter.texts.forget();
        // Neither its newline nor what comes behind enough of it.
        let judged_end = (end - 1).min(line + filter.texts.judged_bytes_max() as u64);
        self.judge(line, line, judged_end, filter)
    }

    fn judge(self, start: u64, at: u64, end: u64, filter: &mut Filter) -> Progress {
        if at < end {
            return self.go_on(Step::Judgement { start, at, end }, self.found);
        }
        match filter.texts.is_examined_wanted() {
            false => self.go_back(start, self.found),
            true if self.lines == 1 => Progress::Found(start),
            true => {
                let lines = self.lines - 1;
                LastWanted { lines, ..self }.go_back(start, start)
            }
        }
    }

    /// Everything from `at` on was searched.
    fn go_back(self, at: u64, found: u64) -> Progress {
        match at {
            0 => Progress::Found(found),
            _ => self.go_on(Step::Lines { at }, found),
        }
    }

    fn go_on(self, step: Step, found: u64) -> Progress {
        Progress::Searching(LastWanted {
            step,
            found,
            ..self
        })
    }

    /// Where wanted line `n` of `lines` begins, counted from 0; there are more than `n`. It is
    /// walked twice rather than remembered.
    fn nth(mut n: u64, lines: &[u8], filter: &mut Filter) -> usize {
        filter.texts.forget();
        let mut from = 0;
        while let Some(run) = filter.texts.next_wanted(lines, from) {
            let count = memchr_iter(b'\n', &lines[run.clone()]).count() as u64;
            if n < count {
                let before = n.checked_sub(1);
                // A usize: it is not above the count of newlines in a slice.
                let newline =
                    before.and_then(|n| memchr_iter(b'\n', &lines[run.clone()]).nth(n as usize));
                return run.start + newline.map_or(0, |newline| newline + 1);
            }
            n -= count;
            from = run.end;
        }
        from
    }
}

impl Step {
    fn at(self) -> u64 {
        match self {
            Step::Unterminated { at }
            | Step::Lines { at }
            | Step::Beginning { at, .. }
            | Step::Judgement { at, .. } => at,
        }
    }
}

#[cfg(test)]
mod tests;
