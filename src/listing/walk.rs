//! One walk over what is served, in slices, and the list that it makes.
//!
//! | found                                          | in the list                              |
//! |------------------------------------------------|------------------------------------------|
//! | a regular file                                 | if this process may read it              |
//! | a link to one                                  | if it could be opened, with what is said |
//! |                                                | of the file                              |
//! | a directory                                    | what is below                            |
//! | a link to a directory, a FIFO, a socket        | no                                       |
//! | a name that begins with a dot, and all below   | no                                       |
//! | a name too long for any header                 | no                                       |
//!
//! What it takes of memory is limited by `WALK_BYTES_MAX`, and then once more for the lines. It has
//! one directory open at a time.

use super::line::{NAME_BYTES_MAX, write_line, written_bytes};
use crate::paths::may_read;
use crate::refusal::Refusal;
use crate::roots::{self, Found, Place, Roots};

use std::collections::BTreeMap;
use std::fs::{DirEntry, Metadata, ReadDir};
use std::io;
use std::mem;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many names a list may have. A line takes a hundred bytes or so.
pub const NAMES_MAX: usize = 10_000;

/// What a walk does before others get their turn: an entry that is in memory takes 3 us, and a step
/// 0.3 ms, or 0.7 where more of the directory is read (measured on ext4 and tmpfs). One that is not
/// takes as long as the disk: then a step is that one.
const STEP_ENTRIES_MAX: usize = 128;
const STEP_TIME_MAX: Duration = Duration::from_micros(400);

/// The names found, as they will be written, and those of the directories still to be gone through.
/// Ten thousand names of average length take a tenth of it.
const WALK_BYTES_MAX: usize = 32 << 20;

/// What each of them takes beside its name.
const NODE_BYTES: usize = 64;

/// A walk under way, or still to begin.
pub struct Walk {
    /// Where it begins; `None`: at all PATHs.
    top: Option<Place>,
    /// What it has yet to go to.
    ahead: Vec<Ahead>,
    directory: Option<Directory>,
    /// By name, decoded, which is the order of the list.
    found: BTreeMap<Vec<u8>, Facts>,
    /// What `found` and `ahead` take.
    held_bytes: usize,
    /// The lines, made when all is found.
    text: Vec<u8>,
}

struct Ahead {
    place: Place,
    /// Its last component may be a link: it is where the walk begins.
    is_top: bool,
}

struct Directory {
    place: Place,
    /// Where it was when it was opened.
    path: PathBuf,
    entries: ReadDir,
}

/// What is said of a file.
struct Facts {
    bytes: u64,
    /// Seconds since 1970.
    changed: i64,
}

impl Walk {
    /// Nothing is opened yet.
    pub fn new(top: Option<Place>, roots: &Roots) -> Walk {
        let tops = match &top {
            Some(place) => vec![place.clone()],
            None => roots.tops().collect(),
        };
        let ahead = |place| Ahead {
            place,
            is_top: true,
        };
        Walk {
            top,
            ahead: tops.into_iter().map(ahead).collect(),
            directory: None,
            found: BTreeMap::new(),
            held_bytes: 0,
            text: vec![],
        }
    }

    /// Where it begins.
    pub fn top(&self) -> &Option<Place> {
        &self.top
    }

    /// The same when it is over.
    pub fn into_top(self) -> Option<Place> {
        self.top
    }

    /// One slice. Not `None`: it is over, and this is the list, or why there is none.
    pub fn step(&mut self, roots: &Roots) -> Option<Result<Vec<u8>, Refusal>> {
        let began = Instant::now();
        for _ in 0..STEP_ENTRIES_MAX {
            match self.advance(roots) {
                Ok(true) => {}
                Ok(false) => return Some(Ok(mem::take(&mut self.text))),
                Err(refusal) => return Some(Err(refusal)),
            }
            if began.elapsed() >= STEP_TIME_MAX {
                break;
            }
        }
        None
    }

