//! One followed name: its segments, who waits in each, when one may be let go.
//!
//! | what a look shows                        | what becomes of the segments                   |
//! |------------------------------------------|------------------------------------------------|
//! | nothing bears the name                   | the newest stays so, renamed or deleted        |
//! | the newest segment's file bears it       | nothing                                        |
//! | another file bears it                    | it is the newest; older ones keep their clients|
//! | a segment's file is shorter than it was  | it ends, and its clients; the file goes on as  |
//! |                                          | a new segment                                  |
//!
//! There is always a newest segment: before there is a file, it is one that is still to come.

use crate::cursor::{Cursor, SegmentId, Span};
use crate::error::reason;
use crate::name::WatchedName;
use crate::news::{News, Note};
use crate::roots::{self, Place, Roots};
use crate::segment::{Identity, Measured, Segment};
use crate::watch::{TailKey, Watch, WatchId};

use mio::Token;
use slab::Slab;

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A name that at least one client follows.
pub struct Tail {
    key: TailKey,
    place: Place,
    path: PathBuf,
    /// Oldest first, never empty. All but the newest have clients: one that never reads holds no
    /// more than its own.
    segments: Vec<Held>,
    /// The name in its directory, and in the directory where the file really lies if a link leads
    /// elsewhere.
    names: Vec<WatchedName>,
    /// Why there is no watch on the newest file or on a name; only polling helps.
    unwatched: Option<io::Error>,
    /// Why what bears the name now could not be opened, as said in the log.
    trouble: Option<String>,
}

struct Held {
    id: SegmentId,
    segment: Segment,
    watch: Option<WatchId>,
    /// Clients whose cursor is in this segment, and those of them who wait for it to grow.
    clients: usize,
    waiting: Slab<Token>,
}

