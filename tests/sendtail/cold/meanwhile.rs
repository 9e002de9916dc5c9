//! A client that waits for the disk may leave, its file may be rotated or truncated, and the server
//! may be told to stop: none of that waits for the disk.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{LINE, LINES};
use crate::support::{Client, Late, Server, SlowDisk, append, in_time, wait_until};

/// So slow that whoever reads waits nearly all the time.
const SLOW: u64 = 4_000_000;

/// Two seconds of it.
const SIZE: usize = LINE << 19;

struct Scene {
    server: Server,
    log: PathBuf,
    disk: SlowDisk,
}

impl Scene {
    fn new() -> Option<Scene> {
        let disk = SlowDisk::new(SLOW)?;
        let log = disk.cold("log", &LINES[..SIZE]);
        let server = disk.server(&[], &[&disk.root()]);
        Some(Scene { server, log, disk })
    }

    /// Clients of which the server knows, and which it cannot serve in full for a while.
    fn ask<const N: usize>(&self, headers: [&str; N]) -> [Client; N] {
        headers.map(|header| {
            let client = self.server.ask(format!("{header} log\n"));
            self.server.wait_for_request(&client);
            client
        })
    }

    fn rename(&self) {
        fs::rename(&self.log, self.disk.path("log.1")).expect("it is ours");
        fs::write(&self.log, "new\n").expect("there is room");
    }

    fn truncate(&self) {
        let file = OpenOptions::new().write(true).open(&self.log);
        file.and_then(|file| file.set_len(0)).expect("it is ours");
        append(&self.log, b"new\n");
    }
}

/// Those who are with the disk and those who stand in line.
#[test]
fn who_leaves_is_forgotten_at_once_and_the_others_go_on() {
    in_time(leaving);
}

fn leaving() -> Result<(), Late> {
    let Some(scene) = Scene::new() else {
        return Ok(());
    };
    let server = &scene.server;
    let before = server.descriptors();
    let offsets = [0, 1, 2, 3, 4, 5, 6, 7].map(|eighth| SIZE / 8 * eighth);
    let clients = offsets.map(|offset| {
        let [client] = scene.ask([&offset.to_string()]);
        (offset, client)
    });
    let searchers = scene.ask(["-500000", "+500000"]);
    let start = Instant::now();
    for searcher in searchers {
        searcher.reset();
    }
    let mut staying = vec![];
    for (number, (offset, client)) in clients.into_iter().enumerate() {
        match number % 3 {
            0 => staying.push((offset, client)),
            _ => client.reset(),
        }
    }
    wait_until("the others are closed", || {
        server.totals("clients") == staying.len() as u64
    });
    let took = start.elapsed();
    Late::if_over(took, Duration::from_millis(400), "it is noticed")?;
    for (offset, client) in &mut staying {
        client.expect(&LINES[*offset..SIZE]);
        client.half_close();
    }
    append(&scene.log, b"more\n");
    for (_, client) in &mut staying {
        client.expect(b"more\n");
    }
    for (_, client) in staying {
        client.reset();
    }
    wait_until("they are closed too", || server.totals("clients") == 0);
    wait_until("the file is too", || server.descriptors() == before);
    Ok(())
}

#[test]
fn a_server_that_is_told_to_stop_does_not_wait_for_the_disk() {
    in_time(stopping);
}

fn stopping() -> Result<(), Late> {
    let Some(scene) = Scene::new() else {
        return Ok(());
    };
    let streams = scene.ask(["0", "1000000", "2000000", "3000000", "4000000"]);
    let searchers = scene.ask(["-500000", "+500000"]);
    let start = Instant::now();
    scene.server.signal(Signal::SIGTERM);
    for (millions, mut client) in streams.into_iter().enumerate() {
        let received = client.read_to_end();
        let rest = &LINES[millions * 1_000_000..];
        assert!(rest.starts_with(&received), "{} bytes", received.len());
    }
    for mut searcher in searchers {
        searcher.expect_error("shutting down");
    }
    assert!(scene.server.wait().success());
    let took = start.elapsed();
    Late::if_over(took, Duration::from_millis(1500), "it ends")
}

#[test]
fn a_rotation_while_the_disk_is_read_loses_nothing() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let mut clients = scene.ask([
        "0", "1000000", "2000000", "3000000", "4000000", "-400000", "-0",
    ]);
    scene.rename();
    // Its old file is deleted as well: what is open can be read to its end.
    fs::remove_file(scene.disk.path("log.1")).expect("it is there");
    let [behind @ .., searcher, follower] = &mut clients;
    follower.expect(b"new\n");
    for (millions, client) in behind.iter_mut().enumerate() {
        client.expect(&LINES[millions * 1_000_000..SIZE]);
        client.expect(b"new\n");
    }
    searcher.expect(&LINES[SIZE - 400_000 * LINE..SIZE]);
    searcher.expect(b"new\n");
    assert_eq!(scene.server.totals("cut"), 0);
}

/// Who has not got everything is cut, at a byte of which the log speaks.
#[test]
fn a_truncation_while_the_disk_is_read_cuts_those_who_are_behind() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let [mut behind, mut searcher, mut follower] = scene.ask(["0", "-400000", "-0"]);
    // It has begun.
    let begun = LINE;
    behind.expect(&LINES[..begun]);
    scene.truncate();
    follower.expect(b"new\n");
    let received = behind.read_to_end();
    let end = begun + received.len();
    assert!(received == LINES[begun..end], "{end} bytes, but others");
    let peer = behind.stream.local_addr().expect("it was connected");
    scene.server.wait_for_log(&format!(
        "{peer} closed: {} was truncated when it was at offset {end}, {} bytes missed",
        scene.log.display(),
        SIZE - end
    ));
    // It had not begun, and finds its lines in what there is now.
    searcher.expect(b"new\n");
    append(&scene.log, b"more\n");
    for client in [&mut searcher, &mut follower] {
        client.expect(b"more\n");
    }
    assert_eq!(scene.server.totals("cut"), 1);
}
