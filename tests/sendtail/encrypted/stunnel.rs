//! stunnel before the server, with the README's configuration; the reader is `openssl s_client`, as
//! shown there, or another stunnel.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{block, commands, connect, expect_followed, expect_shown, server, start, text};
use crate::support::{Client, Helper, Log, has_program, in_a_network_with};

/// What a service has and a test does not want.
const GLOBAL: &str = "foreground = yes\npid =\nsyslog = no\ndebug = err\n";

const ANOTHER: &str = "
[sendtail]
client = yes
accept = 127.0.0.1:4320
connect = 127.0.0.1:4322
cert = DIRECTORY/reader.crt
key = DIRECTORY/reader.key
CAfile = DIRECTORY/sendtail.crt
verifyPeer = yes
";

fn is_possible() -> bool {
    ["stunnel", "openssl", "ip"]
        .map(has_program)
        .iter()
        .all(|has| *has)
}

/// A key and its certificate, as the README has them made.
fn make_certificate(directory: &Path, name: &str) {
    let start = super::README
        .find("openssl req ")
        .expect("the README says how");
    let command = super::README[start..]
        .split('`')
        .next()
        .expect("it is split");
    let command = command.replace('\n', " ").replace("NAME", name);
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(directory);
    let output = shell
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
}

fn stunnel(log: &Log, name: &str, service: &str) -> Helper {
    let directory = log.directory.path().display().to_string();
    let service = service
        .replace("/etc/stunnel", &directory)
        .replace("DIRECTORY", &directory);
    let path = log.beside(name);
    fs::write(&path, format!("{GLOBAL}{service}")).expect("the directory is ours");
    start(Command::new("stunnel").arg(&path))
}

/// The README's stunnel before this address; `reader` may connect.
fn before(log: &Log, address: &str) -> Helper {
    make_certificate(log.directory.path(), "sendtail");
    make_certificate(log.directory.path(), "reader");
    fs::copy(log.beside("reader.crt"), log.beside("readers.crt")).expect("it is there");
    let service = block("; /etc/stunnel/sendtail.conf");
    let connect = "\nconnect = 127.0.0.1:4321\n";
    assert!(service.contains(connect), "{service}");
    let service = service.replace(connect, &format!("\nconnect = {address}\n"));
    let stunnel = stunnel(log, "server.conf", &service);
    drop(super::connect("127.0.0.1:4322"));
    stunnel
}

#[test]
fn the_readers_command_shows_what_is_written() {
    if !is_possible() {
        return;
    }
    in_a_network_with(&[], || {
        for by_socket in [false, true] {
            let log = Log::new(text());
            let (server, path) = server(&log);
            let address = match by_socket {
                true => path.display().to_string(),
                false => "127.0.0.1:4321".to_owned(),
            };
            let _stunnel = before(&log, &address);
            let script = commands("echo -10 | openssl s_client")[0];
            let script = script
                .replace("HOST", "127.0.0.1")
                .replace("NAME", "reader");
            expect_shown(&script, &log, server);
        }
    });
}

#[test]
fn another_stunnel_makes_a_port_of_it() {
    if !is_possible() {
        return;
    }
    in_a_network_with(&[], || {
        for by_socket in [false, true] {
            let log = Log::new(text());
            let (server, path) = server(&log);
            let address = match by_socket {
                true => path.display().to_string(),
                false => "127.0.0.1:4321".to_owned(),
            };
            let _stunnel = before(&log, &address);
            let _another = stunnel(&log, "reader.conf", ANOTHER);
            expect_followed(connect("127.0.0.1:4320"), &log, server);
        }
    });
}

/// With a certificate that is not listed, without one, and without TLS.
#[test]
fn who_has_no_certificate_reads_nothing() {
    if !is_possible() {
        return;
    }
    in_a_network_with(&[], || {
        let log = Log::new("secret\n");
        let (server, _path) = server(&log);
        let _stunnel = before(&log, "127.0.0.1:4321");
        make_certificate(log.directory.path(), "stranger");
        let script = commands("echo -10 | openssl s_client")[0];
        let script = script.replace("HOST", "127.0.0.1");
        let without = script.replace(" -cert NAME.crt -key NAME.key", "");
        assert_ne!(without, script);
        for script in [script.replace("NAME", "stranger"), without] {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &script])
                .current_dir(log.directory.path());
            let output = shell
                .stdin(Stdio::null())
                .output()
                .expect("there is a shell");
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(!shown.contains("secret"), "{script}: {shown}");
            assert!(!output.status.success(), "{script}: {shown}");
        }
        let mut plain: Client = connect("127.0.0.1:4322");
        plain.send(b"0\n");
        plain.half_close();
        let mut received = vec![];
        let _ = std::io::Read::read_to_end(&mut plain.stream, &mut received);
        assert!(!received.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(server.totals("sent"), 0);
    });
}
