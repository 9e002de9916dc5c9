//! What a history has led to so far: the disk, and who follows. Pure: the generator asks it what is
//! possible, and the world what must come of it.

use super::disk::{Change, Disk, FileId, Gap};
use super::follower::Follower;
use super::life::Life;
use super::step::{Id, Mode, Op, Step, To, Truncation, Writer};

/// What does not change within a history.
#[derive(Clone, Debug)]
pub struct Setup {
    /// On tmpfs instead of the file system for temporary files.
    pub is_in_memory: bool,
    /// The directory is served, and `log.1` has clients too.
    pub serves_directory: bool,
    /// How many old names are kept; 0: each has a name of its own for ever.
    pub old_names: usize,
    /// The oldest is unlinked first, or renamed over.
    pub unlinks_oldest: bool,
    /// The server has others to serve, and somebody else decides when it stops.
    pub is_shared: bool,
}

pub struct State {
    pub setup: Setup,
    pub disk: Disk,
    pub followers: Vec<Follower>,
    /// What happened is certain only if the server sees it before anything else happens.
    pub must_settle: bool,
}

const WRITE_BYTES: usize = 64 << 10;

impl State {
    pub fn new(setup: &Setup) -> State {
        let names: &[&str] = match setup.serves_directory {
            true => &["log", "log.1"],
            false => &["log"],
        };
        State {
            setup: setup.clone(),
            disk: Disk::new(names),
            followers: vec![],
            must_settle: false,
        }
    }

    /// Does what the world does: `ops` are the step's.
    pub fn apply(&mut self, step: &Step, ops: &[Op]) {
        let was_quiet = self.disk.is_quiet;
        for op in ops {
            let changes = self.disk.apply(op);
            self.followers
                .iter_mut()
                .for_each(|follower| follower.note_growth(&self.disk));
            changes
                .into_iter()
                .for_each(|change| self.note(change, was_quiet));
        }
        match step {
            Step::Exchange { .. } => self.must_settle = true,
            Step::ComeBack { .. } => self.must_settle |= !self.disk.is_stopped,
            Step::Stop => self.disk.stop(),
            Step::Continue => self.disk.go_on(),
            Step::Settle => {
                self.disk.settle();
                self.must_settle = false;
            }
            Step::Connect(connect) => {
                self.followers
                    .push(Follower::new(connect.clone(), &self.disk));
                self.disk.look(connect.tail);
                self.disk.is_quiet = false;
            }
            Step::Stall(id) => self.followers[*id].is_stalled = true,
            Step::Resume(id) => {
                self.followers[*id].is_stalled = false;
                self.disk.is_quiet &= self.disk.is_stopped;
            }
            Step::HalfClose(id) => self.followers[*id].connect.half_closes = true,
            Step::Reset(id) | Step::Leave(id) => self.followers[*id].is_gone = true,
            _ => {}
        }
    }

    fn note(&mut self, change: Change, was_quiet: bool) {
        let is_stopped = self.disk.is_stopped;
        self.must_settle |= !is_stopped && !was_quiet && matches!(change, Change::Truncated { .. });
        for follower in &mut self.followers {
            self.must_settle |= follower.note(change, &self.disk, was_quiet) && !is_stopped;
        }
    }

