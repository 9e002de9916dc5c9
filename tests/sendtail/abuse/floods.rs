//! Hosts that want more than their share, and hosts that are not let in: what they hold is limited,
//! and the others notice nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect, socket,
};

use super::{TEXT, Witness, many};
use crate::support::{Client, Log, Server, wait_until};

const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// What `--max-clients-per-host` says, and how many are told so at a time.
const OF_HOST: usize = 10;
const ANSWERED: usize = 16;

/// A connection from one of this host's many addresses.
fn from(host: Ipv4Addr, server: SocketAddr) -> Client {
    let connected = || -> io::Result<TcpStream> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(
            AddressFamily::Inet,
            SockType::Stream,
            flags,
            SockProtocol::Tcp,
        )?;
        let raw = descriptor.as_raw_fd();
        bind(raw, &SockaddrIn::from(SocketAddrV4::new(host, 0)))?;
        let SocketAddr::V4(server) = server else {
            unreachable!("it listens on 127.0.0.1");
        };
        connect(raw, &SockaddrIn::from(server))?;
        Ok(descriptor.into())
    };
    Client::new(connected().expect("the server accepts"))
}

fn asking_from(host: Ipv4Addr, server: SocketAddr) -> Client {
    let mut client = from(host, server);
    // It may have been closed already.
    let _ = io::Write::write(&mut client.stream, b"0\n");
    client
}

/// How a connection was met.
#[derive(Debug, PartialEq)]
enum Met {
    Served,
    Told,
    /// Closed without a word.
    Closed,
}

fn met(client: &mut Client) -> Met {
    let mut first = [0];
    match client.peek(&mut first) {
        Ok(1) if first == *b"e" => {
            client.expect(b"error: too many clients from this host\n");
            Met::Told
        }
        Ok(1) => {
            client.expect(TEXT.as_bytes());
            Met::Served
        }
        Ok(_) => Met::Closed,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Met::Closed,
        Err(error) => panic!("neither an answer nor an end: {error}"),
    }
}

fn loud_count(server: &Server, text: &str) -> u64 {
    let log = server.log();
    let loud = super::loud_lines(&log);
    loud.iter().filter(|line| line.contains(text)).count() as u64
}

#[test]
fn a_hostile_host_has_no_more_than_its_share() {
    let count = many(2000);
    let log = Log::new(TEXT);
    let share = OF_HOST.to_string();
    // Without the limit for each host, it would take all of the seats.
    let flags = "-b 127.0.0.1 --max-clients 60 --max-clients-per-host".split(' ');
    let flags: Vec<&str> = flags.chain([&*share]).collect();
    let server = Server::with(&flags, &[&log.path]);
    let address = server.address();
    let mut others: Vec<Client> = (2..6)
        .flat_map(|host| [Ipv4Addr::new(127, 0, 0, host); 3])
        .map(|host| {
            let mut client = asking_from(host, address);
            client.expect(TEXT.as_bytes());
            client
        })
        .collect();
    let descriptors = server.descriptors();
    let mut follower = server.reader("0\n", TEXT);
    let start = Instant::now();
    let mut most = 0;
    let mut newcomer = None;
    let mut flood = std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let flood = (0..count).map(|_| asking_from(HOSTILE, address));
            flood.collect::<Vec<Client>>()
        });
        let mut round = 0;
        while !hammer.is_finished() || round < 50 {
            round += 1;
            let line = format!("round {round}\n");
            log.append(&line);
            let appended = Instant::now();
            others
                .iter_mut()
                .for_each(|client| client.expect(line.as_bytes()));
            follower.expect(line.as_bytes());
            assert!(
                appended.elapsed() < super::WORST_MAX,
                "{:?}",
                appended.elapsed()
            );
            most = most.max(server.descriptors() - descriptors - 1);
            if round == 20 {
                let mut client = from(Ipv4Addr::new(127, 0, 0, 77), address);
                client.send(b"0 log\n");
                client.expect(TEXT.as_bytes());
                newcomer = Some(client);
            }
        }
        hammer.join().expect("it is let connect")
    });
    // Beside those: the newcomer, and one that has just been accepted, and is closed at once.
    let allowed = OF_HOST + ANSWERED + 2;
    assert!(
        (OF_HOST..=allowed).contains(&most),
        "it has had {most} at a time"
    );
    expect_answers(&mut flood);
    assert_eq!(server.totals("refused") as usize, count - OF_HOST);
    let told = loud_count(&server, "refused: too many clients from this host");
    let allowed = start.elapsed().as_secs() + 2;
    assert!((1..=allowed).contains(&told), "{told} lines");
    flood.into_iter().for_each(Client::reset);
    newcomer.expect("it was served").reset();
    wait_until("it has left", || server.descriptors() == descriptors + 1);
    come_back(&server, descriptors);
}

