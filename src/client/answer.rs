//! How a client with a reply is served: what is in its outbox; then bytes by sendfile, or what is
//! made of bytes that are read.

use super::{Client, Phase};
use crate::bookmark::{Bookmark, check_of};
use crate::cursor::Cursor;
use crate::events::Window;
use crate::outbox::Flushed;
use crate::outcome::{Closed, Cut, Served};
use crate::reach::Reach;
use crate::reply::{Reply, Taken};
use crate::request::Form;
use crate::share::{Heat, Read, Share};
use crate::tail::Tail;

use std::io;
use std::ops::Range;

impl Client {
    /// Makes and sends as long as there is room.
    pub(super) fn answer(&mut self, tail: &Tail, share: &mut Share) -> Served {
        // Out of the way while it and its client work on each other.
        let Some(mut reply) = self.reply.take() else {
            return Served::Complete;
        };
        let served = match self.flush_outbox(&mut reply) {
            Some(served) => served,
            None => match self.answer_with(&mut reply, tail, share) {
                served @ (Served::Cut(_) | Served::Closed(_) | Served::Blocked) => served,
                served => self.flush_outbox(&mut reply).unwrap_or(served),
            },
        };
        self.reply = Some(reply);
        served
    }

    fn answer_with(&mut self, reply: &mut Reply, tail: &Tail, share: &mut Share) -> Served {
        let mut budget_bytes = share.bytes;
        loop {
            if reply.is_complete(self.cursor.offset) {
                return Served::Complete;
            }
            let before = self.cursor.segment;
            let next = self.next_range(tail, share, budget_bytes);
            if self.cursor.segment != before {
                reply.note_rotated(beginning(tail, self.cursor));
            }
            let range = match next {
                Ok(range) => range.start..reply.end_within(range.end),
                Err(served) => {
                    if let Served::Waiting = served {
                        reply.rest();
                    }
                    return served;
                }
            };
            let done = match reply.is_copied(range.end - range.start) {
                true => self.copy(reply, range, tail, share),
                false => self.send_framed(reply, range, budget_bytes, tail, share),
            };
            match done {
                Ok(bytes) => budget_bytes = budget_bytes.saturating_sub(bytes),
                Err(served) => return served,
            }
        }
    }

    /// Sends some of a range by sendfile; so much of the budget is used then.
    fn send_framed(
        &mut self,
        reply: &mut Reply,
        range: Range<u64>,
        budget_bytes: usize,
        tail: &Tail,
        share: &mut Share,
    ) -> Result<usize, Served> {
        let segment = tail.segment(self.cursor.segment);
        let left = reply.chunk_left().unwrap_or(u64::MAX);
        let wanted = budget_bytes.min((range.end - range.start).min(left) as usize);
        let is_all = range.start + wanted as u64 == range.end;
        let count = self.count_at_hand(segment, wanted, is_all, share)?;
        reply.open_chunk(count);
        if let Some(served) = self.flush_outbox(reply) {
            return Err(served);
        }
        let served = self.send(segment, count, share);
        reply.note_sent(self.cursor.offset - range.start);
        match served {
            Some(served) => Err(served),
            // What is next where it is not all, another serve finds out.
            None if is_all && count == wanted => Ok(count),
            None => Ok(budget_bytes),
        }
    }

