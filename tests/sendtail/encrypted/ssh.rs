//! `ssh -L`, to the port and to the unix socket, through an sshd of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{commands, connect, expect_followed, server, start, text};
use crate::support::{Helper, Log, can_run, has_program, in_a_network_with, wait_until};

/// It wants its directory where the system's own may have one: nobody else sees this one.
const DAEMON: &str = r#"
    mount --make-rprivate / && mount -t tmpfs none /run && mkdir -m 755 /run/sshd || exit 1
    exec "$(command -v sshd)" -D -e -f "$0/sshd_config""#;

const CONFIGURATION: &str = "
Port 2222
ListenAddress 127.0.0.1
HostKey DIRECTORY/host
AuthorizedKeysFile DIRECTORY/user.pub
PasswordAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
LogLevel ERROR
";

fn make_key(path: &Path) {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path);
    assert!(keygen.status().expect("it is installed").success());
}

/// An sshd, and what `ssh` has to be told to get to it.
fn daemon(log: &Log) -> (Helper, String) {
    let directory = log.beside("ssh");
    fs::create_dir(&directory).expect("the directory is ours");
    let [host, user, hosts] = ["host", "user", "hosts"].map(|name| directory.join(name));
    make_key(&host);
    make_key(&user);
    let shown = directory.display().to_string();
    let configuration = CONFIGURATION.replace("DIRECTORY", &shown);
    fs::write(directory.join("sshd_config"), configuration).expect("the directory is ours");
    let key = fs::read_to_string(host.with_extension("pub")).expect("it has just been made");
    fs::write(&hosts, format!("[127.0.0.1]:2222 {key}")).expect("the directory is ours");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", DAEMON])
        .arg(&directory);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    let daemon = start(&mut command);
    wait_until("sshd listens", || {
        std::net::TcpStream::connect("127.0.0.1:2222").is_ok()
    });
    let (user, hosts): (PathBuf, PathBuf) = (user, hosts);
    let options = format!(
        "-F none -p 2222 -i {} -o UserKnownHostsFile={} -o BatchMode=yes \
         -o ExitOnForwardFailure=yes root@127.0.0.1",
        user.display(),
        hosts.display()
    );
    (daemon, options)
}

#[test]
fn a_port_is_forwarded_from_a_port_and_from_a_socket() {
    let has_sshd = Path::new("/usr/sbin/sshd").exists() || has_program("sshd");
    if !has_program("ssh") || !has_sshd || !can_run(&["unshare", "--mount", "true"]) {
        return;
    }
    for command in commands("ssh -N -o") {
        in_a_network_with(&[], || {
            let log = Log::new(text());
            let (server, path) = server(&log);
            let (_daemon, options) = daemon(&log);
            // The far end is on this host, where the port is taken.
            let command = command
                .replace("-L 4321:", "-L 4320:")
                .replace("HOST", &options);
            let command = command.replace("/run/sendtail/sock", &path.display().to_string());
            let words: Vec<&str> = command.split_whitespace().collect();
            let _tunnel = start(Command::new(words[0]).args(&words[1..]));
            expect_followed(connect("127.0.0.1:4320"), &log, server);
        });
    }
}
