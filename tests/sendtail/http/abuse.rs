//! What comes to an open port and looks like HTTP: one status each, a clean end, and a follower
//! beside it who does not notice.

use super::wire::{Web, request};
use crate::support::{Client, Log, Server, wait_until};

/// Each with the status that it gets.
const BAD: [(&[u8], u16); 28] = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET /\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"G\n", 400),
    (b"GET /log\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (
        b"GET ftp://localhost/log HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
    (b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (
        b"GET /log HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        400,
    ),
    (b"GET /log HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    (
        b"GET /log HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        400,
    ),
    (
        b"GET /log HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        400,
    ),
    (b"GET /log HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (
        b"GET /log HTTP/1.1\r\nHost: localhost\r\n\x01: x\r\n\r\n",
        400,
    ),
    (b"GET  /log HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /log HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400),
    (b"GET /a%2fb HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.0\r\n\r\n", 404),
    (b"GET /../../etc/passwd HTTP/1.0\r\n\r\n", 404),
    (b"GET /..%5c..%5cetc HTTP/1.0\r\n\r\n", 404),
    (b"GET /.git/config HTTP/1.0\r\n\r\n", 404),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"OPTIONS / RTSP/1.0\r\n\r\n", 400),
    (b"EHLO example.com\r\n", 400),
    (b"Y\x00\x00\x00", 400),
];

/// Follows beside all that happens.
struct Beside<'a> {
    log: &'a Log,
    follower: Client,
    lines: usize,
}

impl Beside<'_> {
    fn of<'a>(log: &'a Log, server: &Server) -> Beside<'a> {
        let follower = server.reader("-0\n", "");
        Beside {
            log,
            follower,
            lines: 0,
        }
    }

    fn is_not_disturbed(&mut self) {
        self.lines += 1;
        let line = format!("line {}\n", self.lines);
        self.log.append(&line);
        self.follower.expect(line.as_bytes());
    }
}

#[test]
fn one_status_each() {
    let log = Log::new("one\n");
    let server = log.server();
    let mut beside = Beside::of(&log, &server);
    for (bytes, status) in BAD {
        eprintln!("{}", bytes.escape_ascii());
        Web::ask(&server, bytes).expect_refusal(status);
        // A byte at a time it is the same.
        let mut web = Web::new(server.connect());
        web.client.stream.set_nodelay(true).expect("it is TCP");
        for byte in bytes {
            web.client.send(&[*byte]);
        }
        web.expect_refusal(status);
        beside.is_not_disturbed();
    }
    wait_until("they are gone", || server.totals("clients") == 1);
    assert_eq!(server.totals("refused"), 2 * BAD.len() as u64);
}

#[test]
fn a_body_is_not_looked_at() {
    let log = Log::new("one\n");
    let server = log.server();
    let body = request("GET", "/absent", &[]);
    for field in [
        format!("Content-Length: {}", body.len()),
        "Transfer-Encoding: chunked".into(),
    ] {
        let text = request("GET", "/log", &[&field]) + &body;
        let (head, body) = Web::ask(&server, text).reply();
        assert_eq!((head.status, &*body), (200, &b"one\n"[..]), "{field}");
    }
}

/// One is answered, the others are thrown away, and nobody sees a reset.
#[test]
fn a_thousand_pipelined_requests() {
    let log = Log::new("one\n");
    let server = log.server();
    let mut beside = Beside::of(&log, &server);
    for target in ["/log", "/", "/absent"] {
        let (head, _) = Web::ask(&server, request("GET", target, &[]).repeat(1000)).reply();
        assert_eq!(head.status, if target == "/absent" { 404 } else { 200 });
        beside.is_not_disturbed();
    }
    let all = request("GET", "/log?follow", &[]).repeat(1000);
    let mut web = Web::ask(&server, all);
    assert_eq!(web.head().status, 200);
    web.expect_chunked(std::fs::read(&log.path).expect("it is there"));
    log.append("more\n");
    web.expect_chunked("more\n");
}

#[test]
fn half_a_request_and_then_nothing() {
    let log = Log::new("one\n");
    let server = log.server();
    for half in [
        "G",
        "GET /log",
        "GET /log HTTP/1.1\r\n",
        "GET /log HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        let mut web = Web::ask(&server, half);
        web.client.half_close();
        web.expect_refusal(400);
        let mut reset = Web::ask(&server, half);
        assert!(reset.client.is_silent());
        reset.client.send(b"");
        reset.client.reset();
    }
    wait_until("they are gone", || server.totals("clients") == 0);
}
