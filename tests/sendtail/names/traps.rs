//! A file that has lost its name is looked for under the name it was given. Whoever may write to
//! the directory may have put something else there: it is not served, and not even opened.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{WaitingWriter, served};
use crate::support::{Client, Log, Server};

/// A directory to serve with a log in it, a secret outside, and a client that has all of the log.
fn scene() -> (Log, Server, Client) {
    let outer = Log::absent();
    fs::create_dir(outer.beside("served")).expect("it is ours");
    fs::write(outer.beside("secret"), "secret\n").expect("it is ours");
    let path = outer.beside("served/log");
    fs::write(&path, "old\n").expect("it is ours");
    let served = outer.beside("served");
    let log = Log { path, ..outer };
    let server = Server::start(&[&served]);
    let client = server.reader("0 log\n", "old\n");
    (log, server, client)
}

/// What is done to `log.2`, where a file that was never opened has gone.
type Trap = (&'static str, fn(&Log));

#[test]
fn a_link_where_a_file_was_leads_nobody_out_of_the_directory() {
    let traps: [Trap; 4] = [
        ("a link in its place", |log| {
            fs::remove_file(log.beside("served/log.2")).expect("it is there");
            symlink("../secret", log.beside("served/log.2")).expect("it is ours");
        }),
        ("a link over it", |log| {
            symlink("../secret", log.beside("served/new")).expect("it is ours");
            fs::rename(log.beside("served/new"), log.beside("served/log.2")).expect("it is ours");
        }),
        ("an absolute link over it", |log| {
            symlink(log.beside("secret"), log.beside("served/new")).expect("it is ours");
            fs::rename(log.beside("served/new"), log.beside("served/log.2")).expect("it is ours");
        }),
        ("a file of the directory over it", |log| {
            fs::write(log.beside("served/new"), "another\n").expect("it is ours");
            fs::rename(log.beside("served/new"), log.beside("served/log.2")).expect("it is ours");
        }),
    ];
    for (name, trap) in traps {
        eprintln!("{name}");
        let (log, server, mut client) = scene();
        server.while_stopped(|| {
            fs::rename(&log.path, log.beside("served/log.1")).expect("it is ours");
            fs::write(&log.path, "unseen\n").expect("it is ours");
            fs::rename(&log.path, log.beside("served/log.2")).expect("it is ours");
            trap(&log);
            fs::write(&log.path, "new\n").expect("it is ours");
        });
        // What was there is missing, and nothing else is it.
        client.expect_end();
        assert_eq!(server.totals("gaps"), 1);
        server.ask("0 log\n").expect(b"new\n");
    }
}

/// The cookie leads to no file at all: what bore the name was none.
#[test]
fn what_bore_the_name_and_was_no_file_is_not_opened_under_another() {
    type Other = (&'static str, fn(&Log));
    let others: [Other; 4] = [
        ("a link out", |log| {
            symlink("../secret", &log.path).expect("it is ours");
        }),
        ("an absolute link", |log| {
            symlink(log.beside("secret"), &log.path).expect("it is ours");
        }),
        ("a FIFO", |log| {
            mkfifo(&log.path, Mode::S_IRWXU).expect("it is ours")
        }),
        ("a directory", |log| {
            fs::create_dir(&log.path).expect("it is ours");
            fs::write(log.path.join("log"), "inner\n").expect("it is ours");
        }),
    ];
    for (name, make) in others {
        eprintln!("{name}");
        let (log, server, mut client) = scene();
        let moved = log.beside("served/log.2");
        let writer = server.while_stopped(|| {
            fs::rename(&log.path, log.beside("served/log.1")).expect("it is ours");
            make(&log);
            fs::rename(&log.path, &moved).expect("it is ours");
            fs::write(&log.path, "new\n").expect("it is ours");
            (name == "a FIFO").then(|| WaitingWriter::at(&moved))
        });
        client.expect(b"new\n");
        server.look();
        client.expect_nothing();
        if let Some(writer) = writer {
            writer.expect_waiting(&moved);
        }
        assert_eq!((server.totals("cut"), server.totals("gaps")), (0, 0));
    }
}

/// A file PATH may be a link to anywhere, but a FIFO is none.
#[test]
fn a_fifo_that_bore_a_file_path_is_not_opened_under_another_name() {
    let log = Log::new("old\n");
    let server = served(&log, false);
    let mut client = server.reader("0\n", "old\n");
    let moved = log.beside("log.2");
    let writer = server.while_stopped(|| {
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        mkfifo(&log.path, Mode::S_IRWXU).expect("it is ours");
        fs::rename(&log.path, &moved).expect("it is ours");
        fs::write(&log.path, "new\n").expect("it is ours");
        WaitingWriter::at(&moved)
    });
    client.expect(b"new\n");
    server.look();
    writer.expect_waiting(&moved);
}

/// The directory itself is another one by the time that its events are read.
#[test]
fn a_directory_switched_for_a_link_leads_nobody_out() {
    let log = Log::absent();
    let (served, inner) = (log.beside("served"), log.beside("served/inner"));
    fs::create_dir_all(&inner).expect("it is ours");
    fs::create_dir(log.beside("outside")).expect("it is ours");
    for name in ["log", "log.1", "log.2"] {
        fs::write(log.beside("outside").join(name), "secret\n").expect("it is ours");
    }
    fs::write(inner.join("log"), "old\n").expect("it is ours");
    let server = Server::start(&[&served]);
    let mut client = server.reader("0 inner/log\n", "old\n");
    server.while_stopped(|| {
        fs::rename(inner.join("log"), inner.join("log.1")).expect("it is ours");
        fs::write(inner.join("log"), "unseen\n").expect("it is ours");
        fs::rename(inner.join("log"), inner.join("log.2")).expect("it is ours");
        fs::write(inner.join("log"), "unseen too\n").expect("it is ours");
        fs::rename(&inner, log.beside("served/moved")).expect("it is ours");
        symlink("../outside", &inner).expect("it is ours");
    });
    server.look();
    let mut newcomer = server.ask("0 inner/log\n");
    server.wait_for_request(&newcomer);
    server.signal(Signal::SIGTERM);
    client.expect_end();
    let received = newcomer.read_to_end();
    let nothing: [&[u8]; 3] = [b"", b"old\n", b"error: shutting down\n"];
    assert!(nothing.contains(&&*received), "{}", received.escape_ascii());
}
