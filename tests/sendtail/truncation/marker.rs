//! A file that was truncated and has grown again, all of it unseen, is known by the bytes before
//! its last known end; and by its first bytes, once a second.

use std::fs;

use crate::support::{Audience, BACKLOG, Client, Log, on_each_file_system};

/// Lengths around the marker's 64 bytes.
const LENGTHS: [usize; 8] = [1, 2, 63, 64, 65, 127, 128, 1000];

#[test]
fn other_bytes_are_new_content_whatever_the_length() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "old\n").expect("the directory is ours");
        let server = log.server();
        let mut client = server.reader("0\n", "old\n");
        // Each text is another one than the one before, at each place.
        let mut number = 0;
        let rewrite = |client: &mut Client, bytes: &[u8]| {
            server.while_stopped(|| fs::write(&log.path, bytes).expect("it is ours"));
            client.expect(bytes);
        };
        for length in LENGTHS {
            let marker = length.min(64);
            for (grown, changed) in [
                (0, length - 1),
                (1, length - 1),
                (64, length - 1),
                (1000, length - 1),
                (0, length - marker),
                (1, length - marker),
                (1000, length - marker),
            ] {
                number += 1;
                let mut text = text(number, length + grown);
                rewrite(&mut client, &text[..length]);
                text[changed] ^= 1;
                rewrite(&mut client, &text);
                log.append("more\n");
                client.expect(b"more\n");
            }
        }
        assert_eq!(server.totals("cut"), 0);
    });
}

#[test]
fn the_same_bytes_again_are_nothing_new() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "").expect("the directory is ours");
        let server = log.server();
        let mut client = server.reader("0\n", "");
        let mut written = vec![];
        for length in LENGTHS {
            let text = text(length, length - written.len());
            log.append(&text);
            client.expect(&text);
            written.extend_from_slice(&text);
            server.while_stopped(|| fs::write(&log.path, &written).expect("it is ours"));
            server.look();
            client.expect_nothing();
            // And when more comes with them.
            let more: &[u8] = if length == 2 { b"" } else { b"m" };
            written.extend_from_slice(more);
            server.while_stopped(|| fs::write(&log.path, &written).expect("it is ours"));
            client.expect(more);
            server.look();
            client.expect_nothing();
        }
        assert!(!server.log().contains("truncated"), "it was not");
    });
}

#[test]
fn the_same_bytes_again_disturb_nobody_who_is_behind() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        server.while_stopped(|| fs::write(&log.path, &*BACKLOG).expect("there is room"));
        log.append("more\n");
        audience.expect("more\n");
        audience.finish(&server);
    });
}

/// No event says so, and nobody looks there at each append.
#[test]
fn a_large_file_whose_first_bytes_alone_are_others_is_found_by_the_tick() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        let mut new = BACKLOG.clone();
        // What it begins with is known from the first look on.
        server.look();
        new[0] ^= 1;
        server.while_stopped(|| fs::write(&log.path, &new).expect("there is room"));
        audience.expect(&new);
        audience.expect_cut();
        assert_eq!(server.totals("cut"), 2);
    });
}

/// Nobody truncates a log in that way. What is kept comes again, rather than that something is
/// missing.
#[test]
fn what_a_cut_to_another_length_leaves_comes_again() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "one\ntwo\nthree\n").expect("the directory is ours");
        let server = log.server();
        let mut client = server.reader("0\n", "one\ntwo\nthree\n");
        for (length, kept) in [(13, "one\ntwo\nthree"), (8, "one\ntwo\n"), (1, "o")] {
            let file = fs::OpenOptions::new().write(true).open(&log.path);
            file.expect("it is ours")
                .set_len(length)
                .expect("it is ours");
            client.expect(kept.as_bytes());
        }
        assert_eq!(server.totals("cut"), 0);
    });
}

/// Bytes of a file with this number: all of them differ from those of the next one.
fn text(number: usize, length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|place| (number * 3 + place * 7) as u8);
    bytes.collect()
}
