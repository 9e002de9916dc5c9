//! The whole of a client: connect, say where to start, copy what comes.
//!
//! ```text
//! cargo run --example follow -- 127.0.0.1:4321 -10
//! cargo run --example follow -- 127.0.0.1:4321 -10 nginx/access.log
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((address, header)) = arguments.split_first() else {
        eprintln!("usage: follow HOST:PORT [START] [PATH]");
        return ExitCode::from(2);
    };
    if let Err(error) = follow(address, &header.join(" ")) {
        eprintln!("follow: {address}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn follow(address: &str, header: &str) -> io::Result<u64> {
    let mut server = TcpStream::connect(address)?;
    server.write_all(format!("{header}\n").as_bytes())?;
    io::copy(&mut server, &mut stdout_at_once()?)
}

/// `io::stdout()` keeps an unterminated line until its newline comes. And into a pipe that it knows
/// for one, `io::copy` would splice: splice(2) keeps the pipe locked while it waits for the socket,
/// so that whoever reads from the pipe gets a line only when the next one comes. Hence a file of
/// its own, and its type hidden.
fn stdout_at_once() -> io::Result<Box<dyn Write>> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(descriptor)))
}
