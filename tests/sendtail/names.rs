//! What a name leads to may change in many ways. Whoever follows it gets the rest of the file that
//! bore it and then the next one, whole, whatever it is made of and however long it takes.

// Links: switched, of directories, and into directories where the real file rotates.
mod links;

// Directories that go, with and without their files.
mod directories;

// A file that bears the name once more.
mod back;

// Files that go on between what is said of them and the look at them.
mod races;

// What an attacker puts where a file was.
mod traps;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::thread::JoinHandle;

use nix::sys::stat::Mode;
use nix::unistd::{gettid, mkfifo};

use crate::support::{
    Audience, BACKLOG, Client, Log, Server, append, on_each_file_system, on_time, wait_until,
};

/// What stands at the name in place of a file: its name, how it comes and how it goes.
type Obstacle = (&'static str, fn(&Path), fn(&Path));

const OBSTACLES: [Obstacle; 6] = [
    ("nothing", |_| {}, |_| {}),
    (
        "a directory",
        |path| fs::create_dir(path).expect("it is ours"),
        |path| fs::remove_dir(path).expect("it is ours"),
    ),
    (
        "a FIFO",
        |path| mkfifo(path, Mode::S_IRWXU).expect("it is ours"),
        |path| fs::remove_file(path).expect("it is there"),
    ),
    (
        "a link to nowhere",
        |path| symlink("nowhere", path).expect("it is ours"),
        |path| fs::remove_file(path).expect("it is there"),
    ),
    (
        "a link to itself",
        |path| symlink("log", path).expect("it is ours"),
        |path| fs::remove_file(path).expect("it is there"),
    ),
    (
        "a device",
        |path| symlink("/dev/zero", path).expect("it is ours"),
        |path| fs::remove_file(path).expect("it is there"),
    ),
];

#[test]
fn a_name_that_is_no_file_for_a_while_is_waited_for() {
    on_each_file_system(|parent| {
        for obstacle in OBSTACLES {
            for is_renamed in [true, false] {
                for below_directory in [true, false] {
                    wait_for_the_obstacle_to_go(parent, obstacle, is_renamed, below_directory);
                }
            }
        }
    });
}

fn wait_for_the_obstacle_to_go(
    parent: &Path,
    (name, make, take_away): Obstacle,
    is_renamed: bool,
    below_directory: bool,
) {
    eprintln!("{name}, renamed: {is_renamed}, below a directory PATH: {below_directory}");
    let log = Log::absent_in(parent);
    fs::write(&log.path, "old\n").expect("the directory is ours");
    let server = served(&log, below_directory);
    let mut client = server.reader("0 log\n", "old\n");
    if is_renamed {
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    } else {
        fs::remove_file(&log.path).expect("it is there");
    }
    make(&log.path);
    let writer = (name == "a FIFO").then(|| WaitingWriter::at(&log.path));
    server.look();
    client.expect_nothing();
    let mut newcomer = server.ask("0 log\n");
    server.wait_for_request(&newcomer);
    if is_renamed {
        append(&log.beside("log.1"), b"late\n");
        client.expect(b"late\n");
        newcomer.expect(b"old\nlate\n");
    }
    newcomer.expect_nothing();
    if let Some(writer) = writer {
        writer.expect_waiting(&log.path);
    }
    take_away(&log.path);
    server.look();
    fs::write(log.beside("new"), "new\n").expect("it is ours");
    fs::rename(log.beside("new"), &log.path).expect("it is ours");
    for client in [&mut client, &mut newcomer] {
        client.expect(b"new\n");
    }
    log.append("more\n");
    for client in [&mut client, &mut newcomer] {
        client.expect(b"more\n");
    }
    for field in ["cut", "gaps", "unverified"] {
        assert_eq!(server.totals(field), 0, "{field}");
    }
}

/// logrotate makes the new file for its owner alone, and gives it away then.
#[test]
fn a_new_file_that_may_not_be_opened_yet_is_waited_for() {
    let may_read = |path: &Path| {
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("it is ours");
    };
    let is_ours = |path: &Path| {
        chown(path, Some(0), None).expect("root may");
    };
    let ways: [fn(&Path); 2] = [may_read, is_ours];
    for allow in &ways[..if is_root() { 2 } else { 1 }] {
        let log = Log::new(&*BACKLOG);
        let Some(command) = Server::unprivileged(&[], &[&log.path]) else {
            return;
        };
        let server = Server::command(command);
        let mut audience = Audience::gather(&server, "");
        on_time(5, |round| {
            let renamed = log.beside(&format!("log.{round}"));
            fs::rename(&log.path, &renamed).expect("it is ours");
            let mut writer = unreadable(&log);
            append(&renamed, b"late\n");
            audience.expect("late\n");
            writer.write_all(b"new\n").expect("there is room");
            let mut newcomer = server.ask("-5c\n");
            newcomer.expect(b"late\n");
            audience.join(newcomer);
            allow(&log.path);
            audience.expect("new\n");
            writer.write_all(b"more\n").expect("there is room");
            audience.expect("more\n");
        });
        assert_eq!(server.totals("unverified"), 0);
        audience.finish(&server);
    }
}

/// A file that its writer has opened before anybody else may, under a name that others have seen.
fn unreadable(log: &Log) -> fs::File {
    let beside = log.beside("log.new");
    let writer = fs::File::create(&beside).expect("the directory is ours");
    let mode = if is_root() {
        chown(&beside, Some(65534), None).expect("root may");
        0o600
    } else {
        0o000
    };
    fs::set_permissions(&beside, Permissions::from_mode(mode)).expect("it is ours");
    fs::rename(beside, &log.path).expect("it is ours");
    writer
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("there is a /proc").uid() == 0
}

#[test]
fn what_has_come_and_gone_before_a_first_look_arrives_too() {
    on_each_file_system(|parent| {
        for below_directory in [false, true] {
            let log = Log::absent_in(parent);
            let server = served(&log, below_directory);
            if below_directory {
                // Only what somebody follows may be absent there.
                fs::write(&log.path, "").expect("the directory is ours");
            }
            let mut clients = ["0 log\n", "-10 log\n"].map(|header| server.ask(header));
            clients
                .iter()
                .for_each(|client| server.wait_for_request(client));
            server.while_stopped(|| {
                for number in 1..=3 {
                    fs::write(&log.path, format!("file {number}\n")).expect("it is ours");
                    let renamed = log.beside(&format!("log.{number}"));
                    fs::rename(&log.path, renamed).expect("it is ours");
                }
                fs::write(&log.path, "file 4\n").expect("it is ours");
            });
            for client in &mut clients {
                client.expect(b"file 1\nfile 2\nfile 3\nfile 4\n");
            }
            log.append("more\n");
            clients
                .iter_mut()
                .for_each(|client| client.expect(b"more\n"));
        }
    });
}

#[test]
fn two_names_of_one_file_go_their_own_ways() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        let linked = log.beside("linked");
        fs::write(&log.path, "content\n").expect("the directory is ours");
        fs::hard_link(&log.path, &linked).expect("it is ours");
        let server = served(&log, true);
        let mut first = server.reader("0 log\n", "content\n");
        let mut second = server.reader("0 linked\n", "content\n");
        // The first name leaves it, and it is written to under the other.
        fs::remove_file(&log.path).expect("it is there");
        append(&linked, b"more\n");
        for client in [&mut first, &mut second] {
            client.expect(b"more\n");
        }
        fs::write(&log.path, "a file\n").expect("the directory is ours");
        first.expect(b"a file\n");
        append(&linked, b"only here\n");
        second.expect(b"only here\n");
        // The second name leaves it as well, for the file of the first.
        fs::hard_link(&log.path, log.beside("new")).expect("it is ours");
        fs::rename(log.beside("new"), &linked).expect("it is ours");
        second.expect(b"a file\n");
        on_time(6, |round| {
            append([&log.path, &linked][round as usize % 2], b"shared\n");
            for client in [&mut first, &mut second] {
                client.expect(b"shared\n");
            }
        });
        fs::write(&linked, "truncated\n").expect("it is ours");
        for client in [&mut first, &mut second] {
            client.expect(b"truncated\n");
        }
        server.look();
        [first, second].iter_mut().for_each(Client::expect_nothing);
    });
}

/// As a file PATH, or below its directory; either way `log` is its name.
fn served(log: &Log, below_directory: bool) -> Server {
    let directory = log.directory.path();
    Server::start(&[if below_directory {
        directory
    } else {
        &log.path
    }])
}

/// Somebody who waits in open(2) until there is a reader.
struct WaitingWriter(JoinHandle<()>);

impl WaitingWriter {
    fn at(fifo: &Path) -> WaitingWriter {
        let fifo = fifo.to_owned();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            told.send(gettid()).expect("somebody waits for it");
            drop(fs::OpenOptions::new().write(true).open(fifo));
        });
        let stat = format!("/proc/self/task/{}/stat", ready.recv().expect("it starts"));
        wait_until("the writer sleeps", || {
            fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "))
        });
        WaitingWriter(thread)
    }

    /// Nobody has opened the other end.
    fn expect_waiting(self, fifo: &Path) {
        assert!(!self.0.is_finished(), "something has opened the FIFO");
        drop(fs::File::open(fifo).expect("it is ours"));
        self.0.join().expect("our opening releases it");
    }
}
