//! What the fields of a head say: for whom, from where, which form and which part.

use super::*;

#[test]
fn fields_that_are_refused() {
    for field in [
        "Host : localhost",
        " folded",
        "X: y\r\n folded",
        "no colon",
        ": no name",
        "X Y: z",
        "X: \0",
        "X: a\rb",
        "Host: localhost",
        "HOST: other",
        "Range: bytes=0-1\r\nrange: bytes=0-1",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty\r\nSec-Fetch-Dest: empty",
    ] {
        assert_eq!(
            refused(get("/log", &[field])),
            Refusal::BadRequest,
            "{field}"
        );
    }
    let accept = "Accept: text/event-stream";
    for (fields, expected) in [
        (["Last-Event-ID: x", accept], Refusal::BadStart),
        (["Last-Event-ID: 5", accept], Refusal::BadStart),
        (
            ["Last-Event-ID: 1\r\nLast-Event-ID: 1", accept],
            Refusal::BadRequest,
        ),
    ] {
        assert_eq!(refused(get("/log", &fields)), expected, "{fields:?}");
    }
}

#[test]
fn what_is_in_nobodys_way() {
    for fields in [
        &["X: y", "X: z", "Cookie: a=b", "x-empty:"][..],
        &[
            "Content-Length: 5",
            "Content-Length: 6",
            "Transfer-Encoding: chunked",
        ],
        &["Connection: keep-alive, Upgrade", "Upgrade: websocket"],
        &["If-None-Match: *", "Expect: 100-continue", "Accept: */*"],
        &["Last-Event-ID: nonsense", "Accept: text/plain"],
    ] {
        let (wanted, http) = file("/log", fields);
        let is_plain = wanted.start == Start::Byte(0) && http.body == Body::Bytes;
        assert!(is_plain && wanted.once, "{fields:?}");
    }
    let bare = "GET /log HTTP/1.1\nHost: localhost\n\n\
        GET /other HTTP/1.1\nHost: localhost\n\n";
    assert_eq!(parsed(bare), get("/log", &[]));
}

