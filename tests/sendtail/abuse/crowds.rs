//! Ten thousand connections that do nothing, and ten thousand that reset: what each costs is
//! stated here, and paid back.

use std::time::Duration;

use super::{TEXT, Witness, expect_rest, loud_lines, many};
use crate::support::{Client, Log, Server, bare, wait_until};

const CROWD: usize = 10_000;

/// What a connection that has not asked costs while it is there: a seat, a deadline and a timer's
/// place in the maps that find it. Twice what was measured, for the maps double.
const IDLE_BYTES: u64 = 600;

/// What is kept of that for the next crowd.
const LEFT_BYTES: u64 = 550;

/// The same where they have asked, and come and go in waves: 500 to 610 were measured, with what the
/// heap has free between them.
const WAVE_LEFT_BYTES: u64 = 1000;

/// Takes connections with several threads; they come back in no order.
fn in_crowd<T: Send>(count: usize, come: impl Fn(usize) -> T + Sync) -> Vec<T> {
    const THREADS: usize = 4;
    let come = &come;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let numbers = (first..count).step_by(THREADS);
                scope.spawn(move || numbers.map(come).collect::<Vec<T>>())
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|crowd| crowd.expect("all of them come"))
            .collect()
    })
}

/// They come, say nothing, and go in every way there is.
#[test]
fn ten_thousand_that_do_nothing_cost_a_few_hundred_bytes_each() {
    let count = many(CROWD);
    let log = Log::new(TEXT);
    let flags = ["-p", "0", "--header-timeout", "600"];
    let server = Server::command(bare(&flags, &[&log.path]));
    let mut witness = Witness::of(&log, &server, "");
    let before: Vec<String> = loud_lines(&server.log())
        .into_iter()
        .map(str::to_owned)
        .collect();
    let crowd = in_crowd(count, |_| server.connect());
    let all = witness.descriptors + count;
    witness.append_until("all of them are there", || server.descriptors() == all);
    let each = witness.memory_grown() / count as u64;
    eprintln!("{each} bytes each while they are there");
    assert!(each <= IDLE_BYTES, "each costs {each} bytes");
    // They are no reason to wake up: not for the totals, which would name each of them.
    let busy = server.cpu_time();
    witness.follower.expect_silence();
    let busy = server.cpu_time() - busy;
    assert!(busy < Duration::from_millis(60), "{busy:?} for nothing");
    for _ in 0..10 {
        witness.append();
    }
    assert_eq!(server.descriptors(), all);
    for (number, mut client) in crowd.into_iter().enumerate() {
        match number % 3 {
            0 => drop(client),
            1 => client.reset(),
            _ => {
                client.half_close();
                client.expect_end();
            }
        }
        if number % 500 == 0 {
            witness.append();
        }
    }
    witness.append_until("all of them are gone", || {
        server.descriptors() < all - count + 1
    });
    let left = witness.memory_grown() / count as u64;
    eprintln!("{left} bytes each when they are gone");
    witness.check(LEFT_BYTES * count as u64);
    assert_eq!(loud_lines(&server.log()), before, "they are no news");
}

/// Before, in and after their header; in waves that are open together.
#[test]
fn ten_thousand_that_reset_leave_nothing_behind() {
    const WAVES: usize = 10;
    let wave = many(CROWD) / WAVES;
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0", "--header-timeout", "600"], &[&log.path]));
    let mut witness = Witness::of(&log, &server, "");
    let turns = server.totals("turns");
    let mut left = vec![];
    for _ in 0..WAVES {
        let crowd: Vec<Client> = in_crowd(wave, |number| {
            let said = [
                "",
                "-1 l",
                "\r",
                "-1\n",
                "nonsense\n",
                "-1\njunk",
                "1000000\n",
                "-1 x\n",
            ];
            server.ask(said[number % said.len()])
        });
        witness.append();
        for (number, client) in crowd.into_iter().enumerate() {
            client.reset();
            if number % 500 == 0 {
                witness.append();
            }
        }
        let rest = witness.descriptors;
        witness.append_until("they are gone", || server.descriptors() == rest);
        left.push(witness.memory_grown());
    }
    let turns = server.totals("turns") - turns;
    let allowed = 4 * (WAVES * wave) as u64 + 4 * u64::from(witness.appended);
    eprintln!("{turns} turns; memory after each wave: {left:?}");
    assert!(turns < allowed, "{turns} turns");
    // The first waves make room, and the others use the same.
    let grown = left[WAVES - 1].saturating_sub(left[WAVES / 2 - 1]);
    assert!(grown <= 256 << 10, "{left:?}");
    witness.check(WAVE_LEFT_BYTES * wave as u64);
}

/// One after the other, and as fast as they can: a port that is hammered.
#[test]
fn connections_that_come_and_go_at_once_delay_nobody() {
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    let mut witness = Witness::of(&log, &server, "");
    std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            in_crowd(3000, |number| {
                let client = server.ask(["", "-1", "-1\n"][number % 3]);
                match number % 2 {
                    0 => client.reset(),
                    _ => drop(client),
                }
            })
        });
        while !hammer.is_finished() {
            witness.append();
        }
    });
    wait_until("all are gone", || server.totals("clients") == 1);
    expect_rest(&server, &mut witness.follower);
    // A client that has closed looks like one that is half-closed until something is sent to it.
    witness.append();
    witness.check(1 << 20);
}
