//! How a client is served: lined up, looked after, sent its share, parked while it waits for the
//! disk.

use super::Server;
use crate::clients::{At, Seat};
use crate::cursor::Cursor;
use crate::disk::Turn;
use crate::outcome::Served;
use crate::refusal::Ending;
use crate::schedule::{Due, Lane};
use crate::share::Share;
use crate::watch::TailKey;

use mio::Token;

use std::mem;
use std::time::{Duration, Instant};

/// What one serve may send while somebody waits for new data, and what a client may be behind and
/// still be served with those at the live end. They wait for one of these and never for more: 15 to
/// 130 us, at 0.03 to 0.26 CPU seconds a GB. Measured with 20 followers beside 8 readers: 128 and
/// 256 KiB gave the readers 0.8 of what the bare loop does, and the followers 0.7 and 0.8 of the
/// time that they wait when they are alone; 512 KiB gave 0.96 and 0.93.
const SERVE_BYTES: usize = 512 << 10;

/// The same while nobody does: a newcomer's request waits for one of these, 0.1 to 1 ms. Measured
/// with 8 readers, CPU a GB to the bare loop's (which sends 1 MiB at a time): 256 KiB 1.34, 512 KiB
/// 1.2, 1 MiB 1.17, 4 MiB 1.10, for then the socket is full first.
const LONE_SERVE_BYTES: usize = 4 << 20;

/// How often a stream with a pulse that is quiet shows that it is there: proxies take one for dead
/// that is silent for 30 to 60 s.
pub(super) const PULSE: Duration = Duration::from_secs(15);

/// Whom there is something to do for after a serve.
enum Next {
    /// The same client, if it is still there.
    Same,
    Others,
    /// Nothing was to be done.
    Nothing,
}

impl Server {
    /// Puts a client that has something to do where its turn comes.
    pub(super) fn line_up(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let Some(key) = seat.tail else {
            return self.line_up_for_text(token);
        };
        if let At::Waiting(_) = mem::replace(&mut seat.at, At::Ready) {
            self.waiting -= 1;
        }
        let behind_bytes = self.tails[key].bytes_behind(seat.client.cursor());
        let is_backlog = seat.client.is_seeking() || behind_bytes > SERVE_BYTES as u64;
        self.schedule.push(
            if is_backlog {
                Lane::Backlog
            } else {
                Lane::Followers
            },
            token,
        );
    }

    #[cold]
    fn line_up_for_text(&mut self, token: Token) {
        let seat = self.clients.seat(token);
        if let Some(seat) = seat.filter(|seat| seat.text.is_some()) {
            seat.at = At::Ready;
            self.schedule.push(Lane::Backlog, token);
        }
    }

    /// All followers first; then one share of backlog, so that a follower never waits for more than
    /// that.
    pub(super) fn serve(&mut self) {
        self.now = Instant::now();
        for _ in 0..self.schedule.len(Lane::Followers) {
            let Some(token) = self.schedule.pop(Lane::Followers) else {
                break;
            };
            self.serve_client(token, SERVE_BYTES);
        }
        let share_bytes = match self.waiting {
            0 => LONE_SERVE_BYTES,
            _ => SERVE_BYTES,
        };
        for _ in 0..self.schedule.len(Lane::Backlog) {
            let Some(token) = self.schedule.pop(Lane::Backlog) else {
                break;
            };
            if self.serve_client(token, share_bytes) {
                break;
            }
        }
    }

    /// False: nothing was to be done: the client has gone, or waits for the disk.
    fn serve_client(&mut self, token: Token, share_bytes: usize) -> bool {
        let before = self.report.sent_bytes;
        loop {
            let Some((key, from)) = self.checked_cursor(token) else {
                return self.serve_text(token, share_bytes);
            };
            match self.serve_once(token, key, from, share_bytes) {
                Next::Nothing => return false,
                Next::Others => return true,
                Next::Same => {}
            }
            let Some(seat) = self.clients.seat(token).filter(is_ready) else {
                return true;
            };
            // From a short file to the next: a turn has its measure in bytes, not in files.
            let has_moved = seat.client.cursor().segment != from.segment;
            let sent_bytes = self.report.sent_bytes - before;
            if !has_moved || sent_bytes >= share_bytes as u64 {
                self.line_up(token);
                return true;
            }
        }
    }

    /// False: it is not sent a text, or not now.
    #[cold]
    fn serve_text(&mut self, token: Token, share_bytes: usize) -> bool {
        let Some(seat) = self.clients.seat(token).filter(is_ready) else {
            return false;
        };
        let Some(key) = seat.text else { return false };
        match seat.client.serve_text(self.texts.bytes(key), share_bytes) {
            Served::Complete => self.finish(token, Ending::Complete),
            Served::Blocked => seat.at = At::Blocked,
            Served::Closed(why) => self.close(token, why),
            _ => self.line_up(token),
        }
        true
    }

