//! Which files bore a name, and in what order. Pure: what the directory says goes in, what there is
//! to open comes out.
//!
//! | the directory says                     | what becomes of the files                        |
//! |----------------------------------------|--------------------------------------------------|
//! | a file came to the name                | it is the youngest, still to be opened           |
//! | it left the name, or another one       | it is on its way: `MOVED_TO` with the same       |
//! |                                        | cookie says where to                             |
//! | it came to another name                | it is to be opened there                         |
//! | its name was deleted or taken          | it is gone: a gap                                |
//! | it came back to the name               | it is the youngest again; or the two names were  |
//! |                                        | exchanged, which reads the same, so that the one |
//! |                                        | that was there is looked for as well             |
//! | it came back to another name           | the same doubt, but a stranger may be there now: |
//! |                                        | it counts as gone                                |
//!
//! A file that is open already need not be known here: who opens it a second time sees that.
//!
//! A name that leads to another file although nothing was said was switched elsewhere: by a link of
//! a directory, or while events were lost. That cannot be verified.

use std::ffi::{OsStr, OsString};
use std::mem;
use std::time::{Duration, Instant};

/// What an event says of one name in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was created or linked there.
    Created,
    /// A file was moved there; its `Left`, if it came from a name in the same directory, has the
    /// same cookie.
    Came { cookie: u32 },
    /// The file was moved away.
    Left { cookie: u32 },
    /// The name was removed.
    Deleted,
}

/// The files that bore one name since it was last looked at.
#[derive(Debug)]
pub struct Rotation {
    name: OsString,
    /// Not opened yet, in the order in which they last came to the name.
    files: Vec<Bearer>,
    /// Counts events: the last one that concerned a file or the name is its stamp.
    events: u64,
    name_touched: u64,
    /// By the events, nothing bears the name.
    is_vacant: bool,
    /// Something came to the name since it was last looked at.
    announced: bool,
    /// The file that bears the name was found there, and no event had said so at this time. It may
    /// only be late.
    unannounced: Option<Instant>,
}

#[derive(Debug)]
struct Bearer {
    at: At,
    /// Where it was before.
    before: Option<OsString>,
    /// It may have come back to the name, and stands there too: nothing is missed if it is not
    /// here.
    is_doubtful: bool,
    /// Events said it was there when it was not: another one must be on its way.
    missing: Option<Instant>,
    /// It was opened ahead of its turn and goes by this number: what becomes of its names does not
    /// matter any more.
    ahead: Option<u64>,
    touched: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Name(OsString),
    Between {
        cookie: u32,
        from: OsString,
        since: Instant,
    },
    Gone,
}

/// What there is to do for the oldest file, or for one that need not wait until that is decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// To open it under this name. What was opened is it if `is_untouched(stamp)` after the events
    /// were read again.
    Open { name: OsString, stamp: u64 },
    /// Nothing: it was opened before under this number, and is not among the files any more.
    Ahead(u64),
    /// Nothing: it is gone, and not among the files any more.
    Gap,
    /// To wait for what the directory says, at most until then.
    Undecided(Instant),
    /// To look at the name itself: no other file is left.
    Name,
}

/// How long the second half of a rename may take: the kernel does not queue both at once
/// (measured: 3,559 of 1.4 million reads ended between them).
const UNDECIDED: Duration = Duration::from_millis(10);

/// So many files may be open ahead of their turn.
const AHEAD_MAX: usize = 16;

/// A name that rotates faster than files can be opened: beyond this many the oldest is given up.
const FILES_MAX: usize = 1024;

impl Rotation {
    pub fn new(name: &OsStr) -> Rotation {
        Rotation {
            name: name.to_os_string(),
            files: vec![],
            events: 0,
            name_touched: 0,
            is_vacant: false,
            announced: false,
            unannounced: None,
        }
    }

    /// An event, in the order of the queue.
    pub fn note(&mut self, name: &OsStr, change: Change, now: Instant) {
        self.events += 1;
        if name == self.name {
            self.name_touched = self.events;
        }
        match change {
            Change::Created | Change::Came { .. } if self.take_late_announcement(name, now) => {}
            Change::Created => self.came(name, None),
            Change::Came { cookie } => self.came(name, Some(cookie)),
            Change::Left { cookie } => {
                let (from, since) = (name.to_os_string(), now);
                let between = At::Between {
                    cookie,
                    from,
                    since,
                };
                self.left(name, between);
            }
            Change::Deleted => self.left(name, At::Gone),
        }
        if self.files.len() > FILES_MAX {
            self.give_oldest_up();
        }
    }

