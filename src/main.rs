//! `tail -F` as a server: start-up and exit status.
//!
//! A byte's journey:
//!
//! ```text
//!   writer --append--> file                                             client's socket --> client
//!                       |                                                       ^
//!                       v event                                                 | sendfile
//!                     watch --hint--> tails --look--> tail --fstat--> segment --+
//!                                                      |                        ^
//!                                       woken clients  v                        | a range of bytes
//!                                  schedule --> server --its turn--> client --> cursor
//! ```

#![deny(unsafe_code)]

// From the command line to a listening process.
mod cli;
mod error;
mod limits;
mod listen;
mod signals;
mod systemd;

// The loop, and what it keeps.
mod server;

mod clients;
mod disk;
mod report;
mod schedule;

// One client: what it asks for, where that is, how it gets it.
mod client;

mod cursor;
mod outcome;
mod request;
mod scan;
mod share;
mod socket;

// Everything that is followed; one name; its files in their order; how changes are heard of.
mod tails;

mod tail;

mod finish;
mod rotation;

mod chain;
mod segment;

mod marker;
mod open_file;

mod name;
mod news;
mod roots;
mod watch;

// The only unsafe code.
mod sys;

use cli::{Cli, Instead};
use error::Fatal;
use limits::Limits;
use report::Report;
use roots::Roots;
use server::Server;
use signals::Signals;
use tails::Tails;

use std::io::Write;
use std::process::ExitCode;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::parse_arguments() {
        Ok(cli) => cli,
        Err(Instead::Print(text)) => {
            let _ = write!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Instead::UsageError(why)) => return usage_error(&why),
    };
    if let Err(why) = Roots::check_names(&cli.paths) {
        return usage_error(&why);
    }
    match serve(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => fail(&fatal.to_string(), FAILURE),
    }
}

fn usage_error(why: &str) -> ExitCode {
    fail(&format!("{why} (see --help)"), USAGE)
}

/// That nobody reads it is no reason to fail differently.
fn fail(why: &str, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sendtail: {why}");
    ExitCode::from(status)
}

fn serve(cli: Cli) -> Result<(), Fatal> {
    // Before any descriptor is opened that could bear one of their numbers.
    let inherited = systemd::inherited_sockets()?;
    report::init_log(cli.verbose, cli.quiet);
    let signals =
        Signals::take_over().map_err(|error| Fatal::io("cannot take signals over", &error))?;
    let limits = Limits::new(cli.max_clients)?;
    let header_timeout = cli.header_timeout();
    let keepalive = cli.keepalive();
    let (drain_grace, max_held) = (cli.drain_grace(), cli.max_held);
    let roots = Roots::new(cli.paths)?;
    let listeners = listen::listen_on(inherited, &cli.bind, cli.port, keepalive)?;
    let listening: String = listeners
        .iter()
        .map(|listener| format!("listening {listener}\n"))
        .collect();
    let tails = Tails::new(roots, drain_grace, max_held);
    let report = Report::new(drain_grace);
    let server = Server::new(signals, listeners, tails, limits, report, header_timeout)?;
    let _ = std::io::stdout().write_all(listening.as_bytes());
    systemd::notify_ready();
    server.run()
}
