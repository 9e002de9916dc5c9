//! Every command of the README does what is said there, run as a person would: in a shell, on a
//! terminal, one behind the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Helper, Server, append, has_program, wait_until};

const README: &str = include_str!("../../README.md");
const GATE: &str = include_str!("../../.ci/run");

/// What the README's paths lead to here.
const LOGS: [&str; 4] = [
    "var/log/dpkg.log",
    "var/log/nginx/access.log",
    "var/log/nginx/error.log",
    "srv/app/app.log",
];

/// What takes too long for a test, or is one. The gate runs it.
const THE_GATES: [&str; 3] = [
    "cargo install",
    "cargo test",
    "cargo run --release --example",
];

/// Less than 4096 bytes of lines.
const LINES_MAX: u32 = 40;
const PAUSE: Duration = Duration::from_millis(200);

#[test]
fn every_command_does_what_is_said() {
    // `script` gives the terminal, without which grep would keep lines to itself.
    if !["curl", "mawk", "nc", "socat", "script"]
        .map(has_program)
        .iter()
        .all(|has| *has)
    {
        return;
    }
    let place = Place::new();
    let mut server = None;
    let (mut served, mut asked) = (0, 0);
    for command in README
        .lines()
        .filter_map(|line| line.strip_prefix("    $ "))
    {
        let arguments =
            ["sendtail ", "cargo run --release -- "].map(|start| command.strip_prefix(start));
        match arguments.into_iter().flatten().next() {
            Some(arguments) => {
                server = Some(place.serve(arguments));
                served += 1;
            }
            None if THE_GATES.iter().any(|start| command.starts_with(start)) => {
                assert!(GATE.contains(command), "nobody has tried `{command}`");
            }
            None => {
                let server = server.as_ref().expect("a server comes before its clients");
                place.ask(command, server);
                asked += 1;
            }
        }
    }
    assert!(
        served >= 6 && asked >= 10,
        "{served} servers and {asked} clients: the README reads differently"
    );
}

/// A directory that stands for the root of the README's host.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().expect("there is room for tests");
        for log in LOGS {
            let path = root.path().join(log);
            fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it is ours");
            fs::write(&path, "an old line\n").expect("it is ours");
        }
        fs::create_dir_all(root.path().join("run/sendtail")).expect("it is ours");
        Place { root }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn here(&self, command: &str) -> String {
        let root = self.root.path().display();
        ["/var/log", "/srv", "/run"]
            .into_iter()
            .fold(command.to_owned(), |text, path| {
                text.replace(path, &format!("{root}{path}"))
            })
    }

    fn serve(&self, arguments: &str) -> Server {
        let mut command = Server::program(&[], &[]);
        command.args(self.here(arguments).split_whitespace());
        Server::command(command)
    }

    /// Runs a client until a line that is appended again and again comes out at its end.
    fn ask(&self, command: &str, server: &Server) {
        let mut command = self.here(command);
        if command.contains("4321") {
            command = command.replace("4321", &server.address().port().to_string());
        }
        for example in ["follow", "mirror"] {
            let built = Path::new(crate::support::BINARY)
                .with_file_name("examples")
                .join(example);
            let built = format!("{} ", built.display());
            command = command.replace(&format!("cargo run --example {example} -- "), &built);
        }
        let directory = tempfile::tempdir().expect("there is room for tests");
        let output = directory.path().join("output");
        let shown = fs::File::create(&output).expect("the directory is ours");
        let mut shell = Command::new("script");
        shell
            .args(["-qefc", &command, "/dev/null"])
            .current_dir(directory.path());
        shell
            .stdin(Stdio::null())
            .stdout(shown)
            .stderr(Stdio::inherit());
        let _client = Helper::start(&mut shell);
        // In a field of its own for awk, and with what the greps look for.
        let line = "::1 - - [21/Nov/2026:03:00:00 +0000] \"GET /live HTTP/1.1\" 500 12 install installed it\n";
        // A client that writes a file shows nothing.
        let files = ["output", "copy.log", "access.log"].map(|name| directory.path().join(name));
        let (mut lines, mut last) = (0, None::<Instant>);
        wait_until(&format!("a line comes out of `{command}`"), || {
            // Again for a client that was slow to ask, but never so much that a pipe's whole buffer
            // is full: a tool that waits for that shows nothing live.
            if lines < LINES_MAX && last.is_none_or(|last| last.elapsed() > PAUSE) {
                LOGS.iter()
                    .for_each(|log| append(&self.path(log), line.as_bytes()));
                (lines, last) = (lines + 1, Some(Instant::now()));
            }
            let mut shown = files
                .iter()
                .filter_map(|file| fs::read_to_string(file).ok());
            shown.any(|text| text.contains("/live"))
        });
    }
}
