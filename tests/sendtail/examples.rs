//! The clients in `examples/`: each is run as its usage says, and gets the last lines, what is
//! appended later, and the end.

// The three-line client, in Rust and in eight other languages.
mod clients;

// Copies that survive lost connections, and say so where they cannot go on.
mod mirror;

// Replies to a mirror that the real server gives only now and then.
mod replies;

// The mirror's pure modules: cargo runs no unit tests of an example that is also to be run.
#[path = "../../examples/mirror/header.rs"]
mod header;
#[path = "../../examples/mirror/opening.rs"]
mod opening;
#[path = "../../examples/mirror/units.rs"]
mod units;

use std::fs::{self, File, Metadata};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{BINARY, start, wait_until};

/// Builds them, for a test that is not run with all the others.
pub fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--examples"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.expect("cargo runs").success());
}

/// An example in Rust, as `cargo test` builds it beside the program; `cargo test NAME` and `--test`
/// do not.
fn example(name: &str) -> Command {
    let directory = Path::new(BINARY).parent().expect("it is in a directory");
    let path = directory.join("examples").join(name);
    let built = modified(&path);
    let mut sources = vec![source(&format!("{name}.rs"))];
    if let Ok(listing) = fs::read_dir(source(name)) {
        sources.extend(listing.map(|entry| entry.expect("it can be read").path()));
    }
    let is_fresh = sources.iter().all(|source| modified(source) <= built);
    assert!(is_fresh, "{path:?} is old: `cargo build --examples`");
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// `None`, before all times, for what does not exist.
fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// A running program and what it has said. Dropping it kills it, and all that it has started.
pub struct Run {
    child: Child,
    group: Pid,
    said: TempDir,
}

impl Run {
    fn start(mut command: Command) -> Run {
        let said = tempfile::tempdir().expect("there is room for tests");
        let file = |name| File::create(said.path().join(name)).expect("the directory is ours");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let (child, group) = start(&mut command);
        Run { child, group, said }
    }

    fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn stdout_bytes(&self) -> u64 {
        let metadata = fs::metadata(self.said.path().join("stdout"));
        metadata.expect("it has been made").len()
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.said.path().join(name)).expect("it has been made");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(self.group, signal).expect("it runs");
    }

    pub fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait().expect("it is our child");
        status.is_some()
    }

    fn wait(&mut self) -> ExitStatus {
        wait_until("an example ends", || self.has_ended());
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {:?} said\n{}---", self.group, self.stderr());
        }
    }
}

/// What a mirror writes, in a directory of its own.
pub struct Local {
    _directory: TempDir,
    path: PathBuf,
}

impl Local {
    pub fn absent() -> Local {
        let directory = tempfile::tempdir().expect("there is room for tests");
        let path = directory.path().join("copy");
        Local {
            _directory: directory,
            path,
        }
    }

    fn new(content: impl AsRef<[u8]>) -> Local {
        let local = Local::absent();
        fs::write(&local.path, content).expect("the directory is ours");
        local
    }

    fn mirror(&self, address: SocketAddr) -> Run {
        Run::start(self.command(address))
    }

    fn command(&self, address: SocketAddr) -> Command {
        let mut command = example("mirror");
        command.arg(address.to_string()).arg(&self.path);
        command
    }

    pub fn mirror_of(&self, address: SocketAddr, remote: &str) -> Run {
        let mut command = self.command(address);
        command.arg(remote);
        Run::start(command)
    }

    fn content(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap_or_default()
    }

    fn wait_for(&self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        wait_until("the copy is complete", || self.length() >= expected.len());
        let content = self.content();
        assert!(content == expected, "{} bytes, but others", content.len());
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn length(&self) -> usize {
        let length = fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        usize::try_from(length).expect("tests are small")
    }

    fn metadata(&self) -> Metadata {
        fs::metadata(&self.path).expect("it has been made")
    }

    /// The mirror stops with this message, and has not written.
    fn expect_stop(&self, run: &mut Run, message: &str) {
        let content = self.content();
        let modified = self.metadata().modified().expect("the file system knows");
        expect_stop(run, message);
        let after = self.metadata().modified().expect("the file system knows");
        assert!(
            self.content() == content && after == modified,
            "it was written"
        );
    }

    fn about(&self, what: &str) -> String {
        format!("{}: {what}", self.path.display())
    }
}

/// One line, and exit status 1.
fn expect_stop(run: &mut Run, message: &str) {
    let status = run.wait();
    assert_eq!(run.stderr(), format!("mirror: {message}\n"));
    assert_eq!(status.code(), Some(1));
    assert_eq!(run.stdout(), "");
}

fn source(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    examples.join(name)
}
