//! Lines to server-sent events, as a browser's `EventSource` reads them. Pure.
//!
//! | in a file                       | event                                                      |
//! |---------------------------------|------------------------------------------------------------|
//! | a line                          | `id: PLACE`, `data: LINE`; the place is the line's end     |
//! | CR inside it                    | goes on in another `data:`, which is a newline there       |
//! | CR before its newline           | not shown                                                  |
//! | invalid UTF-8                   | U+FFFD                                                     |
//! | more than `LINE_BYTES_MAX`      | so much of it; then `cut`, of the same place               |
//! | the next file                   | `rotated`                                                  |
//! | the end of the stream in a line | `part`, of the place where the line begins; then `end`     |
//!
//! An event counts once its empty line is there: until then a reader keeps it to itself, and its
//! place too. So a line may be sent in pieces, and who is cut off in it resumes where it begins and
//! gets it again, having seen nothing of it. For the same reason a line that is cut shows only when
//! its end is there.

use crate::bookmark::{Bookmark, CHECK_BYTES, check_of};

use memchr::memchr;

use std::ops::Range;
use std::str::from_utf8;

/// How much of a line is shown.
const LINE_BYTES_MAX: usize = 64 << 10;

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// The longest character in UTF-8.
const CHAR_BYTES_MAX: usize = 4;

/// What one client's events have come to.
pub struct Events {
    /// The one that has begun.
    line: Option<Line>,
    line_bytes_max: usize,
}

/// Bytes of a file that are in memory.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    /// The file's number in places.
    pub file: u64,
    /// They include the `CHECK_BYTES` before all that is made into events, if the file has them.
    pub bytes: &'a [u8],
    /// Where in the file they begin.
    pub offset: u64,
}

/// A line of which a part was used.
#[derive(Clone, Copy)]
struct Line {
    /// Where it begins, and the end of what was used; known once it is kept.
    began: Option<Bookmark>,
    reached: Option<Bookmark>,
    sent_bytes: usize,
    /// So many of the bytes that were used last are not sent: the beginning of a character, a CR.
    /// They are looked at again in front of what comes next.
    held_bytes: usize,
    /// Its `id:` was sent; otherwise its end was not known.
    is_named: bool,
    /// It is longer than it may be, the rest is not sent.
    is_cut: bool,
}

/// What comes behind a part of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// More of it, which is not there yet.
    More,
    /// More of it, which is not shown.
    Cut,
    /// Its end.
    End,
}

impl Events {
    pub fn new() -> Events {
        Self::with_limit(LINE_BYTES_MAX)
    }

    fn with_limit(line_bytes_max: usize) -> Events {
        Events {
            line: None,
            line_bytes_max,
        }
    }

    /// Turns `run`, a range of the window, into events in `out`, until that has `out_bytes_max`
    /// bytes (a place and a few bytes more, so that each call gets on). It begins with a line, or
    /// where the last one ended. `is_end` says that the end of the window ends the line. Returns
    /// how many bytes of the run were used; it may end within a line.
    pub fn feed(
        &mut self,
        window: Window,
        run: Range<usize>,
        is_end: bool,
        out: &mut Vec<u8>,
        out_bytes_max: usize,
    ) -> usize {
        if run.is_empty() {
            return 0;
        }
        let (mut at, mut last_line) = (run.start, run.start);
        while at < run.end && out.len() < out_bytes_max {
            last_line = at;
            at = self.feed_line(window, at..run.end, is_end, out, out_bytes_max);
        }
        if let Some(line) = &mut self.line {
            line.began.get_or_insert(window.place(last_line));
            line.reached = Some(window.place(at));
        }
        at - run.start
    }

    /// A sign of life while nothing happens, with the place to resume from: it moves on over lines
    /// that a filter leaves out. `None`: the client is inside a line that it leaves out.
    pub fn pulse(&self, place: Option<Bookmark>, out: &mut Vec<u8>) {
        match (&self.line, place) {
            (None, Some(place)) => {
                push_id(place, out);
                out.push(b'\n');
            }
            // A comment. It fits between two fields only.
            (None, None) => out.extend_from_slice(b":\n"),
            (Some(line), _) if line.is_cut => out.extend_from_slice(b":\n"),
            (Some(_), _) => {}
        }
    }

    /// The next file begins, at `place` if that can be told yet. The end of the one before ended
    /// its last line.
    pub fn rotated(&mut self, place: Option<Bookmark>, out: &mut Vec<u8>) {
        // It had been sent as a long line before that was known.
        if let Some(line) = self.line.take() {
            if let Some(reached) = line.reached {
                line.end(reached, out);
            }
        }
        if let Some(place) = place {
            push_id(place, out);
        }
        out.extend_from_slice(b"event: rotated\ndata: \n\n");
    }

