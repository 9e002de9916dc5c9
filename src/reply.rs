//! What is sent around the bytes of a file, or in their place, to a client that wants more than a
//! raw stream.
//!
//! | asked for            | before | the bytes                               | behind                |
//! |----------------------|--------|-----------------------------------------|-----------------------|
//! | raw, `once`          |        | by sendfile                             |                       |
//! | raw, conditions      |        | wanted lines, copied                    |                       |
//! | HTTP, to a known end | a head | by sendfile                             |                       |
//! | HTTP, conditions     | a head | wanted lines, copied, in chunks         | the last chunk        |
//! | HTTP, followed       | a head | in chunks by sendfile; a few are copied | the last chunk, why   |
//! | HTTP, events         | a head | wanted lines, copied, as events         | an event, why         |
//!
//! What is made here goes into the outbox, and from there to the client before anything else; when
//! that is empty, more is made.

use crate::bookmark::{Bookmark, CHECK_BYTES};
use crate::events::{Events, Window};
use crate::filter::{Filter, Sifted};
use crate::http::{self, ContentRange, Head};
use crate::outbox::Outbox;
use crate::refusal::{Ending, Refusal};
use crate::request::{Body, Form, Start, Version, Wanted};

use std::mem;
use std::ops::Range;
use std::time::SystemTime;

/// The reply to one request.
#[derive(Default)]
pub struct Reply {
    pub outbox: Outbox,
    form: Form,
    /// It ends where the file ends when the reply begins, and before this byte.
    once: bool,
    asked_until: Option<u64>,
    /// The length of the file when the reply begins, and the offset that the two come to.
    length: u64,
    until: Option<u64>,
    /// `None`: all bytes, whether they are lines or not.
    pub filter: Option<Filter>,
    events: Option<Events>,
    /// What has to lie before the start.
    expected: Option<Bookmark>,
    has_head: bool,
    is_chunked: bool,
    /// What sendfile owes to a chunk whose size has been said.
    chunk_left: u64,
    /// Where a stream of events is.
    place: Option<Bookmark>,
    is_pulse_due: bool,
}

/// What has become of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The outbox is full enough.
    Full,
    /// To be read anew from `read_from` on.
    Again,
    /// There has to be more of the file first.
    More,
}

/// What is made at a time.
const OUTBOX_BYTES: usize = 64 << 10;

/// Up to so many bytes are cheaper to copy, in one packet with what is around them, than to send by
/// sendfile between two writes: two system calls a chunk instead of three, one packet instead of
/// two.
const COPIED_BYTES_MAX: u64 = 16 << 10;

impl Reply {
    /// `None`: nothing is sent but the file's bytes.
    pub fn to_file(wanted: &Wanted, form: Form) -> Option<Box<Reply>> {
        let is_plain = form == Form::Raw && !wanted.once && wanted.conditions.is_empty();
        let is_events = matches!(form, Form::Http(http) if http.body == Body::Events);
        let has_filter = is_events || !wanted.conditions.is_empty();
        (!is_plain).then(|| {
            Box::new(Reply {
                form,
                once: wanted.once,
                asked_until: wanted.until,
                filter: has_filter.then(|| Filter::new(&wanted.conditions)),
                events: is_events.then(Events::new),
                expected: match wanted.start {
                    Start::Bookmark(bookmark) => Some(bookmark),
                    _ => None,
                },
                ..Reply::default()
            })
        })
    }

    /// A reply that is nothing but its end.
    pub fn to_nothing(form: Form) -> Box<Reply> {
        Box::new(Reply {
            form,
            ..Reply::default()
        })
    }

    /// The reply that is a text of so many bytes, which is not seen to here.
    pub fn to_text(form: Form, media_type: &'static str, length: usize) -> Box<Reply> {
        let mut reply = Box::new(Reply {
            form,
            has_head: true,
            ..Reply::default()
        });
        if let Form::Http(_) = form {
            let head = Head {
                media_type,
                length: Some(length as u64),
                ..Head::default()
            };
            head.write(SystemTime::now(), reply.outbox.end());
        }
        reply
    }

    /// It goes on as the file does.
    pub fn follows(&self) -> bool {
        !self.once
    }

    /// The head alone was asked for.
    pub fn is_head(&self) -> bool {
        matches!(self.form, Form::Http(http) if http.is_head)
    }

    /// The head is yet to be said.
    pub fn is_unopened(&self) -> bool {
        !self.has_head && self.form != Form::Raw
    }

    /// A stream that is to say now and then that it is there.
    pub fn has_pulse(&self) -> bool {
        self.events.is_some() && !self.is_head()
    }

