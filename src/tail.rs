//! One followed name: from what the directory says and what the name leads to, to the chain of its
//! files.
//!
//! | a look shows                            | what becomes of the chain                        |
//! |-----------------------------------------|--------------------------------------------------|
//! | a file bore the name since the last one | it is opened where it is now, and is the newest; |
//! |                                         | deleted, it is a gap                             |
//! | another file bears the name             | it is the newest                                 |
//! | one that bore it before does            | the same; it goes on where it ended then         |
//! | nothing bears the name                  | the newest stays so                              |
//! | a file is shorter, or its marker other  | its segment ends; if it is the newest and bears  |
//! |                                         | the name, it goes on from 0 in another           |
//! | nothing more can come to an older one   | it is finished: its clients go on to the next    |

mod files;

mod sight;

use crate::chain::{Chain, Hinted};
use crate::cursor::{Cursor, SegmentId, Span};
use crate::name::{WatchedName, is_absence};
use crate::news::{News, Note};
use crate::open_file::Identity;
use crate::roots::{self, Place, Roots};
use crate::segment::Segment;
use crate::watch::{FileEvent, Moved, TailKey, Watch, WatchId};

use mio::Token;

use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A name that at least one client follows.
pub struct Tail {
    key: TailKey,
    place: Place,
    path: PathBuf,
    chain: Chain,
    /// The name in its directory, and in the directory where the file really lies if a link leads
    /// elsewhere.
    names: Vec<WatchedName>,
    /// Files that were opened ahead of their turn, by name and by rotation's number.
    ahead: Vec<((usize, u64), File, Metadata)>,
    /// Why there is no watch on a file or on a name; only polling helps.
    unwatched: Option<io::Error>,
    /// Why what bears the name now could not be opened, as said in the log.
    trouble: Option<String>,
    /// An event concerned the name, or a file's own names.
    is_name_hinted: bool,
    /// The name may have gone to another file, or something happened to one that had lost it.
    is_judgement_due: bool,
    /// There are too many segments, and the oldest of them is this one since then.
    crowded: Option<(SegmentId, Instant)>,
    /// The last look could not tell which file is the newest; it can at this time.
    undecided: Option<Instant>,
}

/// In a later turn: others are served first.
const SOON: Duration = Duration::from_millis(1);

/// What a tail needs for a look, and where it tells what it has seen.
pub struct Lent<'a> {
    pub roots: &'a Roots,
    pub watch: &'a mut Watch,
    pub news: &'a mut News,
    /// The time at the beginning of the turn.
    pub now: Instant,
    /// The last time that the disk brought something to somebody.
    pub came: Option<Instant>,
    /// `--drain-grace`.
    pub drain_grace: Duration,
}

/// What a look at the names has found. It holds if no event has come for them meanwhile.
pub enum Sighting {
    /// The file that the name leads to, while this was the names' stamp.
    Named {
        file: File,
        metadata: Metadata,
        /// Its own path, if a link has led there.
        real: Option<PathBuf>,
        stamp: u64,
    },
    /// One that has lost the name, under another, by the directory's word.
    Departed {
        file: File,
        metadata: Metadata,
        name: usize,
        stamp: u64,
    },
    /// The newest segment's file bears the name.
    Kept { stamp: u64 },
    /// No file could be opened; `has_left`: the newest segment's does not bear the name.
    Nothing {
        error: io::Error,
        has_left: bool,
        stamp: u64,
    },
}

