//! From any start of the raw protocol, and from a place, to the end that the file has.

use super::wire::{Head, TEXT, Web};
use crate::support::{Log, Server, append, numbered_lines};

#[test]
fn every_start_of_the_raw_protocol() {
    let content = format!("{}unterminated", numbered_lines(1000));
    let log = Log::new(&content);
    let server = log.server();
    let end = content.len();
    let lines: Vec<&str> = content.split_inclusive('\n').collect();
    let from_line = |line: usize| lines[line..].concat();
    for (from, expected) in [
        ("0", content.clone()),
        ("1000", content[1000..].to_owned()),
        ("-10", from_line(lines.len() - 10)),
        ("-1", "unterminated".into()),
        ("-0", String::new()),
        ("-5000000", content.clone()),
        ("-9c", "erminated".into()),
        ("-0c", String::new()),
        ("%2B5", from_line(4)),
        ("%2B0", content.clone()),
        ("%2b1001", "unterminated".into()),
        ("%2B1002", String::new()),
        ("%2B99999", String::new()),
        (&end.to_string(), String::new()),
        ("9223372036854775807", String::new()),
    ] {
        let (head, body) = Web::get(&server, &format!("/log?from={from}")).reply();
        assert_eq!(head.status, 200, "{from}");
        head.expect(&[("Content-Type", Some(TEXT)), ("Content-Range", None)]);
        assert!(body == expected.as_bytes(), "{from}: {} bytes", body.len());
        assert_eq!(head.length(), Some(expected.len()), "{from}");
    }
}

/// Reads the same from there as there was.
#[track_caller]
fn expect_from(server: &Server, target: &str, place: &str, expected: &str) -> Head {
    let (head, body) = Web::get(server, &format!("{target}?from={place}")).reply();
    assert_eq!(
        head.status,
        200,
        "{place}: {:?}",
        body.escape_ascii().to_string()
    );
    assert!(body == expected.as_bytes(), "{place}: other bytes");
    head
}

#[test]
fn a_place_is_where_its_body_begins() {
    let content = numbered_lines(1000);
    let log = Log::new(&content);
    let server = log.server();
    for from in [
        "0", "1", "63", "64", "65", "-1", "-10", "-0", "%2B500", "-100c",
    ] {
        let (head, body) = Web::get(&server, &format!("/log?from={from}")).reply();
        let body = String::from_utf8(body).expect("it is text");
        let again = expect_from(&server, "/log", head.place(), &body);
        assert_eq!(again.place(), head.place());
        let offset = format!(".{}.", content.len() - body.len());
        assert!(head.place().contains(&offset), "{}", head.place());
    }
}

#[test]
fn a_place_stays_when_the_server_does_not() {
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let head = Web::get(&server, "/log?from=-10").head();
    drop(server);
    log.append("appended\n");
    let server = log.server();
    let expected = format!("{}appended\n", tail(&numbered_lines(100), 10));
    expect_from(&server, "/log", head.place(), &expected);
}

/// Renamed within the directory it is not gone; but it has to be found by its name or be held.
#[test]
fn places_in_another_file_are_gone() {
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let head = Web::get(&server, "/log?from=-10").head();
    let place = head.place();
    let is_gone = |place: &str| {
        for accept in ["text/plain", "text/event-stream"] {
            let field = format!("Accept: {accept}");
            let target = format!("/log?from={place}");
            let words = Web::get_with(&server, &target, &[&field]).expect_refusal(410);
            assert!(!words.is_empty());
        }
    };
    let (file, rest) = place.split_once('.').expect("it has parts");
    let (offset, check) = rest.split_once('.').expect("it has parts");
    let other_check = format!("{:08x}", u32::from_str_radix(check, 16).expect("hex") ^ 1);
    let far = format!("{file}.99999.{check}");
    for wrong in [
        format!("{file}.{offset}.{other_check}"),
        format!("0000000000000001.{offset}.{check}"),
        far,
    ] {
        is_gone(&wrong);
    }
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    std::fs::write(&log.path, numbered_lines(100)).expect("it is ours");
    server.look();
    is_gone(place);
    // The same bytes in the same file, of which the place is still true.
    let head = Web::get(&server, "/log?from=-10").head();
    let content = std::fs::read(&log.path).expect("it is there");
    std::fs::write(&log.path, "other\n").expect("it is ours");
    is_gone(head.place());
    std::fs::write(&log.path, content).expect("it is ours");
    expect_from(
        &server,
        "/log",
        head.place(),
        &tail(&numbered_lines(100), 10),
    );
}

#[test]
fn a_place_is_good_under_the_name_that_its_file_has_now() {
    let log = Log::new(numbered_lines(100));
    let directory = log.path.parent().expect("it lies in one");
    let server = Server::start(&[directory]);
    let head = Web::get(&server, "/log?from=-10").head();
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    std::fs::write(&log.path, "new\n").expect("it is ours");
    let target = format!("/log?from={}", head.place());
    Web::get(&server, &target).expect_refusal(410);
    let expected = tail(&numbered_lines(100), 10);
    expect_from(&server, "/log.1", head.place(), &expected);
}

/// Somebody who still reads the old file keeps its places.
#[test]
fn a_place_in_a_file_that_is_held() {
    let content = numbered_lines(1_000_000);
    let log = Log::new(&content);
    let server = log.server();
    let place = Web::get(&server, "/log?from=-10").head().place().to_owned();
    let mut slow = Web::get(&server, "/log?follow");
    server.sent_until_full();
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    std::fs::write(&log.path, "new\n").expect("it is ours");
    server.look();
    let expected = tail(&content, 10);
    let mut web = Web::get(&server, &format!("/log?from={place}&follow"));
    assert_eq!(web.head().status, 200);
    web.expect_chunked(expected + "new\n");
    append(&log.path, b"newer\n");
    web.expect_chunked("newer\n");
    let head = slow.head();
    assert_eq!(head.status, 200);
    slow.expect_chunked(content + "new\nnewer\n");
}

/// The end of a finished file is the beginning of the next, for one who follows.
#[test]
fn a_place_at_the_end_goes_on_in_the_next_file() {
    let log = Log::new("old\n");
    let server = log.server();
    let mut other = Web::get(&server, "/log?follow");
    assert_eq!(other.head().status, 200);
    other.expect_chunked("old\n");
    let place = Web::get(&server, "/log?from=-0").head().place().to_owned();
    server.while_stopped(|| {
        std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
        std::fs::write(&log.path, "new\n").expect("it is ours");
    });
    other.expect_chunked("new\n");
    let head = Web::get(&server, &format!("/log?from={place}&follow")).head();
    // Whether it is still held is a matter of moments: it is gone, or it goes on.
    assert!([200, 410].contains(&head.status), "{head:#?}");
}

fn tail(content: &str, count: usize) -> String {
    let lines: Vec<&str> = content.split_inclusive('\n').collect();
    lines[lines.len() - count..].concat()
}
