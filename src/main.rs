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
mod door;
mod error;
mod exposure;
mod hosts;
mod limits;
mod listen;
mod sandbox;
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
mod offset;
mod outcome;
mod reach;
mod refusal;
mod request;
mod scan;
mod share;
mod socket;

// One that wants more than a raw stream: what is made for it.
mod reply;

mod bookmark;
mod events;
mod filter;
mod http;
mod outbox;

// What is sent from memory.
mod listing;
mod page;
mod texts;

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
mod paths;
mod roots;
mod watch;

// The only unsafe code.
mod sys;

use cli::{Cli, Instead};
use door::Door;
use error::Fatal;
use hosts::Hosts;
use limits::Limits;
use listen::{Listener, Wanted};
use report::Report;
use roots::Roots;
use sandbox::{Enforced, Sandbox};
use server::{Server, Terms};
use signals::Signals;
use systemd::Manager;
use tails::Tails;

use std::io::Write;
use std::path::PathBuf;
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

fn fail(why: &str, status: u8) -> ExitCode {
    report::say_fatal(why);
    ExitCode::from(status)
}

fn serve(cli: Cli) -> Result<(), Fatal> {
    // Before any descriptor is opened that could bear one of their numbers.
    let inherited = systemd::inherited_sockets()?;
    report::init_log(cli.verbose, cli.quiet);
    let signals =
        Signals::take_over().map_err(|error| Fatal::io("cannot take signals over", &error))?;
    let hosts = Hosts::new(cli.allow.clone(), cli.max_clients_per_host);
    let mut roots = Roots::new(&cli.paths)?;
    let wanted = Wanted {
        addresses: &cli.bind,
        port: cli.port,
        keepalive: cli.keepalive(),
        socket_mode: cli.socket_mode,
    };
    let listeners = listen::listen_on(inherited, &wanted)?;
    let limits = Limits::new(cli.max_clients, listeners.len())?;
    let mut names = door::own_names();
    names.extend(cli.host.iter().cloned());
    let door = Door::new(!cli.no_http, names);
    let (manager, unheard) = Manager::from_environment();
    let report = Report::new(cli.drain_grace());
    unheard.iter().for_each(|error| report.unheard(error));
    for exposure in exposure::exposures(&cli.paths, &listeners, &hosts) {
        report.exposure(&exposure);
    }
    if !cli.no_sandbox {
        confine(&cli.paths, &listeners, &mut roots, &report)?;
    }
    let listening: String = listeners
        .iter()
        .map(|listener| format!("listening {listener}\n"))
        .collect();
    let tails = Tails::new(roots, cli.drain_grace(), cli.max_held);
    let terms = Terms {
        limits,
        hosts,
        door,
        header_timeout: cli.header_timeout(),
        keepalive: cli.keepalive(),
    };
    let server = Server::new(signals, listeners, tails, terms, report, manager)?;
    let _ = std::io::stdout().write_all(listening.as_bytes());
    server.run()
}

/// From here on nothing can be opened but what is to be served.
fn confine(
    paths: &[PathBuf],
    listeners: &[Listener],
    roots: &mut Roots,
    report: &Report,
) -> Result<(), Fatal> {
    let sockets = listeners.iter().filter_map(Listener::own_path);
    let sandbox = Sandbox::new(paths, sockets);
    let enforced = sandbox.enter()?;
    if enforced != Enforced::No {
        roots.note_sandbox();
    }
    report.sandbox(&sandbox, enforced);
    Ok(())
}
