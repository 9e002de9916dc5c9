//! How the files of a tail change: measured, truncated, finished, let go.

use super::{Lent, Tail};
use crate::chain::{Hinted, SEGMENTS_MAX};
use crate::cursor::SegmentId;
use crate::disk::{self, Wait};
use crate::error::reason;
use crate::finish::{Evidence, Rule, Verdict};
use crate::marker::Seen;
use crate::news::{Loss, LossKind, Note};
use crate::open_file::Identity;
use crate::segment::{Depth, Measured, Segment};

use std::io;
use std::mem;
use std::time::{Duration, Instant};

/// A file that cannot be looked at (fstat, its marker) is tried again after a pause, and then its
/// clients are closed.
const FAILURES_MAX: u32 = 5;
pub(super) const FAILURE_PAUSE: Duration = Duration::from_millis(100);

impl Tail {
    /// Looks at the files that events hint at, and judges if something has happened to one that has
    /// lost its name.
    pub fn measure_hinted(&mut self, lent: &mut Lent) {
        let mut index = 0;
        while index < self.chain.len() {
            let held = self.chain.at(index);
            let hinted = mem::take(&mut held.hinted);
            if let Some(rotated) = &mut held.rotated {
                match hinted {
                    Hinted { closed: true, .. } => rotated.closed(lent.now),
                    Hinted { modified: true, .. } => rotated.stirred(lent.now),
                    _ => {}
                }
            }
            if hinted != Hinted::default() {
                self.measure(index, Depth::Marker, lent);
            }
            index += 1;
        }
        if mem::take(&mut self.is_judgement_due) {
            self.judge(false, lent);
        }
    }

    /// Everything that a look at the files can show: the tick's, and after lost events.
    pub fn measure_all(&mut self, lent: &mut Lent) {
        let mut index = 0;
        while index < self.chain.len() {
            self.chain.at(index).hinted = Hinted::default();
            self.measure(index, Depth::BothEnds, lent);
            index += 1;
        }
        self.judge(true, lent);
    }

    /// Looks at one segment only.
    pub fn measure_segment(&mut self, id: SegmentId, lent: &mut Lent) {
        self.measure(self.chain.index(id), Depth::Marker, lent);
    }

    /// Looks at the newest segment only.
    pub fn measure_newest(&mut self, lent: &mut Lent) {
        self.measure(self.chain.len() - 1, Depth::Marker, lent);
    }

    /// What events have said meanwhile of the file that is about to lose the name comes first: one
    /// that was truncated while it had it goes on from there.
    pub(super) fn measure_before_rotation(&mut self, lent: &mut Lent) {
        let newest = self.chain.newest();
        if newest.hinted.modified && newest.rotated.is_none() {
            self.measure_newest(lent);
        }
    }

    /// Puts a file behind the newest, or where one was still to come.
    pub(super) fn push(&mut self, begin: u64, segment: Segment, lent: &mut Lent) {
        self.measure_before_rotation(lent);
        let newest = self.chain.newest_mut();
        let is_to_come = newest.segment.is_to_come();
        // Those who wait for a file to come are at its start already.
        if is_to_come && (begin == 0 || newest.clients() == 0) {
            newest.replace(begin, segment);
            if newest.id > 0 {
                self.note_replaced(lent);
            }
            return;
        }
        if is_to_come {
            newest.finished = Some(Rule::CameBack);
        }
        newest.rotate(lent.now);
        // Whoever asked for more than the old file ever had gets to know now.
        newest.wake(&mut lent.news.woken);
        self.chain.push(begin, segment);
        self.note_replaced(lent);
    }

    /// A file bore the name that nobody will ever see.
    pub(super) fn place_gap(&mut self, lent: &mut Lent) {
        self.push(0, Segment::never_seen(), lent);
        let gap = self.chain.newest_mut();
        gap.first_byte = Some(lent.now);
        gap.wake(&mut lent.news.woken);
        self.chain.push(0, Segment::to_come());
        lent.news.notes.push(Note::Gap {
            path: self.path.clone(),
        });
    }

