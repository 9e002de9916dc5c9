//! Requests that are nearly right, and noise, in random segments: each gets one reply that is
//! strictly one, or its data; and the server has nothing left of it.
//!
//! | variable                     | what it does                             |
//! |------------------------------|------------------------------------------|
//! | `SENDTAIL_ABUSE_CONNECTIONS` | so many connections instead of 2000      |
//! | `SENDTAIL_ABUSE_SEED`        | this seed first, and those that follow it |

use std::sync::atomic::{AtomicU64, Ordering};

use super::wire::Web;
use crate::model::random::Random;
use crate::support::{Log, Server, numbered_lines, wait_until};

const CONNECTIONS: u64 = 2000;
const THREADS: usize = 4;

fn request(random: &mut Random) -> Vec<u8> {
    let method = *random.pick(&["GET", "GET", "GET", "GET", "HEAD", "POST", "PRI", "A"]);
    let target = *random.pick(&[
        "/",
        "/log",
        "/log",
        "/log?from=-3",
        "/log?from=-3&follow",
        "/log?grep=9&skip=8",
        "/log?from=%2B9&grep=1&follow",
        "/-/files",
        "/-/files/x",
        "/-/metrics",
        "/-/healthy",
        "/-/page.css",
        "/absent",
        "*",
        "http://localhost/log",
        "http://evil.example/log",
        "//",
        "/%2e%2e/log",
        "/log?from=0000000000000001.5.00000000",
        "/\u{e9}",
    ]);
    let version = *random.pick(&["1.1", "1.1", "1.1", "1.0", "2.0"]);
    let end = *random.pick(&["\r\n", "\r\n", "\n"]);
    let mut head = format!("{method} {target} HTTP/{version}{end}");
    if random.chance(90) {
        head += &format!("Host: localhost{end}");
    }
    for _ in 0..random.below(4) {
        let field: &&str = random.pick(&[
            "Host: localhost",
            "Range: bytes=0-9",
            "Range: bytes=-9",
            "Range: bytes=999999-",
            "Accept: text/event-stream",
            "Accept: */*",
            "Last-Event-ID: x",
            "If-Range: x",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Content-Length: 9",
            "Transfer-Encoding: chunked",
            "X: \u{e9}",
            "Connection: Upgrade",
        ]);
        head = head + field + end;
    }
    (head + end).into_bytes()
}

fn damage(sent: &mut Vec<u8>, random: &mut Random) {
    let at = random.between(1, sent.len());
    let byte = match random.chance(20) {
        true => random.below(256) as u8,
        false => *random.pick(b" \t\r\n%/?&=:.-*#+,;019Aax\0\x7f\xff\xc3"),
    };
    match random.below(5) {
        0 => sent.insert(at, byte),
        1 if at < sent.len() => sent[at] = byte,
        2 if at < sent.len() => drop(sent.remove(at)),
        3 => sent.truncate(at),
        _ => sent.extend_from_within(at..),
    }
}

fn script(seed: u64) -> (Vec<u8>, Random) {
    let mut random = Random::new(seed);
    let mut sent = match random.below(10) {
        0 => {
            let length = random.scale(1, 12);
            let mut noise = vec![b'A' + random.below(26) as u8];
            noise.extend((0..length).map(|_| random.below(256) as u8));
            noise
        }
        1 => vec![b'X'; random.between(8180, 8200)],
        _ => request(&mut random),
    };
    for _ in 0..random.below(4) {
        damage(&mut sent, &mut random);
    }
    (sent, random)
}

/// Which one it was, when it fails.
struct Shown(u64);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let sent = script(self.0).0;
            eprintln!(
                "SENDTAIL_ABUSE_SEED={}: \"{}\"",
                self.0,
                sent.escape_ascii()
            );
        }
    }
}

/// Gives the status.
fn play(server: &Server, seed: u64) -> u16 {
    let _shown = Shown(seed);
    let (sent, mut random) = script(seed);
    let mut web = Web::new(server.connect());
    web.client.stream.set_nodelay(true).expect("it is TCP");
    let most = *random.pick(&[3, 100, 10_000]);
    let mut rest = &sent[..];
    while !rest.is_empty() {
        let (segment, after) = rest.split_at(random.between(1, most).min(rest.len()));
        web.client.send(segment);
        rest = after;
    }
    if random.chance(10) {
        web.client.reset();
        return 0;
    }
    web.client.half_close();
    let head = web.head();
    let follows = head.field("X-Accel-Buffering").is_some();
    let is_head = sent.starts_with(b"HEAD ");
    if is_head {
        assert_eq!(web.rest(), b"", "behind a HEAD");
    } else if !follows {
        let body = web.body(&head);
        if head.status >= 400 {
            let is_line = body.starts_with(b"error: ") && body.ends_with(b"\n");
            assert!(is_line, "{:?}", body.escape_ascii().to_string());
        }
    }
    // The FIN that was sent means nothing to a stream.
    web.client.reset();
    head.status
}

#[test]
fn random_requests_get_one_reply_each() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let first = number("SENDTAIL_ABUSE_SEED").unwrap_or(1);
    let end = first + number("SENDTAIL_ABUSE_CONNECTIONS").unwrap_or(CONNECTIONS);
    let log = Log::new(numbered_lines(300));
    let server = Server::with(&["--header-timeout", "600"], &[log.directory.path()]);
    play(&server, 1);
    wait_until("nobody is there", || server.totals("clients") == 0);
    let (descriptors, memory) = (server.descriptors(), server.memory());
    let next = AtomicU64::new(first);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let player = || -> Vec<u16> {
            let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            let seeds = seeds.take_while(|seed| *seed < end);
            seeds.map(|seed| play(&server, seed)).collect()
        };
        let players: Vec<_> = (0..THREADS).map(|_| scope.spawn(player)).collect();
        let played = players.into_iter().map(|player| player.join());
        played
            .flat_map(|statuses| statuses.expect("each gets its own"))
            .collect()
    });
    for status in [200, 206, 400, 404, 405, 421, 505] {
        let count = statuses.iter().filter(|known| **known == status).count();
        eprintln!("{status}: {count}");
        assert!(count > 0 || end - first < CONNECTIONS, "never {status}");
    }
    wait_until("nobody is left", || {
        server.totals("clients") == 0 && server.descriptors() == descriptors
    });
    assert_eq!(server.watches(), 0);
    let grown = server.memory().saturating_sub(memory);
    assert!(grown <= 1 << 20, "{grown} bytes of memory are left");
}
