//! The three-line client in every language: what it writes is there at once, whether a line is
//! complete or not.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Run, example, source};
use crate::support::{Log, Server, has_program, numbered_lines, wait_until};

struct Language {
    /// What has to be installed.
    program: &'static str,
    /// What has to be done first, in `sh`, with the built program in `$OUT`.
    build: &'static str,
    run: &'static str,
}

const LANGUAGES: [Language; 9] = [
    Language {
        program: "sh",
        build: "",
        run: "$FOLLOW $HOST:$PORT $HEADER",
    },
    Language {
        program: "bash",
        build: "",
        run: r#"bash follow.sh $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "python3",
        build: "",
        run: r#"python3 follow.py $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "perl",
        build: "",
        run: r#"perl follow.pl $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "ruby",
        build: "",
        run: r#"ruby follow.rb $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "node",
        build: "",
        run: r#"node follow.mjs $HOST $PORT "$HEADER""#,
    },
    Language {
        // A source file is run by the compiler, which a mere `java` lacks.
        program: "javac",
        build: "",
        run: r#"java Follow.java $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "gcc",
        build: "gcc -Wall -Wextra -Werror -o $OUT/c follow.c",
        run: r#"$OUT/c $HOST $PORT "$HEADER""#,
    },
    Language {
        program: "go",
        // `go run` leaves its program behind when it is killed; the cache goes with the test.
        build: "GOCACHE=$OUT/cache go build -o $OUT/go follow.go",
        run: r#"$OUT/go $HOST $PORT "$HEADER""#,
    },
];

/// The same over HTTP, where that is shorter or can do more.
const WEB: [(&str, &str); 2] = [
    (
        "node",
        r#"node fetch.mjs "http://$HOST:$PORT/log?from=-10&follow""#,
    ),
    (
        "python3",
        r#"python3 events.py "http://$HOST:$PORT/log?from=-10""#,
    ),
];

#[test]
fn every_language_gets_the_last_lines_and_follows() {
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let mut followers = Followers::start(&server, "-10 log");
    let content = numbered_lines(100);
    let mut expected = content[content.find("line 90").expect("it is there")..].to_owned();
    followers.wait_for(&expected);
    // A line, another one, and a piece of one: nothing may be held back for more to come.
    for appended in ["appended\n", "appended later\n", "unterminated"] {
        log.append(appended);
        expected += appended;
        followers.wait_for(&expected);
    }
    server.signal(Signal::SIGTERM);
    followers.wait_for_ends();
}

#[test]
fn every_language_copies_megabytes() {
    let content = numbered_lines(300_000);
    let log = Log::new(&content);
    let server = log.server();
    let mut followers = Followers::start(&server, "0");
    followers.wait_for(&content);
    server.signal(Signal::SIGTERM);
    followers.wait_for_ends();
}

/// Every client that can be run here, once with a file as its stdout and once with a pipe: the
/// libraries that buffer tell them apart.
struct Followers {
    runs: Vec<(String, Run)>,
    _built: TempDir,
}

impl Followers {
    fn start(server: &Server, header: &str) -> Followers {
        let built = tempfile::tempdir().expect("there is room for tests");
        let address = server.address();
        let shell = |typed: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", typed]).current_dir(source("clients"));
            shell.env("HOST", address.ip().to_string());
            shell.env("PORT", address.port().to_string());
            shell.env("HEADER", header).env("OUT", built.path());
            shell.env("FOLLOW", example("follow").get_program());
            // It would hide what is to be seen here.
            shell.env_remove("PYTHONUNBUFFERED");
            shell
        };
        let mut runs = Vec::new();
        for language in LANGUAGES {
            if !has_program(language.program) {
                continue;
            }
            let output = shell(language.build).output().expect("sh is installed");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", language.build);
            let piped = format!("{} | cat", language.run);
            for typed in [language.run.to_owned(), piped] {
                let run = Run::start(shell(&typed));
                runs.push((typed, run));
            }
        }
        Followers {
            runs,
            _built: built,
        }
    }

    /// Waits until each has written exactly this so far.
    fn wait_for(&self, expected: &str) {
        for (typed, run) in &self.runs {
            wait_until(&format!("{typed} has all until now"), || {
                assert_eq!(run.stderr(), "", "{typed}");
                run.stdout_bytes() >= expected.len() as u64
            });
            assert!(run.stdout() == expected, "{typed} wrote other bytes");
        }
    }

    /// Each ends with the server, and is content.
    fn wait_for_ends(&mut self) {
        for (typed, run) in &mut self.runs {
            let status = run.wait();
            assert!(status.success(), "{typed}: {status}: {}", run.stderr());
        }
    }
}

/// One of them goes on when the server has been away; the other says that it was cut off, or ends.
#[test]
fn over_http_the_last_lines_come_and_what_follows() {
    for (program, typed) in WEB {
        if !has_program(program) {
            continue;
        }
        let log = Log::new(numbered_lines(100));
        let mut server = log.server();
        let address = server.address();
        let mut shell = Command::new("sh");
        shell.args(["-c", typed]).current_dir(source("clients"));
        shell
            .env("HOST", address.ip().to_string())
            .env("NO_PROXY", "*");
        shell.env("PORT", address.port().to_string());
        let mut run = Run::start(shell);
        let content = numbered_lines(100);
        let mut expected = content[content.find("line 90").expect("it is there")..].to_owned();
        let wait_for = |run: &Run, expected: &str| {
            wait_until(&format!("{typed} has all until now"), || {
                assert_eq!(run.stderr(), "", "{typed}");
                let shown = run.stdout();
                assert!(expected.starts_with(&shown), "{typed}: {shown}");
                shown == expected
            });
        };
        wait_for(&run, &expected);
        for appended in ["appended\n", "appended later\n"] {
            log.append(appended);
            expected += appended;
            wait_for(&run, &expected);
        }
        if program == "node" {
            server.signal(Signal::SIGTERM);
            assert!(run.wait().success(), "{}", run.stderr());
            continue;
        }
        drop(server);
        log.append("while nobody served\n");
        expected += "while nobody served\n";
        let port = address.port().to_string();
        server = Server::with(&["-p", &port, "-b", "127.0.0.1"], &[&log.path]);
        wait_for(&run, &expected);
        log.append("and now\n");
        expected += "and now\n";
        wait_for(&run, &expected);
        // What is gone is said to be, and not passed over.
        drop(server);
        fs::rename(&log.path, log.beside("log.1")).expect("it is there");
        fs::write(&log.path, "another\n").expect("it is ours");
        let _server = Server::with(&["-p", &port, "-b", "127.0.0.1"], &[&log.path]);
        assert_eq!(run.wait().code(), Some(1));
        assert!(run.stderr().contains("place is gone"), "{}", run.stderr());
    }
}

#[test]
fn no_language_is_left_out() {
    // A client that is added here has to be run above.
    let listing = fs::read_dir(source("clients")).expect("it is there");
    for entry in listing {
        let name = entry.expect("it can be read").file_name();
        let name = name.to_string_lossy();
        let raw = LANGUAGES.map(|language| language.build.to_owned() + language.run);
        let web = WEB.map(|(_, run)| run.to_owned());
        let mut commands = raw.into_iter().chain(web);
        assert!(commands.any(|command| command.contains(&*name)), "{name}");
    }
}

#[test]
fn follow_says_what_it_wants() {
    let mut run = Run::start(example("follow"));
    assert_eq!(run.wait().code(), Some(2));
    assert!(
        run.stderr().starts_with("usage: follow "),
        "{}",
        run.stderr()
    );
}
