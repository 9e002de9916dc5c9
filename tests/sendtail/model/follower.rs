//! What one client must get. The model knows the pieces of its tail and where it began; it reads
//! along with what the client receives.
//!
//! | where the client is                              | its connection may end | it goes on           |
//! |--------------------------------------------------|------------------------|----------------------|
//! | in a piece that was truncated, before its end    | yes                    | only to the end      |
//! | at the start of a piece that is surely missing   | yes, and must          | never                |
//! | at the start of a piece that is perhaps missing  | yes                    | with all of it       |
//! | at the end of a piece that has a writer          | no                     | never                |
//! | at the end of one that has none, and a successor | no                     | with the next        |
//!
//! A client that is cut off before its first byte gets one `error:` line instead.

use super::disk::{Change, Disk, Gap, Piece};
use super::step::{Connect, Start};

pub const REFUSAL: &[u8] = b"error: file was replaced\n";

pub struct Follower {
    pub connect: Connect,
    pub is_stalled: bool,
    /// It has left, or was reset.
    pub is_gone: bool,
    /// It may have been cut off: nobody can rely on its keeping the tail alive.
    pub is_doubtful: bool,
    /// The piece that it began in.
    pub began: usize,
    /// The next byte that it gets.
    at: Place,
    /// `+N` of more lines than there are: it is not known yet where it begins.
    pending_line: Option<usize>,
    pub has_searched: bool,
    /// It asked for more than the file ever had.
    refusal: Gap,
    /// Bytes received and found right.
    taken: usize,
    /// Where it went on from each piece to the next.
    pub passes: Vec<Place>,
    /// Passes that may have been earlier.
    doubts: Vec<Doubt>,
}

/// Two pieces that begin alike (behind holes) leave open which of them the bytes are of, if the
/// server may have seen less of the first.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The pass, and how many there were before it.
    pass: Place,
    passes: usize,
    taken: usize,
    /// The earliest offset that the pass may have been at.
    min: usize,
}

/// A byte of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub piece: usize,
    pub offset: usize,
}

#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It has all that it can have now.
    Complete,
    /// This is still to come.
    Owed(String),
    /// Its connection has ended, and that is right.
    Ended(End),
    Wrong(String),
}

/// Why a connection was ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A file is missing, or never got as far as the client had asked for.
    Missing,
    /// It was cut off in one of these places.
    Truncated(Vec<Place>),
    /// It was sent what no follower can see: of a file that was truncated and had grown again between
    /// the look and the send; or zeros, because the kernel was writing to the disk what had been sent
    /// when the file was truncated. It goes no further here.
    Overtaken,
}

impl Follower {
    /// Begins in the newest file of the name; or in the one that is still to come, if there is none
    /// or nothing is left of it.
    pub fn new(connect: Connect, disk: &Disk) -> Follower {
        let pieces = &disk.tails[connect.tail].pieces;
        let newest = pieces.last().filter(|piece| disk.is_there(piece));
        let piece = pieces.len() - usize::from(newest.is_some());
        let (mut offset, mut pending_line) = (0, None);
        if let Some(life) = newest.map(|newest| &disk.lives[newest.life]) {
            match connect.start {
                Start::Byte(byte) => offset = byte,
                Start::LastBytes(bytes) => offset = life.len().saturating_sub(bytes),
                Start::LastLines(lines) => offset = life.last_lines(lines),
                Start::FromLine(line) => match life.line(line) {
                    Some(start) => offset = start,
                    None => pending_line = Some(line),
                },
                Start::Default => offset = life.last_lines(10),
            }
        }
        Follower {
            is_stalled: connect.stalls,
            connect,
            is_gone: false,
            is_doubtful: false,
            began: piece,
            at: Place { piece, offset },
            has_searched: pending_line.is_some(),
            pending_line,
            refusal: Gap::No,
            taken: 0,
            passes: vec![],
            doubts: vec![],
        }
    }

    pub fn tail(&self) -> usize {
        self.connect.tail
    }

