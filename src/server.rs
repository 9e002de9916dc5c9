//! The event loop: owns poll, listeners, tails, clients; knows where each client is.
//!
//! One turn: poll, note every event and act on none, heed signals, accept, look at the files hinted
//! at, read what clients sent, serve, limit what deleted files hold, expire deadlines, report.
//! Edges come once, so one rule covers listeners, inotify and sockets: readiness is remembered
//! until `WouldBlock` takes it away.

mod arrive;

mod begin;

mod depart;

mod probe;

mod serve;

use crate::clients::{At, Clients, Seat};
use crate::disk::Disk;
use crate::door::Door;
use crate::error::Fatal;
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::listen::Listener;
use crate::listing::Listings;
use crate::news::News;
use crate::outcome::Closed;
use crate::refusal::Refusal;
use crate::report::{Doing, Faces, Now, Report};
use crate::request::Request;
use crate::schedule::{Due, Schedule};
use crate::signals::{Order, Signals};
use crate::systemd::Manager;
use crate::tails::{TURN_LOOKS_MAX, Tails};
use crate::texts::{TextKey, Texts};
use crate::watch::TailKey;

use mio::event::Event;
use mio::{Events, Poll, Token};

use std::collections::HashMap;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

const WATCH: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
const FIRST_LISTENER: Token = Token(usize::MAX - 2);

const EVENTS_MAX: usize = 1024;

/// What is searched at a time: larger than a core's cache serves nobody.
const SCRATCH_BYTES: usize = 256 << 10;

/// SIGUSR1 with ten thousand clients must not stop the others.
const TURN_REPORTS_MAX: usize = 100;

/// On which clients are taken in.
pub struct Terms {
    pub limits: Limits,
    pub hosts: Hosts,
    pub door: Door,
    /// How long a client may take for its line.
    pub header_timeout: Duration,
    /// The silence before a peer is probed, as the listeners have it.
    pub keepalive: Duration,
}

/// The running server.
pub struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<Listener>,
    tails: Tails,
    clients: Clients,
    /// What is sent from memory, and the lists of files among that.
    texts: Texts,
    listings: Listings,
    /// The metrics of a turn.
    metrics: Option<(Instant, TextKey)>,
    schedule: Schedule,
    disk: Disk,
    terms: Terms,
    report: Report,
    manager: Manager,
    /// When the turn began: followers that its looks have woken may have what was checked since.
    turn_began: Instant,
    /// The turn's time; set anew when serving begins, for all others are checked from then on.
    now: Instant,
    /// The operator wants something.
    has_signals: bool,
    /// accept(2) failed a moment ago.
    is_accept_paused: bool,
    /// When half-closed clients were last probed out of turn.
    probed: Option<Instant>,
    /// The slot from which the clients are gone through for that, and the silence they may have.
    probing: Option<(usize, Duration)>,
    /// Clients at the live end, who wait for more.
    waiting: usize,
    /// What clients asked for whose file is not known yet.
    postponed: HashMap<Token, Request>,
    /// The slot from which SIGUSR1's list of clients goes on.
    reporting: Option<usize>,
    is_stopping: bool,
    is_over: bool,
    news: News,
    scratch: Box<[u8]>,
}

impl Server {
    /// What can fail for the operator's sake has been done by the caller. Fails only if there is no
    /// epoll to be had; without inotify, files are polled.
    pub fn new(
        signals: Signals,
        mut listeners: Vec<Listener>,
        tails: Tails,
        terms: Terms,
        report: Report,
        manager: Manager,
    ) -> Result<Server, Fatal> {
        let fatal = |error: io::Error| Fatal::io("cannot use epoll", &error);
        let poll = Poll::new().map_err(fatal)?;
        tails.register(poll.registry(), WATCH).map_err(fatal)?;
        signals.register(poll.registry(), SIGNALS).map_err(fatal)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener
                .register(poll.registry(), Token(FIRST_LISTENER.0 - index))
                .map_err(fatal)?;
        }
        Ok(Server {
            poll,
            signals,
            listeners,
            tails,
            clients: Clients::default(),
            texts: Texts::default(),
            listings: Listings::default(),
            metrics: None,
            schedule: Schedule::default(),
            disk: Disk::default(),
            terms,
            report,
            manager,
            turn_began: Instant::now(),
            now: Instant::now(),
            has_signals: false,
            is_accept_paused: false,
            probed: None,
            probing: None,
            waiting: 0,
            postponed: HashMap::new(),
            reporting: None,
            is_stopping: false,
            is_over: false,
            news: News::default(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        })
    }

