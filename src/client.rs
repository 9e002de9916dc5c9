//! One connection's life: Header -> Seek -> Stream -> Drain.
//!
//! | phase  | it reads                 | it sends                       | it ends with             |
//! |--------|--------------------------|--------------------------------|--------------------------|
//! | Header | the request              | nothing                        | a request, or a refusal  |
//! | Seek   | and throws away          | nothing, it looks for a line   | the offset of that line  |
//! | Mark   | and throws away          | nothing, it looks at the bytes | the head of its reply    |
//! |        |                          | before its start               |                          |
//! | Stream | and throws away          | the file's bytes, by sendfile  | FIN, if it cannot go on  |
//! | Text   | and throws away          | a text from memory             | FIN                      |
//! | Drain  | and throws away to 1 MiB | the rest of its outbox, FIN    | client's FIN, or time    |
//!
//! A client's FIN means only that it sends nothing more: most `nc`s close their sending half at
//! once. Whoever wants more than a raw stream has a `Reply`: see `answer`.

mod answer;

mod end;

mod seek;

use seek::Seek;

use crate::cursor::{Bytes, Cursor, SegmentId, Span, Step};
use crate::door::Door;
use crate::outcome::{Closed, Cut, Received, Served};
use crate::reach::Reach;
use crate::reply::Reply;
use crate::request::{Form, Parsed, REQUEST_BYTES_MAX, Request, Wanted};
use crate::segment::Segment;
use crate::share::{Heat, Share};
use crate::socket::Socket;
use crate::tail::Tail;

use mio::{Registry, Token};

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::Duration;

/// A connection. It has no buffer but for the pieces of a header that came in several segments.
pub struct Client {
    socket: Socket,
    phase: Phase,
    /// Where it is once it has a tail, and the segment that it began in.
    cursor: Cursor,
    began: SegmentId,
    /// The client sent FIN: nothing is unread, the socket may be closed at once without a RST.
    has_ended: bool,
    /// At least one byte of the file was sent: from then on no `error:` line is.
    has_data: bool,
    /// The last try to read or send came to nothing, as if the file ended there.
    was_short: bool,
    heat: Heat,
    form: Form,
    /// `None`: nothing is sent but the file's bytes.
    reply: Option<Box<Reply>>,
}

enum Phase {
    Header(Vec<u8>),
    Seek(Box<Seek>),
    Mark,
    Stream,
    Text { sent_bytes: usize },
    Drain { discarded_bytes: u32, is_shut: bool },
}

/// What one turn takes from a client that sends without end.
const RECEIVE_BYTES_MAX: usize = 16 << 10;

/// How much input a client may have sent before it sees our FIN. More, and it is closed although
/// that sends RST.
const DRAIN_BYTES_MAX: u32 = 1 << 20;

impl Client {
    /// A connection that was just accepted.
    pub fn new(socket: Socket) -> Client {
        let cursor = Cursor {
            segment: 0,
            offset: 0,
        };
        Client {
            socket,
            phase: Phase::Header(vec![]),
            cursor,
            began: 0,
            has_ended: false,
            has_data: false,
            was_short: false,
            heat: Heat::Unknown,
            form: Form::Raw,
            reply: None,
        }
    }

