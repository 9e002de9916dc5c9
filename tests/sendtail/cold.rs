//! What is not in memory comes from a disk that takes its time, and nobody but those who asked for
//! it waits: clients with a backlog, searches, and a file's own marker.

// Reading that never succeeds.
mod bad_sector;

// Clients that leave, files that change and a server that ends, all while the disk is busy.
mod meanwhile;
mod never;

// A follower's own file, of which the bytes before the end are not cached.
mod marker;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::support::{
    BYTES_A_SECOND, Client, Late, Pace, Server, SlowDisk, drop_cached, in_time, wait_until,
};

/// Lines of sixteen bytes, no two of them alike: two seconds of the slow disk.
static LINES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut lines = b"000000000000000\n".repeat(COUNT);
    for (number, line) in lines.chunks_exact_mut(LINE).enumerate() {
        let mut rest = number;
        for digit in line[..LINE - 1].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
    }
    lines
});

const LINE: usize = 16;
const COUNT: usize = 2_500_000;

/// A loop that waits for the disk at all is late by more than that in most rounds.
const MOST_MAX: Duration = Duration::from_millis(5);

/// Where nothing has come for long it does wait, for a small read; and so long may pass until this
/// disk has something for anybody.
const WORST_MAX: Duration = Duration::from_millis(100);

#[test]
fn followers_are_on_time_beside_four_cold_readers() {
    in_time(|| beside_cold_readers(4));
}

/// More than may ask the disk at a time: the others stand in line, and are served all the same.
#[test]
fn followers_are_on_time_beside_twelve_cold_readers() {
    in_time(|| beside_cold_readers(12));
}

/// Followers of a file that is cached, and of one of those that are not. The disk is at its limit
/// all the time, which is what the readers want, and gives each byte once.
fn beside_cold_readers(readers: usize) -> Result<(), Late> {
    const FILES: usize = 4;
    let Some(disk) = SlowDisk::new(BYTES_A_SECOND) else {
        return Ok(());
    };
    let parts: Vec<&[u8]> = LINES.chunks(LINES.len() / FILES).collect();
    let name = |number: usize| format!("cold{number}");
    for (number, part) in parts.iter().enumerate() {
        disk.cold(&name(number), part);
    }
    let live = disk.path("live");
    std::fs::write(&live, "").expect("there is room");
    let server = disk.server(&[], &[&disk.root()]);
    let mut live = Followers::of(&server, &live, "live");
    let mut same = Followers::of(&server, &disk.path(&name(0)), &name(0));
    let before = disk.bytes_read();
    let start = Instant::now();
    // Who shares a file begins at another place of it.
    let places: Vec<(usize, usize)> = (0..readers)
        .map(|reader| {
            let part = parts[reader % FILES].len();
            (reader % FILES, part / (readers / FILES) * (reader / FILES))
        })
        .collect();
    let asked: Vec<Client> = places
        .iter()
        .map(|(file, offset)| server.ask(format!("{offset} {}\n", name(*file))))
        .collect();
    let took = std::thread::scope(|scope| {
        let reading = asked.into_iter().zip(&places).map(|(mut client, place)| {
            let content = &parts[place.0][place.1..];
            scope.spawn(move || client.expect(content))
        });
        let reading: Vec<_> = reading.collect();
        wait_until("the readers have everything", || {
            live.append();
            same.append();
            reading.iter().all(|reader| reader.is_finished())
        });
        start.elapsed()
    });
    let read = disk.bytes_read() - before;
    eprintln!("{read} bytes in {took:?}");
    assert!(
        read < LINES.len() as u64 * 11 / 10,
        "{read} bytes were read"
    );
    // Two of them may have waited too long at once, for a disk that gave others something.
    for followers in [live, same] {
        followers.pace.check(MOST_MAX, 2 * WORST_MAX)?;
    }
    // At its limit, but for a fifth.
    let allowed = Duration::from_secs_f64(LINES.len() as f64 / BYTES_A_SECOND as f64 / 0.8);
    Late::if_over(took, allowed, "the readers have everything")
}

