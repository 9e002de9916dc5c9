//! The unit files in `examples/systemd`: systemd takes them as they are meant, little is left to the
//! service, and a server can live with that.

mod calls; // the unit's list of system calls, against those that are made
mod life; // what a server does between its start and its end

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{BINARY, Helper, Log, Server, bare, can_run, has_program, wait_until};

const ANALYZE: &str = "systemd-analyze";
const ACTIVATE: &str = "systemd-socket-activate";

/// Tenths, as `systemd-analyze security --threshold` has them.
const EXPOSURE_MAX: u32 = 15;
const EXPOSURE_WITH_SOCKET_MAX: u32 = 10;

/// What the unit leaves to the service: what the table of `security` shows with a cross. A newer
/// systemd may know more to take away, and then it should be.
const LEFT: [&str; 6] = [
    // Landlock does this by what is served.
    "RootDirectory=/RootImage=",
    // The lease, and what would take it away.
    "AmbientCapabilities=",
    "CapabilityBoundingSet=~CAP_LEASE",
    "PrivateUsers=",
    // The way to the service manager.
    "RestrictAddressFamilies=~AF_UNIX",
    // Comes with ProtectClock=, and cannot be opened without a right that is not there.
    "DeviceAllow=",
];
const LEFT_WITHOUT_SOCKET: [&str; 3] = [
    "RestrictAddressFamilies=~AF_(INET|INET6)",
    "PrivateNetwork=",
    // Loopback is allowed.
    "IPAddressDeny=",
];

/// From the first client's connect to its first byte.
const START_MAX: Duration = Duration::from_millis(100);
const STARTS_MAX: usize = 30;

/// The two ways in which they are installed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// The service alone, which binds its own addresses.
    Plain,
    /// With sendtail.socket, and with what the service does not need then.
    Socket,
}

#[test]
fn the_units_are_what_systemd_takes_for_right() {
    if !has_program(ANALYZE) {
        return;
    }
    for form in [Form::Plain, Form::Socket] {
        let units = installed(form);
        let mut command = Command::new(ANALYZE);
        // The manual page need not be installed here.
        command.args(["verify", "--man=no"]);
        command.args(
            fs::read_dir(units.path())
                .expect("it is ours")
                .filter_map(|entry| {
                    let path = entry.expect("it is ours").path();
                    path.is_file().then_some(path)
                }),
        );
        let output = command.output().expect("it is installed");
        let said = [&output.stdout[..], &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.success() && said.is_empty(),
            "{form:?}: {said}"
        );
    }
}

#[test]
fn little_is_left_to_the_service() {
    if !has_program(ANALYZE) {
        return;
    }
    for (form, most) in [
        (Form::Plain, EXPOSURE_MAX),
        (Form::Socket, EXPOSURE_WITH_SOCKET_MAX),
    ] {
        let units = installed(form);
        let mut command = Command::new(ANALYZE);
        command.args(["security", "--no-pager", "--offline=true"]);
        command.arg(format!("--threshold={most}"));
        command.arg(units.path().join("sendtail.service"));
        let output = command.output().expect("it is installed");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{form:?}: {table}");
        let crosses = table.lines().filter_map(|line| line.strip_prefix("✗ "));
        let left: BTreeSet<&str> = crosses.filter_map(|row| row.split(' ').next()).collect();
        let mut expected = BTreeSet::from(LEFT);
        if form == Form::Plain {
            expected.extend(LEFT_WITHOUT_SOCKET);
        }
        assert_eq!(left, expected, "{form:?}: {table}");
    }
}

