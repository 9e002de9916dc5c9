//! Bytes that were made here and not yet taken by the socket.

use crate::socket::Socket;

use std::io;
use std::mem;

/// Empty most of the time, and then without memory of its own.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// So many of them the socket has.
    sent: usize,
    /// What the socket has taken since that was last asked for.
    sent_bytes: u64,
}

/// What is to become of the rest.
#[derive(Debug)]
pub enum Flushed {
    /// There is none.
    All,
    /// It has to wait until there is room in the socket.
    Blocked,
    /// There is nobody to send it to.
    Error(io::Error),
}

impl Outbox {
    /// To append to.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the socket has taken since `take_sent_bytes`.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// The same, from now on counted anew.
    pub fn take_sent_bytes(&mut self) -> u64 {
        mem::take(&mut self.sent_bytes)
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self, socket: &mut Socket) -> Flushed {
        while !self.is_empty() {
            match socket.write(&self.bytes[self.sent..]) {
                Ok(sent) => {
                    self.sent += sent;
                    self.sent_bytes += sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(error) => return Flushed::Error(error),
            }
        }
        (self.bytes, self.sent) = (vec![], 0);
        Flushed::All
    }
}
