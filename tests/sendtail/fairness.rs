//! Clients at the live end are served before any backlog and any search, and between two pieces of
//! those the loop looks for what is new. But a storm of appends does not stop the backlog either.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};

use crate::support::{
    Client, Late, Log, Pace, Server, Tracer, has_program, in_time, numbered_lines, wait_until,
};

/// The machine may be busy with others, and does not hurry for a server that is busy as well.
const MOST_MAX: Duration = Duration::from_millis(20);
const WORST_MAX: Duration = Duration::from_millis(100);

const ROUNDS: usize = 150;

/// Everything on tmpfs is in memory. A hole takes no room there, and nobody reads it to its end.
const HUGE: u64 = 1 << 42;

#[test]
fn followers_are_on_time_beside_eight_readers_of_a_cached_backlog() {
    in_time(beside_readers);
}

fn beside_readers() -> Result<(), Late> {
    let log = huge();
    let live = log.beside("live");
    File::create(&live).expect("the directory is ours");
    let server = Server::start(&[&log.path, &live]);
    let [mut same, mut others] = ["log", "live"].map(|name| followers(&server, name));
    let readers = Readers::start(&server, 8);
    let [mut same_pace, mut others_pace] = [Pace::new(), Pace::new()];
    for _ in 0..ROUNDS {
        same_pace.append(&log.path, &mut same);
        others_pace.append(&live, &mut others);
        pause();
    }
    let read = readers.stop();
    same_pace.check(MOST_MAX, WORST_MAX)?;
    others_pace.check(MOST_MAX, WORST_MAX)?;
    assert!(read > 100 << 20, "the readers got only {read} bytes");
    Ok(())
}

/// One line that never ends, searched in both directions.
#[test]
fn followers_are_on_time_beside_searches_through_a_huge_cached_file() {
    in_time(beside_searches);
}

fn beside_searches() -> Result<(), Late> {
    let log = huge();
    let server = log.server();
    let mut followers = followers(&server, "");
    let mut searchers = ["-2\n", "-1000000\n", "+2\n", "-3\n"].map(|header| {
        let searcher = server.ask(header);
        server.wait_for_request(&searcher);
        searcher
    });
    let mut pace = Pace::new();
    for _ in 0..ROUNDS {
        pace.append(&log.path, &mut followers);
        pause();
    }
    pace.check(MOST_MAX, WORST_MAX)?;
    searchers.iter_mut().for_each(Client::expect_nothing);
    Ok(())
}

/// Lines come faster than anybody can look for them. A reader of the backlog goes on, and so do
/// the followers of a quiet file.
#[test]
fn a_storm_of_appends_stops_nobody() {
    in_time(in_a_storm);
}

fn in_a_storm() -> Result<(), Late> {
    const LINES: usize = 500_000;
    let log = huge();
    let [storm, live] = ["storm", "live"].map(|name| log.beside(name));
    for path in [&storm, &live] {
        File::create(path).expect("the directory is ours");
    }
    let server = Server::start(&[&log.path, &storm, &live]);
    let text = numbered_lines(LINES);
    let in_the_storm = followers(&server, "storm");
    let mut others = followers(&server, "live");
    let readers = Readers::start(&server, 1);
    let mut pace = Pace::new();
    let turns = server.totals("turns");
    let before = readers.read();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_lines(&storm, &text));
        for mut client in in_the_storm {
            scope.spawn({
                let text = &text;
                move || client.expect(text.as_bytes())
            });
        }
        wait_until("the storm is over", || {
            pace.append(&live, &mut others);
            writer.is_finished()
        });
    });
    let turns = server.totals("turns") - turns;
    let read = readers.read() - before;
    readers.stop();
    eprintln!("{read} bytes in {turns} turns");
    pace.check(MOST_MAX, WORST_MAX)?;
    // Less than a chunk a turn, as a socket may be full, but not much.
    assert!(read > turns * (16 << 10), "{read} bytes in {turns} turns");
    assert!(read > 16 << 20, "{read} bytes in all");
    Ok(())
}

