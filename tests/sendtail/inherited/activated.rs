//! The real `systemd-socket-activate`: it binds, waits for the first connection, and becomes the
//! server.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{TEXT, ask, ask_unix};
use crate::support::{
    Client, Log, Server, bare, fails, has_program, in_a_network_with, wait_until,
};

const ACTIVATE: &str = "systemd-socket-activate";

/// Its output is a command's of the tests, so that it is read from the same place.
fn activated(flags: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(ACTIVATE);
    outer.args(flags).stdin(Stdio::null());
    // It says what it does; only our own lines are wanted.
    outer
        .env("SYSTEMD_LOG_LEVEL", "emerg")
        .env_remove("NOTIFY_SOCKET");
    outer.arg(command.get_program()).args(command.get_args());
    outer
}

#[test]
fn it_starts_with_the_first_client_and_serves_all_sockets() {
    if !has_program(ACTIVATE) {
        return;
    }
    in_a_network_with(&[], || {
        let log = Log::new(TEXT);
        let path = log.beside("socket");
        let unix = path.to_str().expect("it is ASCII");
        let flags = ["-l", "127.0.0.1:4321", "-l", "[::1]:4321", "-l", unix];
        let program = Server::program(&[], &[&log.path]);
        let server = Server::launch(activated(&flags, &program));
        // The file is there before anybody listens.
        let mut stream = None;
        wait_until("it listens", || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        let stream = TcpStream::from(OwnedFd::from(stream.expect("it has connected")));
        let mut first = ask_unix(Client::new(stream));
        first.expect(TEXT.as_bytes());
        let unix = format!("unix:{unix}");
        wait_until("it says where", || server.listening().len() == 3);
        assert_eq!(server.listening(), ["127.0.0.1:4321", "[::1]:4321", &unix]);
        let addresses = ["127.0.0.1:4321", "[::1]:4321"];
        let mut clients = addresses.map(|text| {
            let address: SocketAddr = text.parse().expect("it is one");
            ask(address)
        });
        for client in &mut clients {
            client.expect(TEXT.as_bytes());
        }
        log.append("three\n");
        first.expect(b"three\n");
        for client in &mut clients {
            client.expect(b"three\n");
        }
        server.signal(Signal::SIGTERM);
        first.expect_end();
        drop((first, clients));
        assert_eq!(server.wait().code(), Some(0));
        assert!(path.exists(), "the file is its maker's");
    });
}

#[test]
fn a_datagram_socket_of_its_is_refused() {
    if !has_program(ACTIVATE) {
        return;
    }
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let flags = ["-d", "-l", path.to_str().expect("it is ASCII")];
    let command = activated(&flags, &bare(&["-p", "0"], &[&log.path]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = UnixDatagram::unbound().expect("there are sockets");
            wait_until("it starts", || sender.send_to(b"0\n", &path).is_ok());
        });
        let line = fails(command, 1);
        let expected = "sendtail: cannot use inherited descriptor 3: ";
        assert!(line.starts_with(expected), "{line}");
    });
}
