//! What it costs to wait: system calls, memory and descriptors, and the price of an append and of a
//! connect. The tests of this module take turns, so that they do not measure one another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::support::{
    Client, Log, Server, Tracer, allow_many_descriptors, bare, has_program, wait_until,
};

const TEXT: &str = "one\ntwo\n";

/// Attaching `strace` ends the sleep that it finds; what the turn then does is no cost of idling.
const ATTACH_CALLS_MAX: usize = 4;

#[test]
fn a_thousand_idle_clients_cost_twelve_calls_a_second() {
    let _turn = take_turns();
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let server = server(&log);
    let mut clients = followers(&server, many(1000));
    let mut tracer = Tracer::attach(&server, &[]);
    let (calls, window) = tracer.measure(Duration::from_secs(3));
    let allowed = (12.0 * window.as_secs_f64()) as usize + ATTACH_CALLS_MAX;
    assert!(
        calls.len() <= allowed,
        "{} in {window:?}: {calls:#?}",
        calls.len()
    );
    // The trace is a trace.
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
    assert_eq!(count(&tracer.detach(), "sendfile("), clients.len());
}

#[test]
fn without_clients_there_are_no_calls() {
    let _turn = take_turns();
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let server = server(&log);
    expect_sleep(&server, Duration::from_secs(2));
    // The same when clients have come and gone, and the file goes on growing.
    let clients = followers(&server, 20);
    for client in clients {
        client.reset();
    }
    for _ in 0..20 {
        server.ask("nonsense\n").expect_error("bad start");
    }
    wait_until("all have left", || server.totals("clients") == 0);
    assert_eq!((server.totals("files"), server.watches()), (0, 0));
    log.append("three\n");
    expect_sleep(&server, Duration::from_secs(2));
    server.ask("-1\n").expect(b"three\n");
}

#[test]
fn a_client_costs_a_few_hundred_bytes_and_one_descriptor() {
    let _turn = take_turns();
    let log = Log::new(TEXT);
    let server = server(&log);
    // The first ones make it load what is loaded once.
    let first = followers(&server, 4);
    let (memory, descriptors) = (server.memory(), server.descriptors());
    let mut clients = followers(&server, many(4000));
    assert_eq!(server.descriptors(), descriptors + clients.len());
    let each = server.memory().saturating_sub(memory) / clients.len() as u64;
    assert!(each <= 400, "{each} bytes a client");
    // They are clients indeed.
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
    drop(first);
}

#[test]
fn five_thousand_connections_are_accepted_at_once() {
    let _turn = take_turns();
    let count = many(5000);
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 600 });
    let mut best = Duration::MAX;
    for _ in 0..5 {
        // A new port each time: closed connections keep their pair of ports for a minute.
        let log = Log::new(TEXT);
        let server = server(&log);
        let before = server.descriptors();
        let start = Instant::now();
        let clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
        wait_until("all are accepted", || {
            server.descriptors() == before + count
        });
        best = best.min(start.elapsed());
        for client in clients {
            client.reset();
        }
        if best <= allowed {
            return;
        }
    }
    panic!("{count} connections took {best:?}");
}

#[test]
fn an_append_costs_one_sendfile_a_follower() {
    let _turn = take_turns();
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let server = server(&log);
    let mut clients = followers(&server, 100);
    let mut tracer = Tracer::attach(&server, &[]);
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
    let calls = tracer.detach();
    assert_eq!(count(&calls, "sendfile("), 100);
    // Reading the event, looking at the file, sleeping, and a tick or two.
    let others = calls.len() - 100;
    assert!(others <= 40, "{others} other calls: {calls:#?}");
}

#[test]
fn a_changed_file_costs_the_clients_of_others_nothing() {
    let _turn = take_turns();
    if !has_program("strace") {
        return;
    }
    let log = Log::new(TEXT);
    let quiet = log.beside("quiet");
    std::fs::write(&quiet, TEXT).expect("the directory is ours");
    let server = Server::start(&[&log.path, &quiet]);
    let _others: Vec<Client> = (0..100).map(|_| follower(&server, "0 quiet\n")).collect();
    let mut client = follower(&server, "0 log\n");
    let mut tracer = Tracer::attach(&server, &[]);
    log.append("three\n");
    client.expect(b"three\n");
    let calls = tracer.detach();
    assert_eq!(count(&calls, "sendfile("), 1, "{calls:#?}");
    assert!(calls.len() <= 40, "{} calls: {calls:#?}", calls.len());
}

/// Without `-v`: thousands of lines would be the costs of the log.
fn server(log: &Log) -> Server {
    Server::command(bare(&["-p", "0", "-b", "127.0.0.1"], &[&log.path]))
}

/// Nothing but the call that it sleeps in, which attaching `strace` ends once.
fn expect_sleep(server: &Server, window: Duration) {
    let tracer = Tracer::attach(server, &[]);
    let (calls, _) = tracer.measure(window);
    let awake = calls.iter().any(|call| !call.contains("epoll_"));
    assert!(!awake && calls.len() <= ATTACH_CALLS_MAX, "{calls:#?}");
}

fn followers(server: &Server, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.ask("0\n")).collect();
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    clients
}

fn follower(server: &Server, header: &str) -> Client {
    let mut client = server.ask(header);
    client.expect(TEXT.as_bytes());
    client
}

fn count(calls: &[String], call: &str) -> usize {
    calls.iter().filter(|line| line.contains(call)).count()
}

/// As many clients as wanted, or what the machine's limit leaves beside the other tests.
fn many(wanted: usize) -> usize {
    allow_many_descriptors();
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    wanted.min(usize::try_from(limit / 3).unwrap_or(wanted))
}

fn take_turns() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
