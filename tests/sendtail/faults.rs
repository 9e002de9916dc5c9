//! System calls that fail while clients come and logs grow, are rotated and truncated: `strace`
//! makes them fail, one row of a table after the other. Whoever is concerned is closed at worst,
//! with the right bytes until then; everybody else gets everything; who comes later is served; and
//! nothing spins.
//!
//! Not here: what the kernel never answers; calls that are made once at the start; and readlink,
//! which is for names that are links.

mod scene;
mod short;

use std::time::Duration;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use scene::{Act, Scene};

use crate::support::{Server, Tracer, has_program, wait_until};

use Act::*;
use Harm::*;

/// One row: the call, its error, which of the calls (as strace's `when`), in the midst of what, and
/// who may be closed for it.
struct Fault(&'static str, &'static str, &'static str, Act, Harm);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    /// It is tried again, or done without.
    Nobody,
    /// One client for each call that failed.
    OneACall,
    /// Everybody who follows that log: one of its files could not be had, or not be looked at for
    /// long.
    Followers,
}

#[test]
fn files_that_cannot_be_opened() {
    in_turn(&[
        Fault("openat", "EMFILE", "1", Connect, OneACall),
        Fault("openat", "ENOMEM", "2", Connect, OneACall),
        Fault("openat", "EIO", "1..6", Connect, OneACall),
        Fault("openat", "EINTR", "1+2", Connect, OneACall),
        Fault("openat", "EMFILE", "1", Rotate, Nobody),
        Fault("openat", "ENFILE", "2", Rotate, Nobody),
        Fault("openat", "EIO", "1..3", Rotate, Nobody),
        Fault("openat", "EMFILE", "1+", Rotate, Nobody),
        Fault("openat", "ENOMEM", "1", RotateTwice, Followers),
        Fault("openat", "EMFILE", "2..4", RotateTwice, Followers),
        Fault("openat2", "EAGAIN", "1", Connect, Nobody),
        Fault("openat2", "EAGAIN", "1+", Connect, OneACall),
        Fault("openat2", "EINTR", "1..5", Connect, Nobody),
        Fault("openat2", "EMFILE", "1", Connect, OneACall),
        Fault("openat2", "ENOMEM", "1..2", Rotate, Nobody),
        Fault("openat2", "EAGAIN", "1+", Rotate, Nobody),
        Fault("openat2", "EIO", "1+2", RotateTwice, Followers),
    ]);
}

#[test]
fn files_that_cannot_be_looked_at() {
    in_turn(&[
        Fault("fstat,newfstatat", "EIO", "1", Append, Nobody),
        Fault("fstat,newfstatat", "EIO", "1+2", Append, Nobody),
        Fault("fstat,newfstatat", "ENOMEM", "1+", Append, Followers),
        Fault("fstat,newfstatat", "EINTR", "1..4", Append, Nobody),
        Fault("fstat,newfstatat", "EIO", "1", Connect, Nobody),
        Fault("fstat,newfstatat", "EIO", "1+2", Rotate, Nobody),
        Fault("fstat,newfstatat", "ENOMEM", "1..5", Rotate, Nobody),
        Fault("fstat,newfstatat", "ENOMEM", "1..5", RotateTwice, Nobody),
        Fault("fstat,newfstatat", "EINTR", "3+2", RotateTwice, Nobody),
        Fault("fstat,newfstatat", "EIO", "1", Truncate, Nobody),
        Fault("fstat,newfstatat", "EIO", "1..3", Truncate, Nobody),
        Fault("statx", "EIO", "1", Connect, OneACall),
        Fault("statx", "ENOMEM", "3..8", Connect, OneACall),
        Fault("statx", "EACCES", "1+", Append, Nobody),
        Fault("statx", "EIO", "1..3", Rotate, Nobody),
        Fault("statx", "EINTR", "1+3", Rotate, Nobody),
        Fault("statx", "ENOMEM", "1+2", RotateTwice, Followers),
        Fault("statx", "ENOMEM", "1..5", RotateTwice, Followers),
        Fault("statx", "EIO", "1..4", Truncate, Nobody),
    ]);
}

#[test]
fn files_that_cannot_be_read() {
    in_turn(&[
        Fault("pread64,preadv2", "EIO", "1", Connect, OneACall),
        Fault("pread64,preadv2", "EIO", "2+2", Connect, OneACall),
        Fault("pread64,preadv2", "EINTR", "1..9", Connect, Nobody),
        Fault("pread64,preadv2", "ENOMEM", "1+", Append, Followers),
        Fault("pread64,preadv2", "EINTR", "1..9", Append, Nobody),
        Fault("pread64,preadv2", "EIO", "1..3", Rotate, Nobody),
        Fault("pread64,preadv2", "EIO", "1", Truncate, Followers),
        Fault("pread64,preadv2", "ENOMEM", "1..4", Truncate, Followers),
        // What is not in memory is asked for, and waited for after a while. Not on tmpfs, where
        // everything is.
        Fault("preadv2", "EAGAIN", "1..3", Connect, Nobody),
        Fault("preadv2", "EAGAIN", "1+", Connect, Nobody),
        Fault("preadv2", "EAGAIN", "1..3", Append, Nobody),
        Fault("preadv2", "EAGAIN", "1+", Append, Nobody),
        Fault("preadv2", "EAGAIN", "1+", Rotate, Nobody),
        Fault("preadv2", "EAGAIN", "1+", RotateTwice, Nobody),
        Fault("preadv2", "EAGAIN", "1+", Truncate, Nobody),
    ]);
}

