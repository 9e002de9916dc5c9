//! Only some lines: what the filter lets through, whole and while it grows.

use super::wire::Web;
use crate::support::{Log, Server, numbered_lines};

/// What each of these asks for, said once more in the plainest way.
fn lines(content: &str, wants: impl Fn(&str) -> bool) -> Vec<&str> {
    let lines = content.split_inclusive('\n');
    lines.filter(|line| wants(line)).collect()
}

#[test]
fn what_they_let_through() {
    let content = format!("{}unterminated 999", numbered_lines(20_000));
    let log = Log::new(&content);
    let server = log.server();
    let nines = lines(&content, |line| line.contains("99"));
    let mut end = nines.clone();
    end.drain(..end.len() - 4);
    for (query, expected) in [
        ("grep=99", nines.concat()),
        ("grep=99&skip=9999", {
            lines(&content, |line| {
                line.contains("99") && !line.contains("9999")
            })
            .concat()
        }),
        ("grep=99&grep=88", {
            lines(&content, |line| line.contains("99") && line.contains("88")).concat()
        }),
        ("grep=line+1999%39", "line 19999\n".into()),
        ("grep=nowhere", String::new()),
        ("skip=line", "unterminated 999".into()),
        ("skip=n", String::new()),
        ("from=-3&grep=99", end.concat()),
        ("from=-0&grep=99", String::new()),
        ("from=%2B19999&grep=99", end[end.len() - 3..].concat()),
        ("from=99999999&grep=99", String::new()),
    ] {
        let target = format!("/log?{query}");
        let (head, body) = Web::get(&server, &target).reply();
        assert_eq!(head.status, 200);
        let body = String::from_utf8(body).expect("it is text");
        assert_eq!(body, expected, "{query}");
        if !expected.is_empty() {
            assert!(head.is_chunked(), "{query}: {head:#?}");
        }
        head.expect(&[("Trailer", None)]);
        let mut old = Web::ask(&server, format!("GET {target} HTTP/1.0\r\n\r\n"));
        let (head, body) = old.reply();
        assert!(!head.is_chunked() && body == expected.as_bytes(), "{query}");
    }
}

#[test]
fn while_it_grows() {
    let log = Log::new(numbered_lines(1000));
    let server: Server = log.server();
    let mut web = Web::get(&server, "/log?from=-2&follow&grep=9&skip=no");
    let head = web.head();
    head.expect(&[("Trailer", Some("Sendtail-End"))]);
    web.expect_chunked("line 998\nline 999\n");
    for (appended, expected) in [
        ("9\n", "9\n"),
        ("8\nno 9\n", ""),
        ("a piece", ""),
        (" with a 9", ""),
        ("\n9", "a piece with a 9\n"),
        (" no\n9\n9", "9\n"),
        ("\n", "9\n"),
    ] {
        log.append(appended);
        web.expect_chunked(expected);
    }
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    std::fs::write(&log.path, "first 9\nfirst 8\n").expect("it is ours");
    web.expect_chunked("first 9\n");
    server.look();
    assert!(web.client.is_silent());
}

/// The end of a finished file ends its last line.
#[test]
fn at_the_end_of_a_rotated_file() {
    let log = Log::new("one\ntwo");
    let server = log.server();
    let mut web = Web::get(&server, "/log?follow&grep=o");
    web.head();
    web.expect_chunked("one\n");
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    std::fs::write(&log.path, "four\nfive\n").expect("it is ours");
    web.expect_chunked("twofour\n");
    server.look();
    assert!(web.client.is_silent());
}

#[test]
fn bytes_that_are_no_text() {
    let log = Log::new(b"\xff\xfe one\n\x00\x01 two\n three\r\n");
    let server = log.server();
    for (query, expected) in [
        ("grep=%ff", &b"\xff\xfe one\n"[..]),
        ("grep=%01+t", b"\x00\x01 two\n"),
        ("grep=%0D", b" three\r\n"),
        ("skip=%20t", b"\xff\xfe one\n"),
    ] {
        let (_, body) = Web::get(&server, &format!("/log?{query}")).reply();
        assert_eq!(body, expected, "{query}");
    }
}
