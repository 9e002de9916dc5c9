//! How a list is made: once for all who ask, in slices, and not led astray.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::Signal;

use super::{ls, names, tree, write};
use crate::support::{
    Client, Late, Log, Pace, Server, Tracer, append, has_program, in_time, wait_until,
};

/// Those who ask while a list is made, and within a second of its end, get that one.
#[test]
fn one_walk_serves_all_who_ask() {
    if !has_program("strace") {
        return;
    }
    const CLIENTS: usize = 30;
    let directory = tree(&["log", "a/one"]);
    let server = Server::start(&[directory.path()]);
    let mut tracer = Tracer::attach(&server, &["-etrace=getdents64"]);
    // All of them in one turn.
    server.signal(Signal::SIGSTOP);
    wait_until("the server is stopped", || tracer.stops() > 0);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.ask("ls\n")).collect();
    server.signal(Signal::SIGCONT);
    let lists: Vec<Vec<u8>> = clients.iter_mut().map(Client::read_to_end).collect();
    let calls = tracer.detach_between_calls(&server);
    assert_eq!(names(&lists[0]), ["a/one", "log"]);
    assert!(lists.iter().all(|list| *list == lists[0]));
    // Of each directory: what is in it, and that there is no more.
    let reads = calls.iter().filter(|call| call.contains("getdents64("));
    assert_eq!(reads.count(), 4, "{calls:#?}");
}

/// However often somebody asks.
#[test]
fn a_list_is_made_at_most_once_a_second() {
    if !has_program("strace") {
        return;
    }
    let directory = tree(&["log"]);
    let server = Server::start(&[directory.path()]);
    let mut tracer = Tracer::attach(&server, &["-etrace=getdents64"]);
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_millis(2500) {
        assert_eq!(names(&ls(&server, "")), ["log"]);
        asked += 1;
    }
    let seconds = start.elapsed().as_secs() as usize;
    let calls = tracer.detach_between_calls(&server);
    let reads = calls.iter().filter(|call| call.contains("getdents64("));
    let walks = reads.count() / 2;
    assert!((2..=seconds + 1).contains(&walks), "{walks} walks");
    assert!(asked > 10 * walks, "only {asked} lists");
    // What is new is in the next one.
    write(&directory.path().join("new"));
    wait_until("it is in the list", || names(&ls(&server, "")).len() == 2);
}

/// Many lists at a time, each one another walk over the same ten thousand files.
#[test]
fn a_follower_is_on_time_beside_walks_over_ten_thousand_files() {
    in_time(beside_walks);
}