    /// Where a file goes on that is about to be the newest: where it ended, if it was one before.
    /// `None`: that cannot be told now.
    pub(super) fn recall(&mut self, identity: Identity, lent: &mut Lent) -> Option<Seen> {
        if let Some(index) = self.chain.position(identity) {
            // It may wait: seldom has a file that comes back so soon left memory.
            if !self.measure_within(index, Depth::Marker, true, lent) {
                return None;
            }
            let held = self.chain.at(index);
            // Whatever comes now belongs to the segment that it is about to be.
            held.segment.finish();
            if held.finished.is_none() {
                self.finish(index, Rule::CameBack, lent);
            }
        }
        let seen = self.chain.recall(identity, self.key, lent.watch);
        Some(seen.unwrap_or_default())
    }

    /// Renews every watch that is missing, and those of directories that were made anew.
    pub(super) fn watch_everything(&mut self, lent: &mut Lent) {
        let mut failure = None;
        for name in &mut self.names {
            failure = name.watch(self.key, lent.watch).err().or(failure);
        }
        for index in 0..self.chain.len() {
            let held = self.chain.at(index);
            failure = held.watch(self.key, lent.watch).err().or(failure);
        }
        if let (None, Some(error)) = (&self.unwatched, &failure) {
            lent.news.notes.push(Note::CannotWatch {
                path: self.path.clone(),
                why: reason(error),
            });
        }
        self.unwatched = failure;
    }

    /// False: it could not be looked at. It stays as it was until it can be, or is given up.
    pub(super) fn measure(&mut self, index: usize, depth: Depth, lent: &mut Lent) -> bool {
        let held = self.chain.at(index);
        held.wait = held.wait.filter(|wait| !wait.is_forgotten(lent.now));
        let may_wait = held
            .wait
            .is_some_and(|wait| wait.is_overdue(lent.came, lent.now));
        self.measure_within(index, depth, may_wait, lent)
    }

    /// The same; `may_wait`: even if the disk has to be waited for.
    fn measure_within(
        &mut self,
        index: usize,
        depth: Depth,
        may_wait: bool,
        lent: &mut Lent,
    ) -> bool {
        let held = self.chain.at(index);
        held.tried = Some(lent.now);
        let offset = held.segment.end();
        let began = may_wait.then(Instant::now);
        let measured = match held.segment.measure(depth, may_wait) {
            Ok(measured) => measured,
            Err(error) => {
                self.fail_to_measure(index, &error, may_wait, lent);
                return false;
            }
        };
        if measured == Measured::Quiet {
            return true;
        }
        if measured == Measured::Cold || !held.segment.is_marked() {
            let wait = *held.wait.get_or_insert(Wait::since(lent.now));
            let again = lent.now + wait.pause(lent.now);
            lent.news.soon.push((self.key, again));
        } else {
            held.wait = held.wait.filter(|_| began.is_some_and(disk::was_quick));
            held.checked = Some(lent.now);
            held.failures = 0;
        }
        match measured {
            Measured::Cold => return false,
            Measured::Same | Measured::Quiet => {}
            Measured::Truncated => self.truncate(index, lent),
            Measured::Grown(bytes) => {
                held.first_byte.get_or_insert(lent.now);
                if let Some(rotated) = &mut held.rotated {
                    rotated.grew(lent.now);
                }
                held.wake(&mut lent.news.woken);
                if held.finished.is_some() {
                    let segment = held.id;
                    self.come_late(segment, offset, bytes, lent);
                }
            }
        }
        true
    }

    /// ENOMEM passes; EIO, as a rule, does not, and never where it was waited for.
    fn fail_to_measure(
        &mut self,
        index: usize,
        error: &io::Error,
        has_waited: bool,
        lent: &mut Lent,
    ) {
        let held = self.chain.at(index);
        held.failures += 1;
        if held.failures < FAILURES_MAX && !has_waited {
            lent.news.soon.push((self.key, lent.now + FAILURE_PAUSE));
            return;
        }
        held.failures = 0;
        lent.news.losses.push(Loss {
            tail: self.key,
            segment: held.id,
            kind: LossKind::Unreadable {
                errno: error.raw_os_error().unwrap_or(0),
            },
        });
    }

    /// Bytes have come to a segment that some have passed over.
    fn come_late(&mut self, segment: SegmentId, offset: u64, bytes: u64, lent: &mut Lent) {
        lent.news.losses.push(Loss {
            tail: self.key,
            segment,
            kind: LossKind::Late { offset, bytes },
        });
        lent.news.notes.push(Note::Late {
            path: self.path.clone(),
            bytes,
        });
    }

