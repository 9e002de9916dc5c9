//! Connections that end in every state that one can be in, in every way that one can end. The
//! debug build checks after each turn that every client is where it is said to be.

use std::fs;

use super::{TEXT, Witness, many};
use crate::model::random::Random;
use crate::support::{Client, Log, Server};

const ENDS: usize = 5;

/// More than a socket takes, and than is searched in one turn.
const BYTES: u64 = 24 << 20;

/// Ways to end; some of the clients are still there for a moment when the next ones come.
fn end(mut client: Client, how: usize) {
    match how % ENDS {
        0 => client.reset(),
        1 => drop(client),
        2 => {
            client.half_close();
            client.reset();
        }
        3 => {
            // It may have been answered and closed.
            let _ = std::io::Write::write(&mut client.stream, &[b'j'; 40_000]);
            client.reset();
        }
        _ => {
            client.half_close();
            drop(client);
        }
    }
}

/// In its header, in a search, with a full socket, at the end of the file, behind it, after its
/// answer; and when a client's whole life fits between two turns.
#[test]
fn connections_end_in_every_state() {
    let count = many(600);
    let log = Log::new(TEXT);
    let large = log.beside("large");
    let file = fs::File::create(&large).expect("the directory is ours");
    file.set_len(BYTES).expect("it is sparse");
    let server = Server::with(&[], &[&log.path, &large]);
    let mut witness = Witness::of(&log, &server, " log");
    let said = [
        "",
        "-1",
        "-1 large",
        "0 large\n",
        "+9999999999 large\n",
        "-9999999999 large\n",
        "-1c large\n",
        "30000000 large\n",
        "-0 log\n",
        "-2 log\n",
        "x",
        "-1\n",
        "-1 log\njunk",
    ];
    // Nothing is ever sent to who waits for a line that never comes, so only a reset tells.
    let how = |number: usize| {
        if said[number % said.len()].starts_with('+') {
            0
        } else {
            number
        }
    };
    let mut random = Random::new(7);
    let mut open = vec![];
    for number in 0..count {
        let client = server.ask(said[number % said.len()]);
        match random.below(3) {
            // Nothing of it has been seen yet, perhaps.
            0 => end(client, how(number)),
            1 => {
                witness.append();
                end(client, how(number));
            }
            _ => open.push((number, client)),
        }
        if open.len() > 25 {
            // What has waited for a while is at rest: stuck, waiting, or in the middle of a search.
            let (number, client) = open.swap_remove(random.below(open.len()));
            end(client, how(number));
        }
    }
    witness.append();
    for (number, client) in open {
        end(client, how(number));
    }
    // Who waits behind the end of `large` and has closed shows that only when something is sent.
    file.set_len(BYTES + (10 << 20)).expect("it is sparse");
    let descriptors = witness.descriptors;
    witness.append_until("all of them are gone", || {
        server.descriptors() == descriptors
    });
    witness.check(1 << 20);
}

/// A file came and left for elsewhere before it was opened: for some milliseconds it may come back,
/// and whoever asks for its name is put off. Clients that come, and go, in just that time.
#[test]
fn connections_end_while_they_are_put_off() {
    const ROUNDS: usize = 20;
    let log = Log::new(TEXT);
    let elsewhere = tempfile::tempdir().expect("there is room for tests");
    let passing = log.beside("passing");
    let away = |name: &str| elsewhere.path().join(name);
    fs::write(&passing, TEXT).expect("the directory is ours");
    let server = Server::with(&[], &[&log.path, &passing]);
    let mut witness = Witness::of(&log, &server, " log");
    for round in 0..ROUNDS {
        // Somebody follows it, so that its directory is watched.
        let mut follower = server.reader("0 passing\n", TEXT);
        let (clients, mut stays) = server.while_stopped(|| {
            fs::rename(&passing, away("first")).expect("both are ours");
            fs::write(&passing, "never seen\n").expect("the directory is ours");
            fs::rename(&passing, away("second")).expect("both are ours");
            let said = ["0 passing\n", "-1 passing\njunk"];
            let clients = (0..2 * ENDS).map(|number| server.ask(said[number % 2]));
            let mut stays = server.ask("0 passing\n");
            if round % 2 == 0 {
                stays.half_close();
            }
            (clients.collect::<Vec<Client>>(), stays)
        });
        // The server has looked, and asks again in ten milliseconds.
        for (number, client) in clients.into_iter().enumerate() {
            end(client, number);
        }
        witness.append();
        follower.expect_end();
        follower.reset();
        fs::write(&passing, TEXT).expect("the directory is ours");
        // Who was put off begins in what there is then.
        stays.expect(TEXT.as_bytes());
        stays.reset();
        let alone = witness.descriptors;
        witness.append_until("they are gone", || server.descriptors() == alone);
    }
    assert_eq!(server.totals("gaps"), ROUNDS as u64);
    witness.check_rest(1 << 20);
}