    /// A client that waits is served although there is nothing new.
    pub(super) fn pulse(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        self.schedule.arm(Due::Pulse(token), self.now + PULSE);
        if let (At::Waiting(waiting), Some(key)) = (seat.at, seat.tail) {
            seat.client.note_pulse();
            let segment = seat.client.cursor().segment;
            self.tails[key].stop_waiting(segment, waiting);
            self.line_up(token);
        }
    }

    /// Leaves the client `Ready` if there is more to do.
    #[inline(always)]
    fn serve_once(&mut self, token: Token, key: TailKey, from: Cursor, bytes: usize) -> Next {
        let Some(seat) = self.clients.seat(token) else {
            return Next::Nothing;
        };
        let mut share = Share {
            bytes,
            may_wait: self.disk.is_overdue(token, self.now),
            now: self.now,
            scratch: &mut self.scratch,
            sent_bytes: 0,
            searched_bytes: 0,
        };
        let served = seat.client.serve(&self.tails[key], &mut share);
        let got_bytes = share.sent_bytes + share.searched_bytes;
        self.report.sent_bytes += share.sent_bytes;
        let cursor = seat.client.cursor();
        self.tails
            .moved(key, from, cursor, self.now, &mut self.news);
        let mut next = Next::Others;
        match served {
            Served::Cold => {
                self.park(token, key);
                return Next::Nothing;
            }
            Served::More => next = Next::Same,
            Served::Blocked => seat.at = At::Blocked,
            Served::Waiting => {
                seat.at = At::Waiting(self.tails[key].wait(cursor.segment, token));
                self.waiting += 1;
            }
            Served::Short => {
                self.tails
                    .measure(key, cursor.segment, self.now, &mut self.news);
                self.spread_news();
                next = Next::Same;
            }
            Served::Complete => self.finish(token, Ending::Complete),
            Served::Refused(refusal) => self.refuse(token, refusal),
            Served::Cut(cut) => self.cut(token, &cut),
            Served::Closed(why) => self.close(token, why),
        }
        self.leave_disk(token, got_bytes);
        next
    }

    /// A client whose next bytes are not in memory asks for them when its turn comes, and comes
    /// back.
    fn park(&mut self, token: Token, key: TailKey) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        seat.at = At::Parked;
        let pause = match self.disk.meet(token, self.now) {
            Turn::StandInLine => return,
            Turn::Wait { pause } => pause,
            Turn::Ask { bytes, pause } => {
                let segment = seat.client.cursor().segment;
                self.tails[key].ask_for(segment, seat.client.ahead(bytes), self.now);
                pause
            }
        };
        self.schedule.arm(Due::Cold(token), self.now + pause);
    }

    /// A client that may have asked the disk has got so many bytes, or wants none any more.
    #[inline(always)]
    pub(super) fn leave_disk(&mut self, token: Token, bytes: u64) {
        if self.disk.leave(token, bytes, self.now) {
            self.let_next_ask();
        }
    }

    #[cold]
    fn let_next_ask(&mut self) {
        self.tails.note_came(self.disk.came());
        while let Some(next) = self.disk.next_in_line() {
            match self.clients.seat(next) {
                Some(seat) if seat.at == At::Parked => self.line_up(next),
                _ => {
                    self.disk.leave(next, 0, self.now);
                }
            }
        }
    }

    /// The tail and the place of a client whose turn it is, when what it may be sent has proved to
    /// be what it was.
    ///
    /// A look that wakes followers has seen to that for all of them. Others are looked after now:
    /// what they get may have been truncated and written anew since that look.
    fn checked_cursor(&mut self, token: Token) -> Option<(TailKey, Cursor)> {
        let seat = self.clients.seat(token).filter(is_ready)?;
        let (key, cursor) = (seat.tail?, seat.client.cursor());
        let since = match seat.client.is_live() {
            true => self.turn_began,
            false => self.now,
        };
        if self.tails[key].is_checked(cursor.segment, since) {
            return Some((key, cursor));
        }
        self.tails
            .check(key, cursor.segment, self.now, &mut self.news);
        self.spread_news();
        // It may have been cut.
        let seat = self.clients.seat(token).filter(is_ready)?;
        if !self.tails[key].is_checked(cursor.segment, self.now) {
            // Its marker is not in memory, or cannot be read: after a few times the client is cut.
            seat.at = At::Parked;
            let pause = self.tails[key].pause(cursor.segment, self.now);
            self.schedule.arm(Due::Cold(token), self.now + pause);
            // Whoever comes next may ask meanwhile.
            self.leave_disk(token, 0);
            return None;
        }
        Some((key, cursor))
    }

    pub(super) fn limit_held(&mut self) {
        self.tails.limit_held(&mut self.news);
        self.spread_news();
    }
}

fn is_ready(seat: &&mut Seat) -> bool {
    seat.at == At::Ready
}
