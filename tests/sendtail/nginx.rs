//! Real logs: the access log of an nginx under load, also while it is rotated, and the log of this
//! machine's package manager.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::support::{Helper, Log, Server, has_program, netcat, wait_until};

const CONNECTIONS: usize = 4;
const BATCHES: usize = 25;
/// Requests that are sent before their answers are read.
const BATCH: usize = 40;

#[test]
fn the_access_log_of_a_busy_nginx_arrives_whole() {
    if !has_program("nginx") || !has_program("nc.openbsd") {
        return;
    }
    let log = Log::absent();
    let server = log.server();
    // Both are there before the file is.
    let mut client = server.ask("0\n");
    let received = log.beside("received");
    let _nc = netcat(&server, &received);
    let (mut nginx, socket) = nginx(&log);
    let mut late = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                scope.spawn({
                    let socket = &socket;
                    move || load(socket, number, |batch| batch < BATCHES)
                })
            })
            .collect();
        // A client in the midst of it.
        let late = server.ask("+1\n");
        for load in loads {
            load.join().expect("nginx answers");
        }
        late
    });
    // When it has ended, all of its log is written.
    nginx.end(Signal::SIGQUIT);
    let written = fs::read(&log.path).expect("nginx has made it");
    let lines = written.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, CONNECTIONS * BATCHES * BATCH, "{}", error_log(&log));
    client.expect(&written);
    late.expect(&written);
    wait_until("nc has all of it", || {
        fs::metadata(&received).is_ok_and(|file| file.len() >= written.len() as u64)
    });
    assert!(
        fs::read(&received).expect("it is there") == written,
        "nc got other bytes"
    );
}

/// As its manual says: `mv`, then USR1, upon which each worker opens the log anew in its own time.
#[test]
fn the_access_log_of_a_busy_nginx_arrives_whole_through_rotations() {
    const ROTATIONS: usize = 8;
    if !has_program("nginx") || !has_program("nc.openbsd") {
        return;
    }
    let log = Log::absent();
    let server = log.server();
    let mut client = server.ask("0\n");
    let received = log.beside("received");
    let _nc = netcat(&server, &received);
    let (mut nginx, socket) = nginx(&log);
    let renamed = |rotation| log.beside(&format!("log.{rotation}"));
    let mut early_bytes = 0;
    let done = AtomicBool::new(false);
    let requests: usize = std::thread::scope(|scope| {
        let (socket, done) = (&socket, &done);
        let under_way = move |_| !done.load(Ordering::Relaxed);
        let load = |number| scope.spawn(move || load(socket, number, under_way));
        let loads: Vec<_> = (0..CONNECTIONS).map(load).collect();
        for rotation in 1..=ROTATIONS {
            wait_until("the log grows", || size(&log.path) > 100_000);
            fs::rename(&log.path, renamed(rotation)).expect("it is there");
            early_bytes += size(&renamed(rotation));
            reopen(&log);
        }
        wait_until("the log grows", || size(&log.path) > 100_000);
        done.store(true, Ordering::Relaxed);
        let loads = loads.into_iter();
        loads.map(|load| load.join().expect("nginx answers")).sum()
    });
    nginx.end(Signal::SIGQUIT);
    let old = (1..=ROTATIONS).map(|rotation| fs::read(renamed(rotation)).expect("it is there"));
    let mut written = old.collect::<Vec<_>>().concat();
    assert!(
        written.len() as u64 > early_bytes,
        "nobody wrote to a renamed file"
    );
    written.extend(fs::read(&log.path).expect("it is there"));
    let lines = written.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, requests, "{}", error_log(&log));
    client.expect(&written);
    wait_until("nc has all of it", || {
        size(&received) >= written.len() as u64
    });
    let received = fs::read(&received).expect("it is there");
    assert!(received == written, "nc got other bytes");
    for field in ["cut", "gaps", "missed", "late", "unverified"] {
        assert_eq!(server.totals(field), 0, "{field}");
    }
}

#[test]
fn the_log_of_this_machine_is_served() {
    let path = Path::new("/var/log/dpkg.log");
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let content = fs::read(path).expect("everybody may read it");
    let server = Server::start(&[path]);
    server.ask("0\n").expect(&content);
    let tail = Command::new("tail").arg("-n10").arg(path).output();
    let tail = tail.expect("it is installed").stdout;
    for header in ["-10\n", "\n", "-10 dpkg.log\n"] {
        server.ask(header).expect(&tail);
    }
}

/// Two workers that write one access log, and where they listen; all of its files are in the test's
/// directory.
fn nginx(log: &Log) -> (Helper, PathBuf) {
    let directory = log.directory.path().display();
    let root =
        fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let user = if root { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {directory}/{kind};\n"))
        .collect();
    let config = format!(
        "{user} daemon off; worker_processes 2; pid {directory}/nginx.pid;
        error_log {directory}/error.log; events {{ worker_connections 64; }}
        http {{
            {temporary} access_log {directory}/log; keepalive_requests 1000000;
            server {{ listen unix:{directory}/nginx.sock; location / {{ return 200 \"ok\\n\"; }} }}
        }}"
    );
    let path = log.beside("nginx.conf");
    fs::write(&path, config).expect("the directory is ours");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(log.directory.path());
    command.arg("-e").arg(log.beside("error.log"));
    command.arg("-c").arg(path).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut nginx = Helper::start(&mut command);
    let socket = log.beside("nginx.sock");
    wait_until("nginx listens", || {
        assert!(!nginx.has_ended(), "{}", error_log(log));
        UnixStream::connect(&socket).is_ok()
    });
    (nginx, socket)
}

fn reopen(log: &Log) {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -USR1 $(cat $0)"]);
    kill.arg(log.beside("nginx.pid"));
    assert!(kill.status().expect("it is installed").success());
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn error_log(log: &Log) -> String {
    fs::read_to_string(log.beside("error.log")).unwrap_or_default()
}

/// One keep-alive connection, always with some requests on their way. Returns their number.
fn load(socket: &Path, connection: usize, goes_on: impl Fn(usize) -> bool) -> usize {
    let mut stream = UnixStream::connect(socket).expect("nginx listens");
    let mut answers = BufReader::new(stream.try_clone().expect("there are descriptors"));
    let mut line = String::new();
    let mut batch = 0;
    while goes_on(batch) {
        let requests: String = (0..BATCH)
            .map(|number| format!("GET /{connection}/{batch}/{number} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .collect();
        stream.write_all(requests.as_bytes()).expect("nginx reads");
        let mut answered = 0;
        while answered < BATCH {
            line.clear();
            assert_ne!(answers.read_line(&mut line).expect("nginx answers"), 0);
            answered += usize::from(line == "ok\n");
        }
        batch += 1;
    }
    batch * BATCH
}
