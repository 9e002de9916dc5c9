//! TCP and unix listeners, inherited ones too.

use crate::cli::Address;
use crate::error::{Escaped, Fatal};
use crate::socket::{Peer, Socket};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, bind,
    getsockname, getsockopt, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net;
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

/// The name of a unix socket, removed with it if we have made it.
struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that another server's socket of the same name is left alone. `None`: it
    /// was inherited, and is its maker's.
    identity: Option<(u64, u64)>,
}

/// What to bind.
pub struct Wanted<'a> {
    /// Empty: loopback on IPv4 and, where there is IPv6, on IPv6, unless sockets are inherited.
    pub addresses: &'a [Address],
    /// 0 is one free port for all of them.
    pub port: u16,
    /// The silence before a peer is probed, in whole seconds.
    pub keepalive: Duration,
    /// Permissions of unix sockets; `None`: by umask.
    pub socket_mode: Option<u32>,
}

/// A free port may be taken on the second address by somebody else; then another one is tried.
const PORT_ATTEMPTS_MAX: u32 = 16;

/// Probes that stay unanswered before a peer is given up.
const KEEPALIVE_PROBES: u32 = 4;

/// Takes `inherited` sockets and binds what is wanted beside them.
pub fn listen_on(inherited: Vec<OwnedFd>, wanted: &Wanted) -> Result<Vec<Listener>, Fatal> {
    let inherited = inherited.into_iter().map(|socket| {
        let what = format!("cannot use inherited descriptor {}", socket.as_raw_fd());
        adopt(socket, wanted.keepalive).map_err(|error| Fatal::io(what, &error))
    });
    let mut listeners = inherited.collect::<Result<Vec<Listener>, Fatal>>()?;
    let is_default = wanted.addresses.is_empty() && listeners.is_empty();
    let mut attempts = 0;
    loop {
        match bind_all(wanted, is_default) {
            Err(Unbound { error, .. })
                if wanted.port == 0 && is_in_use(&error) && attempts < PORT_ATTEMPTS_MAX =>
            {
                attempts += 1
            }
            Err(Unbound { what, error }) => {
                return Err(Fatal::io(format!("cannot bind {what}"), &error));
            }
            Ok(bound) => {
                listeners.extend(bound);
                return Ok(listeners);
            }
        }
    }
}

struct Unbound {
    what: String,
    error: io::Error,
}

fn bind_all(wanted: &Wanted, is_default: bool) -> Result<Vec<Listener>, Unbound> {
    let addresses = match is_default {
        true => &Address::DEFAULT,
        false => wanted.addresses,
    };
    let mut port = wanted.port;
    let mut listeners = vec![];
    for address in addresses {
        let bound = match address {
            Address::Ip(ip) => bind_tcp(SocketAddr::new(*ip, port), wanted.keepalive),
            Address::Unix(path) => bind_unix(path, wanted.socket_mode),
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

/// A socket that whoever started this process has bound.
fn adopt(socket: OwnedFd, keepalive: Duration) -> io::Result<Listener> {
    let is_stream = getsockopt(&socket, sockopt::SockType)? == SockType::Stream;
    if !is_stream || !getsockopt(&socket, sockopt::AcceptConn)? {
        return Err(io::Error::other("not a listening stream socket"));
    }
    // std would ask by ioctl(2), which is too much to allow for the sake of one bit.
    fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
    let socket = match address.family() {
        Some(AddressFamily::Inet | AddressFamily::Inet6) => {
            set_client_options(&socket, keepalive)?;
            let listener = std::net::TcpListener::from(socket);
            let address = listener.local_addr()?;
            Listening::Tcp(TcpListener::from_std(listener), address)
        }
        Some(AddressFamily::Unix) => {
            let listener = net::UnixListener::from(socket);
            let file = SocketFile {
                path: shown_path(&listener.local_addr()?),
                identity: None,
            };
            Listening::Unix(UnixListener::from_std(listener), file)
        }
        _ => return Err(io::Error::other("neither a TCP nor a unix socket")),
    };
    Ok(Listener {
        socket,
        is_due: false,
    })
}

/// An abstract name as ss(8) shows it: `@name`.
fn shown_path(address: &net::SocketAddr) -> PathBuf {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.into(),
        (None, Some(name)) => OsStr::from_bytes(&[b"@", name].concat()).into(),
        (None, None) => "@".into(),
    }
}

/// What accepted connections inherit is set once on the listener, and not by five calls for each of
/// them (tcp(7)).
fn set_client_options(socket: &impl AsFd, keepalive: Duration) -> io::Result<()> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    let idle_seconds = keepalive.as_secs() as u32;
    let interval_seconds = (idle_seconds / 4).max(1);
    setsockopt(socket, sockopt::TcpKeepIdle, &idle_seconds)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &interval_seconds)?;
    setsockopt(socket, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    Ok(())
}

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
    set_client_options(&descriptor, keepalive)?;
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
fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
    let listener = match bind_with_mode(path, mode) {
        Err(error) if is_in_use(&error) && is_stale(path) => {
            fs::remove_file(path)?;
            bind_with_mode(path, mode)?
        }
        bound => bound?,
    };
    // mio's own backlog is 128.
    listen(&listener, Backlog::MAXCONN)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_path_buf(),
        identity: Some((metadata.dev(), metadata.ino())),
    };
    Ok(Listener {
        socket: Listening::Unix(listener, file),
        is_due: false,
    })
}

/// The socket has its permissions from its first moment on: chmod(2) would come too late for those
/// who are quick.
fn bind_with_mode(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let Some(mode) = mode else {
        return UnixListener::bind(path);
    };
    let before = umask(Mode::from_bits_truncate(!mode & 0o777));
    let bound = UnixListener::bind(path);
    umask(before);
    bound
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
                let (stream, mut address) = listener.accept()?;
                // An inherited socket may take IPv4 clients as well, under IPv6 addresses.
                if let IpAddr::V4(ip) = address.ip().to_canonical() {
                    address.set_ip(ip.into());
                }
                Ok((Socket::Tcp(stream), Peer::Ip(address)))
            }
            Listening::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }

    /// The path of a unix socket that we have made, and remove.
    pub fn own_path(&self) -> Option<&Path> {
        match &self.socket {
            Listening::Unix(_, file) if file.identity.is_some() => Some(&file.path),
            _ => None,
        }
    }

    /// The name of a unix socket; an abstract one as `@name`.
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.socket {
            Listening::Tcp(..) => None,
            Listening::Unix(_, file) => Some(&file.path),
        }
    }

    /// Only processes of this host can connect.
    pub fn is_local(&self) -> bool {
        match &self.socket {
            Listening::Tcp(_, address) => address.ip().to_canonical().is_loopback(),
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
        let identity = |metadata: &fs::Metadata| Some((metadata.dev(), metadata.ino()));
        let is_ours = |metadata: fs::Metadata| identity(&metadata) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
