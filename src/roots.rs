//! What is served: a name from a client to a place, a place to an opened regular file, never
//! outside.
//!
//! | PATH      | a client asks for                | links                             |
//! |-----------|----------------------------------|-----------------------------------|
//! | file      | nothing, or its last component   | the operator's, to anywhere       |
//! | directory | a name relative to it            | followed while they stay inside   |
//! | several   | the last component of one of them, and below a directory what follows it | |
//!
//! Roots are paths and not descriptors: a directory may be removed and made anew.

mod below;

mod list;

pub use list::Found;

use below::open_below;

use crate::error::{Escaped, Fatal, reason};
use crate::paths::{descriptor_path, may_read, names_a_file, parent};
use crate::refusal::Refusal;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The PATHs of the command line.
pub struct Roots {
    roots: Vec<Root>,
    /// The process is in its sandbox.
    is_confined: bool,
}

struct Root {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// Where a name leads by the rules of the command line, whether or not there is a file now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    root: usize,
    /// Empty where the root itself is the file.
    below: PathBuf,
}

/// A name that leads nowhere by the rules alone: what the client is told, and the reason for the
/// log.
#[derive(Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub refusal: Refusal,
    pub why: Option<&'static str>,
}

impl Unresolved {
    const PATH_NEEDED: Unresolved = Unresolved {
        refusal: Refusal::PathNeeded,
        why: None,
    };

    fn because(why: &'static str) -> Unresolved {
        Unresolved {
            refusal: Refusal::NoSuchFile,
            why: Some(why),
        }
    }
}

impl Place {
    fn new(root: usize, below: &Path) -> Place {
        Place {
            root,
            below: below.into(),
        }
    }
}

impl Roots {
    /// Checks each PATH once, so that a mistake shows at start-up and not as clients that wait for
    /// ever.
    pub fn new(paths: &[PathBuf]) -> Result<Roots, Fatal> {
        // Without it every file would look like one that is still to come.
        fs::metadata("/proc/self/fd")
            .map_err(|error| Fatal::io("cannot use /proc/self/fd", &error))?;
        let roots = paths.iter().map(Root::new).collect::<Result<_, _>>()?;
        Ok(Roots {
            roots,
            is_confined: false,
        })
    }

    /// From now on the sandbox may forbid what the permissions of a file do not.
    pub fn note_sandbox(&mut self) {
        self.is_confined = true;
    }

    /// Whether several PATHs can each be asked for by their last component; why not, otherwise.
    pub fn check_names(paths: &[PathBuf]) -> Result<(), String> {
        for (i, path) in paths.iter().enumerate().filter(|_| paths.len() > 1) {
            let shown = Escaped(path);
            let Some(name) = path.file_name() else {
                return Err(format!("{shown} has no last component to be asked for by"));
            };
            if name.as_bytes().starts_with(b".") {
                return Err(format!(
                    "{shown} begins with a dot and could not be asked for"
                ));
            }
            if paths[..i]
                .iter()
                .any(|other| other.file_name() == Some(name))
            {
                return Err(format!(
                    "{shown} is not the only path to be asked for by that name"
                ));
            }
        }
        Ok(())
    }

    /// The place of `asked`, a decoded path from a client. Empty and `.` components are dropped.
    pub fn resolve(&self, asked: Option<&Path>) -> Result<Place, Unresolved> {
        let Some(asked) = asked.map(relative).transpose()? else {
            return match &self.roots[..] {
                [root] if root.kind == Kind::File => Ok(Place::new(0, Path::new(""))),
                _ => Err(Unresolved::PATH_NEEDED),
            };
        };
        let place = self.locate(&asked)?;
        match self.root(&place).kind == Kind::Directory && place.below.as_os_str().is_empty() {
            true => Err(Unresolved::because("is a directory")),
            false => Ok(place),
        }
    }

    /// The place of a relative path, a directory's own among them.
    fn locate(&self, asked: &Path) -> Result<Place, Unresolved> {
        if let [
            Root {
                kind: Kind::Directory,
                ..
            },
        ] = &self.roots[..]
        {
            return Ok(Place::new(0, asked));
        }
        let mut components = asked.components();
        let name = components.next().map(Component::as_os_str);
        let mut roots = self.roots.iter();
        let root = roots.position(|root| root.path.file_name() == name);
        let root = root.ok_or(Unresolved::because("is none of the paths served"))?;
        let below = components.as_path();
        match self.roots[root].kind == Kind::File && !below.as_os_str().is_empty() {
            true => Err(Unresolved::because("is below a file")),
            false => Ok(Place::new(root, below)),
        }
    }

    /// Whether a file that is not there is one that is about to come. Below a directory it is an
    /// error.
    pub fn may_be_absent(&self, place: &Place) -> bool {
        self.root(place).kind == Kind::File
    }

    /// Where `place` is in the file system. To look at (stat), not to open: below a directory it
    /// might lead out.
    pub fn path(&self, place: &Place) -> PathBuf {
        match self.root(place) {
            Root {
                path,
                kind: Kind::File,
            } => path.clone(),
            Root {
                path,
                kind: Kind::Directory,
            } => path.join(&place.below),
        }
    }

