//! How a history ends.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::follower::{End, Place};
use super::super::reader::Reader;
use super::super::report::Report;
use super::super::tally::Tally;
use super::World;
use crate::support::wait_until;

impl World {
    /// Everybody leaves, and nothing stays behind.
    pub(super) fn end(self, steps: usize) -> Tally {
        let (server, descriptors) = (Rc::clone(&self.server), self.descriptors);
        let mut tally = self.finish(steps);
        wait_until("the server's files are closed", || {
            server.watches() == 0 && server.descriptors() == descriptors
        });
        let report = Report::of(&server);
        for name in [
            "clients",
            "files",
            "segments",
            "held",
            "watches",
            "late",
            "unverified",
        ] {
            assert_eq!(report.field(name), 0, "{name}");
        }
        let (gaps, gaps_max) = (report.field("gaps"), tally.gaps_sure + tally.gaps_maybe);
        assert!(gaps <= gaps_max, "{gaps} gaps of {gaps_max}");
        tally.turns = report.field("turns");
        let allowed = 1000 + 100 * steps + report.field("sent") / 100;
        assert!(
            tally.turns < allowed,
            "{} turns, {allowed} allowed",
            tally.turns
        );
        tally
    }

    /// Everybody leaves, from a server that goes on.
    pub fn finish(mut self, steps: usize) -> Tally {
        let tally = self.count(steps);
        self.check_ends();
        let readers = self.clients.iter_mut().map(|player| player.reader.take());
        readers.flatten().for_each(Reader::reset);
        tally
    }

    /// The server is dead. What it has sent until then is right, as far as it goes; whether it has
    /// ended a connection before or the kernel did so for it cannot be told.
    pub fn abandon(mut self, steps: usize) -> Tally {
        for id in 0..self.clients.len() {
            let Some(reader) = &mut self.clients[id].reader else {
                continue;
            };
            // A reset is what is to be expected.
            let _ = reader.read(usize::MAX);
            // The last word to those who had not got anything.
            let is_told = b"error: shutting down\n".starts_with(&reader.received[..]);
            reader.has_ended = false;
            if !is_told {
                self.judge(id);
            }
        }
        self.count(steps)
    }

    fn count(&mut self, steps: usize) -> Tally {
        let mut tally = self.state.disk.tally.clone();
        tally.histories = 1;
        tally.steps = steps;
        tally.clients = self.clients.len();
        tally.waits = self.waits;
        tally.slow_waits = self.slow_waits;
        for (player, follower) in self.clients.iter().zip(&self.state.followers) {
            tally.crossings += follower.passes.len();
            let received = player
                .reader
                .as_ref()
                .map_or(0, |reader| reader.received.len());
            tally.received_bytes += received;
            match &player.end {
                Some(End::Truncated(_)) => tally.closed_truncated += 1,
                Some(End::Missing) => tally.closed_missing += 1,
                Some(End::Overtaken) => tally.overtaken += 1,
                None => tally.complete += usize::from(!follower.is_gone),
            }
        }
        tally
    }

    /// Where a truncated file has ended is the same for all: who had as much went on, and nobody
    /// else.
    fn check_ends(&self) {
        let mut ends: HashMap<(usize, usize), usize> = HashMap::new();
        for follower in &self.state.followers {
            for &Place { piece, offset } in &follower.passes {
                let end = *ends.entry((follower.tail(), piece)).or_insert(offset);
                assert_eq!(end, offset, "two ends of piece {piece}");
            }
        }
        for (id, player) in self.clients.iter().enumerate() {
            let Some(End::Truncated(places)) = &player.end else {
                continue;
            };
            // One that had asked for more than the server ever saw is beyond it.
            let tail = self.state.followers[id].tail();
            let had_all = |at: &Place| ends.get(&(tail, at.piece)) == Some(&at.offset);
            let had_everything = places.iter().all(had_all);
            let name = || self.name(id);
            assert!(!had_everything, "{} had everything and was closed", name());
        }
    }
}