    /// What a step does with files.
    pub fn ops(&self, step: &Step) -> Vec<Op> {
        match step {
            Step::Append { to, lines } => {
                let lines = self.life_behind(to).next_lines(*lines);
                self.write(to, &[&lines])
            }
            Step::Flood { to, bytes } => {
                let flood = self.life_behind(to).next_flood(*bytes);
                self.write(to, &flood.chunks(WRITE_BYTES).collect::<Vec<_>>())
            }
            Step::Open => vec![self.open("log", Mode::Existing)],
            Step::Close(writer) => vec![Op::Close(*writer)],
            Step::Rotate => self.rotate(),
            Step::MoveAway => vec![rename("log", &format!("../away/{}", self.new_name()))],
            Step::Unlink(name) => vec![Op::Unlink(name.clone())],
            Step::Create { lines, kept_open } => self.make("log", *lines, *kept_open),
            Step::Replace { lines, kept_open } => {
                let mut ops = self.make("prepared", *lines, *kept_open);
                ops.push(rename("prepared", "log"));
                ops
            }
            Step::Truncate { how, lines } => self.truncate(*how, *lines),
            Step::CopyTruncate { lines } => self.copy_and_truncate(*lines),
            Step::TruncateOld { name, lines } => {
                let lines = self.new_life(0).next_lines(*lines);
                let cut = Op::SetLengthZero(name.clone());
                [vec![cut], self.write(&To::Name(name.clone()), &[&lines])].concat()
            }
            Step::ComeBack { name } => vec![rename(name, "log")],
            Step::Exchange { name } => vec![Op::Exchange("log".to_owned(), name.clone())],
            _ => vec![],
        }
    }

    pub fn file(&self, to: &To) -> FileId {
        let file = match to {
            To::Open(writer) => self.disk.writers[*writer],
            To::Name(name) => self.disk.bearer(name),
        };
        file.unwrap_or_else(|| panic!("the history writes to {to:?}, which is not there"))
    }

    /// Somebody has been with this tail since that piece and stays, whatever the server has made of
    /// what was not certain.
    pub fn is_anchored(&self, tail: usize, piece: usize) -> bool {
        let here = self.followers.iter().filter(|one| one.tail() == tail);
        let certain = here.filter(|one| !one.is_gone && !one.is_doubtful);
        let mut certain = certain.filter(|one| !one.is_beyond(&self.disk));
        certain.any(|one| one.began <= piece)
    }

    /// Whether it is certain where a newcomer begins.
    pub fn may_connect(&self, tail: usize) -> bool {
        let disk = &self.disk;
        if disk.is_stopped {
            return false;
        }
        if disk.bearer(disk.tails[tail].name).is_some() {
            return true;
        }
        let has_no_name = !self.setup.serves_directory;
        let Some(newest) = disk.tails[tail].pieces.last() else {
            return has_no_name;
        };
        if !disk.is_quiet || newest.gap != Gap::No {
            return false;
        }
        // A deleted file is held for as long as somebody has not got all of it.
        let mut followers = self.followers.iter();
        let is_held = followers.any(|one| one.tail() == tail && one.is_stalled && !one.is_gone);
        match disk.is_there(newest) {
            true => self.is_anchored(tail, usize::MAX),
            false => !is_held && (has_no_name || self.is_anchored(tail, usize::MAX)),
        }
    }

    fn life_behind(&self, to: &To) -> &Life {
        self.disk.life(self.file(to))
    }

    /// A life that begins in this step, after `others` more.
    fn new_life(&self, others: usize) -> Life {
        Life::new(self.disk.lives.len() + others)
    }

    fn new_name(&self) -> String {
        format!("log-{}", self.disk.lives.len())
    }

    fn open(&self, name: &str, mode: Mode) -> Op {
        Op::Open {
            name: name.to_owned(),
            mode,
        }
    }

    fn write(&self, to: &To, writes: &[&[u8]]) -> Vec<Op> {
        let (writer, name) = match to {
            To::Open(writer) => (*writer, None),
            To::Name(name) => (self.disk.next_writer(), Some(name)),
        };
        let mut ops = vec![];
        ops.extend(name.map(|name| self.open(name, Mode::Existing)));
        ops.extend(writes.iter().map(|bytes| Op::Write {
            writer,
            bytes: bytes.to_vec(),
        }));
        ops.extend(name.map(|_| Op::Close(writer)));
        ops
    }

    fn make(&self, name: &str, lines: usize, kept_open: bool) -> Vec<Op> {
        self.fill(
            name,
            Mode::CreateNew,
            self.new_life(0).next_lines(lines),
            kept_open,
        )
    }

