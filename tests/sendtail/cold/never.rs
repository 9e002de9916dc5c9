//! A kernel that never admits that anything is in memory, by `strace`: what the server may then
//! believe, and for how long it waits. Not on tmpfs, where it does not ask.

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::support::{Log, Tracer, has_program, numbered_lines, wait_until};

const NEVER: &str = "-einject=preadv2:error=EAGAIN";

fn can_test() -> bool {
    let kind = statfs(&std::env::temp_dir()).expect("it is there");
    has_program("strace") && kind.filesystem_type() != TMPFS_MAGIC
}

/// What it is by then, a truncation in between could not be told from.
#[test]
fn nothing_of_a_new_file_is_sent_before_its_marker_is_known() {
    if !can_test() {
        return;
    }
    let text = numbered_lines(20_000);
    let log = Log::absent();
    let server = log.server();
    let mut client = server.ask("0\n");
    server.wait_for_request(&client);
    let mut tracer = Tracer::attach(&server, &["-etrace=preadv2,pread64,sendfile", NEVER]);
    std::fs::write(log.beside("next"), &text).expect("there is room");
    std::fs::rename(log.beside("next"), &log.path).expect("it is there");
    client.expect(text.as_bytes());
    let calls = tracer.detach();
    let first = |name: &str| calls.iter().position(|call| call.contains(name));
    let (read, sent) = (first("pread64("), first("sendfile("));
    assert!(read.is_some() && read < sent, "{calls:#?}");
}

#[test]
fn who_follows_a_file_whose_marker_cannot_be_read_is_closed() {
    if !can_test() {
        return;
    }
    let log = Log::new(numbered_lines(1000));
    let server = log.server();
    let mut client = server.reader("-1\n", "line 999\n");
    let unreadable = "-einject=pread64:error=EIO";
    let _tracer = Tracer::attach(&server, &["-etrace=preadv2,pread64", NEVER, unreadable]);
    log.append("one more\n");
    client.expect_end();
    server.wait_for_log("Input/output error");
    wait_until("it is counted", || server.totals("cut") == 1);
}
