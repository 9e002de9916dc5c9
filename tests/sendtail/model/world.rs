//! Plays a history: real files, a real server, real clients.

mod ending;

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::follower::{End, Verdict};
use super::history::History;
use super::reader::Reader;
use super::report::Report;
use super::state::{Setup, State};
use super::step::{Connect, Id, Mode, Op, Start, Step};
use super::tally::Tally;
use crate::support::{Server, wait_until};

pub struct World {
    state: State,
    server: Rc<Server>,
    directory: TempDir,
    unix: PathBuf,
    /// What a header says of a file before its name; `None`: it names none.
    prefix: Option<String>,
    writers: Vec<Option<File>>,
    clients: Vec<Player>,
    /// The server's descriptors without any client.
    descriptors: usize,
    /// To another directory, and since then the server has had no time.
    has_moved_away: bool,
    waits: usize,
    slow_waits: usize,
    /// Operations on files, and reports asked of the server.
    pub ops: usize,
    pub reports: Cell<usize>,
}

/// A client, and what became of it.
struct Player {
    /// `None`: it has left.
    reader: Option<Reader>,
    end: Option<End>,
}

const WAIT_MAX: Duration = Duration::from_secs(30);

const UNDECIDED: Duration = Duration::from_millis(12);

/// A wait as long as this was perhaps ended by the tick, and the events were missed.
const SLOW_WAIT: Duration = Duration::from_millis(600);

impl World {
    /// Plays it all, and gives what it met.
    pub fn play(history: &History) -> Tally {
        let mut world = World::new(&history.setup);
        for step in &history.steps {
            world.step(step);
        }
        world.end(history.steps.len())
    }

    fn new(setup: &Setup) -> World {
        let directory = match setup.is_in_memory {
            true => tempfile::tempdir_in("/dev/shm"),
            false => tempfile::tempdir(),
        };
        let directory = directory.expect("there is room for tests");
        let served = directory.path().join("served");
        let path = match setup.serves_directory {
            true => served,
            false => served.join("log"),
        };
        make_directories(&directory);
        let unix = directory.path().join("socket");
        let bound = format!("unix:{}", unix.display());
        let flags = ["-b", "127.0.0.1", "-b", &bound, "--drain-grace", "3600"];
        let server = Rc::new(Server::with(&flags, &[&path]));
        let prefix = setup.serves_directory.then(String::new);
        World::on(setup, server, directory, unix, prefix)
    }

    /// On a server that others use as well, and that serves this empty directory below `name`.
    pub fn shared(
        setup: &Setup,
        server: &Rc<Server>,
        directory: TempDir,
        unix: &Path,
        name: &str,
    ) -> World {
        make_directories(&directory);
        let prefix = Some(format!("{name}/served/"));
        World::on(setup, Rc::clone(server), directory, unix.to_owned(), prefix)
    }

    fn on(
        setup: &Setup,
        server: Rc<Server>,
        directory: TempDir,
        unix: PathBuf,
        prefix: Option<String>,
    ) -> World {
        World {
            state: State::new(setup),
            descriptors: server.descriptors(),
            server,
            directory,
            unix,
            prefix,
            writers: vec![],
            clients: vec![],
            has_moved_away: false,
            waits: 0,
            slow_waits: 0,
            ops: 0,
            reports: Cell::new(0),
        }
    }

