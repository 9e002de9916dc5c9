//! What can be read inside: everything that may come to be where the PATHs are, and the places that
//! they lead to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::TEXT;
use crate::support::{Client, Log, Server, can_run, on_each_file_system, wait_until, wrapped};

/// A file's directory goes with all that is in it, and comes back with another file.
fn make_anew(directory: &Path, text: &str) {
    fs::remove_dir_all(directory).expect("it is ours");
    fs::create_dir(directory).expect("it is ours");
    fs::write(directory.join("log"), text).expect("it is ours");
}

#[test]
fn a_directory_that_is_made_anew_is_served() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        let directory = log.beside("directory");
        fs::create_dir(&directory).expect("it is ours");
        fs::write(directory.join("log"), TEXT).expect("it is ours");
        let file = Server::start(&[&directory.join("log")]);
        let tree = Server::start(&[&directory]);
        let mut clients = [file.ask("0\n"), tree.ask("0 log\n")];
        for client in &mut clients {
            client.expect(TEXT.as_bytes());
        }
        for round in 0..3 {
            let text = format!("round {round}\n");
            make_anew(&directory, &text);
            for client in &mut clients {
                client.expect(text.as_bytes());
            }
        }
        for server in [file, tree] {
            assert!(!server.log().contains("sandbox"), "{}", server.log());
        }
    });
}

#[test]
fn files_and_directories_that_come_later_are_served() {
    let log = Log::absent();
    let server = Server::start(&[log.directory.path()]);
    fs::create_dir_all(log.beside("a/b/c")).expect("the directory is ours");
    fs::write(log.beside("a/b/c/log"), TEXT).expect("the directory is ours");
    symlink("a/b", log.beside("link")).expect("the directory is ours");
    server.ask("0 a/b/c/log\n").expect(TEXT.as_bytes());
    server.ask("0 link/c/log\n").expect(TEXT.as_bytes());
    // From elsewhere, with all that is in it.
    let other = tempfile::tempdir().expect("there is room for tests");
    fs::create_dir(other.path().join("moved")).expect("it is ours");
    fs::write(other.path().join("moved/log"), "moved\n").expect("it is ours");
    fs::rename(other.path().join("moved"), log.beside("moved")).expect("one file system");
    server.ask("0 moved/log\n").expect(b"moved\n");
}

/// What leaves is followed to its end, and what is not there is not asked of the sandbox.
#[test]
fn a_file_that_leaves_its_directory_is_followed() {
    let log = Log::new(TEXT);
    let elsewhere = tempfile::tempdir().expect("there is room for tests");
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    let old = elsewhere.path().join("old");
    fs::rename(&log.path, &old).expect("one file system");
    crate::support::append(&old, b"late\n");
    client.expect(b"late\n");
    fs::write(&log.path, "new\n").expect("the directory is ours");
    client.expect(b"new\n");
    assert!(!server.log().contains("sandbox"), "{}", server.log());
}

/// A relative PATH is where the process stands, although others may not look for the way there.
#[test]
fn a_relative_path_below_a_closed_directory_is_served() {
    let log = Log::absent();
    let closed = log.beside("closed");
    let open = closed.join("open");
    fs::create_dir_all(&open).expect("the directory is ours");
    fs::write(open.join("log"), TEXT).expect("the directory is ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let stranger = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    if !can_run(&[&stranger[..], &["true"]].concat()) {
        return;
    }
    let mut program = wrapped(&stranger, &Server::program(&[], &[Path::new("log")]));
    program.current_dir(&open);
    Server::command(program).ask("0\n").expect(TEXT.as_bytes());
}

/// What would have to be allowed is not known yet.
#[test]
fn a_link_into_a_directory_to_come_is_said() {
    let log = Log::absent();
    let link = log.beside("link");
    let elsewhere = Log::absent_in(Path::new("/dev/shm"));
    symlink(elsewhere.beside("later/log"), &link).expect("the directory is ours");
    let server = Server::start(&[&link]);
    let link = link.display();
    server.wait_for_log(&format!(
        "sandbox: {link} leads into a directory that is not there: when it is made, a restart is \
         needed to serve it"
    ));
}

/// Where a link leads at the start: on another file system, with a directory of its own.
struct Linked {
    log: Log,
    other: Log,
    real: PathBuf,
}

impl Linked {
    fn new() -> Linked {
        let (log, other) = (Log::absent(), Log::absent_in(Path::new("/dev/shm")));
        let real = other.beside("real");
        fs::create_dir(&real).expect("the directory is ours");
        symlink(real.join("log"), &log.path).expect("the directory is ours");
        Linked { log, other, real }
    }
}

