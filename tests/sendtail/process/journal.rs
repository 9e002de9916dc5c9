//! Under systemd the messages carry the journal's priorities (sd-daemon(3)), if stderr is the
//! stream that JOURNAL_STREAM speaks of (systemd.exec(5)).

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Log, Server, bare, wrapped};

/// What systemd sets: device and inode of the stream that is stderr.
const STREAM: [&str; 4] = [
    "sh",
    "-c",
    "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr) exec \"$@\"",
    "sh",
];

#[test]
fn each_line_has_the_priority_of_its_level() {
    let log = Log::new(TEXT);
    let flags = ["-b", "127.0.0.1", "--max-clients", "1"];
    let program = Server::program(&flags, &[&log.path]);
    let server = Server::command(wrapped(&STREAM, &program));
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    for _ in 0..5 {
        server.connect().expect_error("too many clients");
    }
    server.signal(Signal::SIGUSR1);
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let said = server.log();
    for (text, priority) in [
        (" connected", "<7>"),
        (" closed: done", "<7>"),
        ("refused: too many clients", "<4>"),
        ("serving this host only", "<6>"),
        ("totals: clients ", "<6>"),
        ("stopping; ", "<6>"),
    ] {
        let line = said.lines().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no {text} in {said}"));
        assert!(line.starts_with(priority), "{line}");
    }
    let strange = said.lines().find(|line| {
        let rest = ["<4>", "<6>", "<7>"]
            .into_iter()
            .find_map(|start| line.strip_prefix(start));
        // The journal adds the name, and a second priority would be text.
        rest.is_none_or(|rest| rest.contains("sendtail: ") || rest.starts_with('<'))
    });
    assert_eq!(strange, None, "{said}");
}

/// Who looks for errors finds out why the service does not start.
#[test]
fn a_failed_start_is_an_error() {
    let log = Log::new(TEXT);
    for (flags, status) in [(["-b", "192.0.2.1"], 1), (["-b", "nonsense"], 2)] {
        let server = Server::launch(wrapped(&STREAM, &bare(&flags, &[&log.path])));
        assert_eq!(server.wait().code(), Some(status));
        let said = server.log();
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("<3>") && last.contains(flags[1]), "{said}");
    }
}

#[test]
fn the_stream_of_another_journal_means_nothing() {
    for stream in [
        "",
        "1:1",
        "nonsense",
        "0:0",
        ":",
        "99999999999999999999:1",
        // That of stdout is not ours.
        "$(stat -L -c %d:%i /dev/stdout)",
        "$(stat -L -c %d:%i /dev/stderr):1",
        "$(stat -L -c %d /dev/stderr)",
    ] {
        let log = Log::new(TEXT);
        let script = format!("export JOURNAL_STREAM={stream}; exec \"$@\"");
        let program = Server::program(&[], &[&log.path]);
        let server = Server::command(wrapped(&["sh", "-c", &script, "sh"], &program));
        assert_eq!(server.totals("clients"), 0);
        let said = server.log();
        let strange = said.lines().find(|line| !line.starts_with("sendtail: "));
        assert_eq!(strange, None, "{stream}: {said}");
    }
}
