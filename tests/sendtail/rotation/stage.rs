//! Plays one rotation to all kinds of clients at once: one that has everything, one that lags
//! behind, one that is stuck, and those that connect in between. What each has to receive follows
//! from what was written to which file; nothing is left to a test but to say what happens.

use std::path::Path;
use std::sync::LazyLock;

use nix::sys::signal::Signal;

use super::history::{Played, Reader};
use crate::support::{Log, Server, append, wait_until};

/// What the first file holds at the start, no two pieces of it alike: more than the kernel takes
/// for a client that does not read.
static BACKLOG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let numbers = 0..1_u64 << 20;
    numbers.flat_map(u64::to_be_bytes).collect()
});

/// What the lagging client reads at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A served log in the midst of a rotation.
pub struct Stage {
    pub log: Log,
    pub server: Server,
    /// The server can tell whether a writer has a file open.
    pub has_lease_right: bool,
    /// What follows the start in a header.
    asked: &'static str,
    /// All files that bore the name, oldest first.
    files: Vec<Played>,
    /// Those who read what there is at each `read`: the one that has everything, and newcomers.
    followers: Vec<Reader>,
    /// Reads a piece at each `read`.
    lagging: Reader,
    /// Reads at the end only.
    stuck: Reader,
    /// What was written after its file was left, and what those who are closed for that have
    /// missed, all of them together.
    late_bytes: u64,
    missed_bytes: u64,
}

/// Plays it on the default file system and on tmpfs, with the lease right and without, to clients
/// of a file PATH and of a directory PATH, and lets all clients read to the end.
pub fn play(flags: &[&str], scenario: impl Fn(&mut Stage) + Sync) {
    let scenario = &scenario;
    let memory = Path::new("/dev/shm");
    let temporary = std::env::temp_dir();
    std::thread::scope(|scope| {
        for (number, parent, has_lease_right) in [
            (0, memory, true),
            (1, memory, false),
            (2, &temporary, true),
            (3, &temporary, false),
        ] {
            let right = if has_lease_right { "with" } else { "without" };
            let name = format!("{}, {right} the lease right", parent.display());
            let thread = std::thread::Builder::new().name(name);
            let played = thread.spawn_scoped(scope, move || {
                // Each right meets each kind of PATH.
                let asked = ["", " log", " log", ""][number];
                if let Some(mut stage) = Stage::new(parent, has_lease_right, asked, flags) {
                    scenario(&mut stage);
                    stage.finish();
                }
            });
            played.expect("a thread can be had");
        }
    });
}

impl Stage {
    /// Nothing if such a server is not to be had here.
    fn new(
        parent: &Path,
        has_lease_right: bool,
        asked: &'static str,
        flags: &[&str],
    ) -> Option<Stage> {
        let directory = tempfile::tempdir_in(parent).expect("there is room for tests");
        let path = directory.path().join("log");
        let log = Log { directory, path };
        let served = if asked.is_empty() {
            &*log.path
        } else {
            log.directory.path()
        };
        let command = match has_lease_right {
            true => Server::program(flags, &[served]),
            false => Server::without_lease_right(flags, &[served])?,
        };
        let first = Played::new(&log.path, &BACKLOG);
        let server = Server::command(command);
        let [mut caught_up, lagging, stuck] = [(); 3].map(|()| {
            let client = server.ask(format!("0{asked}\n"));
            server.wait_for_request(&client);
            Reader::new(client, 0)
        });
        let files = vec![first];
        caught_up.read(&files, usize::MAX);
        server.sent_until_full();
        for reader in [&lagging, &stuck] {
            let offset = server.offset(&reader.client);
            assert!(offset < BACKLOG.len() as u64, "nobody is behind");
        }
        let followers = vec![caught_up];
        Some(Stage {
            log,
            server,
            has_lease_right,
            asked,
            files,
            followers,
            lagging,
            stuck,
            late_bytes: 0,
            missed_bytes: 0,
        })
    }

    // What happens to the files.

    /// Takes the name away.
    pub fn rename(&self, to: &str) {
        std::fs::rename(&self.log.path, self.log.beside(to)).expect("it is ours");
    }

    /// Takes the only name away.
    pub fn unlink(&self) {
        std::fs::remove_file(&self.log.path).expect("it is ours");
    }

    /// A new file of that name, and its writer.
    pub fn create(&mut self, text: &str) {
        let created = Played::new(&self.log.path, text.as_bytes());
        self.files.push(created);
    }

    /// The same under another name, which is then changed to the one that is followed.
    pub fn create_over(&mut self, text: &str) {
        let beside = self.log.beside("log.new");
        let created = Played::new(&beside, text.as_bytes());
        std::fs::rename(beside, &self.log.path).expect("it is ours");
        self.files.push(created);
    }

    /// To the file that was made last.
    pub fn write(&mut self, text: &str) {
        let newest = self.files.len() - 1;
        self.files[newest].write(text);
    }

    /// To the file before it.
    pub fn write_late(&mut self, text: &str) {
        self.write_to(self.files.len() - 2, text);
    }

    /// To one of all files that have borne the name: the first is 0.
    pub fn write_to(&mut self, file: usize, text: &str) {
        self.files[file].write(text);
    }

    /// The writer of the file that was made last closes it.
    pub fn close(&mut self) {
        self.close_file(self.files.len() - 1);
    }

    /// The writer of the file before it closes that.
    pub fn close_old(&mut self) {
        self.close_file(self.files.len() - 2);
    }

    pub fn close_file(&mut self, file: usize) {
        self.files[file].writer = None;
    }

    /// Somebody opens the old file, wherever it is by now.
    pub fn reopen_old(&mut self, name: &str) {
        let old = self.files.len() - 2;
        self.files[old].reopen(&self.log.beside(name));
        self.files[old].is_left = true;
    }

