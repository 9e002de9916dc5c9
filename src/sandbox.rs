//! What the process can still do once it serves: read below the PATHs, and no more (landlock(7)).
//!
//! | allowed                                                                | what for              |
//! |------------------------------------------------------------------------|-----------------------|
//! | reading in each PATH's directory, and in the one where its file lies   | serving, rotation     |
//! | reading in the parents of these, unless that is `/`                    | one that is made anew |
//! | removing files in the directories of the unix sockets that we made     | the end               |
//!
//! No other file can be opened, none be written, made or renamed, no TCP port be bound and nobody be
//! connected to. The rules are for directories as they are now, not for paths: that is why a
//! directory that is removed and made anew needs a parent that may be read.

use crate::error::{Escaped, Fatal};
use crate::paths;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use std::collections::BTreeSet;
use std::env;
use std::fmt::Display;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The directories of a sandbox, as real paths.
pub struct Sandbox {
    readable: BTreeSet<PathBuf>,
    removable: BTreeSet<PathBuf>,
    /// Directories whose parent is `/`: made anew, they cannot be read.
    pub topmost: BTreeSet<PathBuf>,
}

/// What the kernel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced {
    Whole,
    /// It is too old for some of it: files before Linux 5.13 would be none, TCP came with 6.7,
    /// signals and abstract sockets with 6.12.
    Part,
    /// It has no Landlock, or that is turned off.
    No,
}

/// What is asked for: all that Linux 6.12 knows (ABI 6). A later one is to be looked through first:
/// the next would forbid the way to the service manager.
const ABI_MAX: ABI = ABI::V6;

impl Sandbox {
    /// For these PATHs of the command line, whose directories exist, and the paths of these unix
    /// sockets.
    pub fn new<'a>(
        paths: &[PathBuf],
        sockets: impl Iterator<Item = &'a Path>,
    ) -> Result<Sandbox, Fatal> {
        let mut sandbox = Sandbox {
            readable: BTreeSet::new(),
            removable: BTreeSet::new(),
            topmost: BTreeSet::new(),
        };
        for path in paths {
            for directory in [own_directory(path), real_directory(path)] {
                sandbox.allow_reading(&directory)?;
            }
        }
        for socket in sockets {
            sandbox.removable.insert(real(paths::parent(socket))?);
        }
        Ok(sandbox)
    }

    fn allow_reading(&mut self, directory: &Path) -> Result<(), Fatal> {
        let found = real(directory)?;
        // Where it is, and, if a link leads there, where another one would be made by that name.
        let parents = [
            found.parent().map(Path::to_path_buf),
            Some(real(paths::parent(directory))?),
        ];
        let top = Path::new("/");
        for parent in parents.into_iter().flatten().filter(|_| found != top) {
            match parent == top {
                true => self.topmost.insert(directory.to_path_buf()),
                false => self.readable.insert(parent),
            };
        }
        self.readable.insert(found);
        Ok(())
    }

    /// Enters it, for good. Fails only if the kernel has Landlock and refuses.
    pub fn enter(&self) -> Result<Enforced, Fatal> {
        let status = self.restrict().map_err(cannot)?;
        Ok(match (status.ruleset, status.landlock) {
            (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Enforced::No,
            (RulesetStatus::FullyEnforced, _) => Enforced::Whole,
            (RulesetStatus::PartiallyEnforced, _) => Enforced::Part,
            (RulesetStatus::NotEnforced, _) => Enforced::No,
        })
    }

    fn restrict(&self) -> Result<landlock::RestrictionStatus, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI_MAX))?
            .handle_access(AccessNet::from_all(ABI_MAX))?
            .scope(scopes())?
            .create()?;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let remove = AccessFs::RemoveFile.into();
        ruleset
            .add_rules(rules(&self.readable, read))?
            .add_rules(rules(&self.removable, remove))?
            .restrict_self()
    }
}

/// No signals to others, and no abstract sockets of theirs, unless the service manager has one.
fn scopes() -> BitFlags<Scope> {
    let manager = env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    match manager.as_bytes().starts_with(b"@") {
        true => Scope::Signal.into(),
        false => Scope::from_all(ABI_MAX),
    }
}

/// One that cannot be opened even as a mere place is gone, and has nothing to be read.
fn rules(
    directories: &BTreeSet<PathBuf>,
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>> {
    let opened = directories.iter().filter_map(|path| PathFd::new(path).ok());
    opened.map(move |directory| Ok(PathBeneath::new(directory, access)))
}

/// The directory that `path` itself is, or is in.
fn own_directory(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.into(),
        false => paths::parent(path).into(),
    }
}

/// The same for where its links lead now. One that leads nowhere yet may tomorrow.
fn real_directory(path: &Path) -> PathBuf {
    let real = paths::follow_links(path);
    match real.is_dir() {
        true => real,
        false => match paths::parent(&real) {
            parent if parent.is_dir() => parent.into(),
            _ => own_directory(path),
        },
    }
}

fn real(directory: &Path) -> Result<PathBuf, Fatal> {
    fs::canonicalize(directory).map_err(|error| {
        let what = format!("cannot find out where {} is", Escaped(directory));
        Fatal::io(what, &error)
    })
}

fn cannot(why: impl Display) -> Fatal {
    Fatal::new("cannot enter the sandbox", why)
}
