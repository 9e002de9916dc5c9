//! What a page from elsewhere may try with its reader's browser, and what has to work all the same.

use super::wire::{TEXT, Web, request};
use crate::support::{Client, Log, Server};

/// A name that an attacker made to lead here: the browser takes this server for the page's own.
#[test]
fn a_name_that_leads_here_is_refused() {
    let log = Log::new("secret\n");
    let server = log.server();
    for host in [
        "evil.example",
        "evil.example:4321",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "xlocalhost",
        "",
    ] {
        for target in [
            "/log",
            "/",
            "/-/files",
            "/-/metrics",
            "/-/page.js",
            "/absent",
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let words = Web::ask(&server, text).expect_refusal(421);
            assert!(words.contains("--host"), "{words}");
        }
        let text = format!("GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Web::ask(&server, text).reply().1, b"ok\n");
    }
    // The target's own name counts, and not the other.
    let text = "GET http://evil.example/log HTTP/1.1\r\nHost: localhost\r\n\r\n";
    Web::ask(&server, text).expect_refusal(421);
}

#[test]
fn names_of_this_host_are_served() {
    let log = Log::new("one\n");
    let server = Server::with(&["--host", "Logs.Example"], &[&log.path]);
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("it has a name");
    let own = own.trim();
    let mut hosts = vec![
        "localhost",
        "LOCALHOST:4321",
        "a.localhost",
        "127.0.0.1:4321",
        "192.0.2.7",
        "[::1]",
        "[::1]:4321",
        "logs.example",
        "logs.example.:443",
    ];
    hosts.push(own);
    for host in hosts {
        let text = format!("GET /log HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Web::ask(&server, text).reply().1, b"one\n", "{host}");
    }
    let text = "GET /log HTTP/1.0\r\n\r\n";
    assert_eq!(Web::ask(&server, text).reply().1, b"one\n");
    let text = "GET /log HTTP/1.1\r\nHost: x.logs.example\r\n\r\n";
    Web::ask(&server, text).expect_refusal(421);
}

#[test]
fn what_other_sites_fetch_is_refused() {
    let log = Log::new("secret\n");
    let server = log.server();
    let site = "Sec-Fetch-Site: cross-site";
    for fields in [
        &[site][..],
        &[site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"],
        &[
            site,
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            "Origin: https://evil.example",
        ],
        &[site, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
        &[site, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object"],
        &[site, "Sec-Fetch-Mode: no-cors", "Accept: text/event-stream"],
        // To an address in the network a browser says no more than this.
        &["Origin: http://evil.example"],
        &["Origin: null", "Accept: text/event-stream"],
    ] {
        for target in ["/log", "/log?follow", "/", "/-/files", "/-/metrics"] {
            Web::get_with(&server, target, fields).expect_refusal(403);
        }
    }
    let link = [
        site,
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-User: ?1",
    ];
    for target in ["/", "/log"] {
        let (head, _) = Web::get_with(&server, target, &link).reply();
        assert_eq!(head.status, 200, "a link to {target}");
    }
    for site in ["same-origin", "same-site", "none"] {
        let field = format!("Sec-Fetch-Site: {site}");
        assert_eq!(
            Web::get_with(&server, "/log", &[&field]).reply().0.status,
            200
        );
    }
}

/// A form of another site can send any body: none of it is taken for a raw header.
#[test]
fn a_post_with_a_header_in_its_body() {
    let log = Log::new("secret\n");
    let server = log.server();
    let posted = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            server.address(),
            body.len()
        )
    };
    for body in [
        "0\n",
        "\n0\n",
        "\r\n\r\n0 log\r\n",
        "GET /log HTTP/1.0\r\n\r\n",
    ] {
        for text in [
            posted("/", body),
            posted("/0%0A", body),
            posted("/log", body),
        ] {
            let mut client: Client = server.ask(&text);
            let reply = String::from_utf8(client.read_to_end()).expect("it is text");
            assert!(reply.starts_with("HTTP/1.1 405 "), "{reply}");
            assert!(!reply.contains("secret"), "{reply}");
        }
    }
    // Without HTTP it is what it always was.
    let server = Server::with(&["--no-http"], &[&log.path]);
    for text in [posted("/", "0\n"), request("GET", "/log", &[]) + "0\n"] {
        server.ask(text).expect_error("bad start");
    }
}

/// A log may hold anything: it is shown as text, in no frame, and read by no script of others.
#[test]
fn what_a_log_holds_stays_text() {
    let log = Log::new("<script>alert(1)</script>\n");
    let server = log.server();
    for target in ["/log", "/log?from=-1", "/log?grep=script"] {
        // What every reply says is checked with its head.
        let head = Web::get(&server, target).head();
        head.expect(&[("Content-Type", Some(TEXT)), ("Content-Disposition", None)]);
    }
    for (target, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/-/page.css", "text/css; charset=utf-8"),
        ("/-/page.js", "text/javascript; charset=utf-8"),
        ("/-/files", TEXT),
        ("/-/healthy", TEXT),
    ] {
        let (head, body) = Web::get(&server, target).reply();
        assert_eq!(head.status, 200);
        head.expect(&[("Content-Type", Some(media_type))]);
        assert!(!body.is_empty());
    }
    let (head, body) = Web::get(&server, "/-/metrics").reply();
    let media_type = head.field("Content-Type").expect("it has one");
    assert!(
        media_type.starts_with("text/plain; version=0.0.4"),
        "{media_type}"
    );
    assert!(body.starts_with(b"# "));
}
