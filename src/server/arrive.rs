//! How a client comes: accepted, read, attached to what it asked for.

use super::Server;
use crate::client::Client;
use crate::clients::At;
use crate::limits::ANSWERED_MAX;
use crate::outcome::{Closed, Received};
use crate::request::{Refusal, Request};
use crate::roots;
use crate::schedule::Due;
use crate::socket::{Peer, Socket};
use crate::watch::TailKey;

use mio::Token;

use std::io;
use std::time::Duration;

/// A connection costs 10 us or so to accept: followers wait less than a millisecond for a flood of
/// them.
const TURN_ACCEPTS_MAX: usize = 64;

/// The same for what clients send: to open a file takes as long.
const TURN_RECEIVES_MAX: usize = 64;

/// How long to wait after accept(2) failed for want of descriptors or memory, if no client leaves
/// before.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    pub(super) fn accept(&mut self) {
        for index in 0..self.listeners.len() {
            for _ in 0..TURN_ACCEPTS_MAX {
                if !self.listeners[index].is_due || !self.may_accept() {
                    break;
                }
                match self.listeners[index].accept() {
                    Ok((socket, peer)) => self.welcome(socket, peer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.listeners[index].is_due = false
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => self.pause_accepting(&error),
                }
            }
        }
    }

    /// Edge-triggered, epoll would stall after EMFILE until the next connection, descriptors or
    /// not: so it is remembered.
    fn pause_accepting(&mut self, error: &io::Error) {
        self.report.cannot_accept(error);
        self.is_accept_paused = true;
        self.schedule.arm(Due::Accept, self.now + ACCEPT_PAUSE);
    }

    pub(super) fn may_accept(&self) -> bool {
        let has_seat = !self.is_full() || self.clients.over_limit() < ANSWERED_MAX;
        has_seat && !self.is_accept_paused
    }

    fn is_full(&self) -> bool {
        let clients = self.clients.len() - self.clients.over_limit();
        !self
            .terms
            .limits
            .have_room_for_client(clients, self.tails.open_segments())
    }

    /// A connection that is dropped here is closed without a word.
    fn welcome(&mut self, socket: Socket, peer: Peer) {
        if !self.terms.hosts.allow(peer) {
            return self.report.denied(peer);
        }
        let refusal = match self.is_full() {
            true => Some(Refusal::TooManyClients),
            false => (self.terms.hosts.is_full(peer)).then_some(Refusal::TooManyOfHost),
        };
        if let (Some(refusal), true) = (refusal, self.clients.over_limit() >= ANSWERED_MAX) {
            return self.report.refused(peer, refusal, None, None);
        }
        self.report.connections += 1;
        self.report.connected(peer);
        if refusal.is_none() {
            self.terms.hosts.enter(peer);
        }
        let client = Client::new(socket);
        let token = self
            .clients
            .insert(client, peer, self.now, refusal.is_some());
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let registered = seat.client.register(self.poll.registry(), token);
        match (registered, refusal) {
            (Err(error), _) => self.close(token, Closed::Error(error)),
            (Ok(()), Some(refusal)) => {
                self.refuse(token, refusal);
                if refusal == Refusal::TooManyClients {
                    self.probe_half_closed();
                }
            }
            (Ok(()), None) => {
                let until = self.now + self.terms.header_timeout;
                self.schedule.arm(Due::Header(token), until);
            }
        }
    }

    pub(super) fn receive(&mut self) {
        for _ in 0..self.schedule.inbox_len().min(TURN_RECEIVES_MAX) {
            let Some(token) = self.schedule.pop_inbox() else {
                break;
            };
            let Some(seat) = self.clients.seat(token) else {
                continue;
            };
            seat.is_in_inbox = false;
            // In Drain the read finds out: to close before the last input is read would send RST,
            // and destroy what is queued.
            if seat.is_gone && seat.at != At::Draining {
                self.close(token, Closed::Gone);
                continue;
            }
            // What comes behind a header is for nobody, once it is seen to.
            if self.postponed.contains_key(&token) {
                continue;
            }
            let received = seat.client.receive(&mut self.scratch);
            if !matches!(received, Received::Drained | Received::Closed(_)) {
                self.push_inbox(token);
            }
            match received {
                Received::More | Received::Drained => {}
                Received::Request(request) => self.begin(token, request),
                Received::Refused(refusal) => self.refuse(token, refusal),
                Received::Closed(why) => self.close(token, why),
            }
        }
    }

    fn begin(&mut self, token: Token, request: Request) {
        let key = match self.follow(&request) {
            Ok(key) => key,
            Err((refusal, why)) => {
                let Some(seat) = self.clients.seat(token) else {
                    return;
                };
                self.report
                    .refused(seat.peer, refusal, request.path.as_deref(), why);
                return self.finish(token, Some(refusal));
            }
        };
        if let Some(until) = self.tails[key].undecided() {
            self.schedule.cancel(Due::Header(token));
            self.schedule.arm(Due::Begin(token), until);
            self.postponed.insert(token, request);
            return;
        }
        self.schedule.cancel(Due::Header(token));
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let segment = self.tails[key].enter();
        seat.tail = Some(key);
        seat.client
            .begin(request.start, segment, self.tails[key].span(segment).end);
        self.line_up(token);
    }

    /// The time to see to a request that came while its file was not known.
    pub(super) fn begin_postponed(&mut self, token: Token) {
        if let Some(request) = self.postponed.remove(&token) {
            self.begin(token, request);
            // It may have sent more meanwhile.
            self.push_inbox(token);
        }
    }

    /// The tail of what is asked for; or what the client is told, and what only the log is.
    fn follow(&mut self, request: &Request) -> Result<TailKey, (Refusal, Option<String>)> {
        let place = self
            .tails
            .resolve(request.path.as_deref())
            .map_err(|unresolved| (unresolved.refusal, unresolved.why.map(str::to_owned)))?;
        let is_new = !self.tails.is_followed(&place);
        let (clients, names, files) = (
            self.clients.len(),
            self.tails.len(),
            self.tails.open_segments(),
        );
        if is_new && !self.terms.limits.have_room_for_name(clients, names, files) {
            return Err((Refusal::TooManyFiles, None));
        }
        let followed = self.tails.follow(place, self.now, &mut self.news);
        self.spread_news();
        let key = followed
            .map_err(|error| (roots::refusal(&error), Some(roots::open_failure(&error))))?;
        if !self.tails.contains(key) {
            // The look has cut its last clients, and it went with them. A new one has nobody to
            // cut.
            return self.follow(request);
        }
        if is_new {
            self.schedule
                .arm_earlier(Due::Tick(key), self.now + self.tails.first_tick(key));
        }
        Ok(key)
    }
}

/// accept(2): errors that were pending on the new connection, to be treated like none. The next one
/// may be good.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | NetworkDown
            | HostUnreachable
            | NetworkUnreachable
            | Unsupported
    )
}
