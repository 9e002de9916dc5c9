//! What Prometheus is told: its own tools have nothing to say against it, and it takes it; and the
//! figures are those of what has happened.

mod alerts; // the README's rules
mod prometheus; // a real one

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{BACKLOG, Client, Log, Server, append, connect_from, has_program, wait_until};

const TEXT: &str = "one\ntwo\n";

#[test]
fn promtool_has_nothing_to_say() {
    if !has_program("promtool") {
        return;
    }
    let log = Log::new(TEXT);
    let server = log.server();
    let (head, page) = scrape(&server);
    let start = "content-type: text/plain; version=0.0.4";
    assert!(head.to_ascii_lowercase().contains(start), "{head}");
    let output = promtool(&["check", "metrics"], page.as_bytes());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Scraped every second by several, it moves nothing but its own traces.
#[test]
fn to_be_asked_changes_nothing_else() {
    let log = Log::new(TEXT);
    let server = log.server();
    let before = samples(&server);
    let after = samples(&server);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (name, value) in &before {
        match &**name {
            "sendtail_connections_total" => assert_eq!(after[name], value + 1),
            "sendtail_turns_total" => assert!(after[name] > *value),
            // Those who ask are clients of this face, and may drain for a moment.
            "sendtail_clients{face=\"http\"}" => {}
            _ => assert_eq!(after[name], *value, "{name}"),
        }
    }
}

#[test]
fn head_has_no_body() {
    let log = Log::new(TEXT);
    let server = log.server();
    let head = |method: &str| {
        let request = format!("{method} /-/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = String::from_utf8(server.ask(request).read_to_end());
        let answer = answer.expect("it is ASCII").to_ascii_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").expect("it has a head");
        let varies =
            |line: &&str| !line.starts_with("date:") && !line.starts_with("content-length:");
        let head: Vec<String> = head
            .split("\r\n")
            .filter(varies)
            .map(str::to_owned)
            .collect();
        (head, body.to_owned())
    };
    let (of_get, page) = head("GET");
    let (of_head, nothing) = head("HEAD");
    assert_eq!(of_head, of_get);
    assert!(nothing.is_empty() && !page.is_empty(), "{nothing}");
}

#[test]
fn refusals_are_counted_by_reason() {
    let directory = tempfile::tempdir().expect("there is room for tests");
    let flags = ["--allow", "127.0.0.1", "-b", "127.0.0.1"];
    let server = Server::with(&flags, &[directory.path()]);
    assert_eq!(refused(&server), []);
    server.ask("nonsense\n").expect_error("bad start");
    server.ask("0 absent\n").expect_error("no such file");
    server.ask("0 ../absent\n").expect_error("no such file");
    server.ask("ls absent\n").expect_error("no such file");
    server.ask("0\n").expect_error("path needed");
    server.ask("0 a b=\n").expect_error("unknown option");
    server.ask("0 a grep=\n").expect_error("empty text");
    for (target, count) in [("/absent", 1), ("/-/else", 2)] {
        for _ in 0..count {
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            server.ask(request).read_to_end();
        }
    }
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    server.ask(request).read_to_end();
    let request = "GET /-/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    server.ask(request).read_to_end();
    // They are told nothing.
    for _ in 0..3 {
        connect_from("127.0.0.2", server.address()).read_to_end();
    }
    let expected = [
        ("bad_start", 1),
        ("empty_text", 1),
        ("method_not_allowed", 1),
        ("no_such_file", 6),
        ("not_allowed", 3),
        ("path_needed", 1),
        ("unknown_option", 1),
        ("wrong_host", 1),
    ];
    let expected: Vec<(String, u64)> = expected
        .into_iter()
        .map(|(reason, count)| (reason.to_owned(), count))
        .collect();
    assert_eq!(refused(&server), expected);
    assert_eq!(server.totals("refused"), 12);
    assert_eq!(server.totals("denied"), 3);
}

#[test]
fn rotations_and_truncations_are_counted() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.reader("0\n", TEXT);
    for round in 1..=3 {
        fs::rename(&log.path, log.beside(&format!("log.{round}"))).expect("it is ours");
        fs::write(&log.path, "new\n").expect("the directory is ours");
        client.expect(b"new\n");
        assert_eq!(value(&server, "rotations_total"), round);
    }
    assert_eq!(value(&server, "truncations_total"), 0);
    server.totals("clients");
    fs::write(&log.path, "").expect("it is ours");
    wait_until("it is seen", || value(&server, "truncations_total") == 1);
    append(&log.path, b"again\n");
    client.expect(b"again\n");
    // Nobody has lost anything.
    for name in ["cut_streams_total", "missed_bytes_total", "gaps_total"] {
        assert_eq!(value(&server, name), 0, "{name}");
    }
    assert_eq!(value(&server, "rotations_total"), 3);
    assert_eq!(value(&server, "files_followed"), 1);
    assert_eq!(value(&server, "bytes_sent_total"), 8 + 3 * 4 + 6);
}

#[test]
fn what_a_client_is_behind_and_what_it_misses_is_counted() {
    let log = Log::new(&*BACKLOG);
    let server = log.server();
    let mut reader = server.reader("0\n", &*BACKLOG);
    assert_eq!(value(&server, "lag_bytes_max"), 0);
    let slow = server.ask("0\n");
    server.sent_until_full();
    let offset = server.offset(&slow);
    let behind = BACKLOG.len() as u64 - offset;
    assert!(behind > 0, "its socket has taken everything");
    assert_eq!(value(&server, "lag_bytes_max"), behind);
    // Rotated and deleted: the disk space is the client's fault.
    fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    fs::write(&log.path, "new\n").expect("the directory is ours");
    reader.expect(b"new\n");
    assert_eq!(value(&server, "lag_bytes_max"), behind + 4);
    assert_eq!(value(&server, "held_bytes"), 0);
    assert_eq!(value(&server, "segments_held"), 2);
    fs::remove_file(log.beside("log.1")).expect("it is ours");
    wait_until("the space is held", || {
        value(&server, "held_bytes") >= BACKLOG.len() as u64
    });
    drop(slow);
    wait_until("it is given back", || value(&server, "held_bytes") == 0);
    assert_eq!(value(&server, "lag_bytes_max"), 0);
    assert_eq!(value(&server, "segments_held"), 1);
    assert_eq!(value(&server, "cut_streams_total"), 0);
}

#[test]
fn a_stream_that_is_cut_is_counted_with_what_it_has_missed() {
    let log = Log::new(&*BACKLOG);
    let server = log.server();
    let slow = server.ask("0\n");
    server.sent_until_full();
    let missing = BACKLOG.len() as u64 - server.offset(&slow);
    File::create(&log.path).expect("it is ours");
    wait_until("it is seen", || value(&server, "cut_streams_total") == 1);
    assert_eq!(value(&server, "missed_bytes_total"), missing);
    assert_eq!(value(&server, "truncations_total"), 1);
}

#[test]
fn clients_are_counted_by_face() {
    let log = Log::new(TEXT);
    let server = log.server();
    let raw: Vec<Client> = (0..3).map(|_| server.reader("0\n", TEXT)).collect();
    let get = |accept: &str| {
        let head = format!("GET /log?from=0&follow HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n");
        let mut client = server.ask(head);
        client.expect(b"HTTP/1.1 200 ");
        client
    };
    let http = [get(""), get("")];
    let events = [get("Accept: text/event-stream\r\n")];
    // Who asks for the metrics may be counted as well, or not any more.
    let face = |face: &str| value(&server, &format!("clients{{face=\"{face}\"}}"));
    assert_eq!(face("raw"), 3);
    assert_eq!(face("events"), 1);
    wait_until("those are counted", || [2, 3].contains(&face("http")));
    let clients = raw.into_iter().chain(http).chain(events);
    clients.for_each(Client::reset);
    wait_until("all have left", || {
        [face("raw"), face("events")] == [0, 0] && face("http") <= 1
    });
}

#[test]
fn files_without_a_watch_are_counted() {
    let log = Log::new(TEXT);
    let Some(server) = Server::without_watches(&[&log.path]) else {
        return;
    };
    assert_eq!(value(&server, "polled_files"), 0);
    let _client = server.reader("0\n", TEXT);
    assert_eq!(value(&server, "polled_files"), 1);
}

#[test]
fn the_version_is_the_programs_own() {
    let log = Log::new(TEXT);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("build_info{{version=\"{version}\"}}");
    assert_eq!(value(&log.server(), &name), 1);
}

/// The head and the body of `/-/metrics`.
fn scrape(server: &Server) -> (String, String) {
    let mut client = server.ask("GET /-/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = String::from_utf8(client.read_to_end()).expect("it is ASCII");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it has a head");
    (head.to_owned(), body.to_owned())
}

fn samples(server: &Server) -> BTreeMap<String, u64> {
    let (_, page) = scrape(server);
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let parts = samples.map(|line| line.rsplit_once(' ').expect("a name and a value"));
    let values = parts.map(|(name, value)| (name.to_owned(), value.parse().expect("a number")));
    values.collect()
}

/// One of them, by its name behind the first word.
fn value(server: &Server, name: &str) -> u64 {
    let samples = samples(server);
    let value = samples.get(&format!("sendtail_{name}"));
    *value.unwrap_or_else(|| panic!("no {name} in {samples:?}"))
}

/// The reasons for which somebody was refused, sorted.
fn refused(server: &Server) -> Vec<(String, u64)> {
    let samples = samples(server).into_iter().filter_map(|(name, value)| {
        let reason = name.strip_prefix("sendtail_refused_total{reason=\"")?;
        Some((reason.strip_suffix("\"}")?.to_owned(), value))
    });
    samples.filter(|(_, value)| *value > 0).collect()
}

fn promtool(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}