/// What the service is started with is what a shell would make of it, and what the help knows.
#[test]
fn the_default_arguments_are_understood() {
    let default = fs::read_to_string(examples().join("sendtail.default"));
    let default = default.expect("it is part of the package");
    let commented = default
        .lines()
        .map(|line| line.trim_start_matches('#').trim());
    let arguments = commented.filter_map(|line| line.strip_prefix("SENDTAIL_ARGS=\""));
    let mut tried = 0;
    for line in arguments {
        let line = line.strip_suffix('"').expect("it is quoted");
        let words: Vec<&str> = line.split(' ').collect();
        // The version is printed only when all of it has been understood.
        let mut command = bare(&words, &[]);
        let output = command.arg("--version").output().expect("it is built");
        assert!(output.status.success(), "{line}: {output:?}");
        tried += 1;
    }
    assert!(tried >= 3, "{default}");
}

/// The one capability that the unit leaves is enough for the exact rule of when a rotated file is
/// finished, for a user who owns nothing.
#[test]
fn the_one_capability_is_enough() {
    #[rustfmt::skip]
    let confined = [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
        "--inh-caps=-all,+lease", "--ambient-caps=-all,+lease", "--bounding-set=-all,+lease",
    ];
    if !can_run(&[&confined[..], &["true"]].concat()) {
        return;
    }
    let log = Log::new("one\n");
    let open_to_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(log.directory.path(), open_to_all).expect("it is ours");
    // Where it was built, that user may not be able to look.
    let program = log.beside("sendtail");
    fs::copy(BINARY, &program).expect("there is room");
    let program = program.to_str().expect("it is ASCII").to_owned();
    let plain = Server::program(&[], &[&log.path]);
    let mut command = Command::new(confined[0]);
    command
        .args(&confined[1..])
        .arg(program)
        .args(plain.get_args());
    command
        .env_remove("RUST_LOG")
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::null());
    let server = Server::command(command);
    let mut client = server.reader("0\n", "one\n");
    fs::rename(&log.path, log.beside("log.1")).expect("it is ours");
    fs::write(&log.path, "two\n").expect("it is ours");
    client.expect(b"two\n");
    server.wait_for_log("no writer has it open");
}

/// The manager holds the sockets, and the first client starts the server: what it waits for is the
/// start. The units themselves add what systemd needs for their sandbox.
#[test]
fn who_starts_it_by_connecting_waits_for_a_moment() {
    if !has_program(ACTIVATE) {
        return;
    }
    let log = Log::new("one\n");
    let mut times = vec![];
    while times.len() < STARTS_MAX {
        let path = log.beside(&format!("socket{}", times.len()));
        let mut program = Command::new(ACTIVATE);
        program.arg("-l").arg(&path).arg(BINARY).arg(&log.path);
        program
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _manager = Helper::start(&mut program);
        wait_until("it listens", || path.exists());
        let start = Instant::now();
        // Between bind and listen the file is there and nobody can connect.
        let mut connected = UnixStream::connect(&path);
        wait_until("it can be connected to", || {
            if connected.is_err() {
                connected = UnixStream::connect(&path);
            }
            connected.is_ok()
        });
        let mut stream = connected.expect("it has just been seen");
        stream.write_all(b"0\n").expect("it is connected");
        stream.read_exact(&mut [0]).expect("it is served");
        times.push(start.elapsed());
        if times.iter().any(|time| *time < START_MAX) {
            return;
        }
    }
    panic!("{times:?}");
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd")
}

/// A directory with the units, and with the program where they look for it: `verify` wants it to be
/// there.
fn installed(form: Form) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room for tests");
    let mut files = vec!["sendtail.service"];
    if form == Form::Socket {
        let dropins = directory.path().join("sendtail.service.d");
        fs::create_dir(dropins).expect("the directory is ours");
        files.extend(["sendtail.socket", "sendtail.service.d/10-socket.conf"]);
    }
    for file in files {
        let text = fs::read_to_string(examples().join(file)).expect("it is part of the package");
        let text = text.replace("ExecStart=sendtail ", &format!("ExecStart={BINARY} "));
        fs::write(directory.path().join(file), text).expect("the directory is ours");
    }
    directory
}
