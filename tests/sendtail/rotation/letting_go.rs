//! An old file is closed as soon as nobody needs it: its descriptor, its watch and, if it was
//! deleted, the disk space come back. Those who need one for too long are closed.

use std::fs::{self, rename};
use std::path::{Path, PathBuf};

use crate::support::{Client, Log, Server, append, wait_until};

const MEGABYTE: usize = 1 << 20;

#[test]
fn descriptors_and_watches_come_back_when_the_last_client_has_passed_or_left() {
    for leaves in [false, true] {
        let content = content(8 * MEGABYTE);
        let log = Log::new(&content);
        let server = log.server();
        let mut client = server.ask("0\n");
        client.expect(&content);
        let descriptors = server.descriptors();
        let mut lagging = lagging(&server, &content);
        for number in 1..=5 {
            rotate(&log, number);
            client.expect(format!("file {number}\n").as_bytes());
        }
        // One is in the first and will need all that follow.
        assert_eq!((server.totals("segments"), server.watches()), (6, 7));
        if leaves {
            lagging.reset();
        } else {
            lagging.expect(&content);
            lagging.expect(b"file 1\nfile 2\nfile 3\nfile 4\nfile 5\n");
        }
        wait_until("they are closed", || {
            // It is a descriptor itself.
            server.descriptors() == descriptors + usize::from(!leaves)
        });
        assert_eq!((server.totals("segments"), server.watches()), (1, 2));
        client.reset();
    }
}

/// The last of a file that nobody can write to any more: with the lease right that is known.
#[test]
fn a_deleted_file_without_a_writer_is_let_go_and_its_clients_wait_for_the_next() {
    for parent in places() {
        let log = log_in(&parent, b"content\n");
        let server = log.server();
        let mut clients = ["0\n", "-1\n"].map(|header| server.ask(header));
        for client in &mut clients {
            client.expect(b"content\n");
        }
        let mut empty_handed = server.ask("-0\n");
        server.wait_for_request(&empty_handed);
        assert!(server.has_open(&log.path));
        fs::remove_file(&log.path).expect("it is ours");
        let path = log.path.display();
        server.wait_for_log(&format!(
            "sendtail: {path}: the old file is finished at 8 bytes \
             (deleted, and no writer has it open); 3 clients go on with the next"
        ));
        assert_eq!(server.totals("segments"), 0);
        assert!(
            !server.has_open(&deleted(&log.path)),
            "its space is still taken"
        );
        let mut newcomer = server.ask("0\n");
        server.wait_for_request(&newcomer);
        fs::write(&log.path, "the next file\n").expect("it is ours");
        for client in clients.iter_mut().chain([&mut newcomer, &mut empty_handed]) {
            client.expect(b"the next file\n");
        }
    }
}

#[test]
fn a_deleted_file_is_kept_until_all_of_it_is_sent() {
    for parent in places() {
        let content = content(8 * MEGABYTE);
        let log = log_in(&parent, &content);
        let server = log.server();
        let mut caught_up = server.ask("0\n");
        caught_up.expect(&content);
        let mut lagging = lagging(&server, &content);
        fs::remove_file(&log.path).expect("it is ours");
        wait_until("its space is counted", || server.totals("held") > 0);
        let held = server.totals("held") as usize;
        // What the file system needs for itself may be counted too.
        assert!(
            (content.len()..content.len() + MEGABYTE).contains(&held),
            "{held}"
        );
        assert!(server.has_open(&deleted(&log.path)));
        lagging.expect(&content);
        wait_until("it is let go", || !server.has_open(&deleted(&log.path)));
        assert_eq!((server.totals("held"), server.totals("segments")), (0, 0));
        fs::write(&log.path, "the next file\n").expect("it is ours");
        for mut client in [caught_up, lagging] {
            client.expect(b"the next file\n");
        }
    }
}

