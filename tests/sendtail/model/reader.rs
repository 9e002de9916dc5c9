//! A client of a history: it reads what there is and never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use super::face::{Face, Unwrapper};
use super::step::{How, Start};
use crate::support::Client;

pub struct Reader {
    stream: TcpStream,
    unwrapper: Unwrapper,
    pub received: Vec<u8>,
    pub has_ended: bool,
}

/// What fits into a narrow connection is little: small segments, and a small buffer.
const SEGMENT_BYTES: u32 = 1000;
const BUFFER_BYTES: usize = 4096;

impl Reader {
    /// Connects to one of these two, and asks for the file.
    pub fn ask(
        how: How,
        (address, unix): (SocketAddr, &Path),
        face: Face,
        (start, name): (Start, &str),
    ) -> io::Result<Reader> {
        let mut stream = match how {
            How::Wide => TcpStream::connect(address)?,
            How::Narrow => narrow(address)?,
            // As in `Client::unix`, the type is only a name.
            How::Unix => TcpStream::from(OwnedFd::from(UnixStream::connect(unix)?)),
        };
        stream.write_all(face.request(start, name).as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Reader {
            stream,
            unwrapper: Unwrapper::new(face),
            received: vec![],
            has_ended: false,
        })
    }

    /// Reads what is there, up to so many bytes of the file. A reset is none of the ends that a client may get.
    pub fn read(&mut self, bytes_max: usize) -> Result<(), String> {
        let mut buffer = [0; 64 << 10];
        let mut left = bytes_max;
        while left > 0 && !self.has_ended {
            let room = left.min(buffer.len());
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => self.has_ended = true,
                Ok(count) => {
                    let before = self.received.len();
                    self.unwrapper.take(&buffer[..count], &mut self.received);
                    left -= self.received.len() - before;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    pub fn half_close(&self) {
        // If the server has closed it, that is nobody's fault.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub fn reset(self) {
        Client {
            stream: self.stream,
        }
        .reset();
    }
}

fn narrow(address: SocketAddr) -> io::Result<TcpStream> {
    let family = AddressFamily::Inet;
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::TcpMaxSeg, &SEGMENT_BYTES)?;
    setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
    let address = SockaddrStorage::from(address);
    connect(socket.as_raw_fd(), &address)?;
    Ok(TcpStream::from(socket))
}
