//! A client that compares what it reads.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::DEADLINE;

/// One connection. Every read has a deadline.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn new(stream: TcpStream) -> Client {
        let timeout = Some(DEADLINE);
        stream.set_read_timeout(timeout).expect("it is a socket");
        stream.set_write_timeout(timeout).expect("it is a socket");
        Client { stream }
    }

    /// On a unix socket. `TcpStream` is only a name here: reads, writes and shutdowns are the same
    /// calls.
    pub fn unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("the server listens there");
        Client::new(TcpStream::from(OwnedFd::from(stream)))
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends this again and again, with pauses, until the connection ends: a slow client, for whom
    /// nobody waits.
    pub fn drip(&self, bytes: &'static [u8]) {
        let mut stream = self.stream.try_clone().expect("a second handle");
        std::thread::spawn(move || {
            while stream.write_all(bytes).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }

    /// Sends a FIN; the client still wants the data.
    pub fn half_close(&mut self) {
        let closed = self.stream.shutdown(Shutdown::Write);
        closed.expect("the connection is open");
    }

    /// Closes with a reset instead of a FIN, as a crashed or impatient peer does.
    pub fn reset(self) {
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        let set = setsockopt(&self.stream, sockopt::Linger, &at_once);
        set.expect("it is a socket");
    }

    /// Reads once. A socket with a timeout says EINTR when another test's child ends: that is no
    /// answer.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.stream.read(buffer))
    }

    /// The same, and what is read is still there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.stream.peek(buffer))
    }

    /// Reads exactly as many bytes as expected and compares.
    pub fn expect(&mut self, expected: &[u8]) {
        let mut chunk = vec![0; expected.len().min(1 << 18)];
        let mut offset = 0;
        while offset < expected.len() {
            let wanted = &expected[offset..expected.len().min(offset + chunk.len())];
            let received = match self.read(&mut chunk[..wanted.len()]) {
                Ok(0) => panic!("the stream ended at {offset} of {}", expected.len()),
                Ok(count) => &chunk[..count],
                Err(error) => panic!("at {offset} of {}: {error}", expected.len()),
            };
            assert_same(&wanted[..received.len()], received, offset);
            offset += received.len();
        }
    }

    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut received) {
            panic!("no end after {} bytes: {error}", received.len());
        }
        received
    }

    /// The stream ends here, without a reset and without another byte.
    pub fn expect_end(&mut self) {
        let received = self.read_to_end();
        assert!(
            received.is_empty(),
            "instead of the end: {}",
            shown(&received)
        );
    }

    /// The whole answer is one error line, and then the end.
    pub fn expect_error(&mut self, reason: &str) {
        let received = self.read_to_end();
        let expected = format!("error: {reason}\n");
        assert_eq!(String::from_utf8_lossy(&received), expected);
    }

    /// Nothing has arrived and nothing has ended: for when the server has sent all that it will.
    pub fn expect_nothing(&mut self) {
        self.stream.set_nonblocking(true).expect("it is a socket");
        let mut received = [0; 256];
        match self.read(&mut received) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(count) => panic!("instead of nothing: {}", shown(&received[..count])),
            Err(error) => panic!("instead of nothing: {error}"),
        }
        self.stream.set_nonblocking(false).expect("it is a socket");
    }

    /// Whether nothing has arrived and nothing has ended so far.
    pub fn is_silent(&self) -> bool {
        self.stream.set_nonblocking(true).expect("it is a socket");
        let silent = self.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("it is a socket");
        silent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Nothing arrives and nothing ends. The one place where a test spends time: silence has no
    /// fact to wait for.
    pub fn expect_silence(&mut self) {
        let moment = Some(Duration::from_millis(150));
        self.stream
            .set_read_timeout(moment)
            .expect("it is a socket");
        let mut received = [0; 256];
        match self.read(&mut received) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(count) => panic!("instead of silence: {}", shown(&received[..count])),
            Err(error) => panic!("instead of silence: {error}"),
        }
        let timeout = Some(DEADLINE);
        self.stream
            .set_read_timeout(timeout)
            .expect("it is a socket");
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// Megabytes in an assertion's message help nobody: shows the neighbourhood of the first
/// difference.
fn assert_same(expected: &[u8], received: &[u8], offset: usize) {
    if expected == received {
        return;
    }
    let mut pairs = expected.iter().zip(received);
    let at = pairs.position(|(one, other)| one != other).unwrap_or(0);
    let from = at.saturating_sub(20);
    let mut message = format!("first difference at byte {}:", offset + at);
    for (name, bytes) in [("expected", expected), ("received", received)] {
        let _ = write!(message, "\n  {name} {}", shown(&bytes[from..]));
    }
    panic!("{message}");
}

fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(80)];
    format!("\"{}\" ({} bytes)", start.escape_ascii(), bytes.len())
}
