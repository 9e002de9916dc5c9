//! SIGTERM and SIGINT: every client gets all that was queued for it and then a FIN, and the process
//! ends with 0, in its own time and never much later than the five seconds that a client may take.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Client, Log, Server};

const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// The server may wait five seconds for its clients; more than that is the machine's.
const AT_ONCE: Duration = Duration::from_secs(4);

#[test]
fn without_clients_it_ends_at_once() {
    for signal in SIGNALS {
        let log = Log::new(TEXT);
        let server = log.server();
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
}

#[test]
fn clients_are_told_and_streams_end() {
    for signal in SIGNALS {
        let log = Log::new(TEXT);
        let server = log.server();
        let mut silent = server.connect();
        let mut partial = server.ask("-1");
        let mut beyond = server.ask("1000\n");
        let mut streaming = server.ask("0\n");
        let mut half_closed = server.ask("-0\n");
        half_closed.half_close();
        streaming.expect(TEXT.as_bytes());
        server.wait_for_request(&beyond);
        server.wait_for_request(&half_closed);
        let start = Instant::now();
        server.signal(signal);
        silent.expect_error("shutting down");
        partial.expect_error("shutting down");
        streaming.expect_end();
        half_closed.expect_end();
        beyond.expect_end();
        drop((silent, partial, beyond, streaming));
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
}

#[test]
fn a_search_is_given_up_with_an_error() {
    // One line of a tebibyte, which takes minutes to search.
    let log = Log::sparse(1 << 40, "last");
    let server = log.server();
    let mut backwards = server.ask("-2\n");
    let mut forwards = server.ask("+3\n");
    server.wait_for_request(&backwards);
    server.wait_for_request(&forwards);
    server.signal(Signal::SIGTERM);
    backwards.expect_error("shutting down");
    forwards.expect_error("shutting down");
    drop((backwards, forwards));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn everything_queued_arrives_in_spite_of_unread_input() {
    let content: Vec<u8> = (0..1 << 20)
        .flat_map(|n: u32| n.to_be_bytes().into_iter().chain(*b"0123\n"))
        .collect();
    let log = Log::new(&content);
    let server = log.server();
    let mut clients: Vec<Client> = (0..3).map(|_| server.ask("0\n")).collect();
    clients[2].half_close();
    let sent = server.sent_until_full();
    // The server finds the signal and the junk at one time: its sockets have unread input when it
    // ends.
    server.signal(Signal::SIGSTOP);
    for client in &mut clients[..2] {
        client.send(&[b'x'; 50_000]);
    }
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGCONT);
    let mut arrived = 0;
    for client in &mut clients {
        let received = client.read_to_end();
        arrived += received.len();
        assert!(content.starts_with(&received), "not what the file has");
    }
    assert!(arrived as u64 >= sent, "{arrived} of {sent} bytes arrived");
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
}

/// The client's last words and its FIN come at one time, while it has not read what is queued. To
/// close because both sides have ended would send RST, and destroy that.
#[test]
fn last_words_before_the_end_destroy_nothing() {
    let log = Log::sparse(64 << 20, "last");
    let server = log.server();
    let mut client = server.ask("0\n");
    let sent = server.sent_until_full();
    server.signal(Signal::SIGTERM);
    server.wait_for_log("stopping");
    server.signal(Signal::SIGSTOP);
    client.send(b"last words");
    client.half_close();
    server.signal(Signal::SIGCONT);
    let arrived = client.read_to_end().len() as u64;
    assert!(arrived >= sent, "{arrived} of {sent} bytes arrived");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn everything_queued_arrives_after_the_exit_too() {
    let content = vec![b'x'; 16 << 20];
    let log = Log::new(&content);
    let server = log.server();
    let mut client = server.ask("0\n");
    let sent = server.sent_until_full();
    server.signal(Signal::SIGTERM);
    // The client reads nothing until the server has given up: the rest is the kernel's.
    assert_eq!(server.wait().code(), Some(0));
    let received = client.read_to_end().len() as u64;
    assert!(received >= sent, "{received} of {sent} bytes arrived");
}

#[test]
fn a_client_that_never_closes_holds_it_up_for_five_seconds_only() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    let start = Instant::now();
    server.signal(Signal::SIGTERM);
    client.expect_end();
    assert_eq!(server.wait().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_client_that_sends_for_ever_does_not_hold_it_up() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    let stream = client.stream.try_clone().expect("there are descriptors");
    let sender = std::thread::spawn(move || {
        let mut client = Client::new(stream);
        // Until the server is gone, and says so with a reset.
        while std::io::Write::write_all(&mut client.stream, &[b'x'; 1 << 16]).is_ok() {}
    });
    let start = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    sender.join().expect("it only writes");
}

#[test]
fn the_second_signal_ends_it_at_once() {
    for (first, second) in [
        (Signal::SIGTERM, Signal::SIGTERM),
        (Signal::SIGINT, Signal::SIGTERM),
        (Signal::SIGTERM, Signal::SIGINT),
    ] {
        let log = Log::new(TEXT);
        let server = log.server();
        let mut client = server.ask("0\n");
        client.expect(TEXT.as_bytes());
        let start = Instant::now();
        server.signal(first);
        client.expect_end();
        // It is still there, since the client's end does not come.
        server.totals("turns");
        server.signal(second);
        assert_eq!(server.wait().code(), Some(0));
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
}

#[test]
fn nobody_is_let_in_any_more() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let socket = format!("unix:{}", path.display());
    let server = Server::with(&["-b", &socket, "-b", "127.0.0.1"], &[&log.path]);
    let address = server.address();
    let mut client = Client::unix(&path);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
    server.signal(Signal::SIGTERM);
    client.expect_end();
    assert!(!path.exists());
    let late = std::net::TcpStream::connect(address);
    assert!(late.is_err(), "{address} still takes connections");
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}
