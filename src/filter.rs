//! Which lines of a file a client wants: pieces of the file in, what to pass over and what to take
//! out. Pure.
//!
//! | what comes at the cursor             | is                                                    |
//! |--------------------------------------|-------------------------------------------------------|
//! | whole lines                          | searched at once; neighbours are one run              |
//! | the beginning of a line              | examined piece by piece until its newline is there,   |
//! |                                      | then read again if it is wanted                       |
//! | the same, in a file that is finished | a line                                                |
//! | more than `LINE_JUDGED_BYTES_MAX`    | judged by that much, then taken or passed over as it  |
//! | of a line                            | comes, up to its newline                              |
//!
//! A line is wanted that contains all texts of `grep=` and none of `skip=`. Its newline is no part
//! of what is searched: a text with a newline in it is in no line.

pub mod last;
mod texts;

use texts::Texts;

use crate::request::Condition;

use memchr::{memchr, memrchr};

/// How much of a line is looked at: what comes behind it changes nothing.
const LINE_JUDGED_BYTES_MAX: usize = 1 << 20;

/// Others wait while it is searched: 25 to 150 us where lines have a hundred bytes, 4 ms where each
/// has one.
const SHARE_BYTES_MAX: usize = 256 << 10;

/// So many texts are searched for in a whole share. Measured: a text costs 0.1 to 0.5 ns a byte.
const TEXTS_A_SHARE: usize = 4;

/// However many texts there are, it gets on.
const READ_BYTES_MIN: usize = 4096;

/// The filter of one client, and what it knows of the line at the client's cursor. The cursor is
/// the first byte that was neither passed over nor taken. File data is not kept, but for the end
/// of a piece, shorter than the longest text.
pub struct Filter {
    texts: Texts,
    line: Line,
    /// From the cursor on so many bytes are wanted: they were judged before, and not taken.
    owed_bytes: usize,
}

#[derive(Clone, Copy)]
enum Line {
    /// One begins at the cursor, or behind what is owed.
    New,
    /// One begins at the cursor, and has not ended within so many bytes.
    Begun { examined_bytes: usize },
    /// The cursor is in a line that is judged, or at its beginning, and its end was not seen.
    Long { is_wanted: bool },
}

/// What is to be done at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sifted {
    /// So many bytes are passed over, then so many are taken: whole lines, or a piece of one that
    /// is longer than what was read. Not both are 0.
    Run { pass: usize, take: usize },
    /// The line at the cursor is wanted: it is to be read again.
    Again,
    /// More has to be known: `read_from` says where it is read, once it is there.
    More,
}

impl Filter {
    /// Without conditions every line is wanted.
    pub fn new(conditions: &[Condition]) -> Filter {
        Self::with_limit(conditions, LINE_JUDGED_BYTES_MAX)
    }

    fn with_limit(conditions: &[Condition], judged_bytes_max: usize) -> Filter {
        let texts = |wanted| {
            let those = conditions.iter().filter(move |one| one.wanted == wanted);
            those.map(|one| one.text.as_slice())
        };
        Filter {
            texts: Texts::new(texts(true), texts(false), judged_bytes_max),
            line: Line::New,
            owed_bytes: 0,
        }
    }

    /// Where the next bytes are to be read if the cursor is at `offset`: there, or further on in
    /// the line that begins there. What was examined is not read again: however few bytes come at
    /// a time, it goes on.
    pub fn read_from(&self, offset: u64) -> u64 {
        match self.line {
            Line::Begun { examined_bytes } => offset + examined_bytes as u64,
            Line::New | Line::Long { .. } => offset,
        }
    }

    /// Of a share of so many bytes, what may be searched: each text is searched for by itself.
    pub fn read_bytes_max(&self, share_bytes: usize) -> usize {
        let texts = self.texts.count().max(TEXTS_A_SHARE);
        let share_bytes = share_bytes.min(SHARE_BYTES_MAX);
        share_bytes.min(READ_BYTES_MIN.max(share_bytes / texts * TEXTS_A_SHARE))
    }

