//! An hour in the life of two servers that serve the same files. Names are rotated in every way and
//! directories made anew; writers are now hectic and now idle; followers come, stall, reset and
//! leave. One of the servers is stopped again and again, and never ends; the other one is killed as
//! well, and started again on the same port.
//!
//! | who                                           | what must hold                               |
//! |-----------------------------------------------|----------------------------------------------|
//! | followers of names that are rotated for the   | every byte of every file, once and in order; |
//! | whole of the soak (`road`)                    | only the death of the server ends them       |
//! | clients of random histories (`model`), which  | what the model says                          |
//! | lose files and truncate them as well          |                                              |
//! | mirrors of a file that is not rotated         | the same file, after each restart            |
//! | one who reads a byte a second                 | the next byte, from first to last            |
//! | one who waits for a line each 20 ms (canary)  | on time, whatever the others do              |
//! | the server at rest, once a minute             | no more descriptors, watches and memory than |
//! |                                               | the first time, no CPU, few turns            |
//!
//! ```text
//! cargo test --release --test sendtail soak -- --ignored --nocapture
//! ```
//!
//! | variable                | what it does                                             |
//! |-------------------------|----------------------------------------------------------|
//! | `SENDTAIL_SOAK_SECONDS` | so long, and not an hour                                 |
//! | `SENDTAIL_SOAK_SEED`    | the same plans again; the machine decides what they meet |

mod census;
mod content;
mod director;
mod quiet;
mod road;
mod service;
mod sipper;
mod site;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant, SystemTime};

use director::Director;
use quiet::{Copied, Mirror, canary};
use road::Road;
use service::Service;
use sipper::Sipper;
use site::{ROADS, Site};

use crate::support::{Alone, Pace};

#[test]
#[ignore = "it takes an hour"]
fn an_hour() {
    crate::examples::build();
    let seconds = number("SECONDS").unwrap_or(3600);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs();
    let seed = number("SEED").unwrap_or(now);
    eprintln!("soak: SENDTAIL_SOAK_SECONDS={seconds} SENDTAIL_SOAK_SEED={seed}");
    Plan {
        time: Duration::from_secs(seconds),
        period: Duration::from_secs(60.min(seconds / 8 + 1)),
        hosts: ["127.0.6.1", "127.0.6.2"],
        seed,
        is_small: false,
    }
    .run();
}

/// A soak of a few seconds, so that the hour stays what it is.
#[test]
fn a_minute_in_small() {
    let _alone = Alone::wait();
    Plan {
        time: Duration::from_secs(5),
        period: Duration::from_secs(2),
        hosts: ["127.0.6.3", "127.0.6.4"],
        seed: 1,
        is_small: true,
    }
    .run();
}