    fn fill(&self, name: &str, mode: Mode, bytes: Vec<u8>, kept_open: bool) -> Vec<Op> {
        let writer: Writer = self.disk.next_writer();
        let mut ops = vec![self.open(name, mode)];
        if !bytes.is_empty() {
            ops.push(Op::Write { writer, bytes });
        }
        if !kept_open {
            ops.push(Op::Close(writer));
        }
        ops
    }

    fn rotate(&self) -> Vec<Op> {
        let mut ops = self.make_room();
        ops.push(rename("log", &self.old_name()));
        ops
    }

    /// What the log becomes when it is rotated.
    fn old_name(&self) -> String {
        match self.setup.old_names {
            0 => self.new_name(),
            _ => "log.1".to_owned(),
        }
    }

    /// The old files move up, as logrotate does it.
    fn make_room(&self) -> Vec<Op> {
        let is_there = |name: &String| self.disk.bearer(name).is_some();
        let mut names = (1..=self.setup.old_names).map(|number| format!("log.{number}"));
        let names: Vec<String> = names.by_ref().collect();
        let mut ops = vec![];
        if let Some(oldest) = names
            .last()
            .filter(|name| self.setup.unlinks_oldest && is_there(name))
        {
            ops.push(Op::Unlink(oldest.clone()));
        }
        for pair in names.windows(2).rev().filter(|pair| is_there(&pair[0])) {
            ops.push(rename(&pair[0], &pair[1]));
        }
        ops
    }

    fn truncate(&self, how: Truncation, lines: usize) -> Vec<Op> {
        let length = self.disk.life(self.file(&To::Name("log".to_owned()))).len();
        let bytes = self.new_life(0).next_lines(lines);
        let name = "log".to_owned();
        match how {
            Truncation::SameLength if lines > 0 => self.fill(
                &name,
                Mode::Truncate,
                self.new_life(0).next_exactly(length),
                false,
            ),
            Truncation::Open => self.fill(&name, Mode::Truncate, bytes, false),
            Truncation::Hole if lines > 0 => {
                let behind_a_hole = Op::WriteAt {
                    name: name.clone(),
                    offset: length,
                    bytes,
                };
                vec![Op::SetLengthZero(name), behind_a_hole]
            }
            _ => self.cut_and_go_on(bytes),
        }
    }

    fn copy_and_truncate(&self, lines: usize) -> Vec<Op> {
        let mut ops = self.make_room();
        let (from, to) = ("log".to_owned(), self.old_name());
        let has_moved = ops
            .iter()
            .any(|op| matches!(op, Op::Rename { from, .. } if *from == to));
        if self.disk.bearer(&to).is_some() && !has_moved && !self.setup.unlinks_oldest {
            ops.push(Op::Unlink(to.clone()));
        }
        ops.push(Op::Copy { from, to });
        // The copy has a life of its own, which comes first.
        ops.extend(self.cut_and_go_on(self.new_life(1).next_lines(lines)));
        ops
    }

    /// The writer that has the log open goes on, if there is one.
    fn cut_and_go_on(&self, bytes: Vec<u8>) -> Vec<Op> {
        let mut ops = vec![Op::SetLengthZero("log".to_owned())];
        if !bytes.is_empty() {
            let log = self.disk.bearer("log");
            let open = self
                .disk
                .writers
                .iter()
                .position(|&file| file.is_some() && file == log);
            let to = open.map_or(To::Name("log".to_owned()), To::Open);
            ops.extend(self.write(&to, &[&bytes]));
        }
        ops
    }
}

fn rename(from: &str, to: &str) -> Op {
    Op::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

impl State {
    /// Clients that have neither left nor will.
    pub fn present(&self) -> impl Iterator<Item = Id> + '_ {
        let ids = 0..self.followers.len();
        ids.filter(|&id| !self.followers[id].is_gone)
    }
}
