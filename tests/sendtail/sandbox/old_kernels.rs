//! Kernels that have no sandbox to offer, or only a part of it: it is said, and all is served.

use std::fs;
use std::os::unix::fs::symlink;

use super::TEXT;
use crate::support::{Log, Server, has_program, wrapped};

/// A server whose kernel gives this answer to the first question after Landlock, or to all of them,
/// and its file.
fn server_on(kernel: &str) -> (Server, Log) {
    let log = Log::new(TEXT);
    let wrapper = [
        "strace",
        "-o",
        "/dev/null",
        "-e",
        "trace=landlock_create_ruleset",
        "-e",
        kernel,
    ];
    let program = Server::program(&["-b", "127.0.0.1"], &[&log.path]);
    let server = Server::command(wrapped(&wrapper, &program));
    (server, log)
}

#[test]
fn without_landlock_it_serves_without_a_sandbox() {
    if !has_program("strace") {
        return;
    }
    // It is not built in, or turned off at boot (landlock(7)).
    for error in ["ENOSYS", "EOPNOTSUPP"] {
        let (server, log) = server_on(&format!("inject=landlock_create_ruleset:error={error}"));
        server.wait_for_log("sendtail: no sandbox: Landlock is not to be had here");
        let mut client = server.ask("0\n");
        client.expect(TEXT.as_bytes());
        log.append("three\n");
        client.expect(b"three\n");
        // Nothing is called the sandbox's fault.
        fs::remove_file(&log.path).expect("it is ours");
        symlink("/etc/passwd", &log.path).expect("the directory is ours");
        client.expect(&fs::read("/etc/passwd").expect("every system has it"));
    }
}

#[test]
fn with_a_part_of_landlock_files_are_kept_safe() {
    if !has_program("strace") {
        return;
    }
    // The first version, Linux 5.13: files, without TCP, signals and abstract sockets.
    let (server, log) = server_on("inject=landlock_create_ruleset:retval=1:when=1");
    server.wait_for_log("sendtail: sandbox: this kernel enforces a part of it");
    let mut client = server.ask("0\n");
    client.expect(TEXT.as_bytes());
    log.append("three\n");
    client.expect(b"three\n");
    fs::remove_file(&log.path).expect("it is ours");
    symlink("/etc/passwd", &log.path).expect("the directory is ours");
    server.wait_for_log("not permitted by the sandbox");
    client.expect_nothing();
}

/// Whatever else goes wrong there is no way to serve without it.
#[test]
fn a_kernel_that_has_it_and_refuses_is_a_failure() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let socket = log.beside("socket");
    let unix = format!("unix:{}", socket.display());
    for (call, error) in [
        ("landlock_restrict_self", "EPERM"),
        ("landlock_restrict_self", "E2BIG"),
        ("prctl", "EINVAL"),
    ] {
        let traced = format!("trace={call}");
        let inject = format!("inject={call}:error={error}");
        let wrapper = ["strace", "-o", "/dev/null", "-e", &traced, "-e", &inject];
        let program = crate::support::bare(&["-b", &unix], &[&log.path]);
        let server = Server::launch(wrapped(&wrapper, &program));
        assert_eq!(server.wait().code(), Some(1), "{call}: {}", server.log());
        let said = server.log();
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(
                "sendtail: cannot enter the sandbox, which --no-sandbox does without: "
            ),
            "{said}"
        );
        assert!(!said.contains("os error"), "{said}");
        assert_eq!(server.listening().len(), 0);
        assert!(!socket.exists(), "the socket is left behind");
    }
}
