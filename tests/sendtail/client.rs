//! One connection's life beside the others: half-closed, reset, stuck, vanished, ended. None of it
//! may cost the server memory, a descriptor for ever or a turn of its loop, or anybody else a byte
//! or time.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{Client, Log, Server, can_run, has_program, on_time, wait_until, wrapped};

#[test]
fn a_client_that_closes_its_sending_half_gets_what_comes_much_later() {
    let log = Log::new("one\ntwo\n");
    let server = Server::with(&["--header-timeout", "1"], &[&log.path]);
    let mut clients = ["-1\n", "-1", "0\n", "1000\n"].map(|header| {
        let mut client = server.ask(header);
        client.half_close();
        server.wait_for_request(&client);
        client
    });
    clients[0].expect(b"two\n");
    clients[1].expect(b"two\n");
    clients[2].expect(b"one\ntwo\n");
    // Much later: another client has waited for its timeout.
    server.connect().expect_error("no header within 1 s");
    let large = vec![b'x'; 4 << 20];
    log.append(&large);
    for client in &mut clients[..3] {
        client.expect(&large);
    }
    clients[3].expect(&large[992..]);
}

#[test]
fn a_reset_in_mid_stream_ends_only_that_client() {
    let log = Log::sparse(64 << 20, "last line");
    let server = log.server();
    let mut follower = server.ask("-1\n");
    follower.expect(b"last line\n");
    let descriptors = server.descriptors();
    let mut slow = server.ask("0\n");
    for _ in 0..50 {
        let mut client = server.ask("0\n");
        client.expect(&[0; 100_000]);
        client.reset();
        log.append("more\n");
        follower.expect(b"more\n");
    }
    // Only the slow one is left, and it misses nothing.
    wait_until("their descriptors are free", || {
        server.descriptors() == descriptors + 1
    });
    slow.expect(&std::fs::read(&log.path).expect("it is there"));
}

#[test]
fn clients_that_never_read_cost_neither_memory_nor_time() {
    const STUCK: usize = 30;
    let log = Log::sparse(64 << 20, "last line");
    let server = log.server();
    let mut follower = server.ask("-1\n");
    follower.expect(b"last line\n");
    let memory = server.memory();
    let stuck: Vec<Client> = (0..STUCK).map(|_| server.ask("0\n")).collect();
    stuck
        .iter()
        .for_each(|client| server.wait_for_request(client));
    on_time(50, |_| {
        log.append("more\n");
        follower.expect(b"more\n");
    });
    // The kernel's buffers are full when the server has nothing to do any more.
    let mut sent = 0;
    wait_until("all of them are stuck", || {
        let before = std::mem::replace(&mut sent, server.totals("sent"));
        sent == before
    });
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < 1 << 20, "{STUCK} stuck clients cost {grown} bytes");
    // Stuck clients are no reason to turn: SIGUSR1 and the tick are.
    wait_until("the loop stands still", || {
        let turns = server.totals("turns");
        follower.expect_silence();
        server.totals("turns") - turns < 20
    });
}

#[test]
fn followers_are_on_time_beside_readers_of_a_long_backlog() {
    let log = Log::sparse(8 << 30, "last line");
    let server = log.server();
    let mut followers: Vec<Client> = (0..10).map(|_| server.ask("-1\n")).collect();
    followers
        .iter_mut()
        .for_each(|client| client.expect(b"last line\n"));
    let readers: Vec<_> = (0..2).map(|_| BacklogReader::start(&server)).collect();
    on_time(30, |_| {
        log.append("more\n");
        followers
            .iter_mut()
            .for_each(|client| client.expect(b"more\n"));
    });
    // Served in turn, a follower would have waited until the whole backlog was read.
    for reader in readers {
        assert!(reader.stop(), "the followers came last");
    }
}

/// Reads gigabytes in the background until it is stopped.
struct BacklogReader {
    client: Client,
    thread: std::thread::JoinHandle<()>,
}

impl BacklogReader {
    fn start(server: &Server) -> BacklogReader {
        let mut client = server.ask("0\n");
        // It has begun before anybody is compared with it.
        client.expect(&[0; 1 << 20]);
        let stream = client.stream.try_clone();
        let mut reader = Client::new(stream.expect("a second handle"));
        let thread = std::thread::spawn(move || {
            let mut chunk = vec![0; 1 << 18];
            // The hole ends in a newline.
            while let Ok(count) = reader.read(&mut chunk) {
                if count == 0 || chunk[count - 1] == b'\n' {
                    break;
                }
            }
        });
        BacklogReader { client, thread }
    }

