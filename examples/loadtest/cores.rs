//! One core for the servers and one for everything else: neither is measured with the other.

use crate::failure::{Failure, cannot};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use std::fmt;
use std::process::{Child, Command};

/// The same core twice where there is only one.
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
