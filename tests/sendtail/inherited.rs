//! Sockets that a service manager hands down (LISTEN_PID and LISTEN_FDS, sd_listen_fds(3)): they
//! replace the default addresses, outlive the server, and are checked before they are used.

mod activated; // by the real systemd-socket-activate
mod notify; // what the service manager is told

use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram, UnixListener, UnixStream};

use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, sockopt};

use crate::support::{
    Client, Log, Server, bare, fails, has_program, inheriting, wait_until, with_descriptors,
    wrapped,
};

const TEXT: &str = "one\ntwo\n";

#[test]
fn they_replace_the_default_addresses() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let listener = listener("127.0.0.1:0");
    let unix = UnixListener::bind(&path).expect("the directory is ours");
    let other = self::listener("127.0.0.2:0");
    let sockets = [listener.as_fd(), unix.as_fd(), other.as_fd()];
    // A port is of no use without an address to bind.
    let program = Server::program(&["-p", "4321"], &[&log.path]);
    let server = Server::command(inheriting(&program, &sockets));
    let expected = [
        address(&listener).to_string(),
        format!("unix:{}", path.display()),
        address(&other).to_string(),
    ];
    wait_until("all are listed", || server.listening().len() >= 3);
    let mut clients = [
        ask(address(&listener)),
        ask_unix(Client::unix(&path)),
        ask(address(&other)),
    ];
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
    assert_eq!(server.listening(), expected);
    assert_eq!(server.totals("connections"), 3);
}

#[test]
fn more_addresses_are_added_to_them() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    let listener = listener("127.0.0.2:0");
    let program = Server::program(&["-b", "127.0.0.1", "-b", &unix], &[&log.path]);
    let server = Server::command(inheriting(&program, &[&listener]));
    wait_until("all are listed", || server.listening().len() >= 3);
    let listening = server.listening();
    assert_eq!(listening.len(), 3, "{listening:?}");
    assert_eq!(listening[0], address(&listener).to_string());
    let bound: SocketAddr = listening[1].parse().expect("it is an address");
    assert_eq!(bound.ip().to_string(), "127.0.0.1");
    assert_eq!(listening[2], unix);
    ask(address(&listener)).expect(TEXT.as_bytes());
    ask(bound).expect(TEXT.as_bytes());
    ask_unix(Client::unix(&path)).expect(TEXT.as_bytes());
}

#[test]
fn a_socket_of_both_families_serves_both_under_their_own_addresses() {
    let Ok(listener) = TcpListener::bind("[::]:0") else {
        return eprintln!("skipped: no IPv6 here");
    };
    let log = Log::new(TEXT);
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(inheriting(&program, &[&listener]));
    let port = address(&listener).port();
    for host in ["127.0.0.1", "[::1]"] {
        let to: SocketAddr = format!("{host}:{port}").parse().expect("it is one");
        let mut client = ask(to);
        client.expect(TEXT.as_bytes());
        let from = client.stream.local_addr().expect("it is connected");
        server.wait_for_log(&format!("sendtail: debug: {from} connected"));
    }
}

#[test]
fn sockets_of_another_process_are_not_touched() {
    let log = Log::new(TEXT);
    for environment in [
        "LISTEN_FDS=1",
        "LISTEN_PID=$PPID LISTEN_FDS=1",
        "LISTEN_PID=1 LISTEN_FDS=1",
        "LISTEN_PID=$$",
        "LISTEN_PID=$$ LISTEN_FDS=0",
        "",
    ] {
        let listener = listener("127.0.0.2:0");
        let program = Server::program(&["-b", "127.0.0.1"], &[&log.path]);
        let command = with_descriptors(&program, &[&listener], environment);
        let server = Server::command(command);
        server.ask("0\n").expect(TEXT.as_bytes());
        let listening = server.listening();
        assert_eq!(listening.len(), 1, "{environment}: {listening:?}");
        assert!(listening[0].starts_with("127.0.0.1:"), "{listening:?}");
    }
    // Without `-b` it is the default then.
    let program = Server::program(&[], &[&log.path]);
    let listener = listener("127.0.0.2:0");
    let server = Server::command(with_descriptors(&program, &[&listener], "LISTEN_FDS=1"));
    assert_eq!(server.address().ip().to_string(), "127.0.0.1");
}

#[test]
fn what_is_no_listening_stream_socket_is_refused() {
    let log = Log::new(TEXT);
    let good = OwnedFd::from(listener("127.0.0.1:0"));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let (connected, _other) = UnixStream::pair().expect("there are sockets");
    let listener = listener("127.0.0.1:0");
    let client = TcpStream::connect(address(&listener)).expect("it listens");
    let wrong: [OwnedFd; 6] = [
        udp.into(),
        UnixDatagram::unbound().expect("there are sockets").into(),
        connected.into(),
        client.into(),
        File::open(&log.path).expect("it is there").into(),
        File::open("/dev/null").expect("every system has it").into(),
    ];
    for socket in &wrong {
        for (sockets, number) in [(vec![socket], 3), (vec![&good, socket], 4)] {
            let line = fails(inheriting(&bare(&[], &[&log.path]), &sockets), 1);
            let start = format!("sendtail: cannot use inherited descriptor {number}: ");
            assert!(line.starts_with(&start), "{line}");
        }
    }
}

