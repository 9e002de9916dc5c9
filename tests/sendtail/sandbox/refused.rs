//! What a later link leads to outside is not served, and the log says why; without a sandbox the
//! same is served, as it always was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::TEXT;
use crate::support::{Log, Server, wait_until};

/// Outside of all that is served; everybody may read it.
const OUTSIDE: &str = "/etc/passwd";

fn outside() -> Vec<u8> {
    fs::read(OUTSIDE).expect("every system has it")
}

/// The name leads there from now on; it is never absent.
fn lead(path: &Path, target: impl AsRef<Path>) {
    let new = path.with_extension("new");
    symlink(target, &new).expect("the directory is ours");
    fs::rename(&new, path).expect("the directory is ours");
}

#[test]
fn a_file_that_becomes_a_link_to_outside_is_waited_for() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    lead(&log.path, OUTSIDE);
    let path = log.path.display();
    let expected = format!(
        "sendtail: warning: cannot open {path}: not permitted by the sandbox: a restart is needed, \
             or --no-sandbox; waiting"
    );
    server.wait_for_log(&expected);
    // Who comes now gets nothing either, and both get what comes next.
    let mut late = server.ask("0\n");
    server.wait_for_request(&late);
    server.look();
    client.expect_nothing();
    late.expect_nothing();
    fs::write(log.beside("inside"), "inside\n").expect("the directory is ours");
    lead(&log.path, log.beside("inside"));
    client.expect(b"inside\n");
    late.expect(b"inside\n");
}

#[test]
fn without_a_sandbox_a_link_to_outside_is_served() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--no-sandbox"], &[&log.path]);
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    lead(&log.path, OUTSIDE);
    client.expect(&outside());
    server.ask("0\n").expect(&outside());
}

/// The operator's own link, there at the start, is no reason to be refused.
#[test]
fn a_link_that_was_there_at_the_start_is_served() {
    let log = Log::absent();
    symlink(OUTSIDE, &log.path).expect("the directory is ours");
    let server = log.server();
    server.ask("0\n").expect(&outside());
}

#[test]
fn a_chain_of_links_to_outside_is_no_way_around() {
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    symlink("/etc", log.beside("directory")).expect("the directory is ours");
    symlink("directory/passwd", log.beside("second")).expect("the directory is ours");
    lead(&log.path, "second");
    server.wait_for_log("not permitted by the sandbox");
    server.look();
    client.expect_nothing();
}

#[test]
fn a_directory_that_becomes_a_link_to_outside_serves_nothing() {
    for (flags, expected) in [(&[][..], None), (&["--no-sandbox"], Some(outside()))] {
        let log = Log::absent();
        let root = log.beside("root");
        fs::create_dir(log.beside("v1")).expect("the directory is ours");
        fs::write(log.beside("v1/log"), TEXT).expect("the directory is ours");
        symlink("v1", &root).expect("the directory is ours");
        let server = Server::with(flags, &[&root]);
        server.ask("0 log\n").expect(TEXT.as_bytes());
        lead(&root, "/etc");
        let mut client = server.ask("0 passwd\n");
        match expected {
            Some(text) => client.expect(&text),
            None => {
                client.expect_error("no such file");
                let from = client.stream.local_addr().expect("it is connected");
                let why = "not permitted by the sandbox";
                server.wait_for_log(&format!("{from} refused: no such file: passwd: {why}"));
            }
        }
    }
}

/// What the permissions forbid they forbid with and without a sandbox.
#[test]
fn permissions_are_not_called_the_sandboxs_fault() {
    let log = Log::new(TEXT);
    fs::write(log.beside("closed"), TEXT).expect("the directory is ours");
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(log.beside("closed"), closed).expect("it is ours");
    let Some(command) = Server::unprivileged(&[], &[log.directory.path()]) else {
        return;
    };
    let server = Server::command(command);
    server.ask("0 log\n").expect(TEXT.as_bytes());
    server.ask("0 closed\n").expect_error("no such file");
    server.wait_for_log("refused: no such file: closed: Permission denied");
    assert!(!server.log().contains("sandbox"), "{}", server.log());
}

/// It needs no right that root has.
#[test]
fn an_ordinary_users_server_is_confined_too() {
    let log = Log::new(TEXT);
    let Some(command) = Server::without_lease_right(&[], &[&log.path]) else {
        return;
    };
    let server = Server::command(command);
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    lead(&log.path, OUTSIDE);
    server.wait_for_log("not permitted by the sandbox");
    server.look();
    client.expect_nothing();
}

/// One line a second, however often it is tried.
#[test]
fn it_is_said_once_a_second_at_most() {
    let log = Log::new(TEXT);
    let root = log.beside("root");
    fs::create_dir(log.beside("v1")).expect("the directory is ours");
    symlink("v1", &root).expect("the directory is ours");
    let server = Server::command(crate::support::bare(&["-p", "0"], &[&root]));
    lead(&root, "/etc");
    let start = std::time::Instant::now();
    for _ in 0..30 {
        server.ask("0 passwd\n").expect_error("no such file");
    }
    wait_until("all are counted", || server.totals("refused") == 30);
    let seconds = start.elapsed().as_secs() as usize;
    let said = server.log();
    let count = said.matches("by the sandbox").count();
    assert!(
        (1..=seconds + 2).contains(&count),
        "{count} in {seconds} s: {said}"
    );
}
