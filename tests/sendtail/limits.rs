//! What runs out: the clients' number, descriptors, files, watches. Being full is ordinary: nobody
//! is dropped, nothing spins, and who leaves makes room.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{
    Client, Log, Server, append, bare, can_run, fails, has_program, wait_until, wrapped,
};

const TEXT: &str = "one\ntwo\n";

// Clients.

#[test]
fn over_the_client_limit_is_an_error_and_who_leaves_makes_room() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "3"], &[&log.path]);
    let mut clients = [server.ask("0\n"), server.ask("-1\n"), server.connect()];
    clients[0].expect(TEXT.as_bytes());
    clients[1].expect(b"two\n");
    for header in ["", "0\n", "nonsense\n", "0"] {
        server.ask(header).expect_error("too many clients");
    }
    let [mut first, mut second, silent] = clients;
    log.append("three\n");
    first.expect(b"three\n");
    second.expect(b"three\n");
    // One that never asked leaves, then one that followed.
    drop(silent);
    let mut third = admitted(&server, "0\n");
    third.expect(b"one\ntwo\nthree\n");
    server.connect().expect_error("too many clients");
    first.reset();
    let mut fourth = admitted(&server, "-1\n");
    fourth.expect(b"three\n");
    server.connect().expect_error("too many clients");
    log.append("four\n");
    for client in [&mut second, &mut third, &mut fourth] {
        client.expect(b"four\n");
    }
}

#[test]
fn a_hundred_over_the_limit_at_once_are_all_answered() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "2"], &[&log.path]);
    let mut clients = [server.ask("0\n"), server.ask("0\n")];
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    let before = server.descriptors();
    let refused: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    // Only sixteen are answered at a time; the others wait in the backlog, and cost nothing.
    let mut most = 0;
    for (round, mut client) in refused.into_iter().enumerate() {
        most = most.max(server.descriptors() - before);
        if round % 10 == 0 {
            log.append("more\n");
            for client in &mut clients {
                client.expect(b"more\n");
            }
        }
        client.expect_error("too many clients");
    }
    assert!((1..=16).contains(&most), "{most} were answered at a time");
    assert_eq!(server.totals("refused"), 100);
    wait_until("they have left", || server.totals("clients") == 2);
    wait_until("their descriptors are free", || {
        server.descriptors() == before
    });
}

#[test]
fn answers_to_clients_over_the_limit_do_not_spin() {
    let log = Log::new(TEXT);
    let server = Server::with(&["--max-clients", "1"], &[&log.path]);
    let mut only = server.ask("0\n");
    only.expect(TEXT.as_bytes());
    // None of these closes, so that the reserve is used up and the listener has more to give.
    let stuck: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    wait_until("the reserve is used up", || server.totals("refused") >= 16);
    expect_no_spin(&server, &mut only);
    log.append("three\n");
    only.expect(b"three\n");
    for mut client in stuck {
        client.expect_error("too many clients");
    }
}

// Descriptors.

#[test]
fn the_descriptor_limit_is_raised_and_sets_the_client_limit() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new(TEXT);
    let server = Server::command(limited("100:200", &Server::program(&[], &[&log.path])));
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid()));
    let limits = limits.expect("it runs");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    assert_eq!(soft, Some("200"), "{limits}");
    let mut clients: Vec<Client> = (0..200 - 64).map(|_| server.ask("0\n")).collect();
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    server.connect().expect_error("too many clients");
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
}

