//! How a client is attached to what it asked for.

use super::Server;
use super::serve::PULSE;
use crate::http;
use crate::listing::Listed;
use crate::refusal::{Ending, Refusal};
use crate::report::METRICS_MEDIA_TYPE;
use crate::request::{Form, Request, Start, Wanted, Wants};
use crate::roots;
use crate::schedule::Due;
use crate::texts::TextKey;
use crate::watch::TailKey;

use mio::Token;

use std::path::{Path, PathBuf};

impl Server {
    pub(super) fn begin(&mut self, token: Token, request: Request) {
        let form = request.form;
        match &request.wants {
            Wants::File(wanted) => match self.follow(wanted) {
                Ok(key) => self.begin_file(token, key, request),
                Err((refusal, why)) => {
                    self.refuse_asked(token, form, refusal, wanted.path.as_deref(), why);
                }
            },
            Wants::List(directory) => self.begin_list(token, directory.clone(), request),
            Wants::Metrics => {
                let key = self.count_for_all();
                self.begin_text(token, form, METRICS_MEDIA_TYPE, key);
            }
            Wants::Asset(asset) => {
                let key = self.texts.add(asset.bytes);
                self.begin_text(token, form, asset.media_type, key);
            }
        }
    }

    fn begin_file(&mut self, token: Token, key: TailKey, request: Request) {
        self.schedule.cancel(Due::Header(token));
        if let Some(until) = self.tails[key].undecided() {
            self.schedule.arm(Due::Begin(token), until);
            self.postponed.insert(token, request);
            return;
        }
        let (Some(seat), Wants::File(wanted)) = (self.clients.seat(token), &request.wants) else {
            return;
        };
        let known = match wanted.start {
            Start::Bookmark(place) => self.tails[key].enter_file(place.file),
            _ => None,
        };
        let segment = known.unwrap_or_else(|| self.tails[key].enter());
        seat.tail = Some(key);
        seat.client
            .begin(wanted, request.form, segment, &self.tails[key]);
        if seat.client.has_pulse() {
            self.schedule.arm(Due::Pulse(token), self.now + PULSE);
        }
        // A file that is still to come has nothing up to now.
        let is_to_come = self.tails[key].segment(segment).is_to_come();
        self.line_up(token);
        if wanted.once && is_to_come {
            self.refuse(token, Refusal::NoSuchFile);
        }
    }

    fn begin_list(&mut self, token: Token, directory: Option<PathBuf>, request: Request) {
        self.schedule.cancel(Due::Header(token));
        let listed = self.listings.ask(
            directory.as_deref(),
            token,
            self.tails.roots(),
            &mut self.texts,
            self.now,
        );
        match listed {
            Ok(Listed::Ready(key)) => {
                self.begin_text(token, request.form, http::TEXT, key);
            }
            Ok(Listed::Later) => drop(self.postponed.insert(token, request)),
            Err(refusal) => {
                self.refuse_asked(token, request.form, refusal, directory.as_deref(), None);
            }
        }
    }

    /// A share of the walk under way, and those who have waited for its end.
    pub(super) fn list(&mut self) {
        if !self.listings.has_work() {
            return;
        }
        let mut ready = vec![];
        self.listings
            .step(self.tails.roots(), &mut self.texts, self.now, &mut ready);
        for token in ready {
            self.begin_postponed(token);
        }
    }

    fn begin_text(&mut self, token: Token, form: Form, media_type: &'static str, key: TextKey) {
        self.texts.enter(key);
        self.schedule.cancel(Due::Header(token));
        let Some(seat) = self.clients.seat(token) else {
            return self.texts.leave(key);
        };
        seat.text = Some(key);
        let length = self.texts.bytes(key).len();
        seat.client.begin_text(form, media_type, length);
        self.line_up(token);
    }

    /// The metrics. To count is a walk over all clients: once for all who ask in a turn.
    fn count_for_all(&mut self) -> TextKey {
        if let Some((_, key)) = self.metrics.filter(|(at, _)| *at == self.now) {
            return key;
        }
        let text = self.report.metrics(&self.count());
        let key = self.texts.add(text.into_bytes());
        self.texts.enter(key);
        if let Some((_, old)) = self.metrics.replace((self.now, key)) {
            self.texts.leave(old);
        }
        key
    }

    fn refuse_asked(
        &mut self,
        token: Token,
        form: Form,
        refusal: Refusal,
        asked: Option<&Path>,
        why: Option<String>,
    ) {
        let Some(seat) = self.clients.seat(token) else {
            return;
        };
        seat.client.note_form(form);
        self.report.refused(seat.peer, refusal, asked, why);
        self.finish(token, Ending::Refused(refusal));
    }

    /// The time to see to a request that came while what it asks for was not known.
    pub(super) fn begin_postponed(&mut self, token: Token) {
        if let Some(request) = self.postponed.remove(&token) {
            self.begin(token, request);
            // It may have sent more meanwhile.
            self.push_inbox(token);
        }
    }

    /// The tail of what is asked for; or what the client is told, and what only the log is.
    fn follow(&mut self, wanted: &Wanted) -> Result<TailKey, (Refusal, Option<String>)> {
        let place = self
            .tails
            .resolve(wanted.path.as_deref())
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
            return self.follow(wanted);
        }
        if is_new {
            self.schedule
                .arm_earlier(Due::Tick(key), self.now + self.tails.first_tick(key));
        }
        Ok(key)
    }
}