    /// The stream ends: why, in words of one line.
    pub fn end(&mut self, words: &str, out: &mut Vec<u8>) {
        if let Some(line) = self.line.take() {
            if !line.is_cut {
                out.push(b'\n');
            }
            if let Some(began) = line.began {
                push_id(began, out);
            }
            out.extend_from_slice(b"event: part\n\n");
        }
        out.extend_from_slice(b"event: end\ndata: ");
        out.extend_from_slice(words.as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    /// What is left of the line at the beginning of `run`, as far as there is room. Returns where
    /// it goes on.
    fn feed_line(
        &mut self,
        window: Window,
        run: Range<usize>,
        is_end: bool,
        out: &mut Vec<u8>,
        out_bytes_max: usize,
    ) -> usize {
        let (text_end, next, is_whole) = match memchr(b'\n', &window.bytes[run.clone()]) {
            Some(newline) => (run.start + newline, run.start + newline + 1, true),
            None => (run.end, run.end, is_end && run.end == window.bytes.len()),
        };
        let mut line = self.line.take().unwrap_or_else(|| {
            if is_whole {
                push_id(window.place(next), out);
            }
            out.extend_from_slice(b"data: ");
            Line::new(is_whole)
        });
        if !line.is_cut {
            let start = run.start - line.held_bytes;
            let text = &window.bytes[start..text_end];
            let (sent, is_all) = line.send(text, is_whole, self.line_bytes_max, out, out_bytes_max);
            let at = if is_all {
                next
            } else {
                run.start.max(start + sent)
            };
            line.held_bytes = at.saturating_sub(start + sent);
            if !is_all {
                self.line = Some(line);
                return at;
            }
        }
        match is_whole {
            true => line.end(window.place(next), out),
            false => self.line = Some(line),
        }
        next
    }
}

impl Window<'_> {
    /// The place at an offset of the file, if it can be told from here.
    pub fn place_at(&self, offset: u64) -> Option<Bookmark> {
        let at = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let is_enough = at >= CHECK_BYTES || self.offset == 0;
        (is_enough && at <= self.bytes.len()).then(|| self.place(at))
    }

    fn place(&self, at: usize) -> Bookmark {
        Bookmark {
            file: self.file,
            offset: self.offset + at as u64,
            check: check_of(&self.bytes[..at]),
        }
    }
}

impl Line {
    fn new(is_named: bool) -> Line {
        Line {
            began: None,
            reached: None,
            sent_bytes: 0,
            held_bytes: 0,
            is_named,
            is_cut: false,
        }
    }

    /// Sends `text`, the line from its first byte on that was not sent, without its newline.
    /// Returns how many of its bytes that took, and whether it was all that can be sent now: it is
    /// not if `out` is full.
    fn send(
        &mut self,
        text: &[u8],
        is_whole: bool,
        line_bytes_max: usize,
        out: &mut Vec<u8>,
        out_bytes_max: usize,
    ) -> (usize, bool) {
        // At the end of a line it is neither shown nor counted; whether it is there may be open.
        let shown = text.strip_suffix(b"\r").unwrap_or(text);
        let room = line_bytes_max - self.sent_bytes;
        let (part, behind) = match is_whole {
            _ if shown.len() > room => (&text[..room], Behind::Cut),
            true => (shown, Behind::End),
            false => (shown, Behind::More),
        };
        let (sent, is_all) = push_text(part, behind, out, out_bytes_max);
        self.sent_bytes += sent;
        if is_all && behind == Behind::Cut {
            self.is_cut = true;
            out.push(b'\n');
        }
        (sent, is_all)
    }

    /// Its end is at `place`.
    fn end(self, place: Bookmark, out: &mut Vec<u8>) {
        if !self.is_cut {
            out.push(b'\n');
        }
        if !self.is_named {
            push_id(place, out);
        }
        out.push(b'\n');
        if self.is_cut {
            push_id(place, out);
            out.extend_from_slice(b"event: cut\ndata: \n\n");
        }
    }
}

/// Writes `text` as data that go on, until `out` is full. Returns how many of its bytes that took,
/// and whether it was all: that may be less, if what comes behind decides over the rest.
fn push_text(
    text: &[u8],
    behind: Behind,
    out: &mut Vec<u8>,
    out_bytes_max: usize,
) -> (usize, bool) {
    let mut at = 0;
    while at < text.len() {
        if out.len() >= out_bytes_max {
            return (at, false);
        }
        let rest = &text[at..];
        let field_bytes = match memchr(b'\r', rest) {
            Some(0) => {
                out.extend_from_slice(b"\ndata: ");
                at += 1;
                continue;
            }
            Some(cr) => cr,
            None => rest.len(),
        };
        let behind = match field_bytes == rest.len() {
            true => behind,
            false => Behind::End,
        };
        let (sent, is_all) = push_field(&rest[..field_bytes], behind, out, out_bytes_max);
        at += sent;
        if sent < field_bytes {
            return (at, is_all);
        }
    }
    (at, true)
}

/// The same for a text without CR.
fn push_field(
    field: &[u8],
    behind: Behind,
    out: &mut Vec<u8>,
    out_bytes_max: usize,
) -> (usize, bool) {
    let mut at = 0;
    while at < field.len() {
        if out.len() >= out_bytes_max {
            return (at, false);
        }
        let room = CHAR_BYTES_MAX.max(out_bytes_max - out.len());
        let piece = &field[at..field.len().min(at + room)];
        let (valid, invalid) = match from_utf8(piece) {
            Ok(_) => (piece.len(), Some(0)),
            Err(error) => (error.valid_up_to(), error.error_len()),
        };
        out.extend_from_slice(&piece[..valid]);
        at += valid;
        match invalid {
            Some(0) => {}
            Some(invalid) => {
                out.extend_from_slice(REPLACEMENT);
                at += invalid;
            }
            // The piece ends within a character, which the field has whole.
            None if valid + field[at..].len() > piece.len() => {}
            None => match behind {
                Behind::More => return (at, true),
                Behind::Cut => at = field.len(),
                Behind::End => {
                    out.extend_from_slice(REPLACEMENT);
                    at = field.len();
                }
            },
        }
    }
    (at, true)
}

fn push_id(place: Bookmark, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    place.push_to(out);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
