//! A name that lives as long as the soak, is rotated thousands of times and loses nothing: nobody's
//! connection may end, unless the server is killed or the client leaves. What the others know for
//! certain follows from what they have received: a file was opened if somebody got a byte of it.
//!
//! | what happens                     | only if                                                   |
//! |----------------------------------|-----------------------------------------------------------|
//! | renamed, and made anew later     | the slowest is less than `PIECES_MAX` files behind        |
//! | another one renamed over it      | the same, and it was opened                               |
//! | deleted, and made anew later     | the same                                                  |
//! | an old file is deleted           | it was opened, or nobody needs it                         |
//! | the directory is moved away, or  | all that anybody needs was opened; and before anything    |
//! | removed, and made anew           | else happens to a name, the new file                      |

mod follower;
mod phase;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::content::Content;
use super::service::{Service, count};
use crate::model::random::Random;
use follower::Follower;
use phase::{Act, Phase};

/// The server holds 64 files for a name, and then closes those who are furthest behind.
const PIECES_MAX: u64 = 40;

/// No flood comes to a file of this size any more.
const PIECE_BYTES_MAX: u64 = 4 << 20;

/// Old files keep their names for so long.
const NAMED_MAX: usize = 6;

const WAIT_MAX: Duration = Duration::from_secs(60);

pub struct Road<'a> {
    service: &'a Service,
    failed: &'a AtomicBool,
    random: Random,
    phase: Phase,
    name: u64,
    directory: PathBuf,
    /// The oldest that is still of interest, and those after it.
    pieces: VecDeque<Piece>,
    oldest: u64,
    writers: Vec<Writer>,
    followers: Vec<Follower>,
    /// A file that has to be seen before anything else happens to a name.
    must_be_seen: Option<u64>,
    /// When the name is made anew.
    absent_until: Option<Instant>,
    /// Directories that were moved away.
    old_directories: Vec<(u64, PathBuf)>,
}

pub struct Piece {
    pub length: u64,
    pub writers: usize,
    /// Somebody has received a byte of it.
    pub is_opened: bool,
    path: Option<PathBuf>,
}

struct Writer {
    piece: u64,
    file: File,
    /// It closes the file some time after that has lost the name.
    until: Option<Instant>,
}