/// Files take descriptors too: then there is room for fewer clients, and who is refused is told so.
#[test]
fn many_files_leave_room_for_fewer_clients() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::absent();
    let program = Server::program(&[], &[log.directory.path()]);
    let server = Server::command(limited("128:128", &program));
    let mut clients = Vec::new();
    for name in 0..16 {
        fs::write(log.beside(&format!("f{name}")), TEXT).expect("it is ours");
        clients.push(server.ask(format!("0 f{name}\n")));
        clients[name].expect(TEXT.as_bytes());
    }
    let mut refused = 0;
    for _ in 0..50 {
        let mut client = server.ask("0 f0\n");
        match client.read(&mut [0; 100]).expect("there is an answer") {
            8 => clients.push(client),
            count => {
                assert_eq!(count, "error: too many clients\n".len());
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && clients.len() > 50, "{refused} refused");
    assert_eq!(server.totals("refused"), refused);
}

#[test]
fn at_the_descriptor_limit_clients_wait_in_the_backlog() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new(TEXT);
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(limited("200:200", &program));
    let mut clients = vec![server.ask("0\n")];
    clients[0].expect(TEXT.as_bytes());
    // From outside, while it runs: what it reckoned with at the start is no longer there.
    limit_now(&server, 40);
    clients.extend((0..60).map(|_| server.ask("0\n")));
    wait_until("all descriptors are used", || free_below(&server, 40) == 0);
    let admitted = usize::try_from(server.totals("clients")).expect("it is small");
    let mut waiting = clients.split_off(admitted);
    assert!((10..40).contains(&admitted), "{admitted}");
    for client in &mut clients[1..] {
        client.expect(TEXT.as_bytes());
    }
    expect_no_spin(&server, &mut clients[0]);
    waiting[0].expect_silence();
    log.append("three\n");
    for client in &mut clients {
        client.expect(b"three\n");
    }
    // Each that leaves lets the next one in, in order.
    for mut next in waiting {
        clients.remove(0).reset();
        next.expect(b"one\ntwo\nthree\n");
        clients.push(next);
    }
    log.append("four\n");
    for client in &mut clients {
        client.expect(b"four\n");
    }
}

#[test]
fn descriptors_that_come_back_by_themselves_are_used() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new(TEXT);
    let program = Server::program(&[], &[&log.path]);
    let server = Server::command(limited("200:200", &program));
    let mut first = server.ask("0\n");
    first.expect(TEXT.as_bytes());
    let lowest_free = (0..).find(|number| free_below(&server, number + 1) > 0);
    limit_now(&server, lowest_free.expect("there is one below 200"));
    let mut waiting = server.ask("0\n");
    waiting.expect_silence();
    // No client leaves and nobody else connects: only trying again finds out.
    limit_now(&server, 200);
    waiting.expect(TEXT.as_bytes());
}

#[test]
fn a_tiny_descriptor_limit_is_a_failure_at_the_start_or_serves() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new(TEXT);
    let program = bare(&["-p", "0"], &[&log.path]);
    for limit in ["6:6", "20:20", "40:40", "64:64"] {
        let line = fails(limited(limit, &program), 1);
        assert!(line.contains("open files"), "{line}");
    }
    // 64 are spoken for; a client and its file need some more.
    for limit in ["66:66", "80:80", "66:67"] {
        let server = Server::command(limited(limit, &program));
        let mut client = server.ask("-1\n");
        client.expect(b"two\n");
        let line = format!("limited to {limit}\n");
        log.append(&line);
        client.expect(line.as_bytes());
        log.append("two\n");
    }
}

#[test]
fn too_many_files_are_an_error_and_who_leaves_makes_room() {
    if !has_program("prlimit") {
        return;
    }
    let log = Log::new(TEXT);
    let directory = log.directory.path();
    let name = |number: usize| format!("file{number}");
    for number in 0..60 {
        fs::write(directory.join(name(number)), TEXT).expect("the directory is ours");
    }
    let program = Server::program(&[], &[directory]);
    let server = Server::command(limited("200:200", &program));
    let mut admitted = Vec::new();
    let mut refused = 0;
    for number in 0..60 {
        let mut client = server.ask(format!("0 {}\n", name(number)));
        let mut first = [0; 1];
        let peeked = client.peek(&mut first).expect("an answer comes");
        assert_eq!(peeked, 1);
        if first == *b"e" {
            client.expect_error("too many files");
            refused += 1;
        } else {
            assert_eq!(refused, 0, "one is let in after one was refused");
            client.expect(TEXT.as_bytes());
            admitted.push(client);
        }
    }
    // A client, a segment and twice a name each, below 200 - 64.
    assert!((30..=36).contains(&admitted.len()), "{}", admitted.len());
    // A name that is followed already costs no more than its client.
    let mut second = server.ask(format!("0 {}\n", name(0)));
    second.expect(TEXT.as_bytes());
    for (number, client) in admitted.iter_mut().enumerate() {
        append(&directory.join(name(number)), b"three\n");
        client.expect(b"three\n");
    }
    second.expect(b"three\n");
    for client in admitted.drain(1..) {
        client.reset();
    }
    wait_until("they have left", || server.totals("files") == 1);
    let mut new = server.ask(format!("0 {}\n", name(59)));
    new.expect(TEXT.as_bytes());
}

