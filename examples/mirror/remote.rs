//! The remote file: where it is served, and how it is asked for.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

use nix::sys::socket::{setsockopt, sockopt};

use super::header::header;

/// A silent server is probed after this time, and given up after four probes at a quarter of it: a
/// quiet log and a vanished host look the same otherwise.
const KEEPALIVE_SECS: u32 = 60;
const PROBES: u32 = 4;

pub struct Remote {
    /// `HOST:PORT`; a name is looked up anew each time.
    pub address: String,
    /// By its real name. `None`: the only file that is served there.
    pub path: Option<Vec<u8>>,
}

impl Remote {
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        // Who knocks for long at a port of his own host where nobody listens is given that port for
        // his own end some day, and meets himself.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECS)?;
        setsockopt(
            &stream,
            sockopt::TcpKeepInterval,
            &(KEEPALIVE_SECS / PROBES),
        )?;
        setsockopt(&stream, sockopt::TcpKeepCount, &PROBES)?;
        Ok(stream)
    }

    /// Asks for the file from byte `start` on.
    pub fn ask(&self, mut stream: &TcpStream, start: u64) -> io::Result<()> {
        let header = header(start, self.path.as_deref());
        stream.write_all(header.as_bytes())
    }
}
