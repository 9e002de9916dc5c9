//! Where the server listens: its default addresses, chosen ones, one port for all of them, and what
//! it says of an address that cannot be had.

mod unix;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    Client, Helper, Log, Server, bare, can_run, fails, has_program, wait_until, wrapped,
};

const TEXT: &str = "one\ntwo\n";

/// A network of its own, where only 127.0.0.1 is there.
const NO_IPV6: [&str; 6] = [
    "unshare",
    "--net",
    "sh",
    "-c",
    "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && exec \"$@\"",
    "sh",
];

#[test]
fn the_default_is_loopback_of_both_families_on_one_port() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut expected = vec![format!("127.0.0.1:{}", server.address().port())];
    if TcpListener::bind("[::1]:0").is_ok() {
        expected.push(format!("[::1]:{}", server.address().port()));
    }
    assert_eq!(server.listening(), expected);
    for address in expected {
        expect_served(&address);
    }
    let lines = server.stdout();
    let strange = lines.lines().find(|line| !line.starts_with("listening "));
    assert_eq!(strange, None);
}

#[test]
fn every_chosen_address_is_served_on_one_port() {
    let log = Log::new(TEXT);
    let mut sets = vec![vec!["127.0.0.2", "127.0.0.3", "127.0.0.4"], vec!["0.0.0.0"]];
    if TcpListener::bind("[::1]:0").is_ok() {
        // Both families can have one port only if the IPv6 socket leaves IPv4 alone.
        sets.push(vec!["0.0.0.0", "::"]);
        sets.push(vec!["::", "0.0.0.0"]);
        sets.push(vec!["::1"]);
    }
    for set in sets {
        let flags: Vec<&str> = set.iter().flat_map(|address| ["-b", address]).collect();
        let server = Server::with(&flags, &[&log.path]);
        let port = server.address().port();
        let addresses = set.iter().map(|text| {
            let ip = text.parse().expect("the table has addresses");
            SocketAddr::new(ip, port).to_string()
        });
        assert_eq!(server.listening(), addresses.collect::<Vec<_>>());
        for address in server.listening() {
            let reached = address
                .replace("0.0.0.0", "127.0.0.1")
                .replace("[::]", "[::1]");
            expect_served(&reached);
        }
    }
}

#[test]
fn a_chosen_port_is_used_and_a_taken_one_is_an_error() {
    let log = Log::new(TEXT);
    let (first, second) = loop {
        // The port was free a moment ago; somebody else may have taken it since.
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("it is bound").port().to_string();
        drop(free);
        let flags = ["-b", "127.0.0.1", "-p", port.as_str()];
        let first = Server::launch(Server::program(&flags, &[&log.path]));
        wait_until("it listens or says why not", || {
            !first.listening().is_empty() || first.log().contains("cannot bind")
        });
        if !first.listening().is_empty() {
            break (first, bare(&flags, &[&log.path]));
        }
    };
    let mut client = first.ask("0\n");
    client.expect(TEXT.as_bytes());
    let address = first.address();
    let reason = format!("sendtail: cannot bind {address}: Address already in use");
    assert_eq!(fails(second, 1), reason);
    log.append("three\n");
    client.expect(b"three\n");
    expect_served(&address.to_string());
}

#[test]
fn a_port_taken_on_the_second_address_only_is_tried_again() {
    if !has_program("strace") || TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let log = Log::new(TEXT);
    // Nobody can take the port in time for a test, so the kernel is made to say it: the second bind
    // fails once.
    let taken = "inject=bind:error=EADDRINUSE:when=2";
    let wrapper = ["strace", "-o", "/dev/null", "-e", "trace=bind", "-e", taken];
    let server = Server::command(wrapped(&wrapper, &Server::program(&[], &[&log.path])));
    wait_until("it listens twice", || server.listening().len() == 2);
    let port = server.address().port();
    let expected = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    assert_eq!(server.listening(), expected);
    for address in expected {
        expect_served(&address);
    }
}

#[test]
fn a_bad_address_is_a_usage_error() {
    let log = Log::new(TEXT);
    let addresses = [
        "nonsense",
        "",
        "256.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "::1::",
        "unix:",
        "127.0.0.1 ",
    ];
    for address in addresses {
        let line = fails(bare(&["-p", "0", "-b", address], &[&log.path]), 2);
        assert!(line.contains(address), "{line}");
    }
    fails(bare(&["-p", "0"], &[&log.path, Path::new("-b")]), 2);
}

#[test]
fn an_address_of_somebody_else_is_an_error() {
    let log = Log::new(TEXT);
    let line = fails(bare(&["-p", "0", "-b", "192.0.2.1"], &[&log.path]), 1);
    let reason = "sendtail: cannot bind 192.0.2.1:0: Cannot assign requested address";
    assert_eq!(line, reason);
    // A good one before it does not help; the port is the good one's by then.
    let flags = ["-p", "0", "-b", "127.0.0.1", "-b", "192.0.2.1"];
    let line = fails(bare(&flags, &[&log.path]), 1);
    assert!(
        line.starts_with("sendtail: cannot bind 192.0.2.1:"),
        "{line}"
    );
}

