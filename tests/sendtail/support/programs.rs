//! Programs beside the server: clients, web servers, `strace`, and command lines that are to end by
//! themselves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{BINARY, Server, has_program, start, wait_until};

/// The server's command line without `-v` and `-p 0`: only what the arguments say.
pub fn bare(flags: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(flags).args(paths).stdin(Stdio::null());
    command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
    command
}

/// Runs a start that has to fail, and gives the one line that it says.
#[track_caller]
pub fn fails(command: Command, status: i32) -> String {
    let shown = format!("{command:?}");
    let server = Server::launch(command);
    let ended = server.wait();
    let log = server.log();
    assert_eq!(ended.code(), Some(status), "{shown}: {ended}: {log}");
    let line = log.strip_suffix('\n').unwrap_or_default();
    assert!(
        line.starts_with("sendtail: ") && !line.contains(|c: char| c.is_control()),
        "not one clean line from {shown}: {log:?}"
    );
    assert_eq!(
        line.ends_with("(see --help)"),
        status == 2,
        "{shown}: {log}"
    );
    line.to_owned()
}

/// Whether this machine lets the tests run a command: a namespace, another user. Without that the
/// caller's test is skipped, or fails where everything is meant to run.
pub fn can_run(command: &[&str]) -> bool {
    if !has_program(command[0]) {
        return false;
    }
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.expect("it is installed");
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let all = std::env::var_os("SENDTAIL_TEST_ALL").is_some_and(|value| value == "1");
        assert!(!all, "{command:?} is not possible here: {reason}");
        eprintln!("skipped: {command:?} is not possible here: {reason}");
    }
    output.status.success()
}

/// A library of C that takes the place of some of the system's calls, in a directory that goes
/// with the first. Needs `has_program("cc")`.
pub fn library(source: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room for tests");
    let library = directory.path().join("library.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
    compiler.arg(&library).args([source, "-ldl"]);
    assert!(compiler.status().expect("it is installed").success());
    (directory, library)
}

/// A program that dies with its test, and all that it has started with it.
pub struct Helper {
    child: Child,
    group: Pid,
}

impl Helper {
    pub fn start(command: &mut Command) -> Helper {
        let (child, group) = start(command);
        Helper { child, group }
    }

    pub fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait().expect("it is our child");
        status.is_some()
    }

    /// Asks it to end, and waits until it has.
    pub fn end(&mut self, signal: Signal) {
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(self.group, signal);
        wait_until("a helper ends", || self.has_ended());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// An OpenBSD `nc` that follows from the beginning, as a user does, and writes what it gets to a
/// file.
pub fn netcat(server: &Server, received: &Path) -> Helper {
    let script = "echo 0 | exec nc.openbsd 127.0.0.1 $0";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, &server.address().port().to_string()]);
    let file = File::create(received).expect("the directory is ours");
    Helper::start(shell.stdin(Stdio::null()).stdout(file))
}

/// `strace` attached to a running server: what it asks of the kernel, a line a call.
pub struct Tracer {
    strace: Helper,
    directory: TempDir,
}

impl Tracer {
    /// Returns once it is attached. Needs `has_program("strace")`.
    pub fn attach(server: &Server, flags: &[&str]) -> Tracer {
        let directory = tempfile::tempdir().expect("there is room for tests");
        let said = File::create(directory.path().join("said")).expect("the directory is ours");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-o"])
            .arg(directory.path().join("calls"));
        command.args(flags).args(["-p", &server.pid().to_string()]);
        let strace = Helper::start(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(said),
        );
        let mut tracer = Tracer { strace, directory };
        wait_until("strace is attached", || {
            let said = fs::read_to_string(tracer.directory.path().join("said"));
            let said = said.expect("it has just been made");
            assert!(!tracer.strace.has_ended(), "strace cannot attach: {said}");
            said.contains("attached")
        });
        tracer
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.directory.path().join("calls"));
        calls
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The calls within a stretch of time, which has to be spent: that nothing is called is no
    /// event. Gives the true length too, since a busy machine may make it longer.
    pub fn measure(&self, window: Duration) -> (Vec<String>, Duration) {
        let start = Instant::now();
        let before = self.calls().len();
        std::thread::sleep(window);
        (self.calls().split_off(before), start.elapsed())
    }

    /// How often the server was stopped by SIGSTOP so far.
    pub fn stops(&self) -> usize {
        let calls = self.calls();
        let stops = calls
            .iter()
            .filter(|call| call.contains("stopped by SIGSTOP"));
        stops.count()
    }

    /// Detaches between two calls. One that it is about to make fail would do so with ENOSYS.
    pub fn detach_between_calls(&mut self, server: &Server) -> Vec<String> {
        let stops = self.stops();
        server.signal(Signal::SIGSTOP);
        wait_until("the server stops", || self.stops() > stops);
        let calls = self.detach();
        server.signal(Signal::SIGCONT);
        calls
    }

    /// Detaches; the server runs on, and all of its calls are written.
    pub fn detach(&mut self) -> Vec<String> {
        self.strace.end(Signal::SIGINT);
        self.calls()
    }
}
