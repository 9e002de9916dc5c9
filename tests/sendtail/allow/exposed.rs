//! What is said at the start of who could read what: once, where it is so, and nowhere else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::TEXT;
use crate::support::{Log, Server, bare, can_run, in_a_network_with, inheriting, wrapped};

const ANY_HOST: &str = "can read what is served; --allow CIDR limits that";
const ANY_USER: &str = "any local user can read it; -b unix:PATH with --socket-mode limits that";

fn set_mode(path: &Path, mode: u32) {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).expect("it is ours");
}

/// A file that everybody can read.
fn public() -> Log {
    let log = Log::new(TEXT);
    set_mode(log.directory.path(), 0o755);
    set_mode(&log.path, 0o644);
    log
}

/// What a server says before it serves anybody.
fn said(flags: &[&str], paths: &[&Path]) -> String {
    let server = Server::command(bare(&[&["-p", "0"], flags].concat(), paths));
    // The totals come behind it.
    server.totals("clients");
    server.log()
}

/// The warnings of this kind.
fn warnings<'a>(said: &'a str, kind: &str) -> Vec<&'a str> {
    let lines = said.lines().filter(|line| line.contains(kind));
    let lines = lines.inspect(|line| {
        assert!(line.starts_with("sendtail: warning: "), "{line}");
    });
    lines.collect()
}

/// Fails unless it is warned of exactly this path, or of none.
#[track_caller]
fn expect_exposed(flags: &[&str], paths: &[&Path], exposed: Option<&Path>) {
    let said = said(flags, paths);
    let warnings = warnings(&said, ANY_USER);
    assert_eq!(
        warnings.len(),
        usize::from(exposed.is_some()),
        "{flags:?}: {said}"
    );
    if let Some(path) = exposed {
        let port = warnings[0].split("but through ").nth(1);
        let port = port
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or_default();
        assert!(port.starts_with("127.0.0.1:"), "{said}");
        let path = path.display();
        let expected = format!(
            "sendtail: warning: {path} is not readable by all users, but through {port} {ANY_USER}"
        );
        assert_eq!(warnings[0], expected);
    }
}

#[test]
fn a_public_file_is_nobodys_secret() {
    let log = public();
    expect_exposed(&[], &[&log.path], None);
    expect_exposed(&[], &[log.directory.path()], None);
    expect_exposed(&["-b", "127.0.0.1"], &[&log.path], None);
    // One that is still to come is no secret yet, whatever is beside it.
    fs::remove_file(&log.path).expect("it is ours");
    let beside = log.beside("beside");
    fs::write(&beside, TEXT).expect("the directory is ours");
    set_mode(&beside, 0o600);
    expect_exposed(&[], &[&log.path], None);
}

#[test]
fn a_file_that_is_not_for_all_is_exposed() {
    let log = public();
    for mode in [0o600, 0o640, 0o660, 0o601] {
        set_mode(&log.path, mode);
        expect_exposed(&[], &[&log.path], Some(&log.path));
        expect_exposed(&["-b", "127.0.0.1"], &[&log.path], Some(&log.path));
    }
    // All may read it, and neither its owner nor its group need it.
    set_mode(&log.path, 0o604);
    expect_exposed(&[], &[&log.path], None);
}

#[test]
fn a_file_below_a_closed_directory_is_exposed() {
    let log = Log::absent();
    set_mode(log.directory.path(), 0o755);
    let directory = log.beside("a/b");
    fs::create_dir_all(&directory).expect("the directory is ours");
    let file = directory.join("log");
    fs::write(&file, TEXT).expect("the directory is ours");
    for path in [log.beside("a"), directory.clone()] {
        set_mode(&path, 0o755);
    }
    set_mode(&file, 0o644);
    expect_exposed(&[], &[&file], None);
    for path in [
        directory.clone(),
        log.beside("a"),
        log.directory.path().into(),
    ] {
        for closed in [0o700, 0o750, 0o754] {
            set_mode(&path, closed);
            expect_exposed(&[], &[&file], Some(&file));
            expect_exposed(&[], &[&directory], Some(&directory));
        }
        // Who knows the name needs no list.
        set_mode(&path, 0o711);
        expect_exposed(&[], &[&file], None);
        set_mode(&path, 0o755);
    }
    // The whole way to it counts, however it is written.
    set_mode(&log.beside("a"), 0o700);
    let mut command = bare(&["-p", "0"], &[Path::new("log")]);
    command.current_dir(&directory);
    let server = Server::command(command);
    server.totals("clients");
    assert_eq!(
        warnings(&server.log(), ANY_USER).len(),
        1,
        "{}",
        server.log()
    );
}

