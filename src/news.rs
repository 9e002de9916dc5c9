//! What looks at files have brought: whom to wake, and what an operator should hear.

use mio::Token;

use std::path::PathBuf;

/// Kept and used again, so that nothing is allocated a delivery.
#[derive(Default)]
pub struct News {
    /// Clients that waited and have something to do now. They stand in no waiting list any more.
    pub woken: Vec<Token>,
    /// What is said in the log.
    pub notes: Vec<Note>,
}

/// Something that happened to a followed name.
pub enum Note {
    /// At `end` bytes, with so many clients in the segment that ends.
    Truncated {
        path: PathBuf,
        end: u64,
        clients: usize,
    },
    /// Another file bears the name now.
    Replaced { path: PathBuf },
    /// What bears the name now cannot be opened.
    CannotOpen { path: PathBuf, why: String },
    /// There is no watch to be had; the name is polled.
    CannotWatch { path: PathBuf, why: String },
}
