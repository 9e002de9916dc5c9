//! What a client's turn at reading or sending has brought, for the server to act on.

use crate::refusal::Refusal;
use crate::request::Request;

use std::io;

/// What reading has brought.
#[derive(Debug)]
pub enum Received {
    /// There may be more to read.
    More,
    /// Nothing more until the next edge.
    Drained,
    /// The client asks for this. There may be more to read.
    Request(Request),
    /// Its header is none.
    Refused(Refusal),
    /// The connection is of no more use.
    Closed(Closed),
}

/// What a turn at sending has brought.
#[derive(Debug)]
pub enum Served {
    /// There is more to do, in a later turn.
    More,
    /// The socket is full.
    Blocked,
    /// At the end of what there is.
    Waiting,
    /// What comes next is not in the page cache.
    Cold,
    /// The file ends before its known length: look at it again.
    Short,
    /// All that was asked for was sent.
    Complete,
    /// What was asked for is not to be had.
    Refused(Refusal),
    /// The client cannot go on, and why.
    Cut(Cut),
    /// The connection is of no more use.
    Closed(Closed),
}

/// Why a stream cannot go on.
#[derive(Debug)]
pub enum Cut {
    /// The file was truncated before it had everything.
    Truncated,
    /// The file was replaced before it was as long as the client wanted.
    Replaced,
    /// The next file was deleted before it could be opened.
    NeverSeen,
    /// So many bytes came to a file that it had left, at this offset.
    Late {
        offset: u64,
        bytes: u64,
    },
    /// It keeps too much deleted data on the disk.
    Held,
    /// It keeps too many old files open.
    Crowded,
    Unreadable(io::Error),
}

/// Why a connection is closed.
#[derive(Debug)]
pub enum Closed {
    /// By the client, before its first byte.
    Silence,
    /// Everything was said, and the client has sent FIN.
    Drained,
    /// It went on sending after the end.
    TooMuchInput,
    /// It did not close its side in time after the end.
    NotDrained,
    /// Nothing can be sent to it any more: reset, or both directions closed.
    Gone,
    Error(io::Error),
}
