//! Who follows a long-lived name.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::content::Content;
use super::super::service::count;
use super::phase::Disturbance;
use super::{Road, WAIT_MAX};
use crate::model::face::Face;
use crate::model::reader::Reader;
use crate::model::step::{How, Start};

const FOLLOWERS_MAX: usize = 5;

/// Read from one before the next has its turn.
const READ_BYTES: usize = 256 << 10;

pub struct Follower {
    reader: Reader,
    /// The life of the server in which it came.
    life: usize,
    /// The file that it is in, and the next byte of it that it gets.
    pub piece: u64,
    offset: u64,
    is_stalled: bool,
}

impl Follower {
    pub fn reset(self) {
        self.reader.reset();
    }
}

impl Road<'_> {
    /// Begins in the newest file, and has got the first byte when this returns.
    pub(super) fn connect(&mut self) {
        let newest = self.newest();
        let length = self.piece(newest).length;
        let is_there = self.absent_until.is_none() && length > 0;
        let Some(life) = self.service.life().filter(|_| is_there) else {
            return;
        };
        if self.followers.len() >= FOLLOWERS_MAX {
            return;
        }
        let (start, offset) = self.start(length);
        let how = *self.random.pick(&[How::Wide, How::Narrow, How::Unix]);
        let face = *self.random.pick(&[Face::Raw, Face::Chunks]);
        let server = (self.service.address(), self.service.unix.as_path());
        let name = format!("log-{}", self.name);
        let asked = Reader::ask(how, server, face, (start, &name));
        let reader = match asked {
            Ok(reader) => reader,
            Err(_) if self.service.is_over(life) => return,
            Err(error) => panic!("{}: cannot connect: {error}", self.service.name),
        };
        count(&self.service.done.connects, 1);
        self.followers.push(Follower {
            reader,
            life,
            piece: newest,
            offset,
            is_stalled: false,
        });
        let start = Instant::now();
        let id = self.followers.len() - 1;
        while self.read_from(id, 1) && self.followers[id].offset == offset {
            let is_late = start.elapsed() > WAIT_MAX;
            assert!(!is_late, "{} gets nothing", self.shown(id));
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// One with at least a byte to come.
    fn start(&mut self, length: u64) -> (Start, u64) {
        let random = &mut self.random;
        match random.below(5) {
            0 => (Start::Byte(0), 0),
            1 => {
                let offset = random.below(length as usize);
                (Start::Byte(offset), offset as u64)
            }
            2 => {
                let bytes = random.between(1, length as usize);
                (Start::LastBytes(bytes), length - bytes as u64)
            }
            3 => {
                let lines = random.between(1, 100);
                (
                    Start::LastLines(lines),
                    Content::last_lines(length, lines as u64),
                )
            }
            _ => (Start::LastLines(10), Content::last_lines(length, 10)),
        }
    }

    pub(super) fn disturb(&mut self, what: Disturbance) {
        if self.followers.is_empty() {
            return;
        }
        let id = self.random.below(self.followers.len());
        // Somebody always stays, through all of it.
        let may_go = id > 0;
        match what {
            Disturbance::Stall => self.followers[id].is_stalled = may_go,
            Disturbance::Resume => self.followers[id].is_stalled = false,
            Disturbance::HalfClose => self.followers[id].reader.half_close(),
            Disturbance::Reset if may_go => {
                self.followers.remove(id).reset();
                count(&self.service.done.ends, 1);
            }
            Disturbance::Leave if may_go => {
                self.followers.remove(id);
                count(&self.service.done.ends, 1);
            }
            Disturbance::Reset | Disturbance::Leave => {}
        }
    }

    /// What there is for those who read.
    pub(super) fn read(&mut self) {
        let mut id = 0;
        while id < self.followers.len() {
            let follower = &self.followers[id];
            let waits = follower.is_stalled && !self.service.is_over(follower.life);
            id += usize::from(waits || self.read_from(id, READ_BYTES));
        }
    }

    /// `false`: it is gone, and so was the server.
    fn read_from(&mut self, id: usize, bytes_max: usize) -> bool {
        let follower = &mut self.followers[id];
        let result = follower.reader.read(bytes_max);
        let received = mem::take(&mut follower.reader.received);
        let has_ended = follower.reader.has_ended || result.is_err();
        let is_over = self.service.is_over(follower.life);
        count(&self.service.done.received_bytes, received.len());
        // "shutting down", to one who had not got anything.
        let is_error = received.starts_with(b"e");
        if !is_error {
            self.advance(id, &received);
        }
        if !has_ended && !is_error {
            return true;
        }
        let how = result
            .err()
            .unwrap_or_else(|| received.escape_ascii().to_string());
        assert!(is_over, "{} was ended: {how:?}", self.shown(id));
        count(&self.service.done.ends, 1);
        self.followers.remove(id);
        false
    }

    fn advance(&mut self, id: usize, mut received: &[u8]) {
        while !received.is_empty() {
            let Follower { piece, offset, .. } = self.followers[id];
            let here = self.piece(piece);
            let left = here.length - offset;
            if left == 0 {
                let is_finished = piece < self.newest() && here.writers == 0;
                let shown = received[..received.len().min(60)].escape_ascii();
                assert!(is_finished, "{} gets more: {shown}", self.shown(id));
                self.followers[id].piece += 1;
                self.followers[id].offset = 0;
                count(&self.service.done.crossings, 1);
                continue;
            }
            let (part, rest) = received.split_at(received.len().min(left as usize));
            let checked = self.content(piece).check(offset, part);
            checked.unwrap_or_else(|how| panic!("{}: {how}", self.shown(id)));
            self.piece_mut(piece).is_opened = true;
            self.followers[id].offset += part.len() as u64;
            received = rest;
        }
    }

    /// Waits until everybody reads and has everything.
    pub(super) fn settle(&mut self) {
        if self.piece(self.newest()).length == 0 {
            self.write(self.writers.len().checked_sub(1), 100);
        }
        while !self.writers.is_empty() {
            self.close(0);
        }
        for follower in &mut self.followers {
            follower.is_stalled = false;
        }
        let start = Instant::now();
        loop {
            self.read();
            let newest = self.newest();
            let end = (newest, self.piece(newest).length);
            let is_behind = |one: &Follower| (one.piece, one.offset) != end;
            let Some(id) = self.followers.iter().position(is_behind) else {
                break;
            };
            let is_late = start.elapsed() > WAIT_MAX;
            assert!(!is_late, "{} is not given the rest", self.shown(id));
            std::thread::sleep(Duration::from_micros(500));
        }
        if self.absent_until.is_none() {
            self.reopen();
        }
    }

    /// As few as can be: one follower, who has everything, of a file that is there, and no old
    /// files. That is the same each time.
    pub(super) fn come_to_rest(&mut self) {
        if self.absent_until.is_some() {
            self.create();
        }
        // Of some the server sees only so that they have left.
        self.write(self.writers.len().checked_sub(1), 100);
        self.settle();
        while self.followers.len() > 1 {
            self.followers.pop().expect("it is there").reset();
            count(&self.service.done.ends, 1);
        }
        while self.followers.is_empty() && !self.failed.load(Ordering::Relaxed) {
            self.connect();
        }
        self.settle();
        self.clean();
    }

    fn shown(&self, id: usize) -> String {
        let Follower {
            piece,
            offset,
            life,
            ..
        } = self.followers[id];
        let here = self.piece(piece);
        format!(
            "{} {}: a follower of life {life} at byte {offset} of piece {piece} (its length {}, \
             {} writers, the newest piece {})",
            self.service.name,
            self.path().display(),
            here.length,
            here.writers,
            self.newest()
        )
    }
}
