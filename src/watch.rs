//! inotify: one watch an inode, counted; events turned into hints for those who asked.
//!
//! | asked for           | mask                                       | a hint for                |
//! |---------------------|--------------------------------------------|---------------------------|
//! | a file              | MODIFY, CLOSE_WRITE, ATTRIB, MOVE_SELF     | all who asked for it      |
//! | a name in directory | CREATE, MOVED_FROM, MOVED_TO, DELETE,      | all who asked for that    |
//! |                     | ATTRIB, DELETE_SELF, MOVE_SELF             | name, and those who are   |
//! |                     |                                            | chasing a file in it      |
//!
//! A hint says where to look: events merge, overflow, and cannot tell a truncation (facts in
//! inotify(7)). Only where files have gone between two looks, nothing else can say.

use crate::rotation::Change;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Names a watch, by the kernel's number.
pub type WatchId = i32;

/// Who asked for a watch.
pub type TailKey = usize;

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub enum Hint<'a> {
    /// At the file behind this watch.
    File(TailKey, WatchId, FileEvent),
    /// At what the name leads to.
    Name(TailKey, WatchId, Option<Moved<'a>>),
    /// At everything: events were lost.
    All,
}

/// What has happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEvent {
    Modified,
    /// Somebody who had it open for writing closed it.
    Closed,
    /// It was moved, or a name or its permissions are others.
    Changed,
}

/// What has happened to a name in a directory, which need not be the one that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Moved<'a> {
    pub name: &'a OsStr,
    pub change: Change,
}

/// The process's only inotify instance.
pub struct Watch {
    /// The error where none is to be had (EMFILE: the user's limit of instances): then there are no
    /// watches.
    inotify: Result<Inotify, Errno>,
    watched: HashMap<WatchId, Watched>,
    buffer: Box<[u8]>,
}

/// One inode. Gone when nobody asks any more.
struct Watched {
    descriptor: WatchDescriptor,
    /// Who asked for a file; empty for a directory.
    file: Vec<TailKey>,
    /// Who asked for a name in a directory; empty for a file.
    names: HashMap<OsString, Vec<TailKey>>,
    /// Who wants to know of every name for now.
    chasers: Vec<TailKey>,
}

/// `sizeof(struct inotify_event) + NAME_MAX + 1` (inotify(7)): a read that leaves this much room
/// has drained the queue.
const EVENT_BYTES_MAX: usize = 272;

const BUFFER_BYTES: usize = 64 * EVENT_BYTES_MAX;

impl Watch {
    pub fn new() -> Watch {
        let inotify =
            Inotify::init().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        Watch {
            inotify,
            watched: HashMap::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// Asks for an edge for each event.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let Ok(inotify) = &self.inotify else {
            return Ok(());
        };
        registry.register(
            &mut SourceFd(&inotify.as_raw_fd()),
            token,
            Interest::READABLE,
        )
    }

    /// How many inodes are watched.
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether the kernel still has the watch: it drops one by itself when a file system is
    /// unmounted.
    pub fn has(&self, id: WatchId) -> bool {
        self.watched.contains_key(&id)
    }

    /// Watches the file at `path`. ENOSPC, ENOMEM, EACCES: there is no watch to be had.
    pub fn add_file(&mut self, path: &Path, tail: TailKey) -> io::Result<WatchId> {
        let mask =
            WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB | WatchMask::MOVE_SELF;
        let watched = self.add(path, mask)?;
        watched.file.push(tail);
        Ok(watched.descriptor.get_watch_descriptor_id())
    }

    /// Watches `name` in `directory`. Errors as for a file.
    pub fn add_name(
        &mut self,
        directory: &Path,
        name: &OsStr,
        tail: TailKey,
    ) -> io::Result<WatchId> {
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let watched = self.add(directory, mask)?;
        watched
            .names
            .entry(name.to_os_string())
            .or_default()
            .push(tail);
        Ok(watched.descriptor.get_watch_descriptor_id())
    }

    /// Takes back one `add_file` of `tail`.
    pub fn remove_file(&mut self, id: WatchId, tail: TailKey) {
        let Some(watched) = self.watched.get_mut(&id) else {
            return;
        };
        remove_one(&mut watched.file, tail);
        self.forget_if_unasked(id);
    }

    /// Takes back one `add_name` of `tail`.
    pub fn remove_name(&mut self, id: WatchId, name: &OsStr, tail: TailKey) {
        let Some(watched) = self.watched.get_mut(&id) else {
            return;
        };
        if let Some(tails) = watched.names.get_mut(name) {
            remove_one(tails, tail);
            if tails.is_empty() {
                watched.names.remove(name);
            }
        }
        watched.chasers.retain(|&chaser| chaser != tail);
        self.forget_if_unasked(id);
    }

