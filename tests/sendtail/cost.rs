//! What a delivery costs: a number of system calls that depends on who gets something and on nobody
//! else, and nothing from the heap. What the tick does once a second is told apart by looking at
//! each delivery for itself.

mod faces;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{
    Client, Log, Server, Tracer, allow_many_descriptors, append, bare, has_program, library,
    wait_until,
};

/// To wake up, read the event, ask for the length, read the marker, and send.
const CALLS_A_DELIVERY: usize = 5;

/// A tick's looks, and what attaching `strace` brings about.
const CALLS_A_SECOND: usize = 12;
const ATTACH_CALLS: usize = 4;

#[test]
fn a_delivery_to_one_follower_costs_five_calls() {
    if !has_program("strace") {
        return;
    }
    const APPENDS: usize = 50;
    let log = Log::new("");
    let server = server(&log.path);
    let mut clients = followers(&server, 1, "");
    let start = Instant::now();
    let (calls, costs) = trace(&server, &logger(&log.path), &mut clients, APPENDS);
    let seconds = start.elapsed().as_secs() as usize + 1;
    let allowed = APPENDS * CALLS_A_DELIVERY + CALLS_A_SECOND * seconds + ATTACH_CALLS;
    assert!(calls.len() <= allowed, "{} calls: {calls:#?}", calls.len());
    assert_eq!(median(&costs), CALLS_A_DELIVERY, "{costs:?}");
}

/// One sendfile for each, and what else a wake-up costs is the same for ten and for a hundred.
#[test]
fn a_delivery_to_many_costs_one_call_each_and_a_constant() {
    if !has_program("strace") {
        return;
    }
    const APPENDS: usize = 20;
    for followers_count in [10, 100] {
        let log = Log::new("");
        let server = server(&log.path);
        let mut clients = followers(&server, followers_count, "");
        let (calls, costs) = trace(&server, &logger(&log.path), &mut clients, APPENDS);
        let sends = calls.iter().filter(|call| is_send(call)).count();
        assert_eq!(sends, APPENDS * followers_count);
        let expected = followers_count + CALLS_A_DELIVERY - 1;
        assert_eq!(median(&costs), expected, "{costs:?}");
    }
}

/// Two hundred other files are followed, and quiet.
#[test]
fn a_delivery_costs_the_same_with_many_files() {
    if !has_program("strace") {
        return;
    }
    let log = Log::new("");
    let name = |number: usize| format!("quiet{number}");
    let server = server(log.directory.path());
    let quiet = (0..200).map(|number| {
        fs::write(log.beside(&name(number)), "").expect("the directory is ours");
        followers(&server, 1, &name(number)).remove(0)
    });
    let mut quiet: Vec<Client> = quiet.collect();
    let mut clients = followers(&server, 1, "log");
    let (calls, costs) = trace(&server, &logger(&log.path), &mut clients, 50);
    assert_eq!(median(&costs), CALLS_A_DELIVERY, "{costs:?}");
    assert_eq!(calls.iter().filter(|call| is_send(call)).count(), 50);
    quiet.iter_mut().for_each(Client::expect_nothing);
}

#[test]
fn a_delivery_takes_nothing_from_the_heap() {
    if !has_program("cc") {
        return;
    }
    const APPENDS: usize = 200;
    let (_directory, library) = library(SOURCE);
    let log = Log::new("");
    let counter = log.beside("counter");
    fs::write(&counter, [0; 8]).expect("the directory is ours");
    let mut program = bare(&["-p", "0", "-b", "127.0.0.1"], &[&log.path]);
    program.env("LD_PRELOAD", library);
    program.env("ALLOCATIONS", &counter);
    let server = Server::command(program);
    let allocations = || {
        let count = fs::read(&counter).expect("it is there");
        u64::from_ne_bytes(count.try_into().expect("it is a number"))
    };
    let before = allocations();
    assert!(before > 0, "nothing is counted");
    let mut clients = followers(&server, 50, "");
    assert!(allocations() > before, "clients are not counted");
    // What is made once.
    let logger = logger(&log.path);
    deliver(&logger, &mut clients, 50);
    // Between one append and the next is all that the first one cost, and perhaps a tick.
    let start = Instant::now();
    let mut costs = vec![];
    for _ in 0..APPENDS {
        let before = allocations();
        deliver(&logger, &mut clients, 1);
        costs.push(allocations() - before);
    }
    let ticks = start.elapsed().as_secs() as usize + 2;
    let costly = costs.iter().filter(|cost| **cost > 0).count();
    assert!(
        costly <= ticks,
        "{costly} of {APPENDS} deliveries: {costs:?}"
    );
}

