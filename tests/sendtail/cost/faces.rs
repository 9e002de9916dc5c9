//! What a delivery costs over HTTP: two calls where a raw client costs one; and the table of what
//! the faces cost beside raw clients and `grep`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use super::{CALLS_A_DELIVERY, LINE, logger, median, server};
use crate::support::{
    Client, Log, Server, Tracer, allow_many_descriptors, has_program, wait_until,
};

/// How a stream is asked for; what each delivery ends with.
const FACES: [(&str, &str, &[u8]); 3] = [
    ("raw", "-0\n", b"\n"),
    (
        "chunks",
        "GET /log?from=-0&follow HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\n\r\n",
    ),
    (
        "events",
        "GET /log?from=-0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        b"\n\n",
    ),
];

#[test]
fn a_delivery_over_http_costs_two_calls_each() {
    if !has_program("strace") {
        return;
    }
    const APPENDS: usize = 20;
    const FOLLOWERS: usize = 10;
    for (name, header, end) in &FACES[1..] {
        let log = Log::new("an old line\n");
        let server = server(&log.path);
        let mut clients = followers(&server, FOLLOWERS, header);
        deliver(&log.path, &mut clients, end, 1);
        let mut tracer = Tracer::attach(&server, &[]);
        deliver(&log.path, &mut clients, end, APPENDS);
        let calls = tracer.detach();
        let sends = calls.iter().enumerate();
        let sends = sends.filter(|(_, call)| call.contains(" sendto("));
        let sends: Vec<usize> = sends.map(|(place, _)| place).collect();
        assert_eq!(sends.len(), APPENDS * FOLLOWERS, "{name}");
        let lasts: Vec<usize> = sends
            .chunks(FOLLOWERS)
            .map(|delivery| delivery[FOLLOWERS - 1])
            .collect();
        let costs: Vec<usize> = lasts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let expected = 2 * FOLLOWERS + CALLS_A_DELIVERY - 1;
        assert_eq!(median(&costs), expected, "{name}: {costs:?}");
    }
}

/// `cargo test --release --test sendtail what_the_faces_cost -- --ignored --nocapture`
#[test]
#[ignore = "it measures, and wants the machine for itself"]
fn what_the_faces_cost() {
    const RUNS: usize = 5;
    allow_many_descriptors();
    let mut live = FACES.map(|_| vec![]);
    let mut bulk = [const { vec![] }; 4];
    let log = Log::new("");
    fill(&log.path);
    for _ in 0..RUNS {
        for (face, costs) in FACES.iter().zip(&mut live) {
            costs.push(a_delivery(face.1, face.2));
        }
        for (asked, costs) in BULK.iter().zip(&mut bulk) {
            costs.push(all_of(&log.path, asked));
        }
    }
    let [raw, chunks, events] = live.map(middle);
    let [raw_file, http_file, found, grep] = bulk.map(middle);
    println!("| medians of {RUNS} runs in turn, CPU of the server | face | beside | ratio |");
    for (what, face, beside, most) in [
        (
            "a file of 1 GiB, HTTP beside raw, s",
            http_file,
            raw_file,
            1.1,
        ),
        (
            "1000 followers in chunks beside raw, us a delivery",
            chunks,
            raw,
            2.0,
        ),
        (
            "1000 followers by events beside raw, us a delivery",
            events,
            raw,
            2.0,
        ),
        (
            "`once grep=` in 1 GiB beside `grep -c -F`, s",
            found,
            grep,
            2.0,
        ),
    ] {
        let ratio = face / beside;
        println!("| {what} | {face:.3} | {beside:.3} | {ratio:.2} |");
        assert!(ratio <= most, "{what}: {ratio:.2} is more than {most}");
    }
}

const BULK: [&str; 4] = [
    "0 once\n",
    "GET /log HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "0 once grep=0000777777\n",
    "grep",
];

/// 1 GiB of lines of 100 bytes, a few of which are looked for.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("the directory is ours");
    let rest = "x".repeat(88);
    for lines in 0..1074 {
        let lines = lines * 10_000..(lines + 1) * 10_000;
        let text: String = lines.map(|line| format!("{line:010} {rest}\n")).collect();
        file.write_all(text.as_bytes()).expect("there is room");
    }
}

/// Seconds of CPU for all of a file.
fn all_of(path: &Path, asked: &str) -> f64 {
    if asked == "grep" {
        let timed = "TIMEFORMAT='%U %S'; time LC_ALL=C grep -c -F 0000777777 \"$0\"";
        let mut command = Command::new("bash");
        let output = command.args(["-c", timed]).arg(path).output();
        let output = output.expect("it is installed").stderr;
        let times = String::from_utf8(output).expect("bash writes text");
        return times
            .split_whitespace()
            .map(|time| time.replace(',', ".").parse::<f64>().expect("a number"))
            .sum();
    }
    let server = server(path);
    let before = server.cpu_time();
    let mut client = server.ask(asked);
    let mut buffer = vec![0; 1 << 20];
    while client.read(&mut buffer).expect("it is served") > 0 {}
    (server.cpu_time() - before).as_secs_f64()
}

/// Microseconds of CPU a delivery of 100 bytes to a thousand followers.
fn a_delivery(header: &str, end: &[u8]) -> f64 {
    const APPENDS: u32 = 200;
    const FOLLOWERS: u32 = 1000;
    let log = Log::new("an old line\n");
    let server = server(&log.path);
    let mut clients = followers(&server, FOLLOWERS as usize, header);
    deliver(&log.path, &mut clients, end, 1);
    let before = server.cpu_time();
    deliver(&log.path, &mut clients, end, APPENDS as usize);
    let used = server.cpu_time() - before;
    used.as_secs_f64() * 1e6 / f64::from(APPENDS * FOLLOWERS)
}

/// Clients that have what comes before the first delivery.
fn followers(server: &Server, count: usize, header: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.ask(header)).collect();
    wait_until("all have come", || server.totals("clients") == count as u64);
    if header.starts_with("GET") {
        clients
            .iter_mut()
            .for_each(|client| read_to(client, b"\r\n\r\n"));
    }
    if let Some(last) = clients.last() {
        server.wait_for_request(last);
    }
    clients
}

fn deliver(path: &Path, clients: &mut [Client], end: &[u8], appends: usize) {
    let mut logger = logger(path);
    for _ in 0..appends {
        logger.write_all(LINE).expect("there is room");
        clients.iter_mut().for_each(|client| read_to(client, end));
    }
}

/// What comes ends with this; more does not come before it is asked for.
fn read_to(client: &mut Client, end: &[u8]) {
    let mut received = vec![];
    let mut buffer = [0; 4096];
    while !received.ends_with(end) {
        let count = client.stream.read(&mut buffer).expect("it is sent");
        assert!(count > 0, "it has ended: {}", received.escape_ascii());
        received.extend_from_slice(&buffer[..count]);
    }
}

fn middle(mut costs: Vec<f64>) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}
