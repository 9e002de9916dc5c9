//! Plain following: what is appended reaches every client of the file, in order and once, however
//! large the file is and whatever name it bears by now.
use crate::support::{Client, Log, Server, append, numbered_lines, on_time, wait_until};

#[test]
fn appends_of_any_size_arrive_as_written() {
    let log = Log::new("");
    let server = log.server();
    let mut random = Random(1);
    let appends: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let size = 1 << random.below(17);
            (0..=random.below(size))
                .map(|_| random.below(256) as u8)
                .collect()
        })
        .collect();
    let everything = appends.concat();
    let mut clients: Vec<Client> = ["0\n", "-5\n", "+1\n", "-0\n"]
        .map(|start| server.ask(start))
        .into();
    clients
        .iter()
        .for_each(|client| server.wait_for_request(client));
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.expect(&everything));
        }
        for bytes in &appends {
            log.append(bytes);
        }
    });
    // A latecomer gets from the file what the others got as it grew.
    server.ask("0\n").expect(&everything);
}

#[test]
fn a_hundred_clients_get_the_same() {
    let content = numbered_lines(2000);
    let log = Log::new(&content);
    let server = log.server();
    let mut clients: Vec<Client> = (0..100).map(|_| server.ask("0\n")).collect();
    for number in 0..50 {
        log.append(format!("append {number}\n"));
    }
    let everything = std::fs::read(&log.path).expect("it is there");
    for client in &mut clients {
        client.expect(&everything);
    }
    log.append("the end\n");
    for client in &mut clients {
        client.expect(b"the end\n");
    }
}

#[test]
fn one_stuck_client_among_hundreds_delays_nobody_and_loses_nothing() {
    const MEGABYTES: u64 = 96;
    let log = Log::sparse(MEGABYTES << 20, "last line");
    let server = log.server();
    // Nobody reads here: after some megabytes the kernel's buffers are full.
    let mut stuck = server.ask("0\n");
    let mut clients: Vec<Client> = (0..200).map(|_| server.ask("-1\n")).collect();
    clients
        .iter_mut()
        .for_each(|client| client.expect(b"last line\n"));
    on_time(20, |number| {
        let line = format!("append {number}\n");
        log.append(&line);
        clients
            .iter_mut()
            .for_each(|client| client.expect(line.as_bytes()));
    });
    let everything = std::fs::read(&log.path).expect("it is there");
    stuck.expect(&everything);
    log.append("the end\n");
    stuck.expect(b"the end\n");
    clients
        .iter_mut()
        .for_each(|client| client.expect(b"the end\n"));
}

#[test]
fn two_names_of_one_inode_are_both_served() {
    let log = Log::new("content\n");
    std::fs::hard_link(&log.path, log.beside("second")).expect("it is ours");
    let server = Server::start(&[log.directory.path()]);
    let mut clients = ["0 log\n", "0 second\n"].map(|header| server.ask(header));
    clients
        .iter_mut()
        .for_each(|client| client.expect(b"content\n"));
    on_time(12, |round| {
        let name = ["log", "second"][round as usize % 2];
        append(&log.beside(name), b"more\n");
        clients
            .iter_mut()
            .for_each(|client| client.expect(b"more\n"));
    });
    // The one that goes takes nothing from the one that stays.
    let [first, mut second] = clients;
    drop(first);
    append(&log.path, b"more\n");
    second.expect(b"more\n");
}

#[test]
fn clients_on_a_unix_socket_are_served_alike() {
    let log = Log::new("one\ntwo\n");
    let socket = log.beside("socket");
    let address = format!("unix:{}", socket.display());
    let server = Server::with(&["-b", &address], &[&log.path]);
    let descriptors = server.descriptors();
    let mut clients = ["-1\n", "-1", "garbage\n", "1000\n", "4\n"].map(|header| {
        let mut client = Client::unix(&socket);
        client.send(header.as_bytes());
        client
    });
    clients[1].half_close();
    clients[2].expect_error("bad start");
    for at in [0, 1, 4] {
        clients[at].expect(b"two\n");
    }
    let large = vec![b'x'; 10 << 20];
    log.append(&large);
    for at in [0, 1, 4] {
        clients[at].expect(&large);
    }
    clients[3].expect(&large[992..]);
    drop(clients);
    wait_until("all are gone", || server.descriptors() == descriptors);
}

// Names.

#[test]
fn an_absent_name_below_a_directory_is_an_error_once_nobody_follows_it() {
    let log = Log::new("old\n");
    let server = Server::start(&[log.directory.path()]);
    let mut client = server.ask("0 log\n");
    client.expect(b"old\n");
    let renamed = log.beside("log.1");
    std::fs::rename(&log.path, &renamed).expect("it is ours");
    let mut newcomer = server.ask("-10 log\n");
    newcomer.expect(b"old\n");
    std::fs::remove_file(&renamed).expect("it is ours");
    server.wait_for_log("deleted, and no writer has it open");
    let mut waiting = server.ask("-10 log\n");
    server.wait_for_request(&waiting);
    waiting.expect_silence();
    for follower in [client, newcomer, waiting] {
        follower.reset();
    }
    wait_until("nobody follows it", || server.watches() == 0);
    server.ask("0 log\n").expect_error("no such file");
}

// Truncation.

