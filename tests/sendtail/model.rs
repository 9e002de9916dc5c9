//! Random histories of files, played on the real kernel against the real server: what each client
//! receives is what a model says, byte for byte, and no connection ends unless the history
//! truncated, or deleted unopened, what its client had not got.
//!
//! | variable                    | what it does                                                 |
//! |-----------------------------|--------------------------------------------------------------|
//! | `SENDTAIL_MODEL_HISTORIES`  | so many histories instead of 300                             |
//! | `SENDTAIL_MODEL_SECONDS`    | for so long, with seeds that have not been played before     |
//! | `SENDTAIL_MODEL_SEED`       | this history only, as often as `SENDTAIL_MODEL_HISTORIES` says |
//!
//! A history depends on nothing but its seed; what the server does meanwhile depends on the machine,
//! so a failure may need some repetitions to come again.

mod disk;
pub mod face;
mod follower;
pub mod history;
pub mod life;
pub mod random;
pub mod reader;
pub mod report;
mod state;
pub mod step;
pub mod tally;
pub mod world;

use std::any::Any;
use std::collections::VecDeque;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use history::History;
use tally::Tally;
use world::World;

use crate::support::Alone;

/// Seeds that have found something once, and what. They are played first. They mean something to the
/// generator as it is: who changes it finds what they found anew.
const KEPT: &[(u64, &str)] = &[];

const HISTORIES: u64 = 300;

/// The server sleeps most of the time, and so does the test.
const THREADS: usize = 4;

#[test]
fn every_client_receives_what_the_history_says() {
    let _alone = Alone::wait();
    let start = Instant::now();
    let seeds = Seeds::from_environment();
    let is_whole = seeds.is_whole;
    let seeds = Mutex::new(seeds);
    let sum = Mutex::new(Tally::default());
    let has_failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let Some(seed) = seeds.lock().expect("nobody panics with it").next() else {
                        break;
                    };
                    let tally = play(seed, &has_failed);
                    sum.lock().expect("nobody panics with it").add(&tally);
                }
            });
        }
    });
    let sum = sum.into_inner().expect("nobody panics with it");
    // Past the harness, which keeps the output of a test that passes to itself.
    let _ = writeln!(std::io::stderr(), "model: {sum} in {:.0?}", start.elapsed());
    sum.expect_sight();
    if is_whole {
        sum.expect_not_tame();
    }
}

/// On failure the history is shown, and how to play it again.
fn play(seed: u64, has_failed: &AtomicBool) -> Tally {
    let history = History::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| World::play(&history)));
    played.unwrap_or_else(|panic| {
        has_failed.store(true, Ordering::Relaxed);
        eprintln!("--- the history of seed {seed}: {:?}", history.setup);
        for (number, step) in history.steps.iter().enumerate() {
            eprintln!("{number:3} {step:?}");
        }
        eprintln!("--- what went wrong: {}", text_of(&*panic));
        eprintln!(
            "--- to play it again: \
             SENDTAIL_MODEL_SEED={seed} cargo test --test sendtail model:: -- --nocapture"
        );
        resume_unwind(panic)
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
}

#[test]
fn a_seed_gives_the_same_history_each_time() {
    for seed in 0..20 {
        let [one, other] = [0, 1].map(|_| format!("{:?}", History::new(seed).steps));
        assert_eq!(one, other);
    }
}

/// Which seeds are to be played.
struct Seeds {
    first: VecDeque<u64>,
    next: u64,
    left: u64,
    until: Option<Instant>,
    /// Many enough for their sums to say something.
    is_whole: bool,
}

impl Seeds {
    fn from_environment() -> Seeds {
        let histories = number("HISTORIES");
        let kept = KEPT.iter().map(|&(seed, _)| seed);
        if let Some(seed) = number("SEED") {
            return Seeds {
                first: std::iter::repeat_n(seed, histories.unwrap_or(1) as usize).collect(),
                next: 0,
                left: 0,
                until: None,
                is_whole: false,
            };
        }
        let duration = number("SECONDS").map(Duration::from_secs);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("it is later than 1970").as_secs();
        Seeds {
            first: kept.collect(),
            next: duration.map_or(1, |_| now << 20),
            left: match duration {
                Some(_) => u64::MAX,
                None => histories.unwrap_or(HISTORIES),
            },
            until: duration.map(|duration| Instant::now() + duration),
            is_whole: duration.is_none() && histories.is_none_or(|number| number >= HISTORIES),
        }
    }

    fn next(&mut self) -> Option<u64> {
        if let Some(seed) = self.first.pop_front() {
            return Some(seed);
        }
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        if self.left == 0 || is_late {
            return None;
        }
        self.left -= 1;
        self.next += 1;
        Some(self.next - 1)
    }
}

fn number(name: &str) -> Option<u64> {
    let name = format!("SENDTAIL_MODEL_{name}");
    let value = std::env::var(&name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is no number")))
}