#[test]
fn a_file_in_a_public_directory_that_is_not_for_all_is_exposed() {
    let log = public();
    let secret = log.beside("secret");
    fs::write(&secret, TEXT).expect("the directory is ours");
    set_mode(&secret, 0o640);
    expect_exposed(&[], &[log.directory.path()], Some(&secret));
    expect_exposed(&[], &[&log.path], None);
    // What cannot be asked for is not served.
    fs::rename(&secret, log.beside(".secret")).expect("the directory is ours");
    expect_exposed(&[], &[log.directory.path()], None);
    fs::create_dir(&secret).expect("the directory is ours");
    expect_exposed(&[], &[log.directory.path()], None);
    // A closed directory has something to hide.
    set_mode(&secret, 0o700);
    expect_exposed(&[], &[log.directory.path()], Some(&secret));
}

#[test]
fn who_names_nobody_that_could_connect_is_told_so() {
    let log = public();
    let unreachable = "--allow names nobody who could connect";
    let allowed: [(&[&str], usize); 4] = [
        (&["--allow", "198.51.100.0/24"], 1),
        (&["--allow", "198.51.100.0/24", "-b", "127.0.0.1"], 1),
        (&["--allow", "127.0.0.1"], 0),
        (&["--allow", "198.51.100.0/24", "-b", "0.0.0.0"], 0),
    ];
    for (flags, count) in allowed {
        let said = said(flags, &[&log.path]);
        assert_eq!(
            warnings(&said, unreachable).len(),
            count,
            "{flags:?}: {said}"
        );
    }
}

/// It is the real file that counts, and the PATH that is shown.
#[test]
fn where_a_link_leads_counts() {
    let log = public();
    let link = log.beside("link");
    symlink("log", &link).expect("the directory is ours");
    expect_exposed(&[], &[&link], None);
    set_mode(&log.path, 0o600);
    expect_exposed(&[], &[&link], Some(&link));
}

#[test]
fn of_several_one_is_named() {
    let (one, other) = (public(), public());
    set_mode(&other.path, 0o600);
    let renamed = other.beside("other");
    fs::rename(&other.path, &renamed).expect("the directory is ours");
    expect_exposed(&[], &[&one.path, &renamed], Some(&renamed));
    set_mode(&one.path, 0o600);
    let said = said(&[], &[&one.path, &renamed]);
    assert_eq!(warnings(&said, ANY_USER).len(), 1, "{said}");
}

/// Files that the server cannot read itself it serves to nobody.
#[test]
fn what_the_server_cannot_read_is_not_exposed() {
    let log = public();
    let secret = log.beside("secret");
    fs::write(&secret, TEXT).expect("the directory is ours");
    set_mode(&secret, 0o000);
    let stranger = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    if !can_run(&[&stranger[..], &["true"]].concat()) {
        return;
    }
    let program = bare(&["-p", "0"], &[log.directory.path()]);
    let server = Server::command(wrapped(&stranger, &program));
    server.totals("clients");
    assert_eq!(
        warnings(&server.log(), ANY_USER).len(),
        0,
        "{}",
        server.log()
    );
}

#[test]
fn whom_a_network_or_a_unix_socket_keeps_out_reads_nothing() {
    let log = public();
    set_mode(&log.path, 0o600);
    let secret = Some(&*log.path);
    for (network, exposed) in [
        ("198.51.100.0/24", None),
        ("2001:db8::/32", None),
        ("127.0.0.2", secret),
        ("127.0.0.0/8", secret),
        ("127.0.0.1", secret),
        ("0.0.0.0/0", secret),
        ("::1", secret),
    ] {
        expect_exposed(&["--allow", network], &[&log.path], exposed);
        let both = ["--allow", "198.51.100.0/24", "--allow", network];
        expect_exposed(&both, &[&log.path], exposed);
    }
    let unix = format!("unix:{}", log.beside("socket").display());
    expect_exposed(&["-b", &unix], &[&log.path], None);
    expect_exposed(&["-b", &unix, "-b", "127.0.0.1"], &[&log.path], secret);
    let quiet = Server::command(bare(&["-q", "-p", "0"], &[&log.path]));
    quiet.ask("0\n").expect(TEXT.as_bytes());
    assert_eq!(quiet.log(), "");
}

