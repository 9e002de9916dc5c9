//! What somebody at a terminal sees: one line on stderr that is written over. Elsewhere nothing is
//! said.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::units::scaled;

pub struct Progress {
    /// `None`: stderr is no terminal.
    shown: Option<Shown>,
    /// The local file's length in bytes.
    length: u64,
}

/// The line as it was last drawn.
struct Shown {
    at: Instant,
    length: u64,
}

impl Progress {
    /// Often enough to look alive.
    pub const INTERVAL: Duration = Duration::from_millis(500);

    pub fn new(length: u64) -> Progress {
        let shown = std::io::stderr().is_terminal().then(|| Shown {
            at: Instant::now(),
            length,
        });
        Progress { shown, length }
    }

    /// Whether somebody looks, so that the line has to be kept up to date while nothing arrives.
    pub fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// The file has grown.
    pub fn add(&mut self, bytes: usize) {
        self.length += bytes as u64;
        self.tick();
    }

    /// Draws the line anew once the interval is over.
    pub fn tick(&mut self) {
        let Some(shown) = &mut self.shown else { return };
        let elapsed = shown.at.elapsed();
        if elapsed < Self::INTERVAL {
            return;
        }
        let rate = (self.length - shown.length) as f64 / elapsed.as_secs_f64();
        shown.at = Instant::now();
        shown.length = self.length;
        draw(&format!(
            "{}  {}/s",
            scaled(self.length as f64),
            scaled(rate)
        ));
    }

    /// Says why nothing arrives for a while.
    pub fn pause(&self, why: &str, pause: Duration) {
        if self.is_shown() {
            let length = scaled(self.length as f64);
            draw(&format!(
                "{length}  {why}; again in {:.1} s",
                pause.as_secs_f64()
            ));
        }
    }

    /// Leaves the line as it is, for the message that follows.
    pub fn end(&self) {
        if self.is_shown() {
            // A terminal that has gone cannot be told so.
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn draw(line: &str) {
    // To the line's beginning, and the rest of the old one erased. A terminal that has gone is no
    // reason to stop.
    let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
}
