//! Who runs next and how long to sleep: followers, backlog, deadlines.
//!
//! Tokens of clients that have gone meanwhile may still stand in a queue: whoever takes one asks
//! whether it is still good.

use crate::watch::TailKey;

use mio::Token;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Which queue a client with something to do stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// At the live end: one serve brings it there. All of them are served in a turn.
    Followers,
    /// A search, or more to send than one serve may. One of them is served in a turn.
    Backlog,
}

/// What is to happen at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// A client has not sent its header.
    Header(Token),
    /// A client's request is looked at once more.
    Begin(Token),
    /// A client looks whether what it waits for is in memory.
    Cold(Token),
    /// A client that has nothing to be sent is to be told so.
    Pulse(Token),
    /// A client has not closed its side after our FIN.
    Drain(Token),
    /// A tail is looked at without a hint.
    Tick(TailKey),
    /// Clients were probed out of turn for long enough.
    ProbeOver,
    /// Messages that were held back are due.
    HeldBack,
    /// accept(2) failed for want of something and is tried again.
    Accept,
    /// The last clients were given their time to drain.
    Exit,
}

/// Queues and deadlines.
#[derive(Default)]
pub struct Schedule {
    followers: VecDeque<Token>,
    backlog: VecDeque<Token>,
    /// Clients that may have something to read.
    inbox: VecDeque<Token>,
    deadlines: BTreeSet<(Instant, Due)>,
    /// The same by what is due, so that each can be cancelled exactly.
    armed: HashMap<Due, Instant>,
}

impl Schedule {
    /// To the end of a lane.
    pub fn push(&mut self, lane: Lane, client: Token) {
        match lane {
            Lane::Followers => self.followers.push_back(client),
            Lane::Backlog => self.backlog.push_back(client),
        }
    }

    /// From the front of a lane.
    pub fn pop(&mut self, lane: Lane) -> Option<Token> {
        match lane {
            Lane::Followers => self.followers.pop_front(),
            Lane::Backlog => self.backlog.pop_front(),
        }
    }

    /// How many stand in a lane now; those who line up again during a turn are for the next one.
    pub fn len(&self, lane: Lane) -> usize {
        match lane {
            Lane::Followers => self.followers.len(),
            Lane::Backlog => self.backlog.len(),
        }
    }

    /// To the end of those who may have something to read.
    pub fn push_inbox(&mut self, client: Token) {
        self.inbox.push_back(client);
    }

    /// From their front.
    pub fn pop_inbox(&mut self) -> Option<Token> {
        self.inbox.pop_front()
    }

    /// How many they are now.
    pub fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// Somebody can be served without waiting for anything.
    pub fn has_work(&self) -> bool {
        !(self.followers.is_empty() && self.backlog.is_empty() && self.inbox.is_empty())
    }

    /// Sets a deadline, in place of an earlier one for the same.
    pub fn arm(&mut self, due: Due, at: Instant) {
        self.cancel(due);
        self.deadlines.insert((at, due));
        self.armed.insert(due, at);
    }

    /// The same, but an earlier one stays.
    pub fn arm_earlier(&mut self, due: Due, at: Instant) {
        if self.armed.get(&due).is_none_or(|armed| at < *armed) {
            self.arm(due, at);
        }
    }

    /// Takes a deadline back; none is none.
    pub fn cancel(&mut self, due: Due) {
        if let Some(at) = self.armed.remove(&due) {
            self.deadlines.remove(&(at, due));
        }
    }

    /// The earliest deadline that has passed, taken out.
    pub fn pop_due(&mut self, now: Instant) -> Option<Due> {
        let &(at, due) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.cancel(due);
        Some(due)
    }

    /// How long there is nothing to do; `None` for ever.
    pub fn sleep(&self, now: Instant) -> Option<Duration> {
        self.deadlines
            .first()
            .map(|(at, _)| at.saturating_duration_since(now))
    }

    /// Whether something is to happen at some time; for `check_invariants`.
    pub fn is_armed(&self, due: Due) -> bool {
        self.armed.contains_key(&due)
    }

    /// Everybody in line; for `check_invariants`.
    pub fn lined_up(&self) -> impl Iterator<Item = Token> {
        self.followers.iter().chain(&self.backlog).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_can_be_cancelled_and_moved() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(schedule.sleep(start), None);
        schedule.arm(Due::Tick(1), after(3));
        schedule.arm(Due::Header(Token(7)), after(2));
        schedule.arm(Due::Accept, after(1));
        schedule.arm(Due::Accept, after(6));
        schedule.arm_earlier(Due::Accept, after(4));
        schedule.arm_earlier(Due::Accept, after(5));
        schedule.cancel(Due::Header(Token(7)));
        schedule.cancel(Due::Exit);
        assert_eq!(schedule.sleep(start), Some(Duration::from_secs(3)));
        assert_eq!(schedule.pop_due(after(2)), None);
        assert_eq!(schedule.pop_due(after(9)), Some(Due::Tick(1)));
        assert_eq!(schedule.pop_due(after(9)), Some(Due::Accept));
        assert_eq!(schedule.pop_due(after(9)), None);
        assert_eq!(schedule.sleep(start), None);
    }
}
