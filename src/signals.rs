//! Signals turned into what the operator asked for.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The signals, blocked everywhere and read from a descriptor.
pub struct Signals {
    descriptor: SignalFd,
}

/// What a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP: look at every file again.
    Look,
    /// SIGUSR1: say how things are.
    Report,
}

impl Signals {
    /// Takes the signals over. From now on none of them ends or interrupts the process.
    ///
    /// SIGIO (sent when a file lease is broken) would end it by default. It is blocked and never
    /// read: that is as good as ignored. SIGPIPE is ignored by Rust's runtime.
    pub fn take_over() -> io::Result<Signals> {
        let read: SigSet = [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
        ]
        .into_iter()
        .collect();
        let mut blocked = read;
        blocked.add(Signal::SIGIO);
        blocked.thread_block()?;
        let descriptor =
            SignalFd::with_flags(&read, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { descriptor })
    }

    /// Asks for an edge for each signal.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut SourceFd(&self.descriptor.as_fd().as_raw_fd()),
            token,
            Interest::READABLE,
        )
    }

    /// The next one that has come; `None` until there is a new edge.
    pub fn next_order(&mut self) -> Option<Order> {
        let signal = self.descriptor.read_signal().ok()??;
        match Signal::try_from(signal.ssi_signo as i32).ok()? {
            Signal::SIGHUP => Some(Order::Look),
            Signal::SIGUSR1 => Some(Order::Report),
            _ => Some(Order::Stop),
        }
    }
}