    fn truncate(&mut self, index: usize, lent: &mut Lent) {
        let is_newest = index == self.chain.len() - 1;
        let held = self.chain.at(index);
        let (end, clients_behind) = (held.segment.end(), held.clients_behind());
        lent.news.losses.push(Loss {
            tail: self.key,
            segment: held.id,
            kind: LossKind::Truncated {
                end,
                clients_behind,
            },
        });
        match (is_newest, held.rotated) {
            (true, None) => {
                held.wake(&mut lent.news.woken);
                held.finished = Some(Rule::Truncated);
                let (watch, segment) = (held.watch.take(), held.segment.truncate());
                let next = self.chain.push(0, segment);
                next.watch = watch;
                // From 0 it can only have grown.
                self.measure_newest(lent);
            }
            _ => {
                held.unwatch(self.key, lent.watch);
                held.segment.end_truncated();
                if held.finished.is_none() {
                    self.finish(index, Rule::Truncated, lent);
                }
            }
        }
    }

    /// Which of the files that have lost the name are finished. `all`: look at those as well that
    /// were left and that nothing hints at.
    pub(super) fn judge(&mut self, all: bool, lent: &mut Lent) {
        let mut index = 0;
        while index < self.chain.len() {
            if let Verdict::Finished(rule) = self.verdict(index, lent) {
                // Once more: what the last writer wrote before it closed.
                let end = self.chain.at(index).segment.end();
                let is_known = self.measure(index, Depth::Marker, lent);
                let held = self.chain.at(index);
                let is_silent = rule.is_certain() || held.segment.end() == end;
                if is_known && is_silent && held.finished.is_none() {
                    self.finish(index, rule, lent);
                }
            }
            index += 1;
        }
        self.review_left(all, lent);
        self.chain.let_go(lent.now, self.key, lent.watch);
    }

    fn verdict(&mut self, index: usize, lent: &mut Lent) -> Verdict {
        let successor = self.chain.successor(index);
        let held = self.chain.at(index);
        let is_deleted = held.segment.is_deleted();
        let (None, Some(rotated)) = (held.finished, held.rotated) else {
            return Verdict::Wait(None);
        };
        if successor.is_none() && !is_deleted {
            return Verdict::Wait(None);
        }
        let verdict = rotated.verdict(&Evidence {
            now: lent.now,
            writers: held.segment.writers(),
            is_deleted,
            successor,
            drain_grace: lent.drain_grace,
        });
        if let Verdict::Wait(Some(at)) = verdict {
            lent.news.soon.push((self.key, at));
        }
        verdict
    }

    fn finish(&mut self, index: usize, rule: Rule, lent: &mut Lent) {
        let is_newest = index == self.chain.len() - 1;
        let held = self.chain.at(index);
        held.finished = Some(rule);
        if rule.is_certain() {
            held.segment.finish();
        }
        let end = held.segment.end();
        held.wake(&mut lent.news.woken);
        lent.news.notes.push(Note::Finished {
            path: self.path.clone(),
            end,
            rule,
            clients: self.chain.clients_up_to(index),
        });
        if is_newest {
            self.chain.push(0, Segment::to_come());
        }
    }

    fn review_left(&mut self, all: bool, lent: &mut Lent) {
        let mut late = vec![];
        self.chain
            .review_left(all, lent.now, self.key, lent.watch, |found| {
                late.push(found)
            });
        for found in late {
            self.come_late(found.segment, found.offset, found.bytes, lent);
        }
    }

    /// A stuck client may keep so many files open and no more. Whoever is in the oldest has had a
    /// turn to move on since that was the oldest.
    pub(super) fn limit(&mut self, lent: &mut Lent) {
        let oldest = self.chain.at(0).id;
        let since = match self.crowded {
            Some((segment, since)) if segment == oldest => since,
            _ => lent.now,
        };
        self.crowded = Some((oldest, since));
        if since < lent.now {
            let surplus = self.chain.len().saturating_sub(SEGMENTS_MAX + 1);
            lent.news.losses.push(Loss {
                tail: self.key,
                segment: self.chain.at(surplus).id,
                kind: LossKind::Crowded,
            });
        }
    }

    fn note_replaced(&self, lent: &mut Lent) {
        lent.news.notes.push(Note::Replaced {
            path: self.path.clone(),
        });
    }
}
