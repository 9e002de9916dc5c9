//! nginx and HAProxy in front, with the configurations of `examples/proxies` as they stand, but for
//! the directory of their files: TLS, HTTP/2, a password, and each line at once.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::programs::{Following, run};
use crate::support::{
    Helper, Log, Server, has_program, in_a_network_with, numbered_lines, wait_until,
};

const NGINX: &str = include_str!("../../../examples/proxies/nginx.conf");
const HAPROXY: &str = include_str!("../../../examples/proxies/haproxy.cfg");

/// What nginx has around the file, and what a test has not.
const AROUND: &str = "
    USER daemon off; worker_processes 1; pid DIRECTORY/nginx.pid;
    error_log DIRECTORY/error.log; events { worker_connections 64; }
    http {
        access_log off;
        client_body_temp_path DIRECTORY/body; proxy_temp_path DIRECTORY/proxy;
        fastcgi_temp_path DIRECTORY/fastcgi; uwsgi_temp_path DIRECTORY/uwsgi;
        scgi_temp_path DIRECTORY/scgi;
        include DIRECTORY/sendtail.conf;
    }";

/// Beside the log: nothing that is served.
fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).expect("the directory is ours");
}

/// A certificate for the name, and the hash of the password `secret`.
fn secrets(directory: &Path) -> String {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=logs.example \
            -addext subjectAltName=DNS:logs.example -keyout sendtail.key -out sendtail.crt &&
        cat sendtail.crt sendtail.key >sendtail.pem && openssl passwd -6 secret";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(directory);
    let output = shell
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let hash = String::from_utf8(output.stdout).expect("it is ASCII");
    hash.trim().to_owned()
}

/// One command line that ends up as a proxy on port 443.
fn start(command: &mut Command) -> Helper {
    let mut proxy = Helper::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
    wait_until("the proxy listens", || {
        assert!(!proxy.has_ended(), "the proxy has ended");
        TcpStream::connect("127.0.0.1:443").is_ok()
    });
    proxy
}

fn nginx(directory: &Path) -> Helper {
    let here = directory.display().to_string();
    let hash = secrets(directory);
    write(directory, "sendtail.users", &format!("reader:{hash}\n"));
    let config = NGINX
        .replace("/etc/ssl", &here)
        .replace("/etc/nginx", &here);
    write(directory, "sendtail.conf", &config);
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let around = AROUND.replace("DIRECTORY", &here);
    let around = around.replace("USER", if root { "user root;" } else { "" });
    write(directory, "nginx.conf", &around);
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory)
        .arg("-e")
        .arg(directory.join("error.log"));
    start(command.arg("-c").arg(directory.join("nginx.conf")))
}

fn haproxy(directory: &Path) -> Helper {
    let here = directory.display().to_string();
    let hash = secrets(directory);
    let config = HAPROXY
        .replace("/etc/ssl", &here)
        .replace("$6$PASSWORD", &hash);
    write(directory, "haproxy.cfg", &config);
    let mut command = Command::new("haproxy");
    start(
        command
            .args(["-db", "-q", "-f"])
            .arg(directory.join("haproxy.cfg")),
    )
}

/// What a reader types, but for the name, which no name server knows.
fn curl(directory: &Path, flags: &str, target: &str) -> String {
    let directory = directory.display();
    format!(
        "curl -sSN --resolve logs.example:443:127.0.0.1 --cacert {directory}/sendtail.crt \
         -u reader:secret {flags} 'https://logs.example{target}'"
    )
}

fn in_front(program: &str, proxy: fn(&Path) -> Helper, passes_trailers: bool) {
    if !["ip", "curl", "openssl", program]
        .map(has_program)
        .iter()
        .all(|has| *has)
    {
        return;
    }
    in_a_network_with(&[], || {
        let content = numbered_lines(100_000);
        let log = Log::new(&content);
        let secrets = tempfile::tempdir().expect("there is room for tests");
        let flags = ["-p", "4321", "--host", "logs.example"];
        let server = Server::with(&flags, &[log.directory.path()]);
        let _proxy = proxy(secrets.path());
        let curl = |flags: &str, target: &str| curl(secrets.path(), flags, target);
        let fetched = |flags: &str, target: &str| run(&server, &curl(flags, target)).ok();
        wait_until("it reaches the server", || {
            fetched("", "/-/healthy") == "ok\n"
        });
        for version in ["--http1.1", "--http2"] {
            assert!(fetched(version, "/log") == content, "{version}");
            assert_eq!(
                fetched(&format!("{version} -r 5-9"), "/log"),
                content[5..10]
            );
            assert_eq!(fetched(version, "/log?grep=99999"), "line 99999\n");
            let page = fetched(version, "/");
            assert!(
                page.contains("<html") || page.contains("<!doctype"),
                "{page}"
            );
        }
        let status = "-o /dev/null -w %{http_code}";
        assert_eq!(fetched(status, "/absent"), "404");
        assert_eq!(fetched(&format!("{status} -u reader:wrong"), "/log"), "401");
        let direct = "-o /dev/null -w %{http_code} -H 'Host: evil.example'";
        assert_ne!(fetched(direct, "/log"), "200");
        followed(&log, &server, &curl, passes_trailers);
    });
}

/// Each line comes at once, as bytes and as an event; and the end is one, with both versions.
fn followed(log: &Log, server: &Server, curl: &dyn Fn(&str, &str) -> String, trailers: bool) {
    let bytes = "/log?from=-1&follow";
    let events = "-H 'Accept: text/event-stream' | sed -un 's/^data: //p'";
    let mut all = [
        Following::start(server, &curl("--http1.1 -D head", bytes)),
        Following::start(server, &curl("--http2", bytes)),
        Following::start(server, &(curl("--http2", "/log?from=-1") + " " + events)),
    ];
    let mut expected = "line 99999\n".to_owned();
    all.iter().for_each(|one| one.wait_for(&expected));
    for number in 0..10 {
        let line = format!("live {number}\n");
        log.append(&line);
        expected += &line;
        all.iter().for_each(|one| one.wait_for(&expected));
    }
    server.signal(Signal::SIGTERM);
    let [one, two, events] = &mut all;
    assert_eq!((one.wait(), two.wait()), (0, 0));
    events.wait_for(&(expected + "shutdown\n"));
    let has_trailer = one
        .read("head")
        .to_lowercase()
        .contains("sendtail-end: shutdown");
    assert_eq!(has_trailer, trailers);
}

#[test]
fn nginx_with_its_example() {
    in_front("nginx", nginx, false);
}

#[test]
fn haproxy_with_its_example() {
    in_front("haproxy", haproxy, true);
}

/// Half of a chunk is no end: the proxy passes that on.
#[test]
fn what_is_cut_off_is_so_behind_nginx_too() {
    if !["ip", "curl", "openssl", "nginx"]
        .map(has_program)
        .iter()
        .all(|has| *has)
    {
        return;
    }
    in_a_network_with(&[], || {
        let log = Log::new(numbered_lines(2_000_000));
        let secrets = tempfile::tempdir().expect("there is room for tests");
        let server = Server::with(&["-p", "4321", "--host", "logs.example"], &[&log.path]);
        let _proxy = nginx(secrets.path());
        let script = curl(secrets.path(), "--http1.1 -o out", "/log?follow");
        let mut curl = Following::start(&server, &format!("mkfifo out; {script}"));
        server.sent_until_full();
        fs::write(&log.path, "").expect("it is ours");
        server.look();
        fs::read(curl.path("out")).expect("curl has made it");
        assert_ne!(curl.wait(), 0);
    });
}
