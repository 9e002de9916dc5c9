//! Heads of every kind, a line each; what is sent in pieces, cut off or damaged is in `random`;
//! what a request's fields may say is in `fields`.

mod fields;
mod random;

use super::*;

use std::path::PathBuf;

fn door() -> Door {
    Door::new(true, vec!["logs.example".into()])
}

fn parsed(head: &str) -> Parsed {
    parse(head.as_bytes(), false, &door())
}

/// A head with this first line and these fields, and a Host.
fn head(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn get(target: &str, fields: &[&str]) -> Parsed {
    parsed(&head(&format!("GET {target}"), fields))
}

/// The file that this asks for, and in which form.
#[track_caller]
fn file(target: &str, fields: &[&str]) -> (Wanted, Http) {
    match get(target, fields) {
        Parsed::Request(Request {
            wants: Wants::File(wanted),
            form: Form::Http(http),
        }) => (wanted, http),
        other => panic!("{target} {fields:?}: {other:?}"),
    }
}

#[track_caller]
fn refused(parsed: Parsed) -> Refusal {
    match parsed {
        Parsed::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

const PLACE: &str = "00000000000000ff.12.0000abcd";

fn place() -> Start {
    Start::Bookmark(Bookmark {
        file: 255,
        offset: 12,
        check: 0xabcd,
    })
}

#[test]
fn what_targets_ask_for() {
    let list = |path: &str| Wants::List((!path.is_empty()).then(|| PathBuf::from(path)));
    for (target, expected) in [
        ("/", Wants::Asset(&page::PAGE)),
        ("/?", Wants::Asset(&page::PAGE)),
        ("/-/page.css", Wants::Asset(&page::STYLE)),
        ("/-/page.js", Wants::Asset(&page::SCRIPT)),
        ("/-/healthy", Wants::Asset(&HEALTH)),
        ("/-/metrics", Wants::Metrics),
        ("/-/files", list("")),
        ("/-/files/", list("")),
        ("/-/files/nginx", list("nginx")),
        ("/-/files/a%20b/../c", list("a b/../c")),
        ("http://localhost", Wants::Asset(&page::PAGE)),
        ("http://localhost/-/metrics", Wants::Metrics),
        ("HTTPS://logs.example:443/-/files", list("")),
    ] {
        let http = Http {
            version: Version::V11,
            is_head: false,
            body: Body::Bytes,
            is_range: false,
        };
        let form = Form::Http(http);
        let fields = ["Accept: text/event-stream", "Range: bytes=0-0"];
        let request = Request {
            wants: expected,
            form,
        };
        assert_eq!(get(target, &fields), Parsed::Request(request), "{target}");
    }
}

#[test]
fn what_targets_name() {
    for (target, expected) in [
        ("/log", "log"),
        ("/log?", "log"),
        ("/log?&&", "log"),
        ("/nginx/access.log", "nginx/access.log"),
        ("/a%20b%3D%25%3f", "a b=%?"),
        ("/d\u{e9}j\u{e0}", "d\u{e9}j\u{e0}"),
        ("/a+b", "a+b"),
        ("/a=b", "a=b"),
        ("/..", ".."),
        ("/%2e%2E/x", "../x"),
        ("//log", "/log"),
        ("/./-/files", "./-/files"),
        ("/%2D/files", "-/files"),
        ("/-x", "-x"),
        ("http://localhost/log", "log"),
        ("/x://y", "x://y"),
    ] {
        let (wanted, _) = file(target, &[]);
        assert_eq!(wanted.path, Some(expected.into()), "{target}");
    }
}

#[test]
fn what_queries_say() {
    use Start::*;
    let file_of = |query: &str| file(&format!("/log{query}"), &[]).0;
    for (query, start, once) in [
        ("", Byte(0), true),
        ("?follow", Byte(0), false),
        ("?follow=", Byte(0), false),
        ("?follow&follow", Byte(0), false),
        ("?from=-10", LastLines(10), true),
        ("?from=-10&follow", LastLines(10), false),
        ("?follow&from=-0", LastLines(0), false),
        ("?&from=7&", Byte(7), true),
        ("?from=%2B5", FromLine(5), true),
        ("?from=%2d5%63", LastBytes(5), true),
        ("?from=00000000000000ff.12.0000abcd", place(), true),
    ] {
        let wanted = file_of(query);
        assert_eq!((wanted.start, wanted.once), (start, once), "{query}");
        assert_eq!((wanted.until, wanted.conditions), (None, vec![]), "{query}");
    }
    for (query, expected) in [
        ("?grep=a", &[(&b"a"[..], true)][..]),
        (
            "?skip=a&from=0&grep=b&grep=c",
            &[(b"a", false), (b"b", true), (b"c", true)],
        ),
        ("?grep=+500+", &[(b" 500 ", true)]),
        ("?grep=%20%2b%26%3D%2f%ff%0A", &[(b" +&=/\xff\n", true)]),
        ("?grep=a=b=", &[(b"a=b=", true)]),
        ("?grep=\u{e9}", &[("\u{e9}".as_bytes(), true)]),
    ] {
        let conditions = file_of(query).conditions.into_iter();
        let conditions: Vec<_> = conditions.map(|one| (one.text, one.wanted)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, wanted)| (text.to_vec(), *wanted))
            .collect();
        assert_eq!(conditions, expected, "{query}");
    }
}

#[test]
fn targets_that_are_refused() {
    use Refusal::*;
    for (target, expected) in [
        ("*", BadRequest),
        ("log", BadRequest),
        ("localhost:80", BadRequest),
        ("ftp://localhost/log", BadRequest),
        ("http:///log", BadRequest),
        ("http://a@localhost/log", BadRequest),
        ("/log#x", BadRequest),
        ("/log?grep=a#x", BadRequest),
        ("/a%2Fb", BadRequest),
        ("/a%00", BadRequest),
        ("/a%4", BadRequest),
        ("/a%zz", BadRequest),
        ("/-", NoSuchFile),
        ("/-/", NoSuchFile),
        ("/-/file", NoSuchFile),
        ("/-/healthy/", NoSuchFile),
        ("/-/..", NoSuchFile),
        ("/-/files/%2f", BadRequest),
        ("/?x", UnknownQuery),
        ("/-/healthy?x", UnknownQuery),
        ("/-/files?from=0", UnknownQuery),
        ("/-/metrics?follow", UnknownQuery),
        ("http://localhost?follow", UnknownQuery),
        ("/log?x", UnknownQuery),
        ("/log?x=y", UnknownQuery),
        ("/log?=y", UnknownQuery),
        ("/log?From=0", UnknownQuery),
        ("/log?fro%6d=0", UnknownQuery),
        ("/log?follow=1", UnknownQuery),
        ("/log?from", BadStart),
        ("/log?from=", BadStart),
        ("/log?from=x", BadStart),
        ("/log?from=+5", BadStart),
        ("/log?from=-5c5", BadStart),
        ("/log?from=9223372036854775808", BadStart),
        ("/log?from=0&from=0", BadStart),
        ("/log?from=0.0.0", BadStart),
        ("/log?grep", EmptyText),
        ("/log?skip=", EmptyText),
        ("/log?grep=%", BadRequest),
        ("/log?grep=%0", BadRequest),
        ("/log?grep=%00", BadRequest),
        ("/log?x=%g0", BadRequest),
    ] {
        assert_eq!(refused(get(target, &[])), expected, "{target}");
    }
}

#[test]
fn first_lines_that_are_refused() {
    use Refusal::*;
    for (line, expected) in [
        ("POST / HTTP/1.1", MethodNotAllowed),
        ("OPTIONS * HTTP/1.1", MethodNotAllowed),
        ("CONNECT localhost:80 HTTP/1.1", MethodNotAllowed),
        ("BREW / HTTP/1.0", MethodNotAllowed),
        ("Get / HTTP/1.1", MethodNotAllowed),
        ("PRI * HTTP/2.0", VersionNotSupported),
        ("GET / HTTP/2", VersionNotSupported),
        ("GET / HTTP/0.9", VersionNotSupported),
        ("GET / HTTP/1.2", VersionNotSupported),
        ("GET / HTTP/1.10", BadRequest),
        ("GET / HTTP/1.1 ", BadRequest),
        ("GET / http/1.1", BadRequest),
        ("GET / HTTP/", BadRequest),
        ("GET / HTCPCP/1.0", BadRequest),
        ("GET / RTSP/1.0", BadRequest),
        ("GET /", BadRequest),
        ("GET", BadRequest),
        ("GET  / HTTP/1.1", BadRequest),
        ("GET /  HTTP/1.1", BadRequest),
        ("GET\t/ HTTP/1.1", BadRequest),
        ("GET /a b HTTP/1.1", BadRequest),
        ("GET /\x01 HTTP/1.1", BadRequest),
        ("GET /\x7f HTTP/1.1", BadRequest),
        ("GET / HTTP/1.1\rX: y", BadRequest),
        ("SSH-2.0-OpenSSH_9.2", BadRequest),
    ] {
        let head = format!("{line}\r\nHost: localhost\r\n\r\n");
        assert_eq!(refused(parsed(&head)), expected, "{line}");
    }
    let not_utf8 = b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let parsed = parse(not_utf8, false, &door());
    assert_eq!(refused(parsed), BadRequest);
}

#[test]
fn versions_and_methods() {
    for (text, version, is_head) in [
        (
            "GET /log HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Version::V11,
            false,
        ),
        (
            "GET /log HTTP/1.0\r\nHost: localhost\r\n\r\n",
            Version::V10,
            false,
        ),
        ("GET /log HTTP/1.0\r\n\r\n", Version::V10, false),
        ("HEAD /log HTTP/1.0\n\n", Version::V10, true),
        (
            "HEAD /log HTTP/1.1\nhost:localhost:4321\n\n",
            Version::V11,
            true,
        ),
    ] {
        let expected = Form::Http(Http {
            version,
            is_head,
            body: Body::Bytes,
            is_range: false,
        });
        match parsed(text) {
            Parsed::Request(Request { form, .. }) => assert_eq!(form, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_longest_heads() {
    let filled = |bytes: usize| {
        let short = head("GET /log", &["X: "]);
        let fill = "x".repeat(bytes - short.len());
        head("GET /log", &[&format!("X: {fill}")])
    };
    assert_eq!(filled(HEAD_BYTES_MAX).len(), HEAD_BYTES_MAX);
    assert_eq!(parsed(&filled(HEAD_BYTES_MAX)), get("/log", &[]));
    let longer = filled(HEAD_BYTES_MAX + 1);
    assert_eq!(refused(parsed(&longer)), Refusal::HeaderTooLong);
    assert_eq!(parsed(&longer[..HEAD_BYTES_MAX - 1]), Parsed::NotYet);
    let target = format!("/{}", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(refused(get(&target, &[])), Refusal::HeaderTooLong);
    let method = "X".repeat(HEAD_BYTES_MAX);
    assert_eq!(refused(parsed(&method)), Refusal::HeaderTooLong);
    // Host is one more.
    assert_eq!(get("/log", &["X: y"; FIELDS_MAX - 1]), get("/log", &[]));
    let more = get("/log", &["X: y"; FIELDS_MAX]);
    assert_eq!(refused(more), Refusal::HeaderTooLong);
}
