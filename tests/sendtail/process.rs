//! The process as an operator meets it: arguments and exit statuses, what happens to stdout and
//! stderr, signals, and the log.

mod held_back; // limits on repetition
mod journal; // priorities
mod messages; // levels, and what strangers cannot do to the log
mod shutdown; // SIGTERM and SIGINT: what becomes of each client, and the exit status
mod signals; // SIGHUP, SIGPIPE, SIGIO, SIGSTOP
mod totals; // SIGUSR1

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::support::{Client, Log, Server, bare, fails, has_program, wait_until, wrapped};

const TEXT: &str = "one\ntwo\n";

#[test]
fn wrong_flags_are_a_usage_error() {
    let log = Log::new(TEXT);
    let cases: &[&[&str]] = &[
        &["--nonsense"],
        &["-Z"],
        &["--port"],
        &["--drain"],
        &["--two\nlines"],
        &["-q", "-v"],
        &["--verbose=yes"],
        &["-p", "1", "-p", "2"],
        &["-p", "0x10"],
        &["-p", "65536"],
        &["-p", "70000"],
    ];
    for flags in cases {
        // Behind the path, so that a flag without its value does not take the path for it.
        let mut command = bare(&["-p", "0"], &[&log.path]);
        if flags[0] == "-p" {
            command = bare(&[], &[&log.path]);
        }
        command.args(*flags);
        fails(command, 2);
    }
}

#[test]
fn bad_numbers_are_a_usage_error() {
    let log = Log::new(TEXT);
    let numbers = ["", "x", "-1", "1.5", "1x", " 1", "99999999999999999999"];
    for flag in ["--port", "--max-clients", "--header-timeout", "--keepalive"] {
        for number in numbers {
            let joined = format!("{flag}={number}");
            let line = fails(bare(&[&joined], &[&log.path]), 2);
            assert!(line.contains(flag), "{line}");
        }
        let mut command = bare(&[flag], &[]);
        command.arg(OsStr::from_bytes(b"\xff")).arg(&log.path);
        fails(command, 2);
    }
}

#[test]
fn numbers_out_of_range_are_a_usage_error_and_the_largest_serve() {
    let log = Log::new(TEXT);
    for flag in [
        "--max-clients=0",
        "--header-timeout=0",
        "--keepalive=0",
        // The kernel's limit is 32767.
        "--keepalive=32768",
        "--keepalive=4294967296",
    ] {
        fails(bare(&["-p", "0", flag], &[&log.path]), 2);
    }
    let flags = [
        "--max-clients=4294967295",
        "--header-timeout=4294967295",
        "--keepalive=32767",
    ];
    let server = Server::with(&flags, &[&log.path]);
    server.ask("0\n").expect(TEXT.as_bytes());
}

#[test]
fn paths_without_a_name_of_their_own_are_a_usage_error() {
    let log = Log::new(TEXT);
    for directory in ["a", "b"] {
        let directory = log.beside(directory);
        fs::create_dir(&directory).expect("the directory is ours");
        fs::write(directory.join("x"), TEXT).expect("the directory is ours");
    }
    let one = log.beside("a/x");
    let other = log.beside("b/x");
    let slash = log.beside("b/x/");
    let hidden = log.beside(".hidden");
    let cases: [&[&Path]; 9] = [
        &[],
        &[&one, &hidden],
        &[&one, &other],
        &[&one, &one],
        &[&other, &log.path, &one],
        &[&one, &slash],
        &[&one, Path::new("/")],
        &[Path::new(".."), &one],
        &[&one, &log.beside("a/..")],
    ];
    for paths in cases {
        fails(bare(&["-p", "0"], paths), 2);
    }
}

