//! The disk as the history has made it, and what the server must have seen of it.
//!
//! A *piece* of a tail is a file that bore the name, between two truncations, as in `design.md` a
//! segment is. The test knows all of them; of some it cannot know how much of them the server has
//! seen, and those are few and marked:
//!
//! | what happened                                     | what is not certain                    |
//! |---------------------------------------------------|----------------------------------------|
//! | truncated before all that was written was seen    | where between `min` and `max` it ended |
//! | deleted, and perhaps not opened before            | whether it is a gap                    |

use super::life::Life;
use super::step::{Mode, Op, Writer};
use super::tally::Tally;

pub type FileId = usize;
pub type LifeId = usize;

pub struct Disk {
    pub lives: Vec<Life>,
    pub files: Vec<File>,
    /// The files behind the descriptors of the test.
    pub writers: Vec<Option<FileId>>,
    pub tails: Vec<Tail>,
    pub is_stopped: bool,
    /// The server has looked at everything and has nothing to do; or was stopped so.
    pub is_quiet: bool,
    /// A file has lost the name and got it back, which the server may not have seen yet: from the
    /// events of one more rename it cannot tell this from an exchange.
    pub has_come_back: bool,
    pub tally: Tally,
    /// How often the server was stopped.
    stops: usize,
}

pub struct File {
    pub life: LifeId,
    /// Relative to the directory of the log. `None`: deleted.
    pub name: Option<String>,
    /// How many descriptors the test holds.
    pub writers: usize,
    /// It was truncated when it was an old file.
    pub was_cut: bool,
}

/// A name, and what bore it.
pub struct Tail {
    pub name: &'static str,
    pub pieces: Vec<Piece>,
}

pub struct Piece {
    pub file: FileId,
    pub life: LifeId,
    /// Where those begin who come from the piece before: not at 0 if the file came back.
    pub from: usize,
    /// It was truncated, or came back: nothing is added to this piece.
    pub end: Option<End>,
    pub gap: Gap,
    /// How much of it the server has certainly measured.
    pub seen: usize,
    /// Its length when the server was stopped.
    seen_at_most: usize,
    is_opened: bool,
    /// It came while the server was stopped, for that time.
    stop: Option<usize>,
}

/// Where a piece has ended, as the server saw it.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub min: usize,
    pub max: usize,
    pub is_truncated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gap {
    No,
    Maybe,
    Sure,
}

/// What the followers of a tail have to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The newest piece of this tail has a successor.
    Replaced {
        tail: usize,
    },
    Truncated {
        tail: usize,
        piece: usize,
    },
    /// One of the last pieces may be missing.
    Missing {
        tail: usize,
    },
}

