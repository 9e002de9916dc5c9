//! What the threads of a soak know of one server: where it is, and whether it still lives.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// One server, through all of its lives.
pub struct Service {
    pub name: &'static str,
    address: OnceLock<SocketAddr>,
    pub unix: PathBuf,
    pub pid: AtomicI32,
    /// Even: it is up. It changes before the server is killed and after the next one listens, so
    /// that who has noted it before he connects can tell later why he was cut off.
    life: AtomicUsize,
    /// Held for writing as long as the server is stopped.
    pub stop: RwLock<()>,
    pub gate: Gate,
    pub done: Done,
    pub born: Instant,
}

/// What was done to a server, and what it has to show for it.
#[derive(Default)]
pub struct Done {
    /// Writes, renames, and whatever else happens to files.
    pub ops: AtomicU64,
    pub connects: AtomicU64,
    /// Connections that ended, whoever ended them.
    pub ends: AtomicU64,
    pub rotations: AtomicU64,
    pub crossings: AtomicU64,
    pub remakes: AtomicU64,
    pub stops: AtomicU64,
    pub restarts: AtomicU64,
    pub histories: AtomicU64,
    pub signals: AtomicU64,
    pub received_bytes: AtomicU64,
}

impl Service {
    /// It is still to be started.
    pub fn new(name: &'static str, unix: PathBuf) -> Service {
        Service {
            name,
            address: OnceLock::new(),
            unix,
            pid: AtomicI32::new(0),
            life: AtomicUsize::new(1),
            stop: RwLock::new(()),
            gate: Gate::default(),
            done: Done::default(),
            born: Instant::now(),
        }
    }

    /// The least that so many seconds have to meet: a tenth of what they do.
    pub fn expect_not_tame(&self) {
        let done = &self.done;
        let minutes = self.born.elapsed().as_secs() / 60;
        let is_killed = u64::from(self.name == "killed");
        for (what, met, a_minute) in [
            ("rotations", &done.rotations, 40),
            ("crossings", &done.crossings, 80),
            ("stops", &done.stops, 1),
            ("histories", &done.histories, 15),
            ("connects", &done.connects, 150),
        ] {
            let met = met.load(Ordering::Relaxed);
            assert!(
                met >= a_minute * minutes,
                "only {met} {what} in {minutes} minutes"
            );
        }
        for (what, met, wanted) in [
            ("remakes", &done.remakes, minutes / 2),
            ("restarts", &done.restarts, is_killed * minutes / 5),
        ] {
            let met = met.load(Ordering::Relaxed);
            assert!(met >= wanted, "only {met} {what} in {minutes} minutes");
        }
    }

    /// The number of its life, if it is up.
    pub fn life(&self) -> Option<usize> {
        let life = self.life.load(Ordering::SeqCst);
        (life % 2 == 0).then_some(life)
    }

    pub fn is_over(&self, life: usize) -> bool {
        self.life.load(Ordering::SeqCst) != life
    }

    /// It has just been started, or is about to be killed.
    pub fn turn_over(&self) {
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    pub fn address(&self) -> SocketAddr {
        *self.address.get().expect("it has been started")
    }

    /// The same each time.
    pub fn listens_on(&self, address: SocketAddr) {
        assert_eq!(*self.address.get_or_init(|| address), address);
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Done {
            ops,
            connects,
            rotations,
            crossings,
            remakes,
            stops,
            restarts,
            histories,
            received_bytes,
            ..
        } = &self.done;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{}: {} ops, {} connects, {} histories, {} rotations, {} crossings, {} MB, {} remakes, \
             {} stops, {} restarts",
            self.name,
            of(ops),
            of(connects),
            of(histories),
            of(rotations),
            of(crossings),
            of(received_bytes) / 1_000_000,
            of(remakes),
            of(stops),
            of(restarts),
        )?;
        let process = format!("/proc/{}", self.pid.load(Ordering::Relaxed));
        let listing = fs::read_dir(format!("{process}/fd"));
        let rollup = fs::read_to_string(format!("{process}/smaps_rollup"));
        let (Ok(listing), Ok(rollup)) = (listing, rollup) else {
            return f.write_str(", down");
        };
        let mut lines = rollup.lines();
        let anonymous = lines.find_map(|line| line.strip_prefix("Anonymous:"));
        let memory = anonymous.unwrap_or_default().trim();
        write!(f, ", {} descriptors, {memory}", listing.count())
    }
}

/// Adds to one of the counters.
pub fn count(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

/// Where threads wait while somebody measures what is left when nothing happens.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    /// Threads that pass here, and those that wait.
    passing: usize,
    waiting: usize,
}

impl Gate {
    /// One more thread will come by.
    pub fn join(&self) {
        self.state().passing += 1;
    }

    pub fn leave(&self) {
        self.state().passing -= 1;
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Waits for as long as it is closed.
    pub fn pass(&self, failed: &AtomicBool) {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        while state.is_closed && !failed.load(Ordering::Relaxed) {
            state = self.wait(state);
        }
        state.waiting -= 1;
    }

    /// Returns when everybody waits; `false`: something has failed meanwhile.
    pub fn close(&self, failed: &AtomicBool) -> bool {
        let mut state = self.state();
        state.is_closed = true;
        while state.waiting < state.passing {
            if failed.load(Ordering::Relaxed) {
                return false;
            }
            state = self.wait(state);
        }
        true
    }

    pub fn open(&self) {
        self.state().is_closed = false;
        self.changed.notify_all();
    }

    /// For a change, and not for long: that something has failed is no change.
    fn wait<'a>(&'a self, state: MutexGuard<'a, GateState>) -> MutexGuard<'a, GateState> {
        let waited = self.changed.wait_timeout(state, Duration::from_millis(100));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
