//! Many files and many events at once: nothing is lost, sent twice or taken for something else.

use std::fs::{File, remove_file, rename, write};

use crate::support::{Log, Server, append, wait_until};

/// More names in the directory's events than one turn reads, but fewer than the queue holds.
#[test]
fn rotations_behind_thousands_of_other_events_keep_their_order() {
    let log = Log::new("first\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"first\n");
    server.while_stopped(|| {
        for number in 0..2200 {
            File::create(log.beside(&format!("{number:0250}"))).expect("it is ours");
        }
        for (renamed, content) in [("log.1", "second\n"), ("log.2", "third\n")] {
            rename(&log.path, log.beside(renamed)).expect("it is ours");
            write(&log.path, content).expect("it is ours");
        }
        // The tick is due as well: it is the first to look.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    });
    client.expect(b"second\nthird\n");
    log.append("more\n");
    client.expect(b"more\n");
}

/// More than a stuck client may keep open, and nobody here is stuck.
#[test]
fn three_hundred_rotations_at_once_are_too_many_for_nobody() {
    let log = Log::new("first\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"first\n");
    let mut newcomers = vec![];
    let all: String = server.while_stopped(|| {
        let contents = (0..300).map(|number| {
            rename(&log.path, log.beside(&format!("log.{number}"))).expect("it is ours");
            let content = format!("file {number}\n");
            write(&log.path, &content).expect("it is ours");
            content
        });
        let all = contents.collect();
        newcomers.extend((0..3).map(|_| server.ask("0\n")));
        all
    });
    client.expect(all.as_bytes());
    for newcomer in &mut newcomers {
        newcomer.expect(b"file 299\n");
    }
    assert_eq!(server.totals("segments"), 1);
}

/// Those who wait for a file to come are at its beginning, wherever a file that comes back goes on.
#[test]
fn a_file_that_comes_back_after_another_was_deleted_goes_on_where_it_ended() {
    let log = Log::new("one\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"one\n");
    rename(&log.path, log.beside("away")).expect("it is ours");
    write(&log.path, "two\n").expect("it is ours");
    client.expect(b"two\n");
    remove_file(&log.path).expect("it is ours");
    server.wait_for_log("deleted, and no writer has it open");
    rename(log.beside("away"), &log.path).expect("it is ours");
    append(&log.path, b"three\n");
    client.expect(b"three\n");
    client.expect_silence();
}

/// The look of the one who comes cuts the last of the others, and what they followed goes with them.
/// Without events, and just after a tick, it is the first to look.
#[test]
fn a_newcomer_may_be_the_first_to_see_a_truncation() {
    let log = Log::sparse(64 << 20, "last");
    let Some(server) = Server::without_watches(&[&log.path]) else {
        return;
    };
    let mut stuck = server.ask("0\n");
    server.sent_until_full();
    for content in ["new\n", "newer\n"] {
        write(&log.path, content).expect("it is ours");
        let mut newcomer = server.ask("0\n");
        newcomer.expect(content.as_bytes());
        newcomer.reset();
        stuck.reset();
        let file = File::options().write(true).open(&log.path);
        let file = file.expect("it is there");
        file.set_len(64 << 20)
            .expect("the file system knows sparse files");
        stuck = server.ask("0\n");
        server.sent_until_full();
    }
}

/// A client that waits in an old file for its writer pins all that comes after it.
#[test]
fn deleted_files_count_for_whoever_waits_before_them() {
    let log = Log::new("one\n");
    let server = Server::with(&["--max-held", "4M"], &[&log.path]);
    let mut client = server.ask("0\n");
    client.expect(b"one\n");
    let writer = File::options().append(true).open(&log.path);
    let writer = writer.expect("it is there");
    rename(&log.path, log.beside("log.1")).expect("it is ours");
    let held = "was deleted and held too much disk space, at offset 4, ";
    for _ in 0..4 {
        write(&log.path, vec![b'x'; 2 << 20]).expect("there is room");
        wait_until("it is open, or the client is closed", || {
            server.has_open(&log.path) || server.log().contains(held)
        });
        remove_file(&log.path).expect("it is ours");
    }
    server.wait_for_log(held);
    client.expect_end();
    drop(writer);
}
