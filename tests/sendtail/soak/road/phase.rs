//! What happens next to a long-lived name, and how soon: now hectic, now hardly anything.

use std::time::{Duration, Instant};

use crate::model::random::Random;

pub enum Act {
    /// So many bytes, which need not be whole lines.
    Append(usize),
    Flood(usize),
    /// To the file that has lost the name.
    AppendLate(usize),
    Rotate,
    RenameOver,
    Delete,
    Remake,
    Connect,
    Disturb(Disturbance),
}

/// What becomes of a follower.
pub enum Disturbance {
    Stall,
    Resume,
    HalfClose,
    Reset,
    Leave,
}

pub struct Phase {
    pub until: Instant,
    pub next: Instant,
    /// Between two acts, on average.
    pause: Duration,
    rotates: usize,
    floods: usize,
}

impl Phase {
    pub fn new(random: &mut Random) -> Phase {
        let now = Instant::now();
        Phase {
            until: now + Duration::from_millis(random.between(300, 3000) as u64),
            next: now,
            pause: Duration::from_millis(*random.pick(&[3, 10, 10, 30, 200])),
            rotates: *random.pick(&[0, 1, 1, 4]),
            floods: *random.pick(&[0, 1, 1, 3]),
        }
    }

    pub fn pause(&self, random: &mut Random) -> Duration {
        self.pause * random.below(201) as u32 / 100
    }

    pub fn act(&self, random: &mut Random) -> Act {
        let bytes = random.scale(1, 13);
        let flood = random.scale(100_000, 3);
        random.weighed(vec![
            (60, Act::Append(bytes)),
            (5 * self.floods, Act::Flood(flood)),
            (10, Act::AppendLate(bytes)),
            (6 * self.rotates, Act::Rotate),
            (2 * self.rotates, Act::RenameOver),
            (2 * self.rotates, Act::Delete),
            (self.rotates, Act::Remake),
            (6, Act::Connect),
            (3, Act::Disturb(Disturbance::Stall)),
            (4, Act::Disturb(Disturbance::Resume)),
            (1, Act::Disturb(Disturbance::HalfClose)),
            (2, Act::Disturb(Disturbance::Reset)),
            (1, Act::Disturb(Disturbance::Leave)),
        ])
    }
}
