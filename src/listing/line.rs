//! One line of a list: `SIZE TAB MTIME TAB NAME`. Pure.
//!
//! A name stands as it can be asked for: in a header, where a bare `once` would be an option, and
//! in a target, where `-` and all below it is the server's own.

use crate::request::HEADER_BYTES_MAX;

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

/// The longest name as written: behind the shortest start, and with a newline.
pub const NAME_BYTES_MAX: usize = HEADER_BYTES_MAX - "0 \n".len();

/// 9999-12-31T23:59:59Z: what comes later has five digits.
const CHANGED_MAX: i64 = 253_402_300_799;

/// `changed`: in seconds since 1970. What is not between that and the year 10000 is said to be at
/// that end.
pub fn write_line(text: &mut Vec<u8>, name: &[u8], bytes: u64, changed: i64) {
    let seconds = Duration::from_secs(changed.clamp(0, CHANGED_MAX) as u64);
    let changed = humantime::format_rfc3339_seconds(UNIX_EPOCH + seconds);
    // Memory takes everything.
    let _ = write!(text, "{bytes}\t{changed}\t");
    write_name(text, name);
    text.push(b'\n');
}

/// How many bytes `write_line` makes of a name.
pub fn written_bytes(name: &[u8]) -> usize {
    let encoded = name.iter().filter(|byte| !is_plain(**byte)).count();
    let prefix = match name {
        b"once" | b"-" | [b'-', b'/', ..] => 2,
        _ => 0,
    };
    name.len() + 2 * encoded + prefix
}

fn write_name(text: &mut Vec<u8>, name: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let rest = match name {
        b"once" => {
            text.extend_from_slice(b"./");
            name
        }
        b"-" | [b'-', b'/', ..] => {
            text.extend_from_slice(b"%2D");
            &name[1..]
        }
        _ => name,
    };
    for &byte in rest {
        match is_plain(byte) {
            true => text.push(byte),
            false => {
                let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
                text.extend_from_slice(&[b'%', digits[0], digits[1]]);
            }
        }
    }
}

/// What RFC 3986 calls unreserved, and the slash.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &[u8], changed: i64) -> String {
        let mut text = vec![];
        write_line(&mut text, name, 7, changed);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn names_as_they_can_be_asked_for() {
        for (name, written) in [
            (&b"nginx/access.log"[..], "nginx/access.log"),
            (b"A-Z_a~z.0", "A-Z_a~z.0"),
            (b"a b\tc\n", "a%20b%09c%0A"),
            (b"100%", "100%25"),
            (b"k=v", "k%3Dv"),
            (b"+1", "%2B1"),
            ("ä".as_bytes(), "%C3%A4"),
            (b"\xff\x01\x7f", "%FF%01%7F"),
            (b"once", "./once"),
            (b"once/x", "once/x"),
            (b"x/once", "x/once"),
            (b"-/files", "%2D/files"),
            (b"-", "%2D"),
            (b"-1", "-1"),
            (b"x/-/files", "x/-/files"),
        ] {
            let expected = format!("7\t1970-01-01T00:00:00Z\t{written}\n");
            assert_eq!(line(name, 0), expected);
            assert_eq!(written_bytes(name), written.len(), "{written}");
        }
    }

    #[test]
    fn times_are_those_of_four_digits() {
        for (changed, written) in [
            (1_795_271_400, "2026-11-21T14:30:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (i64::MIN, "1970-01-01T00:00:00Z"),
            (CHANGED_MAX, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(line(b"x", changed), format!("7\t{written}\tx\n"));
        }
    }
}
