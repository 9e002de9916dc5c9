//! When a file that has lost its name is finished, so that its clients may go on to the next. Pure.
//!
//! | somebody writes to it? | and                                              | then it is         |
//! |------------------------|--------------------------------------------------|--------------------|
//! | nobody does            | there is a successor                             | `NoWriter`         |
//! | nobody does            | no name leads to it                              | `Unreachable`      |
//! | nobody may know        | a writer closed it, and 200 ms were silent       | `WriterClosed`     |
//! | whatever               | the successor has data, and it was silent for    | `Silent`           |
//! |                        | `--drain-grace`                                  |                    |
//! | whatever               | the successor has had data for 60 s              | `BothGrow`         |
//!
//! It is written to until its writers have opened the new file, and they take their time: nginx
//! does it when it is told to. Without a successor it is followed for ever.

use std::time::{Duration, Instant};

/// Whether a process has a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    Gone,
    Present,
    /// We may not ask, or the answer would not be worth much.
    Unknown,
}

/// What is known of a file since it lost its name.
#[derive(Clone, Copy, Debug)]
pub struct Rotated {
    since: Instant,
    grown: Instant,
    /// The last write or close by a writer.
    stirred: Instant,
    /// The last close by a writer.
    closed: Option<Instant>,
}

/// What a file that has lost its name is judged by, beside what is known since then.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    pub now: Instant,
    pub writers: Writers,
    /// No name leads to it any more.
    pub is_deleted: bool,
    /// There is a younger file; the time at which it first had data.
    pub successor: Option<Option<Instant>>,
    /// `--drain-grace`.
    pub drain_grace: Duration,
}

/// Whether more bytes are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Finished(Rule),
    /// To ask again at this time, if nothing happens before.
    Wait(Option<Instant>),
}

/// Why a file is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No process has it open for writing.
    NoWriter,
    /// A writer closed it, and it has been silent since; whether another has it open is not known.
    WriterClosed,
    /// Its successor has data, and it has been silent for `--drain-grace`.
    Silent,
    /// Both have grown for `BOTH_GROW`.
    BothGrow,
    /// No name leads to it and no process has it open for writing: nothing can come, successor or
    /// not.
    Unreachable,
    /// It was truncated.
    Truncated,
    /// It bears the name again, and goes on there.
    CameBack,
}

/// How long after a close no other writer may have stirred. nginx's workers reopen one after the
/// other.
const CLOSE_SETTLES: Duration = Duration::from_millis(200);

const BOTH_GROW: Duration = Duration::from_secs(60);

/// close(2) sends its event before it gives the right to write back (`__fput` in fs/file_table.c):
/// asked at once, the kernel may still answer that there is a writer.
const CLOSE_LAGS: Duration = Duration::from_millis(50);
const CLOSE_RETRY: Duration = Duration::from_millis(5);

impl Rotated {
    pub fn new(now: Instant) -> Rotated {
        Rotated {
            since: now,
            grown: now,
            stirred: now,
            closed: None,
        }
    }

    /// It has become longer.
    pub fn grew(&mut self, now: Instant) {
        self.grown = now;
    }

    /// Somebody wrote to it.
    pub fn stirred(&mut self, now: Instant) {
        self.stirred = now;
    }

    /// A writer closed it.
    pub fn closed(&mut self, now: Instant) {
        self.stirred = now;
        self.closed = Some(now);
    }

    /// How long ago it lost its name is what makes it older than another.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The four rules, and the one for what nothing leads to.
    pub fn verdict(&self, evidence: &Evidence) -> Verdict {
        let now = evidence.now;
        match (evidence.writers, evidence.successor) {
            (Writers::Gone, Some(_)) => return Verdict::Finished(Rule::NoWriter),
            (Writers::Gone, None) if evidence.is_deleted => {
                return Verdict::Finished(Rule::Unreachable);
            }
            (_, None) => return Verdict::Wait(None),
            (_, Some(_)) => {}
        }
        let settled = self.closed.map(|_| self.stirred + CLOSE_SETTLES);
        let settled = settled.filter(|_| evidence.writers == Writers::Unknown);
        let successor = evidence.successor.flatten();
        let silent = successor.map(|_| self.grown + evidence.drain_grace);
        let both_grow = successor.map(|since| since + BOTH_GROW);
        for (at, rule) in [
            (settled, Rule::WriterClosed),
            (silent, Rule::Silent),
            (both_grow, Rule::BothGrow),
        ] {
            if at.is_some_and(|at| now >= at) {
                return Verdict::Finished(rule);
            }
        }
        let is_closing = |closed: &Instant| now < *closed + CLOSE_LAGS;
        let retry = self.closed.filter(is_closing).map(|_| now + CLOSE_RETRY);
        let retry = retry.filter(|_| evidence.writers == Writers::Present);
        let times = [settled, silent, both_grow, retry];
        Verdict::Wait(times.into_iter().flatten().min())
    }
}

impl Rule {
    /// No more bytes can have come. Otherwise the file is watched for a while longer.
    pub fn is_certain(self) -> bool {
        !matches!(self, Rule::WriterClosed | Rule::Silent | Rule::BothGrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules() {
        use Writers::*;
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let closed = |millis| {
            let mut rotated = Rotated::new(start);
            rotated.closed(at(millis));
            rotated
        };
        let grown = |millis| {
            let mut rotated = Rotated::new(start);
            rotated.stirred(at(millis));
            rotated.grew(at(millis));
            rotated
        };
        let done = Verdict::Finished;
        let until = |millis| Verdict::Wait(Some(at(millis)));
        let (wait, closes) = (Verdict::Wait(None), done(Rule::WriterClosed));
        let both = done(Rule::BothGrow);
        let (empty, data) = (Some(None), Some(Some(start)));
        for (rotated, now, writers, is_deleted, successor, expected) in [
            // Nobody writes.
            (grown(0), 0, Gone, false, empty, done(Rule::NoWriter)),
            (grown(0), 0, Gone, false, None, wait),
            (grown(0), 0, Gone, true, None, done(Rule::Unreachable)),
            (grown(0), 0, Gone, true, empty, done(Rule::NoWriter)),
            // Without a successor nothing else matters.
            (closed(0), 99_000, Present, true, None, wait),
            (closed(0), 99_000, Unknown, true, None, wait),
            // A close, and silence.
            (closed(100), 100, Unknown, false, empty, until(300)),
            (closed(100), 299, Unknown, false, empty, until(300)),
            (closed(100), 300, Unknown, false, empty, closes),
            (grown(100), 4000, Unknown, false, empty, wait),
            // The close is known to be not the last one, and soon after it is asked again.
            (closed(100), 120, Present, false, empty, until(125)),
            (closed(100), 300, Present, false, empty, wait),
            // The grace.
            (grown(1000), 5999, Present, false, data, until(6000)),
            (grown(1000), 6000, Present, false, data, done(Rule::Silent)),
            (grown(1000), 6000, Unknown, false, data, done(Rule::Silent)),
            (grown(1000), 6000, Present, false, empty, wait),
            // Both grow.
            (grown(59_000), 59_999, Present, false, data, until(60_000)),
            (grown(59_000), 60_000, Present, false, data, both),
        ] {
            let evidence = Evidence {
                now: at(now),
                writers,
                is_deleted,
                successor,
                drain_grace: Duration::from_secs(5),
            };
            assert_eq!(rotated.verdict(&evidence), expected, "{evidence:?}");
        }
    }
}
