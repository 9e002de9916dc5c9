//! What the process can still do once it serves (landlock(7)).
//!
//! | allowed, with all that is below                                        | what for              |
//! |------------------------------------------------------------------------|-----------------------|
//! | reading in each PATH's directory, and in the one where its file lies   | serving, rotation     |
//! | reading in the parents of these, unless that is `/`                    | one that is made anew |
//! | removing files in the directories of the unix sockets that we made     | the end               |
//!
//! No other file can be opened, none be written, made or renamed, no TCP port be bound or connected
//! to, no abstract unix socket, and no other process be signalled. The rules are for directories as
//! they are now, not for paths: that is why a directory that is removed and made anew needs a
//! parent that may be read.
//!
//! Landlock does not know chmod(2), UDP, unix sockets that have a path, and listen(2) on a port of
//! the kernel's choice: a seccomp filter does, as the unit in `examples/systemd` has it. It is not
//! set here because it costs every call.

use crate::error::Fatal;
use crate::paths;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directories of a sandbox, by the paths that were given: a real path might lead through
/// directories that are closed to this process.
pub struct Sandbox {
    readable: BTreeSet<PathBuf>,
    removable: BTreeSet<PathBuf>,
    /// Directories whose parent is `/`: made anew, they cannot be read.
    pub topmost: BTreeSet<PathBuf>,
    /// The directory of a PATH that is `/`.
    pub reads_all: Option<PathBuf>,
    /// PATHs that are links into directories that are not there.
    pub dangling: BTreeSet<PathBuf>,
}

/// What the kernel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced {
    Whole,
    /// It is too old for some of it: files came with Linux 5.13, TCP with 6.7, signals and abstract
    /// sockets with 6.12.
    Part,
    /// It has no Landlock, or that is turned off or filtered.
    No,
}

/// What is asked for: all that Linux 6.12 knows (ABI 6). What a later one forbids is to be looked
/// through first.
const ABI_MAX: ABI = ABI::V6;

impl Sandbox {
    /// For these PATHs of the command line, whose directories exist, and the paths of these unix
    /// sockets.
    pub fn new<'a>(paths: &[PathBuf], sockets: impl Iterator<Item = &'a Path>) -> Sandbox {
        let mut sandbox = Sandbox {
            readable: BTreeSet::new(),
            removable: BTreeSet::new(),
            topmost: BTreeSet::new(),
            reads_all: None,
            dangling: BTreeSet::new(),
        };
        for path in paths {
            sandbox.allow_reading(&own_directory(path));
            match real_directory(path) {
                Some(directory) => sandbox.allow_reading(&directory),
                None => drop(sandbox.dangling.insert(path.clone())),
            }
        }
        for socket in sockets {
            sandbox.removable.insert(paths::parent(socket).into());
        }
        sandbox
    }

    fn allow_reading(&mut self, directory: &Path) {
        self.readable.insert(directory.to_path_buf());
        if is_top(directory) {
            self.reads_all = Some(directory.to_path_buf());
            return;
        }
        // Where it is, and, if a link leads there, where another one would be made by that name.
        for parent in [directory.join(".."), paths::parent(directory).into()] {
            match is_top(&parent) {
                true => self.topmost.insert(directory.to_path_buf()),
                false => self.readable.insert(parent),
            };
        }
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
            .scope(Scope::from_all(ABI_MAX))?
            .create()?;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let remove = AccessFs::RemoveFile.into();
        ruleset
            .add_rules(rules(&self.readable, read))?
            .add_rules(rules(&self.removable, remove))?
            .restrict_self()
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

/// The same for where its links lead now; `None` if that is not there. One that leads nowhere yet
/// may tomorrow.
fn real_directory(path: &Path) -> Option<PathBuf> {
    let real = paths::follow_links(path);
    let directory = match real.is_dir() {
        true => real,
        false => paths::parent(&real).into(),
    };
    directory.is_dir().then_some(directory)
}

/// Rules are for inodes: `/` by whatever path, a bind mount of it among them.
fn is_top(directory: &Path) -> bool {
    let identity = |path: &Path| {
        fs::metadata(path)
            .map(|found| (found.dev(), found.ino()))
            .ok()
    };
    identity(directory) == identity(Path::new("/"))
}

fn cannot(why: RulesetError) -> Fatal {
    let what = "cannot enter the sandbox, which --no-sandbox does without";
    let mut cause: &dyn Error = &why;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) => Fatal::io(what, error),
        None => Fatal::new(what, why),
    }
}