    /// Reads once and calls `hint` for each event that concerns somebody; its answer to a `Name`
    /// says whether the asker wants to know of every name in that directory for now. False: there
    /// may be more to read.
    pub fn read(&mut self, mut hint: impl FnMut(Hint) -> bool) -> io::Result<bool> {
        let Ok(inotify) = &mut self.inotify else {
            return Ok(true);
        };
        let events = match inotify.read_events(&mut self.buffer) {
            Ok(events) => events,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut bytes = 0;
        for event in events {
            bytes += event_bytes(&event);
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                hint(Hint::All);
            }
            // Unknown: it was queued before the watch was removed.
            let id = event.wd.get_watch_descriptor_id();
            let Some(watched) = self.watched.get_mut(&id) else {
                continue;
            };
            watched.hint(id, &event, &mut hint);
            if event.mask.contains(EventMask::IGNORED) {
                self.watched.remove(&id);
            }
        }
        Ok(bytes + EVENT_BYTES_MAX <= BUFFER_BYTES)
    }

    /// The kernel answers an inode that is watched already with the number it has; the mask is the
    /// same each time.
    fn add(&mut self, path: &Path, mask: WatchMask) -> io::Result<&mut Watched> {
        let inotify = self
            .inotify
            .as_ref()
            .map_err(|errno| io::Error::from(*errno))?;
        let descriptor = inotify.watches().add(path, mask)?;
        let id = descriptor.get_watch_descriptor_id();
        Ok(self.watched.entry(id).or_insert_with(|| Watched {
            descriptor,
            file: vec![],
            names: HashMap::new(),
            chasers: vec![],
        }))
    }

    fn forget_if_unasked(&mut self, id: WatchId) {
        let (Entry::Occupied(entry), Ok(inotify)) = (self.watched.entry(id), &self.inotify) else {
            return;
        };
        if entry.get().is_unasked() {
            // Fails where the kernel dropped the watch itself and IN_IGNORED is still unread.
            let _ = inotify.watches().remove(entry.remove().descriptor);
        }
    }
}

impl Watched {
    fn is_unasked(&self) -> bool {
        self.file.is_empty() && self.names.is_empty()
    }

    fn hint(&mut self, id: WatchId, event: &Event<&OsStr>, hint: &mut impl FnMut(Hint) -> bool) {
        let change = file_event(event.mask);
        for &tail in &self.file {
            hint(Hint::File(tail, id, change));
        }
        let Some(name) = event.name else {
            for &tail in self.names.values().flatten() {
                hint(Hint::Name(tail, id, None));
            }
            return;
        };
        let asked = self.names.get(name).map_or(&[][..], Vec::as_slice);
        if asked.is_empty() && self.chasers.is_empty() {
            return;
        }
        let moved = moved(name, event);
        if moved.is_some() {
            self.chasers
                .retain(|&tail| asked.contains(&tail) || hint(Hint::Name(tail, id, moved)));
        }
        for &tail in asked {
            let is_chasing = hint(Hint::Name(tail, id, moved));
            if is_chasing && !self.chasers.contains(&tail) {
                self.chasers.push(tail);
            }
        }
    }
}

fn file_event(mask: EventMask) -> FileEvent {
    if mask.contains(EventMask::MODIFY) {
        FileEvent::Modified
    } else if mask.contains(EventMask::CLOSE_WRITE) {
        FileEvent::Closed
    } else {
        FileEvent::Changed
    }
}

/// `None`: it leaves the names as they are, or concerns a directory, which is never followed.
fn moved<'a>(name: &'a OsStr, event: &Event<&OsStr>) -> Option<Moved<'a>> {
    let cookie = event.cookie;
    let change = match event.mask {
        mask if mask.contains(EventMask::ISDIR) => return None,
        mask if mask.contains(EventMask::CREATE) => Change::Created,
        mask if mask.contains(EventMask::MOVED_TO) => Change::Came { cookie },
        mask if mask.contains(EventMask::MOVED_FROM) => Change::Left { cookie },
        mask if mask.contains(EventMask::DELETE) => Change::Deleted,
        _ => return None,
    };
    Some(Moved { name, change })
}

/// What the event took of the buffer: the kernel pads names with NULs to a multiple of its header's
/// size.
fn event_bytes(event: &Event<&OsStr>) -> usize {
    const HEADER_BYTES: usize = 16;
    HEADER_BYTES
        + event
            .name
            .map_or(0, |name| (name.len() + 1).next_multiple_of(HEADER_BYTES))
}

fn remove_one(tails: &mut Vec<TailKey>, tail: TailKey) {
    if let Some(at) = tails.iter().position(|&asked| asked == tail) {
        tails.swap_remove(at);
    }
}
