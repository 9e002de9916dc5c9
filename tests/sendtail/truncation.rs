//! A file that is truncated begins anew: whoever has everything gets all that is written then, and
//! whoever was behind is closed, with the loss in the log and in the totals.

// What a truncation leaves behind is known by its bytes, not by its length.
mod marker;

// Searches, backlogs and starts beyond the end.
mod midway;

// A file that is truncated after it has lost its name.
mod renamed;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Audience, BACKLOG, Client, Log, Server, on_each_file_system, on_time};

/// Truncates it and writes to it; gives all that the file holds then.
type Truncation = fn(&Log) -> Vec<u8>;

const TRUNCATIONS: [(&str, Truncation); 4] = [
    ("opened for writing", |log| {
        let new = b"new\n".to_vec();
        fs::write(&log.path, &new).expect("it is ours");
        new
    }),
    ("copytruncate", |log| {
        fs::copy(&log.path, log.beside("log.1")).expect("there is room");
        empty(&log.path);
        log.append("new\n");
        b"new\n".to_vec()
    }),
    // Its writer has not opened it with O_APPEND, and leaves a hole.
    ("copytruncate below a writer with an offset", |log| {
        let writer = OpenOptions::new().write(true).open(&log.path);
        let writer = writer.expect("it is ours");
        empty(&log.path);
        let end = BACKLOG.len();
        writer
            .write_all_at(b"new\n", end as u64)
            .expect("it is ours");
        [&*vec![0; end], b"new\n"].concat()
    }),
    ("emptied, and written to when that was seen", |log| {
        empty(&log.path);
        vec![]
    }),
];

/// While nobody looks.
const REGROWTHS: [(&str, Truncation); 3] = [
    ("grown beyond its old length", |log| {
        let new = [b"new\n", &**BACKLOG].concat();
        fs::write(&log.path, &new).expect("there is room");
        new
    }),
    ("as long as before", |log| {
        let new: Vec<u8> = BACKLOG.iter().map(|byte| !byte).collect();
        fs::write(&log.path, &new).expect("there is room");
        new
    }),
    ("the same but for the last byte", |log| {
        let mut new = BACKLOG.clone();
        *new.last_mut().expect("it is long") ^= 1;
        fs::write(&log.path, &new).expect("there is room");
        new
    }),
];

#[test]
fn all_that_is_written_after_a_truncation_arrives() {
    on_each_file_system(|parent| {
        let log = Log::absent_in(parent);
        fs::write(&log.path, "old\n").expect("the directory is ours");
        let server = log.server();
        let mut clients: Vec<Client> = ["0\n", "-1\n", "+1\n", "-4c\n", "4\n", "-0\n"]
            .map(|header| server.ask(header))
            .into();
        for client in &mut clients[..4] {
            client.expect(b"old\n");
        }
        clients
            .iter()
            .for_each(|client| server.wait_for_request(client));
        on_time(30, |round| {
            let (first, last) = (10 * round + 11, 10 * round + 15);
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"seq $1 $2 > "$0""#]).arg(&log.path);
            shell.args([first.to_string(), last.to_string()]);
            assert!(shell.status().expect("it is installed").success());
            let new: String = (first..=last).map(|number| format!("{number}\n")).collect();
            for client in &mut clients {
                client.expect(new.as_bytes());
            }
            // What comes next is no truncation.
            log.append("more\n");
            for client in &mut clients {
                client.expect(b"more\n");
            }
        });
        for field in ["cut", "missed", "unverified"] {
            assert_eq!(server.totals(field), 0, "{field}");
        }
        assert_eq!(server.totals("segments"), 1);
    });
}

#[test]
fn those_who_were_behind_a_truncation_are_closed_and_the_others_go_on() {
    for (name, truncate) in TRUNCATIONS {
        on_each_file_system(|parent| truncated_before_all(parent, name, false, truncate));
    }
}

#[test]
fn a_file_that_has_grown_again_unseen_is_known_to_be_another() {
    for (name, truncate) in TRUNCATIONS.into_iter().chain(REGROWTHS) {
        on_each_file_system(|parent| truncated_before_all(parent, name, true, truncate));
    }
}

/// The same to one who has everything, one who lags behind, one who is stuck, one who comes
/// meanwhile and one who comes after that.
fn truncated_before_all(parent: &Path, name: &str, unseen: bool, truncate: Truncation) {
    eprintln!("{name}");
    let log = Log::absent_in(parent);
    fs::write(&log.path, &*BACKLOG).expect("there is room");
    let server = log.server();
    let mut audience = Audience::gather(&server, "");
    let mut new = if unseen {
        let (new, newcomer) = server.while_stopped(|| (truncate(&log), server.ask("0\n")));
        audience.join(newcomer);
        new
    } else {
        truncate(&log)
    };
    let (path, end) = (log.path.display(), BACKLOG.len());
    server.wait_for_log(&format!(
        "warning: {path} was truncated at {end} bytes; 2 clients were behind and are closed"
    ));
    log.append("more\n");
    new.extend_from_slice(b"more\n");
    audience.expect(&new);
    let mut newcomer = server.ask("0\n");
    newcomer.expect(&new);
    audience.join(newcomer);
    server.ask("-5c\n").expect(b"more\n");
    // Its socket is full and it does not read: that keeps nobody who has sent his FIN.
    let stuck = audience
        .stuck
        .stream
        .local_addr()
        .expect("it was connected");
    server.wait_for_log(&format!("sendtail: debug: {stuck} closed: done"));
    expect_quiet(&server, &mut audience.readers[0]);
    let mut missed = 0;
    for (client, received) in audience.expect_cut() {
        let peer = client.stream.local_addr().expect("it was connected");
        server.wait_for_log(&format!(
            "{peer} closed: {path} was truncated when it was at offset \
             {received}, {} bytes missed",
            end - received
        ));
        missed += end - received;
    }
    for (field, expected) in [
        ("cut", 2),
        ("missed", missed as u64),
        ("gaps", 0),
        ("late", 0),
    ] {
        assert_eq!(server.totals(field), expected, "{field}");
    }
    log.append("the end\n");
    audience.expect("the end\n");
    assert_eq!((server.totals("segments"), server.watches()), (1, 2));
}

/// A client that waits is quiet, and the server sleeps.
fn expect_quiet(server: &Server, client: &mut Client) {
    let before = server.totals("turns");
    client.expect_silence();
    let turns = server.totals("turns") - before;
    // Two for the totals, one for each tick, one for each client that is just leaving.
    assert!(turns < 20, "{turns} turns for nothing");
}

fn empty(path: &Path) {
    let file = OpenOptions::new().write(true).open(path);
    let emptied = file.expect("it is there").set_len(0);
    emptied.expect("it is ours");
}