    /// Takes the bytes from `read_from(cursor)` on; none only if `is_end`. That says that the end
    /// of `bytes` ends the line: the file is finished there, or the client's part of it.
    pub fn sift(&mut self, bytes: &[u8], is_end: bool) -> Sifted {
        if self.owed_bytes > 0 {
            let take = self.owed_bytes.min(bytes.len());
            self.owed_bytes -= take;
            return Sifted::Run { pass: 0, take };
        }
        match self.line {
            Line::New => self.sift_lines(bytes, is_end),
            Line::Begun { examined_bytes } => self.judge(examined_bytes, bytes, is_end),
            Line::Long { is_wanted } => self.go_on(is_wanted, bytes, is_end),
        }
    }

    /// The last so many bytes of the last run were not taken: they come first when it goes on.
    pub fn give_back(&mut self, bytes: usize) {
        self.owed_bytes += bytes;
    }

    /// The cursor is where another line begins, in another file or elsewhere in this one.
    pub fn restart(&mut self) {
        self.texts.forget();
        self.line = Line::New;
        self.owed_bytes = 0;
    }

    /// The cursor may be inside a line: a client that began there would take the rest for one. Of
    /// what was given back nothing is known here.
    pub fn is_in_line(&self) -> bool {
        matches!(self.line, Line::Long { .. })
    }

    fn sift_lines(&mut self, bytes: &[u8], is_end: bool) -> Sifted {
        let lines = match memrchr(b'\n', bytes) {
            _ if is_end => bytes,
            Some(newline) => &bytes[..=newline],
            None => &[],
        };
        if lines.is_empty() {
            self.texts.forget();
            return self.judge(0, bytes, is_end);
        }
        let run = match self.texts.next_wanted(lines, 0) {
            Some(run) => run.start..self.end_of_run(lines, run.end),
            None => lines.len()..lines.len(),
        };
        self.texts.advance(run.end);
        Sifted::Run {
            pass: run.start,
            take: run.len(),
        }
    }

    fn end_of_run(&mut self, lines: &[u8], mut end: usize) -> usize {
        while let Some(next) = self.texts.next_wanted(lines, end) {
            if next.start > end {
                break;
            }
            end = next.end;
        }
        end
    }

    /// The line at the cursor, of which so much was examined before.
    fn judge(&mut self, examined_bytes: usize, bytes: &[u8], is_end: bool) -> Sifted {
        let newline = memchr(b'\n', bytes);
        let text = &bytes[..newline.unwrap_or(bytes.len())];
        let room = self.texts.judged_bytes_max() - examined_bytes;
        let piece = &text[..text.len().min(room)];
        self.texts.examine(piece);
        let is_wanted = self.texts.is_examined_wanted();
        let (line, known_bytes) = match newline {
            Some(newline) => (Line::New, examined_bytes + newline + 1),
            None if is_end => (Line::New, examined_bytes + bytes.len()),
            None => {
                let examined_bytes = examined_bytes + piece.len();
                match piece.len() == room {
                    true => (Line::Long { is_wanted }, examined_bytes),
                    false => (Line::Begun { examined_bytes }, 0),
                }
            }
        };
        self.line = line;
        if known_bytes == 0 {
            return Sifted::More;
        }
        self.texts.forget();
        if !is_wanted {
            return Sifted::Run {
                pass: known_bytes,
                take: 0,
            };
        }
        if let Line::New = line {
            self.owed_bytes = known_bytes;
        }
        Sifted::Again
    }

    /// In a line that is judged, as far as it goes.
    fn go_on(&mut self, is_wanted: bool, bytes: &[u8], is_end: bool) -> Sifted {
        let newline = memchr(b'\n', bytes);
        if newline.is_some() || is_end {
            self.line = Line::New;
        }
        let count = newline.map_or(bytes.len(), |newline| newline + 1);
        match is_wanted {
            _ if count == 0 => Sifted::More,
            true => Sifted::Run {
                pass: 0,
                take: count,
            },
            false => Sifted::Run {
                pass: count,
                take: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests;
