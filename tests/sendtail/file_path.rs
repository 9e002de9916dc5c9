//! A file PATH is the operator's: it may lead anywhere, it is resolved anew for each client, and
//! while it is no regular file that may be read it counts as an empty one, which clients wait for.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Log, Server};

#[test]
fn a_file_path_may_be_a_link_to_anywhere() {
    let log = Log::new("content\n");
    let elsewhere = tempfile::tempdir().expect("there is room for tests");
    let absolute = elsewhere.path().join("absolute");
    symlink(&log.path, &absolute).expect("it is ours");
    let hidden = elsewhere.path().join(".hidden");
    symlink("absolute", &hidden).expect("it is ours");
    for path in [&absolute, &hidden] {
        let server = Server::start(&[path]);
        let mut client = server.ask("0\n");
        client.expect(b"content\n");
        log.append("more\n");
        client.expect(b"more\n");
        std::fs::write(&log.path, "content\n").expect("it is ours");
    }
    let server = Server::start(&[&absolute]);
    let mut named = server.ask("0 absolute\n");
    named.expect(b"content\n");
    server.ask("0 log\n").expect_error("no such file");
}

#[test]
fn a_file_path_is_resolved_anew_for_each_newcomer() {
    let log = Log::new("old\n");
    std::fs::write(log.beside("other"), "new\n").expect("it is ours");
    let link = log.beside("current");
    symlink("log", &link).expect("it is ours");
    let server = Server::start(&[&link]);
    let mut old = server.ask("0\n");
    old.expect(b"old\n");
    symlink("other", log.beside("next")).expect("it is ours");
    std::fs::rename(log.beside("next"), &link).expect("it is ours");
    server.ask("0\n").expect(b"new\n");
}

/// Until it is a regular file that may be read, it counts as an empty one: nobody gets an error.
#[test]
fn a_file_path_that_is_no_file_yet_is_waited_for() {
    type Obstacle = (&'static str, fn(&Path), fn(&Path));
    let remove = |path: &Path| std::fs::remove_file(path).expect("it is there");
    let obstacles: [Obstacle; 5] = [
        ("absent", |_| {}, |_| {}),
        (
            "a directory",
            |path| std::fs::create_dir(path).expect("it is ours"),
            |path| std::fs::remove_dir(path).expect("it is ours"),
        ),
        (
            "a FIFO",
            |path| mkfifo(path, Mode::S_IRWXU).expect("it is ours"),
            remove,
        ),
        (
            "a link to nowhere",
            |path| symlink("nowhere", path).expect("it is ours"),
            remove,
        ),
        (
            "a device",
            |path| symlink("/dev/zero", path).expect("it is ours"),
            remove,
        ),
    ];
    for (name, make, take_away) in obstacles {
        eprintln!("{name}");
        let log = Log::absent();
        let server = log.server();
        make(&log.path);
        let starts = ["0", "-10", "", "+1", "-0", "-5c", "+0", "0 log", "5", "+2"];
        let mut clients = starts.map(|start| server.ask(format!("{start}\n")));
        clients
            .iter()
            .for_each(|client| server.wait_for_request(client));
        clients[0].expect_silence();
        take_away(&log.path);
        std::fs::write(log.beside("new"), "one\ntwo\n").expect("it is ours");
        std::fs::rename(log.beside("new"), &log.path).expect("it is ours");
        for (client, start) in clients.iter_mut().zip(starts) {
            eprintln!("{start}");
            let content: &[u8] = match start {
                "5" => b"wo\n",
                "+2" => b"two\n",
                _ => b"one\ntwo\n",
            };
            client.expect(content);
        }
        log.append("three\n");
        clients
            .iter_mut()
            .for_each(|client| client.expect(b"three\n"));
    }
}

#[test]
fn a_file_path_that_may_not_be_read_yet_is_waited_for() {
    let log = Log::absent();
    let Some(command) = Server::unprivileged(&[], &[&log.path]) else {
        return;
    };
    let server = Server::command(command);
    std::fs::write(&log.path, "").expect("it is ours");
    // A logger opens its file before it takes everybody's rights away.
    let mut writer = OpenOptions::new()
        .append(true)
        .open(&log.path)
        .expect("it is ours");
    std::fs::set_permissions(&log.path, Permissions::from_mode(0o000)).expect("it is ours");
    let mut client = server.ask("-10\n");
    server.wait_for_request(&client);
    writer.write_all(b"content\n").expect("there is room");
    client.expect_silence();
    std::fs::set_permissions(&log.path, Permissions::from_mode(0o600)).expect("it is ours");
    client.expect(b"content\n");
    log.append("more\n");
    client.expect(b"more\n");
}
