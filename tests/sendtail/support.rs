//! What every test needs: a server that is killed with its test, clients that compare what they
//! read, and the one way to wait. Tests wait for facts; nothing here sleeps for luck.

mod programs;

pub use programs::{Helper, Tracer, bare, can_run, fails};

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sendtail");

/// How long a fact may take on a machine that is busy with other things; success returns at once.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it, and shows its log when the test has failed.
pub struct Server {
    child: Mutex<Child>,
    pid: Pid,
    stdout: Collector,
    stderr: Collector,
}

impl Server {
    /// On a free port of the default addresses, with `-v`.
    pub fn start(paths: &[&Path]) -> Server {
        Server::with(&[], paths)
    }

    /// The same with more flags before the paths; a `-p` among them replaces the free port.
    pub fn with(flags: &[&str], paths: &[&Path]) -> Server {
        let binds = flags
            .iter()
            .filter(|flag| ["-b", "--bind"].contains(*flag))
            .count();
        let expected = if binds > 0 {
            binds
        } else {
            default_addresses()
        };
        Server::spawn(Server::program(flags, paths), expected)
    }

    /// Any command line that ends up as a listening server: a wrapper, an environment, another
    /// directory. It is started in a process group of its own, so that the wrapper and the server
    /// die together.
    pub fn command(command: Command) -> Server {
        Server::spawn(command, 1)
    }

    /// The command that `with` runs, for tests that change it before they pass it to `command`.
    pub fn program(flags: &[&str], paths: &[&Path]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-v").args(flags);
        if !flags.iter().any(|flag| ["-p", "--port"].contains(flag)) {
            command.args(["-p", "0"]);
        }
        command.args(paths).stdin(Stdio::null());
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        command
    }

    /// The same without root's right to read every file; nothing if that cannot be had here.
    pub fn unprivileged(flags: &[&str], paths: &[&Path]) -> Option<Command> {
        let plain = Server::program(flags, paths);
        let me = std::fs::metadata("/proc/self").expect("there is a /proc");
        if me.uid() != 0 {
            return Some(plain);
        }
        let rights = "--bounding-set=-dac_override,-dac_read_search";
        has_program("setpriv").then(|| wrapped(&["setpriv", rights], &plain))
    }

    fn spawn(command: Command, addresses: usize) -> Server {
        let server = Server::launch(command);
        wait_until("the server listens", || {
            let ended = lock(&server.child).try_wait().expect("it is our child");
            assert!(ended.is_none(), "the server ended at start: {ended:?}");
            server.listening().len() >= addresses
        });
        server
    }

    /// Does not wait until it listens: for starts that are to fail, and a stdout that nobody can
    /// read.
    pub fn launch(mut command: Command) -> Server {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Server {
            pid: Pid::from_raw(child.id().try_into().expect("a pid fits")),
            stdout: Collector::of(child.stdout.take().expect("it is piped")),
            stderr: Collector::of(child.stderr.take().expect("it is piped")),
            child: Mutex::new(child),
        }
    }

    /// All of stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The addresses of the `listening` lines so far, in order.
    pub fn listening(&self) -> Vec<String> {
        let text = self.stdout.text();
        let lines = complete_lines(&text).filter_map(|line| line.strip_prefix("listening "));
        lines.map(str::to_owned).collect()
    }

    /// The first TCP address, which is the IPv4 one unless the flags say otherwise.
    pub fn address(&self) -> SocketAddr {
        let listening = self.listening();
        let mut addresses = listening.iter().filter_map(|text| text.parse().ok());
        addresses.next().expect("it listens on TCP")
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect_timeout(&self.address(), DEADLINE);
        Client::new(stream.expect("the server accepts"))
    }

    /// Connects and sends a header, or whatever else the client has to say.
    pub fn ask(&self, header: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect();
        client.send(header.as_ref());
        client
    }

