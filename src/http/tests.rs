//! Heads as they are on the wire.

use super::*;

use std::time::Duration;

/// What is in every head, the date of the tests among it.
const COMMON: &str = "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n\
    Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = vec![];
    write(&mut out);
    String::from_utf8(out).expect("it is text")
}

#[test]
fn heads() {
    let place = Bookmark {
        file: 255,
        offset: 12,
        check: 0xabcd,
    };
    let plain = Head {
        media_type: TEXT,
        length: Some(5),
        place: Some(place),
        ..Head::default()
    };
    let range = Head {
        media_type: TEXT,
        length: Some(5),
        range: Some(ContentRange {
            first: 0,
            last: 4,
            length: 9,
        }),
        ..Head::default()
    };
    let chunks = || Head {
        media_type: TEXT,
        is_chunked: true,
        ..Head::default()
    };
    let followed = Head {
        is_stream: true,
        ..chunks()
    };
    let events = Head {
        media_type: EVENTS,
        is_stream: true,
        ..Head::default()
    };
    let text = "Content-Type: text/plain; charset=utf-8\r\n";
    for (head, status, fields) in [
        (
            plain,
            "200 OK",
            format!("{text}Content-Length: 5\r\nSendtail-Place: {place}\r\n"),
        ),
        (
            range,
            "206 Partial Content",
            format!("{text}Content-Length: 5\r\nContent-Range: bytes 0-4/9\r\n"),
        ),
        (
            chunks(),
            "200 OK",
            format!("{text}Transfer-Encoding: chunked\r\n"),
        ),
        (
            followed,
            "200 OK",
            format!(
                "{text}X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\
                Trailer: Sendtail-End\r\n"
            ),
        ),
        (
            events,
            "200 OK",
            "Content-Type: text/event-stream; charset=utf-8\r\nX-Accel-Buffering: no\r\n".into(),
        ),
    ] {
        let expected = format!("HTTP/1.1 {status}\r\n{COMMON}{fields}\r\n");
        assert_eq!(written(|out| head.write(now(), out)), expected);
    }
}

#[test]
fn refusals() {
    use Refusal::*;
    for (refusal, status, field) in [
        (BadRequest, "400 Bad Request", ""),
        (BadStart, "400 Bad Request", ""),
        (BadHeader, "400 Bad Request", ""),
        (UnknownOption, "400 Bad Request", ""),
        (UnknownQuery, "400 Bad Request", ""),
        (EmptyText, "400 Bad Request", ""),
        (CrossSite, "403 Forbidden", ""),
        (NoSuchFile, "404 Not Found", ""),
        (PathNeeded, "404 Not Found", ""),
        (
            MethodNotAllowed,
            "405 Method Not Allowed",
            "Allow: GET, HEAD\r\n",
        ),
        (NoHeader { within_seconds: 30 }, "408 Request Timeout", ""),
        (FileWasReplaced, "410 Gone", ""),
        (PlaceIsGone, "410 Gone", ""),
        (
            NotSatisfiable { length: 7 },
            "416 Range Not Satisfiable",
            "Content-Range: bytes */7\r\n",
        ),
        (WrongHost, "421 Misdirected Request", ""),
        (HeaderTooLong, "431 Request Header Fields Too Large", ""),
        (MoreFiles, "500 Internal Server Error", ""),
        (TryAgain, "503 Service Unavailable", ""),
        (TooManyClients, "503 Service Unavailable", ""),
        (TooManyOfHost, "503 Service Unavailable", ""),
        (TooManyFiles, "503 Service Unavailable", ""),
        (ShuttingDown, "503 Service Unavailable", ""),
        (VersionNotSupported, "505 HTTP Version Not Supported", ""),
    ] {
        let body = format!("error: {refusal}\n");
        let head = format!(
            "HTTP/1.1 {status}\r\n{COMMON}Content-Type: text/plain; charset=utf-8\r\n\
            Content-Length: {}\r\n{field}\r\n",
            body.len()
        );
        let reply = |is_head| written(|out| refuse(refusal, is_head, now(), out));
        assert_eq!(reply(true), head);
        assert_eq!(reply(false), head + &body);
    }
}

#[test]
fn chunks() {
    for (bytes, expected) in [(1, "1\r\n"), (10, "a\r\n"), (1 << 20, "100000\r\n")] {
        assert_eq!(written(|out| size_line(bytes, out)), expected);
    }
    let last = written(|out| last_chunk_with("lost 4096 bytes", out));
    assert_eq!(last, "0\r\nSendtail-End: lost 4096 bytes\r\n\r\n");
}
