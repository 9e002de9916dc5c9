//! The log: levels, journald's priorities, limits on repetition, and the totals that SIGUSR1 asks
//! for.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{
    Client, Log, Server, allow_many_descriptors, bare, has_program, wait_until, wrapped,
};

#[test]
fn the_level_is_the_flags_unless_rust_log_is_set() {
    // Flags, RUST_LOG, and whether the log has connects (debug) and totals (info).
    let cases: [(&[&str], Option<&str>, bool, bool); 11] = [
        (&[], None, false, true),
        (&["-v"], None, true, true),
        (&["-v", "-v"], None, true, true),
        (&["-vv"], None, true, true),
        (&["-q"], None, false, false),
        (&["--quiet"], None, false, false),
        (&["-v"], Some("info"), false, true),
        (&["-v"], Some("off"), false, false),
        (&[], Some("debug"), true, true),
        (&["-q"], Some("debug"), true, true),
        (&["-q"], Some("info"), false, true),
    ];
    for (flags, variable, connects, totals) in cases {
        let log = Log::new(TEXT);
        let mut command = bare(&[&["-p", "0"], flags].concat(), &[&log.path]);
        if let Some(level) = variable {
            command.env("RUST_LOG", level);
        }
        let server = Server::command(command);
        server.signal(Signal::SIGUSR1);
        // The second client is served after the first one and after the signal have been seen.
        server.ask("nonsense\n").expect_error("bad start");
        server.ask("0\n").expect(TEXT.as_bytes());
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        let said = server.log();
        let case = format!("{flags:?} {variable:?}: {said}");
        assert_eq!(said.contains(" connected\n"), connects, "{case}");
        assert_eq!(said.contains(" closed: "), connects, "{case}");
        assert_eq!(said.contains("sendtail: debug: "), connects, "{case}");
        assert_eq!(said.contains("sendtail: totals: "), totals, "{case}");
        assert!(totals || said.is_empty(), "{case}");
        let strange = said.lines().find(|line| !line.starts_with("sendtail: "));
        assert_eq!(strange, None, "{case}");
    }
}

#[test]
fn an_unknown_level_is_no_reason_to_fail() {
    let log = Log::new(TEXT);
    let mut command = Server::program(&[], &[&log.path]);
    command.env("RUST_LOG", "non,sense==");
    let server = Server::command(command);
    server.ask("0\n").expect(TEXT.as_bytes());
}

#[test]
fn a_connect_that_asks_nothing_is_not_logged() {
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    // With the totals in the log, all that was said before them is there as well.
    assert_eq!(server.totals("connections"), 0);
    let start = without_totals(&server.log());
    for _ in 0..3 {
        drop(server.connect());
    }
    wait_until("all have been seen", || server.totals("connections") == 3);
    wait_until("all have left", || server.totals("clients") == 0);
    // The header's end and a file's end are no news either.
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    assert_eq!(server.totals("clients"), 1);
    assert_eq!(without_totals(&server.log()), start);
}

#[test]
fn journald_gets_priorities() {
    let log = Log::new(TEXT);
    // What systemd sets: device and inode of the stream that is stderr.
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr) exec \"$@\"";
    let program = Server::program(&["--max-clients", "1"], &[&log.path]);
    let server = Server::command(wrapped(&["sh", "-c", script, "sh"], &program));
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    server.connect().expect_error("too many clients");
    server.signal(Signal::SIGUSR1);
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let said = server.log();
    for priority in ["<4>", "<6>", "<7>"] {
        let found = said.lines().any(|line| line.starts_with(priority));
        assert!(found, "no {priority} in {said}");
    }
    let strange = said.lines().find(|line| {
        let priority = line.as_bytes().first_chunk::<3>();
        let known = priority.is_some_and(|p| p[0] == b'<' && p[1].is_ascii_digit() && p[2] == b'>');
        !known || line.contains("sendtail: ")
    });
    assert_eq!(strange, None, "{said}");
}

#[test]
fn the_stream_of_another_journal_means_nothing() {
    for stream in ["", "1:1", "nonsense", "0:0", "99999999999999999999:1"] {
        let log = Log::new(TEXT);
        let mut program = Server::program(&[], &[&log.path]);
        program.env("JOURNAL_STREAM", stream);
        let server = Server::command(program);
        assert_eq!(server.totals("clients"), 0);
        let said = server.log();
        let strange = said.lines().find(|line| !line.starts_with("sendtail: "));
        assert_eq!(strange, None, "{said}");
    }
}

#[test]
fn warnings_of_a_kind_come_once_a_second() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "1"], &[&log.path]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    let start = Instant::now();
    for _ in 0..50 {
        server.connect().expect_error("too many clients");
    }
    server.totals("clients");
    let seconds = start.elapsed().as_secs();
    let said = server.log();
    let warnings = said
        .lines()
        .filter(|line| line.contains("sendtail: warning: "));
    let count = warnings.count() as u64;
    assert!(
        (1..=seconds + 2).contains(&count),
        "{count} in {seconds} s: {said}"
    );
}

