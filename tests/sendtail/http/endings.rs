//! How streams end: in order, with the reason behind it; or cut off, which no client takes for
//! the end.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::programs::{Following, run};
use super::wire::{Web, request};
use crate::support::{Log, Server, has_program, numbered_lines, wait_until};

/// More than the kernel takes for a client that does not read.
fn backlog() -> String {
    numbered_lines(2_000_000)
}

#[test]
fn what_a_shutdown_says() {
    let log = Log::new(numbered_lines(1000));
    let server = log.server();
    let mut bytes = Web::get(&server, "/log?follow");
    bytes.head();
    bytes.expect_chunked(numbered_lines(1000));
    let mut filtered = Web::get(&server, "/log?follow&grep=line+999");
    filtered.head();
    filtered.expect_chunked("line 999\n");
    let (_, mut events) = Web::events(&server, "/log?from=-1", &[]);
    events.expect_lines(["line 999"]);
    // It has its head, and waits for a line.
    let mut awaiting = Web::get(&server, "/log?from=%2B5000&follow");
    awaiting.head();
    let mut asking = Web::ask(&server, "GET /log HTTP/1.1\r\nHost: loc");
    wait_until("all are there", || server.totals("clients") == 5);
    server.totals("clients");
    server.signal(Signal::SIGTERM);
    bytes.expect_last_chunk("shutdown");
    filtered.expect_last_chunk("shutdown");
    awaiting.expect_last_chunk("shutdown");
    events.expect_end_event("shutdown");
    assert_eq!(asking.expect_refusal(503), "shutting down");
    for web in [bytes, filtered, awaiting, events, asking] {
        drop(web);
    }
    assert_eq!(server.wait().code(), Some(0));
}

/// A head is all that was asked for, also where a stream would wait for its first line.
#[test]
fn a_head_ends_although_its_stream_would_wait() {
    let log = Log::new("one\n");
    let server = log.server();
    for accept in ["", "Accept: text/event-stream\r\n"] {
        let target = "HEAD /log?from=%2B5000&follow HTTP/1.1";
        let mut client = server.ask(format!("{target}\r\nHost: localhost\r\n{accept}\r\n"));
        let head = client.read_to_end();
        let is_head = head.starts_with(b"HTTP/1.1 200 ") && head.ends_with(b"\r\n\r\n");
        assert!(is_head, "{}", head.escape_ascii());
    }
}

/// A chunk whose bytes are gone is cut off: what came is right as far as it goes, and there is no
/// last chunk.
#[test]
fn a_truncation_within_a_chunk() {
    let content = backlog();
    let log = Log::new(&content);
    let server = log.server();
    let mut web = Web::get(&server, "/log?follow");
    assert!(web.head().is_chunked());
    server.sent_until_full();
    std::fs::write(&log.path, "").expect("it is ours");
    server.wait_for_log("truncated");
    let rest = web.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it ended as if in order");
    assert!(rest.len() < content.len());
    let size = rest
        .iter()
        .position(|byte| *byte == b'\r')
        .expect("a size line");
    let first_chunk = &rest[size + 2..][..1000];
    assert!(first_chunk == &content.as_bytes()[..1000], "other bytes");
}

#[test]
fn a_truncation_within_a_plain_reply() {
    let content = backlog();
    let log = Log::new(&content);
    let server = log.server();
    let mut web = Web::get(&server, "/log");
    let head = web.head();
    server.sent_until_full();
    std::fs::write(&log.path, "").expect("it is ours");
    server.look();
    let rest = web.rest();
    assert_eq!(head.length(), Some(content.len()));
    assert!(rest.len() < content.len(), "it got more than there was");
    assert!(content.as_bytes().starts_with(&rest), "other bytes");
}

/// It is stopped while the file goes, and reads what it has then.
#[test]
fn curl_reports_what_is_cut_off() {
    if !has_program("curl") {
        return;
    }
    const PARTIAL_FILE: i32 = 18;
    for target in ["log", "log?follow"] {
        let log = Log::new(backlog());
        let server = log.server();
        let script = format!("mkfifo out; curl -sS -o out \"$URL/{target}\"");
        let mut curl = Following::start(&server, &script);
        // Until somebody opens the other end, it takes nothing.
        server.sent_until_full();
        std::fs::write(&log.path, "").expect("it is ours");
        server.look();
        let received = std::fs::read(curl.path("out")).expect("curl has made it");
        assert!(received.len() < backlog().len());
        assert_eq!(
            curl.wait(),
            PARTIAL_FILE,
            "{target}: {}",
            curl.read("stderr")
        );
    }
}

