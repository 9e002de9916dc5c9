//! Between the event that says that a file has come and the look at it, it has gone on, and something
//! else bears the name. It is looked for where it went all the same. strace makes that moment long
//! enough: it holds the server up after each read of events.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Log, Server, can_run, wait_until, wrapped};

/// What bears the name when it is looked at, and how that goes; the old file is at `old`.
type Other = (&'static str, fn(&Path, &Path), fn(&Path, &Path));

const OTHERS: [Other; 3] = [
    ("nothing", |_, _| {}, |_, _| {}),
    (
        "a FIFO",
        |name, _| mkfifo(name, Mode::S_IRWXU).expect("it is ours"),
        |name, _| fs::remove_file(name).expect("it is there"),
    ),
    (
        "the old file",
        |name, old| fs::rename(old, name).expect("it is there"),
        |name, old| fs::rename(name, old).expect("it is there"),
    ),
];

#[test]
fn a_file_that_has_gone_on_before_it_was_looked_at_arrives() {
    std::thread::scope(|scope| {
        for is_link in [false, true] {
            for other in OTHERS {
                scope.spawn(move || go_on_before_the_look(is_link, other));
            }
        }
    });
}

fn go_on_before_the_look(is_link: bool, (other, come, go): Other) {
    eprintln!("a link: {is_link}, {other}");
    let delay = "inject=read:delay_exit=100000";
    let strace = [
        "strace",
        "-D",
        "-qq",
        "-o/dev/null",
        "-etrace=read",
        "-e",
        delay,
    ];
    if !can_run(&[&strace[..], &["true"]].concat()) {
        return;
    }
    let log = Log::absent();
    let real = if is_link {
        log.beside("real")
    } else {
        log.path.clone()
    };
    let (old, gone) = (log.beside("old"), log.beside("gone"));
    fs::write(&real, "old\n").expect("it is ours");
    if is_link {
        symlink(&real, &log.path).expect("it is ours");
    }
    fs::write(&old, "new\n").expect("it is ours");
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(wrapped(&strace, &program));
    let mut client = server.reader("0\n", "old\n");
    let writer = fs::OpenOptions::new().append(true).open(&old);
    let mut writer = writer.expect("it is ours");
    wait_for_state(&server, "S");
    // One call, so that all of its events are read at once.
    let flags = RenameFlags::RENAME_EXCHANGE;
    renameat2(AT_FDCWD, &real, AT_FDCWD, &old, flags).expect("the file system can");
    wait_for_state(&server, "t");
    fs::rename(&real, &gone).expect("it is there");
    come(&real, &old);
    server.look();
    go(&real, &old);
    writer.write_all(b"late\n").expect("there is room");
    client.expect(b"new\nlate\n");
    drop(writer);
    fs::write(&real, "newer\n").expect("it is ours");
    client.expect(b"newer\n");
    assert_eq!(server.totals("gaps"), 0);
}

/// `S`: it sleeps. `t`: strace holds it up.
fn wait_for_state(server: &Server, state: &str) {
    let stat = format!("/proc/{}/stat", server.pid());
    let mut looks = 0;
    wait_until("it sleeps, or is held up", || {
        let stat = fs::read_to_string(&stat).expect("it runs");
        // Each call of a traced process stops it, but not for so long.
        looks = if stat.contains(&format!(") {state} ")) {
            looks + 1
        } else {
            0
        };
        looks == 5
    });
}