#[test]
fn bytes_that_cannot_be_sent() {
    in_turn(&[
        Fault("sendfile", "EIO", "1", Connect, OneACall),
        Fault("sendfile", "EIO", "2+3", Connect, OneACall),
        Fault("sendfile", "ENOMEM", "1", Append, OneACall),
        Fault("sendfile", "ENOMEM", "3..4", Append, OneACall),
        Fault("sendfile", "EINTR", "1+2", Append, Nobody),
        Fault("sendfile", "EINTR", "1..20", Connect, Nobody),
        Fault("sendfile", "EAGAIN", "1", Append, Nobody),
        Fault("sendfile", "EAGAIN", "1+2", Connect, Nobody),
        Fault("sendfile", "ECONNRESET", "2", Append, OneACall),
        Fault("sendfile", "EIO", "2", Rotate, OneACall),
        Fault("sendfile", "EINTR", "1+2", Rotate, Nobody),
        Fault("sendfile", "EIO", "1", RotateTwice, OneACall),
        Fault("sendfile", "ENOMEM", "1", Truncate, OneACall),
        Fault("sendfile", "EINTR", "1..9", Truncate, Nobody),
    ]);
}

#[test]
fn changes_that_cannot_be_heard_of() {
    in_turn(&[
        Fault("read", "EIO", "1", Append, Nobody),
        Fault("read", "EIO", "1+", Append, Nobody),
        Fault("read", "ENOMEM", "1+2", Append, Nobody),
        Fault("read", "EINTR", "1..7", Append, Nobody),
        Fault("read", "EAGAIN", "1", Append, Nobody),
        Fault("read", "EIO", "1..2", Rotate, Nobody),
        Fault("read", "EINTR", "1+2", Rotate, Nobody),
        Fault("read", "EAGAIN", "1", Rotate, Nobody),
        Fault("read", "ENOMEM", "1", RotateTwice, Followers),
        Fault("read", "EINTR", "1..3", RotateTwice, Nobody),
        Fault("read", "EIO", "1", Truncate, Nobody),
        Fault("inotify_add_watch", "ENOSPC", "1", Connect, Nobody),
        Fault("inotify_add_watch", "ENOMEM", "2", Connect, Nobody),
        Fault("inotify_add_watch", "EACCES", "1..3", Connect, Nobody),
        Fault("inotify_add_watch", "ENOSPC", "1+", Rotate, Nobody),
        Fault("inotify_add_watch", "ENOMEM", "1", Rotate, Nobody),
        Fault("inotify_add_watch", "EMFILE", "1+2", RotateTwice, Nobody),
    ]);
}

#[test]
fn writers_that_cannot_be_asked_for() {
    in_turn(&[
        Fault("fcntl", "EACCES", "1", Rotate, Nobody),
        Fault("fcntl", "EACCES", "1+", Rotate, Nobody),
        Fault("fcntl", "EAGAIN", "1..3", Rotate, Nobody),
        Fault("fcntl", "EINTR", "1..2", Rotate, Nobody),
        Fault("fcntl", "ENOMEM", "1", Rotate, Nobody),
        Fault("fcntl", "EIO", "1+", RotateTwice, Nobody),
        Fault("fstatfs", "EIO", "1", Rotate, Nobody),
        Fault("fstatfs", "EINTR", "1", Connect, Nobody),
    ]);
}

#[test]
fn clients_that_cannot_be_had_or_heard() {
    in_turn(&[
        Fault("accept4", "EMFILE", "1", Connect, Nobody),
        Fault("accept4", "ENFILE", "1..3", Connect, Nobody),
        Fault("accept4", "EMFILE", "1+", Connect, Nobody),
        Fault("accept4", "ENOMEM", "1+2", Connect, Nobody),
        Fault("accept4", "ECONNABORTED", "1..3", Connect, Nobody),
        Fault("accept4", "EINTR", "1+2", Connect, Nobody),
        Fault("accept4", "EAGAIN", "1", Connect, Nobody),
        Fault("recvfrom", "ENOMEM", "1", Connect, OneACall),
        Fault("recvfrom", "EIO", "2+2", Connect, OneACall),
        Fault("recvfrom", "EINTR", "1+2", Connect, Nobody),
        Fault("recvfrom", "EAGAIN", "1", Connect, Nobody),
        Fault("epoll_ctl", "ENOMEM", "1", Connect, OneACall),
        Fault("epoll_ctl", "ENOSPC", "2..3", Connect, OneACall),
        Fault("epoll_wait", "EINTR", "1..20", Connect, Nobody),
        Fault("epoll_wait", "EINTR", "1+2", Append, Nobody),
        Fault("epoll_wait", "EINTR", "1+2", Rotate, Nobody),
    ]);
}

