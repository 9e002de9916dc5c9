//! Those who take the port for another: scanners, browsers, TLS, and every protocol that begins
//! with the client. Each gets one line or silence, at once, and is not worth a line of the log.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{TEXT, Witness, loud_lines};
use crate::support::{Client, Log, Server, bare, has_program, wait_until};

const BROWSER: &[u8] = b"GET /favicon.ico HTTP/1.1\r\nHost: log.example:4321\r\nConnection: \
    keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like \
    Gecko) Chrome/126.0.0.0 Safari/537.36\r\nAccept: image/avif,image/webp,*/*;q=0.8\r\nReferer: \
    http://log.example:4321/\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: de,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef\r\n\r\n";

/// What they say first, and then wait for an answer.
#[rustfmt::skip]
const OPENINGS: [(&str, &[u8]); 34] = [
    ("a browser", BROWSER),
    ("HTTP/1.0", b"HEAD / HTTP/1.0\r\n\r\n"),
    ("a proxy's client", b"CONNECT log.example:443 HTTP/1.1\r\n\r\n"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("RTSP", b"OPTIONS / RTSP/1.0\r\n\r\n"),
    ("SIP", b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm;branch=foo\r\n\r\n"),
    ("TLS 1.3", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
    ("TLS 1.3, its first byte", b"\x16"),
    ("SSL 2", b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10"),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
    ("Redis", b"*1\r\n$4\r\nPING\r\n"),
    ("Redis, inline", b"PING\r\n"),
    ("memcached", b"stats\r\n"),
    ("memcached, binary", b"\x80\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("SMTP", b"EHLO scanner.example\r\n"),
    ("POP3", b"CAPA\r\n"),
    ("IMAP", b"a001 CAPABILITY\r\n"),
    ("FTP", b"USER anonymous\r\n"),
    ("PROXY, version 1", b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 4321\r\n0\n"),
    ("telnet", b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27"),
    ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f"),
    ("RDP", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"),
    ("SMB", b"\0\0\0\x85\xffSMBr\0\0\0\0\x18\x53\xc8"),
    ("SOCKS 4", b"\x04\x01\x10\xe1\x7f\0\0\x01\0"),
    ("SOCKS 5", b"\x05\x01\0"),
    ("MQTT", b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"),
    ("AMQP", b"AMQP\0\0\x09\x01"),
    ("DNS", b"\0\x1e\0\x06\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03"),
    ("X11", b"l\0\x0b\0\0\0\0\0\0\0\0\0"),
    ("Java RMI", b"JRMI\0\x02K"),
    ("JDWP", b"JDWP-Handshake"),
    ("a printer", b"\x1b%-12345X@PJL INFO ID\r\n"),
    ("rsync", b"@RSYNCD: 31.0\n"),
    ("gopher", b"/\r\n"),
];

/// Before the header's timeout, and before anybody would think that nobody listens.
const AT_ONCE: Duration = Duration::from_secs(4);

/// One that does not speak HTTP, and so does not take them for its own.
fn quiet_server(log: &Log) -> Server {
    let flags = ["-p", "0", "-b", "127.0.0.1", "--no-http"];
    Server::command(bare(&flags, &[&log.path]))
}

#[test]
fn other_protocols_get_one_line_at_once() {
    let log = Log::new(TEXT);
    let server = quiet_server(&log);
    let mut witness = Witness::of(&log, &server, "");
    let before = loud_lines(&server.log()).len();
    let mut open = vec![];
    for (name, opening) in OPENINGS {
        eprintln!("{name}");
        let start = Instant::now();
        // One that waits, and one that has said all that it has to say.
        let mut clients = [(); 2].map(|()| server.ask(opening));
        clients[1].half_close();
        for client in &mut clients {
            client.expect_error("bad start");
        }
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        open.extend(clients);
        witness.append();
    }
    // They may go on talking as if they had been understood.
    for client in &mut open {
        let _ = std::io::Write::write(&mut client.stream, BROWSER);
    }
    drop(open);
    assert_eq!(server.totals("refused"), 4 + 2 * OPENINGS.len() as u64);
    assert_eq!(loud_lines(&server.log()).len(), before, "{}", server.log());
    witness.check(1 << 20);
}

/// What begins like HTTP is answered like that, as soon as it shows that it is none.
#[test]
fn other_protocols_get_one_answer_where_http_is_spoken() {
    let log = Log::new(TEXT);
    let server = Server::command(bare(&["-p", "0", "-b", "127.0.0.1"], &[&log.path]));
    let mut witness = Witness::of(&log, &server, "");
    let before = loud_lines(&server.log()).len();
    for (name, opening) in OPENINGS {
        eprintln!("{name}");
        let mut client = server.ask(opening);
        client.half_close();
        let answer = client.read_to_end();
        let is_refused = match opening[0].is_ascii_uppercase() {
            true => answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 505 "),
            false => answer == b"error: bad start\n",
        };
        assert!(
            is_refused || name == "HTTP/1.0",
            "{}",
            answer.escape_ascii()
        );
        witness.append();
    }
    assert_eq!(loud_lines(&server.log()).len(), before, "{}", server.log());
    witness.check(1 << 20);
}

/// Those who wait for the server to begin, and those whose first byte could be a digit: they are
/// answered at the timeout; and an empty line is a request, whoever sends it.
#[test]
fn who_may_still_become_a_client_is_waited_for() {
    let log = Log::new(TEXT);
    let flags = ["-p", "0", "-b", "127.0.0.1", "--header-timeout", "1"];
    let server = Server::command(bare(&flags, &[&log.path]));
    let mut witness = Witness::of(&log, &server, "");
    let ldap = b"0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0";
    let mut waiting: [Client; 3] = [server.connect(), server.ask(ldap), server.ask("0x10 \r")];
    for client in &mut waiting {
        client.expect_error("no header within 1 s");
    }
    let proxy = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for opening in [&b"\r\n\r\n"[..], proxy] {
        let mut client = server.ask(opening);
        client.expect(TEXT.as_bytes());
        client.reset();
    }
    drop(waiting);
    witness.append();
    witness.check(1 << 20);
}

/// The program that has to be installed, and what is typed; what it must print, if anything.
#[rustfmt::skip]
const TYPED: [(&str, &str, &str); 14] = [
    ("nc.openbsd", "nc.openbsd -z -v $HOST $PORT", "succeeded"),
    ("nc.traditional", "nc.traditional -z -v $HOST $PORT", "open"),
    ("ncat", "ncat -z -v $HOST $PORT", "Connected"),
    ("busybox", "busybox nc $HOST $PORT </dev/null", ""),
    ("bash", "exec 3<>/dev/tcp/$HOST/$PORT", ""),
    ("socat", "socat -u /dev/null TCP:$HOST:$PORT", ""),
    ("openssl", "openssl s_client -connect $HOST:$PORT </dev/null", ""),
    ("curl", "curl -sS --max-time 20 http://$HOST:$PORT/", "HTTP/0.9"),
    ("curl", "curl -sS --max-time 20 --http0.9 http://$HOST:$PORT/", "error: bad start"),
    ("curl", "curl -sS --max-time 20 --http2-prior-knowledge http://$HOST:$PORT/", ""),
    ("curl", "curl -sSk --max-time 20 https://$HOST:$PORT/", ""),
    ("curl", "echo x | curl -sS --max-time 20 telnet://$HOST:$PORT", "error: bad start"),
    ("python3", "python3 -c 'import urllib.request as r; r.urlopen(\"http://'$HOST:$PORT'\")'",
        "BadStatusLine: error: bad start"),
    ("python3", "python3 -c 'import socket, ssl, os
s = socket.create_connection((os.environ[\"HOST\"], int(os.environ[\"PORT\"])))
ssl._create_unverified_context().wrap_socket(s)'", "SSLError"),
];

#[test]
fn scanners_browsers_and_tls_are_real() {
    let log = Log::new(TEXT);
    let server = quiet_server(&log);
    let mut witness = Witness::of(&log, &server, "");
    let before = loud_lines(&server.log()).len();
    for (program, typed, printed) in TYPED {
        if !has_program(program) || !has_program("bash") {
            continue;
        }
        let start = Instant::now();
        let output = run(&server, typed);
        let took = start.elapsed();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        eprintln!("{typed}: {} after {took:?}", output.status);
        assert!(said.contains(printed), "{typed}: {said}");
        assert!(!said.contains("one\n"), "{typed}: {said}");
        // Programs take their time to start on a busy machine.
        assert!(took < AT_ONCE + Duration::from_secs(6), "{typed}: {took:?}");
        witness.append();
    }
    wait_until("all have gone", || server.totals("clients") == 1);
    assert_eq!(loud_lines(&server.log()).len(), before, "{}", server.log());
    witness.check(1 << 20);
}

/// Which asks the port what it is.
#[test]
fn a_scanner_finds_an_open_port_and_nothing_else() {
    if !has_program("nmap") || !has_program("bash") {
        return;
    }
    let log = Log::new(TEXT);
    let server = quiet_server(&log);
    let mut witness = Witness::of(&log, &server, "");
    let typed = "nmap -Pn -n -sT -sV --version-intensity 0 --host-timeout 25 -p $PORT $HOST";
    let output = run(&server, typed);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("/tcp open"),
        "{said}"
    );
    wait_until("all have gone", || {
        witness.append();
        server.totals("clients") == 1
    });
    witness.check(1 << 20);
}

fn run(server: &Server, typed: &str) -> Output {
    let address = server.address();
    let mut shell = Command::new("bash");
    shell.args(["-c", typed]).stdin(Stdio::null());
    shell.env("HOST", address.ip().to_string());
    shell.env("PORT", address.port().to_string());
    // What a proxy would say is not the matter.
    shell.env("no_proxy", "*").env("NO_PROXY", "*");
    shell.output().expect("it is installed")
}
