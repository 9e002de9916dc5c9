//! One core for the servers and one for everything else: neither is measured with the other.

use crate::failure::{Failure, cannot};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use std::fmt;
use std::io;
use std::process::{Child, Command};

/// The same core twice where there is only one.
#[derive(Clone, Copy)]
pub struct Cores {
    server: usize,
    ours: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use, and moves it to the second of them.
    pub fn claim() -> Result<Cores, Failure> {
        let allowed = sched_getaffinity(THIS_THREAD).map_err(cannot("ask for the cores"))?;
        let mut usable = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        let server = usable
            .next()
            .ok_or_else(|| Failure::new("there is no core to run on"))?;
        let ours = usable.next().unwrap_or(server);
        let cores = Cores { server, ours };
        move_to(ours)?;
        Ok(cores)
    }

    /// Starts a process on the servers' core. A child inherits the cores of the thread that starts
    /// it: so it is there from its first instruction on.
    pub fn start(&self, command: &mut Command) -> Result<Child, Failure> {
        move_to(self.server)?;
        let started = command.spawn();
        move_to(self.ours)?;
        let name = command.get_program().to_string_lossy().into_owned();
        started.map_err(cannot(format!("start {name}")))
    }
}

/// Where a thread of ours runs, and how much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the servers' core.
    Servers,
    /// On our core, like everything else.
    Ours,
    /// On our core, but only when nobody else wants it (SCHED_IDLE, which needs no privilege).
    OursWhenIdle,
}

impl Cores {
    /// Moves the calling thread.
    pub fn settle(&self, place: Place) -> Result<(), Failure> {
        match place {
            Place::Servers => move_to(self.server),
            Place::Ours => move_to(self.ours),
            Place::OursWhenIdle => {
                move_to(self.ours)?;
                run_when_idle()
            }
        }
    }
}

/// nix has no sched_setscheduler(2).
fn run_when_idle() -> Result<(), Failure> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: it reads `parameters` during the call, and changes nothing but this thread's policy.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) } {
        0 => Ok(()),
        _ => Err(cannot("lower the priority of a thread")(
            io::Error::last_os_error(),
        )),
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.server == self.ours {
            f.write_str("server and clients on one core, for there is no second")
        } else {
            write!(
                f,
                "server on core {}, clients on core {}",
                self.server, self.ours
            )
        }
    }
}

const THIS_THREAD: Pid = Pid::from_raw(0);

fn move_to(core: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(core)
        .and_then(|()| sched_setaffinity(THIS_THREAD, &set))
        .map_err(cannot(format!("move to core {core}")))
}
