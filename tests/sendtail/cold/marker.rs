//! Each look reads the bytes before the last known end, and they may not be cached: an append that
//! begins a page leaves the one before it where it is. That read is one from the disk like any
//! other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Followers, LINES, MOST_MAX, WORST_MAX};
use crate::support::{BYTES_A_SECOND, Late, SlowDisk, append, drop_cached, in_time};

const PAGE: usize = 4096;

/// The kernel lets a tenth of that pass at once, which is less than a page.
const PAGES_TAKE_LONG: u64 = 40_000;

#[test]
fn what_is_appended_behind_cold_bytes_comes_at_once() {
    in_time(behind_cold_bytes);
}

fn behind_cold_bytes() -> Result<(), Late> {
    let Some(disk) = SlowDisk::new(BYTES_A_SECOND) else {
        return Ok(());
    };
    let log = disk.cold("log", &LINES[..PAGE]);
    let server = disk.server(&[], &[&log]);
    let mut followers = Followers::of(&server, &log, "");
    for pages in 0..60 {
        followers.fill_pages(pages % 3);
        drop_cached(&log);
        followers.append();
    }
    assert_eq!(server.totals("cut"), 0);
    followers.check()
}

/// Whoever follows it waits for the disk, and nobody else.
#[test]
fn a_marker_that_takes_long_to_read_delays_only_its_own_file() {
    in_time(beside_a_slow_marker);
}

fn beside_a_slow_marker() -> Result<(), Late> {
    const ROUNDS: u32 = 12;
    let Some(disk) = SlowDisk::new(PAGES_TAKE_LONG) else {
        return Ok(());
    };
    let log = disk.cold("log", &LINES[..PAGE]);
    let live = disk.path("live");
    fs::write(&live, "").expect("there is room");
    let server = disk.server(&[], &[&disk.root()]);
    let mut slow = Followers::of(&server, &log, "log");
    let mut others = Followers::of(&server, &live, "live");
    let start = Instant::now();
    for round in 0..ROUNDS {
        slow.fill_pages(0);
        drop_cached(&log);
        let line = format!("late {round}\n");
        append(&log, line.as_bytes());
        others.append_until_served(&slow.clients[0]);
        for client in &mut slow.clients {
            client.expect(line.as_bytes());
        }
    }
    let took = start.elapsed();
    assert!(
        took > ROUNDS * Duration::from_millis(60),
        "it took {took:?}"
    );
    assert_eq!(server.totals("cut"), 0);
    // A disk that takes as long for a second page is waited for, in some rounds.
    others.pace.check(12 * MOST_MAX, 2 * WORST_MAX)
}

#[test]
fn a_truncation_is_known_by_cold_bytes_too() {
    for bytes_a_second in [BYTES_A_SECOND, PAGES_TAKE_LONG] {
        let Some(disk) = SlowDisk::new(bytes_a_second) else {
            return;
        };
        let log = disk.cold("log", &LINES[..PAGE]);
        let server = disk.server(&[], &[&log]);
        let mut followers = Followers::of(&server, &log, "");
        // The bytes before the end are known.
        followers.fill_pages(0);
        for number in 1..4 {
            // Longer than before, and other bytes at each place.
            let (from, pages) = (number << 16, number * 8);
            let new = &LINES[from..][..pages * PAGE];
            server.while_stopped(|| rewrite(&log, new));
            followers.expect(new);
            // The same bytes again, and more of them, are nothing new.
            let longer = &LINES[from..][..(pages + 3) * PAGE];
            server.while_stopped(|| rewrite(&log, longer));
            followers.expect(&longer[new.len()..]);
        }
        followers.append();
        assert_eq!(server.totals("cut"), 0);
    }
}

fn rewrite(log: &Path, content: &[u8]) {
    fs::write(log, content).expect("there is room");
    drop_cached(log);
}

impl Followers {
    /// Appends so many pages and the rest of one, so that the next byte begins a page.
    fn fill_pages(&mut self, pages: usize) {
        let length = fs::metadata(&self.path).expect("it is there").len();
        let length = usize::try_from(length).expect("it is small");
        let end = (length / PAGE + 1 + pages) * PAGE;
        let text = &LINES[length..end];
        append(&self.path, text);
        self.expect(text);
    }

    fn expect(&mut self, text: &[u8]) {
        for client in &mut self.clients {
            client.expect(text);
        }
    }
}