/// What is made in memory is complete: so its end can be said, and how much is missing.
#[test]
fn what_was_lost_is_said() {
    const LINE_BYTES_MAX: usize = 20;
    let content = backlog();
    for target in ["/log?follow&grep=line", "/log"] {
        let log = Log::new(&content);
        let server = log.server();
        let is_events = target == "/log";
        let mut web = match target {
            "/log" => Web::events(&server, target, &[]).1,
            _ => {
                let mut web = Web::get(&server, target);
                assert!(web.head().is_chunked());
                web
            }
        };
        server.sent_until_full();
        std::fs::write(&log.path, "").expect("it is ours");
        server.look();
        let (received, words) = match target {
            "/log" => lines_to_end(&mut web),
            _ => {
                let (body, trailers) = web.chunks_to_end();
                let body = String::from_utf8(body).expect("it is text");
                let (name, words) = trailers.into_iter().next().expect("it says why");
                assert_eq!(name, "Sendtail-End");
                (body, words)
            }
        };
        assert!(content.starts_with(&received), "{target}: other bytes");
        let lost = content.len() - received.len();
        let said = words
            .strip_prefix("lost ")
            .and_then(|rest| rest.strip_suffix(" bytes"));
        let said: usize = said.and_then(|number| number.parse().ok()).expect(&words);
        // Of events, what came of the line that was cut off counts as sent and as lost.
        let is_right = said == lost || (is_events && said < lost && lost < said + LINE_BYTES_MAX);
        assert!(is_right, "{words}, and not {lost}: {target}");
    }
}

/// The lines of all events, and what the last one says.
fn lines_to_end(web: &mut Web) -> (String, String) {
    let mut lines = String::new();
    loop {
        let event = web.said();
        let data = event.data.expect("it says something");
        match event.kind.as_deref() {
            None => lines = lines + &data + "\n",
            Some("end") => {
                assert_eq!(web.rest(), b"");
                return (lines, data);
            }
            Some(other) => panic!("{other}: {data}"),
        }
    }
}

/// Waits until the server has nothing to do: all sockets are full. What is made of lines takes its
/// time in a debug build.
fn wait_until_at_rest(server: &Server) {
    wait_until("the server rests", || {
        let before = server.cpu_time();
        std::thread::sleep(Duration::from_millis(100));
        server.cpu_time() - before < Duration::from_millis(5)
    });
}

/// What one client costs that does not read, whatever it has asked for.
#[test]
fn slow_readers_cost_little_memory() {
    let log = Log::new(backlog());
    let server = log.server();
    for (target, accept, clients, bytes_max) in [
        ("/log?follow", "*/*", 100, 2 << 10),
        ("/log", "*/*", 100, 2 << 10),
        ("/log?follow&grep=line", "*/*", 8, 80 << 10),
        ("/log", "text/event-stream", 8, 80 << 10),
    ] {
        // What the first of a kind makes the server load stays.
        drop(Web::get(&server, target).head());
        wait_until("nobody is there", || server.totals("clients") == 0);
        let before = server.memory();
        let accept = format!("Accept: {accept}");
        let ask = || Web::ask(&server, request("GET", target, &[&accept]));
        let all: Vec<Web> = (0..clients).map(|_| ask()).collect();
        wait_until("all are there", || server.totals("clients") == clients);
        wait_until_at_rest(&server);
        let grown = server.memory().saturating_sub(before) / clients;
        eprintln!("{target} {accept}: {grown} bytes a client");
        assert!(
            grown <= bytes_max,
            "{target} {accept}: {grown} bytes a client"
        );
        drop(all);
        wait_until("nobody is there", || server.totals("clients") == 0);
    }
}

#[test]
fn a_client_that_goes_in_the_middle() {
    if !has_program("curl") {
        return;
    }
    let log = Log::new(backlog());
    let server: Server = log.server();
    for target in ["log", "log?follow", "log?follow&grep=line"] {
        let script = format!("curl -sS \"$URL/{target}\" | head -c 100000 | wc -c");
        assert_eq!(run(&server, &script).ok().trim(), "100000");
    }
    wait_until("they are gone", || server.totals("clients") == 0);
}
