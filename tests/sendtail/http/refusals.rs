//! Each refusal has its status, one line of text, and an orderly end.

use std::fs;

use nix::sys::signal::Signal;

use super::wire::{Web, request};
use crate::support::{Log, Server, wait_until};

#[test]
fn a_status_each() {
    let log = Log::new("one\n");
    fs::write(log.beside(".hidden"), "no\n").expect("it is ours");
    fs::create_dir(log.beside("directory")).expect("it is ours");
    std::os::unix::fs::symlink("/etc/hostname", log.beside("outside")).expect("it is ours");
    let server = Server::start(&[log.directory.path()]);
    for (target, status) in [
        ("/absent", 404),
        ("/.hidden", 404),
        ("/directory", 404),
        ("/outside", 404),
        ("/../log", 404),
        ("/%2e%2e/log", 404),
        ("/log/log", 404),
        ("/etc/passwd", 404),
        ("//etc/passwd", 404),
        ("/-", 404),
        ("/-/", 404),
        ("/-/nothing", 404),
        ("/-/page.html", 404),
        ("/-/files/absent", 404),
        ("/-/files/..", 404),
        ("/favicon.ico", 404),
        ("/absent?follow", 404),
        ("/a%2Fb", 400),
        ("/log%00", 400),
        ("/log%", 400),
        ("/log?what", 400),
        ("/log?from=0&from=1", 400),
        ("/log?from=x", 400),
        ("/log?grep=", 400),
        ("/log?follow=yes", 400),
        ("/?q", 400),
        ("/-/metrics?q", 400),
        ("*", 400),
        ("log", 400),
        ("/log?from=0000000000000001.0.00000000", 410),
    ] {
        Web::get(&server, target).expect_refusal(status);
    }
    // All that is not served is one and the same.
    let words = |target| Web::get(&server, target).expect_refusal(404);
    let same = words("/absent");
    for target in [
        "/.hidden",
        "/directory",
        "/outside",
        "/../log",
        "/-/nothing",
    ] {
        assert_eq!(words(target), same, "{target}");
    }
    assert_eq!(same, "no such file");
}

#[test]
fn methods_and_versions() {
    let log = Log::new("one\n");
    let server = log.server();
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "GETS", "Get",
    ] {
        let mut web = Web::ask(&server, request(method, "/log", &[]));
        let head = web.head();
        assert_eq!(head.status, 405, "{method}");
        head.expect(&[("Allow", Some("GET, HEAD"))]);
        assert!(web.body(&head).starts_with(b"error: "));
    }
    for (line, status) in [
        ("GET /log HTTP/0.9", 505),
        ("GET /log HTTP/1.2", 505),
        ("GET /log HTTP/3.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET /log FTP/1.0", 400),
        ("GET /log", 400),
    ] {
        let text = format!("{line}\r\nHost: localhost\r\n\r\n");
        Web::ask(&server, text).expect_refusal(status);
    }
    // RFC 9113, 3.4: what a client of HTTP/2 sends that knows no better.
    Web::ask(
        &server,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .expect_refusal(505);
}

#[test]
fn heads_that_are_too_long() {
    let log = Log::new("one\n");
    let server = log.server();
    let long = |bytes: usize| format!("X: {}", "x".repeat(bytes));
    for web in [
        &mut Web::get_with(&server, "/log", &[&long(9000)]),
        &mut Web::get(&server, &format!("/{}", "x".repeat(9000))),
        &mut Web::ask(&server, "A".repeat(9000)),
        &mut Web::get_with(&server, "/log", &["X: y"; 200]),
        &mut Web::get_with(&server, "/log", &[&long(500_000)]),
    ] {
        web.expect_refusal(431);
    }
    let fits = 8192 - request("GET", "/log", &[&long(0)]).len();
    let (head, body) = Web::get_with(&server, "/log", &[&long(fits)]).reply();
    assert_eq!((head.status, &*body), (200, &b"one\n"[..]));
    Web::get_with(&server, "/log", &[&long(fits + 1)]).expect_refusal(431);
}

#[test]
fn who_is_too_slow() {
    let log = Log::new("one\n");
    let server = Server::with(&["--header-timeout", "1"], &[&log.path]);
    let mut web = Web::ask(&server, "GET /log HTTP/1.1\r\nHost: local");
    let mut raw = server.ask("-1");
    let mut silent = server.connect();
    assert_eq!(web.expect_refusal(408), "no header within 1 s");
    raw.expect_error("no header within 1 s");
    silent.expect_error("no header within 1 s");
}

#[test]
fn who_is_too_many() {
    let log = Log::new("one\n");
    for (flags, words) in [
        (["--max-clients", "2"], "too many clients"),
        (
            ["--max-clients-per-host", "2"],
            "too many clients from this host",
        ),
    ] {
        let server = Server::with(&flags, &[&log.path]);
        let mut first = Web::get(&server, "/log?follow");
        assert_eq!(first.head().status, 200);
        let second = server.reader("0\n", "one\n");
        assert_eq!(Web::get(&server, "/log").expect_refusal(503), words);
        assert_eq!(Web::get(&server, "/").expect_refusal(503), words);
        let mut raw = server.ask("0\n");
        raw.expect_error(words);
        drop(raw);
        // A mere FIN would mean nothing.
        second.reset();
        wait_until("there is room", || server.totals("clients") == 1);
        assert_eq!(Web::get(&server, "/log").reply().0.status, 200);
    }
}

#[test]
fn what_a_search_cannot_reach() {
    let log = Log::new("one\n");
    let server = log.server();
    // Beyond the end it waits; what replaces the file ends that.
    let mut web = Web::get(&server, "/log?from=1000&follow");
    server.wait_for_request(&web.client);
    fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    fs::write(&log.path, "two\n").expect("it is ours");
    let head = web.head();
    match head.status {
        200 => web.expect_last_chunk("file was replaced"),
        status => assert_eq!(status, 410),
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}
