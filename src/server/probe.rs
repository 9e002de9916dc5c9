//! At the client limit: who of those that wait is not there any more?
//!
//! A client that has closed its sending half and one that is gone look the same until something is
//! sent to them; a quiet file sends nothing. Keepalive finds out, in its time (`--keepalive`). When
//! somebody is turned away because of them, it is asked for at once.
//!
//! A host that was started anew says so. So does one whose client has gone, but only a minute after
//! that: until then its kernel answers for it (tcp_fin_timeout, tcp(7)).

use super::Server;
use crate::clients::At;
use crate::schedule::Due;

use std::time::{Duration, Instant};

/// Probed is who was silent for so long: the shortest time there is (TCP_KEEPIDLE, tcp(7)).
const PROBED_IDLE: Duration = Duration::from_secs(1);

/// How long that holds: a first probe is sent and answered.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// From one round to the next.
const PROBE_PERIOD: Duration = Duration::from_secs(5);

/// SIGUSR1's measure: a crowd of half-closed clients must not stop the others.
const TURN_PROBES_MAX: usize = 100;

impl Server {
    /// Somebody was turned away.
    pub(super) fn probe_half_closed(&mut self) {
        // Each round is one of the four unanswered probes that a peer may have.
        let period = PROBE_PERIOD.max(self.terms.keepalive / 4);
        let was_done = |at: Instant| self.now.saturating_duration_since(at) < period;
        if self.probed.is_some_and(was_done) {
            return;
        }
        self.probed = Some(self.now);
        self.probing = Some((0, PROBED_IDLE));
        self.schedule.arm(Due::ProbeOver, self.now + PROBE_TIME);
    }

    /// From now on they are left alone as long as the others.
    pub(super) fn end_probe(&mut self) {
        self.probing = Some((0, self.terms.keepalive));
    }

    /// The turn's share of going through the clients. That it fails for one is that client's end,
    /// of which it will be told.
    pub(super) fn probe_clients(&mut self) {
        let Some((slot, idle)) = self.probing else {
            return;
        };
        let (seats, next) = self.clients.page(slot, TURN_PROBES_MAX);
        for seat in seats {
            // Who was probed and is busy by now is let go as well.
            let is_concerned = idle > PROBED_IDLE || matches!(seat.at, At::Waiting(_));
            if is_concerned && seat.client.has_ended() {
                let _ = seat.client.set_keepalive_idle(idle);
            }
        }
        self.probing = next.map(|slot| (slot, idle));
    }
}