    /// Opens the regular file at `place` for reading, and says what fstat says of it.
    ///
    /// It is opened as a mere place first (O_PATH) and for reading only when it has proved to be a
    /// regular file: to open a FIFO, even without blocking, lets go a writer that waits at its
    /// other end.
    pub fn open(&self, place: &Place) -> io::Result<(File, Metadata)> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let located = match self.root(place) {
            Root {
                path,
                kind: Kind::File,
            } => open(path, flags, Mode::empty())?,
            Root {
                path,
                kind: Kind::Directory,
            } => open_below(path, &place.below, OFlag::empty())?,
        };
        self.open_located(located)
    }

    /// Opens the regular file `name` in `directory`, where the file of `place` is or was: one that
    /// bore its name. A link never did.
    pub fn open_beside(
        &self,
        place: &Place,
        directory: &Path,
        name: &OsStr,
    ) -> io::Result<(File, Metadata)> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let path = directory.join(name);
        let located = match self.root(place) {
            Root {
                kind: Kind::File, ..
            } => open(&path, flags, Mode::empty())?,
            Root {
                path: root,
                kind: Kind::Directory,
            } => {
                // Where a link led, the directory is a real path; the root may be one with links.
                let below = match path.strip_prefix(root) {
                    Ok(below) => below.to_path_buf(),
                    Err(_) => path
                        .strip_prefix(fs::canonicalize(root)?)
                        .map_err(|_| Errno::EXDEV)?
                        .to_path_buf(),
                };
                open_below(root, &below, OFlag::O_NOFOLLOW)?
            }
        };
        self.open_located(located)
    }

    /// Opens for reading what was opened as a place, if it is a regular file.
    fn open_located(&self, located: OwnedFd) -> io::Result<(File, Metadata)> {
        let located = File::from(located);
        if !located.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // O_NONBLOCK: a lease that somebody holds on the file would let open(2) wait for up to 45
        // s.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        let opened = File::options()
            .read(true)
            .custom_flags(flags)
            .open(descriptor_path(&located));
        match opened {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok((file, metadata))
            }
            Err(error) if self.is_confined && is_forbidden_only_here(&located, &error) => {
                let why = "not permitted by the sandbox: a restart is needed, or --no-sandbox";
                Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
            }
            Err(error) => Err(error),
        }
    }

    fn root(&self, place: &Place) -> &Root {
        &self.roots[place.root]
    }
}

impl Root {
    fn new(path: &PathBuf) -> Result<Root, Fatal> {
        let cannot_open =
            |error: io::Error| Fatal::io(format!("cannot open {}", Escaped(path)), &error);
        let kind = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                check_searchable(path).map_err(cannot_open)?;
                Kind::Directory
            }
            Ok(metadata) if metadata.is_file() => {
                File::open(path).map_err(cannot_open)?;
                Kind::File
            }
            Ok(_) => {
                return Err(cannot_open(io::Error::other(
                    "not a regular file or directory",
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && names_a_file(path) => {
                check_searchable(parent(path)).map_err(cannot_open)?;
                Kind::File
            }
            Err(error) => return Err(cannot_open(error)),
        };
        Ok(Root {
            path: path.clone(),
            kind,
        })
    }
}

/// A directory need not be readable for its files to be served, only to be watched.
fn check_searchable(directory: &Path) -> io::Result<()> {
    fs::metadata(directory.join(".")).map(drop)
}

/// Drops empty and `.` components. Absolute paths, `..` and names that start with a dot are never
/// served; the rule is for the name asked for, not for where links lead.
fn relative(asked: &Path) -> Result<PathBuf, Unresolved> {
    let mut path = PathBuf::new();
    for component in asked.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name.as_bytes().starts_with(b".") => {
                return Err(Unresolved::because("begins with a dot"));
            }
            Component::Normal(name) => path.push(name),
            Component::ParentDir => return Err(Unresolved::because("leads up")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(Unresolved::because("is absolute"));
            }
        }
    }
    match path.as_os_str().is_empty() {
        true => Err(Unresolved::because("is a directory")),
        false => Ok(path),
    }
}

/// What a client is told when its file could not be opened: one answer for all that a stranger need
/// not tell apart.
pub fn refusal(error: &io::Error) -> Refusal {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(
            Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM
            | Errno::EIO
            | Errno::EINTR
            | Errno::EAGAIN,
        ) => Refusal::TryAgain,
        _ => Refusal::NoSuchFile,
    }
}

/// The same for the log, where the true reason goes.
pub fn open_failure(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EXDEV) => "leads out of its directory".into(),
        _ => reason(error),
    }
}

/// Landlock refuses to open a file and not to look at it (landlock(7)): access(2) asks for the
/// permissions alone.
fn is_forbidden_only_here(located: &File, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && may_read(&descriptor_path(located))
}

#[cfg(test)]
mod tests;
