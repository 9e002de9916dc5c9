//! Files that grow.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Server;

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
        Log::absent_in(&std::env::temp_dir())
    }

    /// The same below another directory.
    pub fn absent_in(parent: &Path) -> Log {
        let directory = tempfile::tempdir_in(parent).expect("there is room for tests");
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

/// Runs it below the default directory for temporary files and on tmpfs, at the same time.
pub fn on_each_file_system(test: impl Fn(&Path) + Sync) {
    let temporary = std::env::temp_dir();
    let test = &test;
    std::thread::scope(|scope| {
        for parent in [&*temporary, Path::new("/dev/shm")] {
            let thread = std::thread::Builder::new().name(parent.display().to_string());
            let started = thread.spawn_scoped(scope, move || test(parent));
            started.expect("a thread can be had");
        }
    });
}

/// One `write` with O_APPEND, as a logger does it; the file has to be there.
pub fn append(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().append(true).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(bytes).expect("there is room");
}

/// "line 0", "line 1" and so on: no two pieces of it are alike.
pub fn numbered_lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "line {number}").expect("a string takes everything");
        text
    })
}
