//! Where a client's data begins: byte offsets, and lines and last bytes as the real `tail` counts
//! them.
//!
//! Whether a client got its start and nothing else is proven without waiting: after it comes an
//! append, which each client has to see next.

use std::path::Path;
use std::process::Command;

use crate::support::{Log, numbered_lines};

const LARGEST: &str = "9223372036854775807";
const MORE: &str = "one more\nand another\nand a third\n";

#[test]
fn an_unsigned_number_is_a_byte_offset() {
    let content = numbered_lines(1000);
    let size = content.len();
    let log = Log::new(&content);
    let server = log.server();
    let offsets = [0, 1, 5, size / 2, size - 1, size];
    let mut clients = offsets.map(|offset| server.ask(format!("{offset}\n")));
    for (client, offset) in clients.iter_mut().zip(offsets) {
        client.expect(&content.as_bytes()[offset..]);
    }
    log.append(MORE);
    for mut client in clients {
        client.expect(MORE.as_bytes());
    }
}

#[test]
fn an_offset_beyond_the_end_waits_until_the_file_gets_there() {
    let log = Log::new("0123456789");
    let server = log.server();
    let mut follower = server.ask("0\n");
    let mut early = server.ask("15\n");
    let mut never = server.ask(format!("{LARGEST}\n"));
    follower.expect(b"0123456789");
    log.append("01234");
    follower.expect(b"01234");
    early.expect_silence();
    log.append("56789");
    early.expect(b"56789");
    log.append("more");
    early.expect(b"more");
    never.expect_silence();
}

#[test]
fn signed_starts_are_those_of_tail() {
    #[rustfmt::skip]
    let contents = [
        "", "\n", "a", "a\n", "a\nb\nc\n", "a\nb\nc", "\n\n\n", "\n\nc", "\r\n\r\n", "one line\n\n",
    ];
    for content in contents {
        compare_with_tail(content.as_bytes(), "0 1 2 3 4 1000000 9223372036854775807");
    }
}

#[test]
fn signed_starts_are_those_of_tail_across_many_chunks() {
    let many = numbered_lines(200_000);
    let numbers = "1 10 12345 100000 199999 200000 200001 9223372036854775807";
    compare_with_tail(many.as_bytes(), numbers);
    compare_with_tail(many.trim_end().as_bytes(), numbers);
}

/// Line ends in the first and the last byte of a chunk, whatever its size is, and lines of many
/// chunks.
#[test]
fn signed_starts_are_those_of_tail_where_chunks_meet() {
    for kilobytes in [4, 64, 128, 256] {
        let line = "x".repeat(kilobytes * 1024 - 1);
        let at_the_edge = format!("{line}\n{line}\n{line}\n");
        compare_with_tail(at_the_edge.as_bytes(), "1 2 3 4");
        compare_with_tail(format!("\n{at_the_edge}").as_bytes(), "1 2 4 5");
        compare_with_tail(at_the_edge.trim_end().as_bytes(), "1 2 3 4");
    }
    compare_with_tail(&vec![b'x'; 1 << 20], "1 2");
    compare_with_tail(&vec![b'\n'; 1 << 18], "1 1000 262143 262144");
}

/// Asks for -N, +N and -Nc, and compares what comes, before an append and after it, with the real
/// `tail`.
fn compare_with_tail(content: &[u8], numbers: &str) {
    let log = Log::new(content);
    let longer = log.beside("longer");
    std::fs::write(&longer, [content, MORE.as_bytes()].concat()).expect("there is room");
    let server = log.server();
    let mut asked = Vec::new();
    for number in numbers.split(' ') {
        for (header, option) in [(format!("-{number}"), "-n"), (format!("-{number}c"), "-c")] {
            let before = tail(&log.path, option, &format!("-{number}"));
            let all = [&before, MORE.as_bytes()].concat();
            asked.push((header, before, all));
        }
        // Counted from the beginning, lines that come late count as well.
        let header = format!("+{number}");
        let before = tail(&log.path, "-n", &header);
        let all = tail(&longer, "-n", &header);
        asked.push((header, before, all));
    }
    // What never gets a byte is not to be told from what would be sent too late.
    asked.retain(|(_, _, all)| !all.is_empty());
    let ask = |(header, ..): &(String, _, _)| server.ask(format!("{header}\n"));
    let mut clients: Vec<_> = asked.iter().map(ask).collect();
    for (client, (header, before, _)) in clients.iter_mut().zip(&asked) {
        eprintln!("{header} of {} bytes", content.len());
        client.expect(before);
        server.wait_for_request(client);
    }
    log.append(MORE);
    for (client, (header, before, all)) in clients.iter_mut().zip(&asked) {
        eprintln!("{header} of {} bytes, then more", content.len());
        client.expect(&all[before.len()..]);
    }
}

