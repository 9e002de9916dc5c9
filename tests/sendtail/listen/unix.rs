//! Unix sockets: whose file may be replaced, whose may be removed, and how a client's end looks
//! there.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{Client, Log, Server, bare, fails, wait_until};

const TEXT: &str = "one\ntwo\n";

#[test]
fn a_socket_is_served_and_removed_at_the_end() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let server = Server::with(&["-b", &flag(&path)], &[&log.path]);
    assert_eq!(server.listening(), [flag(&path)]);
    let mut client = ask(&path, "-1\n");
    client.expect(b"two\n");
    log.append("three\n");
    client.expect(b"three\n");
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn a_socket_and_an_address_are_served_together() {
    let log = Log::new(TEXT);
    let paths = [log.beside("one.sock"), log.beside("other.sock")];
    let flags = [flag(&paths[0]), "127.0.0.1".to_owned(), flag(&paths[1])];
    let flags: Vec<&str> = flags.iter().flat_map(|flag| ["-b", flag]).collect();
    let server = Server::with(&flags, &[&log.path]);
    let expected = [
        flag(&paths[0]),
        server.address().to_string(),
        flag(&paths[1]),
    ];
    assert_eq!(server.listening(), expected);
    let mut clients = vec![server.ask("0\n")];
    clients.extend(paths.iter().map(|path| ask(path, "0\n")));
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
}

#[test]
fn a_stale_socket_is_replaced() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    // Closing a listener leaves its file, as a killed server does.
    drop(UnixListener::bind(&path).expect("the directory is ours"));
    assert!(path.exists());
    let _server = Server::with(&["-b", &flag(&path)], &[&log.path]);
    ask(&path, "0\n").expect(TEXT.as_bytes());
}

#[test]
fn the_socket_of_a_killed_server_is_replaced() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let flags = ["-b", &flag(&path)];
    let server = Server::with(&flags, &[&log.path]);
    server.signal(Signal::SIGKILL);
    assert_eq!(server.wait().code(), None);
    assert!(path.exists(), "nobody was there to remove it");
    let _server = Server::with(&flags, &[&log.path]);
    ask(&path, "0\n").expect(TEXT.as_bytes());
}

#[test]
fn a_live_socket_is_refused_and_goes_on() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let flags = ["-b", &flag(&path)];
    let server = Server::with(&flags, &[&log.path]);
    let mut client = ask(&path, "0\n");
    client.expect(TEXT.as_bytes());
    assert_eq!(fails(bare(&flags, &[&log.path]), 1), taken(&path));
    log.append("three\n");
    client.expect(b"three\n");
    ask(&path, "-1\n").expect(b"three\n");
    assert_eq!(server.listening(), [flag(&path)]);
}

#[test]
fn a_live_socket_with_a_full_backlog_is_refused_too() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let busy = UnixListener::bind(&path).expect("the directory is ours");
    // Of a socket whose owner does not accept at the moment, `connect` says EAGAIN or waits: it is
    // alive.
    nix::sys::socket::listen(
        &busy,
        nix::sys::socket::Backlog::new(0).expect("it is small"),
    )
    .expect("it is a listener");
    let _waiting = UnixStream::connect(&path).expect("the backlog takes one");
    assert_eq!(
        fails(bare(&["-b", &flag(&path)], &[&log.path]), 1),
        taken(&path)
    );
    assert!(path.exists(), "it is not ours to remove");
}

#[test]
fn what_is_no_socket_is_refused_and_left_alone() {
    let log = Log::new(TEXT);
    let file = log.beside("file");
    fs::write(&file, "precious").expect("the directory is ours");
    let directory = log.beside("directory");
    fs::create_dir(&directory).expect("the directory is ours");
    for path in [&file, &directory] {
        assert_eq!(
            fails(bare(&["-b", &flag(path)], &[&log.path]), 1),
            taken(path)
        );
    }
    assert_eq!(fs::read(&file).expect("it is still there"), b"precious");
    assert!(directory.is_dir());
}

#[test]
fn a_path_that_cannot_be_a_socket_is_one_line() {
    let log = Log::new(TEXT);
    let path = log.beside("absent/socket");
    let line = fails(bare(&["-b", &flag(&path)], &[&log.path]), 1);
    let reason = "No such file or directory";
    assert_eq!(
        line,
        format!("sendtail: cannot bind {}: {reason}", flag(&path))
    );
    // The kernel takes 107 bytes.
    let long = log.beside(&"x".repeat(108));
    let line = fails(bare(&["-b", &flag(&long)], &[&log.path]), 1);
    let start = format!("sendtail: cannot bind {}: ", flag(&long));
    assert!(line.starts_with(&start), "{line}");
}

#[test]
fn a_failed_start_leaves_no_socket() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let flags = ["-p", "0", "-b", &flag(&path), "-b", "192.0.2.1"];
    let line = fails(bare(&flags, &[&log.path]), 1);
    assert!(line.contains("192.0.2.1"), "{line}");
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn the_socket_of_somebody_else_is_not_removed_at_the_end() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::with(&["-b", &flag(&path)], &[&log.path]);
        fs::remove_file(&path).expect("it is there");
        let other = UnixListener::bind(&path).expect("the path is free");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        let kind = fs::symlink_metadata(&path).expect("it is still there");
        assert!(kind.file_type().is_socket());
        UnixStream::connect(&path).expect("the other one still listens");
        drop(other);
        fs::remove_file(&path).expect("it is still there");
    }
}

#[test]
fn a_half_closed_client_is_served_and_a_closed_one_is_gone_at_once() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let server = Server::with(&["-b", &flag(&path)], &[&log.path]);
    let mut half = ask(&path, "0\n");
    half.half_close();
    half.expect(TEXT.as_bytes());
    let mut closed = ask(&path, "0\n");
    closed.expect(TEXT.as_bytes());
    assert_eq!(server.totals("clients"), 2);
    drop(closed);
    // No append and no probe tells the server: the kernel does.
    wait_until("the closed one is gone", || server.totals("clients") == 1);
    log.append("three\n");
    half.expect(b"three\n");
    drop(half);
    wait_until("both are gone", || server.totals("clients") == 0);
    assert_eq!(server.watches(), 0);
}

#[test]
fn errors_arrive_over_a_socket_as_well() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let _server = Server::with(&["-b", &flag(&path)], &[&log.path]);
    // The rest of its input is still unread when the error is sent, and must not destroy it.
    let mut client = ask(&path, format!("nonsense {}\n", "x".repeat(3000)));
    client.expect_error("bad start");
}

fn flag(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn ask(path: &Path, header: impl AsRef<[u8]>) -> Client {
    let mut client = Client::unix(path);
    client.send(header.as_ref());
    client
}

fn taken(path: &Path) -> String {
    let path = path.display();
    format!("sendtail: cannot bind unix:{path}: Address already in use")
}
