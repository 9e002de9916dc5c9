//! Appends a remote file to a local one, and follows it: `mirror HOST:PORT LOCAL [REMOTE-PATH]`.
//!
//! ```text
//! cargo run --example mirror -- logs.example.org:4321 access.log nginx/access.log
//! ```
//!
//! It asks for its local length less 64 bytes and compares these before it writes, at its start and
//! after each lost connection:
//!
//! | what happens                                   | what it does                                               |
//! |------------------------------------------------|------------------------------------------------------------|
//! | the overlap is the same                        | appends what follows                                       |
//! | the remote file is rotated or truncated        | appends what is written then: the stream goes on           |
//! | the overlap differs, or the server refuses     | stops; the local file is left as it is                     |
//! | nothing comes: the remote file is not so long  | stops; the server would wait until it is                   |
//! | the local file is empty                        | appends the whole file, which may be still to come         |
//! | the connection is lost, or ended by the server | connects again, waits longer each time, compares, goes on  |
//! | the server refuses for a reason that passes    | the same, but stops if that is the first thing it hears    |
//! | the local file cannot be written               | stops; the next start goes on there                        |
//! | another process has the lock                   | stops                                                      |
//!
//! While a connection lasts, the local file gets all that is written to the remote one. The stream
//! does not say where a rotated or truncated file ends and the next begins, and the server counts
//! offsets in the file that bears the name now. So after that a lost connection cannot be
//! continued: the local length is an offset of no remote file, and the comparison says so before
//! anything is written. Who rotates the remote file moves the local one away as well, and starts
//! the mirror anew. Exit status: 1 when it stops, 2 for usage.

mod header;
mod local;
mod opening;
mod progress;
mod remote;
mod units;

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use local::{Local, Overlap};
use opening::{Then, Verdict};
use progress::Progress;
use remote::Remote;

/// How long the first bytes may take. A server that has them sends them at once, and one that waits
/// for the file to get there never says so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two connections: doubled up to the longer one, and back to the shorter one after a
/// connection that lasted.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// For one read and one write.
const COPY_BYTES: usize = 256 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (address, local, path) = match &arguments[..] {
        [address, local] => (address, local, None),
        [address, local, path] => (address, local, Some(path.as_bytes().to_vec())),
        _ => {
            eprintln!("usage: mirror HOST:PORT LOCAL [REMOTE-PATH]");
            return ExitCode::from(2);
        }
    };
    let address = address.to_string_lossy().into_owned();
    let Err(why) = mirror(Remote { address, path }, Path::new(local));
    eprintln!("mirror: {why}");
    ExitCode::FAILURE
}

/// Goes on until it cannot, and says why.
fn mirror(remote: Remote, path: &Path) -> Result<Infallible, String> {
    let opened = Local::open(path).and_then(|local| Ok((local.length()?, local)));
    let (length, local) = opened.map_err(|error| about(path, &error))?;
    let mut mirror = Mirror {
        remote,
        local,
        path: path.to_owned(),
        progress: Progress::new(length),
    };
    let Err(why) = mirror.keep();
    mirror.progress.end();
    Err(why)
}

struct Mirror {
    remote: Remote,
    local: Local,
    path: PathBuf,
    progress: Progress,
}

/// Why a connection is over.
enum Over {
    /// It may go on with the next one.
    Lost(String),
    /// The same, but if nothing has gone well yet, something is likely to be wrong for good.
    Refused(String),
    /// It cannot be continued.
    Stop(String),
}

impl Mirror {
    /// One connection after the other.
    fn keep(&mut self) -> Result<Infallible, String> {
        let mut pause = PAUSE_MIN;
        let mut is_first = true;
        loop {
            let start = Instant::now();
            let Err(over) = self.follow();
            let why = match over {
                Over::Stop(why) => return Err(why),
                Over::Refused(why) if is_first => return Err(why),
                Over::Refused(why) | Over::Lost(why) => why,
            };
            is_first = false;
            if start.elapsed() > pause {
                pause = PAUSE_MIN;
            }
            self.progress.pause(&why, pause);
            std::thread::sleep(pause);
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// One connection: compares the overlap, then appends what comes.
    fn follow(&mut self) -> Result<Infallible, Over> {
        let overlap = self
            .local
            .overlap()
            .map_err(|error| self.local_failed(&error))?;
        let connected = self.remote.connect();
        let stream =
            connected.map_err(|error| Over::Refused(self.about_server(&reason(&error))))?;
        let asked = self.remote.ask(&stream, overlap.start);
        asked.map_err(|error| self.lost(&error))?;
        self.open(&stream, &overlap)?;
        // Somebody who looks sees the rate go down to nothing; else nothing has to be done before
        // data comes.
        let tick = self.progress.is_shown().then_some(Progress::INTERVAL);
        stream
            .set_read_timeout(tick)
            .map_err(|error| self.lost(&error))?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match (&stream).read(&mut buffer) {
                Ok(0) => return Err(Over::Lost(self.about_server("connection closed"))),
                Ok(count) => self.append(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.progress.tick(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// Receives until it is clear how the connection begins, and appends what lies behind the
    /// overlap.
    fn open(&mut self, stream: &TcpStream, overlap: &Overlap) -> Result<(), Over> {
        // A file without a byte may stay so for days; its first bytes have to be judged soon all
        // the same, since an error is told from data by what follows it.
        let is_empty = overlap.bytes.is_empty();
        let mut deadline = (!is_empty).then(|| Instant::now() + PATIENCE);
        let mut received = Vec::new();
        let mut then = Then::Open;
        loop {
            match opening::judge(&overlap.bytes, &received, then) {
                Verdict::Wait => {}
                Verdict::Continue(rest) => return self.append(rest),
                Verdict::Differs(place) => {
                    let at = overlap.start + place as u64;
                    let path = self.path.display();
                    let why = format!("{path}: differs from the remote file at byte {at}");
                    return Err(Over::Stop(why));
                }
                Verdict::Refused(reason) => {
                    let why = self.about_server(&reason.escape_ascii().to_string());
                    let passes = opening::is_passing(reason);
                    return Err(if passes {
                        Over::Refused(why)
                    } else {
                        Over::Stop(why)
                    });
                }
                Verdict::Lost => return Err(Over::Lost(self.about_server("connection closed"))),
                Verdict::Short => {
                    let why = "remote file is shorter than the local one?";
                    return Err(Over::Stop(self.about_server(why)));
                }
            }
            let before = received.len();
            let result = receive(stream, &mut received, deadline);
            then = result.map_err(|error| self.lost(&error))?;
            if received.len() > before {
                deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let result = self.local.append(bytes);
        result.map_err(|error| self.local_failed(&error))?;
        self.progress.add(bytes.len());
        Ok(())
    }

    fn local_failed(&self, error: &io::Error) -> Over {
        Over::Stop(about(&self.path, error))
    }

    fn lost(&self, error: &io::Error) -> Over {
        Over::Lost(self.about_server(&reason(error)))
    }

    fn about_server(&self, what: &str) -> String {
        format!("{}: {what}", self.remote.address)
    }
}

/// Waits for more, up to the deadline.
fn receive(
    mut stream: &TcpStream,
    received: &mut Vec<u8>,
    deadline: Option<Instant>,
) -> io::Result<Then> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left == Some(Duration::ZERO) {
        return Ok(Then::Silence);
    }
    stream.set_read_timeout(left)?;
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => return Ok(Then::End),
        Ok(count) => received.extend_from_slice(&buffer[..count]),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(error) => return Err(error),
    }
    Ok(Then::Open)
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), reason(error))
}

/// Without the number that std puts behind it.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}
