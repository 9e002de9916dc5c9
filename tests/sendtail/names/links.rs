//! A link is followed to where it leads now, and the file there to where it goes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::served;
use crate::support::{Audience, BACKLOG, Log, Server, append, on_each_file_system, on_time};

/// As `ln -sfn` does it: at no moment there is no link.
fn switch(target: impl AsRef<Path>, link: &Path) {
    let beside = link.with_file_name("next");
    symlink(target, &beside).expect("the directory is ours");
    fs::rename(beside, link).expect("it is ours");
}

#[test]
fn a_link_that_is_switched_leads_on_after_the_last_byte_of_the_old_file() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            // In the link's own directory, and in others.
            let targets = ["one", "sub/two", "sub/deep/three"];
            fs::create_dir_all(log.beside("sub/deep")).expect("the directory is ours");
            fs::write(log.beside(targets[0]), &*BACKLOG).expect("there is room");
            for target in &targets[1..] {
                fs::write(log.beside(target), "content\n").expect("it is ours");
            }
            switch(targets[0], &log.path);
            let server = served(&log, below_directory);
            let mut audience = Audience::gather(&server, " log");
            on_time(8, |round| {
                let [old, new] = [round, round + 1].map(|round| targets[round as usize % 3]);
                let writer = fs::OpenOptions::new().append(true).open(log.beside(old));
                switch(new, &log.path);
                append(&log.beside(old), b"late\n");
                audience.expect("late\n");
                drop(writer);
                // From the third switch on, it is a file that comes back.
                if round < 2 {
                    audience.expect("content\n");
                    audience.join(server.reader("0 log\n", "content\n"));
                }
                append(&log.beside(new), b"more\n");
                audience.expect("more\n");
            });
            assert_eq!(server.totals("unverified"), 0);
            audience.finish(&server);
        }
    });
}

/// It is made in a directory that nobody watches.
#[test]
fn a_link_to_a_file_that_is_still_to_come_is_followed_when_that_comes() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            fs::create_dir(log.beside("sub")).expect("the directory is ours");
            fs::write(log.beside("one"), "one\n").expect("the directory is ours");
            symlink("one", &log.path).expect("the directory is ours");
            let server = served(&log, below_directory);
            let mut client = server.reader("0 log\n", "one\n");
            switch("sub/two", &log.path);
            server.look();
            append(&log.beside("one"), b"late\n");
            client.expect(b"late\n");
            fs::write(log.beside("sub/two"), "two\n").expect("it is ours");
            client.expect(b"two\n");
            append(&log.beside("sub/two"), b"more\n");
            client.expect(b"more\n");
            assert_eq!((server.totals("cut"), server.totals("gaps")), (0, 0));
        }
    });
}

/// Kubernetes: `log` leads to `..data/log`, and `..data` to a directory that is made anew at each
/// change. Nothing of that is an event on the link or on the file.
#[test]
fn a_directory_link_that_is_switched_leads_on_and_says_that_it_is_not_verified() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            let data = log.beside("..data");
            let make = |version: &str, content: &[u8]| {
                fs::create_dir(log.beside(version)).expect("the directory is ours");
                fs::write(log.beside(version).join("log"), content).expect("there is room");
                switch(version, &data);
            };
            make("..one", &BACKLOG);
            symlink("..data/log", &log.path).expect("the directory is ours");
            let server = served(&log, below_directory);
            let mut audience = Audience::gather(&server, " log");
            let writer = fs::OpenOptions::new()
                .append(true)
                .open(log.beside("..one/log"));
            make("..two", b"two\n");
            append(&log.beside("..one/log"), b"late\n");
            audience.expect("late\n");
            drop(writer);
            audience.expect("two\n");
            server.wait_for_log(&format!(
                "{}: continuity not verified: its file changed and no event \
                 said so",
                log.path.display()
            ));
            assert_eq!(server.totals("unverified"), 1);
            audience.join(server.reader("-1 log\n", "two\n"));
            append(&log.beside("..data/log"), b"more\n");
            audience.expect("more\n");
            // The old one is removed as soon as nothing leads there, which those who are behind
            // need not know.
            make("..three", b"three\n");
            fs::remove_dir_all(log.beside("..two")).expect("it is there");
            audience.expect("three\n");
            append(&log.beside("..data/log"), b"more\n");
            audience.expect("more\n");
            audience.finish(&server);
        }
    });
}

/// Kubernetes again: `/var/log/containers/x.log` leads to `/var/log/pods/x/0.log`, and kubelet
/// rotates that. Docker has one link more.
#[test]
fn a_file_that_rotates_behind_a_link_is_followed_there() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            for links in [1, 2] {
                let log = Log::absent_in(parent);
                let real = behind(&log, links);
                fs::write(&real, &*BACKLOG).expect("there is room");
                let server = served(&log, below_directory);
                let mut audience = Audience::gather(&server, " log");
                on_time(5, |round| {
                    let old = real.with_extension(round.to_string());
                    fs::rename(&real, &old).expect("it is ours");
                    append(&old, b"nothing there\n");
                    audience.expect("nothing there\n");
                    let writer = fs::OpenOptions::new().append(true).open(&old);
                    fs::write(&real, "new\n").expect("it is ours");
                    append(&old, b"late\n");
                    audience.expect("late\n");
                    drop(writer);
                    audience.expect("new\n");
                    audience.join(server.reader("-1 log\n", "new\n"));
                });
                rotate_unseen(&server, &mut audience, &real);
                // The container starts again.
                fs::write(real.with_file_name("1.log"), "started\n").expect("it is ours");
                switch(link_to("1.log", links), &last_link(&log, links));
                audience.expect("started\n");
                append(&log.path, b"more\n");
                audience.expect("more\n");
                audience.finish(&server);
            }
        }
    });
}

/// Three rotations in one look, each of which moves the older files on; the last file is behind a
/// hole of no file at all.
fn rotate_unseen(server: &Server, audience: &mut Audience, real: &Path) {
    server.while_stopped(|| {
        for number in 1..=3 {
            append(real, b"last\n");
            for kept in (1..number).rev() {
                let from = real.with_extension(format!("{kept}.old"));
                let to = real.with_extension(format!("{}.old", kept + 1));
                fs::rename(from, to).expect("it is there");
            }
            fs::rename(real, real.with_extension("1.old")).expect("it is ours");
            fs::write(real, format!("file {number}\n")).expect("it is ours");
        }
    });
    audience.expect("last\nfile 1\nlast\nfile 2\nlast\nfile 3\n");
    append(real, b"more\n");
    audience.expect("more\n");
    assert_eq!(server.totals("unverified"), 0);
}

/// The real file behind `log`.
fn behind(log: &Log, links: usize) -> std::path::PathBuf {
    fs::create_dir_all(log.beside("pods/x")).expect("the directory is ours");
    fs::create_dir_all(log.beside("docker")).expect("the directory is ours");
    symlink("pods/x/0.log", &log.path).expect("the directory is ours");
    if links == 1 {
        return log.beside("pods/x/0.log");
    }
    symlink("../../docker/0.log", log.beside("pods/x/0.log")).expect("it is ours");
    log.beside("docker/0.log")
}

fn last_link(log: &Log, links: usize) -> std::path::PathBuf {
    if links == 1 {
        log.path.clone()
    } else {
        log.beside("pods/x/0.log")
    }
}

fn link_to(name: &str, links: usize) -> String {
    if links == 1 {
        format!("pods/x/{name}")
    } else {
        format!("../../docker/{name}")
    }
}
