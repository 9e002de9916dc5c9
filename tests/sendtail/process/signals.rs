//! Signals that do not end it.

use std::fs;

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Log, Server, Tracer, can_run, has_program, wait_until, wrapped};

#[test]
fn a_stop_and_other_signals_are_harmless() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    let signals = [
        Signal::SIGPIPE,
        Signal::SIGIO,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGCONT,
        Signal::SIGWINCH,
    ];
    for signal in signals {
        server.signal(signal);
        log.append(format!("after {signal}\n"));
        client.expect(format!("after {signal}\n").as_bytes());
    }
    server.signal(Signal::SIGSTOP);
    log.append("while stopped\n");
    let mut early = server.ask("-1\n");
    client.expect_silence();
    server.signal(Signal::SIGCONT);
    client.expect(b"while stopped\n");
    early.expect(b"while stopped\n");
}

#[test]
fn broken_pipes_and_leases_cannot_end_it() {
    let log = Log::new(TEXT);
    let server = log.server();
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("it runs");
    let mask = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.expect("it is there").trim(), 16).expect("it is hex")
    };
    // One that is blocked and never read is as good as ignored.
    let harmless = mask("SigIgn:") | mask("SigBlk:");
    for signal in [Signal::SIGPIPE, Signal::SIGIO] {
        let bit = 1 << (signal as i32 - 1);
        assert_ne!(harmless & bit, 0, "{signal} would end it: {status}");
    }
}

#[test]
fn signals_that_the_parent_blocked_are_heard() {
    if !can_run(&["env", "--block-signal=TERM", "true"]) {
        return;
    }
    let log = Log::new(TEXT);
    let wrapper = ["env", "--block-signal=TERM", "--block-signal=USR1"];
    let server = Server::command(wrapped(&wrapper, &Server::program(&[], &[&log.path])));
    assert_eq!(server.totals("clients"), 0);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sighup_looks_at_the_files_at_once() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    let mut tracer = Tracer::attach(&server, &["-y"]);
    let is_signal = |call: &String| call.contains("[signalfd]") && call.contains("read(");
    for round in 1..=5 {
        server.signal(Signal::SIGHUP);
        wait_until("the signal is read, and the next sleep begins", || {
            let calls = tracer.calls();
            let last = calls.iter().rposition(is_signal);
            let rounds = calls.iter().filter(|call| is_signal(call)).count();
            rounds >= round
                && calls[last.unwrap_or(0)..]
                    .iter()
                    .any(|call| call.contains("epoll_"))
        });
    }
    let calls = tracer.detach();
    let turns = calls.split(|call| call.contains("epoll_"));
    for turn in turns.filter(|turn| turn.iter().any(is_signal)) {
        let looked = turn.iter().any(|call| call.contains("stat"));
        assert!(looked, "no look at the file in {turn:#?}");
    }
    log.append("three\n");
    client.expect(b"three\n");
}