/// The same as the kernel sees it, whatever the machine is busy with: in each turn followers come
/// first, then comes one piece of one backlog or of one search, and both go on.
#[test]
fn a_turn_serves_all_followers_and_then_one_piece_of_a_backlog() {
    const LINES: usize = 400_000;
    const PIECE_MAX: u64 = 512 << 10;
    if !has_program("strace") {
        return;
    }
    let log = huge();
    let [storm, quiet] = ["storm", "quiet"].map(|name| log.beside(name));
    for path in [&storm, &quiet] {
        File::create(path).expect("the directory is ours");
    }
    let server = Server::start(&[&log.path, &storm, &quiet]);
    let text = numbered_lines(LINES);
    // Somebody waits for new data all the time.
    let _waiting = followers(&server, "quiet");
    let mut in_the_storm = followers(&server, "storm");
    let readers = Readers::start(&server, 8);
    let _searchers = ["-2 log\n", "+2 log\n"].map(|header| server.ask(header));
    let calls = "-etrace=epoll_wait,sendfile,pread64,preadv2";
    let mut tracer = Tracer::attach(&server, &["-y", calls]);
    std::thread::scope(|scope| {
        scope.spawn(|| write_lines(&storm, &text));
        for client in &mut in_the_storm {
            scope.spawn(|| client.expect(text.as_bytes()));
        }
    });
    let calls = tracer.detach();
    readers.stop();
    let turns = calls.split(|call| call.contains(" epoll_wait("));
    let turns: Vec<Turn> = turns.map(Turn::of).collect();
    let most = turns.iter().map(|turn| turn.backlog).max();
    assert!(
        most <= Some(PIECE_MAX),
        "{most:?} bytes of backlog in a turn"
    );
    let followed: Vec<&Turn> = turns.iter().filter(|turn| turn.followers > 0).collect();
    assert!(followed.len() > 10, "{} turns with news", followed.len());
    let wrong = followed.iter().filter(|turn| turn.is_late).count();
    assert_eq!(wrong, 0, "turns in which followers came second");
    // The readers' sockets may be full, where others keep the readers from reading.
    let both = followed.iter().filter(|turn| turn.backlog > 0).count();
    assert!(both > followed.len() / 20, "{both} of {}", followed.len());
}

/// The bytes that were sent or searched in a turn, and whether a follower got some of them after
/// others.
#[derive(Default)]
struct Turn {
    followers: u64,
    backlog: u64,
    is_late: bool,
}

/// Reads of so little are no search.
const MARKERS_BYTES_MAX: u64 = 1024;

impl Turn {
    fn of(calls: &[String]) -> Turn {
        let mut turn = Turn::default();
        for call in calls {
            let result = call.rsplit(" = ").next();
            let bytes = result.and_then(|result| result.parse().ok()).unwrap_or(0);
            let is_sent = call.contains(" sendfile(");
            if is_sent && call.contains("/storm>") {
                turn.followers += bytes;
                turn.is_late |= turn.backlog > 0;
            } else if is_sent || bytes > MARKERS_BYTES_MAX {
                turn.backlog += bytes;
            }
        }
        turn
    }
}

/// One `write` a line, at full speed.
fn write_lines(path: &Path, text: &str) {
    let file = File::options().append(true).open(path);
    let mut file = file.expect("it has just been made");
    for line in text.split_inclusive('\n') {
        file.write_all(line.as_bytes()).expect("there is room");
    }
}

fn huge() -> Log {
    let log = Log::absent_in(Path::new("/dev/shm"));
    let file = File::create(&log.path).expect("the directory is ours");
    file.set_len(HUGE).expect("a hole takes no room");
    log
}

/// Clients that have everything; `name` is nothing where there is one file only.
fn followers(server: &Server, name: &str) -> Vec<Client> {
    let followers = (0..10).map(|_| {
        let client = server.ask(format!("-0 {name}\n"));
        server.wait_for_request(&client);
        client
    });
    followers.collect()
}

/// What comes while the loop serves somebody else is what counts.
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// Clients that take a file from its beginning as fast as it comes.
struct Readers {
    threads: Vec<JoinHandle<()>>,
    seen: Arc<(AtomicBool, AtomicU64)>,
}

impl Readers {
    /// They have begun when it returns.
    fn start(server: &Server, count: usize) -> Readers {
        let seen = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
        let threads = (0..count).map(|_| {
            let mut client = server.ask("0 log\n");
            client.expect(&[0; 1 << 20]);
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let mut chunk = vec![0; 1 << 20];
                while !seen.0.load(Relaxed) {
                    // Taken, and not copied.
                    let descriptor = client.stream.as_raw_fd();
                    let count = recv(descriptor, &mut chunk, MsgFlags::MSG_TRUNC);
                    let count = count.expect("the server goes on");
                    assert!(count > 0, "the stream ended");
                    seen.1.fetch_add(count as u64, Relaxed);
                }
            })
        });
        let threads = threads.collect();
        Readers { threads, seen }
    }

    /// How many bytes so far, all of them together.
    fn read(&self) -> u64 {
        self.seen.1.load(Relaxed)
    }

    /// Ends them; none has ended before.
    fn stop(self) -> u64 {
        self.seen.0.store(true, Relaxed);
        for thread in self.threads {
            thread.join().expect("the stream has not ended");
        }
        self.seen.1.load(Relaxed)
    }
}
