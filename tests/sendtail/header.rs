//! The one line that a client sends: every way it may end, what may stand around it, and everything
//! that is no header. That a client got what it asked for and nothing else shows in an append,
//! which has to come next.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    Client, Log, Server, allow_many_descriptors, numbered_lines, on_time, wait_until,
};

const MORE: &str = "one more\nand another\nand a third\n";

#[test]
fn the_last_lines_of_an_empty_line_are_ten() {
    let content = numbered_lines(25);
    let ten = &content[content.find("line 15\n").expect("it is there")..];
    let log = Log::new(&content);
    let server = log.server();
    let mut clients: Vec<Client> = ["\n", "\r\n", "   \n", "  \r\n"]
        .map(|header| server.ask(header))
        .into();
    // The end of the client's data stands for the newline.
    for blanks in [" ", "    "] {
        let mut client = server.ask(blanks);
        client.half_close();
        clients.push(client);
    }
    for client in &mut clients {
        client.expect(ten.as_bytes());
    }
    log.append(MORE);
    for mut client in clients {
        client.expect(MORE.as_bytes());
    }
}

// Ways to end a line, and what may come before and after it.

#[test]
fn no_header_at_all_is_closed_silently() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut silent = server.connect();
    silent.half_close();
    silent.expect_end();
    drop(server.connect());
    wait_until("both are closed", || {
        server.log().matches(" closed: ").count() == 2
    });
    let log = server.log();
    let lines = log.lines().skip_while(|line| !line.contains(" connected"));
    let loud: Vec<_> = lines
        .filter(|line| !line.starts_with("sendtail: debug: "))
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[test]
fn the_end_of_the_clients_data_stands_for_the_newline() {
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let mut clients = [
        "-1", "+2", "4", "-4c", "-1 log", " -1 ", "-1\r", "-1\n", "-1\r\n",
    ]
    .map(|header| {
        let mut client = server.ask(header);
        client.half_close();
        client
    });
    for client in &mut clients {
        client.expect(b"two\n");
    }
    log.append(MORE);
    for mut client in clients {
        client.expect(MORE.as_bytes());
    }
}

#[test]
fn blanks_and_line_ends_do_not_matter() {
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let longest = format!("-1{}\n", " ".repeat(4093));
    assert_eq!(longest.len(), 4096);
    #[rustfmt::skip]
    let headers = [
        "-1\n", "-1\r\n", " -1\n", "    -1   \n", "-1 \r\n", "-1 log\n", "-1    log   \n",
        "  -1  log  \r\n", "-1 ./log\n", "-1\n-2\n", "-1\nGET / HTTP/1.1\r\n\r\n", &longest,
    ];
    let mut clients = headers.map(|header| server.ask(header));
    for client in &mut clients {
        client.expect(b"two\n");
    }
    log.append(MORE);
    for mut client in clients {
        client.expect(MORE.as_bytes());
    }
}

#[test]
fn a_header_may_come_one_byte_a_segment() {
    let log = Log::new("one\ntwo\n");
    let server = log.server();
    let mut client = server.connect();
    client.stream.set_nodelay(true).expect("it is TCP");
    for byte in b"  -1   ./log  \r\n" {
        // The others' answers in between make sure that each byte is seen alone.
        client.send(&[*byte]);
        server.ask("-1\n").expect(b"two\n");
    }
    client.expect(b"two\n");
}

#[test]
fn junk_after_the_header_is_ignored() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut everything = b"0\n".to_vec();
    everything.extend(b"-1 log\n\0\xff\r\n junk ".iter().cycle().take(1 << 20));
    let mut client = server.ask(everything);
    client.expect(b"content\n");
    log.append(MORE);
    client.expect(MORE.as_bytes());
}

#[test]
fn junk_for_ever_costs_no_memory_and_data_flows() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(b"content\n");
    let mut mouth = client.stream.try_clone().expect("a second handle");
    let read = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&read);
    // It stops when the server is gone.
    std::thread::spawn(move || {
        let junk = [b'j'; 1 << 16];
        while mouth.write_all(&junk).is_ok() {
            count.fetch_add(1 << 16, Ordering::Relaxed);
        }
    });
    let wait_for_megabytes = |megabytes: u64| {
        wait_until("the server reads the junk", || {
            read.load(Ordering::Relaxed) > megabytes << 20
        });
    };
    wait_for_megabytes(8);
    let before = server.memory();
    for step in 2..=11 {
        log.append(MORE);
        client.expect(MORE.as_bytes());
        wait_for_megabytes(step * 8);
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 1 << 20, "80 MiB of junk cost {grown} bytes");
}

// No header.

/// All of these wait for no newline: the line could not become a header any more.
#[test]
fn a_first_byte_that_begins_no_header_is_refused_at_once() {
    let log = Log::new("content\n");
    let server = log.server();
    #[rustfmt::skip]
    let firsts: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01", b"get / HTTP/1.1", b"g", b"   x", b"\0", b"\xff", b"\x80", b"/", b"=",
    ];
    for first in firsts {
        eprintln!("first bytes {}", first.escape_ascii());
        server.ask(first).expect_error("bad start");
    }
}