    fn piece<'a>(&self, disk: &'a Disk) -> &'a Piece {
        &disk.tails[self.tail()].pieces[self.at.piece]
    }

    /// It waits for more than its file has, as far as the server can know.
    pub fn is_beyond(&self, disk: &Disk) -> bool {
        let piece = disk.tails[self.tail()].pieces.get(self.at.piece);
        let length = piece.map_or(0, |piece| piece.ends(disk).1);
        self.taken == 0 && (self.pending_line.is_some() || self.at.offset > length)
    }

    /// It may wait for more than the server has seen of its file yet.
    pub fn may_be_beyond(&self, disk: &Disk) -> bool {
        let piece = disk.tails[self.tail()].pieces.get(self.at.piece);
        self.has_searched || piece.is_some_and(|piece| self.at.offset > piece.seen)
    }

    /// Its file has grown: it may be known now where it begins.
    pub fn note_growth(&mut self, disk: &Disk) {
        let Some(line) = self.pending_line.filter(|_| self.refusal != Gap::Sure) else {
            return;
        };
        let piece = &disk.tails[self.tail()].pieces[self.at.piece];
        if let Some(start) = disk.lives[piece.life].line(line) {
            self.at.offset = start;
            self.pending_line = None;
        }
    }

    /// Returns whether it has to be told of this before anything else happens, for the history to
    /// be certain.
    pub fn note(&mut self, change: Change, disk: &Disk, was_quiet: bool) -> bool {
        let (tail, is_truncation) = match change {
            Change::Replaced { tail } => (tail, false),
            Change::Truncated { tail, piece } => (tail, piece == self.at.piece),
            Change::Missing { tail } => (tail, false),
        };
        if tail != self.tail() || self.is_gone || self.refusal != Gap::No {
            return false;
        }
        if change != (Change::Replaced { tail }) {
            // Who reads and has been waited for has everything.
            self.is_doubtful |= self.is_stalled || !was_quiet || !is_truncation;
        }
        let is_met = is_truncation || change == (Change::Replaced { tail });
        if !is_met || !self.is_beyond(disk) {
            return false;
        }
        if is_truncation && self.piece(disk).ends(disk).1 == 0 {
            // The server has not seen any of it, and so nothing is truncated.
            self.at.piece += 1;
            return false;
        }
        self.is_doubtful = true;
        self.refusal = if disk.is_stopped {
            Gap::Maybe
        } else {
            Gap::Sure
        };
        true
    }

    /// Reads on in what was received so far.
    pub fn judge(&mut self, disk: &Disk, received: &[u8], has_ended: bool) -> Verdict {
        if received.starts_with(b"e") {
            return self.judge_refusal(disk, received, has_ended);
        }
        self.read_on(disk, received);
        while self.taken < received.len() && self.pass_earlier(disk) {
            self.read_on(disk, received);
        }
        if self.taken < received.len() {
            return match self.is_overtaken(disk, &received[self.taken..]) {
                true => Verdict::Ended(End::Overtaken),
                false => self.wrong(disk, received),
            };
        }
        if has_ended && received.is_empty() {
            return Verdict::Wrong("it was closed without a byte or a word".to_owned());
        }
        match has_ended {
            true => self.judge_end(disk),
            false => self.look_ahead(disk),
        }
    }

    fn read_on(&mut self, disk: &Disk, received: &[u8]) {
        loop {
            let rest = &received[self.taken..];
            let Some(piece) = disk.tails[self.tail()]
                .pieces
                .get(self.at.piece)
                .filter(|piece| piece.gap != Gap::Sure)
            else {
                break;
            };
            if self.pending_line.is_some() {
                break;
            }
            let entered = self.at.offset;
            let common = common_prefix(rest, piece.content(disk, self.at.offset));
            self.taken += common;
            self.at.offset += common;
            if common == rest.len() {
                break;
            }
            let (min, max) = piece.ends(disk);
            let is_end = (min..=max).contains(&self.at.offset);
            if !is_end || !disk.is_finished(self.tail(), self.at.piece) {
                break;
            }
            self.doubts.push(Doubt {
                pass: self.at,
                passes: self.passes.len(),
                taken: self.taken,
                min: min.max(entered),
            });
            self.pass(disk);
        }
    }

    fn pass(&mut self, disk: &Disk) {
        let pieces = &disk.tails[self.tail()].pieces;
        self.passes.push(self.at);
        self.at = Place {
            piece: self.at.piece + 1,
            offset: pieces.get(self.at.piece + 1).map_or(0, |next| next.from),
        };
    }

    /// Takes the last byte of a piece that was passed for one of the next. False: it is none.
    fn pass_earlier(&mut self, disk: &Disk) -> bool {
        while let Some(mut doubt) = self.doubts.pop() {
            if doubt.pass.offset > doubt.min {
                doubt.pass.offset -= 1;
                doubt.taken -= 1;
                self.doubts.push(doubt);
                (self.at, self.taken) = (doubt.pass, doubt.taken);
                self.passes.truncate(doubt.passes);
                self.pass(disk);
                return true;
            }
        }
        false
    }

    fn judge_refusal(&self, disk: &Disk, received: &[u8], has_ended: bool) -> Verdict {
        if !REFUSAL.starts_with(received) {
            return Verdict::Wrong(format!("it is told {}", shown(received)));
        }
        if !has_ended || received != REFUSAL {
            return Verdict::Owed("the end, after an error".to_owned());
        }
        // A deleted file without a writer never gets there.
        let is_hopeless = self.is_beyond(disk) && !disk.is_there(self.piece(disk));
        match self.refusal {
            Gap::No if !is_hopeless => self.judge_end(disk),
            _ => Verdict::Ended(End::Missing),
        }
    }

    /// What is still to come.
    fn look_ahead(&self, disk: &Disk) -> Verdict {
        let pieces = &disk.tails[self.tail()].pieces;
        let mut at = self.at;
        if self.refusal != Gap::No && self.is_beyond(disk) {
            return Verdict::Owed("an error: its file was replaced".to_owned());
        }
        while let Some(piece) = pieces.get(at.piece) {
            let place = || disk.shown(self.tail(), at);
            if piece.gap == Gap::Sure && at.offset == piece.from {
                return Verdict::Owed(format!("its end: there is a gap at {}", place()));
            }
            let (min, _) = piece.ends(disk);
            if self.pending_line.is_none() && at.offset < min {
                return Verdict::Owed(format!("{} bytes from {}", min - at.offset, place()));
            }
            if !disk.is_finished(self.tail(), at.piece) {
                break;
            }
            at.piece += 1;
            at.offset = pieces[at.piece].from;
        }
        Verdict::Complete
    }

    /// Whether this is a place to end at. Of a truncation it has to be the first on the way, unless
    /// it is not certain that the server has seen more there.
    fn judge_end(&self, disk: &Disk) -> Verdict {
        let pieces = &disk.tails[self.tail()].pieces;
        let (mut at, mut cuts) = (self.at, vec![]);
        while let Some(piece) = pieces.get(at.piece) {
            if piece.gap != Gap::No && at.offset == piece.from {
                return Verdict::Ended(End::Missing);
            }
            let (min, max) = piece.ends(disk);
            if piece.end.is_some_and(|end| end.is_truncated) && at.offset < max {
                cuts.push(at);
            }
            if at.offset < min || !disk.is_finished(self.tail(), at.piece) {
                break;
            }
            at.piece += 1;
            at.offset = pieces[at.piece].from;
        }
        match cuts.is_empty() {
            true => Verdict::Wrong(format!("it was closed at {}", disk.shown(self.tail(), at))),
            false => Verdict::Ended(End::Truncated(cuts)),
        }
    }

    /// Whether the bytes are those of the same file at the same offset after a truncation, or zeros:
    /// ext4 clears a page beyond the end when it writes it back, although a socket holds it
    /// (measured on Linux 6.18).
    fn is_overtaken(&self, disk: &Disk, rest: &[u8]) -> bool {
        let pieces = &disk.tails[self.tail()].pieces;
        let Some(piece) = pieces.get(self.at.piece) else {
            return false;
        };
        let is_truncated = piece.end.is_some_and(|end| end.is_truncated);
        let wanted = piece.content(disk, self.at.offset).len().min(rest.len());
        let later = pieces[self.at.piece + 1..].iter();
        let mut later = later.filter(|later| later.file == piece.file);
        let is_cleared = rest[0] == 0;
        let is_later = later.any(|later| {
            let bytes = &disk.lives[later.life].bytes;
            bytes
                .get(self.at.offset..)
                .is_some_and(|bytes| bytes.starts_with(&rest[..wanted]))
        });
        is_truncated && wanted > 0 && (is_cleared || is_later)
    }

    fn wrong(&self, disk: &Disk, received: &[u8]) -> Verdict {
        let pieces = &disk.tails[self.tail()].pieces;
        let expected = match pieces.get(self.at.piece) {
            None => "no file has borne the name yet".to_owned(),
            Some(piece) if piece.gap == Gap::Sure => "that piece is missing".to_owned(),
            Some(_) if self.pending_line.is_some() => "that line is not there yet".to_owned(),
            Some(piece) => match piece.content(disk, self.at.offset) {
                [] if disk.is_finished(self.tail(), self.at.piece) => "its end".to_owned(),
                [] => "its end, and nothing as long as it has a writer".to_owned(),
                content => shown(content),
            },
        };
        Verdict::Wrong(format!(
            "after {} bytes, at {}:\n  expected {expected}\n  received {}",
            self.taken,
            disk.shown(self.tail(), self.at),
            shown(&received[self.taken..])
        ))
    }
}