/// Nobody can tell whether somebody has the deleted file open: it is followed until there is
/// another.
#[test]
fn without_the_lease_right_a_deleted_file_is_followed_until_the_next_has_data() {
    let log = Log::new("content\n");
    let flags = ["--drain-grace", "1"];
    let Some(command) = Server::without_lease_right(&flags, &[&log.path]) else {
        return;
    };
    let server = Server::command(command);
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    fs::remove_file(&log.path).expect("it is ours");
    wait_until("it is deleted", || server.has_open(&deleted(&log.path)));
    let mut newcomer = server.ask("0\n");
    newcomer.expect(b"content\n");
    fs::write(&log.path, "the next file\n").expect("it is ours");
    client.expect(b"the next file\n");
    newcomer.expect(b"the next file\n");
    let path = log.path.display();
    server.wait_for_log(&format!(
        "{path}: the old file is finished at 8 bytes (silent for 1 s); 2 clients go on"
    ));
}

#[test]
fn who_needs_more_than_64_old_files_is_closed_and_nobody_else() {
    let content = content(8 * MEGABYTE);
    let log = Log::new(&content);
    let server = log.server();
    let mut caught_up = server.ask("0\n");
    caught_up.expect(&content);
    let mut stuck = lagging(&server, &content);
    let mut later = None;
    for number in 1..=70 {
        rotate(&log, number);
        if number == 20 {
            append(&log.path, &content);
            later = Some(lagging(&server, &content));
            caught_up.expect(b"file 20\n");
            caught_up.expect(&content);
        } else {
            caught_up.expect(format!("file {number}\n").as_bytes());
        }
        if number == 60 {
            assert_eq!((server.totals("segments"), server.totals("cut")), (61, 0));
        }
    }
    expect_closed(
        &server,
        &log,
        &mut stuck,
        &content,
        "has too many old files,",
    );
    // The first that anybody still needs is the twentieth after it.
    wait_until("those before are let go", || {
        server.totals("segments") == 51
    });
    assert_eq!(server.totals("cut"), 1);
    let mut later = later.expect("it was there for the twentieth");
    later.expect(b"file 20\n");
    later.expect(&content);
    for number in 21..=70 {
        later.expect(format!("file {number}\n").as_bytes());
    }
    append(&log.path, b"more\n");
    for mut client in [caught_up, later] {
        client.expect(b"more\n");
    }
}

// --max-held.

#[test]
fn who_holds_more_deleted_space_than_allowed_is_closed_and_the_space_comes_back() {
    let content = content(8 * MEGABYTE);
    for parent in places() {
        for (limit, is_closed) in [
            ("0", true),
            ("1000", true),
            ("100K", true),
            ("1M", true),
            ("16777216", false),
            ("16384K", false),
            ("16M", false),
            ("1G", false),
        ] {
            let log = log_in(&parent, &content);
            let server = Server::with(&["--max-held", limit], &[&log.path]);
            let mut caught_up = server.ask("0\n");
            caught_up.expect(&content);
            let mut stuck = lagging(&server, &content);
            fs::remove_file(&log.path).expect("it is ours");
            if is_closed {
                let why = "was deleted and held too much disk space,";
                expect_closed(&server, &log, &mut stuck, &content, why);
                wait_until("the space is free", || {
                    !server.has_open(&deleted(&log.path))
                });
            } else {
                wait_until("the space is counted", || server.totals("held") > 0);
                stuck.expect(&content);
            }
            assert_eq!(server.totals("cut"), u64::from(is_closed));
            wait_until("no space is held", || server.totals("held") == 0);
            fs::write(&log.path, "the next file\n").expect("it is ours");
            caught_up.expect(b"the next file\n");
        }
    }
}

/// One that has got nothing yet is told to come again.
#[test]
fn a_search_in_a_deleted_file_that_takes_more_space_than_allowed_ends_with_an_error() {
    let log = Log::sparse(1 << 40, "last");
    let server = Server::with(&["--max-held", "0"], &[&log.path]);
    let mut searching = server.ask("-2\n");
    server.wait_for_request(&searching);
    fs::remove_file(&log.path).expect("it is ours");
    searching.expect_error("try again");
    wait_until("the space is free", || {
        !server.has_open(&deleted(&log.path))
    });
}

