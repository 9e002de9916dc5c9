//! The log: levels, what is not worth a line, and what a stranger cannot do to it.

use std::fs;

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Log, Server, bare, has_program, wait_until};

#[test]
fn the_level_is_the_flags_unless_rust_log_is_set() {
    // Flags, RUST_LOG, and whether the log has connects (debug) and totals (info).
    let cases: [(&[&str], Option<&str>, bool, bool); 11] = [
        (&[], None, false, true),
        (&["-v"], None, true, true),
        (&["-v", "-v"], None, true, true),
        (&["-vv"], None, true, true),
        (&["-q"], None, false, false),
        (&["--quiet"], None, false, false),
        (&["-v"], Some("info"), false, true),
        (&["-v"], Some("off"), false, false),
        (&[], Some("debug"), true, true),
        (&["-q"], Some("debug"), true, true),
        (&["-q"], Some("info"), false, true),
    ];
    for (flags, variable, connects, totals) in cases {
        let log = Log::new(TEXT);
        let mut command = bare(&[&["-p", "0"], flags].concat(), &[&log.path]);
        if let Some(level) = variable {
            command.env("RUST_LOG", level);
        }
        let server = Server::command(command);
        server.signal(Signal::SIGUSR1);
        // The second client is served after the first one and after the signal have been seen.
        server.ask("nonsense\n").expect_error("bad start");
        server.ask("0\n").expect(TEXT.as_bytes());
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        let said = server.log();
        let case = format!("{flags:?} {variable:?}: {said}");
        assert_eq!(said.contains(" connected\n"), connects, "{case}");
        assert_eq!(said.contains(" closed: "), connects, "{case}");
        assert_eq!(said.contains("sendtail: debug: "), connects, "{case}");
        assert_eq!(said.contains("sendtail: totals: "), totals, "{case}");
        assert!(totals || said.is_empty(), "{case}");
        let strange = said.lines().find(|line| !line.starts_with("sendtail: "));
        assert_eq!(strange, None, "{case}");
    }
}

#[test]
fn an_unknown_level_is_no_reason_to_fail() {
    let log = Log::new(TEXT);
    let mut command = Server::program(&[], &[&log.path]);
    command.env("RUST_LOG", "non,sense==");
    let server = Server::command(command);
    server.ask("0\n").expect(TEXT.as_bytes());
}

#[test]
fn a_connect_that_asks_nothing_is_not_logged() {
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    // With the totals in the log, all that was said before them is there as well.
    assert_eq!(server.totals("connections"), 0);
    let start = without_totals(&server.log());
    for _ in 0..3 {
        drop(server.connect());
    }
    wait_until("all have been seen", || server.totals("connections") == 3);
    wait_until("all have left", || server.totals("clients") == 0);
    // The header's end and a file's end are no news either.
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    assert_eq!(server.totals("clients"), 1);
    assert_eq!(without_totals(&server.log()), start);
}

#[test]
fn what_a_client_says_cannot_forge_a_line() {
    let log = Log::new(TEXT);
    let name = "a\nsendtail: forged\x1b[31m";
    fs::write(log.beside(name), TEXT).expect("the directory is ours");
    let server = Server::start(&[log.directory.path()]);
    let escaped = "a%0Asendtail:%20forged%1B[31m";
    let mut client = server.ask(format!("0 {escaped}\n"));
    client.expect(TEXT.as_bytes());
    server.totals("clients");
    let from = client.stream.local_addr().expect("it is connected");
    server.wait_for_log(&format!("client {from}: "));
    for header in [
        format!("0 {escaped}.absent\n"),
        "0 \x1b[31m\n".to_owned(),
        "\x1b[31m\n".to_owned(),
        format!("0 log {escaped}\n"),
        // Text that runs backwards, lines and control characters of other alphabets.
        "0 a%E2%80%AEgol%E2%80%A8%C2%9B31m%EF%BB%BF%E2%81%A6.absent\n".to_owned(),
        "0 a\u{202e}gol\u{2028}\u{2066}.absent\n".to_owned(),
        "0 %1B%5D0;title%07%FF%0D.absent\n".to_owned(),
        "sendtail:\rforged\n".to_owned(),
    ] {
        let reply = server.ask(&header).read_to_end();
        assert!(reply.starts_with(b"error: "), "{header:?}");
    }
    server.totals("clients");
    let said = server.log();
    let forged = said
        .lines()
        .find(|line| line.starts_with("sendtail: forged"));
    assert_eq!(forged, None);
    let other = ['\u{202e}', '\u{2028}', '\u{feff}', '\u{2066}'];
    let raw = said
        .chars()
        .find(|c| c.is_control() && *c != '\n' || other.contains(c));
    assert_eq!(raw, None, "{said:?}");
}

#[test]
fn a_port_check_by_nc_is_not_logged() {
    for program in ["nc.openbsd", "nc.traditional"] {
        if !has_program(program) {
            continue;
        }
        let log = Log::new(TEXT);
        let server = Server::command(bare(&["-p", "0"], &[&log.path]));
        assert_eq!(server.totals("connections"), 0);
        let start = without_totals(&server.log());
        let port = server.address().port().to_string();
        let mut check = std::process::Command::new(program);
        let output = check.args(["-z", "127.0.0.1", &port]).output();
        assert!(output.expect("it is installed").status.success());
        wait_until("it was there", || server.totals("connections") == 1);
        wait_until("it has left", || server.totals("clients") == 0);
        assert_eq!(without_totals(&server.log()), start);
    }
}

/// The log without what SIGUSR1 adds.
fn without_totals(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| {
        !line.starts_with("sendtail: totals: ") && !line.starts_with("sendtail: client ")
    });
    lines.map(str::to_owned).collect()
}
