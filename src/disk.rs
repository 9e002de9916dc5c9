//! Who waits for the disk, and how much is asked of it.
//!
//! A client whose next bytes are not in the page cache asks for them and comes back after a pause.
//! The disk serves in the order in which it was asked: everything asked ahead by one client is what
//! another has to wait for. So what they ask for together is what the disk brings in a short while;
//! a few ask at a time, the others stand in line, and whoever has got something goes to its end.

use mio::Token;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// epoll_wait(2) counts in milliseconds, and a fast disk has brought much by then.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// A page that cannot be read is asked for in vain, for ever, and without a word: only a read that
/// waits says EIO. So much is read like that at a time, and everywhere where the file system does
/// not tell what is in memory.
pub const WAIT_BYTES_MAX: usize = 64 << 10;

/// When a disk has brought nothing for so long, a read waits. One that a cgroup limits brings
/// things in lumps, 106 ms apart (measured): a read that waits then stops everybody for the rest of
/// that.
const PATIENCE: Duration = Duration::from_millis(200);

/// The same while it brings something to others: this place may be the bad one.
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// A read that was allowed to wait and does not take as long has not waited: what it wants was in
/// memory, and the kernel did not admit it.
const QUICK: Duration = Duration::from_millis(1);

/// For so long such a kernel is not believed, so that clients get on.
const DISBELIEF: Duration = Duration::from_secs(1);

/// For so long after it was asked, a disk may still be at it.
const BRINGING: Duration = Duration::from_secs(1);

/// Enough to keep a disk with several heads busy, and one behind a cgroup's limit.
const ASKING_MAX: usize = 4;

/// What is asked for at a time, by all together, is what came in so long.
const WINDOW: Duration = Duration::from_millis(50);

/// For how long what comes is counted. A cgroup's limit lets it through in slices of 100 ms
/// (measured).
const PERIOD: Duration = Duration::from_millis(200);

/// From here on more of them ask, and not each for more.
const WINDOW_BYTES: u64 = 256 << 10;

const WINDOW_BYTES_MIN: u64 = 64 << 10;

const WINDOW_BYTES_MAX: u64 = 4 << 20;

/// How long something has been waited for that is not in memory.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    since: Instant,
}

impl Wait {
    /// It begins.
    pub fn since(now: Instant) -> Wait {
        Wait { since: now }
    }

    /// How long to leave it alone: a quarter of the time that it has taken already, so that a slow
    /// disk costs few turns.
    pub fn pause(&self, now: Instant) -> Duration {
        PAUSE_MIN.max(self.length(now) / 4)
    }

    /// Whether it should have come, from a disk that brought something to somebody at `came` for
    /// the last time.
    pub fn is_overdue(&self, came: Option<Instant>, now: Instant) -> bool {
        let quiet_since = came.map_or(self.since, |came| came.max(self.since));
        now.saturating_duration_since(quiet_since) >= PATIENCE || self.length(now) >= PATIENCE_MAX
    }

    /// Whether it was so long ago that patience begins anew.
    pub fn is_forgotten(&self, now: Instant) -> bool {
        self.length(now) >= PATIENCE_MAX + DISBELIEF
    }

