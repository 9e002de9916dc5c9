//! The clients that people have: each gets the last ten lines and then what is appended, however
//! early it closes its sending half.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Helper, Log, Server, has_program, wait_until};

/// The program that has to be installed, and what is typed. Later additions are one row each.
const TYPED: [(&str, &str); 19] = [
    ("nc.openbsd", "echo -10 | nc.openbsd $HOST $PORT"),
    ("nc.openbsd", "echo -10 | nc.openbsd -N $HOST $PORT"),
    ("nc.openbsd", "printf -- -10 | nc.openbsd -N $HOST $PORT"),
    ("nc.openbsd", "nc.openbsd -N $HOST $PORT <<< ''"),
    ("nc.openbsd", "echo -10 log | nc.openbsd -q0 $HOST $PORT"),
    ("nc.openbsd", "echo -10 | nc.openbsd -U $SOCKET"),
    ("nc.openbsd", "echo -10 | nc.openbsd -N -U $SOCKET"),
    ("nc.traditional", "echo -10 | nc.traditional $HOST $PORT"),
    ("ncat", "echo -10 | ncat $HOST $PORT"),
    ("ncat", "echo -10 | ncat -C $HOST $PORT"),
    ("ncat", "printf -- -10 | ncat $HOST $PORT"),
    ("ncat", "echo -10 | ncat -U $SOCKET"),
    ("busybox", "echo -10 | busybox nc $HOST $PORT"),
    ("busybox", "printf -- -10 | busybox nc $HOST $PORT"),
    ("socat", "echo -10 | socat -t 1000000 - TCP:$HOST:$PORT"),
    ("socat", "echo -10 | socat -,ignoreeof TCP:$HOST:$PORT"),
    (
        "socat",
        "echo -10 | socat -t 1000000 - UNIX-CONNECT:$SOCKET",
    ),
    ("curl", "echo -10 | curl -sN telnet://$HOST:$PORT"),
    (
        "bash",
        "exec 3<>/dev/tcp/$HOST/$PORT; echo -10 >&3; cat <&3",
    ),
];

#[test]
fn every_client_gets_the_last_lines_and_follows() {
    if !has_program("bash") {
        return;
    }
    let content: String = (1..=100).map(|number| format!("line {number}\n")).collect();
    let mut expected: String = (91..=100)
        .map(|number| format!("line {number}\n"))
        .collect();
    let log = Log::new(&content);
    let socket = log.beside("socket");
    let flag = format!("unix:{}", socket.display());
    let server = Server::with(&["-b", "127.0.0.1", "-b", &flag], &[&log.path]);
    let readers: Vec<Reader> = TYPED
        .iter()
        .enumerate()
        .filter(|(_, (program, _))| has_program(program))
        .map(|(row, (_, typed))| Reader::start(typed, row, &log, &server))
        .collect();
    for reader in &readers {
        reader.wait_for(&expected);
    }
    for round in 1..=3 {
        let line = format!("appended {round}\n");
        log.append(&line);
        expected += &line;
        for reader in &readers {
            reader.wait_for(&expected);
        }
    }
    let clients = usize::try_from(server.totals("clients")).expect("it is small");
    assert_eq!(clients, readers.len());
}

#[test]
fn traditional_nc_may_leave_at_once() {
    // With -q0 it leaves after the header and prints nothing; that must harm nobody.
    if !has_program("nc.traditional") || !has_program("bash") {
        return;
    }
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"one\ntwo\n");
    let reader = Reader::start(
        "echo -10 | nc.traditional -q0 $HOST $PORT",
        0,
        &log,
        &server,
    );
    wait_until("it has been there", || server.totals("connections") == 2);
    drop(reader);
    wait_until("an append finds out that it has left", || {
        log.append("more\n");
        client.expect(b"more\n");
        server.totals("clients") == 1
    });
}

/// A command line that prints what it receives into a file.
struct Reader {
    typed: &'static str,
    output: PathBuf,
    _shell: Helper,
}

impl Reader {
    fn start(typed: &'static str, row: usize, log: &Log, server: &Server) -> Reader {
        let output = log.beside(&format!("output{row}"));
        let file = File::create(&output).expect("the directory is ours");
        let address = server.address();
        let mut shell = Command::new("bash");
        shell.args(["-c", typed]).stdin(Stdio::null()).stdout(file);
        shell.env("HOST", address.ip().to_string());
        shell.env("PORT", address.port().to_string());
        shell.env("SOCKET", log.beside("socket"));
        let _shell = Helper::start(&mut shell);
        Reader {
            typed,
            output,
            _shell,
        }
    }

    /// Waits until all of the output is exactly this.
    fn wait_for(&self, expected: &str) {
        wait_until(&format!("{:?} has all until now", self.typed), || {
            let output = fs::read_to_string(&self.output).expect("it has been made");
            assert!(
                expected.starts_with(&output),
                "{:?} printed {output:?}",
                self.typed
            );
            output == expected
        });
    }
}
