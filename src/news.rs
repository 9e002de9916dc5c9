//! What looks at files have brought: whom to wake, and what an operator should hear.

use mio::Token;

use std::path::PathBuf;

/// Kept and used again, so that nothing is allocated a delivery.
#[derive(Default)]
pub struct News {
    pub woken: Vec<Token>,
    pub notes: Vec<Note>,
}

/// Something that happened to a followed name.
pub enum Note {
    Truncated {
        path: PathBuf,
        end: u64,
        clients: usize,
    },
    Replaced {
        path: PathBuf,
    },
    CannotOpen {
        path: PathBuf,
        why: String,
    },
    CannotWatch {
        path: PathBuf,
        why: String,
    },
}
