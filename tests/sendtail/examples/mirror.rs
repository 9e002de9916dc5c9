//! `mirror`: a local file that becomes and stays the remote one, and that is left alone where that
//! cannot be.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{Local, Run, example, expect_stop};
use crate::support::{Log, Server, append, has_program, numbered_lines, wait_until};

#[test]
fn a_copy_is_made_and_followed_in_silence() {
    let mut content = numbered_lines(100_000);
    let log = Log::new(&content);
    let server = log.server();
    let local = Local::absent();
    let mut run = local.mirror(server.address());
    local.wait_for(&content);
    for appended in ["appended\n", "unterminated"] {
        log.append(appended);
        content += appended;
        local.wait_for(&content);
    }
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait().signal(), Some(Signal::SIGINT as i32));
    // It is no terminal that it could have told anything.
    assert_eq!(run.stderr() + &run.stdout(), "");
}

#[test]
fn a_copy_of_any_length_is_continued() {
    let mut content = numbered_lines(1000);
    let log = Log::new(&content);
    let server = log.server();
    let lengths = [0, 1, 63, 64, 65, 127, 128, 5000, content.len()];
    let copies = lengths.map(|length| Local::new(&content[..length]));
    let _runs = copies
        .each_ref()
        .map(|local| local.mirror(server.address()));
    for local in &copies {
        local.wait_for(&content);
    }
    log.append("appended\n");
    content += "appended\n";
    for local in &copies {
        local.wait_for(&content);
    }
}

#[test]
fn a_killed_mirror_goes_on_where_it_was() {
    let mut content = numbered_lines(1_000_000);
    let log = Log::new(&content);
    let server = log.server();
    let local = Local::absent();
    for quarter in 1..=3 {
        let run = local.mirror(server.address());
        let enough = content.len() / 4 * quarter;
        wait_until("some of it is copied", || local.length() > enough);
        run.signal(Signal::SIGKILL);
    }
    log.append("appended\n");
    content += "appended\n";
    let _run = local.mirror(server.address());
    local.wait_for(&content);
}

#[test]
fn a_lost_connection_is_continued() {
    let mut content = numbered_lines(100);
    let log = Log::new(&content);
    // An address of its own: no other test takes the port while nobody listens there.
    let server = Server::with(&["-b", "127.0.0.2"], &[&log.path]);
    let port = server.address().port().to_string();
    let mut server = Some(server);
    let local = Local::absent();
    let run = local.mirror(server.as_ref().expect("it runs").address());
    local.wait_for(&content);
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        if let Some(server) = server.take() {
            server.signal(signal);
            server.wait();
        }
        log.append("appended meanwhile\n");
        let flags = ["-b", "127.0.0.2", "-p", &port];
        server = Some(Server::with(&flags, &[&log.path]));
        content += "appended meanwhile\n";
        local.wait_for(&content);
        log.append("appended\n");
        content += "appended\n";
        local.wait_for(&content);
    }
    assert_eq!(run.stderr(), "");
}

#[test]
fn the_first_connection_has_to_succeed() {
    let log = Log::new("one\n");
    let server = Server::with(&["-b", "127.0.0.3"], &[&log.path]);
    let address = server.address();
    drop(server);
    let local = Local::new("one\n");
    let refused = format!("{address}: Connection refused");
    local.expect_stop(&mut local.mirror(address), &refused);
}

#[test]
fn a_difference_ends_it() {
    let content = numbered_lines(100);
    let log = Log::new(&content);
    let server = log.server();
    // The local length, and the byte of it that is another one: the last 64 are looked at.
    for (length, place) in [(1, 0), (64, 0), (64, 63), (500, 436), (500, 499)] {
        let mut bytes = content.as_bytes()[..length].to_vec();
        bytes[place] = b'X';
        let local = Local::new(bytes);
        let differs = local.about(&format!("differs from the remote file at byte {place}"));
        local.expect_stop(&mut local.mirror(server.address()), &differs);
    }
}

