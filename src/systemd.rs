//! What a service manager gives and wants to hear: listening sockets, and how far we are.
//!
//! Without one nothing is given, and nobody hears.

use crate::error::Fatal;
use crate::sys;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who has started us and wants to hear how far we are.
pub struct Manager {
    socket: Option<UnixDatagram>,
}

/// The sockets that the process was started with, in the manager's order (LISTEN_PID and
/// LISTEN_FDS, sd_listen_fds(3)). To be called once, before any descriptor is opened.
pub fn inherited_sockets() -> Result<Vec<OwnedFd>, Fatal> {
    let listed = sd_notify::listen_fds()
        .map_err(|error| Fatal::io("cannot use the sockets of LISTEN_FDS", &error))?;
    Ok(listed.map(sys::adopt).collect())
}

impl Manager {
    /// The manager of NOTIFY_SOCKET, a path or an abstract name (sd_notify(3)). To be asked for
    /// before the sandbox forbids new connections. sd-notify would take an abstract name for a path
    /// (0.5.0).
    ///
    /// One that cannot be reached is none, and the reason why: that nobody hears us is no reason
    /// not to serve.
    pub fn from_environment() -> (Manager, Option<io::Error>) {
        let connected = env::var_os("NOTIFY_SOCKET").map(|name| connect(&name));
        let (socket, error) = match connected {
            None => (None, None),
            Some(Ok(socket)) => (Some(socket), None),
            Some(Err(error)) => (None, Some(error)),
        };
        (Manager { socket }, error)
    }

    /// From now on whoever connects is served. A manager that is busy is waited for.
    pub fn notify_ready(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(b"READY=1\n");
            let _ = fcntl(socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        }
    }

    /// From now on nobody new is. Streams are to be ended, and nobody is waited for.
    pub fn notify_stopping(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(b"STOPPING=1\n");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
