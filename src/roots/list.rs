//! What a list needs: where it begins, what is there, and by which names it can be asked for.

use super::below::open_below;
use super::{Kind, Place, Root, Roots, Unresolved, relative};
use crate::paths::{descriptor_path, may_read};

use nix::fcntl::OFlag;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, ReadDir};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// What is at a place that a list goes to.
pub enum Found {
    /// A regular file that this process may read.
    File(Metadata),
    /// Opened, and to be read by its descriptor: whatever its path leads to by then, what is read
    /// is what was opened.
    Directory(ReadDir),
}

impl Place {
    /// The place of `name` in the directory that this one is.
    pub fn child(&self, name: &OsStr) -> Place {
        Place::new(self.root, &self.below.join(name))
    }

    /// How long its path below the PATH is.
    pub fn below_bytes(&self) -> usize {
        self.below.as_os_str().len()
    }
}

impl Roots {
    /// The place of `ls DIR`; `None` for all that is served. By the rules alone: what is there is
    /// another question.
    pub fn resolve_list(&self, dir: Option<&Path>) -> Result<Option<Place>, Unresolved> {
        let names = |dir: &&Path| dir.components().any(|name| name != Component::CurDir);
        let Some(dir) = dir.filter(names) else {
            return Ok(None);
        };
        self.locate(&relative(dir)?).map(Some)
    }

    /// Every PATH of the command line.
    pub fn tops(&self) -> impl Iterator<Item = Place> {
        (0..self.roots.len()).map(|root| Place::new(root, Path::new("")))
    }

    /// What is at `place`. `follow`: also if its last component is a link, which is the operator's,
    /// or stays inside.
    pub fn find(&self, place: &Place, follow: bool) -> io::Result<Found> {
        if self.root(place).kind == Kind::File {
            // There are few of them, and only opening tells whether the sandbox allows it.
            return self.open(place).map(|(_, metadata)| Found::File(metadata));
        }
        let (located, metadata) = self.locate_below(place, follow)?;
        match metadata.is_dir() {
            true => fs::read_dir(descriptor_path(&located)).map(Found::Directory),
            false => readable(&located, metadata).map(Found::File),
        }
    }

    /// The same for a link below a directory, which is good for a file alone.
    pub fn find_linked_file(&self, place: &Place) -> io::Result<Metadata> {
        let (located, metadata) = self.locate_below(place, true)?;
        readable(&located, metadata)
    }

    /// The name that a client asks for `place` by. `None`: there is none, the PATH of the only file
    /// begins with a dot.
    pub fn asked_as(&self, place: &Place) -> Option<OsString> {
        let root = self.root(place);
        if let ([_], Kind::Directory) = (&self.roots[..], root.kind) {
            return Some(place.below.clone().into_os_string());
        }
        let top = root.path.file_name()?;
        let has_name = !top.as_bytes().starts_with(b".");
        has_name.then(|| match place.below.as_os_str().is_empty() {
            true => top.to_os_string(),
            false => Path::new(top).join(&place.below).into_os_string(),
        })
    }

    fn locate_below(&self, place: &Place, follow: bool) -> io::Result<(File, Metadata)> {
        let Root { path, .. } = self.root(place);
        // Openat2(2) wants some path.
        let below = match place.below.as_os_str().is_empty() {
            true => Path::new("."),
            false => &place.below,
        };
        let flags = match follow {
            true => OFlag::empty(),
            false => OFlag::O_NOFOLLOW,
        };
        let located = File::from(open_below(path, below, flags)?);
        let metadata = located.metadata()?;
        Ok((located, metadata))
    }
}

fn readable(located: &File, metadata: Metadata) -> io::Result<Metadata> {
    match metadata.is_file() && may_read(&descriptor_path(located)) {
        true => Ok(metadata),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
