//! All names that are followed: from a client's path to a tail, from inotify's hints to looks at
//! what they concern.

use crate::cursor::{Cursor, SegmentId};
use crate::news::{Loss, LossKind, News};
use crate::refusal::Refusal;
use crate::roots::{self, Place, Roots, Unresolved};
use crate::tail::{Lent, Tail};
use crate::watch::{Hint, TailKey, Watch};

use mio::{Registry, Token};
use slab::Slab;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::mem;
use std::ops::{Index, IndexMut};
use std::path::Path;
use std::time::{Duration, Instant};

/// Every tail, with what is needed to look.
pub struct Tails {
    roots: Roots,
    watch: Watch,
    tails: Slab<Followed>,
    keys: HashMap<Place, TailKey>,
    /// Tails with hints not yet followed up, each once.
    hinted: VecDeque<TailKey>,
    /// inotify may have more to read.
    unread: bool,
    /// Files held open by all tails together.
    open_segments: usize,
    /// Tails with files that were deleted: they may hold space.
    with_deleted: BTreeSet<TailKey>,
    /// The last time that the disk brought something to somebody.
    came: Option<Instant>,
    drain_grace: Duration,
    /// `--max-held`, in bytes.
    max_held: u64,
}

struct Followed {
    tail: Tail,
    is_hinted: bool,
    /// Events were lost: everything is to be looked at.
    is_suspect: bool,
}

/// 5000 looks in one go take 20 ms (measured): a storm of hints and a burst of ticks are spread
/// over turns.
pub const TURN_LOOKS_MAX: usize = 64;

/// Beside a writer at full speed the queue never runs dry. One read takes 64 events or more.
const TURN_READS_MAX: usize = 16;

/// A name that changes faster than its files can be opened is left for the next turn after so many.
const SIGHTINGS_MAX: usize = 16;

/// How often a quiet name is looked at although nothing was heard: mmap writers, switched directory
/// links and re-made directories send no event.
const TICK: Duration = Duration::from_secs(1);

/// The same where there is no watch to be had.
const POLL: Duration = Duration::from_millis(250);

impl Tails {
    /// The durations and sizes are those of the command line; `max_held` is in bytes.
    pub fn new(roots: Roots, drain_grace: Duration, max_held: u64) -> Tails {
        Tails {
            roots,
            drain_grace,
            max_held,
            watch: Watch::new(),
            tails: Slab::new(),
            keys: HashMap::new(),
            hinted: VecDeque::new(),
            unread: false,
            open_segments: 0,
            with_deleted: BTreeSet::new(),
            came: None,
        }
    }