    /// Serves until a signal says stop. Fails only if poll itself does.
    pub fn run(mut self) -> Result<(), Fatal> {
        self.manager.notify_ready();
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_over {
            match self.poll.poll(&mut events, self.sleep()) {
                // SIGSTOP and SIGCONT interrupt epoll_wait(2) without any handler.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fatal::io("cannot wait for events", &error)),
                Ok(()) => {}
            }
            self.turn_began = Instant::now();
            self.now = self.turn_began;
            self.report.turns += 1;
            events.iter().for_each(|event| self.note(event));
            self.heed_signals();
            self.accept();
            self.refresh_tails();
            self.receive();
            self.serve();
            self.list();
            self.limit_held();
            self.expire();
            self.report_clients();
            self.probe_clients();
            if let Some(until) = self.report.take_held_until() {
                self.schedule.arm_earlier(Due::HeldBack, until);
            }
            if cfg!(debug_assertions) {
                self.check_invariants();
            }
        }
        self.report.end();
        Ok(())
    }

    fn sleep(&self) -> Option<Duration> {
        let has_work = self.schedule.has_work()
            || self.tails.has_work()
            || self.listings.has_work()
            || self.reporting.is_some()
            || self.probing.is_some()
            || (self.listeners.iter().any(|listener| listener.is_due) && self.may_accept());
        if has_work {
            Some(Duration::ZERO)
        } else {
            self.schedule.sleep(Instant::now())
        }
    }

    fn note(&mut self, event: &Event) {
        match event.token() {
            WATCH => self.tails.note_readable(),
            SIGNALS => self.has_signals = true,
            token if FIRST_LISTENER.0 - token.0 < self.listeners.len() => {
                self.listeners[FIRST_LISTENER.0 - token.0].is_due = true;
            }
            token => self.note_client(token, event),
        }
    }

