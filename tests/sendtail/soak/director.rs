//! One thread a server: it plays histories on it, several at a time, stops it, kills it and starts
//! it again, and measures it at rest.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Soak;
use super::census::Census;
use super::quiet::{Copied, Mirror};
use super::service::{Service, count};
use super::site::Site;
use crate::model::history::Generator;
use crate::model::random::Random;
use crate::model::report::Report;
use crate::model::step::Step;
use crate::model::tally::Tally;
use crate::model::world::World;
use crate::support::Server;

/// Histories at a time, and how long one may take: beyond a minute a file that still has a writer
/// is left behind by design.
const STAGES: usize = 3;
const STAGE_TIME: Duration = Duration::from_secs(20);

/// What is kept of a server's log, to be shown when something fails.
const LOG_BYTES: usize = 100_000;

pub struct Director<'a> {
    service: &'a Service,
    site: &'a Site,
    copied: &'a Copied,
    failed: &'a AtomicBool,
    host: &'static str,
    random: Random,
    /// The server is never killed, but measured.
    is_steady: bool,
    /// How long it lives, and how often it is measured, about.
    period: Duration,
    stages: Vec<Stage>,
    server: Option<Rc<Server>>,
    tally: Tally,
}

/// A history that is being played.
struct Stage {
    generator: Generator,
    played: usize,
    world: World,
    /// As many steps as it is to have, about.
    steps: usize,
    start: Instant,
}

impl Stage {
    /// The next step, and those that were put in.
    fn go_on(&mut self) {
        self.generator.go_on();
        self.play();
    }

    fn push(&mut self, step: Step) {
        self.generator.push(step);
        self.play();
    }

    fn play(&mut self) {
        for step in &self.generator.steps[self.played..] {
            self.world.step(step);
        }
        self.played = self.generator.steps.len();
    }
}

