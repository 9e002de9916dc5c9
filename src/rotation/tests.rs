//! Every order of events for up to three rotations, in a directory of three names, read in two
//! portions at every place.

use super::*;

use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 3] = ["log", "log.1", "log.2"];
const LOG: &str = NAMES[0];

/// Three renames of `log`, each with a new one, and one that comes in between.
const STEPS_MAX: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Create(&'static str),
    Rename(&'static str, &'static str),
    Exchange(&'static str, &'static str),
    Delete(&'static str),
}

/// A directory, what it has said, and which files came to `log`.
#[derive(Clone, Default)]
struct World {
    files: BTreeMap<&'static str, u32>,
    made: u32,
    cookie: u32,
    events: Vec<(&'static str, Change)>,
    /// In the order in which they last came.
    bearers: Vec<u32>,
    borne: BTreeSet<(u32, &'static str)>,
    /// A file came back to a name that it had borne: that is as good as an exchange.
    is_ambiguous: bool,
}

impl World {
    fn may(&self, step: Step) -> bool {
        match step {
            Step::Create(name) => !self.files.contains_key(name),
            Step::Rename(from, to) => from != to && self.files.contains_key(from),
            Step::Exchange(one, other) => {
                one != other && self.files.contains_key(one) && self.files.contains_key(other)
            }
            Step::Delete(name) => self.files.contains_key(name),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Create(name) => {
                self.made += 1;
                self.put(name, self.made);
                self.events.push((name, Change::Created));
            }
            Step::Rename(from, to) => {
                let file = self.files.remove(from).unwrap();
                self.put(to, file);
                self.say_moved(from, to);
            }
            Step::Exchange(one, other) => {
                let (first, second) = (self.files[one], self.files[other]);
                self.put(other, first);
                self.put(one, second);
                self.say_moved(one, other);
                self.say_moved(other, one);
            }
            Step::Delete(name) => {
                self.files.remove(name);
                self.events.push((name, Change::Deleted));
            }
        }
    }

    fn put(&mut self, name: &'static str, file: u32) {
        self.files.insert(name, file);
        self.is_ambiguous |= !self.borne.insert((file, name));
        if name == LOG {
            self.bearers.retain(|bearer| *bearer != file);
            self.bearers.push(file);
        }
    }

    fn say_moved(&mut self, from: &'static str, to: &'static str) {
        let cookie = self.cookie;
        self.cookie += 1;
        self.events.push((from, Change::Left { cookie }));
        self.events.push((to, Change::Came { cookie }));
    }

    fn has(&self, file: u32) -> bool {
        self.files.values().any(|there| *there == file)
    }
}

/// What a tail does with a rotation, without files.
struct Follower {
    rotation: Rotation,
    now: Instant,
    read: usize,
    newest: Option<u32>,
    opened: BTreeSet<u32>,
    ahead: BTreeMap<u64, u32>,
    /// What the last look has opened, in order; `None` is a gap.
    found: Vec<Option<u32>>,
}

impl Follower {
    fn new(world: &World) -> Follower {
        let mut follower = Follower {
            rotation: Rotation::new(LOG.as_ref()),
            now: Instant::now(),
            read: world.events.len(),
            newest: None,
            opened: BTreeSet::new(),
            ahead: BTreeMap::new(),
            found: vec![],
        };
        follower.look(world, world.events.len());
        follower
    }

    fn read(&mut self, world: &World, end: usize) {
        for (name, change) in &world.events[self.read..end.max(self.read)] {
            self.rotation.note(name.as_ref(), *change, self.now);
        }
        self.read = end.max(self.read);
    }

    /// The events up to `first` are read before the look, the others in its midst.
    fn look(&mut self, world: &World, first: usize) {
        self.found.clear();
        self.read(world, first);
        loop {
            match self.rotation.next(self.now) {
                Next::Gap => {
                    self.newest = None;
                    self.found.push(None);
                }
                Next::Ahead(file) => self.adopt(self.ahead[&file]),
                Next::Undecided(until) => {
                    self.read(world, world.events.len());
                    self.now = until;
                }
                Next::Open { name, stamp } => {
                    let file = world.files.get(name.to_str().unwrap()).copied();
                    self.read(world, world.events.len());
                    match file {
                        _ if !self.rotation.is_untouched(stamp) => {}
                        Some(file) if self.rotation.is_oldest(stamp) => {
                            self.rotation.opened(stamp);
                            self.adopt(file);
                        }
                        Some(file) => {
                            let number = self.rotation.opened_ahead(stamp);
                            self.ahead.insert(number, file);
                        }
                        None => self.rotation.not_there(stamp, self.now),
                    }
                }
                Next::Name => {
                    let stamp = self.rotation.name_stamp();
                    let file = world.files.get(LOG).copied();
                    self.read(world, world.events.len());
                    match file {
                        _ if stamp != self.rotation.name_stamp() => {}
                        Some(file) => {
                            self.rotation.settle();
                            self.adopt(file);
                            return;
                        }
                        None => match self.rotation.await_file(self.now) {
                            Some(until) => self.now = until,
                            None => return,
                        },
                    }
                }
            }
        }
    }

    fn adopt(&mut self, file: u32) {
        if self.newest != Some(file) {
            self.newest = Some(file);
            self.opened.insert(file);
            self.found.push(Some(file));
        }
    }
}

fn steps() -> Vec<Step> {
    let mut steps = vec![];
    for one in NAMES {
        steps.extend([Step::Create(one), Step::Delete(one)]);
        for other in NAMES {
            steps.extend([Step::Rename(one, other), Step::Exchange(one, other)]);
        }
    }
    steps
}

/// Calls `check` with every history of so many steps that begins with a file under the name.
fn every_history(count: usize, exchanges: bool, check: &mut impl FnMut(&World, &[Step])) {
    fn go_on(
        world: &World,
        taken: &mut Vec<Step>,
        left: usize,
        steps: &[Step],
        check: &mut impl FnMut(&World, &[Step]),
    ) {
        check(world, taken);
        for step in steps.iter().filter(|step| left > 0 && world.may(**step)) {
            let mut next = world.clone();
            next.take(*step);
            taken.push(*step);
            go_on(&next, taken, left - 1, steps, check);
            taken.pop();
        }
    }
    let steps: Vec<Step> = steps()
        .into_iter()
        .filter(|step| exchanges || !matches!(step, Step::Exchange(..)))
        .collect();
    go_on(&start(), &mut vec![], count, &steps, check);
}

/// `log` bears file 1, and that is known.
fn start() -> World {
    let mut world = World::default();
    world.take(Step::Create(LOG));
    world.events.clear();
    world.borne.clear();
    world
}

/// Plays a history and looks at its end, with the events before `first` read before the look.
fn play(taken: &[Step], first: usize) -> (Follower, World) {
    let mut world = start();
    let mut follower = Follower::new(&world);
    world.bearers.clear();
    taken.iter().for_each(|step| world.take(*step));
    follower.look(&world, first);
    (follower, world)
}

#[test]
fn what_still_exists_is_found_in_order_and_what_does_not_is_a_gap() {
    let mut histories = 0;
    every_history(STEPS_MAX, false, &mut |world, taken| {
        if world.is_ambiguous {
            return;
        }
        // Read in two portions from any place for a few, from both ends for all.
        let end = world.events.len();
        let places = if taken.len() <= 4 { 0..=end } else { end..=end };
        for first in places.chain([0]) {
            let (follower, world) = play(taken, first);
            let mut bearers = &world.bearers[..];
            if let (true, [1, later @ ..]) = (world.has(1), bearers) {
                // It is open already, and nothing came between. Were it gone, nobody could tell it
                // from another.
                bearers = later;
            }
            let expected: Vec<Option<u32>> = bearers
                .iter()
                .map(|file| world.has(*file).then_some(*file))
                .collect();
            assert_eq!(follower.found, expected, "{taken:?} read from {first}");
            histories += 1;
        }
    });
    assert!(histories > 100_000, "only {histories}");
}

/// `log` was exchanged for another file, which was overwritten under the name: by the events the
/// name was free then. This alone shows in nothing.
fn is_hidden(taken: &[Step]) -> bool {
    let is_exchange = |step: &Step| matches!(step, Step::Exchange(_, LOG));
    let is_overwritten = |step: &Step| matches!(step, Step::Rename(_, LOG));
    let exchanged = taken.iter().position(is_exchange);
    exchanged.is_some_and(|at| taken[at..].iter().any(is_overwritten))
}

/// After an exchange, or what reads the same, a file may be missed although it is somewhere; but
/// never silently, and no stranger is taken for it.
#[test]
fn whatever_happens_a_file_is_found_or_a_gap_is_said() {
    every_history(5, true, &mut |world, taken| {
        if is_hidden(taken) {
            return;
        }
        for first in [0, world.events.len()] {
            let (follower, world) = play(taken, first);
            let has_gap = follower.found.contains(&None);
            for file in &world.bearers {
                let is_found = follower.opened.contains(file);
                assert!(is_found || has_gap, "{file} of {taken:?} read from {first}");
            }
            for file in &follower.opened {
                let is_bearer = *file == 1 || world.bearers.contains(file);
                assert!(is_bearer, "{file} of {taken:?} read from {first}");
            }
        }
    });
}

/// Looks in the midst of a history do not confuse the next ones.
#[test]
fn looks_in_between_find_each_file_once() {
    every_history(4, false, &mut |_, taken| {
        for between in 0..taken.len() {
            let mut world = start();
            let mut follower = Follower::new(&world);
            let mut all_found = vec![];
            for (at, step) in taken.iter().enumerate() {
                world.take(*step);
                if at == between {
                    follower.look(&world, world.events.len());
                    all_found.append(&mut follower.found);
                }
            }
            follower.look(&world, world.events.len());
            all_found.append(&mut follower.found);
            for file in &world.bearers {
                let is_found = follower.opened.contains(file);
                assert!(
                    is_found || !world.has(*file),
                    "{file} of {taken:?} at {between}"
                );
            }
            let bearers = world.bearers.len();
            let opened: Vec<u32> = all_found.iter().copied().flatten().collect();
            assert!(
                opened.len() <= bearers + 1,
                "{opened:?} of {taken:?} at {between}"
            );
        }
    });
}

/// The kernel may say what has happened a moment after it can be seen.
#[test]
fn events_that_come_after_their_file_was_found_change_nothing() {
    let mut rotation = Rotation::new(LOG.as_ref());
    let now = Instant::now();
    assert!(!rotation.settle(), "nothing has announced the second file");
    rotation.expect_announcement(now);
    rotation.note(LOG.as_ref(), Change::Left { cookie: 1 }, now);
    rotation.note("log.1".as_ref(), Change::Came { cookie: 1 }, now);
    rotation.note(LOG.as_ref(), Change::Created, now);
    assert!(rotation.is_settled() && !rotation.take_unverified(now + UNDECIDED));
    // It goes, as the first has.
    rotation.note(LOG.as_ref(), Change::Left { cookie: 2 }, now);
    assert_eq!(rotation.next(now), Next::Name);
}

/// A file that left the directory holds its successors up for a moment, and they do not wait for it
/// to be opened.
#[test]
fn a_file_behind_an_undecided_one_is_opened_at_once() {
    let mut rotation = Rotation::new(LOG.as_ref());
    let now = Instant::now();
    rotation.note(LOG.as_ref(), Change::Created, now);
    rotation.note(LOG.as_ref(), Change::Left { cookie: 1 }, now);
    rotation.note(LOG.as_ref(), Change::Created, now);
    rotation.note(LOG.as_ref(), Change::Left { cookie: 2 }, now);
    rotation.note("log.1".as_ref(), Change::Came { cookie: 2 }, now);
    let Next::Open { name, stamp } = rotation.next(now) else {
        panic!("nothing to open: {rotation:?}");
    };
    assert_eq!(name, "log.1");
    let number = rotation.opened_ahead(stamp);
    assert_eq!(rotation.next(now), Next::Undecided(now + UNDECIDED));
    rotation.note("log.1".as_ref(), Change::Deleted, now);
    assert_eq!(rotation.next(now + UNDECIDED), Next::Gap);
    assert_eq!(rotation.next(now + UNDECIDED), Next::Ahead(number));
    assert_eq!(rotation.next(now + UNDECIDED), Next::Name);
}
