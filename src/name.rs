//! A name in a directory, watched wherever that directory is now, and the files that bore it.

use crate::open_file::Identity;
use crate::paths;
use crate::rotation::{Change, Rotation};
use crate::watch::{TailKey, Watch, WatchId};

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One entry of a directory, whether or not it is there.
pub struct WatchedName {
    directory: PathBuf,
    name: OsString,
    /// The watch, and the directory that it is on: a path may lead to another one tomorrow.
    watched: Option<(WatchId, Identity)>,
    /// What the directory has said of it.
    pub rotation: Rotation,
}

impl WatchedName {
    /// The name that `path` ends with, in the directory it is in.
    pub fn new(path: &Path) -> WatchedName {
        let name = path.file_name().unwrap_or_default().to_os_string();
        WatchedName {
            directory: paths::parent(path).to_path_buf(),
            rotation: Rotation::new(&name),
            name,
            watched: None,
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// An event of the directory behind a watch. True: there are files on their way, so that all
    /// its events matter.
    pub fn note(&mut self, watch: WatchId, name: &OsStr, change: Change, now: Instant) -> bool {
        if self.watched.is_none_or(|(id, _)| id != watch) {
            return false;
        }
        self.rotation.note(name, change, now);
        self.rotation.is_chasing()
    }

    /// Whether both mean one entry of one directory.
    pub fn is_same_as(&self, other: &WatchedName) -> bool {
        self.name == other.name && self.directory_identity() == other.directory_identity()
    }

    /// Renews the watch if there is none, or if the directory is another one now.
    ///
    /// A directory that is not there is no failure: the tick finds it when it comes back. One that
    /// cannot be asked for keeps its watch.
    pub fn watch(&mut self, tail: TailKey, watch: &mut Watch) -> io::Result<()> {
        let directory = match fs::metadata(&self.directory) {
            Ok(metadata) => Identity::of(&metadata),
            Err(error) if is_absence(&error) => {
                self.unwatch(tail, watch);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self
            .watched
            .is_some_and(|(id, watched)| watched == directory && watch.has(id))
        {
            return Ok(());
        }
        self.unwatch(tail, watch);
        self.rotation.lost();
        let id = watch.add_name(&self.directory, &self.name, tail)?;
        self.watched = Some((id, directory));
        Ok(())
    }

    /// Gives the watch back.
    pub fn unwatch(&mut self, tail: TailKey, watch: &mut Watch) {
        if let Some((id, _)) = self.watched.take() {
            watch.remove_name(id, &self.name, tail);
        }
    }

    fn directory_identity(&self) -> Option<Identity> {
        fs::metadata(&self.directory)
            .ok()
            .map(|metadata| Identity::of(&metadata))
    }
}

/// Nothing is there: no failure, files and directories come and go.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
