//! A file that is truncated after it has lost its name is finished where it was: what is written to
//! it then has never borne the name. One that was truncated before it lost it goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::empty;
use crate::support::{Audience, BACKLOG, Log, Server, append, on_each_file_system};

/// Nothing but the truncation lets anybody leave a file: a writer has it open, and the grace never
/// ends.
fn server(log: &Log) -> (Server, File) {
    let server = Server::with(&["--drain-grace", "1000"], &[&log.path]);
    let writer = OpenOptions::new().append(true).open(&log.path);
    (server, writer.expect("it is ours"))
}

#[test]
fn a_renamed_file_that_is_truncated_is_finished_where_it_was() {
    on_each_file_system(|parent| {
        // A later write may be longer than all that was there.
        for later in ["", "never seen\n", &"never seen\n".repeat(10)] {
            let log = Log::absent_in(parent);
            fs::write(&log.path, "old\n").expect("the directory is ours");
            let (server, mut writer) = server(&log);
            let mut client = server.reader("0\n", "old\n");
            fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
            fs::write(&log.path, "new\n").expect("the directory is ours");
            server.ask("0\n").expect(b"new\n");
            writer.write_all(b"late\n").expect("there is room");
            client.expect(b"late\n");
            server.look();
            client.expect_nothing();
            server.while_stopped(|| {
                empty(&log.beside("log.1"));
                writer.write_all(later.as_bytes()).expect("there is room");
            });
            client.expect(b"new\n");
            server.wait_for_log(&format!(
                "{}: the old file is finished at 9 bytes (truncated after it was renamed); \
                 1 clients go on with the next",
                log.path.display()
            ));
            writer.write_all(b"nor is this\n").expect("there is room");
            server.look();
            client.expect_nothing();
            log.append("more\n");
            client.expect(b"more\n");
            assert_eq!(server.totals("cut"), 0);
        }
    });
}

#[test]
fn without_a_next_file_those_who_have_everything_wait_for_one() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "old\n").expect("the directory is ours");
        let (server, mut writer) = server(&log);
        let mut client = server.reader("0\n", "old\n");
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        server.look();
        empty(&log.beside("log.1"));
        server.look();
        writer.write_all(b"never seen\n").expect("there is room");
        server.look();
        client.expect_nothing();
        fs::write(&log.path, "new\n").expect("the directory is ours");
        client.expect(b"new\n");
    });
}

#[test]
fn those_who_are_behind_in_a_renamed_file_lose_what_a_truncation_takes() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let (server, mut writer) = server(&log);
        let mut audience = Audience::gather(&server, "");
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        fs::write(&log.path, "new\n").expect("the directory is ours");
        let mut newcomer = server.ask("0\n");
        newcomer.expect(b"new\n");
        empty(&log.beside("log.1"));
        audience.expect("new\n");
        writer.write_all(b"never seen\n").expect("there is room");
        let received: usize = audience
            .expect_cut()
            .map(|(_, received)| received)
            .iter()
            .sum();
        let missed = (2 * BACKLOG.len() - received) as u64;
        assert_eq!((server.totals("cut"), server.totals("missed")), (2, missed));
        assert_eq!((server.totals("segments"), server.totals("held")), (1, 0));
    });
}

/// They get all of the file before it first.
#[test]
fn those_who_are_still_in_an_older_file_are_closed_where_bytes_are_missing() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        append_new(&log.path, b"new\n");
        audience.expect("new\n");
        server.totals("clients");
        fs::write(&log.path, "2\n").expect("it is ours");
        audience.expect("2\n");
        let ends = audience.expect_cut().map(|(_, received)| received);
        assert_eq!(ends, [BACKLOG.len(); 2]);
        // "new\n", twice.
        assert_eq!((server.totals("cut"), server.totals("missed")), (2, 8));
    });
}

/// The server sees all of it in one look. The file had its name when it was written to.
#[test]
fn what_was_written_between_a_truncation_and_a_rename_arrives() {
    on_each_file_system(|parent| {
        // Before its old end, up to it, and beyond it.
        for text in ["", "2\n", "two\n", "the second\n"] {
            let log = Log::absent_in(parent);
            fs::write(&log.path, "one\n").expect("the directory is ours");
            let server = log.server();
            let mut client = server.reader("0\n", "one\n");
            server.while_stopped(|| {
                fs::write(&log.path, text).expect("it is ours");
                fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
                append_new(&log.path, b"three\n");
            });
            client.expect(format!("{text}three\n").as_bytes());
            assert_eq!(server.totals("cut"), 0);
        }
    });
}

fn append_new(path: &Path, bytes: &[u8]) {
    fs::write(path, "").expect("the directory is ours");
    append(path, bytes);
}
