//! A directory that goes takes the name with it, and sometimes the file; one that comes in its
//! place brings the next. No event says that it has come.

use std::fs;

use super::served;
use crate::support::{Audience, BACKLOG, Client, Log, append, on_each_file_system};

/// The file in it is deleted, or moves with its directory and is written to there.
#[test]
fn a_directory_that_is_made_anew_brings_the_next_file() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            for is_renamed in [false, true] {
                let log = Log::absent_in(parent);
                let (nested, moved) = (log.beside("nested"), log.beside("moved"));
                let inner = Log {
                    path: nested.join("log"),
                    ..log
                };
                fs::create_dir(&nested).expect("it is ours");
                fs::write(&inner.path, &*BACKLOG).expect("there is room");
                let server = served(&inner, below_directory);
                let path = if below_directory {
                    " nested/log"
                } else {
                    " log"
                };
                let mut audience = Audience::gather(&server, path);
                if is_renamed {
                    fs::rename(&nested, &moved).expect("it is ours");
                    server.look();
                    append(&moved.join("log"), b"late\n");
                    audience.expect("late\n");
                } else {
                    fs::remove_dir_all(&nested).expect("it is ours");
                }
                server.look();
                audience.readers.iter_mut().for_each(Client::expect_nothing);
                fs::create_dir(&nested).expect("it is ours");
                fs::write(&inner.path, "new\n").expect("it is ours");
                audience.expect("new\n");
                audience.join(server.reader(&format!("0{path}\n"), "new\n"));
                // There it rotates as it did before.
                fs::rename(&inner.path, nested.join("log.1")).expect("it is ours");
                fs::write(&inner.path, "newer\n").expect("it is ours");
                append(&inner.path, b"more\n");
                audience.expect("newer\nmore\n");
                audience.finish(&server);
            }
        }
    });
}

/// Its rotations are in the old directory's events, and a new one is there when they are read.
#[test]
fn a_directory_that_is_switched_for_another_while_nobody_looks_loses_nothing_that_was_open() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        let (nested, moved) = (log.beside("nested"), log.beside("moved"));
        let inner = Log {
            path: nested.join("log"),
            ..log
        };
        fs::create_dir(&nested).expect("it is ours");
        fs::write(&inner.path, &*BACKLOG).expect("there is room");
        let server = served(&inner, false);
        let mut audience = Audience::gather(&server, "");
        server.while_stopped(|| {
            append(&inner.path, b"more\n");
            fs::rename(&nested, &moved).expect("it is ours");
            fs::create_dir(&nested).expect("it is ours");
            fs::write(&inner.path, "new\n").expect("it is ours");
            append(&moved.join("log"), b"late\n");
        });
        audience.expect("more\nlate\nnew\n");
        append(&inner.path, b"more\n");
        audience.expect("more\n");
        audience.finish(&server);
    });
}
