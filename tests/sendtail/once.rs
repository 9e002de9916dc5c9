//! `once`: what the file has when the header arrives, and then the end.

use std::process::Command;

use crate::support::{Client, Log, Server, append, numbered_lines};

/// More than the sockets take: the server still has most of it when the first bytes have come.
const BIG: u64 = 64 << 20;

#[test]
fn each_start_gets_what_tail_prints() {
    let content = numbered_lines(1000);
    for content in [
        &content[..],
        &content[..content.len() - 1],
        "",
        "\n",
        "one",
        "\n\n",
    ] {
        let log = Log::new(content);
        let server = log.server();
        for (start, options) in [
            ("0", ["-c", "+1"]),
            ("5", ["-c", "+6"]),
            ("-0", ["-n", "0"]),
            ("-1", ["-n", "1"]),
            ("-10", ["-n", "10"]),
            ("-100000", ["-n", "100000"]),
            ("-7c", ["-c", "7"]),
            ("+1", ["-n", "+1"]),
            ("+500", ["-n", "+500"]),
            ("+1000", ["-n", "+1000"]),
            ("+1001", ["-n", "+1001"]),
            ("+5000", ["-n", "+5000"]),
            ("9223372036854775807", ["-c", "0"]),
        ] {
            let output = Command::new("tail").args(options).arg(&log.path).output();
            let expected = output.expect("every system has tail").stdout;
            let received = server.ask(format!("{start} once\n")).read_to_end();
            let (got, wanted) = (received.len(), expected.len());
            assert!(
                received == expected,
                "{start} of {}: {got}, not {wanted}",
                content.len()
            );
        }
    }
}

#[test]
fn a_name_may_stand_before_it_and_may_be_once() {
    let log = Log::new("of the log\n");
    let once = log.beside("once");
    std::fs::write(&once, "of once\n").expect("there is room");
    let server = Server::start(&[log.directory.path()]);
    assert_eq!(server.ask("0 log once\n").read_to_end(), b"of the log\n");
    assert_eq!(server.ask("0 ./once once\n").read_to_end(), b"of once\n");
    let mut follower = server.ask("0 ./once\n");
    follower.expect(b"of once\n");
    append(&once, b"more\n");
    follower.expect(b"more\n");
}

#[test]
fn what_is_appended_meanwhile_is_not_sent() {
    let log = Log::sparse(BIG, "last line");
    let server = log.server();
    let mut client = begun(&server);
    log.append("more\n");
    server.look();
    expect_rest(&mut client, BIG);
    let mut client = server.ask("-1 once\n");
    client.expect(b"more\n");
    client.expect_end();
}

#[test]
fn it_never_moves_to_the_next_file() {
    let log = Log::sparse(BIG, "last line");
    let server = log.server();
    let mut client = begun(&server);
    std::fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    std::fs::write(&log.path, "new file\n").expect("there is room");
    server.look();
    append(&log.beside("log.1"), b"late\n");
    server.look();
    expect_rest(&mut client, BIG);
    let mut client = server.ask("0 once\n");
    client.expect(b"new file\n");
    client.expect_end();
}

/// A search takes many turns. It is made in the file that was asked for, as that was then.
#[test]
fn a_rotation_while_it_searches_changes_nothing() {
    for (header, expected) in [("+3 once\n", ""), ("-2 grep=last once\n", "last line\n")] {
        let log = Log::sparse(8 * BIG, "last line");
        let server = log.server();
        let mut client = server.ask(header);
        server.wait_for_request(&client);
        append(&log.path, b"the last of it\n");
        std::fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
        std::fs::write(&log.path, "three\nnew lines\nand the last\n").expect("there is room");
        server.look();
        append(&log.beside("log.1"), b"late, but not last\n");
        let received = client.read_to_end();
        assert_eq!(received, expected.as_bytes(), "{header}");
    }
}

/// What is missing then cannot be had, and nothing is sent in its place.
#[test]
fn a_truncation_ends_it() {
    let log = Log::sparse(BIG, "last line");
    let server = log.server();
    let mut client = begun(&server);
    std::fs::write(&log.path, "").expect("it is ours");
    server.look();
    log.append("new\n".repeat(1000));
    server.look();
    let received = client.read_to_end();
    assert!(
        received.len() < BIG as usize - 1,
        "{} bytes",
        received.len()
    );
    assert!(
        received.iter().all(|byte| *byte == 0),
        "bytes of the new file"
    );
}

#[test]
fn an_absent_file_is_an_error_even_where_it_would_be_waited_for() {
    let log = Log::absent();
    let server = log.server();
    server.ask("0 once\n").expect_error("no such file");
    server.ask("-10 grep=x once\n").expect_error("no such file");
    let mut follower = server.ask("0\n");
    server.wait_for_request(&follower);
    std::fs::write(&log.path, "here\n").expect("there is room");
    follower.expect(b"here\n");
    assert_eq!(server.ask("0 once\n").read_to_end(), b"here\n");
}

/// With a filter the end of the file ends its last line, and is no line of `-N`.
#[test]
fn an_unterminated_last_line_is_filtered_as_a_line() {
    let log = Log::new("error 1\nerror 2\nnothing\nlast error");
    let server = log.server();
    for (header, expected) in [
        ("0 grep=error", "error 1\nerror 2\nlast error"),
        ("-1 grep=error", "error 2\nlast error"),
        ("0 skip=error", "nothing\n"),
        ("-1 skip=error", "nothing\n"),
        ("-0 grep=error", ""),
        ("+4 grep=last", "last error"),
    ] {
        let received = server.ask(format!("{header} once\n")).read_to_end();
        assert_eq!(String::from_utf8_lossy(&received), expected, "{header}");
    }
}

#[test]
fn a_thousand_of_them_leave_nothing_behind() {
    let log = Log::new(numbered_lines(100));
    let server = log.server();
    let content = std::fs::read(&log.path).expect("it is there");
    let follower = server.reader("0\n", &content);
    let descriptors = server.descriptors();
    for n in 0..1000 {
        let option = if n % 2 == 0 { "" } else { " grep=line" };
        let mut client = server.ask(format!("0{option} once\n"));
        client.expect(&content);
        client.expect_end();
    }
    crate::support::wait_until("they have gone", || server.totals("clients") == 1);
    assert_eq!(server.descriptors(), descriptors);
    follower.reset();
}

/// A client that has got the first byte of `BIG` ones.
fn begun(server: &Server) -> Client {
    let mut client = server.ask("0 once\n");
    client.expect(&[0]);
    client
}

#[track_caller]
fn expect_rest(client: &mut Client, bytes: u64) {
    let received = client.read_to_end();
    assert_eq!(received.len() as u64, bytes - 1);
    assert!(received.ends_with(b"\nlast line\n"));
}
