//! What tells the server that a file has changed: one watch an inode, shared by its clients and
//! gone with the last of them; the tick for what gives no event; and polling where the kernel
//! refuses to watch.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{
    Audience, BACKLOG, Log, Server, append, can_run, on_time, wait_until, wrapped,
};

#[test]
fn one_watch_an_inode_is_shared_and_gone_with_the_last_client() {
    let log = Log::new("content\n");
    let second = log.beside("second");
    let linked = log.beside("linked");
    std::fs::write(&second, "content\n").expect("it is ours");
    std::fs::hard_link(&log.path, &linked).expect("it is ours");
    let server = Server::start(&[log.directory.path()]);
    let descriptors = server.descriptors();
    assert_eq!(server.watches(), 0, "nobody follows anything yet");
    let mut clients = Vec::new();
    // The file and its directory; then the second file only: everything else is watched already.
    for (name, watches) in [
        ("log", 2),
        ("log", 2),
        ("linked", 2),
        ("second", 3),
        ("second", 3),
    ] {
        for _ in 0..20 {
            let mut client = server.ask(format!("-1 {name}\n"));
            client.expect(b"content\n");
            clients.push(client);
        }
        assert_eq!(server.watches(), watches, "with {name}");
    }
    // Of a hundred clients the last twenty follow the second file alone.
    for (leaving, watches) in [(40, 3), (20, 2), (39, 2)] {
        for client in clients.drain(..leaving) {
            client.reset();
        }
        wait_until(&format!("{leaving} have left"), || {
            server.watches() == watches
        });
        append(&second, b"more\n");
        clients.last_mut().expect("one is left").expect(b"more\n");
    }
    clients.pop().expect("one is left").reset();
    wait_until("the last watches are gone", || server.watches() == 0);
    wait_until("the files are closed", || {
        server.descriptors() == descriptors
    });
}

/// The file is opened, then watched, then measured: whatever happens in between has to be seen.
/// strace makes "in between" long enough.
#[test]
fn what_happens_between_opening_and_watching_is_seen() {
    let delay = "inject=inotify_add_watch:delay_enter=400000";
    let wrapper = [
        "strace",
        "-D",
        "-qq",
        "-o/dev/null",
        "-etrace=inotify_add_watch",
        "-e",
        delay,
    ];
    if !can_run(&[&wrapper[..], &["true"]].concat()) {
        return;
    }
    for header in ["0\n", "-10\n"] {
        let log = Log::new("content\n");
        let program = Server::program(&[], &[&log.path]);
        let server = Server::command(wrapped(&wrapper, &program));
        let mut client = server.ask(header);
        wait_until("the file is open", || server.has_open(&log.path));
        assert_eq!(
            server.watches(),
            1,
            "its directory is watched and it is not"
        );
        log.append("more\n");
        client.expect(b"content\nmore\n");
    }
}

#[test]
fn a_directory_that_is_made_anew_is_found_again() {
    let log = Log::absent();
    let nested = log.beside("nested");
    let path = nested.join("log");
    std::fs::create_dir(&nested).expect("it is ours");
    let server = Server::start(&[&path]);
    let mut client = server.ask("-10\n");
    server.wait_for_request(&client);
    std::fs::remove_dir(&nested).expect("it is ours");
    std::fs::create_dir(&nested).expect("it is ours");
    std::fs::write(&path, "content\n").expect("it is ours");
    client.expect(b"content\n");
    append(&path, b"more\n");
    client.expect(b"more\n");
}

/// A switched directory link gives no event anywhere below it.
#[test]
fn a_directory_link_that_is_switched_is_found_by_the_tick() {
    let log = Log::absent();
    for name in ["one", "two"] {
        std::fs::create_dir(log.beside(name)).expect("it is ours");
    }
    std::fs::write(log.beside("two/log"), "content\n").expect("it is ours");
    let current = log.beside("current");
    symlink("one", &current).expect("it is ours");
    let server = Server::start(&[&current.join("log")]);
    let mut client = server.ask("0\n");
    server.wait_for_request(&client);
    symlink("two", log.beside("next")).expect("it is ours");
    std::fs::rename(log.beside("next"), &current).expect("it is ours");
    client.expect(b"content\n");
    append(&log.beside("two/log"), b"more\n");
    client.expect(b"more\n");
}

#[test]
fn without_watches_the_file_is_polled() {
    let namespace = ["unshare", "--map-root-user"];
    if !can_run(&[namespace[0], namespace[1], "true"]) {
        return;
    }
    // None for a file, and no queue to ask for one.
    let limits = ["max_inotify_watches", "max_inotify_instances"];
    let poll = |limit| {
        let log = Log::new("content\n");
        let program = Server::program(&[], &[&log.path, &log.beside("later")]);
        let script = format!(r#"echo 0 >/proc/sys/user/{limit} && exec "$@""#);
        let wrapper = [&namespace[..], &["sh", "-c", &script, "sh"]].concat();
        let server = Server::command(wrapped(&wrapper, &program));
        follow_without_watches(&log, &server);
        rotate_without_watches(&log, &server);
        assert_eq!(server.watches(), 0);
    };
    std::thread::scope(|scope| {
        for limit in limits {
            scope.spawn(move || poll(limit));
        }
    });
}

/// A directory that may be searched but not read refuses the watch; the files in it do not.
#[test]
fn in_a_directory_that_refuses_watches_the_names_are_polled() {
    let log = Log::new("content\n");
    let paths = [&*log.path, &log.beside("later")];
    let Some(command) = Server::unprivileged(&[], &paths) else {
        return;
    };
    let allow = |mode| {
        let rights = Permissions::from_mode(mode);
        std::fs::set_permissions(log.directory.path(), rights).expect("it is ours");
    };
    allow(0o300);
    let server = Server::command(command);
    follow_without_watches(&log, &server);
    rotate_without_watches(&log, &server);
    allow(0o700);
}

fn follow_without_watches(log: &Log, server: &Server) {
    let mut early = server.ask("0 later\n");
    let mut client = server.ask("0 log\n");
    client.expect(b"content\n");
    // Four looks a second: each append comes just after one.
    on_time(6, |_| {
        log.append("more\n");
        client.expect(b"more\n");
    });
    // A newcomer does not wait for the next look.
    log.append("last\n");
    server.ask("-1 log\n").expect(b"last\n");
    client.expect(b"last\n");
    server.wait_for_request(&early);
    std::fs::write(log.beside("later"), "here\n").expect("it is ours");
    early.expect(b"here\n");
    append(&log.beside("later"), b"more\n");
    early.expect(b"more\n");
}

/// Nothing says what has become of the old file but what a look shows, so each switch is one that
/// is not verified. As long as each file bears the name for one look, nothing is lost.
fn rotate_without_watches(log: &Log, server: &Server) {
    std::fs::write(&log.path, &*BACKLOG).expect("there is room");
    server.look();
    let mut audience = Audience::gather(server, " log");
    on_time(4, |round| {
        let renamed = log.beside(&format!("log.{round}"));
        std::fs::rename(&log.path, &renamed).expect("it is ours");
        append(&renamed, b"late\n");
        audience.expect("late\n");
        std::fs::write(&log.path, "new\n").expect("it is ours");
        audience.expect("new\n");
        audience.join(server.reader("0 log\n", "new\n"));
    });
    wait_until("they are not verified", || server.totals("unverified") == 4);
    let mut readers = audience.finish(server);
    std::fs::write(&log.path, "truncated\n").expect("it is ours");
    for reader in &mut readers {
        reader.expect(b"truncated\n");
    }
}