#[test]
fn followers_are_on_time_beside_a_search_through_cold_pages() {
    const BACK: usize = 2_000_000;
    let found = &LINES[(COUNT - BACK) * LINE..];
    in_time(|| beside_a_search(&format!("-{BACK}"), BACK, found));
}

#[test]
fn followers_are_on_time_beside_a_search_forwards_through_cold_pages() {
    const FORWARDS: usize = 1_500_000;
    let found = &LINES[FORWARDS * LINE..];
    in_time(|| beside_a_search(&format!("+{}", FORWARDS + 1), FORWARDS, found));
}

/// The follower of the same file is the one who would wait for the search's page.
fn beside_a_search(request: &str, lines: usize, found: &[u8]) -> Result<(), Late> {
    let Some(disk) = SlowDisk::new(BYTES_A_SECOND) else {
        return Ok(());
    };
    let log = disk.cold("log", &*LINES);
    let server = disk.server(&[], &[&log]);
    let mut followers = Followers::of(&server, &log, "");
    drop_cached(&log);
    let before = disk.bytes_read();
    let mut searcher = server.ask(format!("{request}\n"));
    server.wait_for_request(&searcher);
    let start = Instant::now();
    followers.append_until_served(&searcher);
    let took = start.elapsed();
    let (searched, read) = ((lines * LINE) as u64, disk.bytes_read() - before);
    assert!(read >= searched, "{read} bytes were not cached");
    searcher.expect(found);
    followers.check()?;
    let allowed = Duration::from_secs_f64(searched as f64 / BYTES_A_SECOND as f64 / 0.7);
    Late::if_over(took, allowed, "it is found")
}

#[test]
fn followers_are_on_time_beside_clients_of_small_cold_files() {
    in_time(beside_small_files);
}

fn beside_small_files() -> Result<(), Late> {
    const SIZE: usize = 10_000;
    // What the kernel lets pass at once is a tenth of that: less than a file's three pages.
    const SLOW: u64 = 110_000;
    let Some(disk) = SlowDisk::new(SLOW) else {
        return Ok(());
    };
    let contents: Vec<&[u8]> = LINES.chunks(SIZE).take(12).collect();
    for (number, content) in contents.iter().enumerate() {
        disk.cold(&number.to_string(), content);
    }
    let live = disk.path("live");
    std::fs::write(&live, "").expect("there is room");
    let server = disk.server(&[], &[&disk.root()]);
    let mut followers = Followers::of(&server, &live, "live");
    let start = Instant::now();
    for (number, content) in contents.iter().enumerate() {
        let mut client = server.ask(format!("0 {number}\n"));
        followers.append_until_served(&client);
        client.expect(content);
    }
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(600),
        "they were not cold: {took:?}"
    );
    followers.check()
}

/// Some clients that have everything of a file, and how long they waited for what came.
struct Followers {
    path: PathBuf,
    clients: Vec<Client>,
    pace: Pace,
}

impl Followers {
    /// `name` is how clients ask for it: nothing if it is the only file.
    fn of(server: &Server, path: &Path, name: &str) -> Followers {
        let clients = (0..5).map(|_| {
            let client = server.ask(format!("-0 {name}\n"));
            server.wait_for_request(&client);
            client
        });
        Followers {
            path: path.to_owned(),
            clients: clients.collect(),
            pace: Pace::new(),
        }
    }

    fn append(&mut self) {
        self.pace.append(&self.path, &mut self.clients);
    }

    /// Or until it has been refused.
    fn append_until_served(&mut self, client: &Client) {
        wait_until("the other client is served", || {
            self.append();
            !client.is_silent()
        });
    }

    fn check(&self) -> Result<(), Late> {
        self.pace.check(MOST_MAX, WORST_MAX)
    }
}
