//! What a tail's name leads to: found and opened, adopted if nothing has come between, or waited
//! for.

use super::{Lent, SOON, Sighting, Tail};
use crate::chain::SEGMENTS_MAX;
use crate::name::{WatchedName, is_absence};
use crate::news::Note;
use crate::open_file::Identity;
use crate::paths;
use crate::refusal::Refusal;
use crate::roots;
use crate::rotation::Next;
use crate::segment::Segment;
use crate::watch::Watch;

use nix::errno::Errno;

use std::fs::{self, File, Metadata};
use std::io;
use std::path::PathBuf;
use std::time::Instant;

impl Tail {
    /// Opens the oldest file that bore the name and is not open, the one that bears it now at last.
    /// `None`: nothing is to be opened.
    ///
    /// First the directory is watched, then the file is opened; when it is adopted it is watched,
    /// and then its length is asked for: whatever happens in between leaves an event behind.
    ///
    /// Errors are those of opening a file that is there or should be.
    pub fn sight(&mut self, lent: &mut Lent) -> io::Result<Option<Sighting>> {
        self.undecided = None;
        self.watch_everything(lent);
        self.note_unverified(lent);
        if self.chain.len() > SEGMENTS_MAX {
            // Clients move on first; those who do not are in the way.
            self.limit(lent);
            self.look_again_at(lent.now + SOON, lent);
            return Ok(None);
        }
        if self.names.iter().all(|name| name.rotation.is_settled()) {
            self.ahead.clear();
        }
        for name in (0..self.names.len()).rev() {
            loop {
                match self.names[name].rotation.next(lent.now) {
                    Next::Name => break,
                    Next::Gap => self.place_gap(lent),
                    Next::Ahead(number) => self.adopt_ahead((name, number), lent),
                    Next::Undecided(until) => {
                        self.look_again_at(until, lent);
                        return Ok(None);
                    }
                    Next::Open { name: at, stamp } => {
                        let directory = self.names[name].directory();
                        match lent.roots.open_beside(&self.place, directory, &at) {
                            Ok((file, metadata)) => {
                                return Ok(Some(Sighting::Departed {
                                    file,
                                    metadata,
                                    name,
                                    stamp,
                                }));
                            }
                            Err(error) => self.not_beside(name, stamp, error, lent)?,
                        }
                    }
                }
            }
        }
        Ok(self.sight_name(lent))
    }

    /// Believes what was found, unless events have come for it meanwhile: `sight` it again. False:
    /// there is no use in doing that now.
    pub fn adopt(&mut self, sighting: Sighting, lent: &mut Lent) -> io::Result<bool> {
        match sighting {
            Sighting::Named { stamp, .. }
            | Sighting::Kept { stamp }
            | Sighting::Nothing { stamp, .. }
                if stamp != self.name_stamp() =>
            {
                Ok(true)
            }
            Sighting::Departed { name, stamp, .. }
                if !self.names[name].rotation.is_untouched(stamp) =>
            {
                Ok(true)
            }
            Sighting::Kept { .. } => {
                self.keep_name();
                Ok(false)
            }
            Sighting::Nothing {
                error, has_left, ..
            } => {
                self.find_nothing(has_left, lent);
                Err(error)
            }
            Sighting::Departed {
                file,
                metadata,
                name,
                stamp,
            } => Ok(self.adopt_departed(file, &metadata, name, stamp, lent)),
            Sighting::Named {
                file,
                metadata,
                real,
                ..
            } => Ok(self.adopt_named(file, &metadata, real, lent)),
        }
    }

    fn adopt_departed(
        &mut self,
        file: File,
        metadata: &Metadata,
        name: usize,
        stamp: u64,
        lent: &mut Lent,
    ) -> bool {
        let rotation = &mut self.names[name].rotation;
        if !rotation.is_oldest(stamp) {
            let number = rotation.opened_ahead(stamp);
            self.ahead.push(((name, number), file, metadata.clone()));
            return true;
        }
        if !self.append_departed(file, metadata, lent) {
            return false;
        }
        self.names[name].rotation.opened(stamp);
        true
    }

    /// The turn of a file has come that was opened before.
    fn adopt_ahead(&mut self, key: (usize, u64), lent: &mut Lent) {
        let place = self.ahead.iter().position(|(known, ..)| *known == key);
        let ahead = place.map(|place| self.ahead.swap_remove(place));
        let is_appended =
            ahead.is_some_and(|(_, file, metadata)| self.append_departed(file, &metadata, lent));
        if !is_appended {
            self.place_gap(lent);
        }
    }

    fn append_departed(&mut self, file: File, metadata: &Metadata, lent: &mut Lent) -> bool {
        if self.is_newest(metadata) {
            return true;
        }
        let Some(seen) = self.recall(Identity::of(metadata), lent) else {
            return false;
        };
        self.append(Segment::open(file, metadata, seen), lent);
        self.chain.newest_mut().rotate(lent.now);
        true
    }

    fn adopt_named(
        &mut self,
        file: File,
        metadata: &Metadata,
        real: Option<PathBuf>,
        lent: &mut Lent,
    ) -> bool {
        if self.is_newest(metadata) {
            self.keep_name();
            return true;
        }
        let Some(seen) = self.recall(Identity::of(metadata), lent) else {
            return false;
        };
        self.trouble = None;
        self.note_real_name(real, lent.watch);
        self.settle(lent);
        self.append(Segment::open(file, metadata, seen), lent);
        true
    }