    /// One entry of a directory, or one directory, or one line. False: there is no more.
    pub(super) fn advance(&mut self, roots: &Roots) -> Result<bool, Refusal> {
        if let Some(directory) = &mut self.directory {
            match directory.entries.next() {
                Some(Ok(entry)) => self.consider(&entry, roots)?,
                Some(Err(error)) => {
                    pass_over(&error)?;
                    self.directory = None;
                }
                None => self.directory = None,
            }
        } else if let Some(ahead) = self.ahead.pop() {
            self.visit(ahead, roots)?;
        } else if let Some((name, facts)) = self.found.pop_first() {
            write_line(&mut self.text, &name, facts.bytes, facts.changed);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn visit(&mut self, Ahead { place, is_top }: Ahead, roots: &Roots) -> Result<(), Refusal> {
        self.held_bytes = self.held_bytes.saturating_sub(place_bytes(&place));
        match roots.find(&place, is_top) {
            Ok(Found::Directory(entries)) => {
                let path = roots.path(&place);
                self.directory = Some(Directory {
                    place,
                    path,
                    entries,
                });
                Ok(())
            }
            Ok(Found::File(metadata)) => self.note(&place, &metadata, roots),
            Err(error) if is_top && self.top.is_some() => Err(roots::refusal(&error)),
            Err(error) => pass_over(&error),
        }
    }

    fn consider(&mut self, entry: &DirEntry, roots: &Roots) -> Result<(), Refusal> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            return Ok(());
        }
        let place = directory.place.child(&name);
        let path = directory.path.join(&name);
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return pass_over(&error),
        };
        let metadata = match kind {
            kind if kind.is_dir() => return self.go_later(place, roots),
            kind if kind.is_symlink() => roots.find_linked_file(&place),
            kind if kind.is_file() => entry.metadata(),
            _ => return Ok(()),
        };
        match metadata {
            // It may be something else by now; and a link was asked about where it leads.
            Ok(metadata) if !metadata.is_file() => Ok(()),
            Ok(_) if kind.is_file() && !may_read(&path) => Ok(()),
            Ok(metadata) => self.note(&place, &metadata, roots),
            Err(error) => pass_over(&error),
        }
    }

    /// A directory, which is gone through when this one is done.
    fn go_later(&mut self, place: Place, roots: &Roots) -> Result<(), Refusal> {
        let name = roots.asked_as(&place).unwrap_or_default();
        if written_bytes(name.as_bytes()) >= NAME_BYTES_MAX {
            return Ok(());
        }
        self.hold(place_bytes(&place))?;
        self.ahead.push(Ahead {
            place,
            is_top: false,
        });
        Ok(())
    }

    /// A file that could be asked for.
    fn note(&mut self, place: &Place, metadata: &Metadata, roots: &Roots) -> Result<(), Refusal> {
        let Some(name) = roots.asked_as(place) else {
            return Ok(());
        };
        let written_bytes = written_bytes(name.as_bytes());
        if written_bytes > NAME_BYTES_MAX {
            return Ok(());
        }
        self.hold(written_bytes + NODE_BYTES)?;
        let facts = Facts {
            bytes: metadata.len(),
            changed: metadata.mtime(),
        };
        self.found.insert(name.into_vec(), facts);
        match self.found.len() > NAMES_MAX {
            true => Err(Refusal::MoreFiles),
            false => Ok(()),
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.held_bytes += bytes;
        match self.held_bytes > WALK_BYTES_MAX {
            true => Err(Refusal::MoreFiles),
            false => Ok(()),
        }
    }
}

fn place_bytes(place: &Place) -> usize {
    place.below_bytes() + NODE_BYTES
}

/// What has gone meanwhile, or is closed to this process, is left out; what fails for another
/// reason would make the list wrong.
fn pass_over(error: &io::Error) -> Result<(), Refusal> {
    match roots::refusal(error) {
        Refusal::TryAgain => Err(Refusal::TryAgain),
        _ => Ok(()),
    }
}
