//! A part of a file that cannot be read, however often. To whoever asks in advance it looks like
//! one that is not there yet. The end of the file is cached: it can be opened, since its marker can
//! be read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::{Followers, LINES, MOST_MAX, WORST_MAX};
use crate::support::{BYTES_A_SECOND, Client, Late, Log, Server, SlowDisk, in_time, wait_until};

const SIZE: usize = 8 << 20;

const PAGE: usize = 4096;

/// Nothing from here on, but for the last page.
const BAD: usize = 6 << 20;

/// The kernel reads, and fails to, so many bytes at a time.
const AT_ONCE: usize = 2 << 20;

/// To read what is good, and to find out about the rest: a second while the disk is of use to
/// others.
const PATIENCE_MAX: Duration = Duration::from_secs(3);

/// A disk with a file that is good, and one that ends in bad sectors; and a log elsewhere.
struct Scene {
    server: Server,
    followers: Followers,
    turns: u64,
    start: Instant,
    _live: Log,
    disk: SlowDisk,
}

impl Scene {
    fn new() -> Option<Scene> {
        let disk = SlowDisk::new(BYTES_A_SECOND)?;
        let good = disk.cold("good", &LINES[..SIZE]);
        let bad = disk.cold("bad", &LINES[..SIZE]);
        read_last_page(&bad);
        disk.break_from(&bad, BAD as u64);
        let live = Log::new("");
        let server = disk.server(&[], &[&good, &bad, &live.path]);
        Some(Scene {
            followers: Followers::of(&server, &live.path, "log"),
            turns: server.totals("turns"),
            start: Instant::now(),
            server,
            _live: live,
            disk,
        })
    }

    /// The client's stream ends while followers of another file are on time.
    fn read_to_end(&mut self, mut client: Client) -> Vec<u8> {
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| client.read_to_end());
            wait_until("the client is closed", || {
                self.followers.append();
                reader.is_finished()
            });
            reader.join().expect("it ends well")
        })
    }

    /// Only the reads that found out made anybody late, one or two of them, each behind what others
    /// had asked for; and nothing was tried more often than a parked client may.
    fn end(mut self) -> Result<(), Late> {
        let pace = &self.followers.pace;
        pace.check(4 * MOST_MAX, 2 * WORST_MAX)?;
        let used = self.server.totals("turns") - self.turns;
        let rounds = self.followers.pace.rounds() as f64;
        let allowed = 200.0 + 4.0 * rounds + 1100.0 * self.start.elapsed().as_secs_f64();
        assert!((used as f64) < allowed, "{used} turns, {rounds} rounds");
        let before = self.server.totals("turns");
        self.followers.clients[0].expect_silence();
        let turns = self.server.totals("turns") - before;
        assert!(turns < 20, "{turns} turns while nothing happened");
        Ok(())
    }
}

/// And no more than that.
fn read_last_page(path: &Path) {
    let file = File::open(path).expect("it is there");
    let random = PosixFadviseAdvice::POSIX_FADV_RANDOM;
    posix_fadvise(&file, 0, 0, random).expect("it is a file");
    let mut page = [0; PAGE];
    let read = file.read_exact_at(&mut page, (SIZE - PAGE) as u64);
    read.expect("it can still be read");
}

#[test]
fn who_gets_to_a_bad_sector_is_closed_and_nobody_else_notices() {
    in_time(streaming);
}

fn streaming() -> Result<(), Late> {
    let Some(mut scene) = Scene::new() else {
        return Ok(());
    };
    let client = scene.server.ask("0 bad\n");
    let peer = client.stream.local_addr().expect("it is connected");
    let mut other = scene.server.ask("0 good\n");
    let start = Instant::now();
    let received = std::thread::scope(|scope| {
        let other = scope.spawn(move || other.expect(&LINES[..SIZE]));
        let received = scene.read_to_end(client);
        wait_until("the other is served", || other.is_finished());
        received
    });
    let took = start.elapsed();
    let end = received.len();
    assert!(received == LINES[..end], "{end} bytes, but others");
    assert!((BAD - AT_ONCE..=BAD).contains(&end), "{end} bytes");
    let bad = scene.disk.path("bad");
    scene.server.wait_for_log(&format!(
        "{peer} closed: cannot read {}: Input/output error, at offset {end}",
        bad.display()
    ));
    // To read both files takes 0.7 s.
    Late::if_over(took, PATIENCE_MAX, "closed")?;
    scene.end()
}

#[test]
fn a_search_that_meets_a_bad_sector_ends_with_an_error() {
    in_time(searching);
}

fn searching() -> Result<(), Late> {
    let Some(mut scene) = Scene::new() else {
        return Ok(());
    };
    for header in ["-400000 bad\n", "+500000 bad\n", "-300 bad\n"] {
        let client = scene.server.ask(header);
        let start = Instant::now();
        let received = scene.read_to_end(client);
        let took = start.elapsed();
        assert_eq!(
            String::from_utf8_lossy(&received),
            "error: try again\n",
            "{header}"
        );
        Late::if_over(took, PATIENCE_MAX, header)?;
    }
    // What is before it can be had, and what is behind it.
    for (header, part) in [
        ("-160c bad\n", &LINES[SIZE - 160..SIZE]),
        ("+100001 bad\n", &LINES[1_600_000..BAD - AT_ONCE]),
    ] {
        let mut client = scene.server.ask(header);
        client.expect(part);
        client.reset();
    }
    wait_until("they have left", || scene.server.totals("clients") == 5);
    scene.end()
}

/// Both look at what lies before the place where they read, which is good and of no use alone.
#[test]
fn events_and_places_that_meet_a_bad_sector_end_with_a_reason() {
    in_time(looking_back);
}

fn looking_back() -> Result<(), Late> {
    let Some(mut scene) = Scene::new() else {
        return Ok(());
    };
    let events = "Accept: text/event-stream\r\n";
    let mut other = scene.server.ask("0 good\n");
    for (target, fields, status, end) in [
        (
            format!("/bad?from={}", BAD - AT_ONCE - PAGE),
            events,
            "200",
            " bytes\n\n",
        ),
        (
            format!("/bad?from={}", BAD + 10),
            events,
            "503",
            "try again\n",
        ),
        (format!("/bad?from={}", BAD + 10), "", "503", "try again\n"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let client = scene.server.ask(request);
        let start = Instant::now();
        let received = String::from_utf8(scene.read_to_end(client)).expect("it is text");
        let took = start.elapsed();
        assert!(
            received.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}"
        );
        let shown = &received[received.len().saturating_sub(300)..];
        assert!(received.ends_with(end), "{target}: {shown}");
        Late::if_over(took, PATIENCE_MAX, &target)?;
    }
    other.expect(&LINES[..SIZE]);
    other.reset();
    scene.end()
}