#[test]
fn a_difference_is_found_when_a_lost_connection_comes_back() {
    let log = Log::new("one\ntwo\n");
    let server = Server::with(&["-b", "127.0.0.4"], &[&log.path]);
    let port = server.address().port().to_string();
    let local = Local::absent();
    let mut run = local.mirror(server.address());
    local.wait_for("one\ntwo\n");
    drop(server);
    fs::write(&log.path, "one\nTWO\nthree\n").expect("it is ours");
    let _server = Server::with(&["-b", "127.0.0.4", "-p", &port], &[&log.path]);
    let differs = local.about("differs from the remote file at byte 4");
    local.expect_stop(&mut run, &differs);
    assert_eq!(local.content(), b"one\ntwo\n");
}

#[test]
fn one_mirror_a_file() {
    let log = Log::new("one\n");
    let server = log.server();
    let local = Local::absent();
    let run = local.mirror(server.address());
    local.wait_for("one\n");
    let locked = local.about("locked by another process");
    local.expect_stop(&mut local.mirror(server.address()), &locked);
    // The lock goes with its holder.
    drop(run);
    log.append("two\n");
    let _run = local.mirror(server.address());
    local.wait_for("one\ntwo\n");
}

#[test]
fn what_the_server_refuses_ends_it() {
    let log = Log::new("one\n");
    let server = Server::start(&[log.directory.path()]);
    let address = server.address();
    for content in ["", "one\n", &numbered_lines(100)] {
        let local = Local::new(content);
        let mut run = local.mirror_of(address, "missing");
        local.expect_stop(&mut run, &format!("{address}: no such file"));
        let mut run = local.mirror(address);
        local.expect_stop(&mut run, &format!("{address}: path needed"));
    }
}

#[test]
fn a_shorter_remote_file_ends_it() {
    let content = numbered_lines(100);
    let log = Log::new(&content[..500]);
    let server = log.server();
    let shorter = format!(
        "{}: remote file is shorter than the local one?",
        server.address()
    );
    // By less than the overlap, by as much, by more.
    let copies = [501, 563, 564, 565, content.len()].map(|length| Local::new(&content[..length]));
    let runs = copies
        .each_ref()
        .map(|local| local.mirror(server.address()));
    for (local, mut run) in copies.iter().zip(runs) {
        local.expect_stop(&mut run, &shorter);
    }
}

/// The stream goes on, and the copy with it. A connection that is lost after that cannot be
/// continued: no remote file is what was copied.
#[test]
fn a_truncated_or_rotated_remote_file_goes_on_until_the_connection_is_lost() {
    let truncate = |log: &Log| fs::write(&log.path, "new\n").expect("it is ours");
    let rotate = |log: &Log| {
        fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        truncate(log);
    };
    type Change<'a> = &'a (dyn Fn(&Log) + Sync);
    let cases: [(&str, Change, &str, &str); 3] = [
        (
            "127.0.0.7",
            &truncate,
            "",
            "remote file is shorter than the local one?",
        ),
        (
            "127.0.0.8",
            &rotate,
            "",
            "remote file is shorter than the local one?",
        ),
        // It has become longer than the copy while the connection was lost.
        (
            "127.0.0.9",
            &truncate,
            &"x".repeat(5000),
            "differs from the remote file at byte 735",
        ),
    ];
    std::thread::scope(|scope| {
        for (host, change, meanwhile, why) in cases {
            scope.spawn(move || {
                let mut content = numbered_lines(100);
                let log = Log::new(&content);
                let server = Server::with(&["-b", host], &[&log.path]);
                let address = server.address();
                let local = Local::absent();
                let mut run = local.mirror(address);
                local.wait_for(&content);
                // The turn that has sent it is over.
                server.totals("clients");
                change(&log);
                log.append("more\n");
                content += "new\nmore\n";
                local.wait_for(&content);
                drop(server);
                log.append(meanwhile);
                let flags = ["-b", host, "-p", &address.port().to_string()];
                let _server = Server::with(&flags, &[&log.path]);
                let message = match meanwhile {
                    "" => format!("{address}: {why}"),
                    _ => local.about(why),
                };
                local.expect_stop(&mut run, &message);
            });
        }
    });
}

#[test]
fn an_empty_remote_file_is_waited_for() {
    let log = Log::absent();
    let server = Server::with(&["-b", "127.0.0.5"], &[&log.path]);
    let port = server.address().port().to_string();
    let local = Local::absent();
    let _run = local.mirror(server.address());
    wait_until("it has asked", || server.totals("clients") == 1);
    drop(server);
    let server = Server::with(&["-b", "127.0.0.5", "-p", &port], &[&log.path]);
    wait_until("it asks again", || server.totals("clients") == 1);
    fs::write(&log.path, "e").expect("the directory is ours");
    // The first letter of an error is no error.
    append(&log.path, b"rr");
    append(&log.path, b"and\n");
    local.wait_for("errand\n");
}

