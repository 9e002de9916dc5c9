//! What happened while the server did not look: as long as a file exists under any name in its
//! directory, it is found.

use std::fs::{remove_file, rename};
use std::os::unix::fs::symlink;

use super::stage::{Stage, play};
use crate::support::{Log, Server, can_run, wait_until, wrapped};

/// Five rotations, each with the others' names moved on, so that the number of kept files is
/// limited.
#[test]
fn two_and_ten_rotations_at_once_lose_nothing() {
    for rotations in [2, 10] {
        for rotate in [with_a_date, by_number] {
            play(&["--drain-grace", "1"], |stage| {
                stage.while_stopped(|stage| {
                    for number in 1..=rotations {
                        rotate(stage, number);
                        stage.create(&format!("file {number}\n"));
                        stage.write_late("written to the old file after that\n");
                        stage.close_old();
                    }
                    stage.connect("0");
                });
                stage.read();
                stage.write("more\n");
                stage.read();
            });
        }
    }
}

/// `dateext`: each file is renamed once.
fn with_a_date(stage: &mut Stage, number: usize) {
    stage.rename(&format!("log-202401{number:02}"));
}

/// Each is renamed at each rotation, and the youngest is always `log.1`.
fn by_number(stage: &mut Stage, number: usize) {
    shift(stage, number);
}

/// The oldest is overwritten when there would be more than `kept`.
fn shift(stage: &Stage, kept: usize) {
    for number in (1..kept).rev() {
        let (from, to) = (format!("log.{number}"), format!("log.{}", number + 1));
        // In the first rounds there are not so many.
        let _ = rename(stage.log.beside(&from), stage.log.beside(&to));
    }
    stage.rename("log.1");
}

#[test]
fn files_that_were_deleted_unseen_are_gaps_and_end_the_streams_before_them() {
    play(&["--drain-grace", "1"], |stage| {
        stage.newcomer("-0");
        stage.while_stopped(|stage| {
            rotate_five_times(stage, with_a_date);
            for number in [2, 3] {
                // The file before it is found.
                remove_file(stage.log.beside(&format!("log-2024010{}", number + 1)))
                    .expect("it is there");
                stage.miss(number);
            }
            stage.connect("0");
        });
        expect_gaps(stage, 2);
    });
}

#[test]
fn files_that_were_renamed_over_unseen_are_gaps_too() {
    play(&["--drain-grace", "1"], |stage| {
        stage.newcomer("-0");
        stage.while_stopped(|stage| {
            rotate_five_times(stage, |stage, _| shift(stage, 2));
            // The first is open, the fourth is `log.2`.
            for number in [1, 2] {
                stage.miss(number);
            }
            stage.connect("0");
        });
        expect_gaps(stage, 2);
    });
}

fn rotate_five_times(stage: &mut Stage, rotate: fn(&mut Stage, usize)) {
    stage.close();
    for number in 1..=5 {
        rotate(stage, number);
        stage.create(&format!("file {number}\n"));
        stage.close();
    }
}

fn expect_gaps(stage: &mut Stage, gaps: u64) {
    // The stuck and the lagging come to the end in their own time; the others are there.
    stage.read();
    assert_eq!(stage.server.totals("gaps"), gaps);
    let path = stage.log.path.display();
    stage.server.wait_for_log(&format!(
        "sendtail: warning: {path}: a file that bore this name was deleted before it could be \
         opened"
    ));
    stage.server.wait_for_log(&format!(
        " closed: a file that was {path} is missing, it was deleted before it could be opened"
    ));
}

/// Then one look may find another file than the last, and what lay between is not known.
#[test]
fn where_no_event_explains_the_next_file_the_switch_is_said_to_be_unverified() {
    let log = Log::new("content\n");
    let Some(server) = Server::without_watches(&[&log.path]) else {
        return;
    };
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    rename(&log.path, log.beside("log.1")).expect("it is ours");
    std::fs::write(&log.path, "the next file\n").expect("it is ours");
    client.expect(b"the next file\n");
    let path = log.path.display();
    server.wait_for_log(&format!(
        "sendtail: warning: {path}: continuity not verified: its file changed and no event said so"
    ));
    assert_eq!(server.totals("unverified"), 1);
}

/// Where an open file really lies is no question for the kernel once it may have been renamed:
/// strace makes that likely.
#[test]
fn a_linked_file_that_is_renamed_while_it_is_opened_is_followed() {
    let delay = "inject=readlink,readlinkat:delay_enter=300000";
    let trace = "-etrace=readlink,readlinkat";
    let wrapper = ["strace", "-D", "-qq", "-o/dev/null", trace, "-e", delay];
    if !can_run(&[&wrapper[..], &["true"]].concat()) {
        return;
    }
    let log = Log::new("content\n");
    let served = tempfile::tempdir().expect("there is room for tests");
    let link = served.path().join("link");
    symlink(&log.path, &link).expect("it is ours");
    let program = Server::program(&[], &[&link]);
    let server = Server::command(wrapped(&wrapper, &program));
    let mut client = server.ask("0\n");
    wait_until("the file is open", || server.has_open(&log.path));
    rename(&log.path, log.beside("log.1")).expect("it is ours");
    client.expect(b"content\n");
    for content in ["the next file\n", "another\n"] {
        std::fs::write(&log.path, content).expect("it is ours");
        client.expect(content.as_bytes());
        rename(&log.path, log.beside("log.2")).expect("it is ours");
    }
    assert_eq!((server.totals("gaps"), server.totals("unverified")), (0, 0));
}
