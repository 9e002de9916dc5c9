//! Where a client is, as it can say it again later: what users call a place. Pure.
//!
//! | place                                 | part   | means                                     |
//! |---------------------------------------|--------|-------------------------------------------|
//! | `a1b2c3d4e5f60718`                    | file   | inode and birth of the file, hashed       |
//! | `.1234567`                            | offset | the byte in it that comes next            |
//! | `.89abcdef`                           | check  | CRC-32C of the up to 64 bytes before it   |
//!
//! The file is recognised after a restart, under whatever name; the check finds out that it was
//! truncated and written anew meanwhile.

use crate::offset::parse_number;

use std::fmt;

/// A place. It has one spelling only: what `Display` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark {
    pub file: u64,
    pub offset: u64,
    pub check: u32,
}

/// How many bytes before a place are checked, if there are so many.
pub const CHECK_BYTES: usize = 64;

const FILE_DIGITS: usize = 16;
const CHECK_DIGITS: usize = 8;
const OFFSET_DIGITS_MAX: usize = 20;

impl Bookmark {
    /// `None` for all that `Display` cannot have written, and for offsets that no file has.
    pub fn parse(word: &[u8]) -> Option<Bookmark> {
        let (file, rest) = word.split_at_checked(FILE_DIGITS)?;
        let rest = rest.strip_prefix(b".")?;
        let (rest, check) = rest.split_at_checked(rest.len().checked_sub(CHECK_DIGITS)?)?;
        let offset = rest.strip_suffix(b".")?;
        Some(Bookmark {
            file: parse_hex(file)?,
            offset: parse_decimal(offset)?,
            check: u32::try_from(parse_hex(check)?).ok()?,
        })
    }

    /// Writes what `Display` does, in a tenth of its time: each line that is sent as an event has a
    /// place.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        let mut word = [b'.'; FILE_DIGITS + 1 + OFFSET_DIGITS_MAX + 1 + CHECK_DIGITS];
        let mut start = word.len() - CHECK_DIGITS;
        put_hex(u64::from(self.check), &mut word[start..]);
        start -= 1;
        let mut offset = self.offset;
        loop {
            start -= 1;
            word[start] = b'0' + (offset % 10) as u8;
            offset /= 10;
            if offset == 0 {
                break;
            }
        }
        start -= 1 + FILE_DIGITS;
        put_hex(self.file, &mut word[start..start + FILE_DIGITS]);
        out.extend_from_slice(&word[start..]);
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:016x}.{}.{:08x}", self.file, self.offset, self.check)
    }
}

/// The check of the place behind `before`, of which only the last `CHECK_BYTES` are looked at.
pub fn check_of(before: &[u8]) -> u32 {
    crc32c::crc32c(&before[before.len().saturating_sub(CHECK_BYTES)..])
}

/// The number that a file has in places. Inodes are used again, so that the birth is in it, where
/// the file system knows it. It must never be computed otherwise: clients keep places.
pub fn file_id(inode: u64, born_nanos: Option<u128>) -> u64 {
    // FNV-1a, 64 bits.
    let hash = |bytes: &[u8], seed: u64| {
        bytes.iter().fold(seed, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let inode = hash(&inode.to_le_bytes(), 0xcbf2_9ce4_8422_2325);
    match born_nanos {
        Some(born) => hash(&born.to_le_bytes(), inode),
        None => inode,
    }
}

fn put_hex(number: u64, digits: &mut [u8]) {
    let count = digits.len();
    for (i, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * (count - 1 - i)) & 0xf) as usize];
    }
}

/// Lower case only. The number of digits is for the caller to see to.
fn parse_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Without leading zeros.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0', _, ..] => None,
        _ => parse_number(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (file, offset, check) in [
            (0, 0, 0),
            (1, 9, 2),
            (1, 10, 2),
            (u64::MAX, i64::MAX as u64, u32::MAX),
            (0x0123_4567_89ab_cdef, 1_234_567, 0x89ab_cdef),
        ] {
            let bookmark = Bookmark {
                file,
                offset,
                check,
            };
            let word = bookmark.to_string();
            assert_eq!(Bookmark::parse(word.as_bytes()), Some(bookmark), "{word}");
            let mut out = vec![];
            bookmark.push_to(&mut out);
            assert_eq!(out, word.as_bytes(), "{word}");
        }
    }

    #[test]
    fn it_is_written_in_one_way() {
        let bookmark = Bookmark {
            file: 0xab,
            offset: 70,
            check: 0xcd,
        };
        assert_eq!(bookmark.to_string(), "00000000000000ab.70.000000cd");
    }

    #[test]
    fn what_was_not_written_is_not_read() {
        for word in [
            "",
            ".",
            "..",
            "00000000000000ab",
            "00000000000000ab.",
            "00000000000000ab.70",
            "00000000000000ab.70.",
            "00000000000000ab..000000cd",
            "00000000000000ab.000000cd",
            "00000000000000ab.70.00000cd",
            "00000000000000ab.70.0000000cd",
            "0000000000000ab.70.000000cd",
            "000000000000000ab.70.000000cd",
            "00000000000000AB.70.000000cd",
            "00000000000000ab.70.000000CD",
            "00000000000000ag.70.000000cd",
            "00000000000000ab.70.000000c ",
            "00000000000000ab.070.000000cd",
            "00000000000000ab.00.000000cd",
            "00000000000000ab.-7.000000cd",
            "00000000000000ab.+7.000000cd",
            "00000000000000ab.7a.000000cd",
            "00000000000000ab.7.0.000000cd",
            "00000000000000ab.9223372036854775808.000000cd",
            "00000000000000ab.99999999999999999999999.000000cd",
            " 00000000000000ab.70.000000cd",
            "00000000000000ab.70.000000cd\n",
            "+0000000000000ab.70.000000cd",
            "00000000000000ab,70,000000cd",
            "00000000000000\u{e4}.70.000000cd",
        ] {
            assert_eq!(Bookmark::parse(word.as_bytes()), None, "{word:?}");
        }
    }

    #[test]
    fn every_prefix_and_every_other_byte_is_refused_or_another_place() {
        let word = b"00000000000000ab.70.000000cd";
        let place = Bookmark::parse(word);
        for at in 0..word.len() {
            assert_eq!(Bookmark::parse(&word[..at]), None);
            for byte in (0..=255).filter(|byte| *byte != word[at]) {
                let mut other = *word;
                other[at] = byte;
                assert_ne!(Bookmark::parse(&other), place);
            }
        }
    }

    #[test]
    fn the_check_is_of_the_last_64_bytes() {
        // The check value of CRC-32C (RFC 3720, B.4 has others).
        assert_eq!(check_of(b"123456789"), 0xe306_9283);
        assert_eq!(check_of(b""), 0);
        let bytes: Vec<u8> = (0..200).collect();
        for end in 0..=200 {
            let check = check_of(&bytes[..end]);
            assert_eq!(check, check_of(&bytes[end.saturating_sub(64)..end]));
            if end > 0 {
                assert_ne!(check, check_of(&bytes[end.saturating_sub(63)..end - 1]));
            }
        }
    }

    /// Places outlive the server: these numbers may never change.
    #[test]
    fn a_file_has_the_same_number_for_ever() {
        assert_eq!(file_id(0, None), 0xa8c7_f832_281a_39c5);
        assert_eq!(file_id(1, None), 0x89cd_3129_1d2a_efa4);
        assert_ne!(file_id(1, None), file_id(1, Some(0)));
        assert_ne!(file_id(1, Some(0)), file_id(1, Some(1)));
        assert_ne!(file_id(1, Some(2)), file_id(2, Some(1)));
    }
}