    /// From here on it is expected that the old file is left although a writer has it open.
    pub fn leave_old(&mut self) {
        let old = self.files.len() - 2;
        self.files[old].is_left = true;
    }

    /// From here on it is expected that nobody gets beyond the end of the file before this one,
    /// which was deleted too early.
    pub fn miss(&mut self, file: usize) {
        self.files[file].is_missing = true;
    }

    /// The server sees all of it at once.
    pub fn while_stopped(&mut self, scenario: impl FnOnce(&mut Stage)) {
        self.server.signal(Signal::SIGSTOP);
        let state = format!("/proc/{}/stat", self.server.pid());
        wait_until("it is stopped", || {
            let state = std::fs::read_to_string(&state).expect("it runs");
            state.contains(") T ")
        });
        scenario(self);
        self.server.signal(Signal::SIGCONT);
    }

    // What clients do.

    /// Somebody connects, and begins in the file that was made last: at its start with `0`, at its
    /// end with `-0`.
    pub fn newcomer(&mut self, start: &str) {
        self.connect(start);
        let newcomer = self.followers.last().expect("it has just come");
        self.server.wait_for_request(&newcomer.client);
    }

    /// The same, but nobody waits until the server knows of it.
    pub fn connect(&mut self, start: &str) {
        let client = self.server.ask(format!("{start}{}\n", self.asked));
        let newest = self.files.len() - 1;
        let mut reader = Reader::new(client, newest);
        if start == "-0" {
            reader.offset = self.files[newest].bytes.len();
        }
        self.followers.push(reader);
    }

    /// All but the stuck one read, and get what was written and nothing else.
    pub fn read(&mut self) {
        for follower in &mut self.followers {
            follower.read(&self.files, usize::MAX);
        }
        self.lagging.read(&self.files, PIECE_BYTES);
    }

    /// The followers are where they have read to, also if they had to move for that and got nothing.
    pub fn expect_moved(&self) {
        for follower in &self.followers {
            wait_until("they have moved", || {
                self.server.offset(&follower.client) == follower.offset as u64
            });
        }
    }

    /// The old file has grown by so many bytes after it was left: those who had passed over it are
    /// closed, each with a line in the log.
    pub fn expect_late(&mut self, late_bytes: usize) {
        let old = self.files.len() - 2;
        let offset = self.files[old].bytes.len() - late_bytes;
        let has_passed =
            |reader: &&mut Reader| reader.first <= old && reader.file > old && !reader.has_ended;
        for passed in self.followers.iter_mut().filter(has_passed) {
            passed.expect_end();
            self.missed_bytes += late_bytes as u64;
            let peer = passed.client.stream.local_addr().expect("it was connected");
            let path = self.log.path.display();
            self.server.wait_for_log(&format!(
                "{peer} closed: the old file of {path} grew late, at offset {offset}, \
                 {late_bytes} bytes missed"
            ));
        }
        self.late_bytes += late_bytes as u64;
    }

    /// The log says for each file that was left, in order, where it ended and why it was left.
    pub fn expect_switches(&self, rules: &[&str]) {
        let path = self.log.path.display();
        let expected = self.files.iter().zip(rules).map(|(file, rule)| {
            let end = file.bytes.len();
            format!("{path}: the old file is finished at {end} bytes ({rule});")
        });
        let expected: Vec<String> = expected.collect();
        let mut logged = vec![];
        wait_until(&format!("the log says {expected:#?}"), || {
            logged = self.switches();
            logged.len() >= expected.len()
        });
        assert_eq!(logged, expected);
    }

    /// What the log says of files that were left, without the clients' number. More than one a
    /// second go to the debug level.
    fn switches(&self) -> Vec<String> {
        let path = self.log.path.display().to_string();
        let log = self.server.log();
        let lines = log.lines().filter_map(|line| {
            let (switch, _) = line.split_once(" clients go on with the next")?;
            let (switch, _) = switch.rsplit_once(' ')?;
            Some(switch[switch.find(&path)?..].to_owned())
        });
        lines.collect()
    }

    /// The words of the rule that decides when a writer closes a file.
    pub fn closed(&self) -> &'static str {
        match self.has_lease_right {
            true => "no writer has it open",
            false => "its writer closed it",
        }
    }

    /// Everybody reads to the end; the totals say what was lost and nothing more; what nobody is in
    /// any more is let go; and nobody gets another byte.
    fn finish(mut self) {
        for file in &mut self.files {
            file.writer = None;
        }
        let newest = self.files.last_mut().expect("there is one");
        append(&self.log.path, b"the end\n");
        newest.bytes.extend_from_slice(b"the end\n");
        let mut clients = self.followers;
        clients.extend([self.lagging, self.stuck]);
        for client in &mut clients {
            client.read(&self.files, usize::MAX);
        }
        let server = &self.server;
        let cut = clients.iter().filter(|client| client.has_ended).count() as u64;
        let gaps = self.files.iter().filter(|file| file.is_missing).count() as u64;
        for (field, expected) in [
            ("cut", cut),
            ("gaps", gaps),
            ("missed", self.missed_bytes),
            ("late", self.late_bytes),
            ("unverified", 0),
            ("held", 0),
        ] {
            assert_eq!(server.totals(field), expected, "{field}");
        }
        if self.has_lease_right && cut < clients.len() as u64 {
            wait_until("the old files are let go", || {
                server.totals("segments") == 1
            });
            // The file and its directory.
            wait_until("the old files are not watched", || server.watches() == 2);
        }
        server.signal(Signal::SIGTERM);
        for client in &mut clients {
            client.client.expect_end();
        }
        drop(clients);
        assert!(server.wait().success());
    }
}
