//! Writes to the old file after there is a new one: they come first, and how long they are waited
//! for. What comes later still is a loss, and never a silent one.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::stage::play;
use crate::support::{Log, Server, append, wait_until};

#[test]
fn a_writer_that_never_closes_is_left_when_it_is_silent_and_what_it_writes_then_is_a_loss() {
    play(&["--drain-grace", "1"], |stage| {
        stage.rename("log.1");
        stage.newcomer("0");
        let last_write = Instant::now();
        stage.write("the last before the silence\n");
        stage.create("the next file\n");
        stage.newcomer("0");
        stage.leave_old();
        stage.read();
        assert!(
            last_write.elapsed() >= Duration::from_secs(1),
            "it was left too early"
        );
        stage.expect_switches(&["silent for 1 s"]);
        assert_eq!(stage.server.totals("late"), 0);
        assert!(
            stage.server.has_open(&stage.log.beside("log.1")),
            "nobody would see more of it"
        );
        // The lagging client and the stuck one are still in the old file.
        stage.write_late("late\n");
        stage.expect_late(5);
        stage.write_late("later\n");
        stage.expect_late(6);
        stage.newcomer("0");
        stage.read();
    });
}

/// Also if the next file is still empty, and they have got nothing yet. With the lease right it was
/// known that nobody had it open: then it ends there for everybody, whoever opens it again.
#[test]
fn who_has_passed_over_a_file_that_another_writer_opens_again_is_closed() {
    play(&[], |stage| {
        stage.rename("log.1");
        stage.newcomer("-0");
        stage.create("");
        stage.newcomer("0");
        stage.close_old();
        stage.read();
        stage.expect_moved();
        stage.expect_switches(&[stage.closed()]);
        if stage.has_lease_right {
            append(&stage.log.beside("log.1"), b"late\n");
        } else {
            stage.reopen_old("log.1");
            stage.write_late("late\n");
            stage.expect_late(5);
            stage.close_old();
        }
        stage.write("the next file\n");
        stage.read();
    });
}

/// Nobody is in the old file any more.
#[test]
fn late_bytes_are_a_loss_for_those_who_have_passed_and_for_nobody_else() {
    let log = Log::new("content\n");
    let server = Server::with(&["--drain-grace", "0"], &[&log.path]);
    let mut passed = ["0\n", "-1\n"].map(|header| server.ask(header));
    for client in &mut passed {
        client.expect(b"content\n");
    }
    let (mut writer, renamed) = rotate_under_a_writer(&log.path, "the next file\n");
    let mut newcomer = server.ask("0\n");
    for client in passed.iter_mut().chain([&mut newcomer]) {
        client.expect(b"the next file\n");
    }
    writer.write_all(b"late\n").expect("there is room");
    for client in &mut passed {
        client.expect_end();
    }
    let path = log.path.display();
    server.wait_for_log(&format!(
        "sendtail: warning: {path}: 5 bytes came to its old file after it was left"
    ));
    for (field, expected) in [("late", 5), ("cut", 2), ("missed", 10), ("gaps", 0)] {
        assert_eq!(server.totals(field), expected, "{field}");
    }
    wait_until("it is let go", || !server.has_open(&renamed));
    append(&log.path, b"more\n");
    newcomer.expect(b"more\n");
}

#[test]
fn no_grace_leaves_the_old_file_as_soon_as_the_new_one_has_data() {
    play(&["--drain-grace", "0"], |stage| {
        stage.rename("log.1");
        stage.create("");
        stage.newcomer("0");
        stage.write_late("the next file is empty\n");
        stage.read();
        stage.write("the next file\n");
        stage.leave_old();
        stage.read();
        stage.expect_switches(&["silent for 0 s"]);
    });
}

#[test]
fn the_old_file_is_not_left_for_an_empty_one_nor_while_it_grows() {
    std::thread::scope(|scope| {
        for (next, late) in [("", ""), ("the next file\n", "late\n")] {
            scope.spawn(move || wait_longer_than_the_grace(next, late));
        }
    });
}

/// Another log, whose writer is silent from the moment of its rotation, tells that time has passed.
fn wait_longer_than_the_grace(next: &str, late: &str) {
    let log = Log::new("content\n");
    let server = Server::with(&["--drain-grace", "2"], &[log.directory.path()]);
    let mut client = server.ask("0 log\n");
    client.expect(b"content\n");
    let (_writer, renamed) = rotate_under_a_writer(&log.path, next);
    let other = log.beside("other");
    fs::write(&other, "").expect("it is ours");
    let other_client = server.ask("0 other\n");
    server.wait_for_request(&other_client);
    let _other_writer = rotate_under_a_writer(&other, "the next file\n");
    let left = format!("{}: the old file is finished", other.display());
    wait_until("the other log's grace is over", || {
        append(&renamed, late.as_bytes());
        server.log().contains(&left)
    });
    append(&renamed, b"the last\n");
    let content = fs::read(&renamed).expect("it is there");
    client.expect(&content["content\n".len()..]);
    append(&log.path, b"more\n");
    client.expect(format!("{next}more\n").as_bytes());
    assert_eq!(server.totals("late"), 0);
}

