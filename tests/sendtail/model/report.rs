//! What SIGUSR1 says of a server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::Server;

/// One SIGUSR1: the totals, and a line for each client.
pub struct Report {
    pub totals: HashMap<String, usize>,
    pub clients: Vec<String>,
}

impl Report {
    /// As things are now. One caller at a time.
    pub fn of(server: &Server) -> Report {
        loop {
            assert!(!server.has_ended(), "the server has ended");
            let before = server.log_length();
            server.signal(Signal::SIGUSR1);
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(500) {
                if let Some(report) = Report::parse(&server.log_since(before)) {
                    return report;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            // A client that left between the totals and its own line: that is never complete.
        }
    }

    pub fn field(&self, name: &str) -> usize {
        let value = self.totals.get(name);
        *value.unwrap_or_else(|| panic!("there is no {name:?} in the totals: {:?}", self.totals))
    }

    /// How far the clients of the files below this directory are.
    pub fn places(&self, directory: &str) -> Vec<String> {
        let here = self.clients.iter().filter(|line| line.contains(directory));
        let places = here.map(|line| line.split(", connected for ").next().unwrap_or(line));
        places.map(str::to_owned).collect()
    }

    /// Everybody who was accepted has asked, and the server has read it.
    pub fn have_all_asked(&self) -> bool {
        let mut clients = self.clients.iter();
        !clients.any(|client| client.contains("no request yet"))
    }

    /// `None` as long as it is not all there.
    fn parse(log: &str) -> Option<Report> {
        let (_, rest) = log.split_once("totals: ")?;
        let (totals, rest) = rest.split_once('\n')?;
        let fields = totals
            .split(", ")
            .filter_map(|field| field.rsplit_once(' '));
        let totals: HashMap<String, usize> = fields
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect();
        let is_complete = rest.ends_with('\n');
        let lines = rest
            .lines()
            .filter(|line| line.starts_with("sendtail: client "));
        let clients: Vec<String> = lines.map(str::to_owned).collect();
        (is_complete || rest.is_empty()).then_some(())?;
        (clients.len() >= totals["clients"]).then_some(Report { totals, clients })
    }
}
