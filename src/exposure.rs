//! Who could read what, as far as that can be told at the start: what an operator may not have
//! meant.

use crate::hosts::Hosts;
use crate::listen::Listener;
use crate::paths;

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What there is to say of it.
pub enum Exposure<'a> {
    /// Nobody else can.
    ThisHostOnly,
    /// Nobody can, through TCP: --allow names no user of this host, and no other gets there.
    Nobody,
    /// Whoever reaches this address can.
    AnyHost(&'a Listener),
    /// Through this address every local user can read a file that is not for all of them.
    AnyLocalUser {
        path: PathBuf,
        listener: &'a Listener,
    },
}

/// So many of a directory's entries are looked at.
const ENTRIES_MAX: usize = 1000;

/// What there is to say of these listeners, with these PATHs behind them.
pub fn exposures<'a>(
    paths: &[PathBuf],
    listeners: &'a [Listener],
    hosts: &Hosts,
) -> Vec<Exposure<'a>> {
    let mut exposures = vec![];
    let by_tcp = listeners
        .iter()
        .any(|listener| listener.unix_path().is_none());
    match listeners.iter().find(|listener| !listener.is_local()) {
        None if by_tcp && !hosts.allow_this_host() => exposures.push(Exposure::Nobody),
        None => exposures.push(Exposure::ThisHostOnly),
        Some(listener) if !hosts.are_limited() => exposures.push(Exposure::AnyHost(listener)),
        Some(_) => {}
    }
    let is_open = |listener: &&Listener| match listener.unix_path() {
        None => hosts.allow_this_host(),
        Some(path) => may_be_connected_to(path),
    };
    if let Some(listener) = listeners.iter().find(is_open) {
        let secret = paths.iter().find_map(|path| find_secret(path));
        exposures.extend(secret.map(|path| Exposure::AnyLocalUser { path, listener }));
    }
    exposures
}

/// Every user may write to the socket (unix(7)). An abstract one has no permissions.
fn may_be_connected_to(socket: &Path) -> bool {
    let Ok(real) = fs::canonicalize(socket) else {
        return true;
    };
    let metadata = fs::metadata(&real);
    metadata.is_ok_and(|found| found.permissions().mode() & 0o002 != 0) && is_reachable(&real)
}

/// What is served by `path`, is readable to this process and not to everybody.
fn find_secret(path: &Path) -> Option<PathBuf> {
    let (real, metadata) = resolve(path).ok()?;
    if !is_reachable(&real) || !is_for_all(&metadata) {
        return Some(path.into());
    }
    let entries = path.is_dir().then(|| fs::read_dir(&real));
    let entries = entries.into_iter().flatten().flatten().take(ENTRIES_MAX);
    let secret = entries.flatten().find(|entry| {
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let metadata = entry.metadata();
        let is_kind = |found: &Metadata| found.is_file() || found.is_dir();
        let is_secret = metadata.is_ok_and(|found| is_kind(&found) && !is_for_all(&found));
        is_secret && !is_hidden && paths::may_read(&entry.path())
    });
    secret.map(|entry| path.join(entry.file_name()))
}

/// A file that is still to come is judged by its directory.
fn resolve(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let real = fs::canonicalize(path).or_else(|_| fs::canonicalize(paths::parent(path)))?;
    let metadata = fs::metadata(&real)?;
    Ok((real, metadata))
}

/// Every user may read it; of a directory, may look for what is in it.
fn is_for_all(metadata: &Metadata) -> bool {
    let needed = if metadata.is_dir() { 0o001 } else { 0o004 };
    metadata.permissions().mode() & needed == needed
}

/// Every user may search the directories above.
fn is_reachable(real: &Path) -> bool {
    real.ancestors().skip(1).all(|directory| {
        let metadata = fs::metadata(directory);
        metadata.is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
    })
}
