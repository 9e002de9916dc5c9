//! A file that bears the name once more goes on where it ended then: no byte of it comes twice. If
//! it was truncated meanwhile, it is a new one.

use std::fs;
use std::io::Write;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::served;
use crate::support::{
    Audience, BACKLOG, Log, Server, append, on_each_file_system, on_time, wait_until,
};

fn exchange(one: &Path, other: &Path) {
    let flags = RenameFlags::RENAME_EXCHANGE;
    renameat2(AT_FDCWD, one, AT_FDCWD, other, flags).expect("the file system can");
}

#[test]
fn a_file_that_is_renamed_and_renamed_back_goes_on() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            fs::write(&log.path, &*BACKLOG).expect("there is room");
            let server = served(&log, below_directory);
            let mut audience = Audience::gather(&server, " log");
            let renamed = log.beside("log.1");
            on_time(30, |round| {
                // As it happens; as two looks show it; as one look shows it.
                let look = || {
                    if round % 3 == 1 {
                        server.look()
                    }
                };
                let rename = || {
                    fs::rename(&log.path, &renamed).expect("it is ours");
                    append(&renamed, b"away\n");
                    look();
                    fs::rename(&renamed, &log.path).expect("it is ours");
                };
                if round % 3 == 2 {
                    server.while_stopped(rename)
                } else {
                    rename()
                }
                look();
                audience.expect("away\n");
                log.append("back\n");
                audience.expect("back\n");
            });
            audience.join(server.reader("-1 log\n", "back\n"));
            assert_eq!(server.totals("segments"), 1, "there is one file");
            audience.finish(&server);
        }
    });
}

#[test]
fn a_file_that_comes_back_after_another_goes_on_where_it_ended() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        let (first, second) = (log.beside("first"), log.beside("second"));
        on_time(8, |round| {
            fs::rename(&log.path, &first).expect("it is ours");
            let second_is_new = round == 0;
            if second_is_new {
                fs::write(&log.path, "second\n").expect("it is ours");
                audience.expect("second\n");
            } else {
                fs::rename(&second, &log.path).expect("it is ours");
            }
            log.append("more of the second\n");
            audience.expect("more of the second\n");
            // The first is written to although it does not bear the name: that comes with it.
            append(&first, b"meanwhile\n");
            fs::rename(&log.path, &second).expect("it is ours");
            fs::rename(&first, &log.path).expect("it is ours");
            audience.expect("meanwhile\n");
            log.append("more of the first\n");
            audience.expect("more of the first\n");
        });
        audience.finish(&server);
    });
}

/// Nobody who is still in it takes what it gets from then on for the rest of it.
#[test]
fn a_file_that_was_left_with_its_writer_and_comes_back_goes_on() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = Server::with(&["--drain-grace", "0"], &[&log.path]);
        let mut audience = Audience::gather(&server, "");
        let writer = fs::OpenOptions::new().append(true).open(&log.path);
        let mut writer = writer.expect("it is ours");
        fs::rename(&log.path, log.beside("first")).expect("it is ours");
        fs::write(&log.path, "second\n").expect("it is ours");
        audience.expect("second\n");
        server.wait_for_log("(silent for 0 s)");
        fs::rename(&log.path, log.beside("second")).expect("it is ours");
        fs::rename(log.beside("first"), &log.path).expect("it is ours");
        server.look();
        writer
            .write_all(b"more of the first\n")
            .expect("there is room");
        audience.expect("more of the first\n");
        audience.finish(&server);
    });
}

/// Its four events read like no change.
#[test]
fn two_files_that_are_exchanged_again_and_again_go_on_each_where_it_ended() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            let other = log.beside("other");
            fs::write(&log.path, &*BACKLOG).expect("there is room");
            fs::write(&other, "the other\n").expect("it is ours");
            let server = served(&log, below_directory);
            let mut audience = Audience::gather(&server, " log");
            on_time(20, |round| {
                let swap = || exchange(&log.path, &other);
                if round % 2 == 0 {
                    swap()
                } else {
                    server.while_stopped(swap)
                }
                if round == 0 {
                    audience.expect("the other\n");
                }
                log.append("more\n");
                audience.expect("more\n");
            });
            // Twice in one look is no change.
            server.while_stopped(|| {
                exchange(&log.path, &other);
                exchange(&log.path, &other);
            });
            log.append("the end\n");
            audience.expect("the end\n");
            audience.finish(&server);
        }
    });
}

