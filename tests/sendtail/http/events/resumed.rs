//! Cut off anywhere and gone on by `Last-Event-ID`: no line is lost, none comes twice.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::wire::Web;
use crate::model::random::Random;
use crate::support::{Log, Server, append, numbered_lines};

/// A browser that loses its connection again and again.
struct Browser {
    place: Option<String>,
    lines: Vec<String>,
    rotations: usize,
}

impl Browser {
    fn new() -> Browser {
        Browser {
            place: None,
            lines: vec![],
            rotations: 0,
        }
    }

    fn connect(&self, server: &Server) -> Web {
        let id = self
            .place
            .as_ref()
            .map(|place| format!("Last-Event-ID: {place}"));
        let fields: Vec<&str> = id.iter().map(String::as_str).collect();
        // What the page has asked for at first, whatever it has got since.
        Web::events(server, "/log?from=0", &fields).1
    }

    /// Takes so many events.
    fn take(&mut self, web: &mut Web, events: usize) {
        for _ in 0..events {
            let event = web.event();
            self.place = event.id.or(self.place.take());
            match event.kind.as_deref() {
                None => self.lines.extend(event.data),
                Some("rotated") => self.rotations += 1,
                Some(other) => panic!("{other}: {:?}", event.data),
            }
        }
    }

    fn take_until(&mut self, web: &mut Web, last: &str) {
        while self.lines.last().is_none_or(|line| line != last) {
            self.take(web, 1);
        }
    }
}

#[test]
fn from_every_place() {
    let log = Log::new(numbered_lines(50) + "\n\u{fffd}\r\nlast\n");
    let server = log.server();
    let mut all = Browser::new();
    let mut web = all.connect(&server);
    let mut places = vec![];
    while all.lines.last().is_none_or(|line| line != "last") {
        all.take(&mut web, 1);
        places.push((all.place.clone(), all.lines.len()));
    }
    for (place, lines) in places {
        let mut one = Browser::new();
        one.place = place;
        let mut web = one.connect(&server);
        if lines < all.lines.len() {
            one.take_until(&mut web, "last");
        }
        assert_eq!(one.lines, all.lines[lines..]);
    }
}

/// A writer that rotates and a server that is started anew; another reader keeps the old files.
#[test]
fn through_rotations_while_it_is_read() {
    let mut random = Random::new(7);
    let log = Log::new(numbered_lines(1_500_000));
    let server = log.server();
    let mut holder = Web::get(&server, "/log?follow");
    server.sent_until_full();
    let mut browser = Browser::new();
    browser.place = Some(Web::get(&server, "/log?from=-0").head().place().to_owned());
    let mut number = 0;
    for rotation in 0..20 {
        let lines = random.between(1, 200);
        for _ in 0..lines {
            log.append(format!("number {number}\n"));
            number += 1;
        }
        if random.chance(70) {
            let mut web = browser.connect(&server);
            let most = number - browser.lines.len();
            browser.take(&mut web, random.below(most + 1));
        }
        fs::rename(&log.path, log.beside(&format!("log.{rotation}"))).expect("it is there");
        fs::write(&log.path, "").expect("it is ours");
        server.look();
    }
    log.append("last\n");
    let mut web = browser.connect(&server);
    browser.take_until(&mut web, "last");
    let expected: Vec<String> = (0..number)
        .map(|number| format!("number {number}"))
        .collect();
    assert_eq!(browser.lines.pop().as_deref(), Some("last"));
    assert!(
        browser.lines == expected,
        "{} of {number}",
        browser.lines.len()
    );
    assert_eq!(browser.rotations, 20);
    assert_eq!(holder.head().status, 200);
}

/// The file stays, and everything else goes: the server is killed and started anew.
#[test]
fn through_restarts_while_it_grows() {
    let mut random = Random::new(8);
    let log = Log::new("");
    let is_over = AtomicBool::new(false);
    let path = log.path.clone();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                append(&path, format!("number {number}\n").as_bytes());
                number += 1;
                // A pace that it can be read at.
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
            append(&path, b"last\n");
            number
        });
        let mut browser = Browser::new();
        for _ in 0..10 {
            let server = log.server();
            for _ in 0..5 {
                let mut web = browser.connect(&server);
                browser.take(&mut web, random.between(0, 100));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let number = writer.join().expect("it writes");
        let server = log.server();
        let mut web = browser.connect(&server);
        browser.take_until(&mut web, "last");
        browser.lines.pop();
        let expected: Vec<String> = (0..number)
            .map(|number| format!("number {number}"))
            .collect();
        assert!(
            browser.lines == expected,
            "{} of {number}",
            browser.lines.len()
        );
    });
}

#[test]
fn what_is_gone_is_said_to_be() {
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let mut browser = Browser::new();
    let mut web = browser.connect(&server);
    browser.take(&mut web, 1);
    drop(web);
    super::wait_until("nobody holds it", || server.totals("files") == 0);
    fs::rename(&log.path, log.beside("log.1")).expect("it is there");
    fs::write(&log.path, "other\n").expect("it is ours");
    let id = format!("Last-Event-ID: {}", browser.place.expect("it has one"));
    let fields = ["Accept: text/event-stream", &id];
    Web::get_with(&server, "/log", &fields).expect_refusal(410);
    Web::get_with(&server, "/log?from=-10", &fields).expect_refusal(410);
    let wrong = ["Accept: text/event-stream", "Last-Event-ID: 17"];
    Web::get_with(&server, "/log", &wrong).expect_refusal(400);
    // Whoever does not want events has no last one.
    let (head, _) = Web::get_with(&server, "/log", &[&id]).reply();
    assert_eq!(head.status, 200);
}