impl Tail {
    /// Nothing is opened or watched yet: `sight` does that.
    pub fn new(key: TailKey, place: Place, roots: &Roots) -> Tail {
        let path = roots.path(&place);
        let names = vec![WatchedName::new(&path)];
        Tail {
            key,
            place,
            path,
            chain: Chain::new(),
            names,
            ahead: vec![],
            unwatched: None,
            trouble: None,
            is_name_hinted: false,
            is_judgement_due: false,
            crowded: None,
            undecided: None,
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its segments, and who is in them.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A segment that a client is in.
    pub fn segment(&self, id: SegmentId) -> &Segment {
        &self.chain.get(id).segment
    }

    /// The number that the file of a segment has in places. `None` without a file.
    pub fn file_number(&self, id: SegmentId) -> Option<u64> {
        self.segment(id)
            .identity()
            .map(|identity| identity.file_number())
    }

    /// Asks for a range of a segment to be read into memory.
    pub fn ask_for(&mut self, id: SegmentId, range: Range<u64>, now: Instant) {
        self.chain.get_mut(id).segment.ask_for(range, now);
    }

    /// What is known of a segment's bytes, and of what follows.
    pub fn span(&self, id: SegmentId) -> Span {
        self.chain.span(id)
    }

    /// Whether a segment was found to be what it was, then or later.
    pub fn is_checked(&self, id: SegmentId, since: Instant) -> bool {
        self.chain.get(id).checked.is_some_and(|at| at >= since)
    }

    /// Whether that was tried.
    pub fn was_tried(&self, id: SegmentId, since: Instant) -> bool {
        self.chain.get(id).tried.is_some_and(|at| at >= since)
    }

    /// How long to leave a segment alone that could not be looked at.
    pub fn pause(&self, id: SegmentId, now: Instant) -> Duration {
        let held = self.chain.get(id);
        match held.wait {
            Some(wait) if held.failures == 0 => wait.pause(now),
            _ => files::FAILURE_PAUSE,
        }
    }

    /// How many bytes there are for a client at `cursor`.
    pub fn bytes_behind(&self, cursor: Cursor) -> u64 {
        self.chain.bytes_behind(cursor.segment, cursor.offset)
    }

    /// Events cannot be had for everything that matters here.
    pub fn is_polled(&self) -> bool {
        self.unwatched.is_some()
    }

    /// Until when it is not known which file newcomers begin in. The first of all does not wait.
    pub fn undecided(&self) -> Option<Instant> {
        self.undecided.filter(|_| !self.chain.is_deserted())
    }

    /// The last look has left something open.
    pub fn is_undecided(&self) -> bool {
        self.undecided.is_some()
    }

    /// A client begins in the newest segment.
    pub fn enter(&mut self) -> SegmentId {
        self.chain.enter()
    }

    /// A client begins in the segment of a file; `None`: there is none of that number.
    pub fn enter_file(&mut self, file_number: u64) -> Option<SegmentId> {
        let is_it = |identity: Identity| identity.file_number() == file_number;
        self.chain.enter_file(is_it)
    }

    /// A client that does not wait has moved from a segment to a later one.
    pub fn moved(&mut self, from: SegmentId, to: SegmentId, now: Instant, watch: &mut Watch) {
        self.chain.moved(from, to);
        self.chain.let_go(now, self.key, watch);
    }

    /// A client that does not wait goes away.
    pub fn leave(&mut self, id: SegmentId, now: Instant, watch: &mut Watch) {
        self.chain.leave(id);
        self.chain.let_go(now, self.key, watch);
    }

    /// A client at the end of a segment waits for more. What is returned is for `stop_waiting`.
    pub fn wait(&mut self, id: SegmentId, client: Token) -> usize {
        self.chain.get_mut(id).wait(client)
    }

    /// A client does not wait any more, although nobody woke it.
    pub fn stop_waiting(&mut self, id: SegmentId, waiting: usize) {
        self.chain.get_mut(id).stop_waiting(waiting);
    }

    // Events mark.

    /// An event on a file. True: to be followed up.
    pub fn note_file(&mut self, id: WatchId, event: FileEvent) -> bool {
        let hinted = Hinted {
            modified: event != FileEvent::Closed,
            closed: event == FileEvent::Closed,
        };
        self.is_name_hinted |= event == FileEvent::Changed;
        // Also between finding the next file and adopting it, when the hint is taken already.
        let has_moved = self.names.iter().any(|name| name.rotation.has_moved());
        let has_left_name = self.is_name_hinted || has_moved;
        let (is_concerned, is_rotated) = self.chain.note(id, hinted, has_left_name);
        self.is_judgement_due |= is_rotated;
        is_concerned
    }

    /// An event in a directory. True: all its events matter for now.
    pub fn note_name(&mut self, id: WatchId, moved: Option<Moved>, now: Instant) -> bool {
        self.is_name_hinted = true;
        let Some(Moved { name, change }) = moved else {
            return false;
        };
        let mut is_chasing = false;
        for asked in &mut self.names {
            is_chasing |= asked.note(id, name, change, now);
        }
        is_chasing
    }

    /// Events were lost.
    pub fn note_lost(&mut self) {
        self.names.iter_mut().for_each(|name| name.rotation.lost());
    }

    /// The name has changed faster than it could be looked at: it is for the next turn.
    pub fn postpone(&mut self, now: Instant) {
        self.is_name_hinted = true;
        self.undecided = Some(now + SOON);
    }

    // One pass looks.

    /// Looks at the files that events hint at. True: they hint at the name, which comes first, for
    /// what happens to a file that has lost its name has another meaning. `sight` it, and then
    /// `measure_hinted`.
    pub fn follow_hints(&mut self, lent: &mut Lent) -> bool {
        if mem::take(&mut self.is_name_hinted) {
            self.is_judgement_due = true;
            // Before the name is known to have gone: a file that was truncated first goes on.
            self.measure_newest(lent);
            return true;
        }
        self.measure_hinted(lent);
        false
    }

    /// The log says each new reason once. That nothing bears the name is none.
    pub fn note_trouble(&mut self, error: &io::Error, news: &mut News) {
        let why = (!is_absence(error)).then(|| roots::open_failure(error));
        if let (Some(why), true) = (&why, self.trouble != why) {
            news.notes.push(Note::CannotOpen {
                path: self.path.clone(),
                why: why.clone(),
            });
        }
        self.trouble = why;
    }

    /// Gives all watches back. The tail is of no use any more.
    pub fn close(&mut self, watch: &mut Watch) {
        self.chain.close(self.key, watch);
        for name in &mut self.names {
            name.unwatch(self.key, watch);
        }
    }
}
