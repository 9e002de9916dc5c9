//! `--socket-mode`: who may connect to a unix socket, from the moment that it is there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::TEXT;
use crate::support::{Client, Log, Server, bare, can_run, fails, has_program, wait_until, wrapped};

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    metadata.mode() & 0o7777
}

fn flag(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn the_mode_is_the_flags_whatever_the_umask_is() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let cases = [
        ("600", 0o600),
        ("660", 0o660),
        ("0666", 0o666),
        ("777", 0o777),
        ("0", 0),
        ("200", 0o200),
    ];
    for umask in ["000", "022", "077", "777"] {
        let script = format!("umask {umask}; exec \"$@\"");
        for (text, expected) in cases {
            let program =
                Server::program(&["-b", &flag(&path), "--socket-mode", text], &[&log.path]);
            let _server = Server::command(wrapped(&["sh", "-c", &script, "sh"], &program));
            assert_eq!(mode(&path), expected, "{text} under {umask}");
        }
    }
}

#[test]
fn without_the_flag_it_is_the_umasks() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    for (umask, expected) in [("022", 0o755), ("077", 0o700), ("000", 0o777)] {
        let script = format!("umask {umask}; exec \"$@\"");
        let program = Server::program(&["-b", &flag(&path)], &[&log.path]);
        let _server = Server::command(wrapped(&["sh", "-c", &script, "sh"], &program));
        assert_eq!(mode(&path), expected, "under {umask}");
    }
}

#[test]
fn each_socket_has_it_one_that_replaces_a_stale_one_too() {
    let log = Log::new(TEXT);
    let paths = ["one", "other"].map(|name| log.beside(name));
    drop(UnixListener::bind(&paths[1]).expect("the directory is ours"));
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&paths[1], open).expect("it is ours");
    let flags = paths.each_ref().map(|path| flag(path));
    let flags = [
        "--socket-mode",
        "640",
        "-b",
        &flags[0],
        "-b",
        "127.0.0.1",
        "-b",
        &flags[1],
    ];
    let server = Server::with(&flags, &[&log.path]);
    for path in &paths {
        assert_eq!(mode(path), 0o640);
        let mut client = Client::unix(path);
        client.send(b"0\n");
        client.expect(TEXT.as_bytes());
    }
    server.ask("0\n").expect(TEXT.as_bytes());
}

/// Between bind and a chmod anybody could connect: there is no such moment.
#[test]
fn it_is_set_before_anybody_could_connect() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let (path, calls) = (log.beside("socket"), log.beside("calls"));
    let output = calls.to_str().expect("it is ASCII");
    let traced = "trace=umask,bind,listen,chmod,fchmod,fchmodat";
    let wrapper = ["strace", "-o", output, "-e", traced];
    let program = Server::program(&["-b", &flag(&path), "--socket-mode", "640"], &[&log.path]);
    let _server = Server::command(wrapped(&wrapper, &program));
    wait_until("the calls are written", || {
        fs::read_to_string(&calls).is_ok_and(|calls| calls.contains("listen("))
    });
    let calls = fs::read_to_string(&calls).expect("strace writes it");
    assert!(!calls.contains("chmod"), "{calls}");
    let lines: Vec<&str> = calls.lines().collect();
    let bind = lines
        .iter()
        .position(|line| line.starts_with("bind(") && line.contains("socket"));
    let bind = bind.unwrap_or_else(|| panic!("no bind in {calls}"));
    assert!(
        bind > 0 && lines[bind - 1].starts_with("umask(0137)"),
        "{calls}"
    );
    // What it was before holds again.
    let before = lines[bind - 1]
        .rsplit(' ')
        .next()
        .expect("it has an answer");
    let after = lines[bind..].iter().find(|line| line.starts_with("umask("));
    assert!(
        after.is_some_and(|line| line.starts_with(&format!("umask({before})"))),
        "{calls}"
    );
}

#[test]
fn who_may_not_cannot_connect() {
    let stranger = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    if !can_run(&[&stranger[..], &["true"]].concat()) || !has_program("nc.openbsd") {
        return;
    }
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(log.directory.path(), open).expect("it is ours");
    for (text, may) in [("600", false), ("660", false), ("666", true), ("602", true)] {
        let flags = ["-b", &flag(&path), "--socket-mode", text];
        let _server = Server::with(&flags, &[&log.path]);
        let mut command = Command::new(stranger[0]);
        command
            .args(&stranger[1..])
            .args(["nc.openbsd", "-zU"])
            .arg(&path);
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("it is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), may, "{text}: {said}");
        assert_eq!(said.contains("Permission denied"), !may, "{text}: {said}");
        // Its owner may in any case, as root may.
        let mut client = Client::unix(&path);
        client.send(b"0\n");
        client.expect(TEXT.as_bytes());
    }
}

#[test]
fn a_mode_that_is_none_or_is_of_no_use_is_a_usage_error() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    for text in [
        "", "8", "668", "1000", "1777", "7777", "-600", "+600", "rw-", "u=rw", "0x1ff",
    ] {
        let joined = format!("--socket-mode={text}");
        let line = fails(bare(&["-b", &flag(&path), &joined], &[&log.path]), 2);
        assert!(line.contains("--socket-mode"), "{line}");
        assert!(!path.exists());
    }
    for flags in [&[][..], &["-b", "127.0.0.1"]] {
        let flags = [&["-p", "0", "--socket-mode", "660"], flags].concat();
        let line = fails(bare(&flags, &[&log.path]), 2);
        assert!(line.contains("--socket-mode"), "{line}");
    }
}