    /// It is time to say so.
    pub fn note_pulse(&mut self) {
        self.is_pulse_due = true;
    }

    /// In a file that ends at `end` now.
    pub fn begin(&mut self, end: u64) {
        if let Some(filter) = &mut self.filter {
            filter.restart();
        }
        self.length = end;
        let end = self.once.then_some(end);
        self.until = end.into_iter().chain(self.asked_until).min();
    }

    /// The end of what is sent of a file that ends at `end`.
    pub fn end_within(&self, end: u64) -> u64 {
        self.until.map_or(end, |until| until.min(end))
    }

    /// Nothing is sent from `end` on.
    pub fn ends_at(&self, end: u64) -> bool {
        self.until == Some(end)
    }

    /// There is nothing to send from `offset` on, and nothing to wait for.
    pub fn is_complete(&self, offset: u64) -> bool {
        let is_at_end = self.until.is_some_and(|until| offset >= until);
        !self.is_unopened() && (is_at_end || self.is_head())
    }

    /// Says the head, of what begins at `offset`; or why there is none. `place` is that of its
    /// first byte, if there is one.
    pub fn open(&mut self, offset: u64, place: Option<Bookmark>) -> Result<(), Refusal> {
        let Form::Http(http) = self.form else {
            return Ok(());
        };
        let length = self.length;
        if self
            .expected
            .is_some_and(|expected| place != Some(expected))
        {
            return Err(Refusal::PlaceIsGone);
        }
        if http.is_range && offset >= length {
            return Err(Refusal::NotSatisfiable { length });
        }
        let is_bytes = http.body == Body::Bytes;
        let until = self.until.filter(|_| is_bytes && self.filter.is_none());
        self.is_chunked = is_bytes && until.is_none() && http.version == Version::V11;
        let head = Head {
            media_type: if is_bytes { http::TEXT } else { http::EVENTS },
            length: until.map(|until| until.saturating_sub(offset)),
            range: until.filter(|_| http.is_range).map(|until| ContentRange {
                first: offset,
                last: until - 1,
                length,
            }),
            place,
            is_stream: self.follows(),
            is_chunked: self.is_chunked,
        };
        head.write(SystemTime::now(), self.outbox.end());
        self.has_head = true;
        self.place = place;
        Ok(())
    }

    /// So many bytes from the cursor on are to be read and handed to `take`, instead of being sent.
    pub fn is_copied(&self, bytes: u64) -> bool {
        let is_small = bytes <= COPIED_BYTES_MAX && self.chunk_left == 0;
        self.filter.is_some() || (self.is_chunked && is_small)
    }

    /// Where to read for a cursor at `offset`, and from where on, with what lies before it, that a
    /// window has to begin.
    pub fn read_from(&self, offset: u64) -> u64 {
        match &self.filter {
            Some(filter) => filter.read_from(offset),
            None => offset,
        }
    }

    /// What is a share of so many bytes for one that is more work.
    pub fn share_bytes(&self, bytes: usize) -> usize {
        match &self.filter {
            Some(filter) => filter.read_bytes_max(bytes),
            None => bytes,
        }
    }

    /// How many bytes before that are needed, too, if there are so many.
    pub fn lookback_bytes(&self) -> u64 {
        if self.events.is_some() {
            CHECK_BYTES as u64
        } else {
            0
        }
    }

    /// Makes what is to be sent of a window; `is_end`: no more belongs to it, the line ends where
    /// it does. `cursor` goes on over what is not wanted and over what is in the outbox then.
    pub fn take(&mut self, window: Window, is_end: bool, cursor: &mut u64) -> Taken {
        let chunk = self.is_chunked.then(|| Chunk::open(self.outbox.end()));
        let taken = self.take_lines(window, is_end, cursor);
        if let Some(chunk) = chunk {
            chunk.close(self.outbox.end());
        }
        if self.events.is_some() {
            self.place = window.place_at(*cursor).or(self.place);
        }
        taken
    }

    fn take_lines(&mut self, window: Window, is_end: bool, cursor: &mut u64) -> Taken {
        while self.outbox.len() < OUTBOX_BYTES {
            let from = (self.read_from(*cursor) - window.offset) as usize;
            let bytes = window.bytes.get(from..).unwrap_or_default();
            if bytes.is_empty() && !is_end {
                return Taken::More;
            }
            let (pass, take) = match &mut self.filter {
                None if bytes.is_empty() => return Taken::More,
                None => (0, bytes.len()),
                Some(filter) => match filter.sift(bytes, is_end) {
                    Sifted::Run { pass, take } => (pass, take),
                    Sifted::Again => return Taken::Again,
                    Sifted::More => return Taken::More,
                },
            };
            *cursor += pass as u64;
            let at = (*cursor - window.offset) as usize;
            let used = self.make(window, at..at + take, is_end);
            *cursor += used as u64;
            if let (Some(filter), true) = (&mut self.filter, used < take) {
                filter.give_back(take - used);
            }
        }
        Taken::Full
    }

