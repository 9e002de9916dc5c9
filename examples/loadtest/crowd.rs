//! Many clients in one thread: epoll and read, the same for every server.

use crate::failure::{Failure, cannot};
use crate::server::{Contender, Server};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recv, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use nix::unistd::read;

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, SystemTime};

/// Clients of one server that ask once and then only read.
pub struct Crowd {
    contender: Contender,
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    /// Readers that may have more to read: edges come once.
    ready: VecDeque<usize>,
    /// By everybody, also by those that have left.
    received_bytes: u64,
    taking: Taking,
    /// Who has received this much leaves and comes again. 0: nobody leaves.
    lap_bytes: u64,
    buffer: Box<[u8]>,
}

/// What becomes of what is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is copied, as any client does that wants it.
    Copy,
    /// It is copied, and the kernel tells when it has arrived (SO_TIMESTAMPNS): whether a client is
    /// fast or has to wait for a core then makes no difference to a latency.
    Stamp,
    /// The kernel throws it away (MSG_TRUNC): the clients are never what everybody waits for.
    Discard,
    /// Nobody reads: the sockets fill up.
    Nothing,
}

struct Reader {
    descriptor: OwnedFd,
    /// Where it has asked, and what. `None`: somebody else's pipe.
    request: Option<(SocketAddr, String)>,
    is_ready: bool,
    received_bytes: u64,
}

/// One read that brought something: how much that reader had before, and has now.
pub struct Receipt {
    pub before_bytes: u64,
    pub after_bytes: u64,
    /// When the last of it had arrived, on the clock of the system. Only with `Taking::Stamp`.
    pub arrived: Option<SystemTime>,
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
            lap_bytes: 0,
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
            crowd.join(server, &offset.to_string())?;
        }
        Ok(crowd)
    }

    /// The same clients, but who has received `lap_bytes` leaves and comes again, without end.
    pub fn in_laps(mut self, lap_bytes: u64) -> Crowd {
        self.lap_bytes = lap_bytes;
        self
    }

    /// One more client.
    pub fn join(&mut self, server: &Server, request: &str) -> Result<(), Failure> {
        let descriptor = self.connect(server.address, request)?;
        self.add(descriptor, Some((server.address, request.to_string())))
    }

    /// A pipe that somebody else writes to.
    pub fn adopt(&mut self, pipe: OwnedFd) -> Result<(), Failure> {
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&pipe, flags).map_err(cannot("read a pipe without waiting"))?;
        self.add(pipe, None)
    }

    /// A connection over loopback is there when connect(2) returns, whatever the server is doing,
    /// as long as there is room in its backlog.
    fn connect(&self, address: SocketAddr, request: &str) -> Result<OwnedFd, Failure> {
        let failed = |error| cannot(format!("connect to {}", self.contender.name()))(error);
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        if self.taking == Taking::Stamp {
            setsockopt(&stream, ReceiveTimestampns, &true).map_err(cannot("stamp arrivals"))?;
        }
        stream
            .write_all(format!("{request}\n").as_bytes())
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(failed)?;
        Ok(stream.into())
    }

    fn add(
        &mut self,
        descriptor: OwnedFd,
        request: Option<(SocketAddr, String)>,
    ) -> Result<(), Failure> {
        self.register(&descriptor, self.readers.len())?;
        self.readers.push(Reader {
            descriptor,
            request,
            is_ready: false,
            received_bytes: 0,
        });
        Ok(())
    }

    fn register(&self, descriptor: &OwnedFd, index: usize) -> Result<(), Failure> {
        self.poll
            .registry()
            .register(
                &mut SourceFd(&descriptor.as_raw_fd()),
                Token(index),
                Interest::READABLE,
            )
            .map_err(cannot("use epoll"))
    }

    pub fn len(&self) -> usize {
        self.readers.len()
    }

    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Reads until everybody has received `bytes_each` since it came; `receipt` is called at each
    /// read that brought something.
    pub fn receive(
        &mut self,
        bytes_each: u64,
        mut receipt: impl FnMut(Receipt),
    ) -> Result<(), Failure> {
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
        self.turn(Duration::ZERO, &mut |_| {})?;
        Ok(())
    }

    /// One look for events, and one read for everybody who may have something. False: nobody had.
    pub fn turn(
        &mut self,
        wait: Duration,
        receipt: &mut impl FnMut(Receipt),
    ) -> Result<bool, Failure> {
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

    fn read_next(&mut self, receipt: &mut impl FnMut(Receipt)) -> Result<(), Failure> {
        let Some(index) = self.ready.pop_front() else {
            return Ok(());
        };
        let reader = &mut self.readers[index];
        reader.is_ready = false;
        let taken = match self.taking {
            Taking::Copy => read(&reader.descriptor, &mut self.buffer).map(|n| (n, None)),
            Taking::Stamp => read_stamped(&reader.descriptor, &mut self.buffer),
            Taking::Discard => {
                let socket = reader.descriptor.as_raw_fd();
                recv(socket, &mut self.buffer, MsgFlags::MSG_TRUNC).map(|n| (n, None))
            }
            Taking::Nothing => return Ok(()),
        };
        match taken.map_err(io::Error::from) {
            Ok((0, _)) => Err(self.failure("closed a connection")),
            Ok((n, arrived)) => {
                let before_bytes = reader.received_bytes;
                reader.received_bytes += n as u64;
                self.received_bytes += n as u64;
                receipt(Receipt {
                    before_bytes,
                    after_bytes: reader.received_bytes,
                    arrived,
                });
                // A short read has emptied the socket: the next edge comes by itself (epoll(7)).
                if n == self.buffer.len() {
                    reader.is_ready = true;
                    self.ready.push_back(index);
                }
                if self.lap_bytes > 0 && self.readers[index].received_bytes >= self.lap_bytes {
                    return self.join_again(index);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.failure(&format!("reset a connection: {error}"))),
        }
    }

    /// Leaves, and asks for the same once more. To be in line already does no harm: at worst its
    /// next read brings nothing.
    fn join_again(&mut self, index: usize) -> Result<(), Failure> {
        let Some((address, request)) = self.readers[index].request.clone() else {
            return Ok(());
        };
        let descriptor = self.connect(address, &request)?;
        self.register(&descriptor, index)?;
        let reader = &mut self.readers[index];
        reader.descriptor = descriptor;
        reader.received_bytes = 0;
        Ok(())
    }

    fn failure(&self, what: &str) -> Failure {
        let (count, bytes) = (self.len(), self.received_bytes);
        Failure::new(format!(
            "{} {what}, {bytes} bytes after {count} clients had asked",
            self.contender.name()
        ))
    }
}

/// The stamp is that of the last packet.
fn read_stamped(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<(usize, Option<SystemTime>)> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut buffers = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(SystemTime::UNIX_EPOCH + time.into()),
        _ => None,
    });
    Ok((message.bytes, stamp))
}