    fn length(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

/// Whether a read that was begun at `began` cannot have waited for the disk.
pub fn was_quick(began: Instant) -> bool {
    began.elapsed() < QUICK
}

/// Whether a disk that was last asked at `asked` may still bring what it was asked for.
pub fn is_bringing(asked: Instant, now: Instant) -> bool {
    now.saturating_duration_since(asked) < BRINGING
}

/// The clients that wait for the disk.
#[derive(Default)]
pub struct Disk {
    asking: Vec<Asking>,
    /// Those whose turn to ask has not come. Some may have gone meanwhile.
    line: VecDeque<Token>,
    brought: Option<Brought>,
    /// The last time that something has come.
    came: Option<Instant>,
}

struct Asking {
    client: Token,
    /// Since it asked for what it needs now; `None` if it has yet to see whether it must.
    wait: Option<Wait>,
}

/// What has come, in bytes: in the period that began then, and in the last full one.
struct Brought {
    began: Instant,
    bytes: u64,
    last_bytes: u64,
}

/// What a client that has met a cold place is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To ask for so many bytes, and come back after a pause.
    Ask { bytes: u64, pause: Duration },
    /// It has asked, and comes back after a pause.
    Wait { pause: Duration },
    /// Others ask; it hears when its turn comes.
    StandInLine,
}

impl Disk {
    /// For a client that has met a cold place.
    pub fn meet(&mut self, client: Token, now: Instant) -> Turn {
        let has_room = self.asking.len() < self.asking_max();
        let wait = Some(Wait::since(now));
        match self.place_of(client) {
            Some(place) => match self.asking[place].wait {
                Some(wait) => {
                    return Turn::Wait {
                        pause: wait.pause(now),
                    };
                }
                None => self.asking[place].wait = wait,
            },
            None if has_room => self.asking.push(Asking { client, wait }),
            None => {
                self.line.push_back(client);
                return Turn::StandInLine;
            }
        }
        Turn::Ask {
            bytes: self.share_bytes(),
            pause: PAUSE_MIN,
        }
    }

    /// Whether what a client has asked for should have come.
    pub fn is_overdue(&self, client: Token, now: Instant) -> bool {
        let place = self.place_of(client);
        let wait = place.and_then(|place| self.asking[place].wait);
        wait.is_some_and(|wait| wait.is_overdue(self.came, now))
    }

    /// The last time that something has come.
    pub fn came(&self) -> Option<Instant> {
        self.came
    }

    /// For a client that has got so many bytes, or wants none any more. True: it was one of those
    /// who ask, and the next in line may.
    pub fn leave(&mut self, client: Token, bytes: u64, now: Instant) -> bool {
        let Some(place) = self
            .asking
            .iter()
            .position(|asking| asking.client == client)
        else {
            return false;
        };
        self.asking.swap_remove(place);
        self.note_bytes(bytes, now);
        true
    }

    /// The next in line, who is one of those who ask then. It may have gone: then it is to `leave`.
    pub fn next_in_line(&mut self) -> Option<Token> {
        if self.asking.len() >= self.asking_max() {
            return None;
        }
        let client = self.line.pop_front()?;
        self.asking.push(Asking { client, wait: None });
        Some(client)
    }

    /// Those who stand in line; for `check_invariants`.
    pub fn line(&self) -> impl Iterator<Item = Token> {
        self.line.iter().copied()
    }

    fn place_of(&self, client: Token) -> Option<usize> {
        self.asking
            .iter()
            .position(|asking| asking.client == client)
    }

    /// What all together ask for, in bytes.
    fn window_bytes(&self) -> u64 {
        const PART: u64 = (PERIOD.as_millis() / WINDOW.as_millis()) as u64;
        let brought = self.brought.as_ref();
        brought.map_or(0, |brought| brought.last_bytes.max(brought.bytes) / PART)
    }

    fn asking_max(&self) -> usize {
        (self.window_bytes() / WINDOW_BYTES).clamp(1, ASKING_MAX as u64) as usize
    }

    fn share_bytes(&self) -> u64 {
        let share = self.window_bytes() / self.asking.len().max(1) as u64;
        share.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX)
    }

