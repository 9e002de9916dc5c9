//! Load test: sendtail beside the bare loop of `bareloop.rs`, as a table of medians and ratios.
//!
//! ```text
//!   cargo run --release --example loadtest -- [MODE] [OPTIONS]
//! ```
//!
//! | mode     | what it does                                     | what it measures             |
//! |----------|--------------------------------------------------|------------------------------|
//! | bulk     | readers take a cached file from 0 to its end     | CPU a GB, wall time          |
//! | live     | followers of one file get 100-byte appends       | CPU a delivery, latency      |
//! | .        | `--backlog N`: beside readers of the same file   | latency, GB a second         |
//! | .        | `--cold N`: the same on a disk of 20 MB/s        | latency, share of the limit  |
//! | .        | `--stuck N`: beside clients that never read      | latency                      |
//! | idle     | followers of a quiet file                        | CPU a second, memory         |
//! | connect  | many connections at once, each gets a small file | wall time, CPU a connection  |
//! | lines    | `-10` and `-1000000`, beside `tail`              | first byte, wall time        |
//! | search   | `-2000000` through cold pages of a followed file | latency of appends meanwhile |
//! | storm    | a writer at full speed                           | lines a second delivered     |
//! | producer | the same writer, beside `tail -f`                | how much longer it takes     |
//! | flat     | 10 to 10,000 followers; 1 and 5000 files         | CPU a delivery, latency      |
//!
//! `all` is all of them, and `--plots DIR` draws two pictures. What a machine does not permit (only
//! root can make a slow disk) is left out, and said.
//!
//! Absolute figures belong to a machine; a ratio is worth something elsewhere, because both servers
//! are measured in turn, on the same core, by the same clients, on another core.

mod bench;
mod cores;
mod crowd;
mod failure;
mod options;
mod plots;
mod pulse;
mod readers;
mod sample;
mod server;
mod slow_disk;
mod table;
mod throttle;

mod beside;
mod bulk;
mod connect;
mod flat;
mod idle;
mod lines;
mod live;
mod producer;
mod search;
mod storm;

use bench::Bench;
use clap::Parser;
use failure::{Failure, cannot};
use options::{Mode, Options};
use plots::Plots;
use table::Table;

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
    let mut plots = Plots::default();
    for mode in modes {
        match mode {
            Mode::All => (),
            Mode::Bulk => show(bulk::run(&bench)?)?,
            Mode::Live => live(&bench, &mut plots)?,
            Mode::Idle => show(idle::run(&bench)?)?,
            Mode::Connect => show(connect::run(&bench)?)?,
            Mode::Search => show(search::run(&bench)?)?,
            Mode::Storm => show(storm::run(&bench)?)?,
            Mode::Flat => show(flat::run(&bench, &mut plots)?)?,
            Mode::Producer => show(producer::run(&bench)?)?,
            Mode::Lines => show(lines::run(&bench)?)?,
        }
    }
    match &bench.options.plots {
        Some(directory) => plots.write(directory),
        None => Ok(()),
    }
}

fn live(bench: &Bench, plots: &mut Plots) -> Result<(), Failure> {
    if bench.options.is_live_alone() {
        show(live::run(bench)?)?;
    }
    for load in bench.options.loads() {
        show(beside::run(bench, load, plots)?)?;
    }
    Ok(())
}

fn show(table: Table) -> Result<(), Failure> {
    print(&format!("\n{table}"))
}

/// Unlike `print!` it does not panic when the reader of a pipe has left.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(cannot("write to standard output"))
}