impl Tail {
    /// Nothing is opened or watched yet: `look` does that.
    pub fn new(key: TailKey, place: Place, roots: &Roots) -> Tail {
        let path = roots.path(&place);
        let names = vec![WatchedName::new(&path)];
        let segments = vec![Held::new(0, Segment::to_come())];
        Tail {
            key,
            place,
            path,
            segments,
            names,
            unwatched: None,
            trouble: None,
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where newcomers begin.
    pub fn newest(&self) -> SegmentId {
        self.segments[self.segments.len() - 1].id
    }

    /// A segment that has clients, or the newest.
    pub fn segment(&self, id: SegmentId) -> &Segment {
        &self.segments[self.index(id)].segment
    }

    /// What is known of a segment's bytes.
    pub fn span(&self, id: SegmentId) -> Span {
        let segment = self.segment(id);
        Span {
            end: segment.end(),
            truncated: segment.is_truncated(),
            replaced: id != self.newest(),
        }
    }

    /// How many bytes a client at `cursor` could be sent now.
    pub fn bytes_behind(&self, cursor: Cursor) -> u64 {
        self.segment(cursor.segment)
            .end()
            .saturating_sub(cursor.offset)
    }

    /// Files held open.
    pub fn open_segments(&self) -> usize {
        self.segments
            .iter()
            .filter(|held| held.segment.is_open())
            .count()
    }

    /// No client is left.
    pub fn is_deserted(&self) -> bool {
        self.segments.iter().all(|held| held.clients == 0)
    }

    /// Events cannot be had for everything that matters here.
    pub fn is_polled(&self) -> bool {
        self.unwatched.is_some()
    }

    /// A client begins in the newest segment.
    pub fn enter(&mut self) -> SegmentId {
        let newest = self.newest();
        self.held(newest).clients += 1;
        newest
    }

    /// A client that does not wait goes away.
    pub fn leave(&mut self, id: SegmentId, watch: &mut Watch) {
        self.held(id).clients -= 1;
        self.let_go(watch);
    }

    /// A client at the end of a segment waits for more. What is returned is for `stop_waiting`.
    pub fn wait(&mut self, id: SegmentId, client: Token) -> usize {
        self.held(id).waiting.insert(client)
    }

    /// A client does not wait any more, although nobody woke it.
    pub fn stop_waiting(&mut self, id: SegmentId, waiting: usize) {
        self.held(id).waiting.remove(waiting);
    }

    /// Who waits where; for `check_invariants`.
    pub fn waiting_client(&self, id: SegmentId, waiting: usize) -> Option<Token> {
        self.segments[self.index(id)].waiting.get(waiting).copied()
    }

    /// Looks at what the name leads to now. First the directory is watched, then the file is
    /// opened, then that is watched, then its length is asked for: whatever happens in between
    /// leaves an event behind.
    ///
    /// Errors are those of opening a file that is there or should be; the tail is as it was then.
    pub fn look(&mut self, roots: &Roots, watch: &mut Watch, news: &mut News) -> io::Result<()> {
        self.watch_everything(watch, news);
        let found = Identity::of(&fs::metadata(&self.path)?);
        if self.segment(self.newest()).identity() == Some(found) {
            self.trouble = None;
            return Ok(());
        }
        let (file, metadata) = roots.open(&self.place)?;
        self.trouble = None;
        // It may have come back between the two.
        if self.segment(self.newest()).identity() != Some(Identity::of(&metadata)) {
            self.adopt(file, &metadata, watch, news);
        }
        Ok(())
    }

    /// The same for a name that has clients: they wait, whatever the failure.
    pub fn look_again(&mut self, roots: &Roots, watch: &mut Watch, news: &mut News) {
        if let Err(error) = self.look(roots, watch, news) {
            self.note_trouble(&error, news);
        }
    }

    /// Everything that a look can show: the tick's, and after lost events.
    pub fn look_at_all(&mut self, roots: &Roots, watch: &mut Watch, news: &mut News) {
        for index in 0..self.segments.len() {
            self.measure(index, watch, news);
        }
        self.look_again(roots, watch, news);
        self.let_go(watch);
    }

    /// The log says each new reason once. That nothing bears the name is none.
    pub fn note_trouble(&mut self, error: &io::Error, news: &mut News) {
        let is_absent = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        let why = (!is_absent).then(|| roots::open_failure(error));
        if let (Some(why), true) = (&why, self.trouble != why) {
            news.notes.push(Note::CannotOpen {
                path: self.path.clone(),
                why: why.clone(),
            });
        }
        self.trouble = why;
    }

    /// Asks for the newest segment's length.
    pub fn measure_newest(&mut self, watch: &mut Watch, news: &mut News) {
        self.measure(self.segments.len() - 1, watch, news);
        self.let_go(watch);
    }

    /// Asks for the lengths of the segments behind `id`: one, but for a file that came back.
    pub fn measure_watched(&mut self, id: WatchId, watch: &mut Watch, news: &mut News) {
        for index in 0..self.segments.len() {
            if self.segments[index].watch == Some(id) {
                self.measure(index, watch, news);
            }
        }
        self.let_go(watch);
    }

    /// Asks for one segment's length.
    pub fn measure_segment(&mut self, id: SegmentId, watch: &mut Watch, news: &mut News) {
        self.measure(self.index(id), watch, news);
        self.let_go(watch);
    }

    /// Gives all watches back. The tail is of no use any more.
    pub fn close(&mut self, watch: &mut Watch) {
        for held in &mut self.segments {
            held.close(self.key, watch);
        }
        for name in &mut self.names {
            name.unwatch(self.key, watch);
        }
    }

    fn adopt(&mut self, file: File, metadata: &Metadata, watch: &mut Watch, news: &mut News) {
        self.note_real_name(&file, watch);
        let segment = Segment::open(file, metadata);
        if self.segment(self.newest()).is_to_come() {
            let newest = self.newest();
            self.held(newest).segment = segment;
        } else {
            news.notes.push(Note::Replaced {
                path: self.path.clone(),
            });
            self.segments.push(Held::new(self.newest() + 1, segment));
            // Whoever asked for more than the old file ever had gets to know now.
            let index = self.segments.len() - 2;
            self.segments[index].wake(news);
        }
        self.watch_everything(watch, news);
        self.measure_newest(watch, news);
    }

    /// Where a link leads elsewhere, the real file rotates there, under a name of its own.
    fn note_real_name(&mut self, file: &File, watch: &mut Watch) {
        for mut old in self.names.drain(1..) {
            old.unwatch(self.key, watch);
        }
        let Ok(real) = fs::read_link(roots::descriptor_path(file)) else {
            return;
        };
        let (asked, real) = (&self.names[0], WatchedName::new(&real));
        if !real.is_same_as(asked) {
            self.names.push(real);
        }
    }

    fn measure(&mut self, index: usize, watch: &mut Watch, news: &mut News) {
        let held = &mut self.segments[index];
        match held.segment.measure() {
            Ok(Measured::Grown) => held.wake(news),
            Ok(Measured::Shrunk) => self.truncate(index, watch, news),
            // A failing fstat (EIO) shows nothing new; a read will say what is wrong.
            Ok(Measured::Same) | Err(_) => {}
        }
    }

    fn truncate(&mut self, index: usize, watch: &mut Watch, news: &mut News) {
        let is_newest = index == self.segments.len() - 1;
        let held = &mut self.segments[index];
        let (end, clients) = (held.segment.end(), held.clients);
        news.notes.push(Note::Truncated {
            path: self.path.clone(),
            end,
            clients,
        });
        let mut next = Held {
            watch: held.watch.take(),
            ..Held::new(held.id + 1, held.segment.truncate())
        };
        held.wake(news);
        if is_newest {
            // From 0 it can only have grown.
            let _ = next.segment.measure();
            self.segments.push(next);
        } else {
            next.close(self.key, watch);
        }
    }

    /// Renews every watch that is missing, and those of directories that were made anew.
    fn watch_everything(&mut self, watch: &mut Watch, news: &mut News) {
        let mut failure = None;
        for name in &mut self.names {
            failure = name.watch(self.key, watch).err().or(failure);
        }
        if let Some(newest) = self.segments.last_mut() {
            failure = newest.watch(self.key, watch).err().or(failure);
        }
        if let (None, Some(error)) = (&self.unwatched, &failure) {
            let why = reason(error);
            news.notes.push(Note::CannotWatch {
                path: self.path.clone(),
                why,
            });
        }
        self.unwatched = failure;
    }

    /// Closes what nobody can come to any more: all but the newest, once the last client has left.
    fn let_go(&mut self, watch: &mut Watch) {
        let (key, newest) = (self.key, self.newest());
        self.segments.retain_mut(|held| {
            let is_needed = held.clients > 0 || held.id == newest;
            if !is_needed {
                held.close(key, watch);
            }
            is_needed
        });
    }

    /// Ids go up.
    fn index(&self, id: SegmentId) -> usize {
        self.segments.partition_point(|held| held.id < id)
    }

    fn held(&mut self, id: SegmentId) -> &mut Held {
        let index = self.index(id);
        &mut self.segments[index]
    }
}

impl Held {
    fn new(id: SegmentId, segment: Segment) -> Held {
        Held {
            id,
            segment,
            watch: None,
            clients: 0,
            waiting: Slab::new(),
        }
    }

    fn wake(&mut self, news: &mut News) {
        news.woken.extend(self.waiting.drain());
    }

    fn watch(&mut self, tail: TailKey, watch: &mut Watch) -> io::Result<()> {
        let Some(file) = self.segment.descriptor() else {
            return Ok(());
        };
        if !self.watch.is_some_and(|id| watch.has(id)) {
            self.watch = None;
            self.watch = Some(watch.add_file(&roots::descriptor_path(file), tail)?);
        }
        Ok(())
    }

    fn close(&mut self, tail: TailKey, watch: &mut Watch) {
        self.segment.close();
        if let Some(id) = self.watch.take() {
            watch.remove_file(id, tail);
        }
    }
}