    /// Events were lost: nothing that they said so far leads anywhere.
    pub fn lost(&mut self) {
        self.files.clear();
        (self.announced, self.is_vacant) = (false, false);
    }

    /// Nothing has come to the name since it was last looked at.
    pub fn is_settled(&self) -> bool {
        self.files.is_empty()
    }

    /// By the events, the file that bore the name when it was last looked at does so no more.
    pub fn has_moved(&self) -> bool {
        self.is_vacant || !self.files.is_empty()
    }

    /// A file is on its way between names: events of the whole directory matter.
    pub fn is_chasing(&self) -> bool {
        self.files
            .iter()
            .any(|file| !matches!(&file.at, At::Name(name) if *name == self.name))
    }

    /// What there is to do next.
    pub fn next(&mut self, now: Instant) -> Next {
        while let Some(file) = self.files.first() {
            if let Some(number) = file.ahead {
                self.files.remove(0);
                return Next::Ahead(number);
            }
            let undecided = match (&file.at, file.missing) {
                (At::Gone, _) => None,
                (At::Between { since, .. }, _) => Some(*since + UNDECIDED),
                (At::Name(_), Some(since)) => Some(since + UNDECIDED),
                (At::Name(name), None) if *name == self.name => return Next::Name,
                (At::Name(name), None) => {
                    return Next::Open {
                        name: name.clone(),
                        stamp: file.touched,
                    };
                }
            };
            if let Some(until) = undecided.filter(|until| now < *until) {
                return self.next_ahead().unwrap_or(Next::Undecided(until));
            }
            if !self.files.remove(0).is_doubtful {
                return Next::Gap;
            }
        }
        Next::Name
    }

    /// A file behind an undecided one: it may be gone when that is decided.
    fn next_ahead(&self) -> Option<Next> {
        let are_ahead = self.files.iter().filter(|file| file.ahead.is_some());
        if are_ahead.count() >= AHEAD_MAX {
            return None;
        }
        self.files.iter().skip(1).find_map(|file| match &file.at {
            At::Name(name) if file.is_to_be_opened() => Some(Next::Open {
                name: name.clone(),
                stamp: file.touched,
            }),
            _ => None,
        })
    }

    /// Its turn has come.
    pub fn is_oldest(&self, stamp: u64) -> bool {
        self.files.first().is_some_and(|file| file.is(stamp))
    }

    /// That file is open, ahead of its turn, and goes by this number.
    pub fn opened_ahead(&mut self, stamp: u64) -> u64 {
        self.events += 1;
        if let Some(file) = self.files.iter_mut().find(|file| file.is(stamp)) {
            file.ahead = Some(self.events);
        }
        self.events
    }

    /// Nothing has happened to that file, or to the name it was under, since it was handed out.
    pub fn is_untouched(&self, stamp: u64) -> bool {
        self.files.iter().any(|file| file.is(stamp))
    }

    /// That file is open now, or is none that could be.
    pub fn opened(&mut self, stamp: u64) {
        self.files.retain(|file| !file.is(stamp));
    }

    /// That file was not where it should be: an event that says where it went must be on its way.
    pub fn not_there(&mut self, stamp: u64, now: Instant) {
        self.files
            .retain(|file| !(file.is(stamp) && file.is_doubtful));
        if let Some(file) = self.files.iter_mut().find(|file| file.is(stamp)) {
            file.missing.get_or_insert(now);
        }
    }

    /// Nothing bears the name. Some file should? Then until when to wait for an event about it.
    pub fn await_file(&mut self, now: Instant) -> Option<Instant> {
        let file = self.files.first_mut()?;
        Some(*file.missing.get_or_insert(now) + UNDECIDED)
    }

    /// Stands for what is known of the name: it is higher after every event about it.
    pub fn name_stamp(&self) -> u64 {
        self.name_touched
    }

    /// What bears the name is no regular file: nothing is missed when it goes.
    ///
    /// If it is a link, where that has led before is not known: what comes next is not announced.
    pub fn forget_files(&mut self) {
        self.lost();
    }

