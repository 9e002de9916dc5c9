//! What a service manager gives and wants to hear: listening sockets, and how far we are.
//!
//! Without one nothing is given, and nobody hears.

use crate::error::Fatal;
use crate::sys;

use sd_notify::NotifyState;

use std::os::fd::OwnedFd;

/// The sockets that the process was started with, in the manager's order (LISTEN_PID and
/// LISTEN_FDS, sd_listen_fds(3)). To be called once, before any descriptor is opened.
pub fn inherited_sockets() -> Result<Vec<OwnedFd>, Fatal> {
    let listed = sd_notify::listen_fds()
        .map_err(|error| Fatal::io("cannot use the sockets of LISTEN_FDS", &error))?;
    Ok(listed.map(sys::adopt).collect())
}

/// From now on whoever connects is served (NOTIFY_SOCKET, sd_notify(3)). That nobody hears it is no
/// reason not to.
pub fn notify_ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// From now on nobody new is.
pub fn notify_stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}
