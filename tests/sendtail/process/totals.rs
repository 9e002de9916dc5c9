//! What SIGUSR1 is answered with: the totals, and a line a client.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use super::TEXT;
use crate::support::{BACKLOG, Client, Log, Server, allow_many_descriptors, bare, wait_until};

#[test]
fn totals_have_a_line_for_every_client() {
    allow_many_descriptors();
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    let silent = server.connect();
    let mut clients: Vec<Client> = (0..249).map(|_| server.ask("0\n")).collect();
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    let mut lines = Vec::new();
    wait_until("all are connected", || {
        lines = client_lines(&server);
        lines.len() >= 250
    });
    let path = log.path.display();
    let mut expected: BTreeSet<String> = clients
        .iter()
        .map(|client| {
            let from = local(client);
            format!("client {from}: {path} segment 0 offset 8, 0 bytes behind")
        })
        .collect();
    expected.insert(format!("client {}: no request yet", local(&silent)));
    assert_eq!(lines.len(), 250);
    let lines = lines.iter().map(|line| without_age(line).to_owned());
    assert!(lines.collect::<BTreeSet<_>>() == expected);
}

#[test]
fn a_client_that_was_answered_is_shown_as_ending() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("nonsense\n");
    client.expect(b"error: bad start\n");
    server.totals("clients");
    server.wait_for_log(&format!(
        "client {}: ending, connected for ",
        local(&client)
    ));
}

#[test]
fn totals_count() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "2"], &[&log.path]);
    let fields = [
        "clients",
        "files",
        "segments",
        "watches",
        "connections",
        "refused",
        "sent",
    ];
    let totals = || fields.map(|field| server.totals(field));
    assert_eq!(totals(), [0; 7]);
    let mut clients = [server.ask("0\n"), server.ask("-1\n")];
    clients[0].expect(TEXT.as_bytes());
    clients[1].expect(b"two\n");
    server.connect().expect_error("too many clients");
    wait_until("it has left", || server.totals("clients") == 2);
    let sent = TEXT.len() as u64 + 4;
    let watches = server.watches() as u64;
    // The client over the limit counts as a connection and as refused, but never as a client.
    assert_eq!(totals(), [2, 1, 1, watches, 3, 1, sent]);
    assert!(server.totals("turns") > 0);
}

#[test]
fn a_client_that_is_behind_is_shown_so() {
    let log = Log::new(vec![b'x'; 64 << 20]);
    let server = log.server();
    let client = server.ask("0\n");
    wait_until("its socket is full", || server.totals("sent") > 0);
    let offset = server.offset(&client);
    let said = server.log();
    let line = format!("client {}: ", local(&client));
    let ending = format!(" offset {offset}, {} bytes behind", (64 << 20) - offset);
    let mut lines = said.lines().filter(|text| text.contains(&line));
    let found = lines.any(|text| without_age(text).ends_with(&ending));
    assert!(found, "no {ending:?} in {said}");
    assert!(0 < offset && offset < 64 << 20, "{said}");
}

/// In which file of the name it is: the second one's offsets are its own.
#[test]
fn the_segment_is_the_file_that_a_client_is_in() {
    let log = Log::new(&*BACKLOG);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    let lagging = server.ask("0\n");
    let mut reader = server.ask("0\n");
    reader.expect(&BACKLOG);
    server.sent_until_full();
    for round in 1..=2 {
        fs::rename(&log.path, log.beside(&format!("log.{round}"))).expect("it is ours");
        fs::write(&log.path, "new\n").expect("the directory is ours");
        reader.expect(b"new\n");
        let path = log.path.display();
        let [lagging, reader] = [&lagging, &reader].map(|client| {
            let start = format!("client {}: {path} ", local(client));
            let lines = client_lines(&server);
            let line = lines.iter().find_map(|line| line.strip_prefix(&start));
            without_age(line.expect("it has a line")).to_owned()
        });
        assert!(lagging.starts_with("segment 0 offset "), "{lagging}");
        assert_eq!(reader, format!("segment {round} offset 4, 0 bytes behind"));
        // What it lacks of its own file, and all of those behind it.
        let numbers = lagging
            .split([' ', ','])
            .filter_map(|word| word.parse::<u64>().ok());
        let numbers: Vec<u64> = numbers.collect();
        let missing = BACKLOG.len() as u64 - numbers[1];
        let behind = [missing, missing + 4 * round];
        assert!(behind.contains(&numbers[2]), "{lagging}");
        assert!(missing > 0);
    }
}

#[test]
fn the_age_is_that_of_the_connection() {
    let log = Log::new(TEXT);
    let before = Instant::now();
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    let old = [server.ask("0\n"), server.connect()];
    let age = |client: &Client, lines: &[String]| {
        let start = format!("client {}: ", local(client));
        let line = lines.iter().find(|line| line.starts_with(&start));
        let line = line.expect("it has a line");
        let (_, rest) = line.split_once(", connected for ").expect(line);
        let seconds = rest.strip_suffix(" s").expect(line);
        seconds.parse::<u64>().expect("it is a number")
    };
    wait_until("they have grown older", || {
        let lines = client_lines(&server);
        lines.len() == 2 && old.iter().all(|client| age(client, &lines) >= 2)
    });
    let connected = Instant::now();
    let young = server.ask("0\n");
    server.wait_for_request(&young);
    let lines = client_lines(&server);
    assert!(
        age(&young, &lines) <= connected.elapsed().as_secs(),
        "{lines:?}"
    );
    for client in &old {
        assert!(age(client, &lines) >= 2, "{lines:?}");
        assert!(
            age(client, &lines) <= before.elapsed().as_secs(),
            "{lines:?}"
        );
    }
}

/// They have no addresses, and are not left out.
#[test]
fn clients_of_a_unix_socket_have_their_lines() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    let server = Server::command(bare(&["-b", &unix], &[&log.path]));
    let mut clients = [Client::unix(&path), Client::unix(&path)];
    for client in &mut clients {
        client.send(b"0\n");
        client.expect(TEXT.as_bytes());
    }
    let ending = format!(
        ": {} segment 0 offset 8, 0 bytes behind",
        log.path.display()
    );
    let lines = client_lines(&server);
    assert_eq!(lines.len(), 2);
    assert!(
        lines
            .iter()
            .all(|line| without_age(line).ends_with(&ending)),
        "{lines:?}"
    );
}

/// A client's line up to its age, which is checked to be one.
fn without_age(line: &str) -> &str {
    let (rest, age) = line.rsplit_once(", connected for ").expect(line);
    let seconds = age
        .strip_suffix(" s")
        .and_then(|number| number.parse::<u64>().ok());
    assert!(seconds.is_some(), "{line}");
    rest
}

fn local(client: &Client) -> String {
    let address = client.stream.local_addr();
    address.expect("it is connected").to_string()
}

/// What SIGUSR1 says of each client, now.
fn client_lines(server: &Server) -> Vec<String> {
    let all = || -> Vec<String> {
        let log = server.log();
        let lines = log
            .lines()
            .filter_map(|line| line.strip_prefix("sendtail: "));
        let lines = lines.filter(|line| line.starts_with("client "));
        lines.map(str::to_owned).collect()
    };
    let before = all().len();
    let clients = usize::try_from(server.totals("clients")).expect("it is small");
    wait_until("each client has its line", || {
        all().len() >= before + clients
    });
    all().split_off(before)
}
