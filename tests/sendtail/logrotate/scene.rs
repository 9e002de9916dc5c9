//! A daemon that logs, a server, an `nc` that follows, and logrotate with its files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Helper, Log, Server, netcat, wait_until};

pub struct Scene {
    log: Log,
    server: Server,
    received: PathBuf,
    nc: Helper,
    daemon: Helper,
    daemon_pid: Pid,
}

const WRITER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/sendtail/logrotate/writer.py"
);

/// Between two rotations: some thousand lines.
const GROWTH_BYTES: u64 = 50_000;

impl Scene {
    pub fn new() -> Scene {
        let log = Log::new("");
        let server = log.server();
        let received = log.beside("received");
        let nc = netcat(&server, &received);
        let mut daemon = Command::new("python3");
        daemon.arg(WRITER).arg(&log.path).arg(log.directory.path());
        let daemon = Helper::start(daemon.stdin(Stdio::null()));
        let mut pid = 0;
        wait_until("the daemon logs", || {
            let text = fs::read_to_string(log.beside("pid")).unwrap_or_default();
            text.parse().is_ok_and(|number| {
                pid = number;
                true
            })
        });
        Scene {
            daemon_pid: Pid::from_raw(pid),
            log,
            server,
            received,
            nc,
            daemon,
        }
    }

    /// Of the log's directory.
    pub fn path(&self) -> String {
        self.log.directory.path().display().to_string()
    }

    pub fn wait_for_growth(&self) {
        wait_until("the log grows", || size(&self.log.path) > GROWTH_BYTES);
    }

    /// Until the server has opened the file that bears the name now.
    pub fn wait_for_server(&self) {
        wait_until("the server opens the file", || {
            self.server.has_open(&self.log.path)
        });
    }

    /// Rotates now, with this in the configuration.
    pub fn logrotate(&self, mode: &str) {
        let config = self.log.beside("rotate.conf");
        let text = format!(
            "\"{}\" {{\n rotate 99\n {mode}\n}}\n",
            self.log.path.display()
        );
        fs::write(&config, text).expect("the directory is ours");
        // Others may not write it, or it is refused.
        fs::set_permissions(&config, Permissions::from_mode(0o600)).expect("it is ours");
        let mut command = Command::new("logrotate");
        command
            .arg("-f")
            .arg("-s")
            .arg(self.log.beside("state"))
            .arg(config);
        let output = command.stdin(Stdio::null()).output();
        let output = output.expect("it is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        let already = said.contains("already exists, skipping rotation");
        assert!(output.status.success() || already, "{said}");
    }

    /// The older files, the oldest first.
    pub fn rotated_files(&self) -> Vec<PathBuf> {
        let directories = [self.log.directory.path().to_owned(), self.log.beside("old")];
        let listings = directories
            .iter()
            .filter_map(|path| fs::read_dir(path).ok());
        let files = listings
            .flatten()
            .map(|entry| entry.expect("it is there").path());
        let mut files: Vec<PathBuf> = files.filter(|path| age(path).is_some()).collect();
        files.sort_by_key(|path| age(path));
        files
    }

    // The daemon.

    pub fn signal(&self, signal: Signal) {
        kill(self.daemon_pid, signal).expect("it runs");
    }

    /// Until SIGCONT nothing is written.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.daemon_pid);
        wait_until("the daemon stands still", || {
            fs::read_to_string(&stat).expect("it runs").contains(") T ")
        });
    }

    // What comes of it.

    /// All that was written is where it belongs: in the files, each line once, and at `nc`.
    pub fn expect_files_put_together(mut self) {
        self.daemon.end(Signal::SIGTERM);
        let text = self.text();
        let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
        for (number, line) in lines {
            let expected = format!("line {number}\n");
            assert_eq!(String::from_utf8_lossy(line), expected, "lost by logrotate");
        }
        self.wait_for_nc();
        let received = fs::read(&self.received).expect("nc has made it");
        assert!(received == text, "{}", difference(&text, &received));
        for field in ["cut", "gaps", "missed", "late", "unverified"] {
            assert_eq!(self.server.totals(field), 0, "{field}");
        }
    }

    /// As many bytes as the files have now; nobody writes.
    pub fn wait_for_nc(&self) {
        let length = self.text().len() as u64;
        wait_until("nc has everything", || size(&self.received) >= length);
    }

    /// The lines came in order and once, and up to the end unless the log says otherwise. Some are
    /// missing at so many places at most.
    pub fn expect_order(mut self, gaps_max: usize) {
        self.daemon.end(Signal::SIGTERM);
        let rest = fs::read(&self.log.path).expect("it is there");
        wait_until("nc has the rest or its end", || {
            let received = fs::read(&self.received).expect("nc has made it");
            received.ends_with(&rest) || self.nc.has_ended()
        });
        let received = fs::read_to_string(&self.received).expect("lines");
        let numbers = received.split_inclusive('\n').map(|line| {
            let number = line
                .strip_prefix("line ")
                .and_then(|line| line.strip_suffix('\n'));
            let number = number.and_then(|number| number.parse().ok());
            number.unwrap_or_else(|| panic!("no line: {line:?}"))
        });
        let numbers: Vec<u64> = numbers.collect();
        assert_eq!(numbers.first(), Some(&0));
        assert!(numbers.is_sorted_by(|one, next| one < next), "not in order");
        let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1);
        let gaps = gaps.count();
        assert!(gaps <= gaps_max, "{gaps} gaps");
        let cut = self.nc.has_ended();
        assert_eq!(self.server.totals("cut"), u64::from(cut));
        if cut {
            let log = self.server.log();
            assert!(
                log.contains(" was truncated when it was at offset "),
                "{log}"
            );
        }
    }

    /// All files, the oldest first.
    fn text(&self) -> Vec<u8> {
        let mut text = vec![];
        for path in self.rotated_files() {
            text.extend(match path.extension() {
                Some(extension) if extension == "gz" => gunzip(&path),
                _ => fs::read(&path).expect("it is there"),
            });
        }
        text.extend(fs::read(&self.log.path).unwrap_or_default());
        text
    }
}

/// What rotated files are sorted by; none for other files.
fn age(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    if let Some(number) = name.strip_prefix("log.") {
        return number.parse::<i64>().ok().map(|number| -number);
    }
    let (_, seconds) = name.strip_prefix("log-")?.split_once('-')?;
    seconds.parse().ok()
}

fn gunzip(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(path).output();
    output.expect("it is installed").stdout
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn difference(expected: &[u8], received: &[u8]) -> String {
    let mut pairs = expected.iter().zip(received);
    let at = pairs.position(|(one, other)| one != other);
    let at = at.unwrap_or(expected.len().min(received.len()));
    let lengths = (expected.len(), received.len());
    let from = at.saturating_sub(60);
    let shown = received[from..received.len().min(at + 60)].escape_ascii();
    format!("{lengths:?} bytes, different at {at}: {shown}")
}