/// The file that the client is in has a name, and the deleted one is still before it.
#[test]
fn a_deleted_file_that_a_client_has_yet_to_come_to_counts_too() {
    let content = content(8 * MEGABYTE);
    let log = Log::new(&content);
    let server = Server::with(&["--max-held", "1M"], &[&log.path]);
    let mut caught_up = server.ask("0\n");
    caught_up.expect(&content);
    let mut stuck = lagging(&server, &content);
    rotate(&log, 1);
    append(&log.path, &content);
    caught_up.expect(b"file 1\n");
    caught_up.expect(&content);
    rotate(&log, 2);
    caught_up.expect(b"file 2\n");
    fs::remove_file(log.beside("log.2")).expect("it is there");
    let why = "was deleted and held too much disk space,";
    expect_closed(&server, &log, &mut stuck, &content, why);
    wait_until("the space is free", || server.totals("segments") == 1);
    assert_eq!(server.totals("held"), 0);
    append(&log.path, b"more\n");
    caught_up.expect(b"more\n");
}

/// A file that somebody still writes to is not held for a client, and those at its end stay.
#[test]
fn a_deleted_file_with_a_writer_is_followed_on_by_those_who_are_not_behind() {
    let content = content(8 * MEGABYTE);
    let log = Log::new(&content);
    let server = Server::with(&["--max-held", "1M"], &[&log.path]);
    let mut caught_up = server.ask("0\n");
    caught_up.expect(&content);
    let mut stuck = lagging(&server, &content);
    let mut writer = fs::OpenOptions::new()
        .append(true)
        .open(&log.path)
        .expect("it is there");
    fs::remove_file(&log.path).expect("it is ours");
    let why = "was deleted and held too much disk space,";
    expect_closed(&server, &log, &mut stuck, &content, why);
    std::io::Write::write_all(&mut writer, b"more\n").expect("there is room");
    caught_up.expect(b"more\n");
    assert_eq!((server.totals("cut"), server.totals("held")), (1, 0));
}

/// A client of this content that has begun to get it and does not read on.
fn lagging(server: &Server, content: &[u8]) -> Client {
    let client = server.ask("0\n");
    server.wait_for_request(&client);
    server.sent_until_full();
    let offset = server.offset(&client);
    assert!(
        offset > 0 && offset < content.len() as u64,
        "it is not behind: {offset}"
    );
    client
}

/// It got what was sent until then and no more, and the log says what it got and missed.
fn expect_closed(server: &Server, log: &Log, client: &mut Client, content: &[u8], why: &str) {
    let peer = client.stream.local_addr().expect("it is connected");
    let start = format!(
        "sendtail: warning: {peer} closed: {} {why} ",
        log.path.display()
    );
    server.wait_for_log(&start);
    let received = client.read_to_end();
    let missed = content.len() - received.len();
    assert!(content.starts_with(&received), "it got other bytes");
    let numbers = format!("at offset {}, {missed} bytes missed", received.len());
    server.wait_for_log(&format!("{start}{numbers}"));
    assert_eq!(server.totals("missed"), missed as u64);
}

fn rotate(log: &Log, number: usize) {
    rename(&log.path, log.beside(&format!("log.{number}"))).expect("it is ours");
    fs::write(&log.path, format!("file {number}\n")).expect("it is ours");
}

/// As the kernel shows it among the descriptors.
fn deleted(path: &Path) -> PathBuf {
    PathBuf::from(format!("{} (deleted)", path.display()))
}

fn places() -> [PathBuf; 2] {
    [std::env::temp_dir(), PathBuf::from("/dev/shm")]
}

fn log_in(parent: &Path, content: &[u8]) -> Log {
    let directory = tempfile::tempdir_in(parent).expect("there is room for tests");
    let path = directory.path().join("log");
    fs::write(&path, content).expect("the directory is ours");
    Log { directory, path }
}

/// No two pieces of it are alike.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u64 / 8).flat_map(u64::to_be_bytes).collect()
}
