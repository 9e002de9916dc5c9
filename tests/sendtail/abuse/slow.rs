//! Those who take their time, or never come to an end: with their header, with reading, with going.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::{TEXT, Witness, expect_rest, many};
use crate::support::{Client, Log, Server, numbered_lines, wait_until};

/// A byte each so often, and the time in which the whole header has to be there.
const PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(3);

/// Each byte comes in time, and the header never ends: the deadline is for all of it.
#[test]
fn headers_of_a_byte_a_second_end_at_the_timeout() {
    let count = many(400);
    let log = Log::new(TEXT);
    let timeout = TIMEOUT.as_secs().to_string();
    let server = Server::with(&["--header-timeout", &timeout], &[&log.path]);
    let mut witness = Witness::of(&log, &server, "");
    let start = Instant::now();
    let mut slow: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    let connected = start.elapsed();
    let mut second = 0;
    while slow.iter().any(Client::is_silent) {
        // None is answered early.
        let is_early = start.elapsed() < TIMEOUT;
        let all_silent = || slow.iter().all(Client::is_silent);
        assert!(!is_early || all_silent() || start.elapsed() >= TIMEOUT);
        let byte = if second == 0 { b"-" } else { b"1" };
        slow.iter_mut().for_each(|client| client.send(byte));
        second += 1;
        while start.elapsed() < PERIOD * second {
            witness.append();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            start.elapsed() < 6 * TIMEOUT,
            "the header is waited for, for ever"
        );
    }
    for client in &mut slow {
        client.expect_error("no header within 3 s");
    }
    let took = start.elapsed();
    let allowed = TIMEOUT + connected + Duration::from_secs(3);
    assert!(took < allowed, "{took:?}");
    slow.into_iter().for_each(Client::reset);
    witness.check(1 << 20);
}

/// With windows so small that a whole file is thousands of segments, and a byte read at a time:
/// neither may each byte that they read be a reason to wake up.
#[test]
fn readers_of_a_byte_at_a_time_cost_neither_memory_nor_turns() {
    const READERS: usize = 100;
    const BYTES: usize = 64;
    let log = Log::new(TEXT);
    let large = log.beside("large");
    let content = numbered_lines(400_000);
    std::fs::write(&large, &content).expect("the directory is ours");
    let server = Server::with(&[], &[&log.path, &large]);
    let mut witness = Witness::of(&log, &server, " log");
    let mut readers: Vec<Client> = (0..READERS)
        .map(|_| {
            let mut client = server.connect();
            setsockopt(&client.stream, sockopt::RcvBuf, &2304).expect("it is a socket");
            client.send(b"0 large\n");
            client.half_close();
            client
        })
        .collect();
    server.sent_until_full();
    let turns = server.totals("turns");
    for at in 0..BYTES {
        for reader in &mut readers {
            reader.expect(&content.as_bytes()[at..][..1]);
        }
        witness.append();
    }
    let turns = server.totals("turns") - turns;
    assert!(turns < 1000, "{turns} turns for a few bytes each");
    let grown = witness.memory_grown();
    assert!(grown < 1 << 20, "{grown} bytes for {READERS} readers");
    readers.into_iter().for_each(Client::reset);
    witness.check(1 << 20);
}

/// What they send behind their header is read, and is for nobody.
#[test]
fn junk_for_ever_from_many_costs_nothing_and_their_data_flows() {
    const MOUTHS: usize = 24;
    let log = Log::new(TEXT);
    let server = log.server();
    let mut witness = Witness::of(&log, &server, "");
    let mut clients: Vec<Client> = (0..MOUTHS).map(|_| server.reader("0\n", TEXT)).collect();
    let (sent, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in &clients {
            let mut mouth = client.stream.try_clone().expect("a second handle");
            scope.spawn(|| {
                let junk = [b'\n'; 1 << 14];
                while !is_over.load(Ordering::Relaxed) {
                    mouth.write_all(&junk).expect("the server reads it");
                    sent.fetch_add(1 << 14, Ordering::Relaxed);
                }
                drop(mouth);
            });
        }
        witness.append_until("there is a lot of junk", || {
            sent.load(Ordering::Relaxed) > 200 << 20
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let grown = witness.memory_grown();
    assert!(grown < 1 << 20, "{grown} bytes");
    witness.append();
    let appended: String = (1..=witness.appended)
        .map(|number| format!("appended {number}\n"))
        .collect();
    for client in &mut clients {
        client.expect(appended.as_bytes());
    }
    clients.into_iter().for_each(Client::reset);
    witness.check(1 << 20);
}

/// Answered, and they do not go: some say nothing, some talk on, some half-close late. None keeps
/// its seat for longer than the drain lasts.
#[test]
fn who_does_not_go_is_closed() {
    const EACH: usize = 40;
    /// What is read of those who talk on, and what lies in the kernel's buffers on both sides.
    const SWALLOWED_MAX: usize = (1 << 20) + (12 << 20);
    let log = Log::new(TEXT);
    let server = log.server();
    let mut witness = Witness::of(&log, &server, "");
    let start = Instant::now();
    let ask = || {
        let mut client = server.ask("nonsense\n");
        client.expect(b"error: bad start\n");
        client
    };
    let [mut silent, mut late, mut talking] = [(); 3].map(|()| {
        let clients: Vec<Client> = (0..EACH).map(|_| ask()).collect();
        clients
    });
    let before = witness.descriptors;
    assert!(server.descriptors() > before + 2 * EACH);
    // Those who half-close are let go at once.
    late.iter_mut().for_each(Client::half_close);
    witness.append_until("who has sent FIN is closed", || {
        server.descriptors() <= before + 2 * EACH
    });
    for client in &mut talking {
        let mut swallowed = 0;
        let failure = loop {
            match client.stream.write(&[b'j'; 1 << 16]) {
                Ok(count) => swallowed += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind(),
            }
            assert!(swallowed < SWALLOWED_MAX, "{swallowed} bytes were taken");
        };
        let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(closed.contains(&failure), "{failure}");
        witness.append();
    }
    wait_until("they are closed", || {
        witness.append();
        std::thread::sleep(Duration::from_millis(20));
        server.descriptors() == before
    });
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(4900),
        "they had no time: {took:?}"
    );
    assert!(took < Duration::from_secs(12), "{took:?}");
    for client in &mut silent {
        let mut rest = vec![];
        let end = client.stream.read_to_end(&mut rest);
        assert!(end.is_ok() && rest.is_empty(), "{end:?}");
    }
    expect_rest(&server, &mut witness.follower);
    witness.check(1 << 20);
}