    /// The file that bears the name is open. True: some event had said that one came.
    pub fn settle(&mut self) -> bool {
        self.files.clear();
        self.is_vacant = false;
        mem::take(&mut self.announced)
    }

    /// After `settle`: a file was switched for another, and no event had said so.
    pub fn expect_announcement(&mut self, now: Instant) {
        self.unannounced = Some(now);
    }

    /// The time to ask `take_unverified`; `None`: nothing is in doubt.
    pub fn verified_at(&self) -> Option<Instant> {
        self.unannounced.map(|since| since + UNDECIDED)
    }

    /// The event that would have explained the last switch has not come. Said once.
    pub fn take_unverified(&mut self, now: Instant) -> bool {
        let is_over = self.verified_at().is_some_and(|until| now >= until);
        if is_over {
            self.unannounced = None;
        }
        is_over
    }

    /// The event for a file that was found before its event was read.
    fn take_late_announcement(&mut self, name: &OsStr, now: Instant) -> bool {
        let is_expected = self.verified_at().is_some_and(|until| now < until);
        let is_announcement = name == self.name && is_expected;
        if is_announcement {
            self.unannounced = None;
            self.is_vacant = false;
        }
        is_announcement
    }

    fn came(&mut self, name: &OsStr, cookie: Option<u32>) {
        if cookie.is_none() {
            // The name was free: nothing was exchanged.
            let is_there = |file: &Bearer| file.is_doubtful && file.is_at(name);
            self.files.retain(|file| !is_there(file));
        }
        // Whoever was there is overwritten.
        self.move_file(name, At::Gone);
        let is_ours = name == self.name;
        self.announced |= is_ours;
        let is_it = |file: &&mut Bearer| matches!(&file.at, At::Between { cookie: left, .. } if cookie == Some(*left));
        if let Some(file) = self.files.iter_mut().find(is_it) {
            file.come_to(name, is_ours);
            file.touched = self.events;
        }
        if is_ours {
            self.is_vacant = false;
            self.push();
        }
    }

    fn left(&mut self, name: &OsStr, to: At) {
        if name == self.name && mem::replace(&mut self.is_vacant, true) {
            // An exchange, in which another file came to the name: it is that one which goes now.
            self.push();
        }
        self.move_file(name, to);
    }

    /// A file that bears the name. Its stamp is its own: the event may have made two of one.
    fn push(&mut self) {
        self.events += 1;
        self.files.push(Bearer {
            at: At::Name(self.name.clone()),
            before: None,
            is_doubtful: false,
            missing: None,
            ahead: None,
            touched: self.events,
        });
    }

    /// The two oldest become one gap.
    fn give_oldest_up(&mut self) {
        self.files.remove(0);
        let oldest = &mut self.files[0];
        (oldest.at, oldest.is_doubtful) = (At::Gone, false);
    }

    fn move_file(&mut self, name: &OsStr, to: At) {
        if let Some(file) = self.files.iter_mut().find(|file| file.is_at(name)) {
            (file.at, file.missing, file.touched) = (to, None, self.events);
            file.is_doubtful = false;
        }
    }
}

impl Bearer {
    /// The second half of a rename. To come back where it was may be half of an exchange.
    fn come_to(&mut self, name: &OsStr, is_ours: bool) {
        let At::Between { from, .. } = mem::replace(&mut self.at, At::Gone) else {
            return;
        };
        let is_back = self.before.as_deref() == Some(name);
        self.is_doubtful = is_ours;
        self.at = match (is_ours, is_back) {
            (true, _) => At::Name(from.clone()),
            (false, true) => At::Gone,
            (false, false) => At::Name(name.to_os_string()),
        };
        self.before = Some(from);
    }

    fn is_to_be_opened(&self) -> bool {
        self.ahead.is_none() && self.missing.is_none() && !self.is_doubtful
    }

    fn is_at(&self, name: &OsStr) -> bool {
        matches!(&self.at, At::Name(at) if at == name)
    }

    /// Of two that one event concerns, the one that is gone was overwritten by the other.
    fn is(&self, stamp: u64) -> bool {
        self.touched == stamp && self.at != At::Gone
    }
}

#[cfg(test)]
mod tests;
