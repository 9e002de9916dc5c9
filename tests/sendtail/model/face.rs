//! What a client of a history gets its bytes in: as they are, or in chunks of HTTP.

use super::follower::REFUSAL;
use super::step::Start;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Face {
    Raw,
    Chunks,
}

impl Face {
    /// What is sent to have a file from there on. `name` may be empty where there is one file alone,
    /// and then it is that.
    pub fn request(self, start: Start, name: &str) -> String {
        match (self, name) {
            (Face::Raw, "") => format!("{start}\n"),
            (Face::Raw, name) => format!("{start} {name}\n"),
            (Face::Chunks, name) => {
                let name = if name.is_empty() { "log" } else { name };
                let start = match start {
                    Start::Default => "-10".to_owned(),
                    start => start.to_string().replace('+', "%2B"),
                };
                format!("GET /{name}?from={start}&follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            }
        }
    }
}

/// Takes the chunks away from around the bytes, whatever the pieces are that they come in. What a
/// raw client would be told instead of the first byte it says like that.
pub struct Unwrapper {
    part: Part,
    /// What has come of a line of HTTP's own.
    line: Vec<u8>,
    has_begun: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Status,
    Head {
        is_chunked: bool,
    },
    /// All that comes, whether it was always like that or stands behind a head.
    Bytes,
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer,
    Nothing,
}

impl Unwrapper {
    pub fn new(face: Face) -> Unwrapper {
        let part = match face {
            Face::Raw => Part::Bytes,
            Face::Chunks => Part::Status,
        };
        Unwrapper {
            part,
            line: vec![],
            has_begun: false,
        }
    }

    /// Appends to `out` what lies in these bytes.
    pub fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let of_file = match self.part {
                Part::Bytes => bytes.len(),
                Part::Chunk(left) => left.min(bytes.len()),
                _ => 0,
            };
            let (of_file, rest) = bytes.split_at(of_file);
            out.extend_from_slice(of_file);
            self.has_begun |= !of_file.is_empty();
            bytes = rest;
            if let Part::Chunk(left) = &mut self.part {
                *left -= of_file.len();
                if *left == 0 {
                    self.part = Part::ChunkEnd;
                }
                continue;
            }
            if let Some((&byte, rest)) = bytes.split_first() {
                self.line.push(byte);
                bytes = rest;
            }
            if self.line.ends_with(b"\r\n") {
                let line = std::mem::take(&mut self.line);
                let line = std::str::from_utf8(&line).expect("it is ASCII");
                let line = line.trim_end();
                let words = line.strip_prefix("Sendtail-End: ").unwrap_or_default();
                let is_replaced = words == "file was replaced" || words.starts_with("lost ");
                if is_replaced && !self.has_begun {
                    out.extend_from_slice(REFUSAL);
                }
                self.part = self.part.after(line);
            }
        }
    }
}

impl Part {
    /// That line has come of HTTP's own.
    fn after(self, line: &str) -> Part {
        match (self, line) {
            (Part::Status, "HTTP/1.1 200 OK" | "HTTP/1.1 410 Gone") => {
                Part::Head { is_chunked: false }
            }
            (Part::Head { is_chunked: true }, "") | (Part::ChunkEnd, "") => Part::ChunkSize,
            (Part::Head { .. }, "") => Part::Bytes,
            (Part::Head { is_chunked }, field) => Part::Head {
                is_chunked: is_chunked || field == "Transfer-Encoding: chunked",
            },
            (Part::ChunkSize, size) => match usize::from_str_radix(size, 16) {
                Ok(0) => Part::Trailer,
                Ok(size) => Part::Chunk(size),
                Err(_) => panic!("no size: {size}"),
            },
            (Part::Trailer, "") => Part::Nothing,
            (Part::Trailer, _) => Part::Trailer,
            (part, line) => panic!("{part:?}: {line}"),
        }
    }
}