#[test]
fn a_port_that_is_open_to_others_is_said_unless_some_are_named() {
    let log = public();
    let path = log.beside("socket");
    let unix = format!("unix:{}", path.display());
    in_a_network_with(&["10.1.2.3/32"], || {
        let cases: [(&[&str], Option<&str>); 10] = [
            (&[], None),
            (&["-b", "127.9.9.9"], None),
            (&["-b", &unix], None),
            (&["-b", "0.0.0.0"], Some("0.0.0.0:")),
            (&["-b", "::"], Some("[::]:")),
            (&["-b", "0.0.0.0", "-b", "::"], Some("0.0.0.0:")),
            (
                &["-b", "127.0.0.1", "-b", &unix, "-b", "10.1.2.3"],
                Some("10.1.2.3:"),
            ),
            (&["-b", "0.0.0.0", "--allow", "10.0.0.0/8"], None),
            (&["-b", "0.0.0.0", "--allow", "0.0.0.0/0"], None),
            (&["-b", "10.1.2.3", "--allow", "127.0.0.1"], None),
        ];
        for (flags, address) in cases {
            let said = said(flags, &[&log.path]);
            let warnings = warnings(&said, ANY_HOST);
            assert_eq!(
                warnings.len(),
                usize::from(address.is_some()),
                "{flags:?}: {said}"
            );
            if let Some(address) = address {
                let expected = format!("sendtail: warning: any host that reaches {address}");
                assert!(warnings[0].starts_with(&expected), "{said}");
            }
            let is_local = !flags.contains(&"--allow") && address.is_none();
            assert_eq!(
                said.contains("serving this host only"),
                is_local,
                "{flags:?}: {said}"
            );
        }
    });
}

/// Who connects to an address of this host from this host does it from that address.
#[test]
fn a_network_that_this_host_is_in_lets_its_users_in() {
    let log = public();
    set_mode(&log.path, 0o600);
    in_a_network_with(&["10.1.2.3/32"], || {
        for (network, count) in [("10.1.0.0/16", 1), ("10.2.0.0/16", 0)] {
            let said = said(&["-b", "10.1.2.3", "--allow", network], &[&log.path]);
            assert_eq!(warnings(&said, ANY_USER).len(), count, "{network}: {said}");
        }
    });
}

#[test]
fn a_unix_socket_for_all_is_as_open_as_a_port() {
    let log = public();
    set_mode(&log.path, 0o600);
    let socket = log.beside("socket");
    let unix = format!("unix:{}", socket.display());
    for (mode, count) in [("666", 1), ("602", 1), ("660", 0)] {
        let said = said(&["-b", &unix, "--socket-mode", mode], &[&log.path]);
        assert_eq!(warnings(&said, ANY_USER).len(), count, "{mode}: {said}");
    }
    let closed = log.beside("closed");
    fs::create_dir(&closed).expect("the directory is ours");
    set_mode(&closed, 0o700);
    let unix = format!("unix:{}", closed.join("socket").display());
    let said = said(&["-b", &unix, "--socket-mode", "666"], &[&log.path]);
    assert_eq!(warnings(&said, ANY_USER).len(), 0, "{said}");
}

#[test]
fn inherited_sockets_count_like_bound_ones() {
    let log = public();
    set_mode(&log.path, 0o600);
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let server = Server::command(inheriting(&bare(&[], &[&log.path]), &[&listener]));
    server.totals("clients");
    let said = server.log();
    assert_eq!(warnings(&said, ANY_HOST).len(), 1, "{said}");
    assert_eq!(warnings(&said, ANY_USER).len(), 1, "{said}");
    drop(server);
    let socket = log.beside("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("it is ours");
    let server = Server::command(inheriting(&bare(&[], &[&log.path]), &[&listener]));
    server.totals("clients");
    let said = server.log();
    assert!(!said.contains("warning"), "{said}");
}

/// A name of the operator's can hold what it likes, and so can one of a stranger below it.
#[test]
fn a_strange_name_is_escaped() {
    let log = public();
    let name: PathBuf = log.beside("a\nsendtail: forged\x1b[31m");
    fs::write(&name, TEXT).expect("the directory is ours");
    set_mode(&name, 0o600);
    for path in [&*name, log.directory.path()] {
        let said = said(&[], &[path]);
        assert_eq!(warnings(&said, ANY_USER).len(), 1, "{said}");
        assert!(
            said.contains("a\\nsendtail: forged\\u{1b}[31m is not"),
            "{said}"
        );
        assert!(
            !said
                .lines()
                .any(|line| line.starts_with("sendtail: forged")),
            "{said}"
        );
    }
}
