//! Header bytes to a request, or "not yet", or why not. Pure.
//!
//! | header so far              | parsed as                                  |
//! |----------------------------|--------------------------------------------|
//! | blanks, a start, no LF     | not yet                                    |
//! | the same, then LF or FIN   | a request                                  |
//! | nothing, then LF or CR LF  | the last 10 lines                          |
//! | nothing, then FIN          | silence                                    |
//! | anything a start cannot be | `bad start`, at its first byte             |
//! | 4096 bytes without LF      | `header too long`                          |

use memchr::memchr;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The longest header in bytes, its newline included. A path is at most 4096 bytes too (`PATH_MAX`,
/// limits.h).
pub const HEADER_BYTES_MAX: usize = 4096;

/// What plain `tail` shows, and what an empty line asks for.
const DEFAULT_LINES: u64 = 10;

/// What one client asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub start: Start,
    /// Decoded and not judged: that is for `roots`. `None` where the header names no path.
    pub path: Option<PathBuf>,
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

/// Why a request is not granted: the line that the client gets, without `error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    BadStart,
    BadHeader,
    HeaderTooLong,
    UnknownOption,
    PathNeeded,
    NoSuchFile,
    TryAgain,
    TooManyClients,
    TooManyOfHost,
    TooManyFiles,
    FileWasReplaced,
    NoHeader { within_seconds: u64 },
    ShuttingDown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Refusal::BadStart => "bad start",
            Refusal::BadHeader => "bad header",
            Refusal::HeaderTooLong => "header too long",
            Refusal::UnknownOption => "unknown option",
            Refusal::PathNeeded => "path needed",
            Refusal::NoSuchFile => "no such file",
            Refusal::TryAgain => "try again",
            Refusal::TooManyClients => "too many clients",
            Refusal::TooManyOfHost => "too many clients from this host",
            Refusal::TooManyFiles => "too many files",
            Refusal::FileWasReplaced => "file was replaced",
            Refusal::NoHeader { within_seconds } => {
                return write!(f, "no header within {within_seconds} s");
            }
            Refusal::ShuttingDown => "shutting down",
        })
    }
}

impl Request {
    /// Parses `received`, all that the client has sent so far; `ended` says that nothing can follow
    /// (it sent FIN). What stands behind the newline is not looked at.
    pub fn parse(received: &[u8], ended: bool) -> Parsed {
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
        match Self::from_words(line.split(is_blank).filter(|word| !word.is_empty())) {
            Ok(request) => Parsed::Request(request),
            Err(refusal) => Parsed::Refused(refusal),
        }
    }

    fn from_words<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Request, Refusal> {
        let Some(start) = words.next() else {
            return Ok(Request {
                start: Start::LastLines(DEFAULT_LINES),
                path: None,
            });
        };
        let start = Start::parse(start).ok_or(Refusal::BadStart)?;
        let path = match words.next() {
            None => None,
            // A word with "=" is always an option, and there is none yet.
            Some(word) if word.contains(&b'=') => return Err(Refusal::UnknownOption),
            Some(word) => Some(percent_decode(word).ok_or(Refusal::BadHeader)?),
        };
        match words.next() {
            None => Ok(Request { start, path }),
            Some(_) => Err(Refusal::UnknownOption),
        }
    }
}

impl Start {
    fn parse(word: &[u8]) -> Option<Start> {
        match word {
            [b'-', number @ .., b'c'] => parse_number(number).map(Start::LastBytes),
            [b'-', number @ ..] => parse_number(number).map(Start::LastLines),
            [b'+', number @ ..] => parse_number(number).map(Start::FromLine),
            number => parse_number(number).map(Start::Byte),
        }
    }
}

/// Whether `received`, which has no newline yet, can still become a header: so a TLS hello or an
/// HTTP request is answered at once and does not have to run into the timeout.
fn may_begin_header(received: &[u8]) -> bool {
    match received.iter().find(|byte| !is_blank(byte)) {
        None => true,
        Some(byte) => byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'\r'),
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Decimal digits only, up to 2^63-1: the largest offset that the kernel knows (`off_t`).
fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (number <= i64::MAX as u64).then_some(number)
}

/// `None` unless `word` is valid UTF-8 without control bytes and every `%` begins a byte that may
/// stand in a name: not NUL, and not a slash, which would smuggle a component past whoever looks at
/// the encoded form.
fn percent_decode(word: &[u8]) -> Option<PathBuf> {
    if std::str::from_utf8(word).is_err() || word.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut decoded = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else {
            return None;
        };
        let byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        if matches!(byte, 0 | b'/') {
            return None;
        }
        decoded.push(byte);
        rest = after;
    }
    Some(OsString::from_vec(decoded).into())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests;
