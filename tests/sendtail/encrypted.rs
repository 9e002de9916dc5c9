//! Through ssh, stunnel and WireGuard, with the texts of the README and the real programs: what
//! comes out is what was written, also live, and the end is an end.

mod ssh;
mod stunnel;
mod wireguard;

use std::fs::{File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{Client, Helper, Log, Server, numbered_lines, wait_until};

const README: &str = include_str!("../../README.md");

/// Some megabytes, no two lines alike.
fn text() -> String {
    numbered_lines(200_000)
}

/// The block of the README that begins with this line.
fn block(first_line: &str) -> &'static str {
    let start = README.find(&format!("```ini\n{first_line}\n"));
    let block = &README[start.unwrap_or_else(|| panic!("no {first_line} in the README"))..];
    let block = block.trim_start_matches("```ini\n");
    block.split("```").next().expect("it is split")
}

/// The commands of the README that begin like this, without their comments.
fn commands(start: &str) -> Vec<&'static str> {
    let commands = README.lines().filter(|line| line.starts_with(start));
    let commands: Vec<&str> = commands
        .map(|line| line.split(" #").next().unwrap_or_default().trim_end())
        .collect();
    assert!(!commands.is_empty(), "no {start} in the README");
    commands
}

/// A server where the README has it: on its own port and on a socket.
fn server(log: &Log) -> (Server, PathBuf) {
    let path = log.beside("sendtail.sock");
    let unix = format!("unix:{}", path.display());
    // Whoever logs in by ssh may connect.
    let open = Permissions::from_mode(0o755);
    std::fs::set_permissions(log.directory.path(), open).expect("it is ours");
    let flags = [
        "-p",
        "4321",
        "-b",
        "127.0.0.1",
        "-b",
        &unix,
        "--socket-mode",
        "666",
    ];
    (Server::with(&flags, &[&log.path]), path)
}

/// A tool that ends with its test; its own messages are shown when that fails.
fn start(command: &mut Command) -> Helper {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    Helper::start(command)
}

/// A connection through a tunnel, as soon as that is there.
fn connect(address: &str) -> Client {
    let mut stream = None;
    wait_until(&format!("{address} is reached"), || {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    Client::new(stream.expect("it has been seen"))
}

/// The whole text comes through, then lines as they are written, then the end.
fn expect_followed(mut client: Client, log: &Log, server: Server) {
    client.send(b"0\n");
    client.expect(text().as_bytes());
    for number in 0..20 {
        let line = format!("live {number}\n");
        log.append(&line);
        client.expect(line.as_bytes());
    }
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// The same for a command that writes what it gets, and ends with its stream.
fn expect_shown(script: &str, log: &Log, server: Server) {
    let received = log.beside("received");
    let output = File::create(&received).expect("the directory is ours");
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(log.directory.path());
    let mut client = Helper::start(shell.stdin(Stdio::null()).stdout(output));
    let mut expected = last_lines(&text(), 10);
    expect_content(&received, &expected);
    for number in 0..20 {
        let line = format!("live {number}\n");
        log.append(&line);
        expected.push_str(&line);
        expect_content(&received, &expected);
    }
    server.signal(Signal::SIGTERM);
    wait_until("the client ends", || client.has_ended());
    expect_content(&received, &expected);
    assert_eq!(server.wait().code(), Some(0));
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines[lines.len() - count..].concat()
}

fn expect_content(path: &Path, expected: &str) {
    wait_until(&format!("it is shown: {expected}"), || {
        let shown = std::fs::read_to_string(path).expect("it is text");
        assert!(expected.starts_with(&shown), "{shown}");
        shown == expected
    });
}
