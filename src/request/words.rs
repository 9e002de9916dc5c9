//! What the words of a request mean, in a raw header and in a query alike.

use super::{Condition, Start};
use crate::offset::parse_number;
use crate::refusal::Refusal;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

impl Start {
    /// `None`: the word is no start.
    pub(super) fn parse(word: &[u8]) -> Option<Start> {
        match word {
            [b'-', number @ .., b'c'] => parse_number(number).map(Start::LastBytes),
            [b'-', number @ ..] => parse_number(number).map(Start::LastLines),
            [b'+', number @ ..] => parse_number(number).map(Start::FromLine),
            number => parse_number(number).map(Start::Byte),
        }
    }
}

/// Each costs memory, and time a byte. Nobody types seventeen.
pub(super) const CONDITIONS_MAX: usize = 16;

impl Condition {
    /// One more; `text` is decoded.
    pub(super) fn add(all: &mut Vec<Self>, text: Vec<u8>, wanted: bool) -> Result<(), Refusal> {
        match text.is_empty() {
            true => Err(Refusal::EmptyText),
            false if all.len() >= CONDITIONS_MAX => Err(Refusal::TooManyTexts),
            false => {
                all.push(Condition { text, wanted });
                Ok(())
            }
        }
    }
}

/// `None` unless `word` is a text and every `%` begins a byte that may stand in a name: not a
/// slash, which would smuggle a component past whoever looks at the encoded form.
pub(super) fn decode_path(word: &[u8]) -> Option<PathBuf> {
    percent_decode(word, |byte| byte != b'/').map(|bytes| OsString::from_vec(bytes).into())
}

/// `None` unless `word` is valid UTF-8 without control bytes and every `%` begins a byte, not NUL.
pub(super) fn decode_text(word: &[u8]) -> Option<Vec<u8>> {
    percent_decode(word, |_| true)
}

fn percent_decode(word: &[u8], may_be: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
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
        if byte == 0 || !may_be(byte) {
            return None;
        }
        decoded.push(byte);
        rest = after;
    }
    Some(decoded)
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
