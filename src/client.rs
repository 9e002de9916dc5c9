//! One connection's life: Header -> Seek -> Stream -> Drain.
//!
//! | phase  | it reads                 | it sends                      | it ends with              |
//! |--------|--------------------------|-------------------------------|---------------------------|
//! | Header | the request              | nothing                       | a request, or `error:`    |
//! | Seek   | and throws away          | nothing, it looks for a line  | the offset of that line   |
//! | Stream | and throws away          | the file's bytes, by sendfile | FIN, if it cannot go on   |
//! | Drain  | and throws away to 1 MiB | nothing more, FIN is sent     | the client's FIN, or time |
//!
//! A client's FIN means only that it sends nothing more: most `nc`s close their sending half at
//! once.

use crate::cursor::{Bytes, Cursor, SegmentId, Span, Step};
use crate::outcome::{Closed, Cut, Received, Served};
use crate::request::{HEADER_BYTES_MAX, Parsed, Refusal, Request, Start};
use crate::scan::{Progress, Scan};
use crate::segment::Segment;
use crate::share::{Heat, Read, Share};
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
}

enum Phase {
    Header(Vec<u8>),
    Seek { start: Start, scan: Scan },
    Stream,
    Drain { discarded_bytes: u32 },
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

    /// It looks for the line to begin with.
    pub fn is_seeking(&self) -> bool {
        matches!(self.phase, Phase::Seek { .. })
    }

    /// It had everything until new data woke it.
    pub fn is_live(&self) -> bool {
        self.heat == Heat::Live
    }

