//! What was written to each file that bore a name, and a client that compares what it gets with
//! that.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::support::Client;

/// A file that bears the name or has borne it.
pub struct Played {
    pub bytes: Vec<u8>,
    /// Without one, whoever is at its end goes on with the next.
    pub writer: Option<File>,
    /// So it does although there is one.
    pub is_left: bool,
    /// Nobody could open it before it was deleted: whoever comes to it is closed.
    pub is_missing: bool,
}

/// A client, and its place in the files of one name.
pub struct Reader {
    pub client: Client,
    /// Where it began: the number of a file.
    pub first: usize,
    pub file: usize,
    pub offset: usize,
    pub has_ended: bool,
    has_data: bool,
}

impl Played {
    pub fn new(path: &Path, content: &[u8]) -> Played {
        let mut options = OpenOptions::new();
        let file = options.create_new(true).append(true).open(path);
        let mut file = file.expect("there is no such file");
        file.write_all(content).expect("there is room");
        Played {
            bytes: content.to_vec(),
            writer: Some(file),
            is_left: false,
            is_missing: false,
        }
    }

    pub fn write(&mut self, text: &str) {
        let writer = self.writer.as_mut().expect("it is still open");
        writer.write_all(text.as_bytes()).expect("there is room");
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Under the name that it bears by now.
    pub fn reopen(&mut self, path: &Path) {
        let file = OpenOptions::new().append(true).open(path);
        self.writer = Some(file.expect("it is there"));
    }

    fn is_finished(&self) -> bool {
        self.is_left || self.writer.is_none()
    }
}

impl Reader {
    pub fn new(client: Client, first: usize) -> Reader {
        Reader {
            client,
            first,
            file: first,
            offset: 0,
            has_ended: false,
            has_data: false,
        }
    }

    /// Gets at least as many bytes, or all that were written so far, and nothing else.
    pub fn read(&mut self, files: &[Played], enough: usize) {
        let mut count = 0;
        while count < enough && !self.has_ended {
            let file = &files[self.file];
            let rest = &file.bytes[self.offset..];
            let piece = &rest[..rest.len().min(enough - count)];
            self.client.expect(piece);
            self.has_data |= !piece.is_empty();
            self.offset += piece.len();
            count += piece.len();
            if self.offset < file.bytes.len() {
                continue;
            }
            if !file.is_finished() || self.file + 1 == files.len() {
                return;
            }
            if files[self.file + 1].is_missing {
                return self.expect_end();
            }
            self.file += 1;
            self.offset = 0;
        }
    }

    /// It cannot go on, and is told so as long as it has got nothing.
    pub fn expect_end(&mut self) {
        match self.has_data {
            true => self.client.expect_end(),
            false => self.client.expect_error("file was replaced"),
        }
        self.has_ended = true;
    }
}
