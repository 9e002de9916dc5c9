//! What becomes of a file that loses its name: it is followed to its last byte, then comes the
//! next one that bears the name, and everybody gets all of both, in order.

// The promise, to four kinds of clients at once.
mod history;
mod stage;

// Writes to the old file after there is a new one, and how long it is waited for.
mod late;

// What happened while the server did not look.
mod stopped;

// Many files and events at once.
mod crowds;

// Old files are closed as soon as nobody needs them, and before they cost too much.
mod letting_go;

use std::fs::{OpenOptions, rename};
use std::io::Write;

use crate::support::{Log, bare, fails, on_time};
use stage::play;

#[test]
fn a_renamed_file_is_followed_until_its_writer_has_closed_it() {
    play(&[], |stage| {
        stage.rename("log.1");
        stage.write("nothing bears the name\n");
        stage.newcomer("0");
        stage.read();
        stage.create("the next file\n");
        stage.newcomer("0");
        stage.write_late("written to the old file after that\n");
        stage.write("and more to the new one\n");
        stage.read();
        stage.close_old();
        stage.read();
        stage.expect_switches(&[stage.closed()]);
    });
}

#[test]
fn a_file_that_another_is_renamed_over_is_followed_until_its_writer_has_closed_it() {
    play(&[], |stage| {
        stage.create_over("the next file\n");
        stage.newcomer("0");
        stage.write_late("written to the old file after that\n");
        stage.read();
        stage.close_old();
        stage.read();
        stage.expect_switches(&[stage.closed()]);
    });
}

#[test]
fn an_unlinked_file_is_followed_until_its_writer_has_closed_it() {
    play(&[], |stage| {
        stage.unlink();
        stage.write("nothing bears the name\n");
        stage.newcomer("0");
        stage.read();
        stage.create("the next file\n");
        stage.newcomer("0");
        stage.write_late("written to the old file after that\n");
        stage.read();
        stage.close_old();
        stage.read();
        stage.expect_switches(&[stage.closed()]);
    });
}

/// The later one may be finished first.
#[test]
fn two_old_files_that_still_have_writers_are_followed_one_after_the_other() {
    play(&[], |stage| {
        stage.rename("log.1");
        stage.create("the second file\n");
        stage.rename("log.2");
        stage.newcomer("0");
        stage.create("the third file\n");
        stage.newcomer("0");
        stage.write_to(1, "written to the second\n");
        stage.write_to(0, "written to the first\n");
        stage.read();
        stage.close_file(1);
        stage.write_to(0, "and again to the first\n");
        stage.read();
        stage.close_file(0);
        stage.read();
    });
}

/// Nothing of it is inserted; who had all of it goes on.
#[test]
fn a_renamed_file_that_is_truncated_is_finished_where_it_was() {
    let log = Log::sparse(64 << 20, "last");
    let server = log.server();
    let mut lagging = server.ask("0\n");
    server.wait_for_request(&lagging);
    let mut caught_up = server.ask("-1\n");
    caught_up.expect(b"last\n");
    let mut writer = OpenOptions::new()
        .append(true)
        .open(&log.path)
        .expect("it is there");
    rename(&log.path, log.beside("log.1")).expect("it is ours");
    std::fs::write(&log.path, "the next file\n").expect("it is ours");
    server.wait_for_log("another file is now");
    writer.set_len(0).expect("it is open for writing");
    writer.write_all(b"not wanted\n").expect("there is room");
    caught_up.expect(b"the next file\n");
    let path = log.path.display();
    server.wait_for_log(&format!(
        "{path}: the old file is finished at {} bytes (truncated after it was renamed); ",
        64 << 20
    ));
    let received = lagging.read_to_end().len() as u64;
    assert_eq!(server.totals("missed"), (64 << 20) - received);
    assert_eq!(server.totals("cut"), 1);
    log.append("more\n");
    caught_up.expect(b"more\n");
}

/// With the lease right as soon as it does, without it 200 ms later, and never with the tick.
#[test]
fn the_next_file_comes_on_time_after_the_writer_has_closed_the_old_one() {
    play(&[], |stage| {
        on_time(6, |round| {
            stage.rename(&format!("log.{round}"));
            stage.create("the next file\n");
            stage.write_late("written to the old file after that\n");
            stage.close_old();
            stage.read();
        });
        stage.expect_switches(&[stage.closed(); 6]);
    });
}

#[test]
fn fifty_rotations_in_a_row_lose_nothing() {
    // The server comes too late to see some of the writers close their files: without the lease
    // right only their silence tells.
    play(&["--drain-grace", "2"], |stage| {
        for number in 1..=50 {
            stage.rename(&format!("log.{number}"));
            // Some files never get a byte.
            let text = format!("file {number}\n");
            stage.create(if number % 7 == 0 { "" } else { &text });
            stage.write_late("written to the old file after that\n");
            stage.close_old();
            if number % 10 == 5 {
                stage.newcomer("0");
            }
        }
        stage.read();
    });
}

#[test]
fn an_empty_file_between_two_others_holds_nobody_up() {
    play(&["--drain-grace", "1"], |stage| {
        stage.close();
        stage.rename("log.1");
        stage.create("");
        stage.newcomer("0");
        stage.close();
        stage.rename("log.2");
        stage.create("the next file\n");
        stage.read();
    });
}

#[test]
fn limits_that_are_none_are_usage_errors() {
    for (flag, values) in [
        ("--drain-grace", &["", "x", "-1", "1s", "1.5x", " 1"][..]),
        (
            "--max-held",
            &[
                "",
                "x",
                "-1",
                "1X",
                "K",
                "1KK",
                "1 K",
                "18446744073709551616",
            ],
        ),
    ] {
        for value in values {
            let line = fails(bare(&[&format!("{flag}={value}")], &["log".as_ref()]), 2);
            assert!(line.contains(flag), "{line}");
        }
    }
}
