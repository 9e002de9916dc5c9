//! What happens between two of the server's system calls is seen. Such a moment is not hoped for:
//! `strace` stops the server right behind a call, and only when the file has changed it goes on.
//! Every call that the server makes at a client's arrival, at an append and at a rotation has its
//! turn, with everything that can happen to a file.

use std::fs::{self, File};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::history::Followed;
use crate::support::{Log, Server, Tracer, has_program, wait_until};

/// What makes the server look at the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    /// A signal says so; nothing has happened.
    Order,
    Arrival,
    Append,
    Rotation,
    /// The file in between is found by its new name.
    TwoRotations,
    /// One, and the old file's writer goes on until the moment of the race.
    RotationBeforeWriter,
}

/// What happens while it does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Append,
    Rotation,
    TwoRotations,
    Replacement,
    Removal,
    Truncation,
    /// And new lines, and then another file.
    TruncationAndReplacement,
}

use Change::*;

const CHANGES: [Change; 7] = [
    Append,
    Rotation,
    TwoRotations,
    Replacement,
    Removal,
    Truncation,
    TruncationAndReplacement,
];

/// The calls that look at files, and the one that sends.
const CALLS: &str =
    "trace=openat,statx,%fstat,readlink,fcntl,inotify_add_watch,read,pread64,preadv2,sendfile";

#[test]
fn what_happens_while_the_server_looks_is_seen() {
    everywhere(Cause::Order);
}

#[test]
fn what_happens_while_a_client_arrives_is_seen() {
    everywhere(Cause::Arrival);
}

#[test]
fn what_happens_while_an_append_is_sent_is_seen() {
    everywhere(Cause::Append);
}

#[test]
fn what_happens_while_a_rotation_is_looked_at_is_seen() {
    everywhere(Cause::Rotation);
}

#[test]
fn what_happens_while_two_rotations_are_looked_at_is_seen() {
    everywhere(Cause::TwoRotations);
}

#[test]
fn what_happens_while_the_last_writer_is_waited_for_is_seen() {
    everywhere(Cause::RotationBeforeWriter);
}

/// Where a file went that is not where it should be is awaited for a moment only. If the server
/// stands still meanwhile, the event has come all the same.
#[test]
fn an_event_that_came_while_the_server_stood_still_counts() {
    if !has_program("strace") {
        return;
    }
    let (server, mut log, _directory) = begin(Cause::Order);
    let stop = "inject=read:signal=SIGSTOP:when=1";
    let mut tracer = Tracer::attach(&server, &["-e", CALLS, "-e", stop]);
    server.signal(Signal::SIGSTOP);
    wait_until("the server stops", || tracer.stops() == 1);
    let away = log.path.with_extension("away");
    log.rename();
    log.create(2);
    fs::rename(&log.path, &away).expect("it is ours");
    server.signal(Signal::SIGCONT);
    wait_until("the server has read that", || tracer.stops() == 2);
    fs::rename(&away, &log.path).expect("it is ours");
    // Longer than the second half of a rename is waited for.
    std::thread::sleep(Duration::from_millis(20));
    tracer.detach();
    server.signal(Signal::SIGCONT);
    settle(&server);
    log.settle();
    assert_eq!(log.take_cut().len(), 0);
    assert_eq!(server.totals("gaps"), 0);
}

fn everywhere(cause: Cause) {
    const AT_A_TIME: usize = 4;
    if !has_program("strace") {
        return;
    }
    let calls = calls_of(cause);
    let moments = calls.iter();
    let moments = moments.flat_map(|call| CHANGES.map(|change| (call, change)));
    // Where there is more to look at than one file, what was truncated first need not be known.
    let is_simple = matches!(cause, Cause::Order | Cause::Append);
    let moments = moments.filter(|(_, change)| is_simple || *change != TruncationAndReplacement);
    let moments: Vec<(&String, Change)> = moments.collect();
    let mut met = 0;
    for moments in moments.chunks(AT_A_TIME) {
        met += std::thread::scope(|scope| {
            let races = moments.iter().map(|&(call, change)| {
                let thread = std::thread::Builder::new().name(format!("{call} {change:?}"));
                let race = thread.spawn_scoped(scope, move || race(cause, call, change));
                race.expect("there is room for a thread")
            });
            let races: Vec<_> = races.collect();
            let races = races.into_iter();
            let met = races.map(|race| usize::from(race.join().expect("it was right")));
            met.sum::<usize>()
        });
    }
    assert!(
        met * 4 >= moments.len() * 3,
        "{met} of {} moments were met",
        moments.len()
    );
}

/// Each call that the server makes for it, as strace's name and number: "statx:when=3".
fn calls_of(cause: Cause) -> Vec<String> {
    let (server, mut log, _directory) = begin(cause);
    let mut tracer = Tracer::attach(&server, &["-e", CALLS]);
    let writer = trigger(cause, &server, &mut log, &tracer);
    let is_probe = |call: &String| call.contains("F_RDLCK");
    let name = format!("{}\"", log.path.display());
    let is_of_the_name = |call: &String| call.contains("statx(") && call.contains(&name);
    wait_until("the server has done what there is to do", || match writer {
        Some(_) => tracer.calls().iter().any(is_probe),
        None if cause == Cause::Order => tracer.calls().iter().any(is_of_the_name),
        None => log.is_settled(),
    });
    let calls = tracer.detach();
    // What comes behind is of the next tick.
    let last = match writer {
        Some(_) => calls.iter().position(is_probe),
        None if cause == Cause::Order => calls.iter().position(is_of_the_name),
        None => calls.iter().rposition(|call| call.contains("sendfile(")),
    };
    let calls = &calls[..=last.expect("it has been made")];
    let names = calls.iter().filter_map(|call| {
        let (_, call) = call.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        Some(name.to_owned())
    });
    let names: Vec<String> = names.collect();
    let numbered = names.iter().enumerate().map(|(at, name)| {
        let number = names[..=at].iter().filter(|other| *other == name).count();
        format!("{name}:when={number}")
    });
    numbered.collect()
}