    /// Nothing more is sent to it.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Drain { .. })
    }

    /// Reads once. `scratch` holds at least `HEADER_BYTES_MAX` bytes and is not kept.
    pub fn receive(&mut self, scratch: &mut [u8]) -> Received {
        let room = scratch.len().min(RECEIVE_BYTES_MAX);
        match self.socket.read(&mut scratch[..room]) {
            Ok(0) => self.receive_end(),
            Ok(n) => self.receive_bytes(&scratch[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Drained,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::More,
            Err(error) => Received::Closed(Closed::Error(error)),
        }
    }

    /// Begins at `start` in `segment`, which ends at `end` now: that is the end that lines and
    /// bytes are counted back from.
    pub fn begin(&mut self, start: Start, segment: SegmentId, end: u64) {
        let progress = match start {
            Start::Byte(offset) => Progress::Found(offset),
            Start::LastBytes(bytes) => Progress::Found(end.saturating_sub(bytes)),
            Start::LastLines(lines) => Scan::last_lines(lines, end),
            Start::FromLine(line) => Scan::from_line(line),
        };
        self.cursor = Cursor { segment, offset: 0 };
        self.began = segment;
        self.go_on(start, progress);
    }

    /// Does a share of what there is to do: searches or sends. Its segment was looked at
    /// before; it may be in a later one then.
    pub fn serve(&mut self, tail: &Tail, share: &mut Share) -> Served {
        match self.phase {
            Phase::Seek { start, scan } => self.seek(start, scan, tail, share),
            _ => self.stream(tail, share),
        }
    }

    /// The next so many bytes of its segment that it will want.
    pub fn ahead(&self, bytes: u64) -> Range<u64> {
        match self.phase {
            Phase::Seek { scan, .. } => scan.ahead(bytes),
            _ => self.cursor.offset..self.cursor.offset + bytes,
        }
    }

    /// Says why there will be no data, if none was sent, then FIN. What cannot be said at once is
    /// not: an empty send buffer takes a line.
    pub fn refuse(&mut self, refusal: Refusal) {
        if !self.has_data {
            let _ = self.socket.write(format!("error: {refusal}\n").as_bytes());
        }
        self.finish();
    }

    /// Sends FIN behind everything that is queued, and drains.
    pub fn finish(&mut self) {
        // ENOTCONN: the client is gone; the drain finds out.
        let _ = self.socket.shutdown_write();
        self.phase = Phase::Drain { discarded_bytes: 0 };
    }

    /// After `finish`: whether the socket may be closed at once, for no input can be unread.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn receive_end(&mut self) -> Received {
        self.has_ended = true;
        match &self.phase {
            Phase::Header(header) => match Request::parse(header, true) {
                Parsed::Request(request) => Received::Request(request),
                Parsed::Refused(refusal) => Received::Refused(refusal),
                Parsed::Silence | Parsed::NotYet => Received::Closed(Closed::Silence),
            },
            Phase::Drain { .. } => Received::Closed(Closed::Drained),
            Phase::Seek { .. } | Phase::Stream => Received::Drained,
        }
    }

    fn receive_bytes(&mut self, bytes: &[u8]) -> Received {
        match &mut self.phase {
            Phase::Header(header) => {
                // Nearly every header comes in one piece, and is not copied.
                let whole = if header.is_empty() {
                    bytes
                } else {
                    Self::joined(header, bytes)
                };
                match Request::parse(whole, false) {
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
            Phase::Drain { discarded_bytes } => {
                *discarded_bytes += bytes.len() as u32;
                match *discarded_bytes > DRAIN_BYTES_MAX {
                    true => Received::Closed(Closed::TooMuchInput),
                    false => Received::More,
                }
            }
            Phase::Seek { .. } | Phase::Stream => Received::More,
        }
    }

    /// A header that is not complete after `HEADER_BYTES_MAX` bytes is refused: more is not kept.
    fn joined<'a>(header: &'a mut Vec<u8>, bytes: &[u8]) -> &'a [u8] {
        let room = HEADER_BYTES_MAX - header.len();
        header.extend_from_slice(&bytes[..bytes.len().min(room)]);
        header
    }

    fn go_on(&mut self, start: Start, progress: Progress) {
        match progress {
            Progress::Searching(scan) => self.phase = Phase::Seek { start, scan },
            Progress::Found(offset) => {
                self.cursor.offset = offset;
                self.phase = Phase::Stream;
            }
        }
    }

    fn seek(&mut self, start: Start, scan: Scan, tail: &Tail, share: &mut Share) -> Served {
        let segment = self.cursor.segment;
        let span = tail.span(segment);
        let chunk = |bytes| scan.next_chunk(span.end, bytes as u64);
        let is_at_end = chunk(1).is_empty();
        match span.bytes {
            Bytes::NeverSeen => return Served::Cut(Cut::NeverSeen),
            // A start beyond the end belongs to the file it was asked of.
            _ if is_at_end && span.replaced => return Served::Cut(Cut::Replaced),
            Bytes::Truncated => {
                // The search starts again in the file as it is now.
                self.begin(start, segment + 1, tail.span(segment + 1).end);
                return Served::More;
            }
            Bytes::Whole if is_at_end => return Served::Waiting,
            Bytes::Whole => {}
        }
        match share.read(tail.segment(segment), scan, span.end) {
            Ok(Read::Bytes(bytes)) => {
                self.was_short = false;
                self.go_on(start, scan.feed(bytes));
                Served::More
            }
            Ok(Read::Short) => self.fall_short(),
            Ok(Read::Cold) => Served::Cold,
            Err(error) => Served::Cut(Cut::Unreadable(error)),
        }
    }

    fn stream(&mut self, tail: &Tail, share: &mut Share) -> Served {
        let mut budget_bytes = share.bytes;
        loop {
            let span = tail.span(self.cursor.segment);
            let range = match self.cursor.step(span) {
                Step::Send(_) if budget_bytes == 0 => return Served::More,
                Step::Send(range) => range,
                Step::Wait => {
                    // What comes to an empty file may be an old one that is moved there.
                    self.heat = match span.end {
                        0 => Heat::Unknown,
                        _ => Heat::Live,
                    };
                    return Served::Waiting;
                }
                Step::Next(offset) => {
                    let segment = self.cursor.segment + 1;
                    self.cursor = Cursor { segment, offset };
                    self.heat = Heat::Unknown;
                    if tail.is_checked(segment, share.now) {
                        continue;
                    }
                    return Served::More;
                }
                Step::Lost => return Served::Cut(Self::lost(span)),
                Step::Replaced => return Served::Cut(Cut::Replaced),
            };
            let segment = tail.segment(self.cursor.segment);
            let wanted = budget_bytes.min((range.end - range.start) as usize);
            let is_all = range.start + wanted as u64 == range.end;
            self.heat = match (self.heat, is_all) {
                // The end of a file is in memory because its marker is.
                (Heat::Warm, true) => Heat::Unknown,
                (Heat::Live, false) => Heat::Warm,
                (heat, _) => heat,
            };
            let count = match share.at_hand(segment, range.start, wanted, &mut self.heat) {
                Ok(0) if share.sent_bytes > 0 => return Served::More,
                Ok(0) => return Served::Cold,
                Ok(count) => count,
                Err(error) => return Served::Cut(Cut::Unreadable(error)),
            };
            if let Some(served) = self.send(segment, count, share) {
                return served;
            }
            // What is next where it is not all, another serve finds out.
            let is_all = is_all && count == wanted;
            budget_bytes = if is_all { budget_bytes - count } else { 0 };
        }
    }

    /// So many bytes of the segment, or until the socket is full.
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
