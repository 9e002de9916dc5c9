//! How a client finds where to begin: a line, or what lies before a place.

use super::{Client, Phase};
use crate::bookmark::{Bookmark, CHECK_BYTES, check_of};
use crate::cursor::{Bytes, Cursor, SegmentId, Span};
use crate::filter::last::{self, LastWanted};
use crate::outcome::{Cut, Served};
use crate::reach::Reach;
use crate::reply::Reply;
use crate::request::Start;
use crate::scan::{Progress, Scan};
use crate::share::{Read, Share};
use crate::tail::Tail;

use std::ops::Range;

/// A search under way.
#[derive(Clone, Copy)]
pub(super) struct Seek {
    start: Start,
    search: Search,
}

#[derive(Clone, Copy)]
enum Search {
    Lines(Scan),
    /// For the last lines that meet conditions.
    Matches(LastWanted),
}

impl Client {
    /// The end of the segment is that which lines and bytes are counted back from.
    pub(super) fn begin_in(&mut self, start: Start, segment: SegmentId, tail: &Tail) {
        let end = tail.span(segment).end;
        self.cursor = Cursor { segment, offset: 0 };
        if let Some(reply) = &mut self.reply {
            reply.begin(end);
        }
        match start {
            Start::Byte(offset) => self.found(offset),
            Start::Bookmark(bookmark) => self.found(bookmark.offset),
            Start::LastBytes(bytes) => self.found(end.saturating_sub(bytes)),
            Start::FromLine(line) => self.go_on(start, Scan::from_line(line).into()),
            Start::LastLines(lines) if lines > 0 && self.has_filter() => {
                self.go_on(start, LastWanted::search(lines, end).into());
            }
            Start::LastLines(lines) => self.go_on(start, Scan::last_lines(lines, end).into()),
        }
    }

    fn follows(&self) -> bool {
        self.reply.as_ref().is_none_or(|reply| reply.follows())
    }

    fn has_filter(&self) -> bool {
        let reply = self.reply.as_ref();
        reply.is_some_and(|reply| reply.filter.is_some())
    }

    fn end_within(&self, end: u64) -> u64 {
        match &self.reply {
            Some(reply) => reply.end_within(end),
            None => end,
        }
    }

    fn go_on(&mut self, start: Start, progress: Found) {
        match progress {
            Found::Not(search) => self.phase = Phase::Seek(Box::new(Seek { start, search })),
            Found::At(offset) => self.found(offset),
        }
    }

    fn found(&mut self, offset: u64) {
        self.cursor.offset = offset;
        self.phase = match &self.reply {
            Some(reply) if reply.is_unopened() => Phase::Mark,
            _ => Phase::Stream,
        };
    }

    pub(super) fn seek(&mut self, seek: Seek, tail: &Tail, share: &mut Share) -> Served {
        let segment = self.cursor.segment;
        let span = tail.span(segment);
        let end = seek.search.end_within(self.end_within(span.end));
        let reach = seek.search.reach();
        let is_at_end = reach.next_chunk(end, 1).is_empty();
        match span.bytes {
            Bytes::NeverSeen => return Served::Cut(Cut::NeverSeen),
            // A start beyond the end belongs to the file it was asked of.
            _ if is_at_end && span.replaced && self.follows() => return Served::Cut(Cut::Replaced),
            Bytes::Truncated => {
                // The search starts again in the file as it is now.
                self.begin_in(seek.start, segment + 1, tail);
                return Served::More;
            }
            Bytes::Whole if is_at_end => return self.wait_for_start(end),
            Bytes::Whole => {}
        }
        match share.read(tail.segment(segment), reach, end, 0) {
            Ok(Read::Bytes(bytes)) => {
                self.was_short = false;
                let found = seek.search.feed(bytes, self.reply.as_deref_mut());
                self.go_on(seek.start, found);
                Served::More
            }
            Ok(Read::Short) => self.fall_short(),
            Ok(Read::Cold) => Served::Cold,
            Err(error) => Served::Cut(Cut::Unreadable(error)),
        }
    }

    /// Looks at what lies before the start, so that the reply can say where it begins.
    pub(super) fn mark(&mut self, tail: &Tail, share: &mut Share) -> Served {
        let Cursor { segment, offset } = self.cursor;
        let Span { end, bytes, .. } = tail.span(segment);
        if bytes == Bytes::Truncated {
            return Served::Cut(Cut::Truncated);
        }
        let from = offset.saturating_sub(CHECK_BYTES as u64);
        let before = match tail.file_number(segment) {
            Some(_) if offset == 0 => Some(&[][..]),
            Some(_) if offset <= end => {
                let all_but_one = (offset - from - 1) as usize;
                match self.read(from..offset, all_but_one, tail, share) {
                    Ok(bytes) => Some(bytes),
                    Err(served) => return served,
                }
            }
            _ => None,
        };
        let place = before.zip(tail.file_number(segment));
        let place = place.map(|(before, file)| Bookmark {
            file,
            offset,
            check: check_of(before),
        });
        match self.reply.as_mut().map(|reply| reply.open(offset, place)) {
            Some(Err(refusal)) => Served::Refused(refusal),
            _ => {
                self.phase = Phase::Stream;
                Served::More
            }
        }
    }

    /// The line to begin with is not there yet.
    fn wait_for_start(&mut self, end: u64) -> Served {
        match &mut self.reply {
            Some(reply) if !reply.follows() => {
                self.found(end);
                Served::More
            }
            Some(reply) => {
                // Whoever asks is to hear that it is being seen to.
                if reply.is_unopened() {
                    if let Err(refusal) = reply.open(end, None) {
                        return Served::Refused(refusal);
                    }
                }
                if reply.is_head() {
                    self.found(end);
                    return Served::More;
                }
                reply.rest();
                self.flush().unwrap_or(Served::Waiting)
            }
            None => Served::Waiting,
        }
    }
}

impl Seek {
    /// The next so many bytes that it will want.
    pub(super) fn ahead(&self, bytes: u64) -> Range<u64> {
        self.search.reach().ahead(bytes)
    }
}

impl Search {
    fn reach(&self) -> Reach {
        match self {
            Search::Lines(scan) => scan.reach(),
            Search::Matches(last) => last.reach(),
        }
    }

    /// How far it wants to read in a file that ends at `end`.
    fn end_within(&self, end: u64) -> u64 {
        match self {
            Search::Lines(_) => end,
            Search::Matches(last) => last.end_within(end),
        }
    }

    /// Takes the bytes that were read where `reach` points.
    fn feed(self, bytes: &[u8], reply: Option<&mut Reply>) -> Found {
        match (self, reply.and_then(|reply| reply.filter.as_mut())) {
            (Search::Lines(scan), _) => scan.feed(bytes).into(),
            (Search::Matches(last), Some(filter)) => last.feed(bytes, filter).into(),
            (Search::Matches(_), None) => Found::At(0),
        }
    }
}

/// What a search has come to.
enum Found {
    At(u64),
    Not(Search),
}

impl From<last::Progress> for Found {
    fn from(progress: last::Progress) -> Found {
        match progress {
            last::Progress::Found(offset) => Found::At(offset),
            last::Progress::Searching(last) => Found::Not(Search::Matches(last)),
        }
    }
}

impl From<Progress> for Found {
    fn from(progress: Progress) -> Found {
        match progress {
            Progress::Found(offset) => Found::At(offset),
            Progress::Searching(scan) => Found::Not(Search::Lines(scan)),
        }
    }
}