#[test]
fn a_name_may_be_any() {
    let log = Log::new("");
    let name = "10% = ü\n.log";
    fs::write(log.beside(name), "one\n").expect("the directory is ours");
    let server = Server::start(&[log.directory.path()]);
    let local = Local::absent();
    let _run = local.mirror_of(server.address(), name);
    local.wait_for("one\n");
}

#[test]
fn a_full_disk_ends_it() {
    // A limit of the shell stands for the disk: 8 blocks of 512 bytes, or of 1024 in some shells.
    let content = numbered_lines(10_000);
    let log = Log::new(&content);
    let server = log.server();
    let local = Local::absent();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$@""#, "sh"]);
    let command = local.command(server.address());
    shell.arg(command.get_program()).args(command.get_args());
    let mut run = Run::start(shell);
    expect_stop(&mut run, &local.about("File too large"));
    let written = local.content();
    assert!(!written.is_empty() && content.as_bytes().starts_with(&written));
    let _run = local.mirror(server.address());
    local.wait_for(&content);
}

#[test]
fn only_regular_files_are_copies() {
    let log = Log::new("one\n");
    let address = log.server().address().to_string();
    for (path, why) in [
        (Path::new("/dev/null"), "not a regular file"),
        (log.directory.path(), "Is a directory"),
        (&log.beside("missing/copy"), "No such file or directory"),
    ] {
        let mut command = example("mirror");
        command.arg(&address).arg(path);
        expect_stop(
            &mut Run::start(command),
            &format!("{}: {why}", path.display()),
        );
    }
}

#[test]
fn usage() {
    for arguments in [&[][..], &["one"], &["one", "two", "three", "four"]] {
        let mut command = example("mirror");
        command.args(arguments);
        let mut run = Run::start(command);
        assert_eq!(run.wait().code(), Some(2));
        assert!(
            run.stderr().starts_with("usage: mirror "),
            "{}",
            run.stderr()
        );
    }
}

#[test]
fn a_terminal_sees_the_progress() {
    if !has_program("script") {
        return;
    }
    let content = "x".repeat(123_456);
    let log = Log::new(&content);
    let server = Server::with(&["-b", "127.0.0.6"], &[&log.path]);
    let port = server.address().port().to_string();
    let local = Local::absent();
    let mut script = Command::new("script");
    let typed = format!("{:?}", local.command(server.address()));
    script.args(["-qefc", &typed, "/dev/null"]);
    let mut run = Run::start(script);
    local.wait_for(&content);
    let shows = |run: &Run, text: &str| wait_until(text, || run.stdout().contains(text));
    shows(&run, "\r123 kB  0 B/s\u{1b}[K");
    drop(server);
    shows(&run, ": connection closed; again in 0.1 s");
    shows(&run, ": Connection refused; again in 0.4 s");
    fs::write(&log.path, "y".repeat(123_456)).expect("it is ours");
    let _server = Server::with(&["-b", "127.0.0.6", "-p", &port], &[&log.path]);
    assert_eq!(run.wait().code(), Some(1));
    // The message does not begin in the line of the progress.
    let message = local.about("differs from the remote file at byte 123392");
    let stdout = run.stdout();
    assert!(
        stdout.ends_with(&format!("\r\nmirror: {message}\r\n")),
        "{stdout:?}"
    );
}

#[test]
fn a_silent_server_is_probed() {
    let log = Log::new("one\n");
    let server = log.server();
    let port = format!(":{:04X}", server.address().port());
    let local = Local::absent();
    let _run = local.mirror(server.address());
    local.wait_for("one\n");
    wait_until("the keepalive timer runs", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("there is IPv4");
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let timer = fields[5]
                .strip_prefix("02:")
                .map(|left| u64::from_str_radix(left, 16));
            // In hundredths of a second, and two hours where nobody has set it.
            fields[2].ends_with(&port)
                && timer.is_some_and(|left| left.is_ok_and(|left| left <= 6000))
        })
    });
}