#[test]
fn a_file_that_was_left_is_watched_until_its_writer_closes_it() {
    let log = Log::new("content\n");
    let server = Server::with(&["--drain-grace", "0"], &[&log.path]);
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    let (writer, renamed) = rotate_under_a_writer(&log.path, "the next file\n");
    client.expect(b"the next file\n");
    assert!(server.has_open(&renamed));
    assert_eq!((server.totals("segments"), server.watches()), (2, 3));
    drop(writer);
    wait_until("it is let go", || !server.has_open(&renamed));
    wait_until("it is not watched", || server.watches() == 2);
    assert_eq!(server.totals("segments"), 1);
    append(&log.path, b"more\n");
    client.expect(b"more\n");
}

/// Their writers never close them: those of the last 64 may still write a loss.
#[test]
fn sixty_four_files_that_were_left_are_watched_at_most() {
    let log = Log::new("content\n");
    let server = Server::with(&["--drain-grace", "0"], &[&log.path]);
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    let mut writers = vec![];
    for number in 0..70 {
        let next = format!("file {number}\n");
        let (writer, renamed) = rotate_under_a_writer(&log.path, &next);
        client.expect(next.as_bytes());
        let kept = log.beside(&format!("kept.{number}"));
        fs::rename(renamed, kept).expect("it is ours");
        writers.push(writer);
    }
    assert_eq!((server.totals("segments"), server.watches()), (65, 66));
    let [first, .., last] = &mut writers[..] else {
        unreachable!("there are seventy");
    };
    first.write_all(b"unseen\n").expect("there is room");
    append(&log.path, b"more\n");
    client.expect(b"more\n");
    last.write_all(b"late\n").expect("there is room");
    client.expect_end();
    assert_eq!((server.totals("late"), server.totals("missed")), (5, 5));
}

/// Without the lease right nobody knows whether there is a writer.
#[test]
#[ignore = "takes a minute"]
fn without_the_lease_right_a_file_that_was_left_is_watched_for_a_minute() {
    let log = Log::new("content\n");
    let flags = ["--drain-grace", "0"];
    let Some(command) = Server::without_lease_right(&flags, &[&log.path]) else {
        return;
    };
    let server = Server::command(command);
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    let (writer, renamed) = rotate_under_a_writer(&log.path, "the next file\n");
    drop(writer);
    client.expect(b"the next file\n");
    let left = Instant::now();
    while server.has_open(&renamed) {
        assert!(left.elapsed() < Duration::from_secs(70), "it is still open");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        left.elapsed() > Duration::from_secs(58),
        "{:?}",
        left.elapsed()
    );
    assert_eq!((server.totals("segments"), server.watches()), (1, 2));
}

#[test]
#[ignore = "takes a minute"]
fn a_writer_that_writes_on_is_left_when_both_files_have_grown_for_a_minute() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    let (mut writer, _) = rotate_under_a_writer(&log.path, "the next file\n");
    let start = Instant::now();
    while !server.log().contains("(both grow for 60 s)") {
        assert!(start.elapsed() < Duration::from_secs(70), "it is not left");
        // It is not to grow just when it is left.
        if start.elapsed() < Duration::from_secs(59) {
            writer.write_all(b"late\n").expect("there is room");
            client.expect(b"late\n");
        }
        append(&log.path, b"more\n");
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(
        start.elapsed() > Duration::from_secs(59),
        "{:?}",
        start.elapsed()
    );
    client.expect(&fs::read(&log.path).expect("it is there"));
    writer.write_all(b"late\n").expect("there is room");
    client.expect_end();
    assert_eq!((server.totals("late"), server.totals("missed")), (5, 5));
}

/// The old file's writer stays; its new name is given too.
fn rotate_under_a_writer(path: &Path, next: &str) -> (File, PathBuf) {
    let writer = OpenOptions::new().append(true).open(path);
    let renamed = path.with_extension("1");
    fs::rename(path, &renamed).expect("it is ours");
    fs::write(path, next).expect("it is ours");
    (writer.expect("it is there"), renamed)
}