fn number(name: &str) -> Option<u64> {
    let name = format!("SENDTAIL_SOAK_{name}");
    let value = std::env::var(&name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

struct Plan {
    time: Duration,
    /// Between two measurements, and two restarts.
    period: Duration,
    /// Addresses of their own: nobody else takes the ports while a server is down.
    hosts: [&'static str; 2],
    seed: u64,
    /// Beside other tests: nobody can be on time.
    is_small: bool,
}

/// What all threads of a soak share.
struct Soak<'a> {
    plan: &'a Plan,
    site: Site,
    services: [Service; 2],
    copied: Copied,
    start: Instant,
    failed: AtomicBool,
    /// Directors that have come to their end: the others may go.
    done: AtomicUsize,
    /// The others that are still there.
    others: AtomicUsize,
    first_panic: Mutex<Option<Box<dyn Any + Send>>>,
    pace: Mutex<Option<Pace>>,
}

impl Plan {
    fn run(&self) {
        let site = Site::new();
        let soak = Soak {
            plan: self,
            services: ["steady", "killed"].map(|name| site.service(name)),
            copied: Copied::new(&site),
            site,
            start: Instant::now(),
            failed: AtomicBool::new(false),
            done: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            first_panic: Mutex::new(None),
            pace: Mutex::new(None),
        };
        std::thread::scope(|scope| soak.spawn(scope));
        let first = soak.first_panic.lock();
        if let Some(panic) = first.unwrap_or_else(PoisonError::into_inner).take() {
            eprintln!("soak: failed; SENDTAIL_SOAK_SEED={}", self.seed);
            resume_unwind(panic);
        }
        soak.check_pace();
        let [steady, killed] = &soak.services;
        eprintln!(
            "soak: all is well after {:.0?}: {steady}; {killed}",
            soak.start.elapsed()
        );
        if !self.is_small {
            soak.services.iter().for_each(Service::expect_not_tame);
        }
    }

    /// Each thread has its own.
    fn seed(&self, number: u64) -> u64 {
        self.seed.wrapping_mul(1000) + number
    }
}

impl<'a> Soak<'a> {
    fn spawn<'s>(&'s self, scope: &'s Scope<'s, 'a>) {
        for number in 0..2 {
            scope.spawn(move || {
                self.guard(|| self.direct(number));
            });
        }
        let are_up = || self.services.iter().all(|service| service.life().is_some());
        while !are_up() && !self.has_failed() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let [steady, killed] = &self.services;
        for name in 1..=2 * ROADS {
            let service = if name <= ROADS { steady } else { killed };
            self.spawn_other(scope, Some(service), move || {
                let directory = self.site.road(name);
                let seed = self.plan.seed(name);
                let road = Road::new(service, &self.failed, name, directory, seed);
                road.run(|| self.is_over());
            });
        }
        self.spawn_other(scope, Some(steady), || self.watch_canary());
        self.spawn_other(scope, Some(steady), || {
            let seed = self.plan.seed(100);
            self.copied
                .write(&self.services, seed, &self.failed, || self.is_over());
        });
        for service in &self.services {
            self.spawn_other(scope, None, || {
                Sipper::new(service).sip(|| self.is_over());
            });
        }
        self.spawn_other(scope, None, || self.show_progress());
    }

    /// `rests`: it comes to rest when this server is measured.
    fn spawn_other<'s>(
        &'s self,
        scope: &'s Scope<'s, 'a>,
        rests: Option<&'s Service>,
        run: impl FnOnce() + Send + 's,
    ) {
        self.others.fetch_add(1, Ordering::SeqCst);
        rests.inspect(|service| service.gate.join());
        scope.spawn(move || {
            self.guard(run);
            rests.inspect(|service| service.gate.leave());
            self.others.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// The first panic ends the soak, and is told at the end.
    fn guard(&self, run: impl FnOnce()) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else {
            return;
        };
        self.failed.store(true, Ordering::SeqCst);
        let mut first = self
            .first_panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(panic);
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// For everybody but the directors.
    fn is_over(&self) -> bool {
        self.done.load(Ordering::SeqCst) == 2 || self.has_failed()
    }

    fn direct(&self, number: usize) {
        let service = &self.services[number];
        let place = (service, self.plan.hosts[number]);
        let seed = self.plan.seed(200 + number as u64);
        let mut director = Director::new(place, self, seed);
        director.start();
        let mirror = Mirror::of(service);
        let is_late = || self.start.elapsed() >= self.plan.time || self.has_failed();
        let tally = director.run(mirror, is_late);
        eprintln!("soak {}: {tally}", service.name);
        tally.expect_sight();
        self.done.fetch_add(1, Ordering::SeqCst);
        while self.others.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.has_failed() {
            director.end();
        }
    }

    fn watch_canary(&self) {
        let [steady, _] = &self.services;
        let path = self.site.quiet("canary");
        let pace = canary(steady, path, &self.failed, || self.is_over());
        *self.pace.lock().expect("nobody panics with it") = Some(pace);
    }

    /// Everybody else's bytes were right; the canary's have to have been on time.
    fn check_pace(&self) {
        let pace = self.pace.lock().expect("nobody panics with it").take();
        let (median_max, worst_max) = match self.plan.is_small {
            // What an event brings comes before the tick would bring it, whatever the disk does.
            false => (Duration::from_millis(1), Duration::from_secs(1)),
            // Other tests run beside it.
            true => (Duration::from_secs(1), Duration::from_secs(10)),
        };
        let checked = pace
            .expect("the canary has ended")
            .check_for_long(median_max, worst_max);
        if let Err(late) = checked {
            panic!("the canary: {late}");
        }
    }

    fn show_progress(&self) {
        let mut next = Instant::now();
        while !self.is_over() {
            if Instant::now() >= next {
                let seconds = self.start.elapsed().as_secs();
                let [steady, killed] = &self.services;
                eprintln!("soak {seconds} s: {steady}; {killed}");
                next += Duration::from_secs(10);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