fn begin(cause: Cause) -> (Server, Followed, Log) {
    let directory = Log::absent();
    let mut log = Followed::new(&directory.path, "", 40);
    let server = directory.server();
    if cause != Cause::Arrival {
        log.connect(&server, "0");
        log.settle();
    }
    (server, log, directory)
}

/// Returns the old file, if its writer goes on. The server sees all of it at once, so that it makes
/// the same calls each time.
fn trigger(cause: Cause, server: &Server, log: &mut Followed, tracer: &Tracer) -> Option<File> {
    server.signal(Signal::SIGSTOP);
    wait_until("the server stops", || tracer.stops() == 1);
    let writer = (cause == Cause::RotationBeforeWriter).then(|| log.logger());
    match cause {
        Cause::Order => server.signal(Signal::SIGHUP),
        Cause::Arrival => log.connect(server, "0"),
        Cause::Append => log.append(1),
        Cause::Rotation | Cause::RotationBeforeWriter => {
            log.rename();
            log.create(2);
        }
        Cause::TwoRotations => {
            log.rename();
            log.create(2);
            log.rename();
            log.create(3);
        }
    }
    server.signal(Signal::SIGCONT);
    writer
}

/// When it answers for the second time, it has looked at all that has happened before.
fn settle(server: &Server) {
    server.totals("turns");
    server.totals("turns");
}

/// Whether the server made that call.
fn race(cause: Cause, call: &str, change: Change) -> bool {
    let (server, mut log, _directory) = begin(cause);
    let (name, number) = call.split_once(':').expect("they are made so");
    let stop = format!("inject={name}:signal=SIGSTOP:{number}");
    let mut tracer = Tracer::attach(&server, &["-e", CALLS, "-e", &stop]);
    let writer = trigger(cause, &server, &mut log, &tracer);
    let mut looks = 0;
    wait_until("the server stops behind the call", || {
        // It may do with fewer calls than before.
        looks += 1;
        looks > 400 || tracer.stops() == 2
    });
    if tracer.stops() != 2 {
        return false;
    }
    let calls = tracer.calls();
    if let Some(writer) = writer {
        log.write_late(&writer, 1);
    }
    let fate = happen(change, cause, &mut log, &calls);
    tracer.detach();
    server.signal(Signal::SIGCONT);
    settle(&server);
    log.settle();
    let cut = log.take_cut();
    match fate {
        Fate::MayBeCut => {}
        _ => assert_eq!(cut.len(), usize::from(fate == Fate::IsCut), "{fate:?}"),
    }
    log.connect(&server, "0");
    log.settle();
    log.append(1);
    log.settle();
    let newcomer = log.streams.pop().expect("it has just come");
    assert!(!newcomer.ended);
    // A last writer that has gone can seem to be there for a while: a process that is just being
    // started has all of its parent's files open. Then the other one finds out only now.
    let most = usize::from(fate == Fate::MayBeCut && cut.is_empty());
    let late = log.take_cut().len();
    assert!(late <= most, "{late} more are cut, {fate:?}");
    assert_eq!(server.totals("unverified"), 0);
    true
}

/// What is right for the client that is there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    GoesOn,
    MayBeCut,
    IsCut,
}

/// The server stands still behind the last of these calls.
fn happen(change: Change, cause: Cause, log: &mut Followed, calls: &[String]) -> Fate {
    let has_everything = log.is_settled();
    let had_looked = has_looked(calls, log.newest_text().len());
    // What is open for good is watched.
    let is_file_watch = |call: &&String| call.contains("add_watch") && call.contains("/fd/");
    let watched = calls.iter().filter(is_file_watch).count();
    let is_held = match cause {
        Cause::Order | Cause::Arrival | Cause::Append => true,
        Cause::Rotation | Cause::RotationBeforeWriter => watched > 0,
        Cause::TwoRotations => watched > 1,
    };
    match change {
        Append => log.append(1),
        Rotation => {
            log.rename();
            log.create(1);
        }
        TwoRotations => {
            for _ in 0..2 {
                log.rename();
                log.create(1);
            }
        }
        Replacement => log.replace(1),
        Removal => {
            log.unlink();
            log.create(1);
        }
        Truncation | TruncationAndReplacement => {
            // What was written and truncated away between two looks is nobody's.
            if !has_everything && !had_looked {
                log.forget_unsent();
            }
            log.truncate();
            if change == TruncationAndReplacement {
                log.append(2);
                log.replace(1);
            }
        }
    }
    match change {
        TruncationAndReplacement if !has_everything => Fate::MayBeCut,
        Truncation | TruncationAndReplacement if has_everything => Fate::GoesOn,
        // A client that has just come may as well begin with what comes now.
        Truncation if had_looked && cause != Cause::Arrival => Fate::IsCut,
        Truncation => Fate::MayBeCut,
        Replacement | Removal if !is_held => Fate::MayBeCut,
        _ => Fate::GoesOn,
    }
}

/// Whether the server has seen the file at this length: asked for it, and read its end.
fn has_looked(calls: &[String], length: usize) -> bool {
    let size = format!("st_size={length}, ");
    let asked = calls
        .iter()
        .position(|call| call.contains("fstat") && call.contains(&size));
    asked.is_some_and(|asked| {
        let mut later = calls[asked..].iter();
        later.any(|call| call.contains("pread"))
    })
}