#[test]
fn without_epoll_the_server_ends_and_says_so() {
    if !has_program("strace") {
        return;
    }
    let mut scene = Scene::new(Append, Scene::start);
    // Not the first: that is the one that `strace` interrupts.
    let flag = "-einject=epoll_wait:error=EBADF:when=4";
    let _tracer = Tracer::attach(&scene.server, &[flag]);
    for _ in 0..4 {
        scene.log.append(1);
        scene.log.settle();
    }
    assert_eq!(scene.server.wait().code(), Some(1));
    let log = scene.server.log();
    let last = log.lines().last().expect("it has said something");
    assert_eq!(
        last,
        "sendtail: cannot wait for events: Bad file descriptor"
    );
}

/// Runs the rows, some at a time: most of their time is waiting.
fn in_turn(faults: &[Fault]) {
    const AT_A_TIME: usize = 4;
    if !has_program("strace") {
        return;
    }
    let kind = statfs(&std::env::temp_dir()).expect("it is there");
    let is_tmpfs = kind.filesystem_type() == TMPFS_MAGIC;
    for faults in faults.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            for fault in faults {
                if fault.0 == "preadv2" && is_tmpfs {
                    continue;
                }
                let Fault(call, error, when, act, _) = fault;
                let row = format!("{call} {error} {when} {act:?}");
                let thread = std::thread::Builder::new().name(row);
                let started = thread.spawn_scoped(scope, || fault.run());
                started.expect("there is room for a thread");
            }
        });
    }
}

/// Calls that fail within a moment in which nothing happens: more are a loop that tries for ever.
/// One look at a name tries openat2 sixteen times, and each of four clients that wait for the disk
/// looks every millisecond for a start.
const HITS_MAX: usize = 400;

impl Fault {
    fn run(&self) {
        let Fault(call, error, when, act, harm) = *self;
        let mut scene = Scene::new(act, |log| {
            // openat2 is for names below a directory.
            match call {
                "openat2" => Server::start(&[log.directory.path()]),
                _ => Scene::start(log),
            }
        });
        let mut tracer =
            Tracer::attach(&scene.server, &self.flags(&scene).each_ref().map(|f| &**f));
        let wanted = self.wanted();
        // The kernel would give an edge when there is room or input again; here a byte from the
        // client does.
        let needs_edge = error == "EAGAIN" && ["sendfile", "recvfrom", "accept4"].contains(&call);
        scene.perform(act, |scene| {
            wait_until("the clients have everything, or the fault hits", || {
                let settled = scene.is_settled() || hits(&tracer.calls()) >= wanted;
                if needs_edge && !settled {
                    scene.nudge();
                }
                settled
            });
        });
        wait_until("the fault hits", || hits(&tracer.calls()) >= wanted);
        if when == "1+" {
            let (calls, window) = tracer.measure(Duration::from_millis(200));
            let hits = hits(&calls);
            assert!(hits <= HITS_MAX, "{hits} calls failed in {window:?}");
        }
        let hits = hits(&tracer.detach_between_calls(&scene.server));
        if needs_edge {
            scene.nudge();
        }
        scene.settle();
        // A socket that cannot be read, or that has no events, cannot be drained either.
        assert!(
            scene.reset == 0 || ["recvfrom", "epoll_ctl"].contains(&call),
            "{} were reset",
            scene.reset
        );
        let (cut, others) = (scene.cut, scene.others_cut);
        let right = match harm {
            Nobody => cut == 0,
            OneACall => cut <= hits,
            Followers => others == 0,
        };
        assert!(
            right,
            "{cut} clients were cut, {others} of the other log; {hits} hits"
        );
        scene.end();
    }

    /// How many calls have to fail before it is over.
    fn wanted(&self) -> usize {
        let Fault(_, error, when, ..) = self;
        match when.split_once("..") {
            // It is called again at once.
            Some((_, last)) if *error == "EINTR" => last.parse().expect("a number"),
            _ if when.parse::<usize>().is_ok() => 1,
            _ => 2,
        }
    }

    fn flags(&self, scene: &Scene) -> [String; 3] {
        let Fault(call, error, when, ..) = self;
        // What else the call is used for is left alone.
        let only = match *call {
            "read" => "-Panon_inode:inotify".into(),
            "fcntl" => format!("-P{}.1", scene.log.path.display()),
            _ => "-s32".into(),
        };
        [
            format!("-etrace={call}"),
            format!("-einject={call}:error={error}:when={when}"),
            only,
        ]
    }
}

/// How many calls have been made to fail so far. A debug build asks with fcntl whether what it
/// closes is open; that does not count.
fn hits(calls: &[String]) -> usize {
    let hit = |call: &&String| call.ends_with("(INJECTED)") && !call.contains("F_GETFD");
    calls.iter().filter(hit).count()
}
