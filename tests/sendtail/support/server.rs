//! A server that is killed with its test, and what can be seen of it from outside.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::output::{Output, lock};
use super::{Client, DEADLINE, can_run, has_program, start, wait_until};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sendtail");

/// A running server. Dropping it kills it, and shows its log when the test has failed.
pub struct Server {
    child: Mutex<Child>,
    pid: Pid,
    stdout: Output,
    stderr: Output,
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
    /// directory. The wrapper and the server die together.
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

    /// One that gets no inotify watch, in a user namespace of its own; `None`: skipped.
    pub fn without_watches(paths: &[&Path]) -> Option<Server> {
        let script = r#"echo 0 >/proc/sys/user/max_inotify_watches && exec "$@""#;
        let wrapper = ["unshare", "--map-root-user", "sh", "-c", script, "sh"];
        let program = Server::program(&[], paths);
        let is_possible = can_run(&[&wrapper[..], &["true"]].concat());
        is_possible.then(|| Server::command(wrapped(&wrapper, &program)))
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

    /// The same by a user who owns none of the tests' files and may read them all: the kernel
    /// gives it no lease on them. Nothing if that cannot be had here: an owner has the right.
    pub fn without_lease_right(flags: &[&str], paths: &[&Path]) -> Option<Command> {
        #[rustfmt::skip]
        let stranger = [
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
        ];
        let possible = can_run(&[&stranger[..], &["true"]].concat());
        possible.then(|| wrapped(&stranger, &Server::program(flags, paths)))
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
        let (mut child, pid) = start(&mut command);
        Server {
            pid,
            stdout: Output::of(child.stdout.take().expect("it is piped")),
            stderr: Output::of(child.stderr.take().expect("it is piped")),
            child: Mutex::new(child),
        }
    }

    /// All of stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.since(0)
    }

    /// The addresses of the `listening` lines so far, in order.
    pub fn listening(&self) -> Vec<String> {
        let text = self.stdout.since(0);
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

    /// A client that has got what there is, and of which the server knows that it has.
    pub fn reader(&self, header: &str, content: impl AsRef<[u8]>) -> Client {
        let mut client = self.ask(header);
        client.expect(content.as_ref());
        // The turn that has sent it is over.
        self.totals("clients");
        client
    }

    /// All of stderr so far.
    pub fn log(&self) -> String {
        self.stderr.since(0)
    }

    /// How much there is of it: a place to read on from with `log_since`.
    pub fn log_length(&self) -> usize {
        self.stderr.end()
    }

    pub fn log_since(&self, place: usize) -> String {
        self.stderr.since(place)
    }

    /// Keeps only its end, about so many bytes, of a server that runs for long.
    pub fn forget_log(&self, keep_bytes: usize) {
        self.stderr.forget(keep_bytes);
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log says {text:?}"), || {
            complete_lines(&self.log()).any(|line| line.contains(text))
        });
    }

    pub fn has_ended(&self) -> bool {
        let status = lock(&self.child).try_wait().expect("it is our child");
        status.is_some()
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("the server is there to be signalled");
    }

    /// What happens meanwhile it sees in one look.
    pub fn while_stopped<T>(&self, action: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        wait_until("the server is stopped", || {
            let stat = std::fs::read_to_string(self.proc("stat")).expect("it is our child");
            stat.contains(") T ")
        });
        let done = action();
        self.signal(Signal::SIGCONT);
        done
    }

    /// Makes it look at everything, and waits until it has: what it has not seen by then, no event
    /// and no tick would show it.
    pub fn look(&self) {
        self.signal(Signal::SIGHUP);
        // They may come in the same turn as the signal, and before its look.
        for _ in 0..3 {
            self.totals("clients");
        }
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

    /// The time for which it has kept a core busy.
    pub fn cpu_time(&self) -> Duration {
        let text = std::fs::read_to_string(self.proc("schedstat")).expect("the server runs");
        let nanoseconds = text.split(' ').next().and_then(|field| field.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number"))
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

    /// Waits until nobody takes any more of the backlog, and gives the bytes sent until then.
    pub fn sent_until_full(&self) -> u64 {
        let mut sent = 0;
        wait_until("the sockets are full", || {
            sent = self.totals("sent");
            sent > 0 && sent == self.totals("sent")
        });
        sent
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

/// The loopback addresses that this machine has: a container may lack IPv6.
fn default_addresses() -> usize {
    1 + usize::from(TcpListener::bind("[::1]:0").is_ok())
}

fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.split('\n').filter(|line| !line.is_empty())
}
