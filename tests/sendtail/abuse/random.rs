//! Random bytes, and headers that are nearly right, in random segments with random pauses, and with
//! a FIN, a reset or nothing behind them: what comes back is what the grammar says, byte for byte.
//!
//! | variable                       | what it does                              |
//! |--------------------------------|-------------------------------------------|
//! | `SENDTAIL_ABUSE_CONNECTIONS`   | so many connections instead of 3000       |
//! | `SENDTAIL_ABUSE_SEED`          | this seed first, and those that follow it |

#[path = "../../../src/request/tests/oracle.rs"]
mod oracle;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::random::Random;
use crate::support::{Client, Log, Server, numbered_lines};

use super::Witness;
use oracle::{Kind, Meaning, Wish, meaning};

const CONNECTIONS: u64 = 3000;
const THREADS: u64 = 6;

/// What the file that they may ask for holds; it does not change.
const LINES: usize = 300;

/// How a connection goes on after its last byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Not at all, until everybody else has had an answer.
    Open,
    Fin,
    Reset,
}

/// What one connection sends, and how: nothing of it but the time depends on anything but the seed.
struct Script {
    sent: Vec<u8>,
    /// How long each segment is, and how many milliseconds it is waited before the next.
    segments: Vec<(usize, u64)>,
    end: End,
}

impl Script {
    fn of(seed: u64) -> Script {
        let mut random = Random::new(seed);
        let mut sent = match random.below(10) {
            0 => noise(&mut random, |random| random.below(256) as u8),
            1 => noise(&mut random, |random| {
                *random.pick(b"0123+-c \t\r\n%=./quiet")
            }),
            2 => vec![b' '; random.between(4090, 4100)],
            _ => header(&mut random),
        };
        for _ in 0..[0, 0, 1, 1, 2, 4][random.below(6)] {
            mutate(&mut sent, &mut random);
        }
        if random.chance(30) {
            sent.extend(noise(&mut random, |random| random.below(256) as u8));
        }
        let pieces = [1, 2, 5, 10_000][random.below(4)];
        let mut segments = vec![];
        let mut left = sent.len();
        while left > 0 {
            let length = match segments.len() < pieces - 1 {
                true if pieces > 100 => random.between(1, 3.max(sent.len() / 50)).min(left),
                true => random.between(1, left),
                false => left,
            };
            let pause = if random.chance(15) {
                random.below(3) as u64
            } else {
                0
            };
            segments.push((length, pause));
            left -= length;
        }
        let end = *random.pick(&[End::Open, End::Open, End::Fin, End::Fin, End::Reset]);
        Script {
            sent,
            segments,
            end,
        }
    }
}

fn noise(random: &mut Random, byte: impl Fn(&mut Random) -> u8) -> Vec<u8> {
    let length = random.scale(1, 13) - 1;
    (0..length).map(|_| byte(random)).collect()
}

/// One that is right, whatever it asks for.
fn header(random: &mut Random) -> Vec<u8> {
    let number = match random.below(4) {
        0 => random.below(12).to_string(),
        1 => random.below(4000).to_string(),
        2 => ((1_u64 << 63) - random.between(1, 3) as u64).to_string(),
        _ => format!("000{}", random.below(400)),
    };
    let start = match random.below(5) {
        0 => String::new(),
        1 => number,
        2 => format!("-{number}"),
        3 => format!("-{number}c"),
        _ => format!("+{number}"),
    };
    let paths = [
        "quiet",
        "quiet",
        "quiet",
        "quiet",
        "./quiet",
        "q%75iet",
        "quie%74/",
        "other",
        "quiet/x",
        "../quiet",
        "/quiet",
        ".quiet",
        "%FF%fe",
        "d\u{e9}j\u{e0}",
        "quiet%00",
        "%2Fquiet",
    ];
    let path = if start.is_empty() || random.chance(40) {
        ""
    } else {
        *random.pick(&paths)
    };
    let [before, between, after] = [(); 3].map(|()| {
        let blanks = ["", "", " ", "  ", "\t", " \t "];
        *random.pick(&blanks)
    });
    let line_end = if random.chance(25) { "\r\n" } else { "\n" };
    let options = match random.below(4) {
        0 => " once",
        1 => " grep=7 skip=8",
        2 => " skip=1%31 grep=line once",
        _ => "",
    };
    let options = if start.is_empty() { "" } else { options };
    let start = if random.chance(5) { "ls" } else { &start };
    format!("{before}{start}{between} {path}{options}{after}{line_end}").into_bytes()
}