    fn note_bytes(&mut self, bytes: u64, now: Instant) {
        let brought = self.brought.get_or_insert(Brought {
            began: now,
            bytes: 0,
            last_bytes: 0,
        });
        let elapsed = now.saturating_duration_since(brought.began);
        if elapsed >= PERIOD {
            // A longer period counts for less; after a pause it begins anew.
            let part = PERIOD.as_secs_f64() / elapsed.as_secs_f64();
            *brought = Brought {
                began: now,
                bytes: 0,
                last_bytes: (brought.bytes as f64 * part) as u64,
            };
        }
        brought.bytes += bytes;
        if bytes > 0 {
            self.came = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Turn = Turn::Ask {
        bytes: WINDOW_BYTES_MIN,
        pause: PAUSE_MIN,
    };
    const WAIT: Turn = Turn::Wait { pause: PAUSE_MIN };

    #[test]
    fn one_asks_and_the_others_stand_in_line() {
        let (mut disk, now) = (Disk::default(), Instant::now());
        assert_eq!(disk.meet(Token(0), now), ASK);
        assert_eq!(disk.meet(Token(0), now), WAIT);
        assert_eq!(disk.meet(Token(1), now), Turn::StandInLine);
        assert_eq!(disk.meet(Token(2), now), Turn::StandInLine);
        assert_eq!(disk.next_in_line(), None);
        assert!(!disk.leave(Token(2), 0, now));
        assert!(disk.leave(Token(0), 0, now));
        assert_eq!(disk.next_in_line(), Some(Token(1)));
        assert_eq!(disk.next_in_line(), None);
        assert_eq!(disk.meet(Token(0), now), Turn::StandInLine);
        assert_eq!(disk.meet(Token(1), now), ASK);
        assert_eq!(disk.meet(Token(1), now), WAIT);
        assert!(disk.leave(Token(1), 0, now));
        assert_eq!(disk.next_in_line(), Some(Token(2)));
        assert!(disk.leave(Token(2), 0, now));
        assert_eq!(disk.next_in_line(), Some(Token(0)));
    }

    #[test]
    fn a_fast_disk_is_asked_by_several_for_what_it_brings() {
        let (mut disk, start) = (Disk::default(), Instant::now());
        let mut asked = vec![];
        // 512 KiB each 10 ms.
        for number in 0..60 {
            let now = start + number * PERIOD / 20;
            match disk.meet(Token(1), now) {
                Turn::Ask { bytes, .. } => asked.push(bytes >> 10),
                other => panic!("{other:?}"),
            }
            disk.leave(Token(1), 512 << 10, now);
        }
        assert_eq!(asked[..4], [64, 128, 256, 384]);
        assert_eq!(asked[40..], [2560; 20]);
        let now = start + 3 * PERIOD;
        for (client, kilobytes) in [(1, 2560), (2, 1280), (3, 853), (4, 640)] {
            let Turn::Ask { bytes, .. } = disk.meet(Token(client), now) else {
                panic!("client {client} is one of four")
            };
            assert_eq!(bytes >> 10, kilobytes);
        }
        assert_eq!(disk.meet(Token(5), now), Turn::StandInLine);
        // After a pause it begins anew.
        let later = now + 100 * PERIOD;
        for client in 1..=4 {
            disk.leave(Token(client), 1, later);
        }
        assert_eq!(disk.meet(Token(1), later), ASK);
        assert_eq!(disk.meet(Token(2), later), Turn::StandInLine);
    }

    #[test]
    fn who_has_asked_in_vain_is_overdue() {
        let (mut disk, now) = (Disk::default(), Instant::now());
        disk.meet(Token(1), now);
        let pause = PATIENCE / 8;
        let turn = disk.meet(Token(1), now + PATIENCE / 2);
        assert_eq!(turn, Turn::Wait { pause });
        assert!(!disk.is_overdue(Token(1), now + PATIENCE / 2));
        assert!(disk.is_overdue(Token(1), now + PATIENCE));
        assert!(!disk.is_overdue(Token(2), now + PATIENCE));
        disk.leave(Token(1), 1, now + PATIENCE);
        disk.meet(Token(1), now + PATIENCE);
        assert!(!disk.is_overdue(Token(1), now + PATIENCE));
    }

    #[test]
    fn a_disk_that_brings_something_is_waited_for_longer() {
        let (mut disk, start) = (Disk::default(), Instant::now());
        disk.brought = Some(Brought {
            began: start,
            bytes: 0,
            last_bytes: 64 << 20,
        });
        disk.meet(Token(1), start);
        let mut now = start;
        while now < start + PATIENCE_MAX {
            assert!(!disk.is_overdue(Token(1), now));
            disk.meet(Token(2), now);
            disk.leave(Token(2), 8 << 20, now);
            now += PATIENCE / 2;
        }
        assert!(disk.is_overdue(Token(1), now));
    }
}
