//! Who may connect, and how many at a time from one host.

mod exposed; // what is said at the start of who could read what
mod hosts; // --max-clients-per-host
mod modes; // --socket-mode

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use crate::support::{
    Client, Log, Server, bare, connect_from, fails, in_a_network_with, inheriting, wait_until,
};

const TEXT: &str = "one\ntwo\n";

/// It is closed without a word; with a reset if it had said something.
fn expect_denied(mut client: Client) {
    match client.read(&mut [0; 100]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("instead of the end: {other:?}"),
    }
}

/// It says its line; one that was denied meanwhile may be unable to.
fn ask_from(source: &str, server: SocketAddr) -> Client {
    let mut client = connect_from(source, server);
    let _ = std::io::Write::write_all(&mut client.stream, b"0\n");
    client
}

/// Whether a client from there is served; nothing else may happen than that or being denied.
fn is_served(source: &str, server: SocketAddr) -> bool {
    let mut client = ask_from(source, server);
    match client.peek(&mut [0]) {
        Ok(1) => client.expect(TEXT.as_bytes()),
        _ => {
            expect_denied(client);
            return false;
        }
    }
    true
}

#[test]
fn only_who_is_in_one_of_the_networks_is_served() {
    let addresses = [
        "10.1.2.3/32",
        "10.1.255.255/32",
        "10.2.0.1/32",
        "192.0.2.7/32",
        "192.0.2.8/32",
        "2001:db8:1::1/128",
        "2001:db8:1:ffff::1/128",
        "2001:db8:2::1/128",
    ];
    // Flags, and who is served with them.
    let cases: [(&[&str], &[&str]); 9] = [
        (&[], &["127.0.0.1", "::1", "10.1.2.3", "2001:db8:2::1"]),
        (&["10.1.0.0/16"], &["10.1.2.3", "10.1.255.255"]),
        // The bits behind the prefix do not matter.
        (&["10.1.2.3/16"], &["10.1.2.3", "10.1.255.255"]),
        (&["192.0.2.7"], &["192.0.2.7"]),
        (&["192.0.2.7/32"], &["192.0.2.7"]),
        (
            &["2001:db8:1::/48"],
            &["2001:db8:1::1", "2001:db8:1:ffff::1"],
        ),
        (
            &["2001:db8:2::1", "10.2.0.0/24"],
            &["2001:db8:2::1", "10.2.0.1"],
        ),
        (
            &["0.0.0.0/0"],
            &[
                "127.0.0.1",
                "10.1.2.3",
                "10.1.255.255",
                "10.2.0.1",
                "192.0.2.7",
                "192.0.2.8",
            ],
        ),
        (&["127.0.0.0/8", "::1"], &["127.0.0.1", "::1"]),
    ];
    in_a_network_with(&addresses, || {
        for (networks, served) in cases {
            let log = Log::new(TEXT);
            let allow = networks.iter().flat_map(|network| ["--allow", network]);
            let flags: Vec<&str> = ["-b", "0.0.0.0", "-b", "::"]
                .into_iter()
                .chain(allow)
                .collect();
            let server = Server::with(&flags, &[&log.path]);
            let port = server.address().port();
            let mut denied = 0;
            for source in addresses.iter().map(|address| address.split('/').next()) {
                let source = source.expect("it is split");
                let to = SocketAddr::new(source.parse().expect("it is one"), port);
                let may = networks.is_empty() || served.contains(&source);
                assert_eq!(is_served(source, to), may, "{source} with {networks:?}");
                denied += u64::from(!may);
            }
            for source in ["127.0.0.1", "::1"] {
                let to = SocketAddr::new(source.parse().expect("it is one"), port);
                let may = networks.is_empty() || served.contains(&source);
                assert_eq!(is_served(source, to), may, "{source} with {networks:?}");
                denied += u64::from(!may);
            }
            assert_eq!(server.totals("denied"), denied, "{networks:?}");
            assert_eq!(server.totals("refused"), 0, "{networks:?}");
        }
    });
}

