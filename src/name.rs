//! A name in a directory, watched wherever that directory is now.

use crate::roots;
use crate::segment::Identity;
use crate::watch::{TailKey, Watch, WatchId};

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One entry of a directory, whether or not it is there.
pub struct WatchedName {
    directory: PathBuf,
    name: OsString,
    /// The watch, and the directory that it is on: a path may lead to another one tomorrow.
    watched: Option<(WatchId, Identity)>,
}

impl WatchedName {
    /// The name that `path` ends with, in the directory it is in.
    pub fn new(path: &Path) -> WatchedName {
        let name = path.file_name().unwrap_or_default().to_os_string();
        WatchedName {
            directory: roots::parent(path).to_path_buf(),
            name,
            watched: None,
        }
    }

    /// Whether both mean one entry of one directory.
    pub fn is_same_as(&self, other: &WatchedName) -> bool {
        self.name == other.name && self.directory_identity() == other.directory_identity()
    }

    /// Renews the watch if there is none, or if the directory is another one now.
    ///
    /// A directory that is not there is no failure: the tick finds it when it comes back.
    pub fn watch(&mut self, tail: TailKey, watch: &mut Watch) -> io::Result<()> {
        let Some(directory) = self.directory_identity() else {
            self.unwatch(tail, watch);
            return Ok(());
        };
        if self
            .watched
            .is_some_and(|(id, watched)| watched == directory && watch.has(id))
        {
            return Ok(());
        }
        self.unwatch(tail, watch);
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
