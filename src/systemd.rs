//! What a service manager gives and wants to hear: listening sockets, and how far we are.
//!
//! Without one nothing is given, and nobody hears.

use crate::error::Fatal;
use crate::sys;

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

const NOTIFY_TIMEOUT: Duration = Duration::from_secs(1);

/// The sockets that the process was started with, in the manager's order (LISTEN_PID and
/// LISTEN_FDS, sd_listen_fds(3)). To be called once, before any descriptor is opened.
pub fn inherited_sockets() -> Result<Vec<OwnedFd>, Fatal> {
    let listed = sd_notify::listen_fds()
        .map_err(|error| Fatal::io("cannot use the sockets of LISTEN_FDS", &error))?;
    Ok(listed.map(sys::adopt).collect())
}

/// From now on whoever connects is served. That nobody hears it is no reason not to.
pub fn notify_ready() {
    let _ = notify("READY=1\n");
}

/// From now on nobody new is.
pub fn notify_stopping() {
    let _ = notify("STOPPING=1\n");
}

/// One datagram to NOTIFY_SOCKET, a path or an abstract name (sd_notify(3)). sd-notify takes an
/// abstract name for a path (0.5.0).
fn notify(state: &str) -> io::Result<()> {
    let Some(manager) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match manager.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&manager)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that is busy is waited for, one that has stopped reading is not.
    socket.set_write_timeout(Some(NOTIFY_TIMEOUT))?;
    socket.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