    /// How many have come.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    pub fn step(&mut self, step: &Step) {
        // What came before this step has to be right without it.
        self.read_and_judge();
        let ops = self.state.ops(step);
        ops.iter().for_each(|op| self.perform(op));
        self.ops += ops.len();
        self.state.apply(step, &ops);
        match step {
            Step::MoveAway => self.has_moved_away = true,
            Step::Stop => self.stop(),
            Step::Continue => self.server.signal(Signal::SIGCONT),
            Step::Settle => self.settle(),
            Step::Hup => self.server.signal(Signal::SIGHUP),
            Step::Tick => self.wait_for_tick(),
            Step::Connect(connect) => self.connect(connect),
            Step::HalfClose(id) => {
                if let Some(reader) = &self.clients[*id].reader {
                    reader.half_close();
                }
            }
            Step::Reset(id) => {
                if let Some(reader) = self.clients[*id].reader.take() {
                    reader.reset();
                }
            }
            Step::Leave(id) => self.leave(*id),
            _ => {}
        }
    }

    fn perform(&mut self, op: &Op) {
        let done = match op {
            Op::Open { name, mode } => {
                let mut options = OpenOptions::new();
                options.append(true).create_new(*mode == Mode::CreateNew);
                if *mode == Mode::Truncate {
                    // The standard library does not know the two together.
                    options.append(false).write(true).truncate(true);
                }
                let file = options.open(self.path(name));
                file.map(|file| self.writers.push(Some(file)))
            }
            Op::Write { writer, bytes } => {
                let file = self.writers[*writer].as_mut();
                file.expect("it is open").write_all(bytes)
            }
            Op::Close(writer) => {
                self.writers[*writer] = None;
                Ok(())
            }
            Op::Rename { from, to } => fs::rename(self.path(from), self.path(to)),
            Op::Unlink(name) => fs::remove_file(self.path(name)),
            Op::Exchange(one, other) => {
                let (one, other) = (self.path(one), self.path(other));
                let exchange = RenameFlags::RENAME_EXCHANGE;
                renameat2(AT_FDCWD, &one, AT_FDCWD, &other, exchange).map_err(Into::into)
            }
            Op::SetLengthZero(name) => {
                let file = OpenOptions::new().write(true).open(self.path(name));
                file.and_then(|file| file.set_len(0))
            }
            Op::WriteAt {
                name,
                offset,
                bytes,
            } => {
                let file = OpenOptions::new().write(true).open(self.path(name));
                file.and_then(|file| file.write_all_at(bytes, *offset as u64))
            }
            Op::Copy { from, to } => fs::copy(self.path(from), self.path(to)).map(drop),
        };
        done.unwrap_or_else(|error| panic!("the history cannot be played: {error}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("served").join(name)
    }

    /// The signal takes a moment, in which the server may still do something.
    fn stop(&self) {
        self.server.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.server.pid());
        wait_until("the server is stopped", || {
            let stat = fs::read_to_string(&stat).expect("the server runs");
            let (_, rest) = stat.rsplit_once(") ").expect("the name is in brackets");
            rest.starts_with(['T', 't'])
        });
    }

    /// Every wake-up of the process counts as a switch.
    fn wait_for_tick(&self) {
        let status = format!("/proc/{}/status", self.server.pid());
        let switches = || -> u64 {
            let status = fs::read_to_string(&status).expect("the server runs");
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|rest| rest.trim().parse().ok())
                .expect("a number")
        };
        if self.report().clients.is_empty() {
            return;
        }
        let before = switches();
        wait_until("the server wakes up by itself", || switches() > before);
    }

    fn connect(&mut self, connect: &Connect) {
        let id = self.clients.len();
        let start = match (connect.start, self.state.setup.serves_directory) {
            (Start::Default, true) => Start::LastLines(10),
            (start, _) => start,
        };
        let name = match &self.prefix {
            Some(prefix) => format!("{prefix}{}", self.state.disk.tails[connect.tail].name),
            None => String::new(),
        };
        let server = (self.server.address(), self.unix.as_path());
        let reader = Reader::ask(connect.how, server, connect.face, (start, &name));
        let reader = reader.expect("the server accepts");
        if connect.half_closes {
            reader.half_close();
        }
        self.clients.push(Player {
            reader: Some(reader),
            end: None,
        });
        // Where it begins is certain before anything else happens.
        match self.judge(id) {
            Verdict::Owed(_) => self.wait_for(&[id], |world| {
                let reader = world.clients[id].reader.as_mut();
                let reader = reader.expect("it has just come");
                if reader.received.is_empty() {
                    reader
                        .read(1)
                        .unwrap_or_else(|error| panic!("client {id}: {error}"));
                }
                !reader.received.is_empty() || reader.has_ended
            }),
            // A search takes a turn more.
            _ => wait_until("every request is read", || {
                self.has_asked(&self.report()) && self.has_asked(&self.report())
            }),
        }
    }

    /// Every client has been accepted, and its header was read.
    fn has_asked(&self, report: &Report) -> bool {
        let are_all_here = report.field("connections") == self.clients.len();
        (are_all_here || self.state.setup.is_shared) && report.have_all_asked()
    }

    /// The server notices when it sends to it. To one that perhaps gets nothing more it would not.
    fn leave(&mut self, id: Id) {
        let follower = &self.state.followers[id];
        let gets_more = follower.tail() == 0 && !follower.is_beyond(&self.state.disk);
        if let Some(reader) = self.clients[id].reader.take().filter(|_| !gets_more) {
            reader.reset();
        }
    }

    /// Until everybody who reads has all that is to come, and the server has looked at everything
    /// and sends nothing more.
    fn settle(&mut self) {
        let reading: Vec<Id> = self.state.present().collect();
        if std::mem::take(&mut self.has_moved_away) {
            // Once it has read of this, which it has when it reports, it waits 10 ms for an event
            // that says where to.
            self.report();
            std::thread::sleep(UNDECIDED);
        }
        let directory = self.directory.path().display().to_string();
        let mut places = None;
        self.wait_for(&reading, |world| {
            world.read_and_judge();
            if reading.iter().any(|&id| world.is_owed(id)) {
                return false;
            }
            let now = world.report().places(&directory);
            world.read_and_judge();
            // It goes round once for each report: after the second it has seen all that happened
            // before the first.
            let are_same = places.as_ref() == Some(&now);
            places = Some(now);
            are_same && !reading.iter().any(|&id| world.is_owed(id))
        });
    }

    fn is_owed(&mut self, id: Id) -> bool {
        !self.state.followers[id].is_stalled && matches!(self.judge(id), Verdict::Owed(_))
    }

    fn wait_for(&mut self, ids: &[Id], mut holds: impl FnMut(&mut World) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > WAIT_MAX {
                let owed = ids
                    .iter()
                    .filter(|&&id| !self.state.followers[id].is_stalled);
                let owed: Vec<Id> = owed.copied().collect();
                for id in owed {
                    if let Verdict::Owed(what) = self.judge(id) {
                        panic!("{} waits for {what}", self.name(id));
                    }
                }
                panic!("the server never comes to rest");
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        self.waits += 1;
        self.slow_waits += usize::from(start.elapsed() > SLOW_WAIT);
    }

    fn read_and_judge(&mut self) {
        for id in 0..self.clients.len() {
            if self.state.followers[id].is_stalled {
                continue;
            }
            if let Some(reader) = &mut self.clients[id].reader {
                let read = reader.read(usize::MAX);
                read.unwrap_or_else(|error| panic!("{}: {error}", self.name(id)));
                self.judge(id);
            }
        }
    }

    fn judge(&mut self, id: Id) -> Verdict {
        let player = &mut self.clients[id];
        let Some(reader) = player.reader.as_ref().filter(|_| player.end.is_none()) else {
            return Verdict::Complete;
        };
        let follower = &mut self.state.followers[id];
        let verdict = follower.judge(&self.state.disk, &reader.received, reader.has_ended);
        match verdict {
            Verdict::Wrong(how) => panic!("{}: {how}", self.name(id)),
            Verdict::Ended(end) => {
                if end == End::Overtaken {
                    player.reader.take().into_iter().for_each(Reader::reset);
                    follower.is_gone = true;
                }
                player.end = Some(end);
                Verdict::Complete
            }
            verdict => verdict,
        }
    }

    fn name(&self, id: Id) -> String {
        format!("client {id}, {:?}", self.state.followers[id].connect)
    }

    fn report(&self) -> Report {
        self.reports.set(self.reports.get() + 1);
        Report::of(&self.server)
    }
}

fn make_directories(directory: &TempDir) {
    for name in ["served", "away"] {
        fs::create_dir(directory.path().join(name)).expect("the directory is ours");
    }
}