fn beside_walks() -> Result<(), Late> {
    const FILES: usize = 9_990;
    const ROUNDS: usize = 150;
    const LISTS: usize = 8;
    let log = Log::new("");
    let many = log.beside("many");
    fs::create_dir(&many).expect("the directory is ours");
    for number in 0..FILES {
        File::create(many.join(format!("log.{number}"))).expect("there is room");
    }
    let other_names = (0..100).map(|number| format!("many{number}"));
    let other_names: Vec<String> = other_names.collect();
    for name in &other_names {
        symlink("many", log.beside(name)).expect("the directory is ours");
    }
    let server = Server::start(&[log.directory.path()]);
    let mut followers: Vec<Client> = (0..5).map(|_| server.ask("-0 log\n")).collect();
    followers
        .iter()
        .for_each(|client| server.wait_for_request(client));
    let (is_over, walks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask_for_lists = || {
        for dirs in other_names.chunks(LISTS).cycle() {
            let asked = dirs.iter().map(|dir| server.ask(format!("ls {dir}\n")));
            let lists: Vec<Client> = asked.collect();
            for mut list in lists {
                let list = list.read_to_end();
                let lines = list.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(lines, FILES, "{}", String::from_utf8_lossy(&list[..80]));
                walks.fetch_add(1, Relaxed);
            }
            if is_over.load(Relaxed) {
                return;
            }
        }
    };
    let mut pace = Pace::new();
    std::thread::scope(|scope| {
        let asking = scope.spawn(ask_for_lists);
        let _over = Over(&is_over);
        while !asking.is_finished() && (pace.rounds() < ROUNDS || walks.load(Relaxed) < LISTS) {
            pace.append(&log.path, &mut followers);
            std::thread::sleep(Duration::from_millis(4));
        }
    });
    let walks = walks.into_inner();
    eprintln!("{walks} walks beside it");
    pace.check(Duration::from_millis(20), Duration::from_millis(100))
}

/// The kernel's view of the same: between two looks for news there is a slice of a walk, and never
/// the whole.
#[test]
fn a_turn_is_at_most_a_slice_of_a_walk() {
    if !has_program("strace") {
        return;
    }
    let directory = tree(&[]);
    for number in 0..3_000 {
        let path = directory.path().join(format!("log.{number}"));
        File::create(path).expect("there is room");
    }
    let server = Server::start(&[directory.path()]);
    let calls = "-etrace=epoll_wait,statx,newfstatat,faccessat,faccessat2,access";
    let mut tracer = Tracer::attach(&server, &[calls]);
    assert_eq!(names(&ls(&server, "")).len(), 3_000);
    let calls = tracer.detach_between_calls(&server);
    let turns = calls.split(|call| call.contains(" epoll_wait("));
    let looks = turns.map(|turn| {
        let looks = turn.iter().filter(|call| call.contains("\"log."));
        looks.count()
    });
    let most = looks.max().expect("there was a turn");
    assert!((1..=128).contains(&most), "{most} files in a turn");
}

/// A directory becomes a link to another one again and again, while lists are made.
#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let directory = tree(&["a/b/inside", "z"]);
    let outside = tree(&["secret", "b/secret"]);
    let path = |name: &str| directory.path().join(name);
    symlink(outside.path(), path("away")).expect("the directory is ours");
    let up = format!("{}{}", "../".repeat(30), outside.path().display());
    symlink(up, path("up")).expect("the directory is ours");
    // A list of the whole is made only once a second: by these names it can be had more often.
    for number in 0..300 {
        symlink(".", path(&format!("self{number}"))).expect("the directory is ours");
    }
    let server = Server::start(&[directory.path()]);
    let is_over = AtomicBool::new(false);
    let (mut with, mut without) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                for link in ["away", "up"] {
                    exchange(&path("a"), &path(link));
                    exchange(&path("a"), &path(link));
                }
            }
        });
        let _over = Over(&is_over);
        for number in 0..300 {
            let list = ls(&server, &format!("self{number}"));
            for name in names(&list) {
                assert!(!name.contains("secret"), "{name}");
            }
            match String::from_utf8_lossy(&list).contains("a/b/inside\n") {
                true => with += 1,
                false => without += 1,
            }
        }
    });
    eprintln!("{with} lists with it, {without} without");
    assert!(with > 0, "it was never seen");
}

/// Ends a thread's loop, also when the test fails: it would be waited for.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn exchange(one: &Path, other: &Path) {
    let exchanged = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
    exchanged.expect("the directory is ours");
}

/// Clients that go while their list is made are missed by nobody.
#[test]
fn clients_that_leave_meanwhile_do_no_harm() {
    let log = Log::new("one\n");
    let many = log.beside("many");
    fs::create_dir(&many).expect("the directory is ours");
    for number in 0..5_000 {
        File::create(many.join(format!("{number}"))).expect("there is room");
    }
    let server = Server::start(&[log.directory.path()]);
    let mut follower = server.reader("0 log\n", "one\n");
    for round in 0..20 {
        server.while_stopped(|| {
            for _ in 0..5 {
                server.ask("ls\n").reset();
                drop(server.ask("ls many\n"));
            }
        });
        let line = format!("round {round}\n");
        append(&log.path, line.as_bytes());
        follower.expect(line.as_bytes());
    }
    assert_eq!(names(&ls(&server, "")).len(), 5_001);
    wait_until("they have left", || server.totals("clients") == 1);
    follower.expect_nothing();
}

/// Nothing is left open or in memory, and a quiet server sleeps.
#[test]
fn a_list_leaves_nothing_behind() {
    let directory = tree(&["log", "a/b/c/one"]);
    let server = Server::start(&[directory.path()]);
    let before = server.descriptors();
    for dir in ["", "a", "a/b", "nothing", "a/b/c/one"] {
        ls(&server, dir);
    }
    wait_until("all is closed", || server.descriptors() == before);
    let turns = server.totals("turns");
    // That nothing happens is no event, and takes time to be seen.
    std::thread::sleep(Duration::from_millis(300));
    let turns = server.totals("turns") - turns;
    assert!(turns < 20, "{turns} turns of a quiet server");
}