/// The events of an exchange say first what becomes of the file that is named first.
#[test]
fn a_file_that_was_exchanged_for_another_and_then_renamed_is_found() {
    on_each_file_system(|parent| {
        for is_first in [true, false] {
            let log = Log::absent_in(parent);
            let (other, gone) = (log.beside("other"), log.beside("gone"));
            fs::write(&log.path, "old\n").expect("the directory is ours");
            fs::write(&other, "new\n").expect("the directory is ours");
            let server = log.server();
            let mut client = server.reader("0\n", "old\n");
            server.while_stopped(|| {
                match is_first {
                    true => exchange(&log.path, &other),
                    false => exchange(&other, &log.path),
                }
                fs::rename(&log.path, &gone).expect("it is ours");
            });
            client.expect(b"new\n");
            append(&gone, b"late\n");
            client.expect(b"late\n");
            fs::write(&log.path, "newer\n").expect("it is ours");
            client.expect(b"newer\n");
            assert_eq!((server.totals("gaps"), server.totals("segments")), (0, 1));
        }
    });
}

#[test]
fn a_file_that_comes_back_truncated_begins_at_its_start() {
    on_each_file_system(|parent| {
        // Shorter, as long as it was, longer.
        for text in [
            "new\n",
            "as long as before\n",
            "longer than it was before\n",
        ] {
            for is_seen in [true, false] {
                let log = Log::absent_in(parent);
                let renamed = log.beside("log.1");
                fs::write(&log.path, "what it was before").expect("the directory is ours");
                let server = log.server();
                let mut client = server.reader("0\n", "what it was before");
                let away = || fs::rename(&log.path, &renamed).expect("it is ours");
                let back = || {
                    fs::write(&renamed, text).expect("it is ours");
                    fs::rename(&renamed, &log.path).expect("it is ours");
                };
                if is_seen {
                    away();
                    server.look();
                    server.while_stopped(back);
                } else {
                    server.while_stopped(|| {
                        away();
                        back();
                    });
                }
                client.expect(text.as_bytes());
                log.append("more\n");
                client.expect(b"more\n");
                assert_eq!(server.totals("cut"), 0);
            }
        }
    });
}

/// The same when it had been closed: only its end is remembered.
#[test]
fn a_file_that_comes_back_truncated_after_another_begins_at_its_start() {
    on_each_file_system(|parent| {
        for text in [
            "new\n",
            "as long as before\n",
            "longer than it was before\n",
        ] {
            let log = Log::absent_in(parent);
            let other = log.beside("other");
            fs::write(&log.path, "what it was before").expect("the directory is ours");
            fs::write(&other, "the other\n").expect("the directory is ours");
            let server = log.server();
            let mut client = server.reader("0\n", "what it was before");
            exchange(&log.path, &other);
            client.expect(b"the other\n");
            // It is on its own, and closed.
            wait_for_one_segment(&server);
            fs::write(&other, text).expect("it is ours");
            exchange(&log.path, &other);
            client.expect(text.as_bytes());
            exchange(&log.path, &other);
            log.append("more of the other\n");
            client.expect(b"more of the other\n");
            exchange(&log.path, &other);
            log.append("more\n");
            client.expect(b"more\n");
            server.look();
            client.expect_nothing();
        }
    });
}

fn wait_for_one_segment(server: &Server) {
    wait_until("the old file is closed", || server.totals("segments") == 1);
}

/// They are closed by then: only their ends are remembered.
#[test]
fn the_last_of_many_files_are_remembered() {
    let log = Log::new("file 0\n");
    let server = log.server();
    let mut client = server.reader("0\n", "file 0\n");
    let old = |number: u32| log.beside(&format!("log.{number}"));
    for number in 1..=70 {
        fs::rename(&log.path, old(number - 1)).expect("it is ours");
        fs::write(&log.path, format!("file {number}\n")).expect("it is ours");
        client.expect(format!("file {number}\n").as_bytes());
    }
    // The last 64 are, and that one bears the name now.
    for number in [69, 68, 60, 10] {
        fs::rename(&log.path, log.beside("last")).expect("it is ours");
        fs::rename(old(number), &log.path).expect("it is there");
        log.append(format!("more of {number}\n"));
        client.expect(format!("more of {number}\n").as_bytes());
    }
    server.look();
    client.expect_nothing();
    assert_eq!(server.totals("segments"), 1);
}
