//! How a client comes: accepted and read.

use super::Server;
use crate::client::Client;
use crate::clients::At;
use crate::limits::ANSWERED_MAX;
use crate::outcome::{Closed, Received};
use crate::refusal::{Full, Refusal};
use crate::schedule::Due;
use crate::socket::{Peer, Socket};

use mio::Token;

use std::io;
use std::time::Duration;

/// A connection costs 10 us or so to accept: followers wait less than a millisecond for a flood of
/// them.
const TURN_ACCEPTS_MAX: usize = 64;

/// The same for what clients send: to open a file takes as long.
const TURN_RECEIVES_MAX: usize = 64;

/// How long a client that there is no room for may take until it shows in which form it asks. As a
/// rule its request comes with the connection.
const FORM_TIMEOUT: Duration = Duration::from_millis(200);

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
        let full = match self.is_full() {
            true => Some(Full::Server),
            false => (self.terms.hosts.is_full(peer)).then_some(Full::Host),
        };
        if let (Some(full), true) = (full, self.clients.over_limit() >= ANSWERED_MAX) {
            return self.report.refused(peer, full.into(), None, None);
        }
        self.report.connections += 1;
        self.report.connected(peer);
        if full.is_none() {
            self.terms.hosts.enter(peer);
        }
        let client = Client::new(socket);
        let token = self.clients.insert(client, peer, self.now, full);
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let registered = seat.client.register(self.poll.registry(), token);
        match (registered, full) {
            (Err(error), _) => self.close(token, Closed::Error(error)),
            (Ok(()), Some(full)) => {
                self.await_form(token, full.into());
                if full == Full::Server {
                    self.probe_half_closed();
                }
            }
            (Ok(()), None) => {
                let until = self.now + self.terms.header_timeout;
                self.schedule.arm(Due::Header(token), until);
            }
        }
    }

    /// A client that is only told that there is no room for it is told so in the form that it asks
    /// in, if it asks at once.
    fn await_form(&mut self, token: Token, refusal: Refusal) {
        match self.terms.door.is_http() {
            true => {
                self.schedule
                    .arm(Due::Header(token), self.now + FORM_TIMEOUT);
                self.push_inbox(token);
            }
            false => self.refuse(token, refusal),
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
            let received = seat.client.receive(&mut self.scratch, &self.terms.door);
            if let (Some(full), At::Header) = (seat.over_limit, seat.at) {
                if !matches!(received, Received::Drained | Received::Closed(_)) {
                    self.refuse(token, full.into());
                    self.push_inbox(token);
                    continue;
                }
            }
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