#[test]
fn the_real_file_of_a_link_rotates() {
    let linked = Linked::new();
    fs::write(linked.real.join("log"), TEXT).expect("the directory is ours");
    let server = linked.log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    for round in 0..3 {
        let old = linked.real.join(format!("log.{round}"));
        fs::rename(linked.real.join("log"), old).expect("the directory is ours");
        let text = format!("round {round}\n");
        fs::write(linked.real.join("log"), &text).expect("the directory is ours");
        client.expect(text.as_bytes());
    }
    make_anew(&linked.real, "anew\n");
    client.expect(b"anew\n");
    // Its neighbour is allowed for that, and may be switched to.
    let neighbour = linked.other.beside("neighbour");
    fs::create_dir(&neighbour).expect("the directory is ours");
    fs::write(neighbour.join("log"), "neighbour\n").expect("the directory is ours");
    switch(&linked.log.path, &neighbour.join("log"));
    client.expect(b"neighbour\n");
}

#[test]
fn a_link_to_what_is_not_there_yet_is_served_when_it_comes() {
    let linked = Linked::new();
    let server = linked.log.server();
    let mut client = server.ask("0\n");
    server.wait_for_request(&client);
    fs::write(linked.real.join("log"), TEXT).expect("the directory is ours");
    client.expect(TEXT.as_bytes());
}

#[test]
fn a_link_may_lead_to_wherever_another_path_is() {
    let (log, other) = (Log::absent(), Log::absent_in(Path::new("/dev/shm")));
    fs::create_dir(log.beside("a")).expect("the directory is ours");
    fs::write(log.beside("a/real"), "a\n").expect("the directory is ours");
    fs::write(other.beside("real"), "b\n").expect("the directory is ours");
    let link = log.beside("a/link");
    symlink("real", &link).expect("the directory is ours");
    let server = Server::start(&[&link, &other.path]);
    let mut client = server.ask("0 link\n");
    client.expect(b"a\n");
    for _ in 0..2 {
        switch(&link, &other.beside("real"));
        client.expect(b"b\n");
        fs::write(log.beside("a/new"), "a\n").expect("the directory is ours");
        fs::rename(log.beside("a/new"), log.beside("a/real")).expect("the directory is ours");
        switch(&link, Path::new("real"));
        client.expect(b"a\n");
        fs::write(other.beside("new"), "b\n").expect("the directory is ours");
        fs::rename(other.beside("new"), other.beside("real")).expect("the directory is ours");
    }
    assert!(!server.log().contains("by the sandbox"), "{}", server.log());
}

/// As Kubernetes switches `..data`.
#[test]
fn a_directory_link_is_switched_among_its_neighbours() {
    let log = Log::absent();
    for version in ["v1", "v2"] {
        fs::create_dir(log.beside(version)).expect("the directory is ours");
        fs::write(log.beside(version).join("log"), version).expect("the directory is ours");
    }
    let current = log.beside("current");
    symlink("v1", &current).expect("the directory is ours");
    let server = Server::start(&[&current.join("log")]);
    let mut client = server.ask("0\n");
    client.expect(b"v1");
    switch(&current, Path::new("v2"));
    client.expect(b"v2");
    // A directory in the place of the link.
    fs::remove_file(&current).expect("the directory is ours");
    fs::create_dir(&current).expect("the directory is ours");
    fs::write(current.join("log"), "v3").expect("the directory is ours");
    client.expect(b"v3");
}

/// The same where the link's own directory is not beside the one that it leads to.
#[test]
fn a_directory_may_take_the_place_of_a_link_to_elsewhere() {
    let (log, other) = (Log::absent(), Log::absent_in(Path::new("/dev/shm")));
    fs::create_dir(other.beside("v1")).expect("the directory is ours");
    fs::write(other.beside("v1/log"), "v1").expect("the directory is ours");
    let current = log.beside("current");
    symlink(other.beside("v1"), &current).expect("the directory is ours");
    let server = Server::start(&[&current.join("log")]);
    let mut client = server.ask("0\n");
    client.expect(b"v1");
    fs::remove_file(&current).expect("the directory is ours");
    fs::create_dir(&current).expect("the directory is ours");
    fs::write(current.join("log"), "v2").expect("the directory is ours");
    client.expect(b"v2");
}

/// The name leads there from now on; it is never absent.
fn switch(link: &Path, target: &Path) {
    let new = link.with_extension("new");
    symlink(target, &new).expect("the directory is ours");
    fs::rename(&new, link).expect("the directory is ours");
}

