//! Messages that others can provoke come once a second of a kind, and none is lost: what was held
//! back is counted in the next one, or in one that comes a second later.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Log, Server, bare, connect_from, wait_until};

const FULL: &str = "refused: too many clients";

/// A server that is full, and says no more than it has to.
fn full_server(log: &Log, flags: &[&str]) -> Server {
    let flags = [&["-p", "0", "-b", "127.0.0.1", "--max-clients", "1"], flags].concat();
    Server::command(bare(&flags, &[&log.path]))
}

/// For each line of this kind: 1, and what it says was held back before it.
fn said(server: &Server, kind: &str) -> Vec<u64> {
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.contains(kind) && !line.contains(": debug: "));
    let counts = lines.map(|line| {
        let Some((_, rest)) = line.split_once(" (and ") else {
            return 1;
        };
        let number = rest.strip_suffix(" more of this kind)").expect(line);
        1 + number.parse::<u64>().expect("it is a number")
    });
    counts.collect()
}

fn turned_away(server: &Server, count: u32) {
    for _ in 0..count {
        server.connect().expect_error("too many clients");
    }
}

#[test]
fn what_was_held_back_is_said_a_second_later() {
    let log = Log::new(TEXT);
    let server = full_server(&log, &[]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    for _ in 0..2 {
        let before: u64 = said(&server, FULL).iter().sum();
        let lines = said(&server, FULL).len();
        let start = Instant::now();
        turned_away(&server, 50);
        // Nothing else happens from here on.
        wait_until("all are accounted for", || {
            said(&server, FULL).iter().sum::<u64>() == before + 50
        });
        let seconds = start.elapsed().as_secs() as usize;
        let count = said(&server, FULL).len() - lines;
        assert!((1..=seconds + 2).contains(&count), "{count} in {seconds} s");
    }
    let held_back = said(&server, FULL).into_iter().any(|count| count > 2);
    assert!(held_back, "{}", server.log());
}

/// One is one, and nothing comes after it.
#[test]
fn a_single_message_is_said_once() {
    let log = Log::new(TEXT);
    let server = full_server(&log, &[]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    turned_away(&server, 1);
    server.wait_for_log(FULL);
    let start = Instant::now();
    wait_until("it could have been said again", || {
        start.elapsed().as_millis() > 1300
    });
    assert_eq!(said(&server, FULL), [1]);
}

/// With `-v` each is said at once, for those who want to know; the next warning counts them.
#[test]
fn with_debug_the_next_one_counts_them() {
    let log = Log::new(TEXT);
    let server = full_server(&log, &["-v"]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    let mut count = 0;
    wait_until("some were held back", || {
        turned_away(&server, 10);
        count += 10;
        said(&server, FULL).into_iter().any(|number| number > 1)
    });
    server.totals("clients");
    let log = server.log();
    let single = log.lines().filter(|line| line.contains(FULL)).count();
    assert_eq!(single, count, "{log}");
    let warnings = said(&server, FULL);
    // What came behind the last warning waits for the next.
    assert!(warnings.iter().sum::<u64>() <= count as u64, "{warnings:?}");
    let debug = log
        .lines()
        .filter(|line| line.contains("debug: ") && line.contains(FULL));
    assert_eq!(debug.count() + warnings.len(), count, "{log}");
}

#[test]
fn the_end_says_what_is_left() {
    let log = Log::new(TEXT);
    let server = full_server(&log, &[]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    turned_away(&server, 20);
    server.signal(Signal::SIGTERM);
    only.expect_end();
    drop(only);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(
        said(&server, FULL).iter().sum::<u64>(),
        20,
        "{}",
        server.log()
    );
}

/// A flood of one kind hides no other.
#[test]
fn kinds_are_held_back_each_for_itself() {
    let log = Log::new(TEXT);
    let flags = ["-p", "0", "-b", "127.0.0.1", "--allow", "127.0.0.1"];
    let server = Server::command(bare(&flags, &[log.directory.path()]));
    // On a machine that was busy elsewhere, again.
    wait_until("all of it happens within a second", || {
        let before = server.log().len();
        let start = Instant::now();
        for _ in 0..10 {
            server.ask("0 absent\n").expect_error("no such file");
        }
        let mut stranger = connect_from("127.0.0.3", server.address());
        stranger.expect_end();
        // Behind all that it says of them.
        server.totals("clients");
        let is_said = server.log()[before..].contains("127.0.0.3:");
        is_said && start.elapsed().as_millis() < 900
    });
}
