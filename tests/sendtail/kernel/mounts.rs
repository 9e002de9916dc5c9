//! File systems that are made of others: FUSE, where changes behind the mount are no events and
//! nobody can be asked for writers; and overlayfs, where a file becomes another one when it is
//! first written to. Each server lives in a mount namespace of its own, so that nothing has to be
//! unmounted.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wait_for_unverified;
use crate::support::{
    Audience, BACKLOG, Client, Log, Server, append, drop_cached, has_program, numbered_lines,
    wrapped,
};

/// A file system at `front` that is made of directories beside it.
struct Mounted {
    log: Log,
    server: Server,
}

/// In `$0`. It dies with the server.
const BINDFS: &str = r#"
    bindfs -f "$0/back" "$0/front" &
    until mountpoint -q "$0/front"; do
        kill -0 $! || exit 1
        sleep 0.01
    done"#;

const OVERLAY: &str = r#"
    layers="lowerdir=$0/back,upperdir=$0/upper,workdir=$0/work"
    mount -t overlay overlay -o "$layers" "$0/front" || exit 1"#;

impl Mounted {
    /// Nothing if it cannot be mounted here. The log is there before the mount.
    fn new(script: &str, flags: &[&str]) -> Option<Mounted> {
        let log = Log::absent();
        for name in ["back", "front", "upper", "work"] {
            fs::create_dir(log.beside(name)).expect("the directory is ours");
        }
        fs::write(log.beside("back/log"), &*BACKLOG).expect("there is room");
        let [attempt, script] =
            ["kill $!; exit 0", "exec \"$@\""].map(|end| format!("{script}\n{end}"));
        let directory = log.directory.path().to_str().expect("it is ASCII");
        let mut wrapper = vec!["unshare", "--mount"];
        let me = fs::metadata("/proc/self").expect("there is a /proc");
        if me.uid() != 0 {
            wrapper.push("--map-root-user");
        }
        if !can_mount(&[&wrapper[..], &["sh", "-c", &attempt, directory]].concat()) {
            return None;
        }
        wrapper.extend(["sh", "-c", &script, directory]);
        let program = Server::program(flags, &[&log.beside("front/log")]);
        let server = Server::command(wrapped(&wrapper, &program));
        Some(Mounted { log, server })
    }

    /// A file as the server sees it.
    fn front(&self, name: &str) -> PathBuf {
        let path = self.log.beside("front").join(name);
        let path = path.strip_prefix("/").expect("it is absolute");
        Path::new("/proc")
            .join(self.server.pid().to_string())
            .join("root")
            .join(path)
    }
}

/// Where a container forbids it no program could help: these tests are then skipped in any case.
fn can_mount(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.expect("util-linux is installed");
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        eprintln!("skipped: this cannot be mounted here: {reason}");
    }
    output.status.success()
}

/// Two rotations by somebody who works on these files.
fn rotate(server: &Server, audience: &mut Audience, file: impl Fn(&str) -> PathBuf) {
    for round in 1..=2 {
        append(&file("log"), b"more\n");
        audience.expect("more\n");
        let old = file(&format!("log.{round}"));
        fs::rename(file("log"), &old).expect("it is ours");
        append(&old, b"nothing there\n");
        audience.expect("nothing there\n");
        let writer = OpenOptions::new().append(true).open(&old);
        fs::write(file("log"), "new\n").expect("it is ours");
        append(&old, b"late\n");
        audience.expect("late\n");
        drop(writer);
        audience.expect("new\n");
        audience.join(server.reader("-1\n", "new\n"));
    }
}

fn truncate(readers: &mut [Client], log: &Path) {
    fs::write(log, "2\n").expect("it is ours");
    for reader in &mut *readers {
        reader.expect(b"2\n");
    }
    append(log, b"more\n");
    for reader in readers {
        reader.expect(b"more\n");
    }
}

#[test]
fn on_overlayfs_files_rotate_and_are_truncated_as_elsewhere() {
    let Some(mounted) = Mounted::new(OVERLAY, &["--drain-grace", "1000"]) else {
        return;
    };
    let server = &mounted.server;
    let mut audience = Audience::gather(server, "");
    // The first append makes another file of it.
    rotate(server, &mut audience, |name| mounted.front(name));
    assert_eq!(server.totals("unverified"), 0);
    truncate(&mut audience.finish(server), &mounted.front("log"));
}

