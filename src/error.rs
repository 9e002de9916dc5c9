//! Failures that end the process, worded for an operator; what keeps a strange name from garbling
//! a message.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One line: what could not be done, and why.
#[derive(Debug)]
pub struct Fatal {
    what: String,
    why: String,
}

impl Fatal {
    /// `what` as in "cannot bind 0.0.0.0:80".
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Fatal {
        Fatal {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// The same for a failed system call.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Fatal {
        Fatal::new(what, reason(error))
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// What `strerror(3)` says: an operator knows "Permission denied" and has no use for "(os error
/// 13)".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().unwrap_or_default();
    match text.strip_suffix(&format!(" (os error {number})")) {
        Some(text) => text.to_string(),
        None => text,
    }
}

/// A name in a message: what strangers may choose must not move the cursor, begin a line or look
/// like something else.
pub struct Escaped<'a>(pub &'a Path);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                // It escapes what cannot be printed: invisible characters, those that turn the
                // direction of writing, those that are drawn over others. Quotes may stay.
                match character {
                    '"' | '\'' => f.write_char(character)?,
                    _ => write!(f, "{}", character.escape_debug())?,
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn names_are_escaped() {
        for (name, expected) in [
            (&b"access.log"[..], "access.log"),
            ("d\u{e9}j\u{e0} vu".as_bytes(), "d\u{e9}j\u{e0} vu"),
            (b"a\x1b[31m\nb", "a\\u{1b}[31m\\nb"),
            (b"a\\n", "a\\\\n"),
            (b"a\xffb", "a\\xffb"),
            ("a\u{9b}b".as_bytes(), "a\\u{9b}b"),
            ("gol\u{202e}exe".as_bytes(), "gol\\u{202e}exe"),
            (
                "a\u{200b}b\u{feff}\u{2028}".as_bytes(),
                "a\\u{200b}b\\u{feff}\\u{2028}",
            ),
            (b"it's \"it\"", "it's \"it\""),
            ("\u{65e5}\u{672c}".as_bytes(), "\u{65e5}\u{672c}"),
            ("a\u{336}".as_bytes(), "a\\u{336}"),
        ] {
            assert_eq!(
                Escaped(Path::new(OsStr::from_bytes(name))).to_string(),
                expected
            );
        }
    }
}