impl Disk {
    pub fn new(tails: &[&'static str]) -> Disk {
        let tails = tails.iter().map(|&name| Tail {
            name,
            pieces: vec![],
        });
        Disk {
            lives: vec![],
            files: vec![],
            writers: vec![],
            tails: tails.collect(),
            is_stopped: false,
            is_quiet: false,
            has_come_back: false,
            tally: Tally::default(),
            stops: 0,
        }
    }

    pub fn bearer(&self, name: &str) -> Option<FileId> {
        let mut files = self.files.iter();
        files.position(|file| file.name.as_deref() == Some(name))
    }

    pub fn life(&self, file: FileId) -> &Life {
        &self.lives[self.files[file].life]
    }

    /// The descriptor that the next `Open` gets.
    pub fn next_writer(&self) -> Writer {
        self.writers.len()
    }

    /// The piece of this tail that the file is now, which a truncation may have ended.
    pub fn piece_of(&self, tail: usize, file: FileId) -> Option<usize> {
        let mut pieces = self.tails[tail].pieces.iter();
        pieces.rposition(|piece| piece.file == file)
    }

    /// Whether a client at the end of this piece goes on with the next.
    pub fn is_finished(&self, tail: usize, piece: usize) -> bool {
        let pieces = &self.tails[tail].pieces;
        let is_written = || self.files[pieces[piece].file].writers > 0;
        piece + 1 < pieces.len() && (pieces[piece].end.is_some() || !is_written())
    }

    /// Whether the server has to see what a process writes that opens this file only now: until it
    /// has left it, or as long as another has it open.
    pub fn may_reopen(&self, file: FileId) -> bool {
        let is_followed = (0..self.tails.len()).all(|tail| {
            let pieces = &self.tails[tail].pieces;
            let Some(piece) = self.piece_of(tail, file) else {
                return true;
            };
            let Some(next) = pieces.get(piece + 1) else {
                return true;
            };
            self.is_stopped && next.stop == Some(self.stops)
        });
        !self.files[file].was_cut && (self.files[file].writers > 0 || is_followed)
    }

    /// Does what the world does with real files.
    pub fn apply(&mut self, op: &Op) -> Vec<Change> {
        self.is_quiet &= self.is_stopped;
        let mut changes = vec![];
        match op {
            Op::Open { name, mode } => {
                let file = match mode {
                    Mode::CreateNew => self.create(name, &mut changes),
                    _ => self.known(name),
                };
                if *mode == Mode::Truncate {
                    self.truncate(file, &mut changes);
                }
                self.writers.push(Some(file));
                self.files[file].writers += 1;
            }
            Op::Write { writer, bytes } => {
                let file = self.writers[*writer].expect("it is open");
                self.append(file, bytes);
            }
            Op::Close(writer) => {
                let file = self.writers[*writer].take().expect("it is open");
                self.files[file].writers -= 1;
            }
            Op::Rename { from, to } => self.rename(from, to, &mut changes),
            Op::Unlink(name) => {
                self.remove(self.known(name), &mut changes);
            }
            Op::Exchange(one, other) => self.exchange(one, other, &mut changes),
            Op::SetLengthZero(name) => self.truncate(self.known(name), &mut changes),
            Op::WriteAt {
                name,
                offset,
                bytes,
            } => {
                let file = self.known(name);
                let hole = vec![0; offset - self.life(file).len()];
                self.append(file, &[&hole, &bytes[..]].concat());
            }
            Op::Copy { from, to } => {
                let copy = self.life(self.known(from)).copied();
                let file = self.create(to, &mut changes);
                let life = self.files[file].life;
                self.lives[life] = copy;
            }
        }
        changes
    }

    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.stops += 1;
        self.tally.stops += 1;
        for piece in self.tails.iter_mut().flat_map(|tail| &mut tail.pieces) {
            piece.seen_at_most = self.lives[piece.life].len();
        }
    }

    pub fn go_on(&mut self) {
        self.is_stopped = false;
        self.is_quiet = false;
    }

    /// The server has looked at everything.
    pub fn settle(&mut self) {
        self.is_quiet = true;
        self.has_come_back = false;
        for piece in self.tails.iter_mut().flat_map(|tail| &mut tail.pieces) {
            if piece.gap == Gap::No {
                piece.is_opened = true;
            }
            if piece.end.is_none() {
                piece.seen = self.lives[piece.life].len();
            }
        }
    }

    /// A newcomer makes the server look at the newest file of the name.
    pub fn look(&mut self, tail: usize) {
        if let Some(piece) = self.tails[tail].pieces.last_mut() {
            piece.is_opened |= piece.gap == Gap::No;
            piece.seen = self.lives[piece.life].len();
        }
    }

    fn known(&self, name: &str) -> FileId {
        let found = self.bearer(name);
        found.unwrap_or_else(|| panic!("the history uses {name}, which is not there"))
    }

    fn create(&mut self, name: &str, changes: &mut Vec<Change>) -> FileId {
        let life = self.new_life();
        self.files.push(File {
            life,
            name: Some(name.to_owned()),
            writers: 0,
            was_cut: false,
        });
        let file = self.files.len() - 1;
        self.name_taken(name, file, changes);
        file
    }

    fn new_life(&mut self) -> LifeId {
        self.lives.push(Life::new(self.lives.len()));
        self.lives.len() - 1
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) {
        let piece = self.piece_of(0, file);
        if piece.is_some_and(|piece| piece + 1 < self.tails[0].pieces.len()) {
            self.tally.late_bytes += bytes.len();
        }
        self.tally.written_bytes += bytes.len();
        let life = self.files[file].life;
        self.lives[life].append(bytes);
    }

    fn rename(&mut self, from: &str, to: &str, changes: &mut Vec<Change>) {
        let file = self.known(from);
        if let Some(replaced) = self.bearer(to) {
            self.remove(replaced, changes);
        }
        self.files[file].name = Some(to.to_owned());
        self.name_taken(to, file, changes);
        // A directory that is not watched: from there nothing is opened.
        if to.starts_with("..") {
            self.out_of_reach(file, changes);
        }
    }

