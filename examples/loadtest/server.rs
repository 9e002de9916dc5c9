//! A server under test: found, started on its core, asked what it costs, killed in the end.

use crate::bench::Bench;
use crate::failure::{Failure, cannot};
use crate::slow_disk::SlowDisk;
use crate::throttle::Throttle;

use nix::time::ClockId;
use nix::unistd::Pid;

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Sendtail,
    BareLoop,
    /// `tail` itself, where a server has to be no slower than that. No server, of course.
    Tail,
    /// `tail -f`.
    TailF,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Contender::Sendtail => "sendtail",
            Contender::BareLoop => "bare loop",
            Contender::Tail => "tail",
            Contender::TailF => "tail -f",
        }
    }
}

/// Where the servers' executables are.
pub struct Binaries {
    sendtail: PathBuf,
    bare_loop: PathBuf,
}

const BUILD: [&str; 5] = ["build", "--bin", "sendtail", "--example", "bareloop"];
const PROFILE: &str = if cfg!(debug_assertions) {
    "--profile=dev"
} else {
    "--release"
};

impl Binaries {
    /// Looks beside this executable. Under `cargo run` they are built first: an old server that is
    /// measured by mistake is worse than none.
    pub fn find() -> Result<Binaries, Failure> {
        let ours = env::current_exe().map_err(cannot("find this executable"))?;
        let examples = ours.parent().unwrap_or(Path::new("."));
        let binaries = Binaries {
            sendtail: examples.parent().unwrap_or(examples).join("sendtail"),
            bare_loop: examples.join("bareloop"),
        };
        if let Some(cargo) = env::var_os("CARGO") {
            let built = Command::new(cargo)
                .args(BUILD)
                .args([PROFILE, "--quiet"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            if !built.map_err(cannot("run cargo"))?.success() {
                return Err(Failure::new("cannot build the servers"));
            }
        }
        for path in [&binaries.sendtail, &binaries.bare_loop] {
            if !path.exists() {
                return Err(Failure::new(format!(
                    "{} is missing: cargo {} {PROFILE}",
                    path.display(),
                    BUILD.join(" ")
                )));
            }
        }
        Ok(binaries)
    }
}

/// A running server of one file. Killed when dropped.
pub struct Server {
    pub contender: Contender,
    pub address: SocketAddr,
    process: Process,
    /// All its CPU time, to the nanosecond.
    cpu_clock: ClockId,
    /// Dropped after the process, for it cannot be removed before.
    _throttle: Option<Throttle>,
}

/// A server gets this long to begin, on a machine that is busy with other things.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that has nothing to do and is not asleep after this is not waited for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

impl Server {
    /// Returns once it listens.
    pub fn start(bench: &Bench, contender: Contender, file: &Path) -> Result<Server, Failure> {
        let (address, process) = match contender {
            Contender::Sendtail => {
                let mut command = Command::new(&bench.binaries.sendtail);
                command.args(["-p", "0", "-b", "127.0.0.1"]).arg(file);
                let mut process = Process::start(bench, command)?;
                (process.announced_address()?, process)
            }
            Contender::BareLoop => {
                let address = free_address()?;
                let mut command = Command::new(&bench.binaries.bare_loop);
                command.arg(address.port().to_string()).arg(file);
                let mut process = Process::start(bench, command)?;
                process.wait_for(address)?;
                (address, process)
            }
            Contender::Tail | Contender::TailF => return Err(Failure::new("tail is not a server")),
        };
        let pid = Pid::from_raw(process.child.id() as i32);
        let cpu_clock = ClockId::pid_cpu_clock_id(pid).map_err(cannot("find a CPU clock"))?;
        Ok(Server {
            contender,
            address,
            process,
            cpu_clock,
            _throttle: None,
        })
    }

    /// The same, with a disk that is slow for it.
    pub fn start_on(
        disk: Option<&SlowDisk>,
        bench: &Bench,
        contender: Contender,
        file: &Path,
    ) -> Result<Server, Failure> {
        let mut server = Server::start(bench, contender, file)?;
        if let Some(disk) = disk {
            server._throttle = Some(disk.throttle(server.process.child.id())?);
        }
        Ok(server)
    }

    /// CPU time it has taken until it fell asleep: seen from outside, the clock of a process that
    /// runs stands still between two ticks of the kernel, 4 ms or so.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !self.is_asleep()? && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(100));
        }
        let time = self.cpu_clock.now();
        Ok(time.map_err(cannot("read a CPU clock"))?.into())
    }

    /// Memory that nobody shares with it, in bytes.
    pub fn private_bytes(&self) -> Result<u64, Failure> {
        let kilobytes = self
            .proc("smaps_rollup")?
            .lines()
            .find_map(|line| line.strip_prefix("Private_Dirty:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse::<u64>().ok())
            .ok_or_else(|| Failure::new("smaps_rollup has no Private_Dirty"))?;
        Ok(kilobytes * 1024)
    }

    /// Descriptors it has open.
    pub fn descriptors(&self) -> Result<usize, Failure> {
        let path = self.process.proc("fd");
        let list = fs::read_dir(&path).map_err(cannot(format!("read {}", path.display())))?;
        Ok(list.count())
    }

    /// The state stands behind the name, which may itself have blanks and brackets.
    fn is_asleep(&self) -> Result<bool, Failure> {
        let stat = self.proc("stat")?;
        Ok(stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('S')))
    }

    fn proc(&self, name: &str) -> Result<String, Failure> {
        let path = self.process.proc(name);
        fs::read_to_string(&path).map_err(cannot(format!("read {}", path.display())))
    }
}

/// A child that does not outlive its owner, and what it has to say.
struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// What it says goes to files: nobody has to read a pipe.
    fn start(bench: &Bench, mut command: Command) -> Result<Process, Failure> {
        let [stdout, stderr] = ["server.stdout", "server.stderr"].map(|name| bench.path(name));
        let create =
            |path: &Path| File::create(path).map_err(cannot(format!("write {}", path.display())));
        command
            .stdin(Stdio::null())
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?);
        let child = bench.cores.start(&mut command)?;
        Ok(Process {
            child,
            stdout,
            stderr,
        })
    }

    /// What sendtail says once it listens: `listening 127.0.0.1:4321`.
    fn announced_address(&mut self) -> Result<SocketAddr, Failure> {
        self.wait_until(|process| {
            let said = fs::read_to_string(&process.stdout).ok()?;
            let (line, _) = said.split_once('\n')?;
            line.strip_prefix("listening ")?.parse().ok()
        })
    }

    /// For a server that does not say when it listens.
    fn wait_for(&mut self, address: SocketAddr) -> Result<(), Failure> {
        self.wait_until(|_| TcpStream::connect(address).ok())?;
        Ok(())
    }

    fn wait_until<T>(&mut self, ready: impl Fn(&Process) -> Option<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(value) = ready(self) {
                return Ok(value);
            }
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            if has_ended || Instant::now() > deadline {
                return Err(self.not_started());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn not_started(&self) -> Failure {
        let said = fs::read_to_string(&self.stderr).unwrap_or_default();
        let why = said.lines().last().unwrap_or("it said nothing");
        Failure::new(format!("a server does not listen: {why}"))
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody else may take the port before the server does: then that says so and ends.
fn free_address() -> Result<SocketAddr, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(cannot("find a free port"))
}