fn mutate(sent: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(sent.len() + 1);
    let byte = *random.pick(b"0123456789+-c \t\r\n%=./qxls\0\x1b\x7f\x80\xc3\xff");
    match random.below(6) {
        0 => sent.insert(at, byte),
        1 if at < sent.len() => sent[at] = byte,
        2 if at < sent.len() => drop(sent.remove(at)),
        3 if at < sent.len() => sent[at] ^= 1 << random.below(8),
        4 => sent.truncate(at),
        _ => sent.extend_from_within(at..),
    }
}

/// What a client gets in the end.
#[derive(Debug, PartialEq)]
enum Answer {
    Nothing,
    Silence,
    Error(&'static str),
    Data(Vec<u8>),
    /// The same, and the end.
    Whole(Vec<u8>),
    /// A list of files, or that there is no such directory, and the end.
    Listed,
}

/// `is_alone`: the server serves `quiet` and nothing else.
fn answer(meaning: Meaning, content: &[u8], is_alone: bool) -> Answer {
    let wish = match meaning {
        Meaning::NotYet => return Answer::Nothing,
        Meaning::Silence => return Answer::Silence,
        Meaning::Error(reason) => return Answer::Error(reason),
        Meaning::List(_) => return Answer::Listed,
        Meaning::Request(wish) => wish,
    };
    match &wish.path {
        None if is_alone => {}
        None => return Answer::Error("path needed"),
        Some(path) if is_quiet(path) => {}
        Some(_) => return Answer::Error("no such file"),
    }
    let rest = wished_of(&wish, content);
    match wish.once {
        true => Answer::Whole(rest),
        false => Answer::Data(rest),
    }
}

fn wished_of(wish: &Wish, content: &[u8]) -> Vec<u8> {
    let number = usize::try_from(wish.number).expect("the tests run on 64 bits");
    let lines = |content: &[u8]| -> Vec<Vec<u8>> {
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    };
    let has = |line: &[u8], text: &[u8]| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.windows(text.len()).any(|window| window == text)
    };
    let is_wanted = |line: &Vec<u8>| {
        wish.greps.iter().all(|text| has(line, text))
            && !wish.skips.iter().any(|text| has(line, text))
    };
    let all = lines(content);
    let rest = match wish.kind {
        Kind::Offset => content[number.min(content.len())..].to_vec(),
        Kind::LastBytes => content[content.len().saturating_sub(number)..].to_vec(),
        // Of those that are wanted.
        Kind::LastLines => {
            let wanted: Vec<Vec<u8>> = all.into_iter().filter(is_wanted).collect();
            wanted[wanted.len().saturating_sub(number)..].concat()
        }
        Kind::LineNumber => all[number.max(1).saturating_sub(1).min(all.len())..].concat(),
    };
    let wanted = lines(&rest).into_iter().filter(is_wanted);
    wanted.flatten().collect()
}

/// "Empty and `.` components are dropped", but nothing absolute is served.
fn is_quiet(path: &[u8]) -> bool {
    let mut components = path.split(|byte| *byte == b'/').filter(|name| name != b".");
    !path.starts_with(b"/")
        && components.clone().filter(|name| !name.is_empty()).count() == 1
        && components.any(|name| name == b"quiet")
}

/// Which one it was, when it fails.
struct Shown(u64);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Script {
                sent,
                segments,
                end,
            } = Script::of(self.0);
            eprintln!(
                "SENDTAIL_ABUSE_SEED={}: {end:?} behind {segments:?}",
                self.0
            );
            eprintln!("\"{}\"", sent.escape_ascii());
        }
    }
}

/// A connection that is still open when its script has been played, and what it has to get when
/// it half-closes.
struct Kept {
    seed: u64,
    client: Client,
    at_end: Option<Answer>,
}

struct Scene<'a> {
    server: &'a Server,
    content: &'a [u8],
    is_alone: bool,
    /// It listens there as well, and every second connection comes that way.
    socket: Option<PathBuf>,
}