    /// All of stderr so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log says {text:?}"), || {
            complete_lines(&self.log()).any(|line| line.contains(text))
        });
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("the server is there to be signalled");
    }

    /// Waits until it has ended; the log is complete then.
    pub fn wait(&self) -> ExitStatus {
        let mut status = None;
        wait_until("the server ends", || {
            status = lock(&self.child).try_wait().expect("it is our child");
            status.is_some()
        });
        wait_until("its output is read", || {
            self.stdout.is_complete() && self.stderr.is_complete()
        });
        status.expect("it has ended")
    }

    pub fn descriptors(&self) -> usize {
        let listing = std::fs::read_dir(self.proc("fd")).expect("the server runs");
        listing.count()
    }

    /// Whether this file is among its descriptors.
    pub fn has_open(&self, path: &Path) -> bool {
        let listing = std::fs::read_dir(self.proc("fd")).expect("the server runs");
        let mut targets = listing.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets.any(|target| target == path)
    }

    /// Its inotify watches, as the kernel counts them.
    pub fn watches(&self) -> usize {
        let listing = std::fs::read_dir(self.proc("fdinfo")).expect("the server runs");
        // A descriptor may be closed between the listing and the reading.
        let infos = listing.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        infos
            .map(|info| {
                let watches = info.lines().filter(|line| line.starts_with("inotify wd:"));
                watches.count()
            })
            .sum()
    }

    /// Private memory in bytes: what this process alone costs the machine. The kernel's `Private_`
    /// lines count the program's own pages as well, as long as no other server runs or when it has
    /// just been built.
    pub fn memory(&self) -> u64 {
        let rollup = std::fs::read_to_string(self.proc("smaps_rollup")).expect("the server runs");
        let mut lines = rollup.lines();
        let anonymous = lines.find_map(|line| line.strip_prefix("Anonymous:"));
        let kilobytes = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.expect("a size").parse().expect("a number");
        kilobytes * 1024
    }

    /// One field of the totals that SIGUSR1 logs, as they are now. One caller at a time.
    pub fn totals(&self, field: &str) -> u64 {
        let seen = self.totals_lines().len();
        self.signal(Signal::SIGUSR1);
        wait_until("the totals are logged", || self.totals_lines().len() > seen);
        let line = self.totals_lines().pop().expect("it has been seen");
        let value = line.split(", ").find_map(|part| {
            let (name, number) = part.rsplit_once(' ')?;
            (name == field).then(|| number.parse().expect("a field ends in a number"))
        });
        value.unwrap_or_else(|| panic!("no {field:?} in the totals: {line}"))
    }

    /// Waits until the server has read this client's header, which a client without data cannot
    /// see.
    pub fn wait_for_request(&self, client: &Client) {
        wait_until("the request is read", || {
            let has_asked = |line: &String| !line.contains("no request yet");
            self.reports(client).iter().any(has_asked) || {
                self.totals("clients");
                self.reports(client).iter().any(has_asked)
            }
        });
    }

    /// The place in the file up to which the server has sent to this client, as SIGUSR1 reports it
    /// now.
    pub fn offset(&self, client: &Client) -> u64 {
        let seen = self.reports(client).len();
        self.totals("clients");
        wait_until("the client is reported", || {
            self.reports(client).len() > seen
        });
        let report = self.reports(client).pop().expect("it has been seen");
        let offset = report.split_once(" offset ").and_then(|(_, rest)| {
            let digits = rest.split(',').next()?;
            digits.parse().ok()
        });
        offset.unwrap_or_else(|| panic!("no offset in {report}"))
    }

    /// The lines about one client that SIGUSR1 has logged so far: they follow the totals, a hundred
    /// a turn.
    fn reports(&self, client: &Client) -> Vec<String> {
        let address = client.stream.local_addr().expect("it is connected");
        let start = format!("client {address}: ");
        let log = self.log();
        let reports = complete_lines(&log).filter(|line| line.contains(&start));
        reports.map(str::to_owned).collect()
    }

    fn totals_lines(&self) -> Vec<String> {
        let log = self.log();
        let totals = complete_lines(&log).filter_map(|line| line.split_once("totals: "));
        totals.map(|(_, rest)| rest.to_owned()).collect()
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The group may be gone already; the child is reaped in any case.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = lock(&self.child).wait();
        if std::thread::panicking() {
            // Its last words may still be on their way through the pipe.
            for _ in 0..100 {
                if self.stderr.is_complete() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

/// A file that grows, alone in a directory of its own that goes with the test.
pub struct Log {
    pub directory: TempDir,
    pub path: PathBuf,
}

impl Log {
    pub fn new(content: impl AsRef<[u8]>) -> Log {
        let log = Log::absent();
        std::fs::write(&log.path, content).expect("the directory is ours");
        log
    }

    /// Only the name and its directory.
    pub fn absent() -> Log {
        let directory = tempfile::tempdir().expect("there is room for tests");
        let path = directory.path().join("log");
        Log { directory, path }
    }

    /// A file of this size that takes no room, with a last line of its own.
    pub fn sparse(bytes: u64, last_line: &str) -> Log {
        let log = Log::new("");
        let file = OpenOptions::new().write(true).open(&log.path);
        let ending = format!("\n{last_line}\n");
        let hole = bytes - ending.len() as u64;
        let file = file.expect("it has just been made");
        file.set_len(hole)
            .expect("the file system knows sparse files");
        file.write_all_at(ending.as_bytes(), hole)
            .expect("there is room");
        log
    }

    pub fn server(&self) -> Server {
        Server::start(&[&self.path])
    }

    pub fn append(&self, bytes: impl AsRef<[u8]>) {
        append(&self.path, bytes.as_ref());
    }

    /// Another name in the same directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// One `write` with O_APPEND, as a logger does it; the file has to be there.
pub fn append(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().append(true).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(bytes).expect("there is room");
}

/// Raises this process's descriptor limit, for tests with many clients; 1024 is a common default.
pub fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit it is allowed");
}

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

/// The same command behind a wrapper that ends with `exec`.
pub fn wrapped(wrapper: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer.args(&wrapper[1..]);
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// Polls until it holds, and fails with the text when it does not come to hold.
pub fn wait_until(awaited: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never came: {awaited}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Whether a program is installed. When it is not, the caller's test is skipped, which is said,
/// or fails where everything is meant to run.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| {
        let metadata = std::fs::metadata(directory.join(name));
        metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    });
    if !found {
        let all = std::env::var_os("SENDTAIL_TEST_ALL").is_some_and(|value| value == "1");
        assert!(!all, "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// The loopback addresses that this machine has: a container may lack IPv6.
fn default_addresses() -> usize {
    1 + usize::from(TcpListener::bind("[::1]:0").is_ok())
}

/// What a pipe has brought so far.
struct Collector {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collector {
    fn of(pipe: impl Read + Send + 'static) -> Collector {
        let text = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
            {
                lock(&collected).append(&mut line);
            }
        });
        Collector { text, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.text)).into_owned()
    }

    fn is_complete(&self) -> bool {
        self.reader.is_finished()
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

/// A failed test poisons its locks, and its `Drop` still wants the log.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.split('\n').filter(|line| !line.is_empty())
}

/// "line 0", "line 1" and so on: no two pieces of it are alike.
pub fn numbered_lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "line {number}").expect("a string takes everything");
        text
    })
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