#[test]
fn an_address_given_twice_is_an_error() {
    let log = Log::new(TEXT);
    let path = log.beside("socket");
    let socket = format!("unix:{}", path.display());
    for address in ["127.0.0.1", &socket] {
        let flags = ["-p", "0", "-b", address, "-b", address];
        let line = fails(bare(&flags, &[&log.path]), 1);
        let start = format!("sendtail: cannot bind {address}");
        assert!(line.starts_with(&start), "{line}");
        assert!(line.ends_with(": Address already in use"), "{line}");
    }
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn a_privileged_port_is_an_error() {
    // In a network of its own, since some machines allow low ports to everybody.
    let wrapper = ["unshare", "--net", "setpriv", "--bounding-set=-all"];
    if !can_run(&[&wrapper[..], &["true"]].concat()) {
        return;
    }
    let log = Log::new(TEXT);
    let command = bare(&["-b", "0.0.0.0", "-p", "80"], &[&log.path]);
    let line = fails(wrapped(&wrapper, &command), 1);
    let reason = "sendtail: cannot bind 0.0.0.0:80: Permission denied";
    assert_eq!(line, reason);
}

#[test]
fn without_ipv6_the_default_is_ipv4_alone() {
    if !can_run(&[&NO_IPV6[..], &["true"]].concat()) || !has_program("nsenter") {
        return;
    }
    let log = Log::new(TEXT);
    let server = Server::command(wrapped(&NO_IPV6, &Server::program(&[], &[&log.path])));
    let address = server.address();
    // Only from inside that network it can be reached.
    let received = log.beside("received");
    let talk = "exec 3<>/dev/tcp/127.0.0.1/$0; echo 0 >&3; exec cat <&3";
    let mut inside = Command::new("nsenter");
    inside.args(["--net", "-t", &server.pid().to_string()]);
    inside.args(["bash", "-c", talk, &address.port().to_string()]);
    inside.stdin(Stdio::null());
    let file = File::create(&received).expect("the directory is ours");
    let _client = Helper::start(inside.stdout(file));
    let arrived = |text: &str| fs::read_to_string(&received).is_ok_and(|all| all == text);
    wait_until("it is served over IPv4", || arrived(TEXT));
    log.append("three\n");
    wait_until("it is followed", || arrived("one\ntwo\nthree\n"));
    assert_eq!(server.listening(), [address.to_string()]);
}

#[test]
fn a_kernel_without_ipv6_is_no_error_either() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    // The first socket of the program is the IPv4 one, as its `listening` lines are in order.
    let none = "inject=socket:error=EAFNOSUPPORT:when=2+";
    let wrapper = [
        "strace",
        "-o",
        "/dev/null",
        "-e",
        "trace=socket",
        "-e",
        none,
    ];
    let server = Server::command(wrapped(&wrapper, &Server::program(&[], &[&log.path])));
    server.ask("0\n").expect(TEXT.as_bytes());
    assert_eq!(server.listening(), [server.address().to_string()]);
}

#[test]
fn without_ipv6_an_ipv6_address_that_was_asked_for_is_an_error() {
    if !can_run(&[&NO_IPV6[..], &["true"]].concat()) {
        return;
    }
    let log = Log::new(TEXT);
    let command = bare(&["-p", "0", "-b", "::1"], &[&log.path]);
    let line = fails(wrapped(&NO_IPV6, &command), 1);
    let reason = "sendtail: cannot bind [::1]:0: Cannot assign requested address";
    assert_eq!(line, reason);
}

#[test]
fn the_log_says_how_to_open_the_port_if_it_is_closed() {
    let log = Log::new(TEXT);
    let socket = format!("unix:{}", log.beside("socket").display());
    let cases: [(&[&str], bool); 6] = [
        (&[], true),
        (&["-b", "127.0.0.1"], true),
        (&["-b", &socket], true),
        (&["-b", "127.9.9.9", "-b", &socket], true),
        (&["-b", "0.0.0.0"], false),
        (&["-b", &socket, "-b", "0.0.0.0"], false),
    ];
    for (flags, hint) in cases {
        let flags = [&["-p", "0"], flags].concat();
        let server = Server::command(bare(&flags, &[&log.path]));
        // The totals come after everything that is said at the start.
        server.totals("clients");
        let said = server.log();
        let first = said.lines().next().unwrap_or_default();
        assert_eq!(first.contains("-b"), hint, "{flags:?}: {said}");
    }
}

fn expect_served(address: &str) {
    let stream = TcpStream::connect(address);
    let stream = stream.unwrap_or_else(|error| panic!("{address}: {error}"));
    let mut client = Client::new(stream);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
}