#[test]
fn hosts() {
    let good: Parsed = get("/log", &[]);
    for host in [
        "localhost",
        "LOCALHOST:4321",
        "a.localhost.",
        "localhost:",
        "127.0.0.1",
        "10.1.2.3:80",
        "[::1]",
        "[::1]:4321",
        "[2001:DB8::1]:",
        "logs.example",
        "Logs.Example.:443",
    ] {
        let head = format!("GET /log HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(parsed(&head), good, "{host}");
        let absolute = format!("GET http://{host}/log HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert_eq!(parsed(&absolute), good, "{host}");
    }
    for (host, expected) in [
        ("evil.example", Refusal::WrongHost),
        ("evil.example:4321", Refusal::WrongHost),
        ("localhost.evil.example", Refusal::WrongHost),
        ("%6cocalhost", Refusal::WrongHost),
        ("", Refusal::WrongHost),
        (":80", Refusal::WrongHost),
        ("a@localhost", Refusal::BadRequest),
        ("localhost/", Refusal::BadRequest),
        ("localhost:80x", Refusal::BadRequest),
        ("localhost:80:80", Refusal::BadRequest),
        ("localhost, evil.example", Refusal::BadRequest),
        ("localhost evil.example", Refusal::BadRequest),
        ("::1", Refusal::BadRequest),
        ("[::1", Refusal::BadRequest),
        ("[::1]x", Refusal::BadRequest),
        ("[evil.example]", Refusal::BadRequest),
        ("[]", Refusal::BadRequest),
        ("\u{e9}", Refusal::BadRequest),
    ] {
        for version in ["1.0", "1.1"] {
            let head = format!("GET /log HTTP/{version}\r\nHost: {host}\r\n\r\n");
            assert_eq!(refused(parsed(&head)), expected, "{host}");
        }
        let healthy = format!("GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n\r\n");
        match (expected, parsed(&healthy)) {
            (Refusal::WrongHost, answer) => assert_eq!(answer, get("/-/healthy", &[])),
            (_, answer) => assert_eq!(refused(answer), expected, "{host}"),
        }
    }
    let absolute = "GET http://evil.example/log HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(refused(parsed(absolute)), Refusal::WrongHost);
    for missing in ["/log", "/-/healthy", "http://localhost/log"] {
        let head = format!("GET {missing} HTTP/1.1\r\n\r\n");
        assert_eq!(refused(parsed(&head)), Refusal::BadRequest);
    }
}

#[test]
fn other_sites() {
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
    let [site, mode] = link;
    let document = "Sec-Fetch-Dest: document";
    for (method, fields, is_allowed) in [
        ("GET", &["Sec-Fetch-Site: none"][..], true),
        (
            "GET",
            &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"],
            true,
        ),
        ("GET", &["Sec-Fetch-Site: same-site"], true),
        ("GET", &[site, mode, document], true),
        ("HEAD", &[site, mode, document], false),
        ("GET", &[site], false),
        ("GET", &["SEC-FETCH-SITE: Cross-Site"], false),
        ("GET", &[site, mode], false),
        ("GET", &[site, document], false),
        ("GET", &[site, mode, "Sec-Fetch-Dest: iframe"], false),
        (
            "GET",
            &[site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
            false,
        ),
        ("GET", &["Origin: https://evil.example"], false),
        ("GET", &["Origin: http://192.0.2.7:4321"], false),
        ("GET", &["Origin: null"], false),
        ("GET", &["Origin: http://localhost.evil.example"], false),
        ("HEAD", &["Origin: http://localhost@evil.example"], false),
        ("GET", &["Origin: http://LOCALHOST:3000"], true),
        ("GET", &["Origin: http://localhost"], true),
        // Where the browser says more, that counts.
        (
            "GET",
            &["Origin: http://app.localhost", "Sec-Fetch-Site: same-site"],
            true,
        ),
        ("GET", &["Origin: http://localhost", site], false),
        (
            "GET",
            &[site, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
            false,
        ),
    ] {
        for target in ["/", "/log", "/-/files", "/-/healthy"] {
            let answer = parsed(&head(&format!("{method} {target}"), fields));
            let is_answered = matches!(answer, Parsed::Request(_));
            assert_eq!(is_answered, is_allowed, "{target} {fields:?}: {answer:?}");
            if !is_allowed {
                assert_eq!(refused(answer), Refusal::CrossSite);
            }
        }
    }
}

#[test]
fn events() {
    for (accept, expected) in [
        ("Accept: text/event-stream", Body::Events),
        ("accept: Text/Event-Stream", Body::Events),
        ("Accept: text/html, text/event-stream;q=0.5", Body::Events),
        ("Accept: */*\r\nAccept: text/event-stream", Body::Events),
        ("Accept: text/event-stream; charset=utf-8", Body::Events),
        ("Accept: text/event-stream;q=0", Body::Bytes),
        ("Accept: text/event-stream; q=0.000", Body::Bytes),
        ("Accept: text/event-streams", Body::Bytes),
        ("Accept: text/*, */*", Body::Bytes),
    ] {
        let (wanted, http) = file("/log", &[accept, "Range: bytes=1-"]);
        assert_eq!(http.body, expected, "{accept}");
        // They follow, and know no ranges.
        let is_bytes = expected == Body::Bytes;
        assert_eq!(
            (wanted.once, http.is_range),
            (is_bytes, is_bytes),
            "{accept}"
        );
    }
    let accept = "Accept: text/event-stream";
    let id = format!("Last-Event-ID: {PLACE}");
    for (target, fields, expected) in [
        ("/log", &[accept][..], Start::Byte(0)),
        ("/log?from=-5", &[accept], Start::LastLines(5)),
        (
            "/log?from=-5",
            &[accept, "Last-Event-ID:"],
            Start::LastLines(5),
        ),
        ("/log?from=-5", &[accept, &id], place()),
        ("/log", &[&id, accept], place()),
        ("/log?from=-5", &[&id], Start::LastLines(5)),
    ] {
        assert_eq!(
            file(target, fields).0.start,
            expected,
            "{target} {fields:?}"
        );
    }
}

#[test]
fn ranges() {
    use Start::*;
    let max = i64::MAX as u64;
    for (value, start, until) in [
        ("bytes=0-0", Byte(0), Some(1)),
        ("bytes=5-9", Byte(5), Some(10)),
        ("Bytes=5-", Byte(5), None),
        ("bytes=-5", LastBytes(5), None),
        ("bytes=-0", LastBytes(0), None),
        ("bytes= 0-1 ", Byte(0), Some(2)),
        ("bytes=007-0010", Byte(7), Some(11)),
        ("bytes=0-99999999999999999999", Byte(0), Some(max + 1)),
        ("bytes=99999999999999999999-", Byte(max), None),
        ("bytes=-99999999999999999999", LastBytes(max), None),
    ] {
        let field = format!("Range: {value}");
        let (wanted, http) = file("/log", &[&field]);
        assert_eq!((wanted.start, wanted.until), (start, until), "{value}");
        assert!(http.is_range && wanted.once, "{value}");
    }
    let range = "Range: bytes=5-9";
    for (line, fields) in [
        ("GET /log", &["Range: bytes=9-5"][..]),
        ("GET /log", &["Range: bytes=0-1,3-4"]),
        ("GET /log", &["Range: bytes=0-1,"]),
        ("GET /log", &["Range: bytes=-"]),
        ("GET /log", &["Range: bytes="]),
        ("GET /log", &["Range: bytes"]),
        ("GET /log", &["Range: bytes=+1-2"]),
        ("GET /log", &["Range: bytes=--1"]),
        ("GET /log", &["Range: bytes=0x1-2"]),
        ("GET /log", &["Range: lines=0-1"]),
        ("GET /log", &["Range: bytes=0-1\u{e9}"]),
        ("GET /log", &[range, "If-Range: \"x\""]),
        (
            "GET /log",
            &[range, "If-Range: Sat, 21 Nov 2026 00:00:00 GMT"],
        ),
        ("GET /log?follow", &[range]),
        ("GET /log?from=0", &[range]),
        ("GET /log?grep=a", &[range]),
        ("HEAD /log", &[range]),
    ] {
        let answer = parsed(&head(line, fields));
        assert_eq!(answer, parsed(&head(line, &[])), "{line} {fields:?}");
        assert!(matches!(answer, Parsed::Request(_)), "{answer:?}");
    }
}