    fn note_client(&mut self, token: Token, event: &Event) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        // A half-closed client shows as read-closed only; a reset one, and one of a unix socket
        // that is gone, as both.
        seat.is_gone |= event.is_error() || event.is_write_closed();
        let has_room = event.is_writable() && seat.at == At::Blocked;
        let goes_on_ending = event.is_writable() && seat.at == At::Draining;
        if seat.is_gone || event.is_readable() || event.is_read_closed() {
            self.push_inbox(token);
        }
        if has_room {
            self.line_up(token);
        } else if goes_on_ending {
            self.go_on_ending(token);
        }
    }

    /// Puts a client that may have something to read where its turn comes, once.
    fn push_inbox(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        if !mem::replace(&mut seat.is_in_inbox, true) {
            self.schedule.push_inbox(token);
        }
    }

    fn heed_signals(&mut self) {
        if !mem::take(&mut self.has_signals) {
            return;
        }
        while let Some(order) = self.signals.next_order() {
            match order {
                Order::Stop if self.is_stopping => self.is_over = true,
                Order::Stop => self.stop(),
                Order::Look => self.tails.suspect_all(),
                Order::Report => self.report_totals(),
            }
        }
    }

    fn refresh_tails(&mut self) {
        if self.tails.has_work() {
            self.tails.refresh(self.now, &mut self.news);
            self.spread_news();
        }
    }

    /// Wakes whom the looks have found something for, and tells the operator what they have found.
    fn spread_news(&mut self) {
        let mut news = mem::take(&mut self.news);
        news.notes
            .drain(..)
            .for_each(|note| self.report.note(&note));
        news.woken.drain(..).for_each(|token| self.line_up(token));
        for (key, at) in news.soon.drain(..) {
            if self.tails.contains(key) {
                self.schedule.arm_earlier(Due::Tick(key), at);
            }
        }
        news.losses.drain(..).for_each(|loss| self.lose(&loss));
        debug_assert!(self.news.is_empty(), "to cut a client is no news");
        self.news = news;
    }

    fn expire(&mut self) {
        for _ in 0..TURN_LOOKS_MAX {
            match self.schedule.pop_due(self.now) {
                None => break,
                Some(Due::Header(token)) => self.refuse_silent(token),
                Some(Due::Pulse(token)) => self.pulse(token),
                Some(Due::Drain(token)) => self.close(token, Closed::NotDrained),
                Some(Due::ProbeOver) => self.end_probe(),
                Some(Due::HeldBack) => self.report.say_held_back(self.now),
                Some(Due::Accept) => self.is_accept_paused = false,
                Some(Due::Begin(token)) => self.begin_postponed(token),
                Some(Due::Cold(token)) => self.line_up(token),
                Some(Due::Exit) => self.is_over = true,
                Some(Due::Tick(key)) => {
                    let next = self.tails.tick(key, self.now, &mut self.news);
                    self.schedule.arm(Due::Tick(key), self.now + next);
                    self.spread_news();
                }
            }
        }
    }

    /// A client that has asked for nothing in its time.
    fn refuse_silent(&mut self, token: Token) {
        let over_limit = self.clients.seat(token).and_then(|seat| seat.over_limit);
        let within_seconds = self.terms.header_timeout.as_secs();
        self.refuse(
            token,
            over_limit.map_or(Refusal::NoHeader { within_seconds }, Refusal::from),
        );
    }

    fn report_totals(&mut self) {
        self.report.totals(&self.count());
        self.reporting = Some(0);
    }

    fn count(&self) -> Now {
        let mut faces = Faces::default();
        let mut lag_bytes_max = 0;
        for (_, seat) in self.clients.iter() {
            faces.count(seat.client.form(), seat.at != At::Header);
            if let Some(key) = seat.tail {
                let behind_bytes = self.tails[key].bytes_behind(seat.client.cursor());
                lag_bytes_max = behind_bytes.max(lag_bytes_max);
            }
        }
        Now {
            clients: self.clients.len(),
            faces,
            files: self.tails.len(),
            segments: self.tails.open_segments(),
            held_bytes: self.tails.held_bytes(),
            watches: self.tails.watches(),
            polled_files: self.tails.polled(),
            lag_bytes_max,
        }
    }

    fn report_clients(&mut self) {
        let Some(slot) = self.reporting else { return };
        let (seats, next) = self.clients.page(slot, TURN_REPORTS_MAX);
        for seat in seats {
            let doing = match seat.tail {
                Some(key) => Doing::Following {
                    path: self.tails[key].path(),
                    segment: seat.client.cursor().segment,
                    offset: seat.client.cursor().offset,
                    behind_bytes: self.tails[key].bytes_behind(seat.client.cursor()),
                },
                None if seat.at == At::Header => Doing::Asking,
                None => Doing::Ending,
            };
            let age = self.now.saturating_duration_since(seat.since);
            self.report.client(seat.peer, &doing, age);
        }
        self.reporting = next;
    }

    /// Every client is where the table says, and nowhere else.
    fn check_invariants(&self) {
        let mut lined_up: Vec<Token> = self.schedule.lined_up().collect();
        lined_up.sort_unstable();
        let mut line: Vec<Token> = self.disk.line().collect();
        line.sort_unstable();
        for (token, seat) in self.clients.iter() {
            let is_waiting = |waiting, key: TailKey| {
                let segment = seat.client.cursor().segment;
                self.tails[key].chain().get(segment).waiting_client(waiting) == Some(token)
            };
            let is_served = seat.tail.is_some() != seat.text.is_some();
            let is_right = match seat.at {
                At::Header => seat.tail.is_none() && seat.client.is_in_header(),
                At::Ready => is_served && lined_up.binary_search(&token).is_ok(),
                At::Waiting(waiting) => seat.tail.is_some_and(|key| is_waiting(waiting, key)),
                At::Parked => {
                    let is_in_line = line.binary_search(&token).is_ok();
                    seat.tail.is_some() && is_in_line != self.schedule.is_armed(Due::Cold(token))
                }
                At::Blocked => is_served && !seat.client.is_in_header(),
                At::Draining => !is_served && seat.client.is_draining(),
            };
            assert!(is_right, "client {} is not {:?}", seat.peer, seat.at);
        }
        let is_waiting = |seat: &Seat| matches!(seat.at, At::Waiting(_));
        let waiting = self.clients.iter().filter(|(_, seat)| is_waiting(seat));
        assert_eq!(waiting.count(), self.waiting);
    }
}
