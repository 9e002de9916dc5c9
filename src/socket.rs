//! A TCP or unix stream as one type.

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A connected, non-blocking stream.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Who is at the other end. A client of a unix socket has no name of its own.
#[derive(Clone, Copy)]
pub enum Peer {
    Ip(SocketAddr),
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

impl Socket {
    /// Asks for edges of both directions, once for the whole life of the socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, interests),
            Socket::Unix(stream) => stream.register(registry, token, interests),
        }
    }

    /// Has the peer probed after so many whole seconds of silence, instead of what the listener
    /// says (TCP_KEEPIDLE, tcp(7)). Of a unix socket it is known when its peer is gone.
    pub fn set_keepalive_idle(&self, idle: Duration) -> io::Result<()> {
        let idle_seconds = idle.as_secs() as u32;
        match self {
            Socket::Tcp(stream) => Ok(setsockopt(stream, sockopt::TcpKeepIdle, &idle_seconds)?),
            Socket::Unix(_) => Ok(()),
        }
    }

    /// As read(2); `WouldBlock` when there is nothing, 0 after the peer's FIN.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }

    /// As write(2).
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    /// Sends FIN behind everything that is queued.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}
