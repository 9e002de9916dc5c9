//! What a filter costs the others, and in memory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::support::{
    Client, Late, Log, Pace, Server, allow_many_descriptors, in_time, numbered_lines, wait_until,
};

/// As beside other searches; a search that is not optimised takes twenty times as long.
const SLOWNESS: u64 = if cfg!(debug_assertions) { 5 } else { 1 };
const MOST_MAX: Duration = Duration::from_millis(20 * SLOWNESS);
const WORST_MAX: Duration = Duration::from_millis(100 * SLOWNESS);

const ROUNDS: usize = 150;

/// After so many it is looked whether the searches go on.
const LOOK_ROUNDS: usize = 25;

/// On tmpfs a hole takes no room, and nobody reads it to its end.
const HUGE: u64 = 1 << 42;

#[test]
fn followers_are_on_time_beside_texts_that_are_nowhere_in_a_huge_file() {
    let headers = [
        "-20 log grep=nowhere\n",
        "0 log grep=nowhere\n",
        "0 log skip=nowhere%20x\n",
    ];
    in_time(|| beside(&headers, |file| file.set_len(HUGE)));
}

/// As many as there may be: they are searched for one by one.
#[test]
fn followers_are_on_time_beside_many_texts() {
    let texts = |word: &str| (0..16).fold(String::new(), |all, n| format!("{all} {word}{n}x"));
    let headers = ["0 log", "-1000000 log"].map(|start| format!("{start}{}\n", texts("grep=")));
    let [forwards, backwards] = &headers;
    let lines = numbered_lines(1 << 20);
    in_time(|| {
        beside(&[forwards, backwards], |mut file| {
            (0..40).try_for_each(|_| file.write_all(lines.as_bytes()))
        })
    });
}

/// As long as the searches go on.
fn beside(headers: &[&str], fill: impl Fn(&File) -> std::io::Result<()>) -> Result<(), Late> {
    let log = Log::absent_in(Path::new("/dev/shm"));
    let file = File::create(&log.path).expect("the directory is ours");
    fill(&file).expect("there is room in memory");
    let live = log.beside("live");
    File::create(&live).expect("the directory is ours");
    let server = Server::start(&[&log.path, &live]);
    let mut followers: Vec<Client> = (0..10).map(|_| waiting(&server, "-0 live\n")).collect();
    let mut searchers: Vec<Client> = headers
        .iter()
        .map(|header| waiting(&server, header))
        .collect();
    let end = std::fs::metadata(&log.path).expect("it is there").len();
    let mut pace = Pace::new();
    while pace.rounds() < ROUNDS {
        if pace.rounds() % LOOK_ROUNDS == 0 && server.offset(&searchers[0]) == end {
            break;
        }
        pace.append(&live, &mut followers);
        // What comes while the loop serves somebody else is what counts.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(pace.rounds() > LOOK_ROUNDS, "the searches are over at once");
    for (searcher, header) in searchers.iter_mut().zip(headers) {
        if header.contains("grep=") {
            searcher.expect_nothing();
        }
    }
    pace.check(MOST_MAX, WORST_MAX)
}

#[test]
fn a_client_with_a_filter_costs_at_most_a_chunk_and_four_kib() {
    const CHUNK: u64 = 64 << 10;
    allow_many_descriptors();
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let ask = |count| {
        let clients = (0..count).map(|_| server.ask("-1 grep=line%20 grep=5 skip=debug\n"));
        let mut clients: Vec<Client> = clients.collect();
        clients
            .iter_mut()
            .for_each(|client| client.expect(b"line 95\n"));
        clients
    };
    // The first ones make it load what is loaded once.
    let first = ask(4);
    let memory = server.memory();
    let mut clients = ask(1000);
    // A line that is being judged.
    log.append("line 5");
    server.look();
    let each = server.memory().saturating_sub(memory) / clients.len() as u64;
    eprintln!("{each} bytes a waiting client");
    assert!(each <= 4096, "{each} bytes a waiting client");
    log.append("\n");
    for client in &mut clients {
        client.expect(b"line 5\n");
    }
    clients.into_iter().chain(first).for_each(Client::reset);
    wait_until("they have gone", || server.totals("clients") == 0);
    // Those who never read have a full outbox beside it.
    log.append(numbered_lines(1 << 20));
    let memory = server.memory();
    let stuck: Vec<Client> = (0..20).map(|_| server.ask("0 grep=line\n")).collect();
    server.sent_until_full();
    let each = server.memory().saturating_sub(memory) / stuck.len() as u64;
    eprintln!("{each} bytes a stuck client");
    assert!(each <= CHUNK + 4096, "{each} bytes a stuck client");
}

fn waiting(server: &Server, header: &str) -> Client {
    let client = server.ask(header);
    server.wait_for_request(&client);
    client
}
