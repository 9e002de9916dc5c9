//! Many clients in one thread: epoll and read, the same for every server.

use crate::failure::{Failure, cannot};
use crate::server::{Contender, Server};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{MsgFlags, recv};

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Clients of one server that ask once and then only read.
pub struct Crowd {
    contender: Contender,
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    /// Readers that may have more to read: edges come once.
    ready: VecDeque<usize>,
    received_bytes: u64,
    taking: Taking,
    buffer: Box<[u8]>,
}

/// What becomes of what is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is copied, as any client does that wants it.
    Copy,
    /// The kernel throws it away (MSG_TRUNC): the clients are never what everybody waits for.
    Discard,
}

struct Reader {
    stream: TcpStream,
    is_ready: bool,
    received_bytes: u64,
}

const EVENTS_MAX: usize = 1024;

const BUFFER_BYTES: usize = 256 << 10;

/// Nothing for this long and the server has forgotten somebody.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl Crowd {
    pub fn new(contender: Contender, taking: Taking) -> Result<Crowd, Failure> {
        Ok(Crowd {
            contender,
            taking,
            poll: Poll::new().map_err(cannot("use epoll"))?,
            events: Events::with_capacity(EVENTS_MAX),
            readers: vec![],
            ready: VecDeque::new(),
            received_bytes: 0,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        })
    }

    /// `count` clients that ask for what begins at byte `offset`: the one request that the bare
    /// loop understands.
    pub fn of(
        server: &Server,
        count: usize,
        offset: u64,
        taking: Taking,
    ) -> Result<Crowd, Failure> {
        let mut crowd = Crowd::new(server.contender, taking)?;
        for _ in 0..count {
            crowd.join(server, offset)?;
        }
        Ok(crowd)
    }

    /// One more client. A connection over loopback is there when connect(2) returns, whatever the
    /// server is doing, as long as there is room in its backlog.
    pub fn join(&mut self, server: &Server, offset: u64) -> Result<(), Failure> {
        let failed = |error| cannot(format!("connect to {}", server.contender.name()))(error);
        let mut stream = net::TcpStream::connect(server.address).map_err(failed)?;
        stream
            .write_all(format!("{offset}\n").as_bytes())
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(failed)?;
        let mut stream = TcpStream::from_std(stream);
        let token = Token(self.readers.len());
        self.poll
            .registry()
            .register(&mut stream, token, Interest::READABLE)
            .map_err(failed)?;
        self.readers.push(Reader {
            stream,
            is_ready: false,
            received_bytes: 0,
        });
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// Reads until everybody has received `bytes_each` since it came; `receipt` is called at each
    /// read that brought something.
    pub fn receive(&mut self, bytes_each: u64, mut receipt: impl FnMut()) -> Result<(), Failure> {
        let all_bytes = bytes_each * self.len() as u64;
        while self.received_bytes < all_bytes {
            if !self.turn(SILENCE_MAX, &mut receipt)? {
                return Err(self.failure(&format!("sent nothing for {SILENCE_MAX:?}")));
            }
        }
        match self
            .readers
            .iter()
            .all(|reader| reader.received_bytes == bytes_each)
        {
            true => Ok(()),
            false => Err(self.failure("sent too much to somebody")),
        }
    }

    /// Reads what is there, without waiting.
    pub fn receive_some(&mut self) -> Result<(), Failure> {
        self.turn(Duration::ZERO, &mut || {})?;
        Ok(())
    }

    /// One look for events, and one read for everybody who may have something. False: nobody had.
    fn turn(&mut self, wait: Duration, receipt: &mut impl FnMut()) -> Result<bool, Failure> {
        let timeout = match self.ready.is_empty() {
            true => wait,
            false => Duration::ZERO,
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            polled => polled.map_err(cannot("wait for events"))?,
        }
        for event in &self.events {
            let index = event.token().0;
            if !std::mem::replace(&mut self.readers[index].is_ready, true) {
                self.ready.push_back(index);
            }
        }
        let count = self.ready.len();
        for _ in 0..count {
            self.read_next(receipt)?;
        }
        Ok(count > 0)
    }

    fn read_next(&mut self, receipt: &mut impl FnMut()) -> Result<(), Failure> {
        let Some(index) = self.ready.pop_front() else {
            return Ok(());
        };
        let reader = &mut self.readers[index];
        reader.is_ready = false;
        let flags = match self.taking {
            Taking::Copy => MsgFlags::empty(),
            Taking::Discard => MsgFlags::MSG_TRUNC,
        };
        match recv(reader.stream.as_raw_fd(), &mut self.buffer, flags).map_err(io::Error::from) {
            Ok(0) => Err(self.failure("closed a connection")),
            Ok(n) => {
                receipt();
                reader.received_bytes += n as u64;
                self.received_bytes += n as u64;
                // A short read has emptied the socket: the next edge comes by itself (epoll(7)).
                if n == self.buffer.len() {
                    reader.is_ready = true;
                    self.ready.push_back(index);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.failure(&format!("reset a connection: {error}"))),
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let (count, bytes) = (self.len(), self.received_bytes);
        Failure::new(format!(
            "{} {what}, {bytes} bytes after {count} clients had asked",
            self.contender.name()
        ))
    }
}