    fn exchange(&mut self, one: &str, other: &str, changes: &mut Vec<Change>) {
        let (first, second) = (self.known(one), self.known(other));
        self.files[first].name = Some(other.to_owned());
        self.files[second].name = Some(one.to_owned());
        self.name_taken(one, second, changes);
        self.name_taken(other, first, changes);
    }

    fn remove(&mut self, file: FileId, changes: &mut Vec<Change>) {
        self.files[file].name = None;
        self.out_of_reach(file, changes);
    }

    /// What was not opened until now never will be.
    fn out_of_reach(&mut self, file: FileId, changes: &mut Vec<Change>) {
        for (tail, pieces) in self
            .tails
            .iter_mut()
            .map(|tail| &mut tail.pieces)
            .enumerate()
        {
            for piece in pieces.iter_mut().filter(|piece| piece.file == file) {
                if piece.is_opened || piece.gap != Gap::No {
                    continue;
                }
                let never_ran = self.is_stopped && piece.stop == Some(self.stops);
                piece.gap = if never_ran { Gap::Sure } else { Gap::Maybe };
                self.tally.gaps_sure += usize::from(piece.gap == Gap::Sure);
                self.tally.gaps_maybe += usize::from(piece.gap == Gap::Maybe);
                changes.push(Change::Missing { tail });
            }
        }
    }

    fn name_taken(&mut self, name: &str, file: FileId, changes: &mut Vec<Change>) {
        let Some(tail) = self.tails.iter().position(|tail| tail.name == name) else {
            return;
        };
        let life = self.files[file].life;
        let length = self.lives[life].len();
        let pieces = &mut self.tails[tail].pieces;
        // The newest one's own file is nothing new.
        if pieces.last().is_some_and(|newest| newest.life == life) {
            self.has_come_back = true;
            return;
        }
        let mut before = pieces.iter_mut().rev();
        let earlier = before.find(|piece| piece.life == life);
        let from = earlier.map_or(0, |earlier| {
            earlier.end = Some(End {
                min: length,
                max: length,
                is_truncated: false,
            });
            self.tally.came_back += 1;
            length
        });
        if tail == 0 && !pieces.is_empty() {
            self.tally.rotations += 1;
        }
        self.add_piece(tail, file, from);
        changes.push(Change::Replaced { tail });
    }

    fn add_piece(&mut self, tail: usize, file: FileId, from: usize) {
        self.tails[tail].pieces.push(Piece {
            file,
            life: self.files[file].life,
            from,
            end: None,
            gap: Gap::No,
            seen: 0,
            seen_at_most: 0,
            is_opened: false,
            stop: self.is_stopped.then_some(self.stops),
        });
    }

    fn truncate(&mut self, file: FileId, changes: &mut Vec<Change>) {
        let old = self.files[file].life;
        if self.lives[old].bytes.is_empty() {
            return;
        }
        self.tally.truncations += 1;
        self.tally.truncations_stopped += usize::from(self.is_stopped);
        self.files[file].life = self.new_life();
        for tail in 0..self.tails.len() {
            let bears_it = self.files[file].name.as_deref() == Some(self.tails[tail].name);
            let newest = self.tails[tail].pieces.len().saturating_sub(1);
            let Some(index) = self.piece_of(tail, file) else {
                continue;
            };
            self.files[file].was_cut |= !bears_it;
            let length = self.lives[old].len();
            let pieces = &mut self.tails[tail].pieces;
            // If it came back, what it was before is gone as well.
            let before = pieces[..index].iter_mut().enumerate();
            for (piece, before) in before.filter(|(_, piece)| piece.life == old) {
                let end = before.end.as_mut().expect("it came back after that");
                end.is_truncated = true;
                changes.push(Change::Truncated { tail, piece });
            }
            let piece = &mut pieces[index];
            if piece.life != old || piece.end.is_some() {
                continue;
            }
            let max = if self.is_stopped {
                piece.seen_at_most
            } else {
                length
            };
            let min = piece.seen.min(max);
            self.tally.truncations_raced += usize::from(min < max);
            piece.end = Some(End {
                min,
                max,
                is_truncated: true,
            });
            let (is_opened, gap) = (piece.is_opened, piece.gap);
            changes.push(Change::Truncated { tail, piece: index });
            if bears_it && index == newest {
                self.add_piece(tail, file, 0);
                let added = &mut self.tails[tail].pieces[index + 1];
                added.is_opened = is_opened;
                added.gap = gap;
            }
        }
    }
}
