//! How a client is served: lined up, looked after, sent its share.

use super::Server;
use crate::client::{SERVE_BYTES_MAX, Served};
use crate::clients::{At, Seat};
use crate::cursor::Cursor;
use crate::schedule::Lane;
use crate::watch::TailKey;

use mio::Token;

impl Server {
    /// Puts a client that has something to do where its turn comes.
    pub(super) fn line_up(&mut self, token: Token) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        let Some(key) = seat.tail else { return };
        seat.at = At::Ready;
        let behind_bytes = self.tails[key].bytes_behind(seat.client.cursor());
        let is_backlog = seat.client.is_seeking() || behind_bytes > SERVE_BYTES_MAX as u64;
        self.schedule.push(
            if is_backlog {
                Lane::Backlog
            } else {
                Lane::Followers
            },
            token,
        );
    }

    /// All followers first; then one share of backlog, so that a follower never waits for more than
    /// that.
    pub(super) fn serve(&mut self) {
        for _ in 0..self.schedule.len(Lane::Followers) {
            let Some(token) = self.schedule.pop(Lane::Followers) else {
                break;
            };
            self.serve_client(token);
        }
        for _ in 0..self.schedule.len(Lane::Backlog) {
            let Some(token) = self.schedule.pop(Lane::Backlog) else {
                break;
            };
            if self.serve_client(token) {
                break;
            }
        }
    }

    /// False: the client has gone, or does not want anything any more.
    fn serve_client(&mut self, token: Token) -> bool {
        let before = self.report.sent_bytes;
        loop {
            let Some((key, from)) = self.checked_cursor(token) else {
                return false;
            };
            let served = self.serve_once(token, key, from);
            let Some(seat) = self.clients.seat(token).filter(is_ready) else {
                return served;
            };
            // From a short file to the next: a turn has its measure in bytes, not in files.
            let has_moved = seat.client.cursor().segment != from.segment;
            let sent_bytes = self.report.sent_bytes - before;
            if !has_moved || sent_bytes >= SERVE_BYTES_MAX as u64 {
                self.line_up(token);
                return true;
            }
        }
    }

    /// Leaves the client `Ready` if there is more to do.
    fn serve_once(&mut self, token: Token, key: TailKey, from: Cursor) -> bool {
        let Some(seat) = self.clients.seat(token) else {
            return false;
        };
        let sent_bytes = &mut self.report.sent_bytes;
        let served = seat
            .client
            .serve(&self.tails[key], self.now, &mut self.scratch, sent_bytes);
        let cursor = seat.client.cursor();
        self.tails
            .moved(key, from, cursor, self.now, &mut self.news);
        match served {
            Served::More => {}
            Served::Blocked => seat.at = At::Blocked,
            Served::Waiting => seat.at = At::Waiting(self.tails[key].wait(cursor.segment, token)),
            Served::Short => {
                self.tails
                    .measure(key, cursor.segment, self.now, &mut self.news);
                self.spread_news();
            }
            Served::Cut(cut) => self.cut(token, &cut),
            Served::Closed(why) => self.close(token, why),
        }
        true
    }

    /// The tail and the place of a client whose turn it is, when what it may be sent has proved to
    /// be what it was.
    ///
    /// A look that wakes followers has seen to that for all of them. Others are looked after now:
    /// without it they could be sent what was written after a truncation.
    fn checked_cursor(&mut self, token: Token) -> Option<(TailKey, Cursor)> {
        let seat = self.clients.seat(token).filter(is_ready)?;
        let (key, cursor) = (seat.tail?, seat.client.cursor());
        if self.tails[key].is_checked(cursor.segment, self.now) {
            return Some((key, cursor));
        }
        self.tails
            .measure(key, cursor.segment, self.now, &mut self.news);
        self.spread_news();
        // It may have been cut.
        self.clients.seat(token).filter(is_ready)?;
        if !self.tails[key].is_checked(cursor.segment, self.now) {
            // Not now; after a few times the client is cut.
            self.line_up(token);
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
