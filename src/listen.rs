//! TCP and unix listeners.

use crate::cli::Address;
use crate::error::{Escaped, Fatal};
use crate::socket::{Peer, Socket};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen,
    setsockopt, socket, sockopt,
};

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A bound, listening, non-blocking socket.
pub struct Listener {
    socket: Listening,
    /// There may be connections to accept: set by an edge, cleared by `WouldBlock`.
    pub is_due: bool,
}

enum Listening {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

/// The name of a unix socket, removed with it.
struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that another server's socket of the same name is left alone.
    identity: (u64, u64),
}

/// A free port may be taken on the second address by somebody else; then another one is tried.
const PORT_ATTEMPTS_MAX: u32 = 16;

/// Probes that stay unanswered before a peer is given up.
const KEEPALIVE_PROBES: u32 = 4;

/// Binds `addresses`, or loopback on IPv4 and, where there is IPv6, on IPv6. Port 0 is one free
/// port for all of them.
pub fn listen_on(
    addresses: &[Address],
    port: u16,
    keepalive: Duration,
) -> Result<Vec<Listener>, Fatal> {
    let mut attempts = 0;
    loop {
        let bound = match addresses {
            [] => bind_all(&Address::DEFAULT, port, keepalive, true),
            _ => bind_all(addresses, port, keepalive, false),
        };
        match bound {
            Err(Unbound { error, .. })
                if port == 0 && is_in_use(&error) && attempts < PORT_ATTEMPTS_MAX =>
            {
                attempts += 1
            }
            Err(Unbound { what, error }) => {
                return Err(Fatal::io(format!("cannot bind {what}"), &error));
            }
            Ok(listeners) => return Ok(listeners),
        }
    }
}

struct Unbound {
    what: String,
    error: io::Error,
}

fn bind_all(
    addresses: &[Address],
    mut port: u16,
    keepalive: Duration,
    is_default: bool,
) -> Result<Vec<Listener>, Unbound> {
    let mut listeners = vec![];
    for address in addresses {
        let bound = match address {
            Address::Ip(ip) => bind_tcp(SocketAddr::new(*ip, port), keepalive),
            Address::Unix(path) => bind_unix(path),
        };
        match bound {
            Ok(listener) => {
                if let Listening::Tcp(_, address) = listener.socket {
                    port = address.port();
                }
                listeners.push(listener);
            }
            // No IPv6 on this host: nobody asked for it by name.
            Err(error) if is_default && !listeners.is_empty() && is_unavailable(&error) => {}
            Err(error) => {
                return Err(Unbound {
                    what: address.with_port(port),
                    error,
                });
            }
        }
    }
    Ok(listeners)
}

/// What accepted connections inherit is set here once, and not by five calls for each of them
/// (tcp(7)).
fn bind_tcp(address: SocketAddr, keepalive: Duration) -> io::Result<Listener> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        // Otherwise 0.0.0.0 and :: together are "address in use".
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    setsockopt(&descriptor, sockopt::TcpNoDelay, &true)?;
    setsockopt(&descriptor, sockopt::KeepAlive, &true)?;
    let idle_seconds = keepalive.as_secs() as u32;
    setsockopt(&descriptor, sockopt::TcpKeepIdle, &idle_seconds)?;
    setsockopt(
        &descriptor,
        sockopt::TcpKeepInterval,
        &(idle_seconds / 4).max(1),
    )?;
    setsockopt(&descriptor, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&descriptor, Backlog::MAXCONN)?;
    let listener = TcpListener::from_std(descriptor.into());
    let address = listener.local_addr()?;
    Ok(Listener {
        socket: Listening::Tcp(listener, address),
        is_due: false,
    })
}

/// A socket file that nobody listens on is left over from a server that was killed, and is
/// replaced.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if is_in_use(&error) && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    // mio's own backlog is 128.
    listen(&listener, Backlog::MAXCONN)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_path_buf(),
        identity: (metadata.dev(), metadata.ino()),
    };
    Ok(Listener {
        socket: Listening::Unix(listener, file),
        is_due: false,
    })
}

fn is_stale(path: &Path) -> bool {
    let is_socket =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn is_unavailable(error: &io::Error) -> bool {
    let unavailable = [
        Errno::EAFNOSUPPORT,
        Errno::EADDRNOTAVAIL,
        Errno::EPROTONOSUPPORT,
    ]
    .map(|errno| Some(errno as i32));
    unavailable.contains(&error.raw_os_error())
}

impl Listener {
    /// Asks for an edge for each time that there are connections to accept.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Listening::Tcp(listener, _) => listener.register(registry, token, Interest::READABLE),
            Listening::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// The next connection, as accept4(2) with SOCK_NONBLOCK.
    pub fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.socket {
            Listening::Tcp(listener, _) => {
                let (stream, address) = listener.accept()?;
                Ok((Socket::Tcp(stream), Peer::Ip(address)))
            }
            Listening::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }

    /// Only processes of this host can connect.
    pub fn is_local(&self) -> bool {
        match &self.socket {
            Listening::Tcp(_, address) => address.ip().is_loopback(),
            Listening::Unix(..) => true,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.socket {
            Listening::Tcp(_, address) => address.fmt(f),
            Listening::Unix(_, file) => write!(f, "unix:{}", Escaped(&file.path)),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