#[test]
fn sockets_in_a_directory_of_their_own_are_removed_at_the_end() {
    let log = Log::new(TEXT);
    let run = tempfile::tempdir().expect("there is room for tests");
    let paths = ["one", "two/three"].map(|name| run.path().join(name));
    fs::create_dir(run.path().join("two")).expect("the directory is ours");
    let flags = paths
        .each_ref()
        .map(|path| format!("unix:{}", path.display()));
    let server = Server::with(&["-b", &flags[0], "-b", &flags[1]], &[&log.path]);
    for path in &paths {
        let mut client = Client::unix(path);
        client.send(b"0\n");
        client.expect(TEXT.as_bytes());
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        paths.iter().all(|path| !path.exists()),
        "one is left behind"
    );
}

#[test]
fn relative_paths_are_those_of_the_working_directory() {
    let log = Log::new(TEXT);
    let mut program = Server::program(&["-b", "unix:socket"], &[Path::new("log")]);
    program.current_dir(log.directory.path());
    let server = Server::command(program);
    let path = log.beside("socket");
    let mut client = Client::unix(&path);
    client.send(b"0\n");
    client.expect(TEXT.as_bytes());
    fs::rename(&log.path, log.beside("log.1")).expect("the directory is ours");
    fs::write(&log.path, "new\n").expect("the directory is ours");
    client.expect(b"new\n");
    server.signal(Signal::SIGTERM);
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists(), "the socket is left behind");
}

/// A root of its own with all of this system's directories and `served`; `$0` is empty.
const OWN_ROOT: &str = r#"
    mount --make-rprivate / && mount -t tmpfs none "$0" && cd "$0" || exit 1
    for entry in /*; do
        name=${entry#/}
        if [ -L "$entry" ]; then ln -s "$(readlink "$entry")" "$name" || exit 1
        elif [ -d "$entry" ]; then mkdir "$name" && mount --rbind "$entry" "$name" || exit 1
        fi
    done
    mkdir served && printf 'one\ntwo\n' >served/log && cp served/log log || exit 1
    mkdir host && mount --bind . host || exit 1
    exec chroot . "$@""#;

/// A server that has such a root, and the root as it is seen from here.
fn with_own_root(path: &str) -> Option<(Server, PathBuf, Log)> {
    let log = Log::absent();
    let root = log.beside("root");
    fs::create_dir(&root).expect("the directory is ours");
    let directory = root.to_str().expect("it is ASCII");
    let wrapper = ["unshare", "--mount", "sh", "-c", OWN_ROOT, directory];
    if !can_run(&[&wrapper[..], &["true"]].concat()) {
        return None;
    }
    let program = Server::program(&[], &[Path::new(path)]);
    let server = Server::command(wrapped(&wrapper, &program));
    let root = PathBuf::from(format!("/proc/{}/root", server.pid()));
    Some((server, root, log))
}

/// The parent of the directory is all of the system: what is made anew there cannot be read.
#[test]
fn below_the_root_a_directory_that_is_made_anew_needs_a_restart() {
    // Rules are for inodes: a bind mount of the root is the root.
    for (path, header, directory) in [
        ("/served/log", "0\n", "/served"),
        ("/served", "0 log\n", "/served"),
        ("/host/served/log", "0\n", "/host/served"),
    ] {
        let Some((server, root, _log)) = with_own_root(path) else {
            return;
        };
        server.wait_for_log(&format!(
            "if {directory} is made anew or mounted over, a restart is needed to serve it: the \
             sandbox cannot let it read all of /"
        ));
        let mut client = server.ask(header);
        client.expect(TEXT.as_bytes());
        // Rotation is not concerned.
        let served = root.join("served");
        fs::rename(served.join("log"), served.join("log.1")).expect("it is ours");
        fs::write(served.join("log"), "new\n").expect("it is ours");
        client.expect(b"new\n");
        make_anew(&served, "anew\n");
        wait_until("it is said", || {
            server.look();
            let said = server.log();
            // Who asks below a directory is told, who waits for a file waits.
            said.contains("not permitted by the sandbox") || {
                server.ask(header);
                false
            }
        });
        client.expect_nothing();
    }
}

#[test]
fn a_file_in_the_root_itself_is_served() {
    let Some((server, root, _log)) = with_own_root("/log") else {
        return;
    };
    server.wait_for_log("warning: sandbox: / is served, so every file can be read");
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    fs::rename(root.join("log"), root.join("log.1")).expect("it is ours");
    fs::write(root.join("log"), "new\n").expect("it is ours");
    client.expect(b"new\n");
}