/// A descriptor each, and no time at all.
#[test]
fn thousands_of_idle_clients_cost_a_descriptor_each_and_no_time() {
    let count = if cfg!(debug_assertions) { 2000 } else { 10_000 };
    allow_many_descriptors();
    let log = Log::new("");
    let server = server(&log.path);
    let mut first = followers(&server, 1, "");
    let descriptors = server.descriptors();
    let mut clients: Vec<Client> = (0..count).map(|_| server.ask("0\n")).collect();
    // One that asks last is served last.
    deliver(&logger(&log.path), &mut first, 1);
    for client in &mut clients {
        client.expect(LINE);
    }
    assert_eq!(server.descriptors(), descriptors + count);
    // The end of the turn.
    wait_until("it sleeps", || {
        let before = server.cpu_time();
        std::thread::sleep(Duration::from_millis(20));
        server.cpu_time() == before
    });
    let before = server.cpu_time();
    std::thread::sleep(Duration::from_secs(2));
    let used = server.cpu_time() - before;
    assert!(used < Duration::from_millis(10), "{used:?} in two seconds");
    append(&log.path, LINE);
    for client in &mut clients {
        client.expect(LINE);
    }
}

const SOURCE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/sendtail/cost/allocations.c"
);

const LINE: &[u8] = b"an appended line\n";

/// Without `-v`: log lines are calls too.
fn server(path: &Path) -> Server {
    Server::command(bare(&["-p", "0", "-b", "127.0.0.1"], &[path]))
}

/// Clients that have everything and of which the server knows that.
fn followers(server: &Server, count: usize, name: &str) -> Vec<Client> {
    let clients: Vec<Client> = (0..count)
        .map(|_| server.ask(format!("0 {name}\n")))
        .collect();
    wait_until("all of them follow", || {
        server.totals("clients") >= count as u64
    });
    if let Some(last) = clients.last() {
        server.wait_for_request(last);
    }
    clients
}

/// Opened once, as loggers do it: to close a file that was written is an event of its own.
fn logger(path: &Path) -> File {
    let file = File::options().append(true).open(path);
    file.expect("it is there")
}

/// So many times: a line, and everybody gets it.
fn deliver(mut logger: &File, clients: &mut [Client], appends: usize) {
    for _ in 0..appends {
        logger.write_all(LINE).expect("there is room");
        for client in &mut *clients {
            client.expect(LINE);
        }
    }
}

/// All calls of so many deliveries, and how many there were from one delivery's last to the next
/// one's last.
fn trace(
    server: &Server,
    logger: &File,
    clients: &mut [Client],
    appends: usize,
) -> (Vec<String>, Vec<usize>) {
    let mut tracer = Tracer::attach(server, &[]);
    deliver(logger, clients, appends);
    let calls: Vec<String> = tracer.detach();
    let calls: Vec<String> = calls
        .into_iter()
        .filter(|call| !call.contains(" --- "))
        .collect();
    let sends = calls.iter().enumerate().filter(|(_, call)| is_send(call));
    let places: Vec<usize> = sends.map(|(place, _)| place).collect();
    let lasts: Vec<usize> = places
        .chunks(clients.len())
        .filter_map(|delivery| delivery.last().copied())
        .collect();
    let costs = lasts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (calls, costs)
}

fn is_send(call: &str) -> bool {
    call.contains(" sendfile(")
}

/// A tick comes in between now and then; it does not count.
fn median(costs: &[usize]) -> usize {
    let mut costs = costs.to_vec();
    costs.sort_unstable();
    costs[costs.len() / 2]
}
