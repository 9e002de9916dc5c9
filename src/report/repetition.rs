//! One kind of message that others can provoke: said at most once a second, with a count of the
//! rest.

use log::{Level, debug, log, log_enabled};

use std::fmt::{self, Write};
use std::mem;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

/// What was said of a kind, and what was not since.
#[derive(Default)]
pub struct Repetition {
    said: Option<Instant>,
    held_back: u64,
    /// The last of these, and its level.
    last: String,
    level: Option<Level>,
}

impl Repetition {
    /// Says it, or holds it back: then until the time that is returned.
    pub fn say(&mut self, level: Level, message: fmt::Arguments, now: Instant) -> Option<Instant> {
        let Some(until) = self.until().filter(|until| now < *until) else {
            self.say_with_count(level, message, now);
            return None;
        };
        self.held_back += 1;
        if log_enabled!(Level::Debug) {
            // It is not said again.
            debug!("{message}");
            return None;
        }
        self.level = Some(level);
        self.last.clear();
        let _ = self.last.write_fmt(message);
        Some(until)
    }

    /// Says what was held back, if it is time; returns when it is, otherwise.
    pub fn say_held_back(&mut self, now: Instant) -> Option<Instant> {
        let until = self.until().filter(|_| self.level.is_some())?;
        if now < until {
            return Some(until);
        }
        self.say_last(now);
        None
    }

    /// The last message that was held back stands for the others.
    pub fn say_last(&mut self, now: Instant) {
        let Some(level) = self.level else { return };
        self.held_back -= 1;
        let last = mem::take(&mut self.last);
        self.say_with_count(level, format_args!("{last}"), now);
        self.last = last;
    }

    fn say_with_count(&mut self, level: Level, message: fmt::Arguments, now: Instant) {
        match mem::take(&mut self.held_back) {
            0 => log!(level, "{message}"),
            held_back => log!(level, "{message} (and {held_back} more of this kind)"),
        }
        self.said = Some(now);
        self.level = None;
    }

    fn until(&self) -> Option<Instant> {
        self.said.map(|said| said + PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_once_a_second() {
        let mut kind = Repetition::default();
        let start = Instant::now();
        let say = |kind: &mut Repetition, now| kind.say(Level::Warn, format_args!("full"), now);
        assert_eq!(say(&mut kind, start), None);
        assert_eq!(say(&mut kind, start), Some(start + PERIOD));
        assert_eq!(say(&mut kind, start + PERIOD / 2), Some(start + PERIOD));
        assert_eq!(kind.held_back, 2);
        assert_eq!(kind.say_held_back(start + PERIOD / 2), Some(start + PERIOD));
        assert_eq!(kind.say_held_back(start + PERIOD), None);
        assert_eq!(kind.held_back, 0);
        assert_eq!(say(&mut kind, start + PERIOD), Some(start + 2 * PERIOD));
        // Its count goes with the next one.
        assert_eq!(say(&mut kind, start + 2 * PERIOD), None);
        assert_eq!(kind.held_back, 0);
        assert_eq!(kind.say_held_back(start + 3 * PERIOD), None);
    }
}
