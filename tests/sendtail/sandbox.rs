//! The sandbox (landlock(7)): what a process that has been taken over could do, which is to read
//! what is served; and that all of the service works inside it. Every other test's server is in it
//! as well.

mod old_kernels; // without it, or with a part of it
mod places; // what may be read: directories that are made anew, links, directories below `/`
mod refused; // what the log says of what may not

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;

use crate::support::{Client, Log, Server, has_program, library};

const TEXT: &str = "one\ntwo\n";

const PROBE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/sendtail/sandbox/probe.c"
);

/// What a sandboxed server still can do: read, and remove its socket.
const ALLOWED: [&str; 3] = [
    "read what is served",
    "list what is served",
    "remove beside the socket",
];

/// By the rules for abstract sockets and for signals; all else is EACCES.
const NOT_PERMITTED: [&str; 2] = ["connect to an abstract socket", "signal its parent"];

#[test]
fn it_can_read_what_is_served_and_do_nothing_else() {
    if !has_program("cc") {
        return;
    }
    let answers = probe(&["--no-sandbox"]);
    assert!(answers.len() > 20, "{answers:?}");
    for (what, answer) in answers {
        // That it can fail shows what the sandbox does.
        assert_eq!(answer, 0, "{what}: {}", Errno::from_raw(answer));
    }
    let answers = probe(&[]);
    assert!(answers.len() > 20, "{answers:?}");
    for (what, answer) in answers {
        let expected = match &*what {
            allowed if ALLOWED.contains(&allowed) => 0,
            not_permitted if NOT_PERMITTED.contains(&not_permitted) => Errno::EPERM as i32,
            _ => Errno::EACCES as i32,
        };
        assert_eq!(answer, expected, "{what}: {}", Errno::from_raw(answer));
    }
}

/// Each attempt of a server that was told to try them, and the error that it met.
fn probe(flags: &[&str]) -> BTreeMap<String, i32> {
    let (_directory, library) = library(PROBE);
    let log = Log::new(TEXT);
    for name in ["truncated", "removed", "renamed", "linked"] {
        fs::write(log.beside(name), TEXT).expect("the directory is ours");
    }
    fs::create_dir(log.beside("emptied")).expect("the directory is ours");
    let sockets = tempfile::tempdir().expect("there is room for tests");
    let victim = sockets.path().join("victim");
    fs::write(&victim, TEXT).expect("the directory is ours");
    let socket = sockets.path().join("socket");
    let unix = format!("unix:{}", socket.display());
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let name = format!("sendtail-test-{}-probe", std::process::id());
    let place = SocketAddr::from_abstract_name(&name).expect("it is short");
    let _abstract = UnixListener::bind_addr(&place).expect("nobody else has that name");
    let mut program = Server::program(&[flags, &["-b", &unix]].concat(), &[&log.path]);
    program.env("LD_PRELOAD", library);
    program.env("PROBE_SERVED", log.directory.path());
    program.env("PROBE_BESIDE_SOCKET", &victim);
    program.env("PROBE_ABSTRACT", &name);
    let port = tcp.local_addr().expect("it is bound").port();
    program.env("PROBE_PORT", port.to_string());
    let server = Server::command(program);
    let mut client = Client::unix(&socket);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
    server.wait_for_log("probe: done");
    let said = server.log();
    let answers = said.lines().filter_map(|line| {
        let (what, answer) = line.strip_prefix("probe: ")?.rsplit_once(' ')?;
        Some((what.to_owned(), answer.parse().ok()?))
    });
    answers.collect()
}

/// A program that it starts could not get back what it has given up.
#[test]
fn no_program_could_give_it_new_rights() {
    let log = Log::new(TEXT);
    let server = log.server();
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("it runs");
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
}

#[test]
fn where_all_of_it_is_enforced_nothing_is_said() {
    let log = Log::new(TEXT);
    for flags in [&[][..], &["--no-sandbox"]] {
        let server = Server::with(flags, &[&log.path]);
        assert_eq!(server.totals("clients"), 0);
        let said = server.log();
        assert!(!said.contains("sandbox"), "{said}");
    }
}
