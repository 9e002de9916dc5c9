//! What the service manager is told through NOTIFY_SOCKET (sd_notify(3)): that clients are served
//! from now on, and that the end has begun.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Client, Log, Server, bare, fails, has_program, wrapped};

/// A service manager's ear.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Manager {
        let timeout = Some(Duration::from_secs(30));
        socket.set_read_timeout(timeout).expect("it is a socket");
        Manager { socket }
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = loop {
            match self.socket.recv(&mut message) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                answer => break answer.expect("a message comes"),
            }
        };
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    fn hears_nothing(&self) {
        self.socket.set_nonblocking(true).expect("it is a socket");
        let heard = self.socket.recv(&mut [0; 4096]);
        let silent = heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(silent, "it says more");
        self.socket.set_nonblocking(false).expect("it is a socket");
    }
}

#[test]
fn it_is_ready_when_it_listens_and_says_when_it_stops() {
    let log = Log::new(TEXT);
    let path = log.beside("notify");
    let name = format!("@sendtail-test-{}-notify", std::process::id());
    let place = net::SocketAddr::from_abstract_name(&name[1..]).expect("it is short");
    let managers = [
        (path.as_os_str(), UnixDatagram::bind(&path)),
        (OsStr::new(&name), UnixDatagram::bind_addr(&place)),
    ];
    for (variable, socket) in managers {
        let manager = Manager::new(socket.expect("nobody else has that name"));
        let socket = log.beside("socket");
        let unix = format!("unix:{}", socket.display());
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut program = Server::program(&["-b", &unix], &[&log.path]);
            program.env("NOTIFY_SOCKET", variable);
            // Its standard output says nothing here: the message alone is waited for.
            let server = Server::launch(program);
            assert_eq!(manager.hear().trim_end(), "READY=1");
            let mut client = Client::unix(&socket);
            client.send(b"0\n");
            client.expect(TEXT.as_bytes());
            manager.hears_nothing();
            server.signal(signal);
            assert_eq!(manager.hear().trim_end(), "STOPPING=1");
            // It is said at the beginning of the end: this client still has not left.
            client.expect_end();
            drop(client);
            assert_eq!(server.wait().code(), Some(0));
            manager.hears_nothing();
        }
    }
}

/// Not before the sockets listen, and not before the sandbox: who waits for it may be the next to
/// attack.
#[test]
fn it_is_ready_after_all_preparations() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let path = log.beside("notify");
    let calls = log.beside("calls");
    let manager = Manager::new(UnixDatagram::bind(&path).expect("the directory is ours"));
    let traced = "trace=listen,landlock_restrict_self,epoll_ctl,sendto,sendmsg,write";
    let output = calls.to_str().expect("it is ASCII");
    let wrapper = ["strace", "-s", "100", "-o", output, "-e", traced];
    let mut program = wrapped(
        &wrapper,
        &Server::program(&["-b", "127.0.0.1"], &[&log.path]),
    );
    program.env("NOTIFY_SOCKET", &path);
    let server = Server::command(program);
    assert_eq!(manager.hear().trim_end(), "READY=1");
    server.ask("0\n").expect(TEXT.as_bytes());
    let calls = fs::read_to_string(calls).expect("strace writes it");
    let place = |call: &str| {
        let lines: Vec<&str> = calls.lines().collect();
        let place = lines.iter().position(|line| line.contains(call));
        place.unwrap_or_else(|| panic!("no {call} in {calls}"))
    };
    let ready = place("READY=1");
    assert!(place("listen(") < ready, "{calls}");
    assert!(place("landlock_restrict_self(") < ready, "{calls}");
    assert!(place("listening 127") < ready, "{calls}");
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let log = Log::new(TEXT);
    let path = log.beside("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).expect("the directory is ours"));
    let mut program = bare(&["-p", "0", "-b", "192.0.2.1"], &[&log.path]);
    program.env("NOTIFY_SOCKET", &path);
    fails(program, 1);
    manager.hears_nothing();
}

#[test]
fn a_manager_that_is_not_there_is_no_reason_to_fail() {
    let log = Log::new(TEXT);
    let nobody = log.beside("nobody");
    drop(UnixDatagram::bind(&nobody).expect("the directory is ours"));
    let stream = log.beside("stream");
    let _listener = net::UnixListener::bind(&stream).expect("the directory is ours");
    let long = format!("/{}", "x".repeat(4000));
    for variable in [
        nobody.to_str().expect("it is ASCII"),
        stream.to_str().expect("it is ASCII"),
        "/nonexistent/notify",
        "relative",
        "@",
        "",
        "@nobody-has-this-name",
        &long,
    ] {
        let mut program = Server::program(&[], &[&log.path]);
        program.env("NOTIFY_SOCKET", variable);
        let server = Server::command(program);
        let mut client = server.ask("0\n");
        client.expect(TEXT.as_bytes());
        server.signal(Signal::SIGTERM);
        client.expect_end();
        drop(client);
        assert_eq!(server.wait().code(), Some(0), "{variable}");
    }
}