#[test]
fn a_number_that_is_not_true_is_said() {
    let log = Log::new(TEXT);
    let listener = listener("127.0.0.1:0");
    // More than there are, and numbers that are none.
    for count in ["9", "4294967295", "x", "-1", "1.5"] {
        let environment = format!("LISTEN_PID=$$ LISTEN_FDS={count}");
        let program = bare(&["-p", "0"], &[&log.path]);
        let line = fails(with_descriptors(&program, &[&listener], &environment), 1);
        assert!(line.contains("LISTEN_FDS"), "{line}");
    }
}

/// Those who connect between two servers wait for the second one.
#[test]
fn a_restart_refuses_nobody() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let tcp = listener("127.0.0.1:0");
    let unix = UnixListener::bind(&path).expect("the directory is ours");
    let sockets = [tcp.as_fd(), unix.as_fd()];
    let start = || Server::command(inheriting(&Server::program(&[], &[&log.path]), &sockets));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let server = start();
        ask(address(&tcp)).expect(TEXT.as_bytes());
        server.signal(signal);
        server.wait();
        assert!(path.exists(), "the file is its maker's");
        let mut waiting = [ask(address(&tcp)), ask_unix(Client::unix(&path))];
        let _second = start();
        for client in &mut waiting {
            client.expect(TEXT.as_bytes());
        }
    }
}

#[test]
fn accepted_connections_get_the_same_options_as_from_a_socket_of_our_own() {
    let log = Log::new(TEXT);
    let listener = listener("127.0.0.1:0");
    assert_eq!(getsockopt(&listener, sockopt::TcpNoDelay), Ok(false));
    let program = Server::program(&["--keepalive", "40"], &[&log.path]);
    let _server = Server::command(inheriting(&program, &[&listener]));
    // They are the socket's, and it is ours as well.
    assert_eq!(getsockopt(&listener, sockopt::TcpNoDelay), Ok(true));
    assert_eq!(getsockopt(&listener, sockopt::KeepAlive), Ok(true));
    assert_eq!(getsockopt(&listener, sockopt::TcpKeepIdle), Ok(40));
    assert_eq!(getsockopt(&listener, sockopt::TcpKeepInterval), Ok(10));
    assert_eq!(getsockopt(&listener, sockopt::TcpKeepCount), Ok(4));
    ask(address(&listener)).expect(TEXT.as_bytes());
}

#[test]
fn an_abstract_socket_is_served() {
    let log = Log::new(TEXT);
    let name = format!("sendtail-test-{}-inherited", std::process::id());
    let place = net::SocketAddr::from_abstract_name(&name).expect("it is short");
    let listener = UnixListener::bind_addr(&place).expect("nobody else has that name");
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(inheriting(&program, &[&listener]));
    assert_eq!(server.listening(), [format!("unix:@{name}")]);
    let stream = UnixStream::connect_addr(&place).expect("it listens");
    let client = Client::new(TcpStream::from(OwnedFd::from(stream)));
    ask_unix(client).expect(TEXT.as_bytes());
}

/// What it was started with is for the server alone, and ends with it.
#[test]
fn they_are_closed_at_the_end() {
    let log = Log::new(TEXT);
    let listener = listener("127.0.0.1:0");
    let to = address(&listener);
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(inheriting(&program, &[&listener]));
    drop(listener);
    let mut client = ask(to);
    client.expect(TEXT.as_bytes());
    server.signal(Signal::SIGTERM);
    client.expect_end();
    // A process that another test is just starting has all of this one's descriptors for a moment.
    wait_until("nobody listens any more", || {
        TcpStream::connect(to).is_err()
    });
    // It is still there, since the client's end does not come.
    server.totals("turns");
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// They are descriptors too: who finds no seat is told so, and rotation finds one for the next file.
#[test]
fn many_of_them_leave_room_for_clients_and_files() {
    const DESCRIPTORS: &str = "200";
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new("first\n");
    let listeners: Vec<TcpListener> = (0..100).map(|_| listener("127.0.0.1:0")).collect();
    let limit = format!("--nofile={DESCRIPTORS}");
    let program = wrapped(&["prlimit", &limit], &Server::program(&[], &[&log.path]));
    let server = Server::command(inheriting(&program, &listeners));
    let mut clients: Vec<Client> = vec![];
    let refusal = loop {
        let mut client = ask(address(&listeners[clients.len() % 100]));
        let mut answer = [0; 6];
        client
            .stream
            .read_exact(&mut answer)
            .expect("it is answered");
        match &answer {
            b"first\n" => clients.push(client),
            _ => break [&answer[..], &client.read_to_end()].concat(),
        }
    };
    assert_eq!(refusal, b"error: too many clients\n");
    assert!(clients.len() > 10, "{}", clients.len());
    for round in 0..3 {
        fs::rename(&log.path, log.beside(&format!("log.{round}"))).expect("it is ours");
        let text = format!("round {round}\n");
        fs::write(&log.path, &text).expect("the directory is ours");
        for client in &mut clients {
            client.expect(text.as_bytes());
        }
    }
    assert!(
        !server.log().contains("Too many open files"),
        "{}",
        server.log()
    );
}

fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).expect("a port is free")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

fn ask(address: SocketAddr) -> Client {
    ask_unix(Client::new(
        TcpStream::connect(address).expect("it listens"),
    ))
}

fn ask_unix(mut client: Client) -> Client {
    client.send(b"0\n");
    client
}