impl Piece {
    /// All of it from there on.
    fn content<'a>(&self, disk: &'a Disk, offset: usize) -> &'a [u8] {
        let (_, max) = self.ends(disk);
        &disk.lives[self.life].bytes[offset.min(max)..max]
    }

    /// Where the server may have seen its end.
    fn ends(&self, disk: &Disk) -> (usize, usize) {
        let length = disk.lives[self.life].len();
        let end = self.end.map(|end| (end.min, end.max));
        end.unwrap_or((length, length))
    }
}

impl Disk {
    /// Whether a newcomer begins in it: not if it was deleted, and nobody has it open.
    pub fn is_there(&self, piece: &Piece) -> bool {
        let file = &self.files[piece.file];
        file.name.is_some() || file.writers > 0
    }

    pub fn shown(&self, tail: usize, at: Place) -> String {
        let Some(piece) = self.tails[tail].pieces.get(at.piece) else {
            return format!("piece {}, which is still to come", at.piece);
        };
        let file = &self.files[piece.file];
        let name = file.name.as_deref().unwrap_or("deleted");
        let gap = match piece.gap {
            Gap::No => "",
            Gap::Maybe => ", perhaps a gap",
            Gap::Sure => ", a gap",
        };
        format!(
            "byte {} of piece {} (life {}: {} bytes from {}, ends {:?}, {name}, {} writers{gap})",
            at.offset,
            at.piece,
            piece.life,
            self.lives[piece.life].len(),
            piece.from,
            piece.end.map(|end| end.min..=end.max),
            file.writers
        )
    }
}

/// Byte by byte is slow in a debug build.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let blocks = one.chunks(BLOCK).zip(other.chunks(BLOCK));
    let same = BLOCK * blocks.take_while(|(one, other)| one == other).count();
    let same = same.min(one.len()).min(other.len());
    let rest = one[same..].iter().zip(&other[same..]);
    same + rest.take_while(|(one, other)| one == other).count()
}

fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(60)];
    format!("\"{}\" ({} bytes)", start.escape_ascii(), bytes.len())
}
