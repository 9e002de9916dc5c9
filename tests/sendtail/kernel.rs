//! What the kernel does not say, or cannot: events are hints, and what they leave out is found.

// Other people's file systems: FUSE and overlayfs.
mod mounts;

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::support::{Audience, BACKLOG, Log, Server, append, on_each_file_system, wait_until};

/// Fills the queue of an inotify instance that watches the log's directory, so that nothing that
/// happens after that is in it.
fn fill_queue(log: &Log) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    let limit: usize = limit.expect("it says so").trim().parse().expect("a number");
    let stranger = log.beside("stranger");
    for _ in 0..limit / 2 + 10 {
        File::create(&stranger).expect("the directory is ours");
        fs::remove_file(&stranger).expect("it has just been made");
    }
}

#[test]
fn a_rotation_of_which_no_event_is_left_loses_nothing_and_is_said_to_be_unverified() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        for round in 1..=2 {
            let renamed = log.beside(&format!("log.{round}"));
            server.while_stopped(|| {
                log.append("seen\n");
                fill_queue(&log);
                log.append("and not seen\n");
                fs::rename(&log.path, &renamed).expect("it is ours");
                append(&renamed, b"late\n");
                fs::write(&log.path, "new\n").expect("it is ours");
            });
            audience.expect("seen\nand not seen\nlate\nnew\n");
            wait_for_unverified(&server, round);
            // It is as before.
            log.append("more\n");
            audience.expect("more\n");
        }
        audience.finish(&server);
    });
}

/// So many times, by now, it is said that no event has explained another file.
fn wait_for_unverified(server: &Server, count: u64) {
    // It might still come, for some milliseconds.
    wait_until("it is unverified", || server.totals("unverified") == count);
    server.wait_for_log(": continuity not verified: its file changed and no event said so");
}

/// The one in the middle bore the name for less than one look: no follower can know.
#[test]
fn of_two_rotations_without_an_event_the_last_is_followed() {
    let log = Log::new(&*BACKLOG);
    let server = log.server();
    let mut audience = Audience::gather(&server, "");
    server.while_stopped(|| {
        fill_queue(&log);
        for number in 1..=2 {
            fs::rename(&log.path, log.beside(&format!("log.{number}"))).expect("it is ours");
            fs::write(&log.path, format!("file {number}\n")).expect("it is ours");
        }
    });
    audience.expect("file 2\n");
    wait_for_unverified(&server, 1);
    audience.finish(&server);
}

#[test]
fn a_truncation_of_which_no_event_is_left_is_seen_by_its_bytes() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, &*BACKLOG).expect("there is room");
        let server = log.server();
        let mut audience = Audience::gather(&server, "");
        let new = [b"new\n", &**BACKLOG].concat();
        server.while_stopped(|| {
            fill_queue(&log);
            fs::write(&log.path, &new).expect("there is room");
        });
        audience.expect(&new);
        audience.expect_cut();
        // The file is the same.
        assert_eq!((server.totals("cut"), server.totals("unverified")), (2, 0));
    });
}

/// Stores into a shared mapping are no events. An edit in place is not followed as such, but what
/// is found to be another content is served as one.
#[test]
fn what_is_written_through_a_mapping_is_seen_within_the_tick() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        let content = "content\n".repeat(100);
        fs::write(&log.path, &content).expect("the directory is ours");
        let server = log.server();
        let mut client = server.reader("0\n", &content);
        let (before, after) = (content.len(), content.len() + 8);
        // It grows, which is an event, and is filled before anybody looks.
        let mut mapping = server.while_stopped(|| {
            let file = OpenOptions::new().read(true).write(true).open(&log.path);
            let file = file.expect("it is ours");
            file.set_len(after as u64).expect("there is room");
            let mut mapping = Mapping::of(&file, after);
            mapping.bytes()[before..].copy_from_slice(b"stored.\n");
            mapping
        });
        client.expect(b"stored.\n");
        server.look();
        // Neither is: at the end, at the beginning.
        for place in [before, 0] {
            let content = server.while_stopped(|| {
                mapping.bytes()[place..place + 8].copy_from_slice(b"another\n");
                mapping.bytes().to_vec()
            });
            client.expect(&content);
            server.look();
        }
        assert_eq!(server.totals("cut"), 0);
    });
}

/// It has closed the file, and may still write to it.
#[test]
fn who_has_mapped_a_renamed_file_counts_as_its_writer() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "old\n").expect("the directory is ours");
        let server = Server::with(&["--drain-grace", "1000"], &[&log.path]);
        let mut client = server.reader("0\n", "old\n");
        let mapping = Mapping::of(&open(&log.path), 4);
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        fs::write(&log.path, "new\n").expect("the directory is ours");
        server.ask("0\n").expect(b"new\n");
        server.look();
        client.expect_nothing();
        append(&log.beside("log.1"), b"late\n");
        client.expect(b"late\n");
        server.look();
        client.expect_nothing();
        drop(mapping);
        client.expect(b"new\n");
    });
}

fn open(path: &Path) -> File {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.expect("it is ours")
}

/// A writable, shared mapping of a file's beginning.
struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

impl Mapping {
    fn of(file: &File, length: usize) -> Mapping {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping touches no memory of ours.
        let start = unsafe {
            let descriptor = file.as_raw_fd();
            let anywhere = std::ptr::null_mut();
            libc::mmap(
                anywhere,
                length,
                protection,
                libc::MAP_SHARED,
                descriptor,
                0,
            )
        };
        assert_ne!(
            start,
            libc::MAP_FAILED,
            "{}",
            std::io::Error::last_os_error()
        );
        Mapping { start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping lives as long as `self` and is not shared within this process; the
        // file is not made shorter while it is used.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the slices have borrowed `self`, so they are gone.
        unsafe { libc::munmap(self.start, self.length) };
    }
}