fn tail(path: &Path, option: &str, value: &str) -> Vec<u8> {
    let output = Command::new("tail")
        .args([option, value])
        .arg(path)
        .output();
    let output = output.expect("every system has tail");
    assert!(output.status.success(), "tail {option} {value}: {output:?}");
    output.stdout
}

#[test]
fn a_line_beyond_the_end_waits_for_the_lines_to_come() {
    let log = Log::new("one\ntwo\nthr");
    let server = log.server();
    let mut follower = server.ask("0\n");
    let mut fifth = server.ask("+5\n");
    let mut sixth = server.ask("+6\n");
    let mut never = server.ask(format!("+{LARGEST}\n"));
    follower.expect(b"one\ntwo\nthr");
    for piece in ["ee\n", "fo", "ur"] {
        log.append(piece);
        follower.expect(piece.as_bytes());
    }
    fifth.expect_silence();
    log.append("\nfive\nsi");
    fifth.expect(b"five\nsi");
    log.append("x\n");
    fifth.expect(b"x\n");
    sixth.expect(b"six\n");
    never.expect_silence();
}

/// The end is fixed when the header arrives, but nobody can say when that was beside a writer: what
/// comes has to be the last lines of some moment between, and everything after it.
#[test]
fn last_lines_beside_a_writer_are_contiguous() {
    let log = Log::new(numbered_lines(1000));
    let server = log.server();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1000..3000 {
                log.append(format!("line {number}\n"));
            }
        });
        for _ in 0..50 {
            let before = std::fs::read(&log.path).expect("it is there").len();
            let mut client = server.ask("-10\n");
            let mut first = [0; 64];
            let count = client.read(&mut first).expect("data");
            let now = std::fs::read(&log.path).expect("it is there");
            let first = &first[..count];
            let mut starts = 0..now.len();
            let start = starts
                .find(|start| now[*start..].starts_with(first))
                .unwrap_or_else(|| panic!("no piece of the file: {}", first.escape_ascii()));
            assert!(
                start == 0 || now[start - 1] == b'\n',
                "not the start of a line"
            );
            let lines = now[start..].iter().filter(|byte| **byte == b'\n').count();
            let since = now[before..].iter().filter(|byte| **byte == b'\n').count();
            assert!(
                (10..=10 + since).contains(&lines),
                "{lines} lines, {since} of them new"
            );
            client.expect(&now[start + count..]);
        }
    });
}

#[test]
fn a_start_beyond_the_end_belongs_to_the_file_it_was_asked_of() {
    type Change = fn(&Log);
    let changes: [(&str, Change); 3] = [
        ("renamed over", |log| {
            std::fs::write(log.beside("new"), "another\n").expect("it is written");
            std::fs::rename(log.beside("new"), &log.path).expect("it is renamed");
        }),
        ("renamed and made anew", |log| {
            std::fs::rename(&log.path, log.beside("log.1")).expect("it is renamed");
            std::fs::write(&log.path, "another\n").expect("it is written");
        }),
        ("truncated", |log| {
            std::fs::write(&log.path, "").expect("it is written");
        }),
    ];
    for (name, change) in changes {
        for start in ["1000", "+1000"] {
            eprintln!("{start}, {name}");
            let log = Log::new("content\nof two lines\n");
            let server = log.server();
            let mut follower = server.ask("0\n");
            follower.expect(b"content\nof two lines\n");
            let mut early = server.ask(format!("{start}\n"));
            server.wait_for_request(&early);
            change(&log);
            early.expect_error("file was replaced");
        }
    }
}
