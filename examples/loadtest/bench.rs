//! What every mode needs: options, cores, a place for files, and runs that take turns.

use crate::cores::Cores;
use crate::failure::{Failure, cannot};
use crate::options::Options;
use crate::sample::{self, LINE_BYTES, Sample};
use crate::server::{Binaries, Contender};
use crate::table::{Samples, Table};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tempfile::TempDir;

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Everything that outlives a run. The files go with it.
pub struct Bench {
    pub options: Options,
    pub cores: Cores,
    pub binaries: Binaries,
    directory: TempDir,
    /// SIGINT and the like: they end the test between two runs, so that what it made is removed.
    signals: SignalFd,
    has_terminal: bool,
}

/// Descriptors beside those of the clients, here or in a server.
const DESCRIPTORS_SPARE: u64 = 100;

impl Bench {
    pub fn new(options: Options) -> Result<Bench, Failure> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().map_err(cannot("block signals"))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&signals, flags).map_err(cannot("wait for signals"))?;
        // Not found out a quarter of an hour later.
        if let Some(plots) = &options.plots {
            fs::create_dir_all(plots).map_err(cannot(format!("make {}", plots.display())))?;
        }
        let binaries = Binaries::find()?;
        let place = options.dir.clone().unwrap_or_else(env::temp_dir);
        let directory = tempfile::Builder::new()
            .prefix("sendtail-loadtest-")
            .tempdir_in(&place)
            .map_err(cannot(format!("write to {}", place.display())))?;
        Ok(Bench {
            options,
            cores: Cores::claim()?,
            binaries,
            directory,
            signals,
            has_terminal: io::stderr().is_terminal(),
        })
    }

    /// What was measured where: figures mean nothing without it.
    pub fn description(&self) -> String {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let cpu = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, name)| name);
        let kernel = read("/proc/sys/kernel/osrelease");
        let build = match cfg!(debug_assertions) {
            true => " (debug build: the figures mean nothing)",
            false => "",
        };
        format!(
            "sendtail {}{build}, Linux {}, {cpu}; {}; medians of {} runs in turn (least-most)\n",
            env!("CARGO_PKG_VERSION"),
            kernel.trim_end(),
            self.cores,
            self.options.runs,
        )
    }

    /// A name in the directory that is removed at the end.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new file, cached.
    pub fn sample(&self, name: &str, bytes: u64) -> Result<Sample, Failure> {
        self.sample_at(self.path(name), bytes)
    }

    /// The same anywhere.
    pub fn sample_at(&self, path: PathBuf, bytes: u64) -> Result<Sample, Failure> {
        if bytes > LINE_BYTES {
            self.progress(&format!("writing {bytes} bytes"));
        }
        let sample = Sample::create(path, bytes).inspect_err(|_| self.progress(""))?;
        sample::warm(&sample.path)?;
        Ok(sample)
    }

    /// Makes room for `clients` descriptors here and, because limits are inherited, in servers.
    pub fn allow_descriptors(&self, clients: usize) -> Result<(), Failure> {
        let needed = clients as u64 + DESCRIPTORS_SPARE;
        let (soft, hard) = descriptor_limits()?;
        if soft >= needed {
            return Ok(());
        }
        // Only root may have more than the hard limit.
        setrlimit(Resource::RLIMIT_NOFILE, needed, needed.max(hard)).map_err(cannot(format!(
            "open {needed} descriptors, the limit is {hard}"
        )))
    }

    /// As many of `count` as there are descriptors for. Says so where they are fewer.
    pub fn afford(
        &self,
        count: usize,
        descriptors_each: usize,
        what: &str,
    ) -> Result<usize, Failure> {
        let Err(why) = self.allow_descriptors(count * descriptors_each) else {
            return Ok(count);
        };
        let (_, hard) = descriptor_limits()?;
        let fewer = hard.saturating_sub(DESCRIPTORS_SPARE) as usize / descriptors_each;
        self.allow_descriptors(fewer * descriptors_each)?;
        self.say(&format!("{fewer} {what} in place of {count}: {why}"));
        Ok(fewer)
    }

    /// Lets contenders take turns, and adds a row for each of the `figures` that `measure` returns:
    /// their names begin with `case`. A contender that cannot do the last ones returns fewer.
    pub fn compare(
        &self,
        table: &mut Table,
        contenders: &[Contender],
        case: &str,
        figures: &[&str],
        mut measure: impl FnMut(Contender) -> Result<Vec<f64>, Failure>,
    ) -> Result<(), Failure> {
        let mut samples = vec![vec![Samples::default(); contenders.len()]; figures.len()];
        for run in 1..=self.options.runs {
            for (side, &contender) in contenders.iter().enumerate() {
                self.check_signals()?;
                let runs = self.options.runs;
                self.progress(&format!(
                    "{case}: run {run} of {runs}, {}",
                    contender.name()
                ));
                let values = measure(contender).inspect_err(|_| self.progress(""))?;
                for (samples, value) in samples.iter_mut().zip(values) {
                    samples[side].push(value);
                }
            }
        }
        self.progress("");
        for (figure, samples) in figures.iter().zip(samples) {
            let cells = contenders.iter().copied().zip(samples);
            table.push(format!("{case}, {figure}"), cells);
        }
        Ok(())
    }

    /// One line for a person.
    pub fn say(&self, text: &str) {
        self.progress("");
        let _ = writeln!(io::stderr(), "loadtest: {text}");
    }

    fn check_signals(&self) -> Result<(), Failure> {
        match self.signals.read_signal() {
            Ok(Some(_)) => Err(Failure::new("interrupted")),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// One line on a terminal, each in place of the last one.
    fn progress(&self, text: &str) {
        if self.has_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

/// Soft and hard.
fn descriptor_limits() -> Result<(u64, u64), Failure> {
    getrlimit(Resource::RLIMIT_NOFILE).map_err(cannot("ask for the limit of descriptors"))
}