// Watches.

#[test]
fn without_watches_files_are_polled() {
    polls("echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"");
}

#[test]
fn without_inotify_files_are_polled() {
    // The limit of instances is 128 a user on many machines, and desktops use them up.
    polls("echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"");
}

/// In a user namespace of its own the server has what the script leaves it.
fn polls(script: &str) {
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
    ];
    if !can_run(&[&wrapper[..], &["true"]].concat()) {
        return;
    }
    let log = Log::new(TEXT);
    let absent = log.beside("absent");
    let program = Server::program(&[], &[&log.path, &absent]);
    let server = Server::command(wrapped(&wrapper, &program));
    let mut clients = [(); 3].map(|()| server.ask("0 log\n"));
    for client in &mut clients {
        client.expect(TEXT.as_bytes());
    }
    assert_eq!(server.watches(), 0);
    let start = Instant::now();
    for round in 0..6 {
        let line = format!("round {round}\n");
        log.append(&line);
        for client in &mut clients {
            client.expect(line.as_bytes());
        }
    }
    // Four looks a second; with the tick of a watched file it would take six seconds.
    let took = start.elapsed();
    assert!(took < Duration::from_millis(4500), "{took:?}");
    let mut early = server.ask("0 absent\n");
    early.expect_silence();
    fs::write(&absent, "here\n").expect("the directory is ours");
    early.expect(b"here\n");
    let said = server.log();
    let warnings = said.lines().filter(|line| {
        let warning = line.strip_prefix("sendtail: warning: ");
        warning.is_some_and(|text| text.contains(&*log.path.to_string_lossy()))
    });
    assert!(warnings.count() <= 1, "{said}");
    assert!(said.contains("sendtail: warning: "), "{said}");
}

/// Asks until there is room, which the server notices in its own time.
fn admitted(server: &Server, header: &str) -> Client {
    let mut client = server.ask(header);
    wait_until("there is room", || {
        let mut first = [0; 6];
        let peeked = client.peek(&mut first);
        if peeked.is_ok() && &first != b"error:" {
            return true;
        }
        client = server.ask(header);
        false
    });
    client
}

/// A server that spins makes some hundred thousand turns in this time.
fn expect_no_spin(server: &Server, client: &mut Client) {
    let before = server.totals("turns");
    client.expect_silence();
    let turns = server.totals("turns") - before;
    assert!(turns < 100, "{turns} turns while nothing happened");
}

fn limited(limit: &str, program: &Command) -> Command {
    wrapped(&["prlimit", &format!("--nofile={limit}")], program)
}

/// How many more descriptors it may open under this limit, which is one of their numbers.
fn free_below(server: &Server, limit: usize) -> usize {
    let directory = format!("/proc/{}/fd", server.pid());
    let used = fs::read_dir(directory).expect("it runs").filter(|entry| {
        let name = entry.as_ref().map(|entry| entry.file_name());
        let number = name.ok().and_then(|name| name.to_str()?.parse().ok());
        number.is_some_and(|number: usize| number < limit)
    });
    limit - used.count()
}

/// Changes the soft limit of a running server.
fn limit_now(server: &Server, limit: usize) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &server.pid().to_string()]);
    let status = command.arg(format!("--nofile={limit}:")).status();
    assert!(status.expect("it is installed").success());
}