    /// Whether it had still something to read.
    fn stop(self) -> bool {
        let reading = !self.thread.is_finished();
        let closed = self.client.stream.shutdown(std::net::Shutdown::Both);
        closed.expect("the connection is open");
        self.thread.join().expect("it only reads");
        reading
    }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let log = Log::new("content\n");
    let server = log.server();
    let descriptors = server.descriptors();
    let memory = server.memory();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2500 {
                    let mut client = server.connect();
                    match round % 5 {
                        0 => {}
                        1 => client.send(b"-1"),
                        2 => client.send(b"garbage\n"),
                        3 => client.send(b"-1\n"),
                        _ => {
                            client.send(b"-1\n");
                            client.expect(b"content\n");
                        }
                    }
                    client.reset();
                }
            });
        }
    });
    wait_until("their descriptors are free", || {
        server.descriptors() == descriptors
    });
    wait_until("their watches are gone", || server.watches() == 0);
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < 1 << 20, "10,000 connections leave {grown} bytes");
    server.ask("-1\n").expect(b"content\n");
}

// Keepalive.

/// A client that has closed looks like one that is half-closed; only the answer to a probe tells
/// them apart, and that comes when its kernel has forgotten the connection.
#[test]
fn keepalive_finds_the_vanished_and_spares_the_half_closed() {
    let namespace = ["unshare", "--map-root-user", "--net"];
    let tools = ["nsenter", "ip", "bash", "ncat"];
    if !can_run(&[&namespace[..], &["true"]].concat())
        || !tools.iter().all(|tool| has_program(tool))
    {
        return;
    }
    let log = Log::new("content\n");
    let program = Server::program(&["--keepalive", "1"], &[&log.path]);
    let set_up = r#"ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout && exec "$@""#;
    let wrapper = [&namespace[..], &["sh", "-c", set_up, "sh"]].concat();
    let server = Server::command(wrapped(&wrapper, &program));
    let before = server.descriptors();
    let (pid, port) = (
        server.pid().to_string(),
        server.address().port().to_string(),
    );
    let inside = |program: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &pid,
            "--user",
            "--preserve-credentials",
            "--net",
        ]);
        command.args(program);
        command
    };

    // ncat shuts down its sending half at the end of its input, and keeps on reading.
    let mut ncat = inside(&["ncat", "127.0.0.1", &port]);
    let ncat = ncat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut half_closed = ncat.expect("it is installed");
    let header = half_closed.stdin.take().expect("it is piped");
    (&header).write_all(b"-1\n").expect("it reads");
    drop(header);
    let mut output = half_closed.stdout.take().expect("it is piped");
    expect_from(&mut output, b"content\n");
    let with_one = server.descriptors();
    assert!(with_one > before);

    let vanish = r#"exec 3<>/dev/tcp/127.0.0.1/$0; echo -1 >&3; read -u 3; exec 3>&-"#;
    let vanished = inside(&["bash", "-c", vanish, &port]).status();
    assert!(vanished.expect("it is installed").success());
    server.wait_for_log(" closed: ");
    wait_until("its descriptor is free", || {
        server.descriptors() == with_one
    });
    log.append("more\n");
    expect_from(&mut output, b"more\n");
    half_closed.kill().expect("it is our child");
    half_closed.wait().expect("it is our child");
}

fn expect_from(output: &mut impl Read, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    output
        .read_exact(&mut received)
        .expect("the connection lives");
    assert_eq!(
        received.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

// Ends.

/// Closing with unread input would send a reset, and a reset destroys what is queued.
#[test]
fn every_end_comes_after_everything_queued() {
    type End = fn(&Log, &Server);
    let ends: [(&str, End); 2] = [
        ("truncated", |log, server| {
            let file = OpenOptions::new().write(true).open(&log.path);
            file.expect("it is there").set_len(0).expect("it is ours");
            server.wait_for_log("truncated");
        }),
        ("SIGTERM", |_, server| {
            server.signal(Signal::SIGTERM);
            let address = server.address();
            wait_until("the listener is closed", || {
                TcpStream::connect(address).is_err()
            });
        }),
    ];
    for (name, end) in ends {
        eprintln!("{name}");
        let log = Log::sparse(64 << 20, "last line");
        let server = log.server();
        let mut client = server.ask("0\n");
        server.wait_for_request(&client);
        let mut queued = 0;
        wait_until("the kernel takes no more", || {
            let before = std::mem::replace(&mut queued, server.offset(&client));
            queued == before && queued > 1 << 16
        });
        client.send(&[b'j'; 100_000]);
        end(&log, &server);
        client.send(&[b'j'; 100_000]);
        let received = client.read_to_end();
        assert!(
            received.len() as u64 >= queued,
            "{} of {queued}",
            received.len()
        );
        assert!(
            received.iter().all(|byte| *byte == 0),
            "not what the file held"
        );
        client.half_close();
        if name == "SIGTERM" {
            assert_eq!(server.wait().code(), Some(0));
        } else {
            log.append("alive\n");
            server.ask("0\n").expect(b"alive\n");
        }
    }
}

#[test]
fn an_error_line_arrives_in_spite_of_unread_junk() {
    let log = Log::new("content\n");
    let server = log.server();
    for _ in 0..20 {
        let mut everything = b"-1 missing\n".to_vec();
        everything.resize(500_000, b'j');
        let mut client = server.ask(everything);
        client.expect_error("no such file");
        // The server still reads: a closed socket would answer with a reset.
        for _ in 0..10 {
            client.send(&[b'j'; 10_000]);
        }
    }
}