/// Neither file system can say what is cached. What nobody has read since it was written is read
/// there in small pieces, and all of it comes, wherever a client begins.
#[test]
fn on_file_systems_that_cannot_tell_what_is_cached_every_start_is_right() {
    const LINES: usize = 400_000;
    for script in [OVERLAY, BINDFS] {
        if script == BINDFS && !has_program("bindfs") {
            return;
        }
        let Some(mounted) = Mounted::new(script, &[]) else {
            continue;
        };
        let server = &mounted.server;
        let text = numbered_lines(LINES);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let log = mounted.front("log");
        fs::write(&log, &text).expect("there is room");
        for (start, number) in [("-300000", LINES - 300_000), ("+300001", 300_000), ("0", 0)] {
            drop_cached(&log);
            let expected = lines[number..].concat();
            let mut client = server.ask(format!("{start}\n"));
            client.expect(expected.as_bytes());
            append(&log, b"more\n");
            client.expect(b"more\n");
            fs::write(&log, &text).expect("there is room");
            client.expect(text.as_bytes());
        }
    }
}

/// It is copied up by that.
#[test]
fn on_overlayfs_a_file_of_the_lower_layer_may_be_the_first_to_go() {
    type Change = fn(&Path);
    let changes: [Change; 2] = [
        |log| {
            fs::rename(log, log.with_extension("1")).expect("it is ours");
            append(&log.with_extension("1"), b"late\n");
            fs::write(log, "new\n").expect("it is ours");
        },
        |log| {
            append(log, b"late\n");
            fs::remove_file(log).expect("it is there");
            fs::write(log, "new\n").expect("it is ours");
        },
    ];
    for change in changes {
        let Some(mounted) = Mounted::new(OVERLAY, &[]) else {
            return;
        };
        let server = &mounted.server;
        let mut audience = Audience::gather(server, "");
        change(&mounted.front("log"));
        audience.expect("late\nnew\n");
        append(&mounted.front("log"), b"more\n");
        audience.expect("more\n");
        audience.finish(server);
    }
}

#[test]
fn on_overlayfs_a_file_of_the_lower_layer_may_be_truncated() {
    let Some(mounted) = Mounted::new(OVERLAY, &[]) else {
        return;
    };
    let server = &mounted.server;
    let mut audience = Audience::gather(server, "");
    fs::write(mounted.front("log"), "new\n").expect("it is ours");
    audience.expect("new\n");
    append(&mounted.front("log"), b"more\n");
    audience.expect("more\n");
    audience.expect_cut();
}

#[test]
fn on_fuse_files_rotate_and_are_truncated_in_front_of_the_mount() {
    if !has_program("bindfs") {
        return;
    }
    let Some(mounted) = Mounted::new(BINDFS, &[]) else {
        return;
    };
    let server = &mounted.server;
    let mut audience = Audience::gather(server, "");
    rotate(server, &mut audience, |name| mounted.front(name));
    truncate(&mut audience.finish(server), &mounted.front("log"));
}

/// Nothing that happens there is an event. And bindfs knows its open files by their names, as most
/// FUSE file systems do: of one that was renamed behind it only what was read before can be had.
#[test]
fn on_fuse_files_rotate_and_are_truncated_behind_the_mount() {
    if !has_program("bindfs") {
        return;
    }
    let Some(mounted) = Mounted::new(BINDFS, &["--drain-grace", "1"]) else {
        return;
    };
    let server = &mounted.server;
    let back = |name: &str| mounted.log.beside("back").join(name);
    let mut audience = Audience::gather(server, "");
    append(&back("log"), b"more\n");
    audience.expect("more\n");
    server.totals("clients");
    fs::rename(back("log"), back("log.1")).expect("it is ours");
    fs::write(back("log"), "new\n").expect("it is ours");
    audience.expect("new\n");
    wait_for_unverified(server, 1);
    // What is left of the old file cannot be had any more: that is said.
    let received: usize = audience.expect_cut().map(|(_, end)| end).iter().sum();
    let missed = 2 * (BACKLOG.len() + b"more\n".len()) - received;
    assert_eq!(
        (server.totals("cut"), server.totals("missed")),
        (2, missed as u64)
    );
    truncate(&mut audience.readers, &back("log"));
}
