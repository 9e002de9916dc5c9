//! The segments of a tail in their order: who is in which, and which may be closed.
//!
//! Clients move from a segment to the next and never otherwise, so that a segment is needed while
//! somebody is in it or in an earlier one. One that was left although a writer may still have it
//! open is watched for a while: what comes to it then is late, and lost for those who have passed.

use crate::cursor::{SegmentId, Span};
use crate::disk::Wait;
use crate::finish::{Rotated, Rule, Writers};
use crate::marker::Seen;
use crate::open_file::Identity;
use crate::paths;
use crate::segment::{Depth, Measured, Segment};
use crate::watch::{TailKey, Watch, WatchId};

use mio::Token;
use slab::Slab;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

/// Never empty: before there is a file, there is one that is still to come.
pub struct Chain {
    /// Oldest first; each id is one more than the one before.
    segments: Vec<Held>,
    /// Left without certainty, and without clients.
    left: VecDeque<Left>,
    /// What is known of the last files that were closed, should one of them bear the name again.
    closed: VecDeque<(Identity, Seen)>,
}

/// A segment in its place.
pub struct Held {
    pub id: SegmentId,
    pub segment: Segment,
    /// Where those begin who come from the segment before: not at 0 if the file was one of the
    /// chain already.
    pub begin: u64,
    pub watch: Option<WatchId>,
    /// When it first had something beyond `begin`.
    pub first_byte: Option<Instant>,
    /// Since it has lost the name.
    pub rotated: Option<Rotated>,
    /// Those who have everything go on to the next one.
    pub finished: Option<Rule>,
    /// The last time that it was looked at, with whatever result.
    pub tried: Option<Instant>,
    /// The last time that its marker was right.
    pub checked: Option<Instant>,
    /// Its marker is waited for, or was a moment ago.
    pub wait: Option<Wait>,
    /// How often in a row it could not be looked at.
    pub failures: u32,
    /// Events that were not yet followed up.
    pub hinted: Hinted,
    /// Clients whose cursor is here, and those of them who wait for it to grow.
    clients: usize,
    waiting: Slab<Token>,
}

/// What events have said of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hinted {
    pub modified: bool,
    /// A writer closed it after it had lost the name.
    pub closed: bool,
}

struct Left {
    held: Held,
    until: Instant,
}

/// Bytes that came to a segment after it was left.
pub struct Late {
    pub segment: SegmentId,
    pub offset: u64,
    pub bytes: u64,
}

/// Old files that one stuck client may keep open; and as many that are watched after they were
/// left, and that are remembered when they are closed.
pub const SEGMENTS_MAX: usize = 64;

/// How long a segment that was left is watched where the kernel does not say that no writer is
/// left.
const LEFT_FOR: Duration = Duration::from_secs(60);

impl Chain {
    pub fn new() -> Chain {
        Chain {
            segments: vec![Held::new(0, 0, Segment::to_come())],
            left: VecDeque::new(),
            closed: VecDeque::new(),
        }
    }

    /// The place of the last segment of a file.
    pub fn position(&self, identity: Identity) -> Option<usize> {
        let is_it = |held: &Held| held.segment.identity() == Some(identity);
        self.segments.iter().rposition(is_it)
    }

    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// By place, the oldest is 0.
    pub fn at(&mut self, index: usize) -> &mut Held {
        &mut self.segments[index]
    }

    /// Where newcomers begin.
    pub fn newest(&self) -> &Held {
        &self.segments[self.segments.len() - 1]
    }

    pub fn newest_mut(&mut self) -> &mut Held {
        let newest = self.segments.len() - 1;
        &mut self.segments[newest]
    }

    /// A segment that somebody may be in.
    pub fn get(&self, id: SegmentId) -> &Held {
        &self.segments[self.index(id)]
    }

    pub fn get_mut(&mut self, id: SegmentId) -> &mut Held {
        let index = self.index(id);
        &mut self.segments[index]
    }

    /// Ids go up by one.
    pub fn index(&self, id: SegmentId) -> usize {
        (id - self.segments[0].id) as usize
    }

    /// Whether a younger segment follows; and since when one of them has data, for that is what
    /// shows that writers have gone on.
    pub fn successor(&self, index: usize) -> Option<Option<Instant>> {
        let later = &self.segments[index + 1..];
        let first_byte = later.iter().filter_map(|held| held.first_byte).min();
        (!later.is_empty()).then_some(first_byte)
    }

    /// Clients that come to the end of a segment, sooner or later.
    pub fn clients_up_to(&self, index: usize) -> usize {
        self.segments[..=index].iter().map(Held::clients).sum()
    }

    /// What is known of a segment's bytes, and whether one goes on behind them.
    pub fn span(&self, id: SegmentId) -> Span {
        let index = self.index(id);
        let held = &self.segments[index];
        let next = self.segments.get(index + 1);
        Span {
            end: held.segment.end(),
            bytes: held.segment.bytes(),
            replaced: next.is_some(),
            next: next
                .filter(|_| held.finished.is_some())
                .map(|next| next.begin),
        }
    }

