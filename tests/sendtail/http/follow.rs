//! Bytes that follow: chunk by chunk to HTTP/1.1, as they are to HTTP/1.0.

use std::fs;

use nix::sys::signal::Signal;

use super::programs::Following;
use super::wire::{TEXT, Web};
use crate::model::random::Random;
use crate::support::{Log, Server, has_program, numbered_lines};

/// The head of a stream in chunks.
fn follow(server: &Server, target: &str) -> Web {
    let mut web = Web::get(server, target);
    let head = web.head();
    assert_eq!(head.status, 200, "{head:#?}");
    head.expect(&[
        ("Content-Type", Some(TEXT)),
        ("Transfer-Encoding", Some("chunked")),
        ("Trailer", Some("Sendtail-End")),
        ("X-Accel-Buffering", Some("no")),
        ("Content-Length", None),
    ]);
    web
}

#[test]
fn from_every_start() {
    let content = numbered_lines(100);
    let log = Log::new(&content);
    let server = log.server();
    let from = |line: &str| content[content.find(line).expect("it is there")..].to_owned();
    let mut readers = vec![];
    for (target, expected) in [
        ("/log?follow", content.clone()),
        ("/log?follow=", content.clone()),
        ("/log?from=-10&follow", from("line 90\n")),
        ("/log?follow&from=%2B91", from("line 90\n")),
        ("/log?from=-8c&follow", "line 99\n".into()),
        ("/log?from=-0&follow", String::new()),
        ("/log?from=5&follow", content[5..].to_owned()),
    ] {
        let mut web = follow(&server, target);
        web.expect_chunked(&expected);
        readers.push(web);
    }
    for appended in ["a line\n", "a piece", " and the rest\n", "x"] {
        log.append(appended);
        for web in &mut readers {
            web.expect_chunked(appended);
        }
    }
    server.signal(Signal::SIGTERM);
    for web in &mut readers {
        web.expect_last_chunk("shutdown");
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn megabytes_and_single_bytes() {
    let mut random = Random::new(1);
    let mut content = numbered_lines(500_000);
    let log = Log::new(&content);
    let server = log.server();
    let mut readers = [(); 3].map(|()| follow(&server, "/log?follow"));
    readers[0].expect_chunked(&content);
    for round in 0..200 {
        let piece = format!("{round}{}", "x".repeat(random.scale(1, 17)));
        log.append(&piece);
        content += &piece;
        readers[0].expect_chunked(&piece);
    }
    for web in &mut readers[1..] {
        web.expect_chunked(&content);
    }
    server.signal(Signal::SIGTERM);
    for web in &mut readers {
        web.expect_last_chunk("shutdown");
    }
}

#[test]
fn through_rotations_and_truncations() {
    let log = Log::new("first\n");
    let server = log.server();
    let mut web = follow(&server, "/log?follow");
    web.expect_chunked("first\n");
    for round in 0..5 {
        fs::rename(&log.path, log.beside(&format!("log.{round}"))).expect("it is there");
        let text = format!("round {round}\n");
        fs::write(&log.path, &text).expect("it is ours");
        web.expect_chunked(&text);
        fs::write(&log.path, "").expect("it is ours");
        log.append("truncated\n");
        web.expect_chunked("truncated\n");
        fs::remove_file(&log.path).expect("it is there");
        fs::write(&log.path, "made again\n").expect("it is ours");
        web.expect_chunked("made again\n");
    }
    for field in ["cut", "gaps", "missed", "late"] {
        assert_eq!(server.totals(field), 0, "{field}");
    }
}

/// The operator's own file may be absent: who follows is told so by a head, and waits.
#[test]
fn a_file_that_is_to_come() {
    let log = Log::absent();
    let server = log.server();
    Web::get(&server, "/log").expect_refusal(404);
    Web::get(&server, "/log?from=-10").expect_refusal(404);
    let mut web = follow(&server, "/log?from=-10&follow");
    let (_, mut events) = Web::events(&server, "/log?from=-10", &[]);
    fs::write(&log.path, "here\n").expect("it is ours");
    web.expect_chunked("here\n");
    events.expect_lines(["here"]);
}

#[test]
fn http_1_0_gets_bytes() {
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let mut web = Web::ask(&server, "GET /log?from=-1&follow HTTP/1.0\r\n\r\n");
    let head = web.head();
    assert_eq!(head.status, 200);
    head.expect(&[
        ("Transfer-Encoding", None),
        ("Content-Length", None),
        ("Trailer", None),
        ("X-Accel-Buffering", Some("no")),
    ]);
    web.expect("two\n");
    log.append("three\n");
    web.expect("three\n");
    server.signal(Signal::SIGTERM);
    assert_eq!(web.rest(), b"");
}

#[test]
fn half_closed_clients_follow_too() {
    let log = Log::new("one\n");
    let server = log.server();
    let mut web = Web::get(&server, "/log?follow");
    web.client.half_close();
    assert_eq!(web.head().status, 200);
    web.expect_chunked("one\n");
    log.append("two\n");
    web.expect_chunked("two\n");
}

#[test]
fn curl_follows_and_sees_the_trailer() {
    if !has_program("curl") {
        return;
    }
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let flags = "curl -sS -D head -N";
    let mut followers = [
        Following::start(&server, &format!("{flags} \"$URL/log?from=-1&follow\"")),
        Following::start(
            &server,
            &format!("{flags} --http1.0 \"$URL/log?from=-1&follow\""),
        ),
        Following::start(
            &server,
            &format!("{flags} -G -d from=-1 -d follow $URL/log"),
        ),
    ];
    let mut expected = "line 99\n".to_owned();
    followers.iter().for_each(|curl| curl.wait_for(&expected));
    for appended in ["a line\n", "a piece", " and the rest\n"] {
        log.append(appended);
        expected += appended;
        followers.iter().for_each(|curl| curl.wait_for(&expected));
    }
    server.signal(Signal::SIGTERM);
    for (curl, has_trailer) in followers.iter_mut().zip([true, false, true]) {
        assert_eq!(curl.wait(), 0, "{}", curl.read("stderr"));
        let trailer = "\r\nSendtail-End: shutdown\r\n";
        assert_eq!(curl.read("head").contains(trailer), has_trailer);
    }
}

#[test]
fn node_and_python_follow() {
    if !["node", "python3"].map(has_program).iter().all(|has| *has) {
        return;
    }
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let node = r#"node --input-type=module -e '
        const reply = await fetch(process.env.URL + "/log?from=-1&follow");
        for await (const bytes of reply.body) process.stdout.write(bytes);'"#;
    let python = r#"python3 -u -c '
import os, sys, urllib.request
for line in urllib.request.urlopen(os.environ["URL"] + "/log?from=-1&follow"):
    print(line.decode(), end="")'"#;
    let mut followers = [node, python].map(|script| Following::start(&server, script));
    let mut expected = "line 99\n".to_owned();
    followers.iter().for_each(|one| one.wait_for(&expected));
    for appended in ["a line\n", "another\n"] {
        log.append(appended);
        expected += appended;
        followers.iter().for_each(|one| one.wait_for(&expected));
    }
    server.signal(Signal::SIGTERM);
    for one in &mut followers {
        assert_eq!(one.wait(), 0, "{}", one.read("stderr"));
    }
}