    /// Puts a part of a run into the outbox, in the form that was asked for. How much of it.
    fn make(&mut self, window: Window, run: Range<usize>, is_end: bool) -> usize {
        let out = self.outbox.end();
        match &mut self.events {
            Some(events) => events.feed(window, run, is_end, out, OUTBOX_BYTES),
            None => {
                let count = run.len().min(OUTBOX_BYTES.saturating_sub(out.len()));
                out.extend_from_slice(&window.bytes[run.start..run.start + count]);
                count
            }
        }
    }

    /// Says how many bytes come by sendfile.
    pub fn open_chunk(&mut self, bytes: usize) {
        if self.is_chunked && self.chunk_left == 0 {
            self.chunk_left = bytes as u64;
            http::size_line(self.chunk_left, self.outbox.end());
        }
    }

    /// How many of them are still to come; `None`: that was not said.
    pub fn chunk_left(&self) -> Option<u64> {
        (self.chunk_left > 0).then_some(self.chunk_left)
    }

    /// So many bytes were sent by sendfile.
    pub fn note_sent(&mut self, bytes: u64) {
        if self.is_chunked {
            self.chunk_left -= bytes;
            if self.chunk_left == 0 {
                self.outbox.end().extend_from_slice(http::CHUNK_END);
            }
        }
    }

    /// The stream goes on in the next file, at `place` if that is known.
    pub fn note_rotated(&mut self, place: Option<Bookmark>) {
        if let Some(filter) = &mut self.filter {
            filter.restart();
        }
        if let Some(events) = &mut self.events {
            self.place = place.or(self.place);
            events.rotated(place, self.outbox.end());
        }
    }

    /// Says what is due while there is nothing to send.
    pub fn rest(&mut self) {
        if let (Some(events), true) = (&self.events, mem::take(&mut self.is_pulse_due)) {
            let is_in_line = self.filter.as_ref().is_some_and(Filter::is_in_line);
            events.pulse(self.place.filter(|_| !is_in_line), self.outbox.end());
        }
    }

    /// Says how it ends, as far as that can be said.
    pub fn end(&mut self, ending: Ending, has_data: bool) {
        let Form::Http(http) = self.form else {
            if let (Some(refusal), false) = (ending.refusal(), has_data) {
                self.outbox
                    .end()
                    .extend_from_slice(format!("error: {refusal}\n").as_bytes());
            }
            return;
        };
        match (self.has_head, ending) {
            (true, _) if self.is_head() => {}
            (true, ending) if self.events.is_some() => self.end_events(ending),
            (false, _) => {
                let refusal = ending.refusal().unwrap_or(Refusal::ShuttingDown);
                http::refuse(refusal, http.is_head, SystemTime::now(), self.outbox.end());
            }
            // What is missing of a chunk cannot be had any more.
            (true, _) if !self.is_chunked || self.chunk_left > 0 => {}
            (true, Ending::Complete) => self.outbox.end().extend_from_slice(http::LAST_CHUNK),
            (true, ending) => http::last_chunk_with(&ending.to_string(), self.outbox.end()),
        }
    }

    fn end_events(&mut self, ending: Ending) {
        if let Some(events) = &mut self.events {
            events.end(&ending.to_string(), self.outbox.end());
        }
    }
}

/// A chunk that is being filled, of a size that is said when it is known.
struct Chunk {
    /// Where it begins.
    at: usize,
}

impl Chunk {
    /// Leading zeros do no harm (RFC 9112, 7.1).
    const SIZE_LINE: &[u8] = b"000000\r\n";

    fn open(out: &mut Vec<u8>) -> Chunk {
        let at = out.len();
        out.extend_from_slice(Chunk::SIZE_LINE);
        Chunk { at }
    }

    fn close(self, out: &mut Vec<u8>) {
        let content = self.at + Chunk::SIZE_LINE.len();
        match out.len() - content {
            0 => out.truncate(self.at),
            bytes => {
                let size_line = format!("{bytes:06x}\r\n");
                out[self.at..content].copy_from_slice(size_line.as_bytes());
                out.extend_from_slice(http::CHUNK_END);
            }
        }
    }
}