/// Of a socket for both families they have IPv6 addresses, as the kernel sees it.
#[test]
fn networks_of_ipv4_are_also_for_clients_of_an_inherited_socket_of_both_families() {
    let Ok(listener) = TcpListener::bind("[::]:0") else {
        return eprintln!("skipped: no IPv6 here");
    };
    let log = Log::new(TEXT);
    let port = listener.local_addr().expect("it is bound").port();
    for (network, first, second, sixth) in [
        ("127.0.0.1/32", true, false, false),
        ("127.0.0.0/8", true, true, false),
        ("0.0.0.0/0", true, true, false),
        ("::1", false, false, true),
        // IPv4 under another name is still none of these.
        ("::/0", false, false, true),
    ] {
        let program = Server::program(&["--allow", network], &[&log.path]);
        let server = Server::command(inheriting(&program, &[&listener]));
        for (source, may) in [("127.0.0.1", first), ("127.0.0.2", second), ("::1", sixth)] {
            let to = SocketAddr::new(source.parse().expect("it is one"), port);
            assert_eq!(is_served(source, to), may, "{source} with {network}");
        }
        drop(server);
    }
}

#[test]
fn unix_sockets_are_not_concerned() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    let flags = ["-b", "127.0.0.1", "-b", &unix, "--allow", "192.0.2.0/24"];
    let server = Server::with(&flags, &[&log.path]);
    let mut client = Client::unix(&path);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
    // Loopback has to be listed too.
    assert!(!is_served("127.0.0.1", server.address()));
}

#[test]
fn who_is_denied_takes_no_seat_and_is_logged_once_a_second() {
    let log = Log::new(TEXT);
    let flags = [
        "-p",
        "0",
        "-b",
        "127.0.0.1",
        "--allow",
        "127.0.0.2",
        "--max-clients",
        "1",
    ];
    let server = Server::command(bare(&flags, &[&log.path]));
    let to = server.address();
    let mut only = ask_from("127.0.0.2", to);
    only.expect(TEXT.as_bytes());
    let before = server.descriptors();
    let start = Instant::now();
    let stranger = connect_from("127.0.0.3", to);
    let from = stranger.stream.local_addr().expect("it is connected");
    expect_denied(stranger);
    server.wait_for_log(&format!("sendtail: {from} denied: not in --allow"));
    for _ in 0..49 {
        expect_denied(ask_from("127.0.0.3", to));
    }
    assert_eq!(server.totals("denied"), 50);
    // They were not among the clients, and are not in the way of those who may.
    assert_eq!(server.totals("refused"), 0);
    assert_eq!(server.totals("clients"), 1);
    assert_eq!(server.descriptors(), before);
    ask_from("127.0.0.2", to).expect_error("too many clients");
    log.append("three\n");
    only.expect(b"three\n");
    let seconds = start.elapsed().as_secs() as usize;
    let said = server.log();
    let lines = said.lines().filter(|line| line.contains(" denied: "));
    let count = lines.count();
    assert!(
        (1..=seconds + 2).contains(&count),
        "{count} in {seconds} s: {said}"
    );
}

/// Descriptors, memory and attention go to others.
#[test]
fn thousands_of_strangers_disturb_nobody() {
    let log = Log::new(TEXT);
    let flags = ["-p", "0", "-b", "127.0.0.1", "--allow", "127.0.0.2"];
    let server = Server::command(bare(&flags, &[&log.path]));
    let to = server.address();
    let mut client = ask_from("127.0.0.2", to);
    client.expect(TEXT.as_bytes());
    let before = server.descriptors();
    for round in 0..20 {
        let strangers: Vec<Client> = (0..100).map(|_| connect_from("127.0.0.3", to)).collect();
        log.append(format!("{round}\n"));
        client.expect(format!("{round}\n").as_bytes());
        strangers.into_iter().for_each(expect_denied);
    }
    assert_eq!(server.totals("denied"), 2000);
    wait_until("none is open", || server.descriptors() == before);
}

#[test]
fn a_bad_network_is_a_usage_error() {
    let log = Log::new(TEXT);
    for network in [
        "",
        "localhost",
        "10.0.0.0/33",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "::1/129",
        "[::1]",
        " 127.0.0.1",
        "10.0.0.0/255.0.0.0",
        "unix:/run/socket",
        "a\nb",
    ] {
        let joined = format!("--allow={network}");
        let line = fails(bare(&["-p", "0", &joined], &[&log.path]), 2);
        assert!(line.contains("--allow"), "{line}");
    }
    fails(bare(&["-p", "0", "--allow"], &[]), 2);
}