    /// Bytes from `offset` in a segment to the end of the newest.
    pub fn bytes_behind(&self, id: SegmentId, offset: u64) -> u64 {
        let index = self.index(id);
        let here = self.segments[index].segment.end().saturating_sub(offset);
        let later = self.segments[index + 1..].iter();
        here + later
            .map(|held| held.segment.end().saturating_sub(held.begin))
            .sum::<u64>()
    }

    /// A client begins in the newest segment.
    pub fn enter(&mut self) -> SegmentId {
        let newest = self.newest_mut();
        newest.clients += 1;
        newest.id
    }

    /// A client begins in the last segment of a file.
    pub fn enter_file(&mut self, is_it: impl Fn(Identity) -> bool) -> Option<SegmentId> {
        let mut segments = self.segments.iter_mut().rev();
        let held = segments.find(|held| held.segment.identity().is_some_and(&is_it))?;
        held.clients += 1;
        Some(held.id)
    }

    /// A client that does not wait has moved on.
    pub fn moved(&mut self, from: SegmentId, to: SegmentId) {
        self.get_mut(from).clients -= 1;
        self.get_mut(to).clients += 1;
    }

    /// A client that does not wait goes away.
    pub fn leave(&mut self, id: SegmentId) {
        self.get_mut(id).clients -= 1;
    }

    /// No client is left.
    pub fn is_deserted(&self) -> bool {
        self.segments.iter().all(|held| held.clients == 0)
    }

    /// Puts a segment behind the newest.
    pub fn push(&mut self, begin: u64, segment: Segment) -> &mut Held {
        let id = self.newest().id + 1;
        self.segments.push(Held::new(id, begin, segment));
        self.newest_mut()
    }

    /// Files held open.
    pub fn open_segments(&self) -> usize {
        let is_open = |held: &&Held| held.segment.is_open();
        self.segments.iter().filter(is_open).count() + self.left.len()
    }

    /// What deleted files take of the disk for clients that are behind: for each the segment, since
    /// when it has no name, and bytes.
    pub fn held_bytes(&self) -> impl Iterator<Item = (SegmentId, Instant, u64)> {
        let mut is_pinned = false;
        self.segments.iter().filter_map(move |held| {
            let is_behind = is_pinned || held.clients_behind() > 0;
            // Whoever is here, waiting or not, keeps all that follows.
            is_pinned |= held.clients > 0;
            let bytes = held.segment.held_bytes();
            let since = held.rotated?.since();
            (is_behind && bytes > 0).then_some((held.id, since, bytes))
        })
    }

    /// Some file of it has no name any more.
    pub fn has_deleted(&self) -> bool {
        self.segments.iter().any(|held| held.segment.is_deleted())
    }

    /// What is known of a file that was one of the chain and is to be again. If it was left, it is
    /// not watched for late bytes any more: they are expected now.
    pub fn recall(&mut self, identity: Identity, tail: TailKey, watch: &mut Watch) -> Option<Seen> {
        let is_it = |held: &Held| held.segment.identity() == Some(identity);
        if let Some(index) = self.left.iter().position(|left| is_it(&left.held)) {
            let left = self.left.remove(index)?.held;
            left.close(tail, watch, &mut self.closed);
        }
        let held = self.segments.iter().rfind(|held| is_it(held));
        held.map(|held| held.segment.seen()).or_else(|| {
            let known = self.closed.iter().rfind(|(closed, _)| *closed == identity);
            known.map(|(_, seen)| *seen)
        })
    }

    /// Notes an event on the file behind a watch. Whether it is to be followed up, and whether that
    /// file has lost its name.
    pub fn note(&mut self, watch: WatchId, hinted: Hinted, has_left_name: bool) -> (bool, bool) {
        let left = self.left.iter_mut().map(|left| &mut left.held);
        let (mut is_concerned, mut is_rotated) = (false, false);
        for held in self.segments.iter_mut().chain(left) {
            // A writer that closes the file that bears the name is nothing: others will come.
            let matters = hinted.modified || held.rotated.is_some() || has_left_name;
            if held.watch == Some(watch) && matters {
                held.hinted.modified |= hinted.modified;
                held.hinted.closed |= hinted.closed;
                is_concerned = true;
                is_rotated |= held.rotated.is_some();
            }
        }
        (is_concerned, is_rotated)
    }