    /// Asks for edges of both directions.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token)
    }

    /// Has the peer probed after so many whole seconds of silence.
    pub fn set_keepalive_idle(&self, idle: Duration) -> io::Result<()> {
        self.socket.set_keepalive_idle(idle)
    }

    /// Where it is in its tail; the offset is 0 while it seeks.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The segment that it began in.
    pub fn began(&self) -> SegmentId {
        self.began
    }

    /// It has not asked for anything yet.
    pub fn is_in_header(&self) -> bool {
        matches!(self.phase, Phase::Header(_))
    }

    /// It looks for the place to begin at.
    pub fn is_seeking(&self) -> bool {
        matches!(self.phase, Phase::Seek(_) | Phase::Mark)
    }

    /// How it wants its reply.
    pub fn form(&self) -> Form {
        self.form
    }

    /// It is to be served now and then although there is nothing new.
    pub fn has_pulse(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.has_pulse())
    }

    /// It is time for that.
    pub fn note_pulse(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.note_pulse();
        }
    }

    /// It had everything until new data woke it.
    pub fn is_live(&self) -> bool {
        self.heat == Heat::Live
    }

    /// Nothing more is sent to it.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Drain { .. })
    }

    /// Reads once. `scratch` holds at least `REQUEST_BYTES_MAX` bytes and is not kept.
    pub fn receive(&mut self, scratch: &mut [u8], door: &Door) -> Received {
        let room = scratch.len().min(RECEIVE_BYTES_MAX);
        match self.socket.read(&mut scratch[..room]) {
            Ok(0) => self.receive_end(door),
            Ok(n) => self.receive_bytes(&scratch[..n], door),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Drained,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::More,
            Err(error) => Received::Closed(Closed::Error(error)),
        }
    }

    /// Begins with what it asked for in `segment`. Its reply is what `wanted` makes it.
    pub fn begin(&mut self, wanted: &Wanted, form: Form, segment: SegmentId, tail: &Tail) {
        self.form = form;
        self.reply = Reply::to_file(wanted, form);
        self.began = segment;
        self.begin_in(wanted.start, segment, tail);
    }

    /// The form in which it is to be refused.
    pub fn note_form(&mut self, form: Form) {
        self.form = form;
    }

    /// Does a share of what there is to do: searches or sends. Its segment was looked at
    /// before; it may be in a later one then.
    pub fn serve(&mut self, tail: &Tail, share: &mut Share) -> Served {
        match (&self.phase, &self.reply) {
            (Phase::Stream, None) => self.stream(tail, share),
            _ => self.serve_more(tail, share),
        }
    }

    /// One that has yet to begin, or that has a reply.
    #[inline(never)]
    fn serve_more(&mut self, tail: &Tail, share: &mut Share) -> Served {
        if let Some(reply) = &self.reply {
            share.bytes = reply.share_bytes(share.bytes);
        }
        let served = match &self.phase {
            Phase::Seek(seek) => self.seek(**seek, tail, share),
            Phase::Mark => self.mark(tail, share),
            _ => self.answer(tail, share),
        };
        if let Some(reply) = &mut self.reply {
            share.sent_bytes += reply.outbox.take_sent_bytes();
        }
        served
    }

    /// The next so many bytes of its segment that it will want.
    pub fn ahead(&self, bytes: u64) -> Range<u64> {
        match &self.phase {
            Phase::Seek(seek) => seek.ahead(bytes),
            Phase::Mark => Reach::Before(self.cursor.offset).ahead(bytes),
            _ => {
                let offset = self.cursor.offset;
                let reply = self.reply.as_ref();
                let from = reply.map_or(offset, |reply| reply.read_from(offset));
                Reach::From(from).ahead(bytes)
            }
        }
    }

    /// It has closed its sending half.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn receive_end(&mut self, door: &Door) -> Received {
        self.has_ended = true;
        match &self.phase {
            Phase::Header(header) => match Request::parse(header, true, door) {
                Parsed::Request(request) => Received::Request(request),
                Parsed::Refused(refusal) => Received::Refused(refusal),
                Parsed::Silence | Parsed::NotYet => Received::Closed(Closed::Silence),
            },
            Phase::Drain { is_shut: true, .. } => Received::Closed(Closed::Drained),
            _ => Received::Drained,
        }
    }

    fn receive_bytes(&mut self, bytes: &[u8], door: &Door) -> Received {
        match &mut self.phase {
            Phase::Header(header) => {
                // Nearly every header comes in one piece, and is not copied.
                let whole = if header.is_empty() {
                    bytes
                } else {
                    Self::joined(header, bytes)
                };
                self.form = Form::of(whole, door);
                match Request::parse(whole, false, door) {
                    Parsed::Request(request) => Received::Request(request),
                    Parsed::Refused(refusal) => Received::Refused(refusal),
                    Parsed::Silence | Parsed::NotYet => {
                        if header.is_empty() {
                            header.extend_from_slice(bytes);
                        }
                        Received::More
                    }
                }
            }
            Phase::Drain {
                discarded_bytes, ..
            } => {
                *discarded_bytes += bytes.len() as u32;
                match *discarded_bytes > DRAIN_BYTES_MAX {
                    true => Received::Closed(Closed::TooMuchInput),
                    false => Received::More,
                }
            }
            _ => Received::More,
        }
    }

    /// A request that is not complete after `REQUEST_BYTES_MAX` bytes is refused: more is not kept.
    fn joined<'a>(header: &'a mut Vec<u8>, bytes: &[u8]) -> &'a [u8] {
        let room = REQUEST_BYTES_MAX - header.len();
        header.extend_from_slice(&bytes[..bytes.len().min(room)]);
        header
    }

    fn stream(&mut self, tail: &Tail, share: &mut Share) -> Served {
        let mut budget_bytes = share.bytes;
        loop {
            let range = match self.next_range(tail, share, budget_bytes) {
                Ok(range) => range,
                Err(served) => return served,
            };
            let segment = tail.segment(self.cursor.segment);
            let wanted = budget_bytes.min((range.end - range.start) as usize);
            let is_all = range.start + wanted as u64 == range.end;
            let count = match self.count_at_hand(segment, wanted, is_all, share) {
                Ok(count) => count,
                Err(served) => return served,
            };
            if let Some(served) = self.send(segment, count, share) {
                return served;
            }
            // What is next where it is not all, another serve finds out.
            let is_all = is_all && count == wanted;
            budget_bytes = if is_all { budget_bytes - count } else { 0 };
        }
    }

    /// What there is to send next; it may be of a later segment.
    ///
    /// It is inlined, as what follows, although it has two callers: a delivery to a raw client is a
    /// few hundred instructions, and calls would be a tenth of them.
    #[inline(always)]
    fn next_range(
        &mut self,
        tail: &Tail,
        share: &Share,
        budget_bytes: usize,
    ) -> Result<Range<u64>, Served> {
        loop {
            let span = tail.span(self.cursor.segment);
            match self.cursor.step(span) {
                Step::Send(_) if budget_bytes == 0 => return Err(Served::More),
                Step::Send(range) => return Ok(range),
                Step::Wait => {
                    // What comes to an empty file may be an old one that is moved there.
                    self.heat = match span.end {
                        0 => Heat::Unknown,
                        _ => Heat::Live,
                    };
                    return Err(Served::Waiting);
                }
                Step::Next(offset) => {
                    let segment = self.cursor.segment + 1;
                    self.cursor = Cursor { segment, offset };
                    self.heat = Heat::Unknown;
                    if !tail.is_checked(self.cursor.segment, share.now) {
                        return Err(Served::More);
                    }
                }
                Step::Lost => return Err(Served::Cut(Self::lost(span))),
                Step::Replaced => return Err(Served::Cut(Cut::Replaced)),
            }
        }
    }

    /// How many of the `wanted` next bytes can be sent now; `is_all`: the segment has no more.
    #[inline(always)]
    fn count_at_hand(
        &mut self,
        segment: &Segment,
        wanted: usize,
        is_all: bool,
        share: &mut Share,
    ) -> Result<usize, Served> {
        self.heat = match (self.heat, is_all) {
            // The end of a file is in memory because its marker is.
            (Heat::Warm, true) => Heat::Unknown,
            (Heat::Live, false) => Heat::Warm,
            (heat, _) => heat,
        };
        match share.at_hand(segment, self.cursor.offset, wanted, &mut self.heat) {
            Ok(0) if share.sent_bytes > 0 => Err(Served::More),
            Ok(0) => Err(Served::Cold),
            Ok(count) => Ok(count),
            Err(error) => Err(Served::Cut(Cut::Unreadable(error))),
        }
    }

    /// So many bytes of the segment, or until the socket is full.
    #[inline(always)]
    fn send(&mut self, segment: &Segment, count: usize, share: &mut Share) -> Option<Served> {
        let end = self.cursor.offset + count as u64;
        while self.cursor.offset < end {
            let rest = (end - self.cursor.offset) as usize;
            match segment.send_to(self.socket.as_fd(), self.cursor.offset, rest) {
                Ok(0) => return Some(self.fall_short()),
                Ok(n) => {
                    (self.has_data, self.was_short) = (true, false);
                    self.cursor.offset += n as u64;
                    share.sent_bytes += n as u64;
                }
                Err(error) => return Some(self.not_sent(error)),
            }
        }
        None
    }

    /// Once it may be a truncation, which a look shows. If there was none, it is tried again, and
    /// then the file cannot be read: FUSE file systems are like that when a file was replaced
    /// behind them (measured with bindfs).
    fn fall_short(&mut self) -> Served {
        if mem::replace(&mut self.was_short, true) {
            let error = io::ErrorKind::UnexpectedEof.into();
            return Served::Cut(Cut::Unreadable(error));
        }
        Served::Short
    }

    fn lost(span: Span) -> Cut {
        match span.bytes {
            Bytes::NeverSeen => Cut::NeverSeen,
            Bytes::Whole | Bytes::Truncated => Cut::Truncated,
        }
    }

    /// sendfile's errors are the socket's or the file's; only the file's are news.
    fn not_sent(&mut self, error: io::Error) -> Served {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                // By the time that there is room, what is new now may be so no more.
                self.heat = self.heat.min(Heat::Warm);
                Served::Blocked
            }
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Served::Closed(Closed::Error(error)),
            _ => Served::Cut(Cut::Unreadable(error)),
        }
    }
}
