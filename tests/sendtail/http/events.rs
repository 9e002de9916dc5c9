//! Server-sent events: lines with places, and what goes on from a place.

mod resumed;

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::wire::Web;
use crate::support::{Log, numbered_lines, wait_until};

#[test]
fn lines_are_events() {
    let log = Log::new("one\n\ntwo words\n: colon\ndata: x\nunterminated");
    let server = log.server();
    let (head, mut web) = Web::events(&server, "/log", &[]);
    assert!(head.place().contains(".0."));
    for (line, end) in [
        ("one", 4),
        ("", 5),
        ("two words", 15),
        (": colon", 23),
        ("data: x", 31),
    ] {
        let event = web.said();
        assert_eq!((event.kind, event.data.as_deref()), (None, Some(line)));
        let place = event.id.expect("it has a place");
        assert!(
            place.contains(&format!(".{end}.")),
            "{place} is not at {end}"
        );
    }
    server.look();
    assert!(web.client.is_silent(), "a line that is not complete");
    log.append(" no more\n");
    web.expect_lines(["unterminated no more"]);
}

#[test]
fn from_every_start() {
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let content = numbered_lines(100);
    let from = |line: usize| content.lines().skip(line);
    for (query, first) in [
        ("", 0),
        ("?follow", 0),
        ("?from=-10", 90),
        ("?from=-10&follow", 90),
        ("?from=%2B50", 49),
        ("?from=-0", 100),
    ] {
        let (_, mut web) = Web::events(&server, &format!("/log{query}"), &[]);
        web.expect_lines(from(first));
        server.look();
        assert!(web.client.is_silent(), "{query}");
    }
    let (_, mut web) = Web::events(&server, "/log?from=-3&grep=9&skip=99", &[]);
    web.expect_lines(["line 96", "line 97", "line 98"]);
    drop(web);
    let (_, mut web) = Web::events(&server, "/log?grep=8&skip=line+8", &[]);
    web.expect_lines(
        content
            .lines()
            .filter(|l| l.contains('8') && !l.contains("line 8")),
    );
}

#[test]
fn what_cannot_stand_in_an_event() {
    let long = "x".repeat(64 << 10);
    let longer = format!("{long}yz");
    let mut content = b"a\rb\r\nc\r\r\nbad \xff\xc3 utf\nnul \0\n".to_vec();
    content.extend(format!("{long}\n{longer}\nshort\n").into_bytes());
    let log = Log::new(&content);
    let server = log.server();
    let (_, mut web) = Web::events(&server, "/log", &[]);
    let mut said = vec![];
    while said.last() != Some(&(None, "short".to_owned())) {
        let event = web.said();
        said.push((event.kind, event.data.expect("it says something")));
    }
    let line = |text: &str| (None, text.to_owned());
    let mut expected = [
        "a\nb",
        "c\n",
        "bad \u{fffd}\u{fffd} utf",
        "nul \0",
        &long,
        &long,
    ]
    .map(line)
    .to_vec();
    expected.push((Some("cut".into()), String::new()));
    expected.push(line("short"));
    let shown = |said: &[(Option<String>, String)]| -> Vec<_> {
        let short = |text: &str| text.chars().take(20).collect::<String>();
        said.iter()
            .map(|(kind, text)| (kind.clone(), text.len(), short(text)))
            .collect()
    };
    assert_eq!(shown(&said), shown(&expected));
    assert!(said == expected);
}

#[test]
fn a_rotation_is_an_event() {
    let log = Log::new("old\nunterminated");
    let server = log.server();
    let (_, mut web) = Web::events(&server, "/log", &[]);
    web.expect_lines(["old"]);
    fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    fs::write(&log.path, "new\n").expect("it is ours");
    web.expect_lines(["unterminated"]);
    let event = web.said();
    assert_eq!(event.kind.as_deref(), Some("rotated"), "{event:?}");
    assert_eq!(event.data.as_deref(), Some(""));
    let place = event.id.expect("it has a place");
    assert!(place.contains(".0."), "{place}");
    web.expect_lines(["new"]);
    fs::write(&log.path, "").expect("it is ours");
    log.append("truncated\n");
    assert_eq!(web.said().kind.as_deref(), Some("rotated"));
    web.expect_lines(["truncated"]);
    server.signal(Signal::SIGTERM);
    web.expect_end_event("shutdown");
}

/// Where the time comes from: an id alone every 15 s of waiting, so that neither a proxy nor a
/// browser takes the connection for a dead one. The one test that waits for time.
#[test]
fn an_id_alone_keeps_a_quiet_stream_alive() {
    let log = Log::new("one\n");
    let server = log.server();
    let (_, mut web) = Web::events(&server, "/log", &[]);
    let place = web.expect_lines(["one"]);
    let start = Instant::now();
    let event = web.event();
    let waited = start.elapsed();
    assert_eq!((event.kind, event.data), (None, None));
    assert_eq!(event.id, Some(place));
    let expected = Duration::from_secs(13)..Duration::from_secs(25);
    assert!(expected.contains(&waited), "{waited:?}");
    log.append("two\n");
    web.expect_lines(["two"]);
}

#[test]
fn a_thousand_followers() {
    crate::support::allow_many_descriptors();
    let log = Log::new("one\n");
    let server = log.server();
    let mut all: Vec<Web> = (0..1000)
        .map(|_| Web::events(&server, "/log?from=-0", &[]).1)
        .collect();
    wait_until("all are there", || server.totals("clients") == 1000);
    for number in 0..5 {
        let line = format!("round {number}");
        log.append(format!("{line}\n"));
        for web in &mut all {
            web.expect_lines([&*line]);
        }
    }
}
