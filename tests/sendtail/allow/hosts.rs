//! `--max-clients-per-host`: one host cannot take all the seats.

use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use super::{TEXT, ask_from};
use crate::support::{
    Client, Log, Server, bare, connect_from, fails, in_a_network_with, wait_until,
};

const REASON: &str = "too many clients from this host";

/// A server for two clients a host, on one address or on those of the flags.
fn server(log: &Log, flags: &[&str]) -> Server {
    let flags = [&["--max-clients-per-host", "2"], flags].concat();
    Server::with(&flags, &[&log.path])
}

fn served(source: &str, server: SocketAddr) -> Client {
    let mut client = ask_from(source, server);
    client.expect(TEXT.as_bytes());
    client
}

/// One more of this host, as soon as there is a seat for it.
fn admitted(source: &str, server: SocketAddr) -> Client {
    let mut client = None;
    wait_until("there is a seat", || {
        let mut next = ask_from(source, server);
        let is_served = next.peek(&mut [0]).is_ok() && {
            let mut first = [0; 3];
            next.read(&mut first).is_ok() && first == TEXT.as_bytes()[..3]
        };
        if is_served {
            next.expect(&TEXT.as_bytes()[3..]);
            client = Some(next);
        }
        is_served
    });
    client.expect("it has been seen")
}

#[test]
fn one_host_too_many_is_refused_and_the_others_are_served() {
    let log = Log::new(TEXT);
    let server = server(&log, &["-b", "127.0.0.1"]);
    let to = server.address();
    let mut clients = vec![served("127.0.0.1", to), served("127.0.0.1", to)];
    for _ in 0..3 {
        let mut third = connect_from("127.0.0.1", to);
        let from = third.stream.local_addr().expect("it is connected");
        third.expect_error(REASON);
        server.wait_for_log(&format!("{from} refused: {REASON}"));
    }
    clients.extend([served("127.0.0.2", to), served("127.0.0.2", to)]);
    ask_from("127.0.0.2", to).expect_error(REASON);
    assert_eq!(server.totals("refused"), 4);
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
}

/// However they leave; those who were refused have had no seat to give back.
#[test]
fn who_leaves_makes_room_for_one_of_the_same_host() {
    let log = Log::new(TEXT);
    let server = server(&log, &["-b", "127.0.0.1"]);
    let to = server.address();
    let mut first = ask_from("127.0.0.1", to);
    first.expect(TEXT.as_bytes());
    for round in 0..6 {
        let mut second = admitted("127.0.0.1", to);
        for _ in 0..3 {
            ask_from("127.0.0.1", to).expect_error(REASON);
        }
        match round % 2 {
            0 => second.reset(),
            _ => {
                // A FIN alone means nothing: what is sent to it shows that it is gone.
                log.append("more\n");
                first.expect(b"more\n");
                second.expect(b"more\n");
                drop(second);
                log.append("more\n");
                first.expect(b"more\n");
                fs::write(&log.path, TEXT).expect("it is ours");
                first.expect(TEXT.as_bytes());
            }
        }
    }
    wait_until("the others have left", || server.totals("clients") == 1);
}

/// It has been answered and has not left: its descriptor is still ours.
#[test]
fn a_draining_client_keeps_its_seat() {
    let log = Log::new(TEXT);
    let server = server(&log, &["-b", "127.0.0.1"]);
    let to = server.address();
    let _first = served("127.0.0.1", to);
    let mut second = connect_from("127.0.0.1", to);
    second.send(b"nonsense\n");
    second.expect(b"error: bad start\n");
    let start = Instant::now();
    // After five seconds it would have been closed.
    let mut third = ask_from("127.0.0.1", to);
    if start.elapsed().as_secs() < 4 {
        third.expect_error(REASON);
    }
    drop(second);
    admitted("127.0.0.1", to);
}

/// Sixteen are told so at a time, and the others closed without a word: the listener is never left
/// alone, since others may come.
#[test]
fn a_host_that_insists_is_not_answered_for_ever() {
    let log = Log::new(TEXT);
    let server = server(&log, &["-b", "127.0.0.1"]);
    let to = server.address();
    let _first = served("127.0.0.1", to);
    let _second = served("127.0.0.1", to);
    let before = server.descriptors();
    let start = Instant::now();
    let mut insistent: Vec<Client> = (0..60).map(|_| connect_from("127.0.0.1", to)).collect();
    wait_until("all have been seen", || server.totals("refused") == 60);
    let told = server.descriptors() - before;
    assert!(told <= 16, "{told} are answered at a time");
    // Whoever comes from elsewhere is served meanwhile.
    let _other = served("127.0.0.2", to);
    let mut answers = [0, 0];
    for client in &mut insistent {
        match &client.read_to_end()[..] {
            b"" => answers[1] += 1,
            b"error: too many clients from this host\n" => answers[0] += 1,
            other => panic!("{:?}", String::from_utf8_lossy(other)),
        }
    }
    // After five seconds the first ones are closed, and others can be told.
    if start.elapsed().as_secs() < 5 {
        assert_eq!(answers, [16, 44]);
    }
    drop(insistent);
    wait_until("they have left", || server.descriptors() == before + 1);
}

#[test]
fn unix_sockets_are_not_limited() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    let server = server(&log, &["-b", "127.0.0.1", "-b", &unix]);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::unix(&path)).collect();
    for client in &mut clients {
        client.send(b"0\n");
        client.expect(TEXT.as_bytes());
    }
    let to = server.address();
    let _clients = [served("127.0.0.1", to), served("127.0.0.1", to)];
    ask_from("127.0.0.1", to).expect_error(REASON);
}

#[test]
fn hosts_of_ipv6_are_limited_too() {
    let addresses = ["2001:db8:1::1/128", "2001:db8:2::1/128"];
    in_a_network_with(&addresses, || {
        let log = Log::new(TEXT);
        let server = server(&log, &["-b", "::"]);
        let to: SocketAddr = format!("[::1]:{}", server.address().port())
            .parse()
            .expect("it is one");
        let [one, other] = ["2001:db8:1::1", "2001:db8:2::1"];
        let _clients = [served(one, to), served(one, to), served(other, to)];
        ask_from(one, to).expect_error(REASON);
        let _last = served(other, to);
        ask_from(other, to).expect_error(REASON);
    });
}

#[test]
fn without_the_flag_one_host_may_take_every_seat() {
    let log = Log::new(TEXT);
    let flags = ["-b", "127.0.0.1", "--max-clients", "40"];
    let server = Server::with(&flags, &[&log.path]);
    let to = server.address();
    let _clients: Vec<Client> = (0..40).map(|_| served("127.0.0.1", to)).collect();
    ask_from("127.0.0.1", to).expect_error("too many clients");
}

/// At both limits it is the general one that is told: nobody else has a seat either.
#[test]
fn the_limit_of_all_comes_first() {
    let log = Log::new(TEXT);
    let server = server(&log, &["-b", "127.0.0.1", "--max-clients", "2"]);
    let to = server.address();
    let _clients = [served("127.0.0.1", to), served("127.0.0.1", to)];
    ask_from("127.0.0.1", to).expect_error("too many clients");
    ask_from("127.0.0.2", to).expect_error("too many clients");
}

#[test]
fn a_bad_number_is_a_usage_error() {
    let log = Log::new(TEXT);
    for number in ["", "0", "-1", "x", "1.5", "4294967296"] {
        let joined = format!("--max-clients-per-host={number}");
        let line = fails(bare(&["-p", "0", &joined], &[&log.path]), 2);
        assert!(line.contains("--max-clients-per-host"), "{line}");
    }
}