#[test]
fn who_had_all_of_a_file_that_is_truncated_goes_on_with_what_comes_then() {
    let log = Log::new("content\n");
    let server = log.server();
    let mut clients = ["0\n", "-1\n", "-0\n"].map(|header| server.ask(header));
    for client in &mut clients[..2] {
        client.expect(b"content\n");
    }
    server.wait_for_request(&clients[2]);
    std::fs::write(&log.path, "").expect("it is ours");
    let path = log.path.display();
    server.wait_for_log(&format!(
        "sendtail: {path} was truncated at 8 bytes, which all of its clients have"
    ));
    let mut newcomer = server.ask("0\n");
    server.wait_for_request(&newcomer);
    log.append("new\n");
    for client in clients.iter_mut().chain([&mut newcomer]) {
        client.expect(b"new\n");
    }
    assert_eq!(server.totals("cut"), 0);
}

#[test]
fn what_a_truncation_takes_from_a_client_is_counted() {
    let log = Log::sparse(64 << 20, "last");
    let server = log.server();
    let mut lagging = server.ask("0\n");
    server.sent_until_full();
    std::fs::write(&log.path, "").expect("it is ours");
    server.wait_for_log("; 1 clients were behind and are closed");
    let received = lagging.read_to_end().len() as u64;
    assert_eq!(server.totals("cut"), 1);
    assert_eq!(server.totals("missed"), (64 << 20) - received);
}

#[test]
fn a_search_that_meets_a_truncation_begins_again_in_what_comes_then() {
    for (header, found) in [("-2\n", "one\ntwo\nthree\n"), ("+2\n", "two\nthree\n")] {
        let log = Log::sparse(1 << 40, "last");
        let server = log.server();
        let mut searching = server.ask(header);
        server.wait_for_request(&searching);
        std::fs::write(&log.path, "").expect("it is ours");
        server.wait_for_log("was truncated at");
        log.append("one\ntwo\nthree\n");
        searching.expect(found.as_bytes());
        assert_eq!(server.totals("cut"), 0);
    }
}

/// What is kept for a client that never reads does not grow with what it misses.
#[test]
fn truncations_behind_a_stuck_client_cost_nothing() {
    let log = Log::sparse(1 << 30, "last");
    let server = log.server();
    // Its sockets are full, and it stands in the segment that was.
    let _stuck = server.ask("0\n");
    server.sent_until_full();
    let mut client = server.ask("-0\n");
    server.wait_for_request(&client);
    let mut truncate = |times: usize| {
        for number in 0..times {
            // The same bytes again would be no truncation.
            let line = format!("line {number}\n");
            std::fs::write(&log.path, &line).expect("it is ours");
            client.expect(line.as_bytes());
        }
        server.memory()
    };
    let before = truncate(100);
    let after = truncate(1000);
    assert!(after < before + 40_000, "from {before} to {after} bytes");
}

// Sizes.

#[test]
fn offsets_beyond_four_gigabytes_are_right() {
    const SIZE: u64 = 5 << 30;
    let log = Log::sparse(SIZE, "the last line");
    let server = log.server();
    let cases = [
        ("-1".to_owned(), "the last line\n"),
        ("-5c".to_owned(), "line\n"),
        ((SIZE - 10).to_string(), "last line\n"),
        ((SIZE + 5).to_string(), ""),
    ];
    let mut clients = cases.map(|(header, content)| {
        let mut client = server.ask(header + "\n");
        client.expect(content.as_bytes());
        server.wait_for_request(&client);
        client
    });
    log.append("more\nand more\n");
    let [.., beyond] = &mut clients;
    beyond.expect(b"and more\n");
    let [from_the_end @ .., _] = &mut clients;
    for client in from_the_end {
        client.expect(b"more\nand more\n");
    }
    let mut across = server.ask(format!("{}\n", (4_u64 << 30) - 1_000_000));
    across.expect(&[0; 3_000_000]);
}

/// sendfile counts no further than 0x7ffff000 in one call.
#[test]
fn more_than_two_gigabytes_arrive_in_one_piece() {
    let log = Log::sparse((2 << 30) + (64 << 20), "last line");
    let server = log.server();
    let mut client = server.ask("0\n");
    let zeros = vec![0; 1 << 20];
    for _ in 0..(2 << 10) + 63 {
        client.expect(&zeros);
    }
    let ending = b"\nlast line\n";
    client.expect(&zeros[ending.len()..]);
    client.expect(ending);
    log.append("more\n");
    client.expect(b"more\n");
}

/// One line of 20 GB takes seconds to search; a follower of another file waits for one chunk of it.
#[test]
fn a_search_through_gigabytes_delays_nobody() {
    for header in ["-2 log\n", "+2 log\n"] {
        let log = Log::sparse(20 << 30, "last line");
        let other = log.beside("other");
        std::fs::write(&other, "").expect("it is ours");
        let server = Server::start(&[log.directory.path()]);
        let mut follower = server.ask("0 other\n");
        append(&other, b"content\n");
        follower.expect(b"content\n");
        let memory = server.memory();
        let searcher = server.ask(header);
        server.wait_for_request(&searcher);
        for _ in 0..20 {
            append(&other, b"more\n");
            follower.expect(b"more\n");
        }
        let grown = server.memory().saturating_sub(memory);
        assert!(grown < 1 << 20, "the search costs {grown} bytes of memory");
        searcher
            .stream
            .set_nonblocking(true)
            .expect("it is a socket");
        let found = searcher.peek(&mut [0]);
        assert!(found.is_err(), "the search was over first: {found:?}");
    }
}

/// Small, seeded, and the same everywhere (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
