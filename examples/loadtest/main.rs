//! Load test: sendtail beside the bare loop of `bareloop.rs`, as a table of medians and ratios.
//!
//! ```text
//!   cargo run --release --example loadtest -- [MODE] [OPTIONS]
//! ```
//!
//! | mode    | what it does                                        | what it measures                     |
//! |---------|-----------------------------------------------------|--------------------------------------|
//! | bulk    | readers take a cached file from 0 to its end        | CPU a GB, wall time                  |
//! | live    | followers of one file get 100-byte appends          | CPU a delivery, latency              |
//! | idle    | followers of a quiet file                           | CPU a second, memory and descriptors |
//! | connect | many connections at once, each gets a small file    | wall time, CPU a connection          |
//! | lines   | `-10` and `-1000000`, beside `tail`                 | first byte, wall time                |
//!
//! Absolute figures belong to a machine; a ratio is worth something elsewhere, because both servers
//! are measured in turn, on the same core, by the same clients, on another core.

mod bench;
mod cores;
mod crowd;
mod failure;
mod options;
mod sample;
mod server;
mod table;

mod bulk;
mod connect;
mod idle;
mod lines;
mod live;

use bench::Bench;
use clap::Parser;
use failure::{Failure, cannot};
use options::{Mode, Options};

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Ends the process with status 2 if it is not called as it should be.
    let options = Options::parse();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Failure> {
    let modes = options.modes();
    let bench = Bench::new(options)?;
    print(&bench.description())?;
    for mode in modes {
        let table = match mode {
            Mode::All => continue,
            Mode::Bulk => bulk::run(&bench)?,
            Mode::Live => live::run(&bench)?,
            Mode::Idle => idle::run(&bench)?,
            Mode::Connect => connect::run(&bench)?,
            Mode::Lines => lines::run(&bench)?,
        };
        print(&format!("\n{table}"))?;
    }
    Ok(())
}

/// Unlike `print!` it does not panic when the reader of a pipe has left.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(cannot("write to standard output"))
}