    /// Reads some of a range, and sends what is made of that; so much of the budget is used then.
    fn copy(
        &mut self,
        reply: &mut Reply,
        range: Range<u64>,
        tail: &Tail,
        share: &mut Share,
    ) -> Result<usize, Served> {
        let Cursor { segment, offset } = self.cursor;
        let is_last = tail.span(segment).next.is_some() || reply.ends_at(range.end);
        let from = reply.read_from(offset);
        let lookback_bytes = match from < range.end {
            true => from.min(reply.lookback_bytes()),
            false => 0,
        };
        let begin = from - lookback_bytes;
        let share_bytes = share.bytes;
        let bytes = match from < range.end {
            true => self.read(begin..range.end, lookback_bytes as usize, tail, share)?,
            false => &[],
        };
        let end = begin + bytes.len() as u64;
        let is_all = end >= range.end;
        let window = Window {
            bytes,
            offset: begin,
            file: tail.file_number(segment).unwrap_or_default(),
        };
        loop {
            let taken = reply.take(window, is_last && is_all, &mut self.cursor.offset);
            self.has_data |= !reply.outbox.is_empty();
            match taken {
                Taken::Full => {
                    if let Some(served) = self.flush_outbox(reply) {
                        return Err(served);
                    }
                    // Many times what was read may be made of it.
                    if reply.outbox.sent_bytes() >= share_bytes as u64 {
                        return Ok(share_bytes);
                    }
                }
                Taken::More if is_all && !is_last => {
                    self.heat = Heat::Live;
                    reply.rest();
                    return Err(Served::Waiting);
                }
                Taken::Again | Taken::More => return Ok(bytes.len()),
            }
        }
    }

    /// Some of a range of its segment, more than the `known_bytes` that it begins with.
    pub(super) fn read<'a>(
        &mut self,
        range: Range<u64>,
        known_bytes: usize,
        tail: &Tail,
        share: &'a mut Share,
    ) -> Result<&'a [u8], Served> {
        let segment = tail.segment(self.cursor.segment);
        match share.read(segment, Reach::From(range.start), range.end, known_bytes) {
            Ok(Read::Bytes(bytes)) => {
                self.was_short = false;
                Ok(bytes)
            }
            Ok(Read::Short) => Err(self.fall_short()),
            Ok(Read::Cold) => Err(Served::Cold),
            Err(error) => Err(Served::Cut(Cut::Unreadable(error))),
        }
    }

    /// Is sent a text from memory, of so many bytes.
    pub fn begin_text(&mut self, form: Form, media_type: &'static str, length: usize) {
        self.form = form;
        self.reply = Some(Reply::to_text(form, media_type, length));
        self.phase = Phase::Text { sent_bytes: 0 };
    }

    /// The same for one that is sent `text`, of which it gets up to `bytes_max` bytes.
    pub fn serve_text(&mut self, text: &[u8], bytes_max: usize) -> Served {
        if let Some(served) = self.flush() {
            return served;
        }
        let Phase::Text { sent_bytes } = &mut self.phase else {
            return Served::Complete;
        };
        let rest = &text[*sent_bytes..];
        if rest.is_empty() || self.reply.as_ref().is_some_and(|reply| reply.is_head()) {
            return Served::Complete;
        }
        match self.socket.write(&rest[..rest.len().min(bytes_max)]) {
            Ok(sent) => {
                (*sent_bytes, self.has_data) = (*sent_bytes + sent, true);
                Served::More
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Served::More,
            Err(error) => self.not_sent(error),
        }
    }

    pub(super) fn flush(&mut self) -> Option<Served> {
        let mut reply = self.reply.take()?;
        let served = self.flush_outbox(&mut reply);
        self.reply = Some(reply);
        served
    }

    /// `None`: the outbox is empty.
    fn flush_outbox(&mut self, reply: &mut Reply) -> Option<Served> {
        match reply.outbox.flush(&mut self.socket) {
            Flushed::All => None,
            Flushed::Blocked => Some(self.not_sent(io::ErrorKind::WouldBlock.into())),
            Flushed::Error(error) => Some(Served::Closed(Closed::Error(error))),
        }
    }
}

/// The place at the beginning of a file, if there is one already.
fn beginning(tail: &Tail, cursor: Cursor) -> Option<Bookmark> {
    let file = tail.file_number(cursor.segment)?;
    (cursor.offset == 0).then(|| Bookmark {
        file,
        offset: 0,
        check: check_of(&[]),
    })
}
