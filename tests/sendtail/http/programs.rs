//! What people have: a command line with `$URL` in it, run by a shell.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::support::{Helper, Server, wait_until};

/// What a command has said, and how it has ended.
pub struct Said {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Said {
    /// It has ended well; gives its output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        String::from_utf8(self.stdout).expect("it is text")
    }
}

/// The command in a directory of its own; `curl` and `wget` ask no proxy and read no files of
/// their user.
fn shell(server: &Server, script: &str, directory: &TempDir) -> Command {
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-c", script]);
    shell.current_dir(directory.path()).stdin(Stdio::null());
    let url = format!("http://{}", server.address());
    shell
        .env("URL", url)
        .env("NO_PROXY", "*")
        .env("no_proxy", "*");
    shell.env("HOME", directory.path()).env_remove("WGETRC");
    shell
}

/// Runs it to its end.
pub fn run(server: &Server, script: &str) -> Said {
    let directory = tempfile::tempdir().expect("there is room for tests");
    let output = shell(server, script, &directory).output();
    let output = output.expect("it is installed");
    Said {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One that follows.
pub struct Following {
    script: String,
    helper: Helper,
    directory: TempDir,
}

impl Following {
    pub fn start(server: &Server, script: &str) -> Following {
        let directory = tempfile::tempdir().expect("there is room for tests");
        let file = |name| File::create(directory.path().join(name)).expect("it is ours");
        let mut shell = shell(server, &format!("{script}; echo $? >status"), &directory);
        let helper = Helper::start(shell.stdout(file("stdout")).stderr(file("stderr")));
        Following {
            script: script.to_owned(),
            helper,
            directory,
        }
    }

    /// What it has written to this file, or an empty text.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8(bytes).expect("it is text")
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// It has written this and nothing else so far.
    #[track_caller]
    pub fn wait_for(&self, expected: &str) {
        wait_until(&format!("{} writes {expected:?}", self.script), || {
            let stdout = self.read("stdout");
            let said = self.read("stderr");
            assert!(
                expected.starts_with(&stdout),
                "{}: {stdout:?}: {said}",
                self.script
            );
            stdout == expected
        });
    }

    /// Its exit status.
    pub fn wait(&mut self) -> i32 {
        wait_until(&format!("{} ends", self.script), || self.helper.has_ended());
        let status = self.read("status");
        status.trim().parse().expect("it has one")
    }
}