#[test]
fn a_path_that_cannot_be_served_is_said_at_the_start() {
    let log = Log::new(TEXT);
    let fifo = log.beside("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("the directory is ours");
    let socket = log.beside("socket");
    let _listener = UnixListener::bind(&socket).expect("the directory is ours");
    let circle = log.beside("circle");
    symlink("circle", &circle).expect("the directory is ours");
    let linked = log.beside("linked");
    symlink(&fifo, &linked).expect("the directory is ours");
    let strange = "not a regular file or directory";
    let cases = [
        (log.beside("absent/log"), "No such file or directory"),
        (log.beside("absent/."), "No such file or directory"),
        (log.beside("absent/"), "No such file or directory"),
        (log.path.join("log"), "Not a directory"),
        (fifo, strange),
        (linked, strange),
        (socket, strange),
        ("/dev/null".into(), strange),
        (log.beside(&"x".repeat(256)), "File name too long"),
    ];
    for (path, reason) in cases {
        let expected = format!("sendtail: cannot open {}: {reason}", path.display());
        assert_eq!(fails(bare(&["-p", "0"], &[&path]), 1), expected);
        // A good path beside it does not help.
        let both = [&*log.path, &*path];
        if path.file_name() != log.path.file_name() {
            assert_eq!(fails(bare(&["-p", "0"], &both), 1), expected);
        }
    }
    // There are two wordings of this reason.
    let line = fails(bare(&["-p", "0"], &[&circle]), 1);
    let start = format!("sendtail: cannot open {}: Too many ", circle.display());
    assert!(line.starts_with(&start), "{line}");
}

#[test]
fn an_argument_cannot_break_the_line() {
    let log = Log::new(TEXT);
    let absent = log.beside("a\nb\x1b[31m/log");
    let line = fails(bare(&["-p", "0"], &[&absent]), 1);
    assert!(line.ends_with(": No such file or directory"), "{line}");
    let socket = format!("unix:{}", absent.display());
    let line = fails(bare(&["-b", &socket], &[&log.path]), 1);
    assert!(line.ends_with(": No such file or directory"), "{line}");
    let twins = [absent.as_path(), &log.path];
    fails(bare(&["-p", "0"], &twins), 2);
}

#[test]
fn a_path_that_may_not_be_read_is_said_at_the_start() {
    let log = Log::new(TEXT);
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(&log.path, closed).expect("it is ours");
    let Some(mut command) = Server::unprivileged(&[], &[&log.path]) else {
        return;
    };
    // Only the failure is wanted, without what `-v` adds.
    command.env("RUST_LOG", "info");
    let path = log.path.display();
    let expected = format!("sendtail: cannot open {path}: Permission denied");
    assert_eq!(fails(command, 1), expected);
}

#[test]
fn help_and_version_go_to_stdout() {
    let version = format!("sendtail {}\n", env!("CARGO_PKG_VERSION"));
    for (flag, expected) in [
        ("--version", version.as_str()),
        ("-V", &version),
        ("--help", "--header-timeout"),
        ("-h", "--header-timeout"),
    ] {
        let server = Server::launch(bare(&[flag], &[]));
        assert_eq!(server.wait().code(), Some(0), "{flag}");
        assert!(server.stdout().contains(expected), "{}", server.stdout());
        assert_eq!(server.log(), "", "{flag}");
    }
}

#[test]
fn the_help_names_every_flag() {
    let server = Server::launch(bare(&["--help"], &[]));
    server.wait();
    let help = server.stdout();
    let flags = [
        "-p, --port",
        "-b, --bind",
        "--max-clients",
        "--max-clients-per-host",
        "--allow",
        "--socket-mode",
        "--no-sandbox",
        "--header-timeout",
        "--keepalive",
        "-v, --verbose",
        "-q, --quiet",
        "-h, --help",
        "-V, --version",
    ];
    for flag in flags {
        assert!(help.contains(flag), "no {flag} in {help}");
    }
    for default in ["4321", "127.0.0.1", "::1", "30", "60"] {
        assert!(help.contains(default), "no default {default} in {help}");
    }
}

#[test]
fn help_and_version_survive_a_stdout_that_takes_nothing() {
    for flag in ["--help", "--version"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let (broken, other) = UnixStream::pair().expect("there are sockets");
        drop(other);
        for stdout in [
            Stdio::from(full.expect("Linux has it")),
            Stdio::from(OwnedFd::from(broken)),
        ] {
            let output = bare(&[flag], &[]).stdout(stdout).output();
            let output = output.expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{flag}: {said}");
            assert_eq!(said, "", "{flag}");
        }
        let closed = ["sh", "-c", "exec \"$@\" >&-", "sh"];
        let server = Server::launch(wrapped(&closed, &bare(&[flag], &[])));
        assert_eq!(server.wait().code(), Some(0), "{flag}");
        assert_eq!(server.log(), "", "{flag}");
    }
}

#[test]
fn a_lost_stdout_or_stderr_stops_nothing() {
    for redirection in [
        ">&-",
        "2>&-",
        ">&- 2>&-",
        "<&- >&- 2>&-",
        ">/dev/full",
        "2>/dev/full",
        ">/dev/full 2>/dev/full",
    ] {
        let log = Log::new(TEXT);
        let path = log.beside("socket");
        let flags = ["-v", "-b", &format!("unix:{}", path.display())];
        let script = format!("exec \"$@\" {redirection}");
        let command = wrapped(&["sh", "-c", &script, "sh"], &bare(&flags, &[&log.path]));
        let server = Server::launch(command);
        serves_without_output(&server, &log, &path);
    }
}

#[test]
fn broken_pipes_at_stdout_and_stderr_stop_nothing() {
    if !has_program("bash") {
        return;
    }
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let flags = ["-v", "-b", &format!("unix:{}", path.display())];
    // The readers of both pipes end at once.
    let script = "exec \"$@\" > >(:) 2> >(:)";
    let command = wrapped(&["bash", "-c", script, "bash"], &bare(&flags, &[&log.path]));
    let server = Server::launch(command);
    serves_without_output(&server, &log, &path);
}

/// It serves, logs into the void, writes nothing of that into what it serves, and ends as it
/// should.
fn serves_without_output(server: &Server, log: &Log, path: &Path) {
    wait_until("it serves", || UnixStream::connect(path).is_ok());
    let mut client = Client::unix(path);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
    server.signal(Signal::SIGUSR1);
    log.append("three\n");
    client.expect(b"three\n");
    let mut wrong = Client::unix(path);
    wrong.send(b"nonsense\n");
    wrong.expect_error("bad start");
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop((client, wrong));
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(
        fs::read(&log.path).expect("it is there"),
        b"one\ntwo\nthree\n"
    );
}

#[test]
fn the_order_of_flags_and_paths_is_free() {
    let log = Log::new(TEXT);
    let mut command = Command::new("env");
    command.arg(env!("CARGO_BIN_EXE_sendtail"));
    command.arg(&log.path).args(["-vv", "-p", "0"]);
    let server = Server::command(command);
    server.ask("0\n").expect(TEXT.as_bytes());
    // A name that looks like a flag.
    let dashed = log.beside("-v");
    fs::rename(&log.path, &dashed).expect("the directory is ours");
    let mut command = bare(&["-p", "0", "--", "-v"], &[]);
    let server = Server::command({
        command.current_dir(log.directory.path());
        command
    });
    server.ask("0\n").expect(TEXT.as_bytes());
}
