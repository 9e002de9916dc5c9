//! Histories: what happens next, drawn by lot from what is possible, with the weights of a profile.

use super::disk::{FileId, Gap};
use super::face::Face;
use super::follower::Follower;
use super::random::Random;
use super::state::{Setup, State};
use super::step::{Connect, How, Start, Step, To, Truncation};

pub struct History {
    pub setup: Setup,
    pub steps: Vec<Step>,
}

/// What a history is mostly about. Each figure multiplies a weight.
struct Profile {
    rotate: usize,
    truncate: usize,
    delete: usize,
    stop: usize,
    settle: usize,
    flood: usize,
    stall: usize,
}

const CALM: Profile = Profile {
    rotate: 1,
    truncate: 1,
    delete: 1,
    stop: 1,
    settle: 1,
    flood: 1,
    stall: 1,
};

const PROFILES: [Profile; 6] = [
    CALM,
    // Rotations in a row, many of them unseen.
    Profile {
        rotate: 4,
        stop: 3,
        ..CALM
    },
    Profile {
        truncate: 5,
        stop: 2,
        ..CALM
    },
    Profile {
        delete: 5,
        rotate: 2,
        stop: 2,
        ..CALM
    },
    // Clients far behind.
    Profile {
        flood: 3,
        stall: 4,
        rotate: 2,
        settle: 2,
        ..CALM
    },
    // Nothing is waited for.
    Profile {
        settle: 0,
        rotate: 3,
        flood: 2,
        ..CALM
    },
];

const CLIENTS_MAX: usize = 8;

/// The server holds 64 files for a tail, and then closes those who are furthest behind.
const ROTATIONS_MAX: usize = 40;

type Weighed = Vec<(usize, Step)>;

/// A history that is still being thought out.
pub struct Generator {
    random: Random,
    profile: Profile,
    state: State,
    /// So far.
    pub steps: Vec<Step>,
}

impl History {
    pub fn new(seed: u64) -> History {
        let mut generator = Generator::new(seed);
        for _ in 0..generator.random.between(25, 80) {
            generator.go_on();
        }
        generator.end();
        History {
            setup: generator.state.setup,
            steps: generator.steps,
        }
    }
}

impl Generator {
    fn new(seed: u64) -> Generator {
        let mut random = Random::new(seed);
        let setup = Setup {
            is_in_memory: random.chance(50),
            serves_directory: random.chance(30),
            old_names: random.below(4),
            unlinks_oldest: random.chance(50),
            is_shared: false,
        };
        Generator::of(setup, random)
    }

    /// On a server that others use as well, in one of the directories that it serves.
    pub fn shared(seed: u64, is_in_memory: bool) -> Generator {
        let mut random = Random::new(seed);
        let setup = Setup {
            is_in_memory,
            serves_directory: true,
            old_names: random.below(4),
            unlinks_oldest: random.chance(50),
            is_shared: true,
        };
        Generator::of(setup, random)
    }

    fn of(setup: Setup, mut random: Random) -> Generator {
        let profiles = PROFILES.into_iter().map(|profile| (1, profile)).collect();
        let mut generator = Generator {
            profile: random.weighed(profiles),
            random,
            state: State::new(&setup),
            steps: vec![],
        };
        generator.begin();
        generator
    }

    pub fn setup(&self) -> &Setup {
        &self.state.setup
    }

    /// Nothing else may happen before the server has seen everything.
    pub fn must_settle(&self) -> bool {
        self.state.must_settle
    }

    /// A file, mostly, and a first client.
    fn begin(&mut self) {
        if self.state.setup.serves_directory || self.random.chance(85) {
            let lines = self.random.below(30);
            let kept_open = self.random.chance(60);
            self.push(Step::Create { lines, kept_open });
        }
        for _ in 0..self.random.between(1, 3) {
            let connect = self.connect(0);
            self.push(connect);
        }
    }

    pub fn go_on(&mut self) {
        let step = match self.state.must_settle {
            true => Step::Settle,
            false => {
                let steps = self.possible();
                self.random.weighed(steps)
            }
        };
        self.push(step);
    }

    /// Everything that is still to come to somebody comes, and one more line at the end.
    pub fn end(&mut self) {
        if self.state.disk.is_stopped {
            self.push(Step::Continue);
        }
        if self.state.must_settle {
            self.push(Step::Settle);
        }
        let stalled: Vec<usize> = self.state.present().collect();
        for id in stalled {
            if self.state.followers[id].is_stalled {
                self.push(Step::Resume(id));
            }
        }
        while let Some(writer) = self.state.disk.writers.iter().position(Option::is_some) {
            let lines = self.random.below(3);
            let to = To::Open(writer);
            self.push(Step::Append { to, lines });
            self.push(Step::Close(writer));
        }
        if self.state.disk.bearer("log").is_none() {
            let kept_open = false;
            self.push(Step::Create {
                lines: 1,
                kept_open,
            });
        }
        let to = To::Name("log".to_owned());
        self.push(Step::Append { to, lines: 1 });
        self.push(Step::Settle);
    }

