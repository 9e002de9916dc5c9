//! At the client limit: who of those that wait is not there any more?
//!
//! A client that has closed its sending half and one that is gone look the same until something is
//! sent to them; a quiet file sends nothing. Keepalive finds out, in its time (`--keepalive`). When
//! somebody is turned away because of them, it is asked for at once.

use super::Server;
use crate::clients::{At, Seat};
use crate::schedule::Due;

use std::time::{Duration, Instant};

/// Probed is who was silent for so long: the shortest time there is (TCP_KEEPIDLE, tcp(7)).
const PROBED_IDLE: Duration = Duration::from_secs(1);

/// How long that holds: a first probe is sent and answered.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// From one round to the next.
const PROBE_PERIOD: Duration = Duration::from_secs(5);

impl Server {
    /// Somebody was turned away.
    pub(super) fn probe_half_closed(&mut self) {
        let was_done = |at: Instant| self.now.saturating_duration_since(at) < PROBE_PERIOD;
        if self.probed.is_some_and(was_done) {
            return;
        }
        self.probed = Some(self.now);
        self.schedule.arm(Due::ProbeOver, self.now + PROBE_TIME);
        self.set_idle(PROBED_IDLE, |seat| {
            seat.client.has_ended() && matches!(seat.at, At::Waiting(_))
        });
    }

    /// From now on they are left alone as long as the others.
    pub(super) fn end_probe(&mut self) {
        self.set_idle(self.terms.keepalive, |seat| seat.client.has_ended());
    }

    /// That it fails is a client's end, of which it will be told.
    fn set_idle(&self, idle: Duration, is_concerned: impl Fn(&Seat) -> bool) {
        for (_, seat) in self.clients.iter().filter(|(_, seat)| is_concerned(seat)) {
            let _ = seat.client.set_keepalive_idle(idle);
        }
    }
}