#[rustfmt::skip]
const NO_HEADERS: [(&str, &[&str]); 5] = [
    ("bad start", &[
        "garbage", "log", "-", "+", "--1", "-+1", "+-1", "-1x", "1x", "5c", "+5c", "-c", "-1cc", "1.5", "0x10", "1e3",
        "1,000", "-１", "5\0", "=", "a=b", "9223372036854775808", "-9223372036854775808", "-9223372036854775808c",
        "+9223372036854775808", "99999999999999999999999999999999",
    ]),
    ("bad header", &[
        "-1 a\0b", "-1 \0", "-1 a\x0bb", "-1 \x1b[2J", "-1 \x7f", "-1 a\rb", "-1 %", "-1 log%", "-1 %4", "-1 %zz",
        "-1 %4g", "-1 % 41", "-1 %00", "-1 log%00", "-1 grep=%00", "-1 grep=%x", "ls %2F", "-1 sub%2Flog", "-1 sub%2flog", "-1 %2F",
    ]),
    ("unknown option", &[
        "-1 log more", "-1 log log", "-1 log once more", "-1 a=b", "ls log log", "ls a=b", "-1 =", "-1 log=", "-1 =log", "-1 log a=b",
        "-1 grep=x log", "0 log  0",
    ]),
    ("empty text", &["-1 grep=", "-1 log once skip="]),
    ("no such file", &["-1 other", "-1 lo", "-1 logs", "-1 LOG", "-1 log/log", "-1 -1"]),
];

#[test]
fn what_is_no_header_gets_one_error_line() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut follower = server.ask("0\n");
    follower.expect(b"content\n");
    for (reason, header) in NO_HEADERS
        .iter()
        .flat_map(|(reason, headers)| headers.iter().map(move |header| (reason, header)))
    {
        eprintln!("{reason}: {}", header.escape_debug());
        server.ask(format!("{header}\n")).expect_error(reason);
    }
    for bytes in [&b"\xff"[..], b"a\xc0\xaf", b"\xed\xa0\x80", b"caf\xe9"] {
        eprintln!("bad header: {}", bytes.escape_ascii());
        server
            .ask([b"-1 ", bytes, b"\n"].concat())
            .expect_error("bad header");
    }
    log.append(MORE);
    follower.expect(MORE.as_bytes());
}

#[test]
fn a_header_of_more_than_4096_bytes_is_too_long() {
    let log = Log::new("content\n");
    let server = log.server();
    let path = |bytes: usize| format!("-1 {}", "a".repeat(bytes - 3));
    for header in [
        path(4096),
        path(4097) + "\n",
        path(5000),
        path(1_000_000),
        " ".repeat(5000),
        format!("-1{}\n", " ".repeat(4094)),
    ] {
        eprintln!("{} bytes of {}", header.len(), &header[..4]);
        server.ask(&header).expect_error("header too long");
    }
    server.ask(path(4095) + "\n").expect_error("no such file");
}

#[test]
fn a_reset_in_the_header_disturbs_nobody() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut follower = server.ask("0\n");
    follower.expect(b"content\n");
    let descriptors = server.descriptors();
    for header in ["", "-1", "-1 lo", "-1 log\n", "garbage"] {
        let client = server.ask(header);
        client.reset();
    }
    wait_until("all five are closed", || {
        server.log().matches(" closed: ").count() == 5
    });
    wait_until("their descriptors are free", || {
        server.descriptors() == descriptors
    });
    log.append(MORE);
    follower.expect(MORE.as_bytes());
}

// Time.

#[test]
fn a_header_that_is_never_finished_ends_at_the_timeout() {
    let log = Log::new("content\n");
    let server = Server::with(&["--header-timeout", "1"], &[&log.path]);
    let start = Instant::now();
    let mut unfinished = [server.connect(), server.ask("-1 lo"), server.ask("     ")];
    let mut dripping = server.connect();
    // Each byte comes in time, and the line never ends.
    dripping.drip(b" ");
    for client in unfinished.iter_mut().chain([&mut dripping]) {
        client.expect_error("no header within 1 s");
        let elapsed = start.elapsed();
        assert!(
            elapsed >= Duration::from_millis(900),
            "too early, after {elapsed:?}"
        );
    }
}

#[test]
fn a_thousand_unfinished_headers_delay_nobody() {
    allow_many_descriptors();
    let log = Log::new("content\n");
    let server = Server::with(&["--header-timeout", "3"], &[&log.path]);
    let mut follower = server.ask("0\n");
    follower.expect(b"content\n");
    let mut unfinished: Vec<Client> = (0..1000).map(|_| server.ask("-1 lo")).collect();
    server.ask("0\n").expect(b"content\n");
    on_time(20, |_| {
        log.append(MORE);
        follower.expect(MORE.as_bytes());
    });
    for client in &mut unfinished {
        client.expect_error("no header within 3 s");
    }
    log.append(MORE);
    follower.expect(MORE.as_bytes());
}