    /// Watched first, and then measured.
    fn append(&mut self, segment: Segment, lent: &mut Lent) {
        self.is_judgement_due = true;
        self.push(segment.end(), segment, lent);
        self.watch_everything(lent);
        self.measure_newest(lent);
    }

    fn sight_name(&mut self, lent: &mut Lent) -> Option<Sighting> {
        let stamp = self.name_stamp();
        let opened = match fs::metadata(&self.path) {
            Ok(found) if self.is_newest(&found) => return self.sight_kept(stamp),
            Ok(_) => lent.roots.open(&self.place).map_err(|error| (error, true)),
            Err(error) => {
                // A link to itself is no file either.
                let is_loop = error.raw_os_error() == Some(Errno::ELOOP as i32);
                let has_left = is_loop || is_absence(&error);
                Err((error, has_left))
            }
        };
        match opened {
            // It may have come back between the two.
            Ok((_, metadata)) if self.is_newest(&metadata) => self.sight_kept(stamp),
            Ok((file, metadata)) => Some(Sighting::Named {
                real: self.real_path(),
                file,
                metadata,
                stamp,
            }),
            Err((error, has_left)) => Some(Sighting::Nothing {
                error,
                has_left,
                stamp,
            }),
        }
    }

    /// As nearly always: then nothing can have come between.
    fn sight_kept(&mut self, stamp: u64) -> Option<Sighting> {
        if self.names.iter().all(|name| name.rotation.is_settled()) {
            self.keep_name();
            return None;
        }
        Some(Sighting::Kept { stamp })
    }

    fn is_newest(&self, metadata: &Metadata) -> bool {
        self.chain.newest().segment.identity() == Some(Identity::of(metadata))
    }

    fn keep_name(&mut self) {
        self.trouble = None;
        // A file that was taken for a departed one has never lost the name.
        self.chain.newest_mut().rotated = None;
        for name in &mut self.names {
            name.rotation.settle();
        }
    }

    fn find_nothing(&mut self, has_left: bool, lent: &mut Lent) {
        if has_left {
            self.is_judgement_due = true;
            self.measure_before_rotation(lent);
            self.chain.newest_mut().rotate(lent.now);
        }
        let mut until = None;
        for name in &mut self.names {
            match fs::symlink_metadata(name.path()) {
                // A directory, a FIFO, a link to nowhere or to what is not served: nothing is
                // missed when it goes.
                Ok(found) if !found.is_file() => name.rotation.forget_files(),
                // Although events said that something is there: others must be on their way.
                Err(error) if is_absence(&error) => {
                    until = until.max(name.rotation.await_file(lent.now));
                }
                _ => {}
            }
        }
        if let Some(until) = until {
            self.look_again_at(until, lent);
        }
    }

    /// Until then it is not known which file is the newest.
    fn look_again_at(&mut self, until: Instant, lent: &mut Lent) {
        self.undecided = Some(until);
        lent.news.soon.push((self.key, until));
    }

    /// The file that bears the name is about to be the newest.
    fn settle(&mut self, lent: &mut Lent) {
        let mut is_announced = false;
        for name in &mut self.names {
            is_announced |= name.rotation.settle();
        }
        let is_first = self.chain.newest().id == 0 && self.chain.newest().segment.is_to_come();
        if let (false, false, Some(name)) = (is_announced, is_first, self.names.last_mut()) {
            name.rotation.expect_announcement(lent.now);
            let again = name.rotation.verified_at();
            lent.news.soon.extend(again.map(|at| (self.key, at)));
        }
    }

    fn note_unverified(&mut self, lent: &mut Lent) {
        for name in &mut self.names {
            if name.rotation.take_unverified(lent.now) {
                let path = self.path.clone();
                lent.news.notes.push(Note::Unverified { path });
            }
        }
    }

    fn not_beside(
        &mut self,
        name: usize,
        stamp: u64,
        error: io::Error,
        lent: &mut Lent,
    ) -> io::Result<()> {
        let rotation = &mut self.names[name].rotation;
        if error.kind() == io::ErrorKind::Other {
            // A link, a FIFO or the like bore the name: nothing is missed.
            rotation.opened(stamp);
        } else if is_absence(&error) || !rotation.is_oldest(stamp) {
            rotation.not_there(stamp, lent.now);
        } else if roots::refusal(&error) == Refusal::TryAgain {
            return Err(error);
        } else {
            rotation.opened(stamp);
            self.note_trouble(&error, lent.news);
            self.place_gap(lent);
        }
        Ok(())
    }

    fn name_stamp(&self) -> u64 {
        let names = self.names.iter();
        names.map(|name| name.rotation.name_stamp()).sum()
    }

    /// Where a link leads: the real file rotates there, under a name of its own. That is asked of
    /// the links and not of the open file, which may have been renamed by now.
    fn real_path(&self) -> Option<PathBuf> {
        let path = paths::follow_links(&self.path);
        if path == self.path {
            return None;
        }
        let directory = fs::canonicalize(paths::parent(&path)).ok()?;
        Some(directory.join(path.file_name()?))
    }

    fn note_real_name(&mut self, real: Option<PathBuf>, watch: &mut Watch) {
        let real = real.map(|real| WatchedName::new(&real));
        let real = real.filter(|real| !real.is_same_as(&self.names[0]));
        let known = self.names.get(1);
        match (known, &real) {
            (None, None) => return,
            (Some(known), Some(real)) if known.is_same_as(real) => return,
            _ => {}
        }
        for mut old in self.names.drain(1..) {
            old.unwatch(self.key, watch);
        }
        self.names.extend(real);
    }
}
