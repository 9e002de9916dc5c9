//! `grep=` and `skip=`: the lines that the real `grep` prints, of the past and as they come.

mod pressure;

use std::path::Path;
use std::process::Command;

use crate::support::{Client, Log, Server, numbered_lines, wait_until};

/// Half of what a line is judged by.
const HALF: usize = 512 << 10;

#[test]
fn the_past_is_what_grep_and_tail_print() {
    let content = numbered_lines(3000);
    let log = Log::new(&content);
    let server = log.server();
    for (options, pipe) in [
        ("grep=7", "grep -F 7"),
        ("grep=e%2012", "grep -F 'e 12'"),
        ("grep=7 grep=3", "grep -F 7 | grep -F 3"),
        ("skip=1", "grep -v -F 1"),
        ("skip=1 skip=2", "grep -v -F 1 | grep -v -F 2"),
        ("skip=0 grep=99", "grep -F 99 | grep -v -F 0"),
        ("grep=line%200", "grep -F 'line 0'"),
        ("grep=line", "cat"),
        ("grep=nowhere", "grep -F nowhere"),
        ("skip=line", "grep -v -F line"),
        ("grep=%0A", "grep nowhere"),
        ("grep=.", "grep -F ."),
    ] {
        for n in ["1", "2", "20", "1000", "9223372036854775807"] {
            let expected = shell(&format!("{pipe} | tail -n {n}"), &log.path);
            let mut client = server.ask(format!("-{n} {options} once\n"));
            assert_same(client.read_to_end(), &expected, &format!("-{n} {options}"));
        }
        for (start, from) in [("0", "cat"), ("7", "tail -c +8"), ("+100", "tail -n +100")] {
            let expected = shell(&format!("{from} | {pipe}"), &log.path);
            let mut client = server.ask(format!("{start} {options} once\n"));
            assert_same(
                client.read_to_end(),
                &expected,
                &format!("{start} {options}"),
            );
        }
    }
}

#[test]
fn an_empty_text_is_an_error() {
    let log = Log::new("one\n");
    let server = log.server();
    for option in ["grep=", "skip=", "grep=a skip="] {
        server
            .ask(format!("0 {option}\n"))
            .expect_error("empty text");
    }
    for option in ["grep=%", "grep=%0", "skip=%gg"] {
        server
            .ask(format!("0 {option}\n"))
            .expect_error("bad header");
    }
}

/// A start that is a place takes what lies from there to the next newline for a line.
#[test]
fn a_start_within_a_line_makes_a_line_of_the_rest() {
    let log = Log::new("a first line\na second line\n");
    let server = log.server();
    let mut client = server.ask("2 grep=f once\n");
    assert_same(client.read_to_end(), b"first line\n", "2 grep=f");
    let mut client = server.ask("3 grep=f once\n");
    assert_same(client.read_to_end(), b"", "3 grep=f");
    let mut client = server.ask("2 grep=a once\n");
    assert_same(client.read_to_end(), b"a second line\n", "2 grep=a");
}

#[test]
fn lines_come_as_they_are_written_and_others_do_not() {
    let log = Log::new("error in the past\n");
    let server = log.server();
    let mut wanted = waiting(&server, "-0 grep=error skip=debug\n");
    let mut unwanted = waiting(&server, "-0 skip=error\n");
    let mut all = server.reader("-0\n", "");
    for n in 0..50 {
        log.append(format!("error {n}\nwarning {n}\ndebug error {n}\n"));
        wanted.expect(format!("error {n}\n").as_bytes());
        unwanted.expect(format!("warning {n}\n").as_bytes());
        all.expect(format!("error {n}\nwarning {n}\ndebug error {n}\n").as_bytes());
    }
    server.totals("clients");
    wanted.expect_nothing();
}

/// Judged when it is whole: neither before, nor by the piece that came last.
#[test]
fn a_line_in_pieces_is_sent_when_its_newline_comes() {
    let log = Log::new("an old line, unfinished: err");
    let server = log.server();
    let mut wanted = waiting(&server, "0 grep=error skip=debug\n");
    let mut last = waiting(&server, "-5 grep=error\n");
    let mut raw = server.reader("-0\n", "");
    for piece in ["o", "r", " and so on"] {
        log.append(piece);
        raw.expect(piece.as_bytes());
    }
    server.totals("clients");
    wanted.expect_nothing();
    last.expect_nothing();
    log.append("\n");
    for client in [&mut wanted, &mut last] {
        client.expect(b"an old line, unfinished: error and so on\n");
    }
    raw.expect(b"\n");
    // Texts that lie across two appends, in a line that is not wanted after all and in one that is.
    for piece in ["error, de", "bug\n", "next err", "or\n"] {
        log.append(piece);
        raw.expect(piece.as_bytes());
    }
    last.expect(b"error, debug\nnext error\n");
    wanted.expect(b"next error\n");
}

