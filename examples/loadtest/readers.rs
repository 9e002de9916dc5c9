//! Clients that read in a thread of their own, while something else is measured.

use crate::bench::Bench;
use crate::cores::Place;
use crate::crowd::Crowd;
use crate::failure::Failure;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A crowd that reads until it is stopped, or dropped.
pub struct Readers {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

struct Shared {
    is_stopped: AtomicBool,
    received_bytes: AtomicU64,
    first_receipt: OnceLock<Instant>,
}

/// How soon a thread without data hears that it should stop.
const STOP_LOOK: Duration = Duration::from_millis(20);

impl Readers {
    pub fn start(bench: &Bench, crowd: Crowd, place: Place) -> Readers {
        let shared = Arc::new(Shared {
            is_stopped: AtomicBool::new(false),
            received_bytes: AtomicU64::new(crowd.received_bytes()),
            first_receipt: OnceLock::new(),
        });
        let (cores, theirs) = (bench.cores, shared.clone());
        let thread = thread::spawn(move || {
            cores.settle(place)?;
            theirs.read(crowd)
        });
        Readers {
            shared,
            thread: Some(thread),
        }
    }

    pub fn received_bytes(&self) -> u64 {
        self.shared.received_bytes.load(Ordering::Relaxed)
    }

    /// When the first of it came.
    pub fn first_receipt(&self) -> Option<Instant> {
        self.shared.first_receipt.get().copied()
    }

    /// Why it has ended before it was told to is its failure.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(Failure::new("a thread of readers panicked")),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn read(&self, mut crowd: Crowd) -> Result<(), Failure> {
        while !self.is_stopped.load(Ordering::Relaxed) {
            crowd.turn(STOP_LOOK, &mut |_| {
                self.first_receipt.get_or_init(Instant::now);
            })?;
            let received_bytes = crowd.received_bytes();
            self.received_bytes.store(received_bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Before the server it reads from is killed: else it would fail for that.
impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
