//! How a client goes: cut off, refused, finished in order, closed.

use super::Server;
use crate::clients::{At, Seat};
use crate::news::{Loss, LossKind};
use crate::outcome::{Closed, Cut};
use crate::refusal::{Ending, Refusal};
use crate::schedule::Due;

use mio::Token;

use std::io;
use std::mem;
use std::time::Duration;

/// How long a client has to read the rest and close its side after our FIN.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

impl Server {
    /// Clients of a tail that cannot go on. They may be anywhere: a walk over all, which is rare.
    pub(super) fn lose(&mut self, loss: &Loss) {
        let is_anybody = !matches!(
            loss.kind,
            LossKind::Truncated {
                clients_behind: 0,
                ..
            }
        );
        let losers: Vec<(Token, Cut)> = self
            .clients
            .iter()
            .filter(|(_, seat)| is_anybody && seat.tail == Some(loss.tail))
            .filter_map(|(token, seat)| Some((token, self.lost_by(seat, loss)?)))
            .collect();
        if let (LossKind::Truncated { end, .. }, true) = (loss.kind, self.tails.contains(loss.tail))
        {
            let path = self.tails[loss.tail].path();
            self.report.truncated(path, end, losers.len());
        }
        for (token, cut) in losers {
            self.cut(token, &cut);
        }
    }

    fn lost_by(&self, seat: &Seat, loss: &Loss) -> Option<Cut> {
        let client = &seat.client;
        let cursor = client.cursor();
        let is_here_or_before = cursor.segment <= loss.segment;
        let is_waiting = matches!(seat.at, At::Waiting(_));
        match loss.kind {
            LossKind::Truncated { end, .. } => {
                let is_behind = cursor.segment == loss.segment && cursor.offset < end;
                (is_behind && !client.is_seeking()).then_some(Cut::Truncated)
            }
            LossKind::Late { offset, bytes } => {
                let has_passed = client.began() <= loss.segment && !is_here_or_before;
                has_passed.then_some(Cut::Late { offset, bytes })
            }
            LossKind::Held => {
                let has_all = is_waiting && cursor.segment == loss.segment;
                (is_here_or_before && !has_all).then_some(Cut::Held)
            }
            LossKind::Crowded => is_here_or_before.then_some(Cut::Crowded),
            LossKind::Unreadable { errno } => {
                let error = io::Error::from_raw_os_error(errno);
                (cursor.segment == loss.segment).then_some(Cut::Unreadable(error))
            }
        }
    }

    /// A client that cannot go on.
    pub(super) fn cut(&mut self, token: Token, cut: &Cut) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let mut missed_bytes = 0;
        if let Some(key) = seat.tail {
            let cursor = seat.client.cursor();
            let offset;
            (offset, missed_bytes) = match cut {
                Cut::Late { offset, bytes } => (*offset, *bytes),
                // Where a search would have led is not known, and its client is told that it ends.
                _ if seat.client.is_seeking() => (0, 0),
                _ => {
                    let end = self.tails[key].span(cursor.segment).end;
                    (cursor.offset, end.saturating_sub(cursor.offset))
                }
            };
            let path = self.tails[key].path();
            self.report.cut(seat.peer, path, offset, missed_bytes, cut);
        }
        let why = match cut {
            Cut::Truncated | Cut::Replaced | Cut::NeverSeen | Cut::Late { .. } => {
                Refusal::FileWasReplaced
            }
            Cut::Unreadable(_) | Cut::Held | Cut::Crowded => Refusal::TryAgain,
        };
        let bytes = missed_bytes;
        self.finish(token, Ending::Lost { bytes, why });
    }

    /// A client whose request is not granted.
    pub(super) fn refuse(&mut self, token: Token, refusal: Refusal) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        self.report.refused(seat.peer, refusal, None, None);
        self.finish(token, Ending::Refused(refusal));
    }

    /// Ends a stream in order, as far as that can be said; the socket stays for as long as it
    /// drains.
    pub(super) fn finish(&mut self, token: Token, ending: Ending) {
        self.disarm(token);
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        seat.client.end(ending);
        seat.at = At::Draining;
        if seat.client.is_over() {
            self.close(token, Closed::Drained);
        } else {
            self.schedule
                .arm(Due::Drain(token), self.now + DRAIN_TIMEOUT);
        }
    }

    /// A client that drains has room for what is left of its outbox.
    pub(super) fn go_on_ending(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        if !seat.client.go_on_ending() {
            return;
        }
        if seat.client.is_over() {
            self.close(token, Closed::Drained);
        } else {
            // It reads: it has its time anew.
            self.schedule
                .arm(Due::Drain(token), self.now + DRAIN_TIMEOUT);
        }
    }

    /// Takes back all that is to happen to a client that is served no more.
    fn disarm(&mut self, token: Token) {
        self.leave_tail(token);
        self.leave_text(token);
        self.schedule.cancel(Due::Header(token));
        if self.postponed.remove(&token).is_some() {
            self.schedule.cancel(Due::Begin(token));
        }
    }

    pub(super) fn close(&mut self, token: Token, why: Closed) {
        self.disarm(token);
        self.schedule.cancel(Due::Drain(token));
        let Some(seat) = self.clients.remove(token) else {
            return;
        };
        if seat.over_limit.is_none() {
            self.terms.hosts.leave(seat.peer);
        }
        self.report.closed(seat.peer, &why);
        if mem::take(&mut self.is_accept_paused) {
            self.schedule.cancel(Due::Accept);
        }
        self.is_over |= self.is_stopping && self.clients.len() == 0;
    }

    fn leave_tail(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let Some(key) = seat.tail.take() else { return };
        let segment = seat.client.cursor().segment;
        match seat.at {
            At::Waiting(waiting) => {
                self.tails[key].stop_waiting(segment, waiting);
                self.waiting -= 1;
            }
            At::Parked => self.schedule.cancel(Due::Cold(token)),
            _ => {}
        }
        if seat.client.has_pulse() {
            self.schedule.cancel(Due::Pulse(token));
        }
        self.leave_disk(token, 0);
        if self.tails.leave(key, segment, self.now, &mut self.news) {
            self.schedule.cancel(Due::Tick(key));
        }
    }

    fn leave_text(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        if let Some(key) = seat.text.take() {
            self.texts.leave(key);
        }
    }

    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.manager.notify_stopping();
        self.listeners.clear();
        self.report.stopping(self.clients.len());
        self.is_over = self.clients.len() == 0;
        self.schedule.arm(Due::Exit, self.now + DRAIN_TIMEOUT);
        let everybody: Vec<Token> = self.clients.iter().map(|(token, _)| token).collect();
        for token in everybody {
            let Some(seat) = self
                .clients
                .seat(token)
                .filter(|seat| seat.at != At::Draining)
            else {
                continue;
            };
            let has_begun = !seat.client.is_in_header() && !seat.client.is_seeking();
            self.finish(
                token,
                match has_begun {
                    true => Ending::Shutdown,
                    false => Ending::Refused(Refusal::ShuttingDown),
                },
            );
        }
    }
}