    pub fn push(&mut self, step: Step) {
        let ops = self.state.ops(&step);
        self.state.apply(&step, &ops);
        self.steps.push(step);
    }

    fn possible(&mut self) -> Weighed {
        let mut steps = vec![];
        match self.state.disk.bearer("log") {
            Some(log) => self.with_log(log, &mut steps),
            None => self.without_log(&mut steps),
        }
        self.with_old_files(&mut steps);
        self.with_clients(&mut steps);
        let profile = &self.profile;
        let may_stop = usize::from(!self.state.setup.is_shared);
        if self.state.disk.is_stopped {
            steps.push((9 * may_stop, Step::Continue));
            return steps;
        }
        steps.push((3 * profile.stop * may_stop, Step::Stop));
        steps.push((12 * profile.settle, Step::Settle));
        steps.push((1, Step::Hup));
        // It takes a second.
        if self.random.below(1000) < 2 {
            steps.push((1000 * may_stop, Step::Tick));
        }
        steps
    }

    fn with_log(&mut self, log: FileId, steps: &mut Weighed) {
        let (lines, kept_open) = (self.random.between(1, 4), self.random.chance(60));
        let to = self.writer_of(log);
        let doublings = if self.random.chance(10) { 5 } else { 3 };
        let bytes = self.random.scale(100_000, doublings);
        let profile = &self.profile;
        steps.push((
            20,
            Step::Append {
                to: to.clone(),
                lines,
            },
        ));
        steps.push((3 * profile.flood, Step::Flood { to, bytes }));
        if self.state.disk.files[log].writers < 2 {
            steps.push((4, Step::Open));
        }
        self.truncations(log, steps);
        let disk = &self.state.disk;
        if disk.tally.rotations >= ROTATIONS_MAX || disk.has_come_back {
            return;
        }
        let profile = &self.profile;
        steps.push((8 * profile.rotate, Step::Rotate));
        steps.push((1, Step::MoveAway));
        steps.push((profile.delete, Step::Unlink("log".to_owned())));
        steps.push((profile.delete, Step::Replace { lines, kept_open }));
        for name in self.names_to_come_back() {
            steps.push((12, Step::ComeBack { name: name.clone() }));
            steps.push((12, Step::Exchange { name }));
        }
    }

    fn without_log(&mut self, steps: &mut Weighed) {
        let (lines, kept_open) = (self.random.below(4), self.random.chance(60));
        let create = Step::Create { lines, kept_open };
        steps.push((if self.random.chance(60) { 200 } else { 10 }, create));
        let disk = &self.state.disk;
        let newest = disk.tails[0]
            .pieces
            .last()
            .map(|piece| &disk.files[piece.file]);
        let name = newest.and_then(|file| file.name.clone());
        if let Some(name) = name.filter(|name| disk.tails.len() == 1 && !name.starts_with("..")) {
            steps.push((15, Step::ComeBack { name }));
        }
    }

    /// A file comes back to where the server has certainly left it.
    fn names_to_come_back(&self) -> Vec<String> {
        let disk = &self.state.disk;
        if disk.is_stopped || !disk.is_quiet || disk.tails.len() > 1 {
            return vec![];
        }
        let files = disk.files.iter().enumerate();
        let idle = files.filter(|(_, file)| file.writers == 0 && !file.was_cut);
        let left = idle.filter(|(id, _)| {
            let piece = disk.piece_of(0, *id);
            let is_left = |piece: usize| disk.is_finished(0, piece);
            piece.is_some_and(|piece| is_left(piece) && self.state.is_anchored(0, piece))
        });
        let names = left.filter_map(|(_, file)| file.name.clone());
        names
            .filter(|name| name != "log" && !name.starts_with(".."))
            .collect()
    }

    fn truncations(&mut self, log: FileId, steps: &mut Weighed) {
        let disk = &self.state.disk;
        let is_certain = disk.is_quiet;
        // Frozen while it was about to send, the server sends what it finds there later: the promise
        // leaves that out.
        if disk.life(log).len() == 0 || (disk.is_stopped && !is_certain) {
            return;
        }
        // Whether the file ever had what these wait for depends on when the server looked.
        let followers = self.state.followers.iter();
        let mut present = followers.filter(|one| !one.is_gone);
        let is_moot = |one: &Follower| match is_certain {
            true => one.has_searched && disk.is_stopped,
            false => one.may_be_beyond(disk),
        };
        if present.any(is_moot) {
            return;
        }
        let lines = if is_certain { self.random.below(5) } else { 0 };
        let hows = [
            Truncation::SetLength,
            Truncation::Open,
            Truncation::SameLength,
            Truncation::Hole,
        ];
        let how = *self.random.pick(&hows);
        let weight = self.profile.truncate * if is_certain { 9 } else { 1 };
        steps.push((weight, Step::Truncate { how, lines }));
        steps.push((weight.div_ceil(3), Step::CopyTruncate { lines }));
    }

