//! How a client's stream ends: with what can still be said, FIN behind all of it, and a drain.

use super::{Client, Phase};
use crate::outbox::Flushed;
use crate::refusal::Ending;
use crate::reply::Reply;
use crate::request::Form;

use std::mem;

impl Client {
    /// Says how it ends, as far as its reply can say that, then FIN, and drains.
    pub fn end(&mut self, ending: Ending) {
        let is_said = self.form != Form::Raw || !self.has_data;
        if ending.refusal().is_some() && is_said || self.reply.is_some() {
            let form = self.form;
            let reply = self.reply.get_or_insert_with(|| Reply::to_nothing(form));
            reply.end(ending, self.has_data);
        }
        self.phase = Phase::Drain {
            discarded_bytes: 0,
            is_shut: false,
        };
        self.end_outbox();
    }

    /// Sends FIN behind what is left in the outbox, when there is room for that.
    fn end_outbox(&mut self) {
        let is_empty = match &mut self.reply {
            Some(reply) => !matches!(reply.outbox.flush(&mut self.socket), Flushed::Blocked),
            None => true,
        };
        if let (Phase::Drain { is_shut, .. }, true) = (&mut self.phase, is_empty) {
            if !mem::replace(is_shut, true) {
                // ENOTCONN: the client is gone; the drain finds out.
                let _ = self.socket.shutdown_write();
            }
        }
    }

    /// There is room for what its outbox still has after its end. False: it has nothing more.
    pub fn go_on_ending(&mut self) -> bool {
        let is_open = matches!(self.phase, Phase::Drain { is_shut: false, .. });
        if is_open {
            self.end_outbox();
        }
        is_open
    }

    /// After `end`: whether the socket may be closed at once, for no input can be unread and
    /// nothing is left to be sent.
    pub fn is_over(&self) -> bool {
        self.has_ended && matches!(self.phase, Phase::Drain { is_shut: true, .. })
    }
}