#[test]
fn a_rotation_ends_the_last_line_and_the_next_file_begins_one() {
    let log = Log::new("old error\nold");
    let server = log.server();
    let mut wanted = server.ask("0 grep=error\n");
    let mut skipping = server.ask("0 skip=error\n");
    wanted.expect(b"old error\n");
    for client in [&wanted, &skipping] {
        server.wait_for_request(client);
    }
    log.append(", unfinished err");
    rotate(&log, "or in the new file\nnew error\nnew\n");
    // Together they would be an error.
    wanted.expect(b"new error\n");
    skipping.expect(b"old, unfinished error in the new file\nnew\n");
    server.totals("clients");
    wanted.expect_nothing();
}

/// Nothing of it is left to be judged when its file turns out to have ended.
#[test]
fn a_long_line_without_an_end_does_not_reach_into_the_next_file() {
    let log = Log::new(vec![b'y'; 6 * HALF]);
    let server = log.server();
    let mut unwanted = server.ask("0 grep=error\n");
    let mut wanted = server.ask("0 grep=y\n");
    wanted.expect(&vec![b'y'; 6 * HALF]);
    let size = 6 * HALF as u64;
    wait_until("it was passed over", || server.offset(&unwanted) == size);
    rotate(&log, "first error\nsecond\nthird y error\n");
    unwanted.expect(b"first error\nthird y error\n");
    wanted.expect(b"third y error\n");
}

#[test]
fn a_long_line_is_judged_by_its_first_mebibyte_and_sent_whole() {
    let filler = "-".repeat(HALF);
    // The first two texts end within it, the others do not.
    let lines = [
        format!("error{filler}{filler}{filler}\n"),
        format!("{filler}{}error{filler}\n", &filler[5..]),
        format!("{filler}{}error{filler}\n", &filler[4..]),
        format!("{filler}{filler}{filler}error\n"),
        "short error\n".into(),
    ];
    let content = lines.concat();
    let log = Log::new(&content);
    let server = log.server();
    let wanted = [&lines[0], &lines[1], &lines[4]]
        .map(String::as_str)
        .concat();
    let others = [&lines[2], &lines[3]].map(String::as_str).concat();
    for (header, expected) in [
        ("0 grep=error", &wanted[..]),
        ("-5 grep=error", &wanted),
        ("-3 grep=error", &wanted),
        ("-2 grep=error", &wanted[lines[0].len()..]),
        ("-1 grep=error", &lines[4]),
        ("0 skip=error", &others),
        ("-1 skip=error", &lines[3]),
    ] {
        let mut client = server.ask(format!("{header} once\n"));
        assert_same(client.read_to_end(), expected.as_bytes(), header);
        let mut client = server.ask(format!("{header}\n"));
        client.expect(expected.as_bytes());
    }
}

#[test]
fn what_is_copied_is_counted_as_sent() {
    let content = numbered_lines(1000);
    let log = Log::new(&content);
    let server = log.server();
    let client = server.reader("0 grep=line\n", &content);
    assert_eq!(server.totals("sent"), content.len() as u64);
    drop(client);
}

/// The bytes that a copytruncate leaves behind are those of another file.
#[test]
fn after_a_truncation_lines_begin_anew() {
    let log = Log::new("old error\n");
    let server = log.server();
    let mut client = server.reader("0 grep=error\n", "old error\n");
    for n in 0..5 {
        std::fs::write(&log.path, "").expect("it is ours");
        server.look();
        log.append(format!("nothing\nerror {n} after a truncation\n"));
        client.expect(format!("error {n} after a truncation\n").as_bytes());
    }
}

fn rotate(log: &Log, content: &str) {
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    std::fs::write(&log.path, content).expect("there is room");
}

/// The server has its request, and has nothing for it yet.
fn waiting(server: &Server, header: &str) -> Client {
    let client = server.ask(header);
    server.wait_for_request(&client);
    client
}

fn shell(pipe: &str, input: &Path) -> Vec<u8> {
    let mut command = Command::new("sh");
    command.args(["-c", pipe]).env("LC_ALL", "C");
    command.stdin(std::fs::File::open(input).expect("it is there"));
    let output = command.output().expect("every system has a shell");
    assert!(output.stderr.is_empty(), "{pipe}: {output:?}");
    output.stdout
}

#[track_caller]
fn assert_same(received: Vec<u8>, expected: &[u8], what: &str) {
    let shown = |bytes: &[u8]| {
        let end = bytes.len().saturating_sub(200);
        String::from_utf8_lossy(&bytes[end..]).into_owned()
    };
    let (got, wanted) = (received.len(), expected.len());
    assert!(
        received == expected,
        "{what}: {got} bytes instead of {wanted}: ...{}\ninstead of ...{}",
        shown(&received),
        shown(expected)
    );
}