impl<'a> Director<'a> {
    pub fn new(
        (service, host): (&'a Service, &'static str),
        soak: &'a Soak<'a>,
        seed: u64,
    ) -> Director<'a> {
        Director {
            service,
            site: &soak.site,
            copied: &soak.copied,
            failed: &soak.failed,
            host,
            random: Random::new(seed),
            is_steady: service.name == "steady",
            period: soak.plan.period,
            stages: vec![],
            server: None,
            tally: Tally::default(),
        }
    }

    pub fn start(&mut self) {
        self.server = Some(Rc::new(self.site.start(self.service, self.host)));
    }

    /// Until it is told to end; then everything has to be right.
    pub fn run(&mut self, mut mirror: Mirror, is_over: impl Fn() -> bool) -> Tally {
        let now = Instant::now();
        let mut census = Census::default();
        let mut next_stop = now + self.about(self.stop_period());
        let mut next_turn = now + self.about(self.period);
        let mut pause = Duration::ZERO;
        while !is_over() {
            let now = Instant::now();
            if now >= next_stop {
                self.stop_and_continue();
                next_stop = Instant::now() + self.about(self.stop_period());
                pause = Duration::from_millis(*self.random.pick(&[0, 1, 5, 20]));
            } else if now >= next_turn {
                match self.is_steady {
                    true => self.measure(&mut census, &mut mirror),
                    false => self.restart(&mut mirror),
                }
                next_turn = Instant::now() + self.about(self.period);
            }
            self.perform_one();
            std::thread::sleep(pause);
        }
        if self.is_steady && !self.failed.load(Ordering::Relaxed) {
            self.measure(&mut census, &mut mirror);
        }
        self.finish_all();
        self.copied.compare(&mut mirror, self.failed);
        self.tally.clone()
    }

    /// Everybody else has left as well.
    pub fn end(&mut self) {
        let server = self.server.take().expect("it runs");
        // Only by this the server sees that the mirror has left.
        self.copied.append(1);
        Census::expect_nothing_left(&server, self.service);
        server.signal(Signal::SIGTERM);
        let status = server.wait();
        assert_eq!(status.code(), Some(0), "{status}");
    }

    fn about(&mut self, duration: Duration) -> Duration {
        duration * self.random.between(30, 170) as u32 / 100
    }

    fn stop_period(&self) -> Duration {
        Duration::from_secs(4).min(self.period / 2)
    }

    fn server(&self) -> &Rc<Server> {
        self.server.as_ref().expect("it runs")
    }

    fn perform_one(&mut self) {
        if self.stages.len() < STAGES {
            return self.open_stage();
        }
        let id = self.random.below(self.stages.len());
        let stage = &mut self.stages[id];
        stage.go_on();
        let is_long = stage.played >= stage.steps || stage.start.elapsed() > STAGE_TIME;
        if is_long {
            self.finish(id);
            self.server().forget_log(LOG_BYTES);
        }
    }

    fn open_stage(&mut self) {
        let is_in_memory = self.random.chance(50);
        let seed = self.random.below(usize::MAX >> 16) as u64;
        let parent = self.site.histories(is_in_memory);
        let directory = tempfile::Builder::new()
            .prefix("history-")
            .tempdir_in(&parent);
        let directory = directory.expect("there is room for tests");
        let parent = parent.file_name().expect("it has a name").to_string_lossy();
        let own = directory.path().file_name().expect("it has a name");
        let name = format!("{parent}/{}", own.to_string_lossy());
        let generator = Generator::shared(seed, is_in_memory);
        let unix = &self.service.unix;
        let world = World::shared(generator.setup(), self.server(), directory, unix, &name);
        let mut stage = Stage {
            generator,
            played: 0,
            world,
            steps: self.random.between(25, 150),
            start: Instant::now(),
        };
        stage.play();
        self.stages.push(stage);
    }

    fn finish_all(&mut self) {
        while !self.stages.is_empty() {
            self.finish(0);
        }
    }

    fn finish(&mut self, id: usize) {
        let mut stage = self.stages.swap_remove(id);
        stage.generator.end();
        stage.play();
        self.note(&stage.world);
        self.tally.add(&stage.world.finish(stage.played));
    }

    fn note(&self, world: &World) {
        let done = &self.service.done;
        count(&done.ops, world.ops);
        count(&done.connects, world.clients());
        count(&done.ends, world.clients());
        count(&done.signals, world.reports.get());
        count(&done.histories, 1);
    }

    /// SIGSTOP, for a moment in which the world goes on, and SIGCONT.
    fn stop_and_continue(&mut self) {
        while let Some(stage) = self
            .stages
            .iter_mut()
            .find(|one| one.generator.must_settle())
        {
            stage.go_on();
        }
        let service = self.service;
        let _stopped = service.stop.write();
        self.server().signal(Signal::SIGSTOP);
        for stage in &mut self.stages {
            stage.push(Step::Stop);
        }
        count(&service.done.stops, 1);
        let longest = *self.random.pick(&[10, 100, 1000, 3000]);
        let duration = Duration::from_millis(self.random.between(1, longest) as u64);
        let start = Instant::now();
        while start.elapsed() < duration && !self.failed.load(Ordering::Relaxed) {
            if !self.stages.is_empty() {
                let id = self.random.below(self.stages.len());
                self.stages[id].go_on();
            }
            std::thread::sleep(Duration::from_millis(self.random.below(30) as u64));
        }
        for stage in &mut self.stages {
            stage.push(Step::Continue);
        }
        self.server().signal(Signal::SIGCONT);
    }

    /// `kill -9`, mostly, and another one on the same port some time later.
    fn restart(&mut self, mirror: &mut Mirror) {
        self.service.turn_over();
        let kill = Signal::SIGKILL;
        let signal = *self.random.pick(&[kill, kill, kill, Signal::SIGTERM]);
        let server = self.server.take().expect("it runs");
        if signal == kill && self.random.chance(30) {
            server.signal(Signal::SIGSTOP);
        }
        server.signal(signal);
        server.wait();
        for stage in std::mem::take(&mut self.stages) {
            self.note(&stage.world);
            self.tally.add(&stage.world.abandon(stage.played));
        }
        drop(server);
        let down_max = *self.random.pick(&[1, 300, 2000]);
        let down = self.random.below(down_max);
        std::thread::sleep(Duration::from_millis(down as u64));
        self.start();
        count(&self.service.done.restarts, 1);
        self.copied.compare(mirror, self.failed);
    }

    /// When all the others rest.
    fn measure(&mut self, census: &mut Census, mirror: &mut Mirror) {
        self.finish_all();
        if self.service.gate.close(self.failed) {
            self.copied.compare(mirror, self.failed);
            census.take(self.server(), self.service);
        }
        self.service.gate.open();
        self.check_totals();
    }

    /// What no history of a soak can lead to.
    fn check_totals(&self) {
        let report = Report::of(self.server());
        let remakes = self.service.done.remakes.load(Ordering::Relaxed) as usize;
        assert_eq!(report.field("late"), 0, "late bytes");
        let unverified = report.field("unverified");
        assert!(
            unverified <= remakes,
            "{unverified} unverified, {remakes} remakes"
        );
    }
}