impl Scene<'_> {
    fn answer(&self, sent: &[u8], has_fin: bool) -> Answer {
        answer(meaning(sent, has_fin), self.content, self.is_alone)
    }

    fn play(&self, seed: u64) -> Option<Kept> {
        let _shown = Shown(seed);
        let script = Script::of(seed);
        let mut client = match &self.socket {
            Some(path) if seed % 4 == 1 => Client::unix(path),
            _ => {
                let client = self.server.connect();
                client.stream.set_nodelay(true).expect("it is TCP");
                client
            }
        };
        let mut rest = &script.sent[..];
        for (length, pause) in &script.segments {
            let (segment, after) = rest.split_at(*length);
            client.send(segment);
            rest = after;
            if *pause > 0 {
                std::thread::sleep(Duration::from_millis(*pause));
            }
        }
        match script.end {
            End::Open => {}
            End::Fin => client.half_close(),
            End::Reset => {
                client.reset();
                return None;
            }
        }
        let has_fin = script.end == End::Fin;
        let now = self.answer(&script.sent, has_fin);
        let at_end = (now == Answer::Nothing).then(|| self.answer(&script.sent, true));
        expect(&mut client, &now);
        let is_over = !matches!(now, Answer::Nothing | Answer::Data(_));
        (!is_over).then_some(Kept {
            seed,
            client,
            at_end,
        })
    }
}

impl Kept {
    /// Everything has been sent to everybody.
    fn finish(mut self) {
        let _shown = Shown(self.seed);
        self.client.expect_nothing();
        if let Some(answer) = &self.at_end {
            self.client.half_close();
            expect(&mut self.client, answer);
        }
        // The reset leaves no state behind that would keep the port.
        self.client.reset();
    }
}

fn expect(client: &mut Client, answer: &Answer) {
    match answer {
        Answer::Nothing => {}
        Answer::Silence => client.expect_end(),
        Answer::Error(reason) => client.expect_error(reason),
        Answer::Data(bytes) => client.expect(bytes),
        Answer::Whole(bytes) => {
            client.expect(bytes);
            client.expect_end();
        }
        Answer::Listed => {
            let list = client.read_to_end();
            let is_list = list.ends_with(b"\tquiet\n") || list == b"error: no such file\n";
            assert!(is_list, "{}", list.escape_ascii());
        }
    }
}

#[test]
fn random_bytes_in_random_segments_get_what_the_grammar_says() {
    super::many(2000);
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let first = number("SENDTAIL_ABUSE_SEED").unwrap_or(1);
    let end = first + number("SENDTAIL_ABUSE_CONNECTIONS").unwrap_or(CONNECTIONS);
    let quiet = Log::new("");
    let content = numbered_lines(LINES);
    let path = quiet.beside("quiet");
    std::fs::write(&path, &content).expect("the directory is ours");
    let log = Log::new(super::TEXT);
    let socket = quiet.beside("socket");
    let unix = format!("unix:{}", socket.display());
    // Nobody runs into the header's timeout on a machine that is busy.
    // What begins with a capital letter is the business of other tests.
    let flags = ["--header-timeout", "600", "--no-http"];
    let servers = [
        Server::with(&flags, &[&path, &log.path]),
        Server::with(
            &[&flags[..], &["-b", "127.0.0.1", "-b", &unix]].concat(),
            &[&path],
        ),
    ];
    let mut witness = Witness::of(&log, &servers[0], " log");
    let alone_descriptors = servers[1].descriptors();
    let scenes = [false, true].map(|is_alone| Scene {
        server: &servers[usize::from(is_alone)],
        content: content.as_bytes(),
        is_alone,
        socket: is_alone.then(|| socket.clone()),
    });
    let (next, is_over) = (AtomicU64::new(first), AtomicBool::new(false));
    let play = || -> Vec<Kept> {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let seeds = seeds.take_while(|seed| *seed < end);
        seeds
            .filter_map(|seed| scenes[(seed % 2) as usize].play(seed))
            .collect()
    };
    let kept: Vec<Kept> = std::thread::scope(|scope| {
        let players: Vec<_> = (0..THREADS).map(|_| scope.spawn(play)).collect();
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                witness.append();
            }
        });
        let kept = players.into_iter().map(|player| player.join());
        let kept: Vec<_> = kept.collect();
        is_over.store(true, Ordering::Relaxed);
        watcher.join().expect("the witness gets everything");
        let kept = kept
            .into_iter()
            .map(|kept| kept.expect("each gets its own"));
        kept.flatten().collect()
    });
    // All that the server has to send it has sent now.
    servers.iter().for_each(|server| server.look());
    eprintln!("{} connections are still open", kept.len());
    assert!(kept.len() as u64 > (end - first) / 10);
    kept.into_iter().for_each(Kept::finish);
    witness.check(1 << 20);
    super::wait_until("the other has none left", || {
        servers[1].descriptors() == alone_descriptors && servers[1].totals("clients") == 0
    });
    assert_eq!(servers[1].watches(), 0);
}
