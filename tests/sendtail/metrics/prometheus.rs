//! A real Prometheus asks for the metrics, and is asked for what it has got.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{TEXT, scrape};
use crate::support::{Client, Helper, Log, Server, has_program, wait_until};

#[test]
fn a_real_prometheus_takes_them() {
    if !has_program("prometheus") {
        return;
    }
    let log = Log::new(TEXT);
    let server = log.server();
    let mut client = server.reader("0\n", TEXT);
    server.ask("nonsense\n").expect_error("bad start");
    let prometheus = Prometheus::start(&server);
    let sent = TEXT.len() as u64;
    prometheus.wait_for("sendtail_bytes_sent_total", &sent.to_string());
    prometheus.wait_for("sendtail_files_followed", "1");
    prometheus.wait_for("sendtail_refused_total{reason=\"bad_start\"}", "1");
    prometheus.wait_for("sendtail_clients{face=\"raw\"}", "1");
    prometheus.wait_for("up", "1");
    // It knows counters from gauges, and what they mean.
    let metadata = prometheus.get("/api/v1/metadata");
    for (name, kind) in kinds(&scrape(&server).1) {
        let start = format!("\"{name}\":[{{\"type\":\"{kind}\",\"help\":\"");
        assert!(metadata.contains(&start), "{name}: {metadata}");
    }
    // And it goes on.
    log.append("three\n");
    client.expect(b"three\n");
    prometheus.wait_for("sendtail_bytes_sent_total", &(sent + 6).to_string());
}

/// Prometheus with this server as its only target.
struct Prometheus {
    _process: Helper,
    _directory: TempDir,
    address: SocketAddr,
}

impl Prometheus {
    fn start(server: &Server) -> Prometheus {
        let directory = tempfile::tempdir().expect("there is room for tests");
        let path = |name: &str| directory.path().join(name);
        let config = format!(
            "scrape_configs:\n  - job_name: sendtail\n    metrics_path: /-/metrics\n    \
             scrape_interval: 200ms\n    scrape_timeout: 200ms\n    static_configs: \
             [{{targets: ['{}']}}]\n",
            server.address()
        );
        fs::write(path("config.yml"), config).expect("the directory is ours");
        let log = path("log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path("config.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the directory is ours"));
        let mut process = Helper::start(&mut command);
        let mut address = None;
        wait_until("prometheus listens", || {
            let said = fs::read_to_string(&log).expect("it has been made");
            assert!(!process.has_ended(), "prometheus has ended: {said}");
            address = listening(&said);
            address.is_some()
        });
        Prometheus {
            _process: process,
            _directory: directory,
            address: address.expect("it has been seen"),
        }
    }

    /// Waits until the series is there with this value.
    fn wait_for(&self, series: &str, value: &str) {
        let query: String = series
            .bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() || byte == b'_' {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect();
        let found = format!(",\"{value}\"]");
        wait_until(&format!("{series} is {value}"), || {
            let answer = self.get(&format!("/api/v1/query?query={query}"));
            answer.contains("\"status\":\"success\"") && answer.contains(&found)
        });
    }

    fn get(&self, target: &str) -> String {
        let stream = TcpStream::connect(self.address);
        let mut client = Client::new(stream.expect("it listens"));
        let head = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        client.send(head.as_bytes());
        let answer = String::from_utf8(client.read_to_end()).expect("it is JSON");
        let (_, body) = answer.split_once("\r\n\r\n").expect("it has a head");
        body.to_owned()
    }
}

/// The address that its log names.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("\"Listening on\""))?;
    let (_, rest) = line.split_once(" address=")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Each name with its type.
fn kinds(page: &str) -> Vec<(&str, &str)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}
