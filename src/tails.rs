//! All names that are followed: from a client's path to a tail, from inotify's hints to looks at
//! what they concern.

use crate::cursor::SegmentId;
use crate::news::News;
use crate::request::Refusal;
use crate::roots::{self, Place, Roots, Unresolved};
use crate::tail::Tail;
use crate::watch::{Hint, TailKey, Watch};

use mio::{Registry, Token};
use slab::Slab;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::ops::{Index, IndexMut};
use std::path::Path;
use std::time::Duration;

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
}

struct Followed {
    tail: Tail,
    hints: Vec<Hint>,
}

/// 5000 looks in one go take 20 ms (measured): a storm of hints and a burst of ticks are spread
/// over turns.
pub const TURN_LOOKS_MAX: usize = 64;

/// Beside a writer at full speed the queue never runs dry. One read takes 64 events or more.
const TURN_READS_MAX: usize = 16;

/// How often a quiet name is looked at although nothing was heard: mmap writers, switched directory
/// links and re-made directories send no event.
const TICK: Duration = Duration::from_secs(1);

/// The same where there is no watch to be had.
const POLL: Duration = Duration::from_millis(250);

impl Tails {
    pub fn new(roots: Roots) -> Tails {
        Tails {
            roots,
            watch: Watch::new(),
            tails: Slab::new(),
            keys: HashMap::new(),
            hinted: VecDeque::new(),
            unread: false,
            open_segments: 0,
        }
    }

    /// Asks for an edge for each event on a file.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        self.watch.register(registry, token)
    }

    /// The place that a client asked for.
    pub fn resolve(&self, asked: Option<&Path>) -> Result<Place, Unresolved> {
        self.roots.resolve(asked)
    }

    /// Whether there is a tail already.
    pub fn is_followed(&self, place: &Place) -> bool {
        self.keys.contains_key(place)
    }

    /// The tail of `place`, looked at just now, so that a client begins in what bears the name at
    /// this moment. One that was not followed yet is made; the caller puts a client into it at once,
    /// since a tail goes when its last one leaves.
    ///
    /// Errors are the true reasons, for the log; `roots::refusal` words them for the client.
    pub fn follow(&mut self, place: Place, news: &mut News) -> io::Result<TailKey> {
        if let Some(&key) = self.keys.get(&place) {
            self.look(key, |tail, roots, watch| {
                tail.look_again(roots, watch, news);
                tail.measure_newest(watch, news);
            });
            return Ok(key);
        }
        let entry = self.tails.vacant_entry();
        let key = entry.key();
        entry.insert(Followed {
            tail: Tail::new(key, place.clone(), &self.roots),
            hints: vec![],
        });
        self.keys.insert(place, key);
        if let Err(error) = self.look(key, |tail, roots, watch| tail.look(roots, watch, news)) {
            let is_to_come = self.roots.may_be_absent(self[key].place())
                && roots::refusal(&error) == Refusal::NoSuchFile;
            if !is_to_come {
                self.forget(key);
                return Err(error);
            }
            self.tails[key].tail.note_trouble(&error, news);
        }
        Ok(key)
    }

    /// A client in segment `segment` of `key` goes away. True: it was the tail's last, and the tail
    /// is gone.
    pub fn leave(&mut self, key: TailKey, segment: SegmentId) -> bool {
        self.look(key, |tail, _, watch| tail.leave(segment, watch));
        let is_deserted = self[key].is_deserted();
        if is_deserted {
            self.forget(key);
        }
        is_deserted
    }

    /// inotify is readable.
    pub fn note_readable(&mut self) {
        self.unread = true;
    }

    /// There is something to do without waiting for it.
    pub fn has_work(&self) -> bool {
        self.unread || !self.hinted.is_empty()
    }

    /// Reads what inotify has and looks where it points: the turn's share of both.
    pub fn refresh(&mut self, news: &mut News) {
        self.read_hints();
        for _ in 0..TURN_LOOKS_MAX.min(self.hinted.len()) {
            let Some(key) = self.hinted.pop_front() else {
                break;
            };
            // Deserted since: its key is free, or another's, to whom a look does no harm.
            let Some(followed) = self.tails.get_mut(key) else {
                continue;
            };
            let mut hints = mem::take(&mut followed.hints);
            for hint in hints.drain(..) {
                self.look(key, |tail, roots, watch| match hint {
                    Hint::File(_, id) => tail.measure_watched(id, watch, news),
                    Hint::Name(_) => tail.look_again(roots, watch, news),
                    Hint::All => tail.look_at_all(roots, watch, news),
                });
            }
            // Its room is used again: nothing is allocated a delivery.
            self.tails[key].hints = hints;
        }
    }

    /// Hints at everything: events were lost, or the operator says so.
    pub fn suspect_all(&mut self) {
        for (key, followed) in &mut self.tails {
            followed.suspect(key, Hint::All, &mut self.hinted);
        }
    }

    /// A segment turned out shorter than it should be.
    pub fn measure(&mut self, key: TailKey, segment: SegmentId, news: &mut News) {
        self.look(key, |tail, _, watch| {
            tail.measure_segment(segment, watch, news)
        });
    }

    /// The look that is due without a hint. Returns the time to the next one.
    pub fn tick(&mut self, key: TailKey, news: &mut News) -> Duration {
        self.look(key, |tail, roots, watch| {
            tail.look_at_all(roots, watch, news)
        });
        if self[key].is_polled() { POLL } else { TICK }
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

    /// Inodes watched.
    pub fn watches(&self) -> usize {
        self.watch.len()
    }

    /// Lends a tail what it needs, and keeps count of what it opens and closes.
    fn look<T>(
        &mut self,
        key: TailKey,
        look: impl FnOnce(&mut Tail, &Roots, &mut Watch) -> T,
    ) -> T {
        let tail = &mut self.tails[key].tail;
        let before = tail.open_segments();
        let seen = look(tail, &self.roots, &mut self.watch);
        self.open_segments = self.open_segments - before + tail.open_segments();
        seen
    }

    fn forget(&mut self, key: TailKey) {
        self.look(key, |tail, _, watch| tail.close(watch));
        let followed = self.tails.remove(key);
        self.keys.remove(followed.tail.place());
    }

    fn read_hints(&mut self) {
        for _ in 0..TURN_READS_MAX {
            if !self.unread {
                return;
            }
            let mut lost = false;
            let drained = self.watch.read(|hint| match hint {
                Hint::File(key, _) | Hint::Name(key) => {
                    if let Some(followed) = self.tails.get_mut(key) {
                        followed.suspect(key, hint, &mut self.hinted);
                    }
                }
                Hint::All => lost = true,
            });
            // A read that fails for good leaves the ticks.
            self.unread = !drained.unwrap_or(true);
            if lost {
                self.suspect_all();
            }
        }
    }
}

impl Followed {
    fn suspect(&mut self, key: TailKey, hint: Hint, hinted: &mut VecDeque<TailKey>) {
        if self.hints.is_empty() {
            hinted.push_back(key);
        }
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
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
