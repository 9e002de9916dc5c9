//! The list of what could be asked for: made in slices, so that nobody waits for it, and for all
//! who ask within a second.
//!
//! | asked                                  | answer                                           |
//! |----------------------------------------|--------------------------------------------------|
//! | a list that was finished just now      | the same, or what it was refused with            |
//! | one that is being made, or in line     | later, together with those who asked before      |
//! | another one                            | later: it goes to the end of the line            |
//! | a directory that cannot be served      | `no such file`, at once                          |
//! | while too much is in line or in memory | `try again`                                      |
//!
//! A line is `SIZE TAB MTIME TAB NAME`. Lines are sorted by name, by the bytes that it is decoded
//! to: as `LC_ALL=C sort` does.

mod line;

mod walk;

use walk::Walk;

use crate::refusal::Refusal;
use crate::roots::{Place, Roots};
use crate::texts::{TextKey, Texts};

use mio::Token;

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a list is good for others who ask.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How many different lists are kept for that.
const KEPT_MAX: usize = 16;

/// How many different lists may be in line, the one that is being made among them.
const LINE_MAX: usize = 64;

/// How many clients may wait in all: those who go meanwhile stay among them until their list is
/// there.
const WAITING_MAX: usize = 1 << 16;

/// No list is begun while those in memory take so much: clients that do not read would hold one
/// each.
const TEXTS_BYTES_MAX: usize = 64 << 20;

/// The lists of a moment, and who waits for one.
#[derive(Default)]
pub struct Listings {
    /// In the order in which they were finished.
    kept: VecDeque<Kept>,
    /// Those to be made; the first is the one under way.
    line: VecDeque<Ordered>,
    /// How many wait in all orders.
    waiting: usize,
}

struct Kept {
    top: Option<Place>,
    outcome: Result<TextKey, Refusal>,
    finished: Instant,
}

struct Ordered {
    walk: Walk,
    clients: Vec<Token>,
}

/// What a client that asks for a list gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// To be entered for the client before the next `ask` or `step`, which may free it.
    Ready(TextKey),
    /// The client hears from `step` when it is to ask again.
    Later,
}

impl Listings {
    /// The list of `dir`, decoded and not judged; of everything where that is `None`.
    pub fn ask(
        &mut self,
        dir: Option<&Path>,
        client: Token,
        roots: &Roots,
        texts: &mut Texts,
        now: Instant,
    ) -> Result<Listed, Refusal> {
        let top = roots.resolve_list(dir);
        let top = top.map_err(|unresolved| unresolved.refusal)?;
        self.drop_old(texts, now);
        if let Some(kept) = self.kept.iter().find(|kept| kept.top == top) {
            return kept.outcome.map(Listed::Ready);
        }
        if self.waiting >= WAITING_MAX {
            return Err(Refusal::TryAgain);
        }
        let has_room = self.line.len() < LINE_MAX && texts.held_bytes() < TEXTS_BYTES_MAX;
        let mut line = self.line.iter_mut();
        match line.find(|ordered| *ordered.walk.top() == top) {
            Some(ordered) => ordered.clients.push(client),
            None if !has_room => return Err(Refusal::TryAgain),
            None => self.line.push_back(Ordered {
                walk: Walk::new(top, roots),
                clients: vec![client],
            }),
        }
        self.waiting += 1;
        Ok(Listed::Later)
    }

    /// There is a list to be made.
    pub fn has_work(&self) -> bool {
        !self.line.is_empty()
    }

    /// One slice of the walk under way; the clients that can ask again now (their list is ready, or
    /// has been refused) are appended to `ready`. Some of them may have gone. They are to ask at
    /// the same `now`: in a second the list is not theirs any more.
    pub fn step(&mut self, roots: &Roots, texts: &mut Texts, now: Instant, ready: &mut Vec<Token>) {
        self.drop_old(texts, now);
        let Some(ordered) = self.line.front_mut() else {
            return;
        };
        let Some(outcome) = ordered.walk.step(roots) else {
            return;
        };
        let outcome = outcome.map(|text| {
            let key = texts.add(text);
            texts.enter(key);
            key
        });
        if self.kept.len() >= KEPT_MAX {
            self.drop_oldest(texts);
        }
        if let Some(Ordered { walk, clients }) = self.line.pop_front() {
            self.kept.push_back(Kept {
                top: walk.into_top(),
                outcome,
                finished: now,
            });
            self.waiting -= clients.len();
            ready.extend(clients);
        }
    }

    fn drop_old(&mut self, texts: &mut Texts, now: Instant) {
        let is_old = |kept: &Kept| now.saturating_duration_since(kept.finished) > GOOD_FOR;
        while self.kept.front().is_some_and(is_old) {
            self.drop_oldest(texts);
        }
    }

    fn drop_oldest(&mut self, texts: &mut Texts) {
        let oldest = self.kept.pop_front();
        if let Some(key) = oldest.and_then(|kept| kept.outcome.ok()) {
            texts.leave(key);
        }
    }
}

#[cfg(test)]
mod tests;
