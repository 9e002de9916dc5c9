//! Who is served HTTP at all: flags, sockets, and both protocols side by side.

use super::programs::run;
use super::wire::{Web, request};
use crate::support::{Client, Log, Server, has_program, numbered_lines};

#[test]
fn without_http_it_is_a_bad_start() {
    let log = Log::new("one\n");
    let server = Server::with(&["--no-http"], &[&log.path]);
    for text in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /log HTTP/1.0\r\n\r\n",
        "G",
    ] {
        server.ask(text).expect_error("bad start");
    }
    server.ask("-1\n").expect(b"one\n");
}

/// What no capital letter begins is the raw protocol's.
#[test]
fn one_port_for_both() {
    let log = Log::new("one\n");
    let server = log.server();
    for text in [
        "get / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.ask(text);
        match text.starts_with('\r') {
            // An empty line is a request of its own.
            true => client.expect(b"one\n"),
            false => client.expect_error("bad start"),
        }
    }
    let mut web = Web::get(&server, "/log?follow");
    let mut raw = server.ask("0\n");
    assert_eq!(web.head().status, 200);
    for line in ["one\n", "two\n", "three\n"] {
        if line != "one\n" {
            log.append(line);
        }
        web.expect_chunked(line);
        raw.expect(line.as_bytes());
    }
    // What a client of HTTP gets begins like its protocol, whatever is wrong.
    let mut first = [0; 5];
    let mut web = Web::ask(&server, "X\n");
    std::io::Read::read_exact(&mut web.client.stream, &mut first).expect("it answers");
    assert_eq!(&first, b"HTTP/");
}

#[test]
fn names_may_be_added() {
    let log = Log::new("one\n");
    let flags = ["--host", "a.example", "--host", "b.example"];
    let server = Server::with(&flags, &[&log.path]);
    for (host, status) in [
        ("a.example", 200),
        ("B.example:80", 200),
        ("c.example", 421),
    ] {
        let text = format!("GET /log HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Web::ask(&server, text).head().status, status, "{host}");
    }
}

#[test]
fn on_a_unix_socket() {
    let content = numbered_lines(100_000);
    let log = Log::new(&content);
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    let server = Server::with(&["-b", "127.0.0.1", "-b", &unix], &[&log.path]);
    let mut web = Web::new(Client::unix(&path));
    web.client
        .send(request("GET", "/log?from=-1&follow", &[]).as_bytes());
    assert_eq!(web.head().status, 200);
    web.expect_chunked("line 99999\n");
    log.append("more\n");
    web.expect_chunked("more\n");
    if !has_program("curl") {
        return;
    }
    let script = format!(
        "curl -sSf --unix-socket {} http://localhost/log",
        path.display()
    );
    assert!(run(&server, &script).ok() == content + "more\n");
}

/// The sandbox is entered as ever; what HTTP needs is in memory by then.
#[test]
fn inside_the_sandbox_and_without() {
    let log = Log::new("one\n");
    for flags in [&[][..], &["--no-sandbox"]] {
        let server = Server::with(flags, &[log.directory.path()]);
        for target in [
            "/",
            "/log",
            "/-/files",
            "/-/metrics",
            "/-/healthy",
            "/-/page.js",
        ] {
            let (head, body) = Web::get(&server, target).reply();
            assert_eq!(head.status, 200, "{target} {flags:?}");
            assert!(!body.is_empty(), "{target} {flags:?}");
        }
        std::fs::write(log.beside("later"), "later\n").expect("it is ours");
        assert_eq!(Web::get(&server, "/later").reply().1, b"later\n");
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("it has a name");
        let text = format!("GET /log HTTP/1.1\r\nHost: {}\r\n\r\n", own.trim());
        assert_eq!(Web::ask(&server, text).reply().0.status, 200);
    }
}
