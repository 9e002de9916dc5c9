//! What a server does between its start and its end, all of it on a small scale.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{
    Client, Log, Server, append, drop_cached, inheriting, numbered_lines, wrapped,
};

const TEXT: &str = "one\ntwo\n";

/// Started by a service manager, with a socket of its own beside those that it is given, and with a
/// PATH that is relative. The wrapper gets the server's command line behind its own.
pub fn full(wrapper: &[&str]) {
    let log = Log::new(TEXT);
    let lines = numbered_lines(200_000);
    fs::write(log.beside("cold"), &lines).expect("there is room");
    symlink("cold", log.beside("link")).expect("the directory is ours");
    let place = tempfile::tempdir().expect("there is room for tests");
    let path = place.path().join("socket");
    // Left over from a server that was killed.
    drop(UnixListener::bind(&path).expect("the directory is ours"));
    let manager_path = place.path().join("notify");
    let manager = UnixDatagram::bind(&manager_path).expect("the directory is ours");
    let patience = Some(Duration::from_secs(30));
    manager.set_read_timeout(patience).expect("it is a socket");
    let given = [TcpListener::bind("127.0.0.1:0").expect("there is a free port")];
    let unix = format!("unix:{}", path.display());
    let flags = ["-b", &unix, "--socket-mode", "660", "--allow", "127.0.0.1"];
    let name = log.directory.path().file_name().expect("it has one");
    let program = Server::program(&flags, &[name.as_ref()]);
    let mut command = inheriting(&wrapped(wrapper, &program), &given);
    command.current_dir(log.directory.path().parent().expect("it has one"));
    command.env("NOTIFY_SOCKET", &manager_path);
    let server = Server::command(command);
    expect_notice(&manager, "READY=1");

    let mut client = server.ask("0 log\n");
    client.expect(TEXT.as_bytes());
    let mut local = Client::unix(&path);
    local.send(b"-1 log\n");
    local.half_close();
    local.expect(b"two\n");
    drop_cached(&log.beside("cold"));
    server.ask("0 link\n").expect(lines.as_bytes());
    server.ask("-150000 cold\n").half_close();
    server.ask("0 absent\n").expect_error("no such file");
    let list = server.ask("ls\n").read_to_end();
    let list = String::from_utf8_lossy(&list);
    let names = list.lines().filter_map(|line| line.split('\t').nth(2));
    assert_eq!(names.collect::<Vec<_>>(), ["cold", "link", "log"]);
    server.ask("x\n").expect_error("bad start");
    server.ask("0 cold\n").reset();
    rotate(&log, &server, &mut client);
    local.expect(b"three\nfour\n");
    server.look();
    server.signal(Signal::SIGTERM);
    expect_notice(&manager, "STOPPING=1");
    client.expect_end();
    drop((client, local));
    assert!(server.wait().success(), "{}", server.log());
    assert!(!path.exists());
}

/// A file as its PATH, and more clients than it takes, who may be dead.
pub fn crowded(wrapper: &[&str]) {
    let log = Log::new(TEXT);
    let flags = ["--max-clients", "2"];
    let server = Server::command(wrapped(wrapper, &Server::program(&flags, &[&log.path])));
    let mut waiting = [(); 2].map(|()| server.reader("0\n", TEXT));
    waiting.iter_mut().for_each(Client::half_close);
    server.connect().expect_error("too many clients");
    log.append("three\n");
    for client in &mut waiting {
        client.expect(b"three\n");
    }
    // Cut and grown again.
    fs::write(&log.path, "four\n").expect("the directory is ours");
    for client in &mut waiting {
        client.expect(b"four\n");
    }
    server.signal(Signal::SIGINT);
    drop(waiting);
    assert!(server.wait().success(), "{}", server.log());
}

fn rotate(log: &Log, server: &Server, client: &mut Client) {
    let old = log.beside("log.1");
    fs::rename(&log.path, &old).expect("the directory is ours");
    append(&old, b"three\n");
    client.expect(b"three\n");
    fs::write(&log.path, "four\n").expect("the directory is ours");
    client.expect(b"four\n");
    server.wait_for_log("the old file is finished");
    fs::remove_file(&old).expect("the directory is ours");
}

fn expect_notice(manager: &UnixDatagram, expected: &str) {
    let mut buffer = [0; 256];
    let count = manager.recv(&mut buffer).expect("it comes");
    let notice = String::from_utf8_lossy(&buffer[..count]);
    assert!(notice.lines().any(|line| line == expected), "{notice:?}");
}
