//! WireGuard between two networks, with the README's configuration: the kernel's own, or
//! wireguard-go where that has none.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{block, commands, connect, expect_followed, start, text};
use crate::support::{
    Log, Server, can_run, has_program, in_a_network_with, ip, wait_until, wrapped,
};

/// In `$0`, with the configuration `$1` and the wire `$2` with the address `$3`. Only wireguard-go
/// needs the mount: it puts its socket where that of another network might be.
const SET_UP: &str = r#"
    cd "$0" && configuration=$1 wire=$2 outer=$3 && shift 3 || exit 1
    mount --make-rprivate / && mount -t tmpfs none /run && ip link set lo up || exit 1
    until ip link show "$wire" >/dev/null 2>&1; do sleep 0.01; done
    ip address add "$outer" dev "$wire" && ip link set "$wire" up || exit 1
    if ! ip link add wg0 type wireguard 2>/dev/null; then
        wireguard-go -f wg0 >/dev/null 2>&1 &
        until [ -S /run/wireguard/wg0.sock ]; do kill -0 $! || exit 1; sleep 0.01; done
    fi
    wg-quick strip "$PWD/$configuration/wg0.conf" >"$configuration/stripped" || exit 1
    wg setconf wg0 "$configuration/stripped" || exit 1
    inner=$(sed -n 's/^Address = //p' "$configuration/wg0.conf")
    ip address add "$inner" dev wg0 && ip link set wg0 up || exit 1
    exec "$@""#;

/// The other end of the README's: whoever made its keys would write this.
const READER: &str = "
[Interface]
Address = 10.9.0.2/24
PrivateKey = PRIVATE

[Peer]
PublicKey = PUBLIC
AllowedIPs = 10.9.0.1/32
Endpoint = 192.0.2.1:51820
";

/// A private key, and its public one.
fn key() -> (String, String) {
    let output = Command::new("wg")
        .arg("genkey")
        .output()
        .expect("it is installed");
    let private = String::from_utf8(output.stdout).expect("it is base64");
    let mut command = Command::new("wg");
    let command = command
        .arg("pubkey")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(private.as_bytes()).expect("it reads");
    drop(input);
    let public = child.wait_with_output().expect("it ends").stdout;
    let public = String::from_utf8(public).expect("it is base64");
    (private.trim().to_owned(), public.trim().to_owned())
}

fn configure(log: &Log, name: &str, text: &str) {
    let directory = log.beside(name);
    fs::create_dir(&directory).expect("the directory is ours");
    fs::write(directory.join("wg0.conf"), text).expect("the directory is ours");
}

fn is_possible() -> bool {
    let script = "ip link add wg0 type wireguard 2>/dev/null || command -v wireguard-go";
    has_program("wg")
        && has_program("wg-quick")
        && can_run(&["unshare", "--net", "--mount", "sh", "-c", script])
        && (Path::new("/dev/net/tun").exists() || Path::new("/sys/module/wireguard").exists())
}

#[test]
fn the_address_is_reached_through_the_tunnel_alone() {
    if !is_possible() {
        return;
    }
    in_a_network_with(&[], || {
        let log = Log::new(text());
        let ((our_private, our_public), (private, public)) = (key(), key());
        let theirs = block("; /etc/wireguard/wg0.conf").replace("; /etc", "# /etc");
        let theirs = theirs.replace("(this host's, from wg genkey)", &our_private);
        let theirs = theirs.replace("(a reader's, from wg pubkey)", &public);
        assert!(
            theirs.contains(&our_private) && theirs.contains(&public),
            "{theirs}"
        );
        configure(&log, "server", &theirs);
        let reader = READER
            .replace("PRIVATE", &private)
            .replace("PUBLIC", &our_public);
        configure(&log, "reader", &reader);
        let directory = log.directory.path().to_str().expect("it is ASCII");
        let command = commands("sendtail -b 10.9.0.1")[0];
        let flags: Vec<&str> = command.split_whitespace().skip(1).collect();
        let (_path, flags) = flags.split_last().expect("it has a path");
        let flags = [flags, &["-p", "4321"]].concat();
        let set_up = ["sh", "-c", SET_UP, directory];
        let outside = ["unshare", "--net", "--mount"];
        let wire = ["server", "wire1", "192.0.2.1/24"];
        let wrapper = [&outside[..], &set_up, &wire].concat();
        let server = Server::launch(wrapped(&wrapper, &Server::program(&flags, &[&log.path])));
        // Its network is another one as soon as `unshare` has become the shell.
        let name = format!("/proc/{}/ns/net", server.pid());
        let own = fs::read_link("/proc/thread-self/ns/net").expect("there is a /proc");
        wait_until("it has its network", || {
            fs::read_link(&name).is_ok_and(|its| its != own)
        });
        let pid = server.pid().to_string();
        ip(&[
            "link", "add", "wire2", "type", "veth", "peer", "name", "wire1", "netns", &pid,
        ]);
        let mut reader = Command::new("unshare");
        reader.arg("--mount").args(set_up);
        reader.args(["reader", "wire2", "192.0.2.2/24", "sleep", "1000"]);
        let _reader = start(&mut reader);
        wait_until("it listens", || server.listening() == ["10.9.0.1:4321"]);
        let client = connect("10.9.0.1:4321");
        // A tunnel's address is as good as its key.
        server.wait_for_log("10.9.0.2:");
        assert!(
            TcpStream::connect("192.0.2.1:4321").is_err(),
            "it is open to all"
        );
        expect_followed(client, &log, server);
    });
}