    /// Late writes above all.
    fn with_old_files(&mut self, steps: &mut Weighed) {
        let log = self.state.disk.bearer("log");
        for writer in 0..self.state.disk.writers.len() {
            let Some(file) = self.state.disk.writers[writer] else {
                continue;
            };
            steps.push((3, Step::Close(writer)));
            if Some(file) != log {
                let (lines, bytes) = (self.random.between(1, 4), self.random.scale(100_000, 2));
                let to = To::Open(writer);
                steps.push((
                    7,
                    Step::Append {
                        to: to.clone(),
                        lines,
                    },
                ));
                steps.push((self.profile.flood, Step::Flood { to, bytes }));
            }
        }
        let files = self.state.disk.files.iter().enumerate();
        let old: Vec<(FileId, String)> = files
            .filter(|(file, _)| Some(*file) != log)
            .filter_map(|(id, file)| Some((id, file.name.clone()?)))
            .collect();
        if old.is_empty() {
            return;
        }
        let (file, name) = self.random.pick(&old).clone();
        if self.state.disk.may_reopen(file) {
            let (to, lines) = (To::Name(name.clone()), self.random.between(1, 3));
            steps.push((4, Step::Append { to, lines }));
        }
        if self.is_cut_certain(file) {
            let (name, lines) = (name.clone(), self.random.below(3));
            steps.push((4, Step::TruncateOld { name, lines }));
        }
        steps.push((self.profile.delete, Step::Unlink(name)));
    }

    /// What is written to an old file after it was truncated is nothing that the log ever had; that
    /// it is an old one has to be known.
    fn is_cut_certain(&self, file: FileId) -> bool {
        let disk = &self.state.disk;
        let piece = disk.piece_of(0, file);
        let has_successor = piece.is_some_and(|piece| piece + 1 < disk.tails[0].pieces.len());
        has_successor && disk.is_quiet && !disk.is_stopped && disk.life(file).len() > 0
    }

    fn with_clients(&mut self, steps: &mut Weighed) {
        let present: Vec<usize> = self.state.present().collect();
        for tail in 0..self.state.disk.tails.len() {
            let is_lonely = !self.state.is_anchored(tail, usize::MAX);
            let wanted = [6, 2][tail] * if is_lonely { 6 } else { 1 };
            let weight = wanted * usize::from(present.len() < CLIENTS_MAX);
            if weight > 0 && self.state.may_connect(tail) {
                steps.push((weight, self.connect(tail)));
            }
        }
        for id in present {
            let follower = &self.state.followers[id];
            // The first one stays, so that somebody is there for all of it.
            let leaves = usize::from(id > 0);
            if follower.is_stalled {
                steps.push((2, Step::Resume(id)));
            } else {
                steps.push((self.profile.stall, Step::Stall(id)));
            }
            if !follower.connect.half_closes {
                steps.push((leaves, self.some_end(id)));
            }
        }
    }

    fn some_end(&mut self, id: usize) -> Step {
        match self.random.below(4) {
            0 => Step::Reset(id),
            1 => Step::Leave(id),
            _ => Step::HalfClose(id),
        }
    }

    fn connect(&mut self, tail: usize) -> Step {
        let disk = &self.state.disk;
        let newest = disk.tails[tail].pieces.last();
        let newest = newest.filter(|piece| piece.gap == Gap::No && disk.is_there(piece));
        let start = match newest.map(|piece| &disk.lives[piece.life]) {
            // The file that is still to come counts as an empty one.
            None => *self.random.pick(&[
                Start::Byte(0),
                Start::LastLines(0),
                Start::LastBytes(7),
                Start::FromLine(1),
                Start::Default,
            ]),
            Some(life) => {
                let (length, lines) = (life.len(), life.line_count());
                self.start(length, lines)
            }
        };
        Step::Connect(Connect {
            how: *self
                .random
                .pick(&[How::Wide, How::Narrow, How::Narrow, How::Unix, How::Unix]),
            face: *self.random.pick(&[Face::Raw, Face::Raw, Face::Chunks]),
            start,
            tail,
            stalls: !self.state.followers.is_empty() && self.random.chance(20),
            half_closes: self.random.chance(20),
        })
    }

    fn start(&mut self, length: usize, lines: usize) -> Start {
        match self.random.below(16) {
            0..5 => Start::Byte(0),
            5 | 6 => Start::Byte(self.random.below(length + 1)),
            7 => Start::Byte(length),
            8 => Start::Byte(length + self.random.scale(1, 10)),
            9 => Start::LastBytes(self.random.below(length + 20)),
            10 => Start::LastLines(0),
            11 | 12 => Start::LastLines(self.random.below(lines + 5)),
            13 => Start::FromLine(self.random.below(lines + 1)),
            // A search for a line that is not there yet takes as long as the file is long.
            14 if length < 200_000 => Start::FromLine(lines + self.random.between(1, 6)),
            _ => Start::Default,
        }
    }

    fn writer_of(&mut self, log: FileId) -> To {
        let writers = self.state.disk.writers.iter().enumerate();
        let open: Vec<usize> = writers
            .filter_map(|(writer, file)| (*file == Some(log)).then_some(writer))
            .collect();
        match open.is_empty() || self.random.chance(15) {
            true => To::Name("log".to_owned()),
            false => To::Open(*self.random.pick(&open)),
        }
    }
}
