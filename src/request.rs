//! The bytes of a client to a request, or "not yet", or why not. Pure.
//!
//! | bytes so far                | parsed as                                  |
//! |-----------------------------|--------------------------------------------|
//! | blanks, a start, no LF      | not yet                                    |
//! | the same, then LF or FIN    | a request                                  |
//! | nothing, then LF or CR LF   | the last 10 lines                          |
//! | nothing, then FIN           | silence                                    |
//! | `ls`, then the same         | a request for the list of files            |
//! | A-Z                         | HTTP: see `web`                            |
//! | anything else               | `bad start`, at its first byte             |
//! | 4096 bytes without LF       | `header too long`                          |

mod web;

mod words;

use crate::bookmark::Bookmark;
use crate::door::Door;
use crate::page::Asset;
use crate::refusal::Refusal;

use memchr::memchr;

use std::path::PathBuf;

/// The longest header in bytes, its newline included. A path is at most 4096 bytes too (`PATH_MAX`,
/// limits.h).
pub const HEADER_BYTES_MAX: usize = 4096;

/// The most that is read of a request, in either grammar.
pub const REQUEST_BYTES_MAX: usize = web::HEAD_BYTES_MAX;

/// What plain `tail` shows, and what an empty line asks for.
const DEFAULT_LINES: u64 = 10;

/// What one client asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub wants: Wants,
    pub form: Form,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Wants {
    File(Wanted),
    /// The list of the files, or of those below a directory; decoded and not judged.
    List(Option<PathBuf>),
    /// The server's numbers.
    Metrics,
    /// Something that is compiled in.
    Asset(&'static Asset),
}

/// What of which file.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    pub start: Start,
    /// Decoded and not judged: that is for `roots`. `None` where the header names no path.
    pub path: Option<PathBuf>,
    /// It ends where the file ends when the request arrives.
    pub once: bool,
    /// It ends before this byte, counted from 0.
    pub until: Option<u64>,
    /// What each line has to meet.
    pub conditions: Vec<Condition>,
}

/// A line contains this text, or it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Decoded; never empty.
    pub text: Vec<u8>,
    pub wanted: bool,
}

/// Where in the file a client wants to begin. All numbers are below 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `N`: at this byte, counted from 0.
    Byte(u64),
    /// `-N`: with the last N lines.
    LastLines(u64),
    /// `-Nc`: with the last N bytes.
    LastBytes(u64),
    /// `+N`: with line N, counted from 1 (0 is 1).
    FromLine(u64),
    /// Where another stream was.
    Bookmark(Bookmark),
}

/// How it is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Nothing but bytes of the file.
    #[default]
    Raw,
    Http(Http),
}

/// What of HTTP concerns the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    pub version: Version,
    /// The head alone.
    pub is_head: bool,
    pub body: Body,
    /// The start and `until` are a range, and so is the reply.
    pub is_range: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V10,
    V11,
}

/// What the lines of a file become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Bytes,
    /// Server-sent events (HTML standard, 9.2).
    Events,
}

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    NotYet,
    /// The client closed its sending half before its first byte: a port check, not a request.
    Silence,
    Request(Request),
    Refused(Refusal),
}

impl Request {
    /// Parses `received`, all that the client has sent so far; `ended` says that nothing can follow
    /// (it sent FIN). What stands behind the request is not looked at.
    pub fn parse(received: &[u8], ended: bool, door: &Door) -> Parsed {
        if let Form::Http(_) = Form::of(received, door) {
            return web::parse(received, ended, door);
        }
        let window = &received[..received.len().min(HEADER_BYTES_MAX)];
        match memchr(b'\n', window) {
            Some(newline) => Self::parse_line(&window[..newline]),
            None if received.is_empty() && ended => Parsed::Silence,
            None if !may_begin_header(window) => Parsed::Refused(Refusal::BadStart),
            None if window.len() == HEADER_BYTES_MAX => Parsed::Refused(Refusal::HeaderTooLong),
            None if ended => Self::parse_line(window),
            None => Parsed::NotYet,
        }
    }

    fn parse_line(line: &[u8]) -> Parsed {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match Wants::from_words(line.split(is_blank).filter(|word| !word.is_empty())) {
            Ok(wants) => Parsed::Request(Request {
                wants,
                form: Form::Raw,
            }),
            Err(refusal) => Parsed::Refused(refusal),
        }
    }
}

impl Wants {
    fn from_words<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Wants, Refusal> {
        match words.next() {
            None => Ok(Wants::File(Wanted::new(Start::LastLines(DEFAULT_LINES)))),
            Some(b"ls") => Self::list_from_words(words),
            Some(start) => {
                let start = Start::parse(start).ok_or(Refusal::BadStart)?;
                Wanted::from_words(start, words).map(Wants::File)
            }
        }
    }

    fn list_from_words<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Wants, Refusal> {
        let directory = match words.next() {
            Some(word) if word.contains(&b'=') => return Err(Refusal::UnknownOption),
            Some(word) => Some(words::decode_path(word).ok_or(Refusal::BadHeader)?),
            None => None,
        };
        match words.next() {
            None => Ok(Wants::List(directory)),
            Some(_) => Err(Refusal::UnknownOption),
        }
    }
}

impl Wanted {
    fn new(start: Start) -> Wanted {
        Wanted {
            start,
            path: None,
            once: false,
            until: None,
            conditions: vec![],
        }
    }

    fn from_words<'a>(
        start: Start,
        words: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::new(start);
        for (index, word) in words.enumerate() {
            match word {
                b"once" => wanted.once = true,
                [b'g', b'r', b'e', b'p', b'=', text @ ..] => wanted.add_condition(text, true)?,
                [b's', b'k', b'i', b'p', b'=', text @ ..] => wanted.add_condition(text, false)?,
                // A word with "=" is always an option.
                word if index == 0 && !word.contains(&b'=') => {
                    let path = words::decode_path(word).ok_or(Refusal::BadHeader)?;
                    wanted.path = Some(path);
                }
                _ => return Err(Refusal::UnknownOption),
            }
        }
        Ok(wanted)
    }

    fn add_condition(&mut self, text: &[u8], wanted: bool) -> Result<(), Refusal> {
        let text = words::decode_text(text).ok_or(Refusal::BadHeader)?;
        Condition::add(&mut self.conditions, text, wanted)
    }
}

impl Form {
    /// The form of the reply to a client that has sent these bytes, should they amount to no
    /// request.
    pub fn of(received: &[u8], door: &Door) -> Form {
        match received.first() {
            Some(b'A'..=b'Z') if door.is_http() => Form::Http(Http {
                version: Version::V11,
                is_head: received.starts_with(b"HEAD "),
                body: Body::Bytes,
                is_range: false,
            }),
            _ => Form::Raw,
        }
    }
}

/// Whether `received`, which has no newline yet, can still become a header: so a TLS hello is
/// answered at once and does not have to run into the timeout.
fn may_begin_header(received: &[u8]) -> bool {
    let Some(begin) = received.iter().position(|byte| !is_blank(byte)) else {
        return true;
    };
    match received[begin..] {
        [b'l'] | [b'l', b's'] | [b'l', b's', b' ' | b'\t' | b'\r', ..] => true,
        [byte, ..] => byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'\r'),
        [] => true,
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests;
