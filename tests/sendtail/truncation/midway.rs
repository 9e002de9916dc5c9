//! A truncation in the midst of something: a search, a backlog, the wait for a start that the file
//! has not reached.

use std::fs::{self, OpenOptions};

use super::{empty, expect_quiet};
use crate::support::{Client, Log, Server, on_each_file_system};

/// Each search would take minutes.
#[test]
fn a_search_starts_again_in_what_comes_after_the_truncation() {
    on_each_file_system(|parent| {
        for (header, expected) in [
            ("-2\n", "four\nfive\n"),
            ("-9\n", "one\ntwo\nthree\nfour\nfive\n"),
            ("+4\n", "four\nfive\n"),
        ] {
            let log = Log::absent_in(parent);
            sparse(&log, 1 << 40);
            let server = log.server();
            let mut client = server.ask(header);
            server.wait_for_request(&client);
            server.while_stopped(|| {
                fs::write(&log.path, "one\ntwo\nthree\nfour\nfive\n").expect("it is ours");
            });
            client.expect(expected.as_bytes());
            log.append("more\n");
            client.expect(b"more\n");
            // Nobody knows what it would have got.
            assert_eq!((server.totals("cut"), server.totals("missed")), (0, 0));
        }
    });
}

/// It belonged to what was there.
#[test]
fn a_start_beyond_the_end_is_not_for_what_comes_after_the_truncation() {
    on_each_file_system(|parent| {
        for new in ["", "new\n", &"long enough\n".repeat(100)] {
            let log = Log::absent_in(parent);
            fs::write(&log.path, "content\n").expect("the directory is ours");
            let server = log.server();
            let starts = ["9\n", "500\n", "1000000\n", "+3\n", "+101\n"];
            let mut clients = starts.map(|start| server.ask(start));
            for client in &clients {
                server.wait_for_request(client);
            }
            server.while_stopped(|| fs::write(&log.path, new).expect("it is ours"));
            for client in &mut clients {
                client.expect_error("file was replaced");
            }
            assert_eq!(server.totals("missed"), 0);
        }
    });
}

/// Again and again, wherever the server is in its work just then.
#[test]
fn a_truncation_in_the_midst_of_a_long_backlog_ends_it_and_nothing_else() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "").expect("the directory is ours");
        let server = log.server();
        let mut next = server.ask("-0\n");
        server.wait_for_request(&next);
        let mut missed = 0;
        for round in 0..20 {
            let mut client = next;
            sparse(&log, SIZE);
            let some = vec![0; (round << 20) + 1];
            client.expect(&some);
            // It has everything.
            next = server.ask("-0\n");
            server.wait_for_request(&next);
            empty(&log.path);
            let received = (some.len() + client.read_to_end().len()) as u64;
            expect_loss(&server, &log, &client, received);
            missed += SIZE - received;
        }
        log.append("the end\n");
        next.expect(b"the end\n");
        expect_quiet(&server, &mut next);
        assert_eq!(
            (server.totals("cut"), server.totals("missed")),
            (20, missed)
        );
    });
}

const SIZE: u64 = 1 << 30;

fn expect_loss(server: &Server, log: &Log, client: &Client, received: u64) {
    let peer = client.stream.local_addr().expect("it was connected");
    server.wait_for_log(&format!(
        "{peer} closed: {} was truncated when it was at offset {received}, \
         {} bytes missed",
        log.path.display(),
        SIZE - received
    ));
}

/// Made longer without taking room.
fn sparse(log: &Log, bytes: u64) {
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .write(true)
        .truncate(false)
        .open(&log.path);
    let grown = file.expect("the directory is ours").set_len(bytes);
    grown.expect("the file system knows sparse files");
}
