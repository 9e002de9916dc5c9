//! Programs that die with the test that has started them.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Starts it in a process group of its own, so that a wrapper and what it runs die together. It
/// ends with this *thread* at the latest, also when the whole test run is killed and nothing is
/// dropped; whoever is to outlive the thread has to be started by another one. Not so behind a
/// wrapper that becomes another user: the kernel forgets the wish then (prctl(2)).
pub fn start(command: &mut Command) -> (Child, Pid) {
    // SAFETY: between fork and exec, in the child of a process with threads, it makes one system
    // call, and allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
    let child = command.process_group(0).spawn();
    let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let group = Pid::from_raw(child.id().try_into().expect("a pid fits"));
    (child, group)
}

#[test]
fn a_server_does_not_outlive_the_thread_that_started_it() {
    let starts = || {
        let server = super::Server::start(&[std::path::Path::new("/etc/hostname")]);
        let pid = server.pid();
        // As if the test were killed: nobody drops it.
        std::mem::forget(server);
        pid
    };
    let pid = std::thread::spawn(starts).join().expect("it starts");
    super::wait_until("the server is dead", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // Nobody waits for it either.
        stat.is_ok_and(|stat| stat.contains(") Z "))
    });
}