impl<'a> Road<'a> {
    pub fn new(
        service: &'a Service,
        failed: &'a AtomicBool,
        name: u64,
        directory: PathBuf,
        seed: u64,
    ) -> Road<'a> {
        let mut random = Random::new(seed);
        let mut road = Road {
            service,
            failed,
            phase: Phase::new(&mut random),
            random,
            name,
            directory,
            pieces: VecDeque::new(),
            oldest: 0,
            writers: vec![],
            followers: vec![],
            must_be_seen: None,
            absent_until: None,
            old_directories: vec![],
        };
        road.create();
        road
    }

    /// Goes on until it is told to end, and then waits until everybody has everything.
    pub fn run(mut self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if self.service.gate.is_closed() {
                self.come_to_rest();
                self.service.gate.pass(self.failed);
            }
            self.turn();
        }
        if !self.failed.load(Ordering::Relaxed) {
            self.settle();
        }
        self.followers.drain(..).for_each(Follower::reset);
    }

    fn turn(&mut self) {
        let now = Instant::now();
        self.keep_promises(now);
        self.read();
        if now < self.phase.next {
            let pause = Duration::from_millis(2).min(self.phase.next - now);
            return std::thread::sleep(pause);
        }
        if now >= self.phase.until {
            if self.random.chance(50) {
                self.settle();
            }
            self.phase = Phase::new(&mut self.random);
        }
        self.phase.next = now + self.phase.pause(&mut self.random);
        let act = self.phase.act(&mut self.random);
        self.act(act);
        self.clean();
    }

    /// What was put off until now.
    fn keep_promises(&mut self, now: Instant) {
        let is_due = |writer: &Writer| writer.until.is_some_and(|until| now >= until);
        while let Some(due) = self.writers.iter().position(is_due) {
            self.close(due);
        }
        if self.absent_until.is_some_and(|until| now >= until) {
            self.create();
        }
        let is_seen = |&piece: &u64| self.piece(piece).is_opened;
        if self.must_be_seen.is_some_and(|piece| is_seen(&piece)) || self.followers.is_empty() {
            self.must_be_seen = None;
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append(bytes) => self.write(self.writers.len().checked_sub(1), bytes),
            Act::Flood(bytes) => {
                let room = PIECE_BYTES_MAX.saturating_sub(self.piece(self.newest()).length);
                for _ in 0..bytes.min(room as usize).div_ceil(64 << 10) {
                    self.write(self.writers.len().checked_sub(1), 64 << 10);
                }
            }
            Act::AppendLate(bytes) => {
                let old = self.writers.iter().position(|one| one.until.is_some());
                self.write(old, bytes);
            }
            Act::Rotate if self.may_rotate(false) => self.rotate(),
            Act::RenameOver if self.may_rotate(true) => self.rename_over(),
            Act::Delete if self.may_rotate(true) => self.delete(),
            Act::Remake if self.may_remake() => self.remake(),
            Act::Connect => self.connect(),
            Act::Disturb(what) => self.disturb(what),
            Act::Rotate | Act::RenameOver | Act::Delete | Act::Remake => {}
        }
    }

    fn newest(&self) -> u64 {
        self.oldest + self.pieces.len() as u64 - 1
    }

    fn piece(&self, number: u64) -> &Piece {
        &self.pieces[(number - self.oldest) as usize]
    }

    fn piece_mut(&mut self, number: u64) -> &mut Piece {
        &mut self.pieces[(number - self.oldest) as usize]
    }

    fn content(&self, piece: u64) -> Content {
        Content {
            name: self.name,
            piece,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("log-{}", self.name))
    }

    /// The first that somebody still needs.
    fn slowest(&self) -> u64 {
        let places = self.followers.iter().map(|follower| follower.piece);
        places.min().unwrap_or(self.newest())
    }

    fn may_rotate(&self, loses_its_file: bool) -> bool {
        let newest = self.piece(self.newest());
        let is_present = self.absent_until.is_none() && self.must_be_seen.is_none();
        let is_far = self.newest() - self.slowest() >= PIECES_MAX;
        let may_go = !loses_its_file || newest.is_opened || self.followers.is_empty();
        is_present && !is_far && newest.length > 0 && may_go
    }

    fn may_remake(&self) -> bool {
        let needed = self.slowest()..=self.newest();
        let mut needed = needed.map(|piece| self.piece(piece));
        self.may_rotate(true) && needed.all(|piece| piece.is_opened || self.followers.is_empty())
    }

    fn write(&mut self, writer: Option<usize>, bytes: usize) {
        let Some(writer) = writer else {
            return;
        };
        let piece = self.writers[writer].piece;
        let content = self.content(piece).bytes(self.piece(piece).length, bytes);
        let written = self.writers[writer].file.write_all(&content);
        written.expect("there is room");
        self.piece_mut(piece).length += bytes as u64;
        count(&self.service.done.ops, 1);
    }

    fn create(&mut self) {
        let path = self.path();
        self.make(&path, &path);
        self.absent_until = None;
    }

    /// The next file, which gets its name at once or later.
    fn make(&mut self, at: &Path, path: &Path) {
        let file = OpenOptions::new().append(true).create_new(true).open(at);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", at.display()));
        self.pieces.push_back(Piece {
            length: 0,
            writers: 1,
            is_opened: false,
            path: Some(path.to_owned()),
        });
        self.writers.push(Writer {
            piece: self.newest(),
            file,
            until: None,
        });
        count(&self.service.done.ops, 1);
        if self.pieces.len() > 1 {
            count(&self.service.done.rotations, 1);
        }
    }

    /// Its writer goes on.
    fn reopen(&mut self) {
        let file = OpenOptions::new().append(true).open(self.path());
        let newest = self.newest();
        self.writers.push(Writer {
            piece: newest,
            file: file.expect("it is there"),
            until: None,
        });
        self.piece_mut(newest).writers += 1;
    }

    fn close(&mut self, writer: usize) {
        let writer = self.writers.remove(writer);
        self.piece_mut(writer.piece).writers -= 1;
        count(&self.service.done.ops, 1);
    }

    /// The writers of the newest file go on for a while.
    fn outlive(&mut self) {
        let newest = self.newest();
        let lag = Duration::from_millis(self.random.below(1000) as u64);
        for writer in self.writers.iter_mut().filter(|one| one.piece == newest) {
            writer.until = Some(Instant::now() + lag);
        }
    }

    fn rotate(&mut self) {
        let newest = self.newest();
        let old = self.directory.join(format!("old-{newest}"));
        fs::rename(self.path(), &old).expect("it is ours");
        self.piece_mut(newest).path = Some(old);
        self.lose_name();
    }

    fn delete(&mut self) {
        fs::remove_file(self.path()).expect("it is ours");
        let newest = self.newest();
        self.piece_mut(newest).path = None;
        self.lose_name();
    }

    /// It is made anew at once, or after a while, in which its writer goes on.
    fn lose_name(&mut self) {
        count(&self.service.done.ops, 1);
        self.outlive();
        match self.random.chance(60) {
            true => self.create(),
            false => {
                let pause = Duration::from_millis(self.random.below(300) as u64);
                self.absent_until = Some(Instant::now() + pause);
            }
        }
    }

    fn rename_over(&mut self) {
        let newest = self.newest();
        self.outlive();
        let (prepared, path) = (self.directory.join("prepared"), self.path());
        self.make(&prepared, &path);
        self.write(Some(self.writers.len() - 1), 100);
        fs::rename(&prepared, &path).expect("it is ours");
        self.piece_mut(newest).path = None;
    }

    /// The directory goes, with all that is in it, and there is another one.
    fn remake(&mut self) {
        self.outlive();
        let newest = self.newest();
        if self.random.chance(50) {
            let away = self.directory.with_extension(newest.to_string());
            fs::rename(&self.directory, &away).expect("it is ours");
            self.old_directories.push((newest, away));
        } else {
            fs::remove_dir_all(&self.directory).expect("it is ours");
        }
        self.pieces.iter_mut().for_each(|piece| piece.path = None);
        fs::create_dir(&self.directory).expect("its parent is ours");
        self.create();
        // Its first bytes are what shows that it was seen.
        self.write(Some(self.writers.len() - 1), 100);
        self.must_be_seen = Some(self.newest());
        count(&self.service.done.remakes, 1);
        count(&self.service.done.ops, 2);
    }

    /// Old files go, and what nobody asks for any more is forgotten.
    fn clean(&mut self) {
        let (slowest, newest) = (self.slowest(), self.newest());
        let old = (self.oldest..newest).filter(|&number| self.piece(number).path.is_some());
        let old: Vec<u64> = old.collect();
        for &number in &old[..old.len().saturating_sub(NAMED_MAX)] {
            let piece = self.piece_mut(number);
            if (piece.is_opened || number < slowest) && piece.writers == 0 {
                let path = piece.path.take().expect("it has a name");
                fs::remove_file(path).expect("it is ours");
                count(&self.service.done.ops, 1);
            }
        }
        while let Some(piece) = self.pieces.front() {
            let is_needed = self.oldest >= slowest || piece.writers > 0;
            if is_needed || piece.path.is_some() {
                break;
            }
            self.pieces.pop_front();
            self.oldest += 1;
        }
        self.old_directories.retain(|(piece, directory)| {
            let is_needed = *piece >= slowest;
            is_needed || fs::remove_dir_all(directory).is_err()
        });
    }
}