/// The first ones were served, others were told why not, and the rest closed without a word.
fn expect_answers(flood: &mut [Client]) {
    let hostile: Vec<Met> = flood.iter_mut().map(met).collect();
    let of = |wanted| hostile.iter().filter(|met| **met == wanted).count();
    assert_eq!(of(Met::Served), OF_HOST);
    assert!(
        of(Met::Told) >= ANSWERED && of(Met::Closed) > 0,
        "{hostile:?}"
    );
}

/// Its seats are its own, and free when it leaves.
fn come_back(server: &Server, descriptors: usize) {
    let address = server.address();
    let mut again: Vec<Client> = (0..OF_HOST).map(|_| from(HOSTILE, address)).collect();
    for client in &mut again {
        client.send(b"-1c\n");
        client.expect(b"\n");
    }
    let mut over = from(HOSTILE, address);
    over.expect_error("too many clients from this host");
    again.pop().expect("there are ten").reset();
    drop(over);
    wait_until("one has left", || {
        server.descriptors() == descriptors + OF_HOST
    });
    from(HOSTILE, address).expect_silence();
}

/// Who is not in `--allow` gets nothing and holds nothing.
#[test]
fn hosts_that_are_not_let_in_hold_nothing() {
    let count = many(3000);
    let log = Log::new(TEXT);
    let flags = ["-b", "127.0.0.1", "--allow", "127.0.0.1"];
    let server = Server::with(&flags, &[&log.path]);
    let address = server.address();
    let mut witness = Witness::of(&log, &server, "");
    let start = Instant::now();
    let mut most = 0;
    let mut flood = std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let flood = (0..count).map(|_| asking_from(HOSTILE, address));
            flood.collect::<Vec<Client>>()
        });
        while !hammer.is_finished() {
            witness.append();
            most = most.max(server.descriptors() - witness.descriptors);
        }
        hammer.join().expect("it is let connect")
    });
    assert!(most <= 1, "they have had {most} at a time");
    for client in &mut flood {
        assert_eq!(met(client), Met::Closed);
    }
    assert_eq!(server.totals("denied") as usize, count);
    let told = loud_count(&server, "denied: not in --allow");
    assert!(
        (1..=start.elapsed().as_secs() + 2).contains(&told),
        "{told} lines"
    );
    witness.check(1 << 20);
}

/// At the client limit, those who are told so and do not go hold the few descriptors that are kept
/// for it; who has a seat notices nothing.
#[test]
fn a_flood_of_refused_ones_costs_the_others_nothing() {
    let count = many(1500);
    let log = Log::new(TEXT);
    let server = Server::with(&["-b", "127.0.0.1", "--max-clients", "2"], &[&log.path]);
    let mut witness = Witness::of(&log, &server, "");
    let mut second = server.ask("-0\n");
    server.wait_for_request(&second);
    let with_both = server.descriptors();
    let mut most = 0;
    std::thread::scope(|scope| {
        let hammer = scope.spawn(|| {
            let flood = (0..count).map(|_| asking_from(HOSTILE, server.address()));
            flood.collect::<Vec<Client>>()
        });
        while !hammer.is_finished() {
            witness.append();
            most = most.max(server.descriptors() - with_both);
        }
        for _ in 0..20 {
            witness.append();
        }
        super::expect_rest(&server, &mut witness.follower);
        let flood = hammer.join().expect("it is let connect");
        flood.into_iter().for_each(Client::reset);
    });
    assert!(
        (1..=ANSWERED).contains(&most),
        "they have had {most} at a time"
    );
    second.expect(b"appended 1\n");
    second.reset();
    witness.append_until("there is a seat again", || {
        let client = server.ask("-1\n");
        let mut first = [0; 5];
        let is_in = matches!(client.peek(&mut first), Ok(5)) && &first != b"error";
        client.reset();
        is_in
    });
    witness.check(1 << 20);
}