    /// Asks for an edge for each event on a file.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        self.watch.register(registry, token)
    }

    /// What is served.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The place that a client asked for.
    pub fn resolve(&self, asked: Option<&Path>) -> Result<Place, Unresolved> {
        self.roots.resolve(asked)
    }

    /// Whether the tail of a key is still there.
    pub fn contains(&self, key: TailKey) -> bool {
        self.tails.contains(key)
    }

    /// Whether there is a tail already.
    pub fn is_followed(&self, place: &Place) -> bool {
        self.keys.contains_key(place)
    }

    /// The tail of `place`, looked at just now, so that a client begins in what bears the name at
    /// this moment. One that was not followed yet is made; the caller puts a client into it at
    /// once, since a tail goes when its last one leaves.
    ///
    /// Errors are the true reasons, for the log; `roots::refusal` words them for the client.
    pub fn follow(&mut self, place: Place, now: Instant, news: &mut News) -> io::Result<TailKey> {
        if let Some(&key) = self.keys.get(&place) {
            self.lend(key, now, news, |tail, lent| tail.measure_newest(lent));
            self.look_again(key, now, news);
            return Ok(key);
        }
        // What is said of the directory already is not for the new one.
        self.unread = true;
        self.read_hints();
        let entry = self.tails.vacant_entry();
        let key = entry.key();
        entry.insert(Followed {
            tail: Tail::new(key, place.clone(), &self.roots),
            is_hinted: false,
            is_suspect: false,
        });
        self.keys.insert(place, key);
        if let Err(error) = self.look(key, now, news) {
            let is_to_come = self.roots.may_be_absent(self[key].place())
                && roots::refusal(&error) == Refusal::NoSuchFile;
            if !is_to_come {
                self.forget(key, now, news);
                return Err(error);
            }
            self.tails[key].tail.note_trouble(&error, news);
        }
        Ok(key)
    }

    /// A client that does not wait has moved from one segment of `key` to another.
    pub fn moved(&mut self, key: TailKey, from: Cursor, to: Cursor, now: Instant, news: &mut News) {
        if from.segment != to.segment {
            self.lend(key, now, news, |tail, lent| {
                tail.moved(from.segment, to.segment, now, lent.watch)
            });
        }
    }

    /// A client in segment `segment` of `key` goes away. True: it was the tail's last, and the tail
    /// is gone.
    pub fn leave(
        &mut self,
        key: TailKey,
        segment: SegmentId,
        now: Instant,
        news: &mut News,
    ) -> bool {
        self.lend(key, now, news, |tail, lent| {
            tail.leave(segment, now, lent.watch)
        });
        let is_deserted = self[key].chain().is_deserted();
        if is_deserted {
            self.forget(key, now, news);
        }
        is_deserted
    }

    /// inotify is readable.
    pub fn note_readable(&mut self) {
        self.unread = true;
    }

    /// The last time that the disk brought something to somebody: while it does, markers are waited
    /// for longer.
    pub fn note_came(&mut self, came: Option<Instant>) {
        self.came = came;
    }

    /// There is something to do without waiting for it.
    pub fn has_work(&self) -> bool {
        self.unread || !self.hinted.is_empty()
    }

    /// Reads what inotify has and looks where it points: the turn's share of both.
    pub fn refresh(&mut self, now: Instant, news: &mut News) {
        self.read_hints();
        for _ in 0..TURN_LOOKS_MAX.min(self.hinted.len()) {
            let Some(key) = self.hinted.pop_front() else {
                break;
            };
            // Deserted since: its key is free, or another's, to whom a look does no harm.
            let Some(followed) = self.tails.get_mut(key) else {
                continue;
            };
            followed.is_hinted = false;
            if mem::take(&mut followed.is_suspect) {
                self.look_at_all(key, now, news);
            } else if self.lend(key, now, news, Tail::follow_hints) {
                self.look_again(key, now, news);
            }
        }
    }

    /// Hints at everything: the operator says so.
    pub fn suspect_all(&mut self) {
        for (key, followed) in &mut self.tails {
            followed.is_suspect = true;
            followed.line_up(key, &mut self.hinted);
        }
    }

    /// Looks at one segment only: a client is about to be sent some of it. Once a turn is enough.
    pub fn check(&mut self, key: TailKey, segment: SegmentId, now: Instant, news: &mut News) {
        if !self[key].was_tried(segment, now) {
            self.measure(key, segment, now, news);
        }
    }

    /// The same whether it was looked at already or not: it turned out shorter than it should be.
    pub fn measure(&mut self, key: TailKey, segment: SegmentId, now: Instant, news: &mut News) {
        self.lend(key, now, news, |tail, lent| {
            tail.measure_segment(segment, lent)
        });
    }

    /// The look that is due without a hint. Returns the time to the next one.
    pub fn tick(&mut self, key: TailKey, now: Instant, news: &mut News) -> Duration {
        self.look_at_all(key, now, news);
        if self[key].is_polled() { POLL } else { TICK }
    }

    /// Clients that are behind in the oldest of the deleted files give way until the rest is within
    /// the limit. To be asked when those who were woken have been served.
    pub fn limit_held(&mut self, news: &mut News) {
        if self.with_deleted.is_empty() {
            return;
        }
        let mut held: Vec<(Instant, Loss, u64)> = vec![];
        for &tail in &self.with_deleted {
            for (segment, since, bytes) in self[tail].chain().held_bytes() {
                let kind = LossKind::Held;
                let loss = Loss {
                    tail,
                    segment,
                    kind,
                };
                held.push((since, loss, bytes));
            }
        }
        held.sort_by_key(|(since, ..)| *since);
        let mut sum: u64 = held.iter().map(|(.., bytes)| bytes).sum();
        for (_, loss, bytes) in held {
            if sum <= self.max_held {
                return;
            }
            sum -= bytes;
            news.losses.push(loss);
        }
    }

    /// The time to the first tick: spread over the second, so that names that came together are not
    /// looked at together.
    pub fn first_tick(&self, key: TailKey) -> Duration {
        // The golden ratio leaves the largest gaps whatever the number of keys.
        let spread = (key as f64 * 0.618_034).fract();
        let period = if self.tails[key].tail.is_polled() {
            POLL
        } else {
            TICK
        };
        period.mul_f64(0.5 + spread / 2.0)
    }

    /// Names followed.
    pub fn len(&self) -> usize {
        self.tails.len()
    }

    /// Files held open.
    pub fn open_segments(&self) -> usize {
        self.open_segments
    }

    /// What deleted files take of the disk for clients that are behind, in bytes.
    pub fn held_bytes(&self) -> u64 {
        let tails = self.with_deleted.iter().map(|&key| self[key].chain());
        let held = tails.flat_map(|chain| chain.held_bytes());
        held.map(|(_, _, bytes)| bytes).sum()
    }

    /// Names that are polled, for want of a watch.
    pub fn polled(&self) -> usize {
        let tails = self
            .tails
            .iter()
            .filter(|(_, followed)| followed.tail.is_polled());
        tails.count()
    }

    /// Inodes watched.
    pub fn watches(&self) -> usize {
        self.watch.len()
    }

    /// Lends a tail what it needs, and keeps count of what it opens and closes.
    fn lend<T>(
        &mut self,
        key: TailKey,
        now: Instant,
        news: &mut News,
        look: impl FnOnce(&mut Tail, &mut Lent) -> T,
    ) -> T {
        let tail = &mut self.tails[key].tail;
        let before = tail.chain().open_segments();
        let seen = look(
            tail,
            &mut Lent {
                roots: &self.roots,
                watch: &mut self.watch,
                news,
                now,
                came: self.came,
                drain_grace: self.drain_grace,
            },
        );
        self.open_segments = self.open_segments - before + tail.chain().open_segments();
        match tail.chain().has_deleted() {
            true => self.with_deleted.insert(key),
            false => self.with_deleted.remove(&key),
        };
        seen
    }

    /// Looks at what bore the name since the last time, and at what does now. What is opened counts
    /// only if no event has come for it meanwhile.
    fn look(&mut self, key: TailKey, now: Instant, news: &mut News) -> io::Result<()> {
        if self.tails[key].tail.is_undecided() {
            // Time decides only what no event does: this process may have stood still for longer
            // than was to be waited.
            self.unread = true;
            self.read_hints();
            if self.unread {
                self.look_later(key, now);
                return Ok(());
            }
        }
        for _ in 0..SIGHTINGS_MAX {
            let Some(sighting) = self.lend(key, now, news, Tail::sight)? else {
                return Ok(());
            };
            self.unread = true;
            self.read_hints();
            if self.unread {
                // There is more than a turn's share: what has come meanwhile is not known yet.
                break;
            }
            if !self.lend(key, now, news, |tail, lent| tail.adopt(sighting, lent))? {
                return Ok(());
            }
        }
        self.look_later(key, now);
        Ok(())
    }

    /// There are more events than a turn's share, or the name changes faster than it is opened.
    fn look_later(&mut self, key: TailKey, now: Instant) {
        self.tails[key].tail.postpone(now);
        self.tails[key].line_up(key, &mut self.hinted);
    }

    /// The same for a name that has clients, who wait whatever the failure; and then at its files.
    fn look_again(&mut self, key: TailKey, now: Instant, news: &mut News) {
        if let Err(error) = self.look(key, now, news) {
            self.tails[key].tail.note_trouble(&error, news);
        }
        self.lend(key, now, news, Tail::measure_hinted);
    }

    /// Everything that a look can show.
    fn look_at_all(&mut self, key: TailKey, now: Instant, news: &mut News) {
        self.lend(key, now, news, Tail::measure_all);
        self.look_again(key, now, news);
    }

    fn forget(&mut self, key: TailKey, now: Instant, news: &mut News) {
        self.lend(key, now, news, |tail, lent| tail.close(lent.watch));
        let followed = self.tails.remove(key);
        self.keys.remove(followed.tail.place());
    }

    fn read_hints(&mut self) {
        for _ in 0..TURN_READS_MAX {
            if !self.unread {
                return;
            }
            let mut lost = false;
            let (tails, hinted) = (&mut self.tails, &mut self.hinted);
            let drained = self.watch.read(|hint| {
                let (Hint::File(key, ..) | Hint::Name(key, ..)) = hint else {
                    lost = true;
                    return false;
                };
                let Some(followed) = tails.get_mut(key) else {
                    return false;
                };
                let (matters, is_chasing) = followed.note(hint);
                if matters {
                    followed.line_up(key, hinted);
                }
                is_chasing
            });
            // A read that fails for good leaves the ticks.
            self.unread = !drained.unwrap_or(true);
            if lost {
                self.tails
                    .iter_mut()
                    .for_each(|(_, followed)| followed.tail.note_lost());
                self.suspect_all();
            }
        }
    }
}

impl Followed {
    /// Whether it is to be followed up, and whether all events of the directory matter for now.
    fn note(&mut self, hint: Hint) -> (bool, bool) {
        match hint {
            Hint::File(_, id, event) => (self.tail.note_file(id, event), false),
            // The turn may have begun long before.
            Hint::Name(_, id, moved) => (true, self.tail.note_name(id, moved, Instant::now())),
            Hint::All => (false, false),
        }
    }

    fn line_up(&mut self, key: TailKey, hinted: &mut VecDeque<TailKey>) {
        if !mem::replace(&mut self.is_hinted, true) {
            hinted.push_back(key);
        }
    }
}

impl Index<TailKey> for Tails {
    type Output = Tail;

    fn index(&self, key: TailKey) -> &Tail {
        &self.tails[key].tail
    }
}

impl IndexMut<TailKey> for Tails {
    fn index_mut(&mut self, key: TailKey) -> &mut Tail {
        &mut self.tails[key].tail
    }
}
