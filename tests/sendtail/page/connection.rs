//! Whatever ends a connection, the page goes on where it was, or says that it cannot.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use serde_json::json;

use super::browser::{Browser, ENTER};
use super::{address, open};
use crate::support::{Log, Server, append, numbered_lines};

const ROTATED: &str = "Rotated: from the start";
const GAP: &str = "Gap: the place to go on from is gone, these are the last 200 lines";

#[test]
fn a_rotation_is_one_stream() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("one\n");
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["one"]);
    fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    append(&log.beside("log.1"), b"late\n");
    fs::write(&log.path, "two\n").expect("it is ours");
    browser.wait_for_lines(&["one", "late", ROTATED, "two"]);
    // Truncated, as `copytruncate` does it.
    fs::write(&log.path, "3\n").expect("it is ours");
    browser.wait_for_lines(&["one", "late", ROTATED, "two", ROTATED, "3"]);
    log.append("four\n");
    browser.wait_for_lines(&["one", "late", ROTATED, "two", ROTATED, "3", "four"]);
    assert_eq!(browser.text("#phase"), "Live");
    assert_eq!(browser.console(), [""; 0]);
}

/// The same port, since a browser has no other address; by then there are more lines than a file is
/// opened with.
#[test]
fn a_server_that_comes_back_is_gone_on_with() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("the first\n");
    let mut server = log.server();
    let port = server.address().port().to_string();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["the first"]);
    for (signal, phase) in [
        (Signal::SIGTERM, "Ended (shutdown), reconnecting…"),
        (Signal::SIGKILL, "Reconnecting…"),
    ] {
        log.append(format!("before {signal}\n"));
        browser.wait_for_last(&format!("before {signal}"));
        server.signal(signal);
        browser.wait_for_text("#phase", phase);
        server.wait();
        log.append(numbered_lines(30));
        server = Server::with(&["-p", &port], &[&log.path]);
        browser.wait_for_text("#phase", "Live");
        log.append(format!("after {signal}\n"));
        browser.wait_for_last(&format!("after {signal}"));
    }
    let written = fs::read_to_string(&log.path).expect("it is there");
    browser.wait_for_lines(&written.lines().collect::<Vec<_>>());
}

/// Without a single line there is no place of a last one.
#[test]
fn a_silent_file_is_gone_on_with_as_well() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(500));
    let server = log.server();
    let port = server.address().port().to_string();
    open(&browser, &server, "#/log?filter=wanted");
    server.signal(Signal::SIGTERM);
    server.wait();
    let lines: Vec<String> = (0..300)
        .map(|number| format!("{number} is wanted"))
        .collect();
    log.append(lines.join("\n") + "\n");
    let _server = Server::with(&["-p", &port], &[&log.path]);
    browser.wait_for_text("#held", "300 lines");
    let shown = browser.lines();
    assert_eq!(shown[..], lines[300 - shown.len()..]);
}

#[test]
fn a_gap_is_said() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("the old file\n");
    let server = log.server();
    let port = server.address().port().to_string();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["the old file"]);
    server.signal(Signal::SIGKILL);
    server.wait();
    fs::rename(&log.path, log.beside("elsewhere")).expect("it is ours");
    fs::remove_file(log.beside("elsewhere")).expect("it is ours");
    fs::write(&log.path, numbered_lines(203)).expect("it is ours");
    let _server = Server::with(&["-p", &port], &[&log.path]);
    browser.wait_for_text("#held", "202 lines");
    browser.keys("g");
    let first = |count: usize| {
        format!(
            "[...document.querySelector('#rows').children].slice(0, {count})
            .map(row => row.textContent).join()"
        )
    };
    browser.wait_for(&format!(
        "{} === 'the old file,{GAP},line 3'",
        first(3).replace(".join()", ".join(',')")
    ));
    log.append("live\n");
    browser.keys("G");
    browser.wait_for_last("live");
    assert_eq!(browser.text("#held"), "203 lines");
}

/// What a slow reader had not got when it was truncated away.
#[test]
fn lost_bytes_are_said() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("the first\n");
    let server = log.server();
    network(&browser, 200_000);
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["the first"]);
    let line = format!("{}\n", "x".repeat(9999));
    log.append(line.repeat(5000));
    browser.wait_for("document.querySelectorAll('#rows > div').length > 1");
    fs::write(&log.path, "after\n").expect("it is ours");
    server.wait_for_log(" bytes missed");
    network(&browser, -1);
    browser.wait_for("document.querySelector('.gap')?.textContent.includes('gone')");
    let gap = browser.text(".gap");
    let lost = gap
        .strip_prefix("Gap: ")
        .and_then(|rest| rest.split_once(" bytes were lost here, "));
    let (lost, rest) = lost.unwrap_or_else(|| panic!("{gap}"));
    assert_eq!(
        rest,
        "the place to go on from is gone, these are the last 200 lines"
    );
    let lost: u64 = lost.replace(',', "").parse().expect("a number");
    assert_eq!(lost, server.totals("missed"));
    browser.wait_for_last("after");
    log.append("live again\n");
    browser.wait_for_last("live again");
}

/// So many bytes a second; -1: all that the machine can.
fn network(browser: &Browser, bytes_a_second: i64) {
    browser.devtools("Network.enable", json!({}));
    browser.devtools(
        "Network.emulateNetworkConditions",
        json!({
            "offline": false, "latency": 0,
            "downloadThroughput": bytes_a_second, "uploadThroughput": -1,
        }),
    );
}

/// A link to what is not there, until it is; and to a place that is not there any more.
#[test]
fn what_is_gone_is_said_and_waited_for() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::absent();
    let server = Server::start(&[log.directory.path()]);
    browser.open(&address(&server, "#/log"));
    browser.wait_for_text("#phase", "Gone: no such file");
    assert_eq!(
        browser.run("return document.querySelector('#state').className"),
        "gone"
    );
    fs::write(&log.path, "here\n").expect("it is ours");
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_lines(&["here"]);
    let place = "0123456789abcdef.0.00000000";
    browser.open(&address(&server, &format!("#/log?from={place}")));
    browser.wait_for_lines(&[
        "Gap: the place of this link is gone, these are the last 200 lines",
        "here",
    ]);
    browser.keys("f");
    browser.keys("x");
    browser.keys(ENTER);
    browser.wait_for("!document.querySelector('#empty').hidden");
}

#[test]
fn a_hidden_tab_gives_its_connection_back() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let log = Log::new("the first\n");
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["the first"]);
    assert_eq!(server.totals("clients"), 1);
    browser.hide();
    browser.let_others_go_on();
    let start = Instant::now();
    while server.totals("clients") > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(90),
            "it keeps its connection"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    // Not at every glance elsewhere.
    assert!(
        start.elapsed() > Duration::from_secs(25),
        "after {:?}",
        start.elapsed()
    );
    assert_eq!(browser.text("#phase"), "Resting");
    log.append(numbered_lines(70));
    browser.show();
    browser.wait_for_text("#phase", "Live");
    let written = fs::read_to_string(&log.path).expect("it is there");
    browser.wait_for_lines(&written.lines().collect::<Vec<_>>());
}
