//! A test plays the server: replies to a mirror that the real one gives only now and then, or in
//! other pieces.

use std::net::SocketAddr;
use std::net::TcpListener;

use super::Local;
use crate::support::{Client, wait_until};

/// Listens, and answers nothing by itself.
struct Played {
    listener: TcpListener,
}

impl Played {
    fn new() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("it is a socket");
        Played { listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// The next connection, whose header has not been read.
    fn accept(&self) -> Client {
        let mut accepted = None;
        wait_until("the mirror connects", || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("it has connected");
        stream.set_nonblocking(false).expect("it is a socket");
        Client::new(stream)
    }

    fn accept_header(&self, header: &str) -> Client {
        let mut client = self.accept();
        client.expect(header.as_bytes());
        client
    }
}

const LINE: &str = "a line of exactly thirty bytes";

#[test]
fn a_passing_reason_is_waited_out_once_it_has_gone_well() {
    let local = Local::new(LINE);
    let server = Played::new();
    let run = local.mirror(server.address());
    server.accept_header("0\n").send(LINE.as_bytes());
    for reason in ["shutting down", "try again"] {
        let mut client = server.accept_header("0\n");
        client.send(format!("error: {reason}\n").as_bytes());
    }
    let mut client = server.accept_header("0\n");
    client.send([LINE, " and more"].concat().as_bytes());
    local.wait_for([LINE, " and more"].concat());
    drop(client);
    let mut client = server.accept_header("0\n");
    client.send(b"error: no such file\n");
    drop(client);
    let mut run = run;
    local.expect_stop(&mut run, &format!("{}: no such file", server.address()));
}

#[test]
fn at_first_any_reason_ends_it() {
    for content in ["", LINE] {
        let local = Local::new(content);
        let server = Played::new();
        let mut run = local.mirror(server.address());
        let mut client = server.accept_header("0\n");
        client.send(b"error: too many clients\n");
        drop(client);
        local.expect_stop(&mut run, &format!("{}: too many clients", server.address()));
    }
}

#[test]
fn pieces_make_no_difference() {
    let local = Local::new([LINE; 4].concat());
    let server = Played::new();
    let _run = local.mirror(server.address());
    let mut client = server.accept_header("56\n");
    let overlap = &[LINE; 4].concat()[56..];
    for byte in [overlap, " and more"].concat().as_bytes() {
        client.send(&[*byte]);
    }
    local.wait_for([&[LINE; 4].concat(), " and more"].concat());
}

#[test]
fn an_end_in_the_overlap_is_no_difference() {
    let local = Local::new(LINE);
    let server = Played::new();
    let _run = local.mirror(server.address());
    // Also the end that is a reset, since what was sent is not read.
    server.accept().send(&LINE.as_bytes()[..10]);
    server.accept_header("0\n").send(&LINE.as_bytes()[..10]);
    drop(server.accept_header("0\n"));
    drop(server.accept());
    let mut client = server.accept_header("0\n");
    client.send([LINE, " and more"].concat().as_bytes());
    local.wait_for([LINE, " and more"].concat());
}

#[test]
fn content_that_reads_like_an_error_is_content() {
    // As soon as the connection has stayed open for a while, or more has come.
    let texts = [
        "error: no such file\n",
        "error: unfinished",
        "error: one\nerror: two\n",
    ];
    let servers = texts.map(|_| Played::new());
    let copies = texts.map(|_| Local::absent());
    let mut open = Vec::new();
    let mut runs = Vec::new();
    for ((text, server), local) in texts.iter().zip(&servers).zip(&copies) {
        runs.push(local.mirror(server.address()));
        let mut client = server.accept_header("0\n");
        client.send(text.as_bytes());
        open.push(client);
    }
    for (text, local) in texts.iter().zip(&copies) {
        local.wait_for(text);
    }
}

#[test]
fn a_reason_is_shown_without_control_characters() {
    let local = Local::new(LINE);
    let server = Played::new();
    let mut run = local.mirror(server.address());
    let mut client = server.accept_header("0\n");
    client.send(b"error: \x1b[2J\n");
    drop(client);
    local.expect_stop(&mut run, &format!("{}: \\x1b[2J", server.address()));
}
