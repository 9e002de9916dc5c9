//! What a client says cannot garble the log, whatever is said of it: refused, followed, listed,
//! truncated, replaced, cut off; nor can the name of a file.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::TEXT;
use crate::support::{Client, Log, Server, append, wait_until};

/// Names, and how the log shows them.
const NAMES: [(&[u8], &str); 21] = [
    (b"\x1b[2J", r"\u{1b}[2J"),
    (b"\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
    (b"a\nsendtail: forged", r"a\nsendtail: forged"),
    (b"a\r\nsendtail: forged\r", r"a\r\nsendtail: forged\r"),
    (
        b"a\nb\x08\x08\x08\x0b\x0c\x0e",
        r"a\nb\u{8}\u{8}\u{8}\u{b}\u{c}\u{e}",
    ),
    (b"\tx\x7f", r"\tx\u{7f}"),
    // CSI, OSC and NEL in 8 bits, as UTF-8 and as they are.
    ("\u{9b}2J".as_bytes(), r"\u{9b}2J"),
    (b"\x9b2J\x9d\x85", r"\x9b2J\x9d\x85"),
    (
        "\u{85}sendtail: forged".as_bytes(),
        r"\u{85}sendtail: forged",
    ),
    (
        b"\xff\xfe\xc0\xaf\xed\xa0\x80",
        r"\xff\xfe\xc0\xaf\xed\xa0\x80",
    ),
    // What turns the direction of writing, breaks lines, hides, or is drawn over something else.
    ("gol\u{202e}exe".as_bytes(), r"gol\u{202e}exe"),
    (
        "\u{2066}x\u{2069}\u{61c}".as_bytes(),
        r"\u{2066}x\u{2069}\u{61c}",
    ),
    (
        "\u{2028}sendtail: forged\u{2029}".as_bytes(),
        r"\u{2028}sendtail: forged\u{2029}",
    ),
    (
        "\u{200b}\u{feff}\u{ad}\u{e0041}".as_bytes(),
        r"\u{200b}\u{feff}\u{ad}\u{e0041}",
    ),
    ("x\u{336}\u{fe0f}".as_bytes(), r"x\u{336}\u{fe0f}"),
    ("a\u{a0}\u{3000}b".as_bytes(), r"a\u{a0}\u{3000}b"),
    // Nothing is a format, a priority or an escape because it looks like one.
    (b"%s%n{}{0}", "%s%n{}{0}"),
    (b"<0>forged", "<0>forged"),
    (br"a\nb\x1b", r"a\\nb\\x1b"),
    (b"'\"$(x)`x`;&", "'\"$(x)`x`;&"),
    // And what may stand, stands.
    (
        "d\u{e9}j\u{e0}-\u{65e5}\u{672c}".as_bytes(),
        "d\u{e9}j\u{e0}-\u{65e5}\u{672c}",
    ),
];

fn encoded(name: &[u8]) -> String {
    name.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// All that is in the log can be printed, and each line is one of the server's.
#[track_caller]
fn expect_clean(log: &str) {
    for line in log.lines() {
        assert!(line.starts_with("sendtail: "), "not its own: {line:?}");
        assert!(!line.starts_with("sendtail: forged"), "{line:?}");
    }
    let strange = |c: &char| {
        let may_stand = ['\n', '\'', '"', '\\'].contains(c);
        !may_stand && c.escape_debug().count() > 1 || *c == char::REPLACEMENT_CHARACTER
    };
    let found = log.chars().find(strange);
    assert_eq!(
        found,
        None,
        "{:?}",
        found.map(|c| log.lines().find(|line| line.contains(c)))
    );
}

#[test]
fn names_that_clients_make_up_are_escaped() {
    let log = Log::new(TEXT);
    let server = Server::with(&["-v"], &[log.directory.path()]);
    for (name, shown) in NAMES {
        let name = encoded(name);
        for (header, end) in [
            (format!("0 {name}\n"), shown.to_owned()),
            (format!("0 log/{name}\n"), format!("log/{shown}")),
            (format!("0 {name}/../log\n"), format!("{shown}/../log")),
        ] {
            server.ask(&header).expect_error("no such file");
            server.wait_for_log(&format!(" refused: no such file: {end}: "));
        }
    }
    expect_clean(&server.log());
}

/// As they are, and not encoded: in the place of a start, a path and an option.
#[test]
fn bytes_that_are_no_header_are_not_in_the_log() {
    let log = Log::new(TEXT);
    let server = Server::with(&["-v"], &[log.directory.path()]);
    for (name, _) in NAMES {
        for before in ["", "0 ", "0 log ", "0 log x=", "  -"] {
            let header = [before.as_bytes(), name, b"\n"].concat();
            let mut client = server.ask(&header);
            let answer = client.read_to_end();
            let shown = header.escape_ascii();
            assert!(
                answer.starts_with(b"error: ") && answer.is_ascii(),
                "{shown}"
            );
            assert_eq!(
                answer.iter().filter(|byte| byte.is_ascii_control()).count(),
                1,
                "{shown}"
            );
        }
    }
    server.totals("clients");
    expect_clean(&server.log());
}

#[test]
fn the_longest_names_are_shown_once_and_whole() {
    let log = Log::new(TEXT);
    let server = Server::with(&["-v"], &[log.directory.path()]);
    let escapes = "%1B".repeat(1330);
    let letters = "x".repeat(4000);
    let bidi = "%E2%80%AE".repeat(440);
    for (name, shown) in [
        (&escapes, r"\u{1b}".repeat(1330)),
        (&letters, letters.clone()),
        (&bidi, r"\u{202e}".repeat(440)),
    ] {
        let seen = server.log().len();
        server
            .ask(format!("0 {name}\n"))
            .expect_error("no such file");
        server.wait_for_log(&format!(" refused: no such file: {shown}: "));
        // An escape is twice as long as what it was sent as, and nobody says it twice.
        let grown = server.log().len() - seen;
        assert!(
            grown < 2 * 4096 + 600,
            "{grown} bytes in the log for one header"
        );
    }
    expect_clean(&server.log());
}

/// The life of files with such names, in a directory with such a name: all that can be said of a
/// file is said of them.
#[test]
fn names_of_files_are_escaped_in_all_that_is_said_of_them() {
    let log = Log::new(TEXT);
    let directory = log.beside("\u{1b}[7m\n\u{202e}");
    fs::create_dir(&directory).expect("the directory is ours");
    let paths: Vec<PathBuf> = NAMES
        .iter()
        .map(|(name, _)| directory.join(std::ffi::OsStr::from_bytes(name)))
        .collect();
    for path in &paths {
        fs::write(path, TEXT).expect("the directory is ours");
    }
    let server = Server::with(&["-v"], &[log.directory.path()]);
    let below = encoded(b"\x1b[7m\n\xe2\x80\xae");
    let ask = |start: &str| -> Vec<Client> {
        let names = NAMES.iter().map(|(name, _)| encoded(name));
        names
            .map(|name| server.ask(format!("{start} {below}/{name}\n")))
            .collect()
    };
    let mut clients = ask("0");
    let mut waiting = ask("1000");
    clients
        .iter_mut()
        .for_each(|client| client.expect(TEXT.as_bytes()));
    waiting
        .iter()
        .for_each(|client| server.wait_for_request(client));
    for path in &paths {
        append(path, b"three\n");
        fs::rename(path, directory.join("old")).expect("both are ours");
        fs::write(path, "new\n").expect("the directory is ours");
    }
    clients
        .iter_mut()
        .for_each(|client| client.expect(b"three\nnew\n"));
    waiting
        .iter_mut()
        .for_each(|client| client.expect_error("file was replaced"));
    for path in &paths {
        fs::write(path, "").expect("the directory is ours");
        append(path, b"truncated\n");
    }
    server.look();
    for (_, shown) in NAMES {
        let shown = format!(r"/\u{{1b}}[7m\n\u{{202e}}/{shown}");
        for (before, after) in [
            (
                format!("another file is now {}", log.directory.path().display()),
                "",
            ),
            ("client 127.0.0.1:".to_owned(), " segment "),
        ] {
            wait_until(&format!("{before} {shown} {after}"), || {
                let log = server.log();
                let mut lines = log.lines().filter(|line| line.contains(&before));
                lines.any(|line| line.contains(&format!("{shown}{after}")))
            });
        }
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains(&shown));
        assert!(lines.count() >= 5, "{shown} is hardly named");
    }
    let said = server.log();
    let expect = |words| assert!(said.contains(words), "{words}");
    expect("was truncated at");
    expect("the old file is finished");
    expect("was replaced before");
    expect_clean(&said);
}
