//! At the client limit, half-closed clients that wait may be gone: then they are asked at once, and
//! only then.
//!
//! In a network namespace, whose kernel forgets connections soon, and counts the probes that are
//! sent.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Late, Log, Server, can_run, has_program, in_time, wait_until, wrapped};

const TEXT: &str = "content\n";

const NAMESPACE: [&str; 3] = ["unshare", "--map-root-user", "--net"];

/// Clients in the server's namespace, in named groups; a command and an answer a line.
const CLIENTS: &str = r#"
import socket, struct, sys
groups = {}
def connect(host="127.0.0.1"):
    client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30, (host, 0))
    client.sendall(b"-1\n")
    return client
def read(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(min(count - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return data
for line in sys.stdin:
    command, *words = line.split()
    if command == "hold":
        name, count, host = words
        group = groups[name] = [connect(host) for _ in range(int(count))]
        for client in group:
            client.shutdown(socket.SHUT_WR)
        answer = {read(client, len("content\n")) for client in group}
    elif command == "leave":
        for client in groups.pop(words[0]):
            client.close()
        answer = "left"
    elif command == "read":
        answer = {read(client, int(words[1])).strip(b"x") for client in groups[words[0]]}
    elif command == "try":
        with connect(*words) as client:
            client.settimeout(30)
            answer = client.recv(100)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    print(answer, flush=True)
"#;

struct Scene {
    server: Server,
    clients: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scene {
    /// Nothing if this cannot be had here.
    fn new(log: &Log, flags: &[&str]) -> Option<Scene> {
        let tools = ["nsenter", "ip", "python3", "ss"];
        if !can_run(&[&NAMESPACE[..], &["true"]].concat())
            || !tools.iter().all(|tool| has_program(tool))
        {
            return None;
        }
        let flags = [&["-b", "127.0.0.1", "--keepalive", "30"], flags].concat();
        let program = Server::program(&flags, &[&log.path]);
        let set_up =
            r#"ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout && exec "$@""#;
        let wrapper = [&NAMESPACE[..], &["sh", "-c", set_up, "sh"]].concat();
        let server = Server::command(wrapped(&wrapper, &program));
        let port = server.address().port().to_string();
        let mut python = inside(&server, &["python3", "-c", CLIENTS, &port]);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut clients = python.spawn().expect("it is installed");
        Some(Scene {
            commands: clients.stdin.take().expect("it is piped"),
            answers: BufReader::new(clients.stdout.take().expect("it is piped")),
            clients,
            server,
        })
    }

    fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").expect("it reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn expect(&mut self, command: &str, answer: &str) {
        assert_eq!(self.tell(command), answer, "{command}");
    }

    fn hold(&mut self, name: &str, count: usize) {
        self.expect(&format!("hold {name} {count} 127.0.0.1"), r"{b'content\n'}");
    }

    /// These close, and their kernel has forgotten them: the server cannot see that. So many others
    /// have half-closed, and are still there.
    fn leave(&mut self, name: &str, others: usize) {
        self.expect(&format!("leave {name}"), "left");
        wait_until("their kernel has forgotten them", || {
            // The acknowledgement of a FIN may be delayed.
            ss(&self.server, &["fin-wait-1", "fin-wait-2"]).len() == others
        });
    }

    /// The keepalive probes that were sent in this namespace.
    fn probes(&self) -> u64 {
        let netstat = fs::read_to_string(format!("/proc/{}/net/netstat", self.server.pid()));
        let netstat = netstat.expect("it runs");
        let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
        let [names, values] = [(); 2].map(|()| lines.next().expect("two lines"));
        let mut fields = names.split(' ').zip(values.split(' '));
        let field = fields.find(|(name, _)| *name == "TCPKeepAlive");
        let (_, value) = field.expect("the kernel counts them");
        value.parse().expect("a number")
    }

    /// In how many seconds each half-closed client will be probed.
    fn timers(&self) -> Vec<f64> {
        let lines = ss(&self.server, &["close-wait"]);
        lines
            .iter()
            .map(|line| {
                let (_, rest) = line.split_once("timer:(keepalive,").unwrap_or_default();
                seconds(rest.split(',').next().unwrap_or_default())
                    .unwrap_or_else(|| panic!("no keepalive timer: {line}"))
            })
            .collect()
    }

    fn wait_until_restored(&self, count: usize) {
        wait_until("all of them are left alone again", || {
            let timers = self.timers();
            timers.len() == count && timers.iter().all(|seconds| *seconds > 20.0)
        });
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.clients.kill();
        let _ = self.clients.wait();
    }
}

/// The sockets in one of these states, as `ss -o` shows them.
fn ss(server: &Server, states: &[&str]) -> Vec<String> {
    let states = states.iter().flat_map(|state| ["state", state]);
    let command: Vec<&str> = ["ss", "-Htno"].into_iter().chain(states).collect();
    let output = inside(server, &command).output();
    let output = output.expect("it is installed");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// `59sec`, `1min`, `1min2sec`, `980ms`.
fn seconds(text: &str) -> Option<f64> {
    let (minutes, rest) = text.split_once("min").unwrap_or(("0", text));
    let rest: f64 = match (rest.strip_suffix("ms"), rest.strip_suffix("sec")) {
        (Some(milliseconds), _) => milliseconds.parse::<f64>().ok()? / 1000.0,
        (None, Some(seconds)) => seconds.parse().ok()?,
        (None, None) if rest.is_empty() => 0.0,
        (None, None) => return None,
    };
    Some(minutes.parse::<f64>().ok()? * 60.0 + rest)
}

fn inside(server: &Server, program: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &server.pid().to_string()]);
    command.args(["--user", "--preserve-credentials", "--net"]);
    command.args(program);
    command
}

const FULL: &str = r"b'error: too many clients\n'";
const SERVED: &str = r"b'content\n'";

#[test]
fn who_has_vanished_frees_its_seat_when_somebody_is_turned_away() {
    in_time(vanish_and_be_turned_away);
}

fn vanish_and_be_turned_away() -> Result<(), Late> {
    const LIVE: usize = 4;
    const DEAD: usize = 8;
    let log = Log::new(TEXT);
    let Some(mut scene) = Scene::new(&log, &["--max-clients", "12"]) else {
        return Ok(());
    };
    let held = Instant::now();
    scene.hold("live", LIVE);
    scene.hold("dead", DEAD);
    scene.leave("dead", LIVE);
    // All seats are taken, and nobody was turned away: nothing is sent.
    assert_eq!(scene.server.totals("clients"), 12);
    Late::if_over(held.elapsed(), Duration::from_secs(8), "they have come")?;
    assert_eq!(scene.probes(), 0);
    scene.wait_until_restored(LIVE + DEAD);
    let refused = Instant::now();
    scene.expect("try", FULL);
    wait_until("there is a seat", || match &*scene.tell("try") {
        FULL => false,
        answer => {
            assert_eq!(answer, SERVED);
            true
        }
    });
    // After the first probe, which comes after a second of silence.
    Late::if_over(refused.elapsed(), Duration::from_secs(4), "a seat is free")?;
    wait_until("all of the seats are free", || {
        scene.server.totals("clients") == LIVE as u64
    });
    assert!(scene.probes() <= 12, "{} probes of twelve", scene.probes());
    scene.wait_until_restored(LIVE);
    // Those who were quiet keep their seats, and miss nothing.
    scene.hold("more", DEAD);
    log.append("appended\n");
    for name in ["live", "more"] {
        scene.expect(&format!("read {name} 9"), r"{b'appended\n'}");
    }
    turn_away_beside_the_living(&mut scene);
    log.append("again\n");
    for name in ["live", "more"] {
        scene.expect(&format!("read {name} 6"), r"{b'again\n'}");
    }
    Ok(())
}

/// All of the twelve live, and there is somebody at the door again and again.
fn turn_away_beside_the_living(scene: &mut Scene) {
    let (before, start) = (scene.probes(), Instant::now());
    while start.elapsed() < Duration::from_secs(9) {
        scene.expect("try", FULL);
        std::thread::sleep(Duration::from_millis(200));
    }
    let rounds = (scene.probes() - before).div_ceil(12);
    // A quarter of --keepalive apart.
    let allowed = 1 + start.elapsed().as_secs() / 7;
    assert!((1..=allowed).contains(&rounds), "{rounds} rounds");
    scene.wait_until_restored(12);
    // As long as nobody comes, none of them is asked any more.
    let before = scene.probes();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(scene.probes(), before);
}

/// Who waited when it was asked, and is behind when that is over, is left alone again as well.
#[test]
fn who_is_busy_when_the_probing_ends_is_left_alone_too() {
    const BYTES: usize = 32 << 20;
    let log = Log::new(TEXT);
    let Some(mut scene) = Scene::new(&log, &["--max-clients", "1"]) else {
        return;
    };
    scene.hold("slow", 1);
    scene.expect("try", FULL);
    log.append(vec![b'x'; BYTES]);
    wait_until("it was asked, or would have been", || {
        scene.server.log().contains("too many clients")
    });
    // Nothing shows from outside that the probing is over.
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(scene.server.totals("clients"), 1);
    log.append("\n");
    scene.expect(&format!("read slow {}", BYTES + 1), r"{b'\n'}");
    scene.wait_until_restored(1);
}

/// Of no use to it: the others' seats are not what it lacks.
#[test]
fn a_host_at_its_own_limit_has_nobody_else_asked() {
    let log = Log::new(TEXT);
    let flags = ["--max-clients-per-host", "2"];
    let Some(mut scene) = Scene::new(&log, &flags) else {
        return;
    };
    scene.hold("others", 2);
    scene.expect("hold hostile 2 127.0.0.66", r"{b'content\n'}");
    let refused = r"b'error: too many clients from this host\n'";
    let (before, start) = (scene.probes(), Instant::now());
    while start.elapsed() < Duration::from_millis(2500) {
        scene.expect("try 127.0.0.66", refused);
        std::thread::sleep(Duration::from_millis(100));
    }
    let probes = scene.probes() - before;
    assert!(probes <= 2, "{probes} probes");
    log.append("appended\n");
    for name in ["others", "hostile"] {
        scene.expect(&format!("read {name} 9"), r"{b'appended\n'}");
    }
}
