//! What the server is at in the moment that somebody asks.

use crate::request::{Body, Form};

/// What is counted elsewhere and belongs into the totals.
pub struct Now {
    /// All that are connected.
    pub clients: usize,
    /// Those of them that have asked for something, by how they have.
    pub faces: Faces,
    /// Names followed.
    pub files: usize,
    /// Files held open.
    pub segments: usize,
    /// What deleted files take of the disk for clients that are behind.
    pub held_bytes: u64,
    /// Inodes watched.
    pub watches: usize,
    /// Names that are looked at four times a second, for want of a watch.
    pub polled_files: usize,
    /// How much the one that is most behind has yet to get of what is there.
    pub lag_bytes_max: u64,
}

/// How many clients there are of each kind.
#[derive(Default)]
pub struct Faces {
    pub raw: usize,
    pub http: usize,
    /// Server-sent events.
    pub events: usize,
}

impl Faces {
    /// One more, if it has asked.
    pub fn count(&mut self, form: Form, has_asked: bool) {
        let counter = match form {
            _ if !has_asked => return,
            Form::Raw => &mut self.raw,
            Form::Http(http) if http.body == Body::Events => &mut self.events,
            Form::Http(_) => &mut self.http,
        };
        *counter += 1;
    }
}