    /// Looks at what was left: at all of it, or where events hint. `late` is told of what has come.
    pub fn review_left(
        &mut self,
        all: bool,
        now: Instant,
        tail: TailKey,
        watch: &mut Watch,
        mut late: impl FnMut(Late),
    ) {
        for _ in 0..self.left.len() {
            let Some(Left { mut held, until }) = self.left.pop_front() else {
                return;
            };
            let hinted = mem::take(&mut held.hinted);
            if !all && hinted == Hinted::default() {
                self.left.push_back(Left { held, until });
                continue;
            }
            // In this order: what the last writer wrote before it closed is in the length.
            let writers = held.segment.writers();
            let offset = held.segment.end();
            let measured = held.segment.measure(Depth::Marker, false);
            if let Ok(Measured::Grown(bytes)) = measured {
                let segment = held.id;
                late(Late {
                    segment,
                    offset,
                    bytes,
                });
            }
            let is_awaited = match measured {
                Ok(Measured::Same | Measured::Quiet) => writers != Writers::Gone,
                Ok(Measured::Grown(_) | Measured::Truncated) => false,
                // Not known this time.
                Ok(Measured::Cold) | Err(_) => true,
            };
            if is_awaited && now < until {
                self.left.push_back(Left { held, until });
            } else {
                held.close(tail, watch, &mut self.closed);
            }
        }
    }

    /// Closes what nobody can come to any more: the oldest, up to the first with a client.
    pub fn let_go(&mut self, now: Instant, tail: TailKey, watch: &mut Watch) {
        let needed = self.segments.iter().position(|held| held.clients > 0);
        let count = needed.unwrap_or(self.segments.len() - 1);
        for held in self.segments.drain(..count) {
            if held.finished.is_some_and(|rule| !rule.is_certain()) {
                let until = now + LEFT_FOR;
                self.left.push_back(Left { held, until });
            } else {
                held.close(tail, watch, &mut self.closed);
            }
        }
        while self.left.len() > SEGMENTS_MAX {
            if let Some(left) = self.left.pop_front() {
                left.held.close(tail, watch, &mut self.closed);
            }
        }
    }

    /// Closes everything. The chain is of no use any more.
    pub fn close(&mut self, tail: TailKey, watch: &mut Watch) {
        let left = self.left.drain(..).map(|left| left.held);
        for held in self.segments.drain(..).chain(left) {
            held.close(tail, watch, &mut self.closed);
        }
    }
}

impl Held {
    fn new(id: SegmentId, begin: u64, segment: Segment) -> Held {
        Held {
            id,
            segment,
            begin,
            watch: None,
            first_byte: None,
            rotated: None,
            finished: None,
            tried: None,
            checked: None,
            wait: None,
            failures: 0,
            hinted: Hinted::default(),
            clients: 0,
            waiting: Slab::new(),
        }
    }

    /// Clients whose cursor is here.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Those of them who do not have everything yet.
    pub fn clients_behind(&self) -> usize {
        self.clients - self.waiting.len()
    }

    /// A client at the end waits for more. What is returned is for `stop_waiting`.
    pub fn wait(&mut self, client: Token) -> usize {
        self.waiting.insert(client)
    }

    /// A client does not wait any more, although nobody woke it.
    pub fn stop_waiting(&mut self, waiting: usize) {
        self.waiting.remove(waiting);
    }

    /// Who waits where; for `check_invariants`.
    pub fn waiting_client(&self, waiting: usize) -> Option<Token> {
        self.waiting.get(waiting).copied()
    }

    /// Everybody who waits has something to do.
    pub fn wake(&mut self, woken: &mut Vec<Token>) {
        woken.extend(self.waiting.drain());
    }

    /// Puts a segment in the place of one that was still to come. Nothing is known of it.
    pub fn replace(&mut self, begin: u64, segment: Segment) {
        (self.begin, self.segment) = (begin, segment);
        (self.tried, self.checked, self.wait, self.failures) = (None, None, None, 0);
    }

    /// The name has gone to another file, or to none.
    pub fn rotate(&mut self, now: Instant) {
        if self.segment.is_open() {
            self.rotated.get_or_insert(Rotated::new(now));
        }
    }

    /// Renews the watch on the file if it is missing.
    pub fn watch(&mut self, tail: TailKey, watch: &mut Watch) -> io::Result<()> {
        let Some(file) = self.segment.descriptor() else {
            return Ok(());
        };
        if !self.watch.is_some_and(|id| watch.has(id)) {
            self.watch = None;
            self.watch = Some(watch.add_file(&paths::descriptor_path(file), tail)?);
        }
        Ok(())
    }

    /// Gives the watch back.
    pub fn unwatch(&mut self, tail: TailKey, watch: &mut Watch) {
        if let Some(id) = self.watch.take() {
            watch.remove_file(id, tail);
        }
    }

    fn close(mut self, tail: TailKey, watch: &mut Watch, closed: &mut VecDeque<(Identity, Seen)>) {
        self.unwatch(tail, watch);
        let Some(identity) = self.segment.identity() else {
            return;
        };
        if self.segment.is_deleted() {
            // It cannot come back, but its inode number can.
            return;
        }
        closed.retain(|(known, _)| *known != identity);
        closed.push_back((identity, self.segment.seen()));
        if closed.len() > SEGMENTS_MAX {
            closed.pop_front();
        }
    }
}
