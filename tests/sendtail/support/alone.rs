//! One at a time: the tests that measure time, and those that take all processors for themselves.

use std::cell::Cell;
use std::sync::{Condvar, Mutex};

static IS_TAKEN: Mutex<bool> = Mutex::new(false);
static IS_FREE: Condvar = Condvar::new();

thread_local! {
    static IS_MINE: Cell<bool> = const { Cell::new(false) };
}

/// The other tests go on beside it: they take no time to speak of.
pub struct Alone {
    is_first: bool,
}

impl Alone {
    /// Waits until it is this test's turn. A test that has it may ask for it again.
    pub fn wait() -> Alone {
        let is_first = !IS_MINE.replace(true);
        if is_first {
            let taken = IS_TAKEN.lock().expect("nobody panics with it");
            let free = IS_FREE.wait_while(taken, |taken| *taken);
            *free.expect("nobody panics with it") = true;
        }
        Alone { is_first }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.is_first {
            IS_MINE.set(false);
            *IS_TAKEN.lock().expect("nobody panics with it") = false;
            IS_FREE.notify_one();
        }
    }
}