#[test]
fn totals_have_a_line_for_every_client() {
    allow_many_descriptors();
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0"], &[&log.path]));
    let started = Instant::now();
    let silent = server.connect();
    let mut clients: Vec<Client> = (0..249).map(|_| server.ask("0\n")).collect();
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    let mut lines = Vec::new();
    wait_until("all are connected", || {
        lines = client_lines(&server);
        lines.len() >= 250
    });
    let oldest = started.elapsed().as_secs();
    for line in &mut lines {
        let (what, age) = line
            .split_once(", connected for ")
            .expect("each has its age");
        let seconds = age.strip_suffix(" s").and_then(|age| age.parse().ok());
        assert!(seconds.is_some_and(|age: u64| age <= oldest), "{line}");
        *line = what.to_owned();
    }
    let path = log.path.display();
    let mut expected: BTreeSet<String> = clients
        .iter()
        .map(|client| {
            format!(
                "client {}: {path} segment 0 offset 8, 0 bytes behind",
                local(client)
            )
        })
        .collect();
    expected.insert(format!("client {}: no request yet", local(&silent)));
    assert_eq!(lines.len(), 250);
    assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_client_that_was_answered_is_shown_as_ending() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("nonsense\n");
    client.expect(b"error: bad start\n");
    server.totals("clients");
    server.wait_for_log(&format!("client {}: ending", local(&client)));
}

#[test]
fn totals_count() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "2"], &[&log.path]);
    let fields = [
        "clients",
        "files",
        "segments",
        "watches",
        "connections",
        "refused",
        "sent",
    ];
    let totals = || fields.map(|field| server.totals(field));
    assert_eq!(totals(), [0; 7]);
    let mut clients = [server.ask("0\n"), server.ask("-1\n")];
    clients[0].expect(TEXT.as_bytes());
    clients[1].expect(b"two\n");
    server.connect().expect_error("too many clients");
    wait_until("it has left", || server.totals("clients") == 2);
    let sent = TEXT.len() as u64 + 4;
    let watches = server.watches() as u64;
    // The client over the limit counts as a connection and as refused, but never as a client.
    assert_eq!(totals(), [2, 1, 1, watches, 3, 1, sent]);
    assert!(server.totals("turns") > 0);
}

#[test]
fn a_client_that_is_behind_is_shown_so() {
    let log = Log::new(vec![b'x'; 64 << 20]);
    let server = log.server();
    let client = server.ask("0\n");
    wait_until("its socket is full", || server.totals("sent") > 0);
    let offset = server.offset(&client);
    let said = server.log();
    let line = format!("client {}: ", local(&client));
    let middle = format!(" offset {offset}, {} bytes behind, ", (64 << 20) - offset);
    let found = said
        .lines()
        .any(|text| text.contains(&line) && text.contains(&middle));
    assert!(found, "no {middle:?} in {said}");
    assert!(0 < offset && offset < 64 << 20, "{said}");
}

#[test]
fn what_a_client_says_cannot_forge_a_line() {
    let log = Log::new(TEXT);
    let name = "a\nsendtail: forged\x1b[31m";
    fs::write(log.beside(name), TEXT).expect("the directory is ours");
    let server = Server::start(&[log.directory.path()]);
    let escaped = "a%0Asendtail:%20forged%1B[31m";
    let mut client = server.ask(format!("0 {escaped}\n"));
    client.expect(TEXT.as_bytes());
    server.totals("clients");
    server.wait_for_log(&format!("client {}: ", local(&client)));
    for header in [
        format!("0 {escaped}.absent\n"),
        "0 \x1b[31m\n".to_owned(),
        "\x1b[31m\n".to_owned(),
        format!("0 log {escaped}\n"),
        "sendtail:\rforged\n".to_owned(),
    ] {
        let reply = server.ask(&header).read_to_end();
        assert!(reply.starts_with(b"error: "), "{header:?}");
    }
    server.totals("clients");
    let said = server.log();
    let forged = said
        .lines()
        .find(|line| line.starts_with("sendtail: forged"));
    assert_eq!(forged, None);
    let raw = said.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(raw, None, "{said}");
}

#[test]
fn a_port_check_by_nc_is_not_logged() {
    for program in ["nc.openbsd", "nc.traditional"] {
        if !has_program(program) {
            continue;
        }
        let log = Log::new(TEXT);
        let server = Server::command(bare(&["-p", "0"], &[&log.path]));
        assert_eq!(server.totals("connections"), 0);
        let start = without_totals(&server.log());
        let port = server.address().port().to_string();
        let mut check = std::process::Command::new(program);
        let output = check.args(["-z", "127.0.0.1", &port]).output();
        assert!(output.expect("it is installed").status.success());
        wait_until("it was there", || server.totals("connections") == 1);
        wait_until("it has left", || server.totals("clients") == 0);
        assert_eq!(without_totals(&server.log()), start);
    }
}

/// The log without what SIGUSR1 adds.
fn without_totals(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| {
        !line.starts_with("sendtail: totals: ") && !line.starts_with("sendtail: client ")
    });
    lines.map(str::to_owned).collect()
}

fn local(client: &Client) -> String {
    let address = client.stream.local_addr();
    address.expect("it is connected").to_string()
}

/// What SIGUSR1 says of each client, now.
fn client_lines(server: &Server) -> Vec<String> {
    let all = || -> Vec<String> {
        let log = server.log();
        let lines = log
            .lines()
            .filter_map(|line| line.strip_prefix("sendtail: "));
        let lines = lines.filter(|line| line.starts_with("client "));
        lines.map(str::to_owned).collect()
    };
    let before = all().len();
    let clients = usize::try_from(server.totals("clients")).expect("it is small");
    wait_until("each client has its line", || {
        all().len() >= before + clients
    });
    all().split_off(before)
}
