//! A FIFO is not served, and not even opened: that would release a writer who waits for somebody
//! else.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::stat::Mode;
use nix::unistd::{gettid, mkfifo};

use super::Tree;
use crate::support::{Server, wait_until};

#[test]
fn a_fifo_is_refused_without_touching_its_other_end() {
    let tree = Tree::new();
    let fifo = tree.path("fifo");
    let file_path = tree.path("later");
    let server = Server::start(&[&tree.served(), &file_path]);
    mkfifo(&fifo, Mode::S_IRWXU).expect("it is ours");
    mkfifo(&file_path, Mode::S_IRWXU).expect("it is ours");
    let writers = [blocked_writer(&fifo), blocked_writer(&file_path)];
    for _ in 0..3 {
        server.ask("0 served/fifo\n").expect_error("no such file");
        server.ask("0 served/later\n").expect_error("no such file");
    }
    // As a file PATH it counts as a file that is about to come.
    let mut waiting = server.ask("0 later\n");
    server.wait_for_request(&waiting);
    waiting.expect_silence();
    for (path, writer) in [&fifo, &file_path].into_iter().zip(writers) {
        let stat = std::fs::read_to_string(&writer.stat).unwrap_or_default();
        let still_blocked = stat.contains(") S ") && !writer.opened.load(Ordering::SeqCst);
        assert!(still_blocked, "{}: something opened it", path.display());
        drop(File::open(path).expect("it is ours"));
        writer.thread.join().expect("our opening releases it");
    }
}

struct BlockedWriter {
    thread: std::thread::JoinHandle<()>,
    opened: Arc<AtomicBool>,
    stat: String,
}

/// A thread that sleeps in open(O_WRONLY) until somebody opens the other end.
fn blocked_writer(fifo: &Path) -> BlockedWriter {
    let opened = Arc::new(AtomicBool::new(false));
    let (told, ready) = std::sync::mpsc::channel();
    let (path, flag) = (fifo.to_owned(), Arc::clone(&opened));
    let thread = std::thread::spawn(move || {
        told.send(gettid()).expect("somebody waits for it");
        let file = OpenOptions::new().write(true).open(path);
        flag.store(true, Ordering::SeqCst);
        drop(file);
    });
    let stat = format!("/proc/self/task/{}/stat", ready.recv().expect("it starts"));
    wait_until("the writer sleeps in open", || {
        std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "))
    });
    BlockedWriter {
        thread,
        opened,
        stat,
    }
}
