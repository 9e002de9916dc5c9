//! What long files hold: every byte follows from its place, so that none has to be remembered.

use crate::model::life::FILLING;

/// A line of a file says which name it belongs to, which file of it, and where in that file it is.
const LINE_BYTES: u64 = 128;

/// The bytes of one file of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub name: u64,
    pub piece: u64,
}

impl Content {
    /// So many bytes from there on.
    pub fn bytes(self, offset: u64, count: usize) -> Vec<u8> {
        let skipped = (offset % LINE_BYTES) as usize;
        let mut bytes = Vec::with_capacity(skipped + count + LINE_BYTES as usize);
        let mut line = offset / LINE_BYTES;
        while bytes.len() < skipped + count {
            self.write_line(line, &mut bytes);
            line += 1;
        }
        bytes.truncate(skipped + count);
        bytes.drain(..skipped);
        bytes
    }

    fn write_line(self, line: u64, bytes: &mut Vec<u8>) {
        let end = bytes.len() + LINE_BYTES as usize - 1;
        // No line begins as an error does, nor holds what could be the start of one.
        let letter = char::from(b'A' + (self.piece % 26) as u8);
        let Content { name, piece } = self;
        bytes.extend_from_slice(format!("{letter}{name}.{piece}.{line} ").as_bytes());
        let filling = end - bytes.len();
        let mixed = name * 31 + piece * 7919 + line * 104_729;
        let from = (mixed % (FILLING.len() - filling) as u64) as usize;
        bytes.extend_from_slice(&FILLING[from..from + filling]);
        bytes.push(b'\n');
    }

    /// Where its last lines begin, if it is so long.
    pub fn last_lines(length: u64, count: u64) -> u64 {
        let lines = length.div_ceil(LINE_BYTES);
        lines.saturating_sub(count) * LINE_BYTES
    }

    /// Compares what comes at this place, and says where it differs.
    pub fn check(self, offset: u64, received: &[u8]) -> Result<(), String> {
        let expected = self.bytes(offset, received.len());
        if expected == received {
            return Ok(());
        }
        let mut pairs = expected.iter().zip(received);
        let at = pairs.position(|(one, other)| one != other).unwrap_or(0);
        let shown = |bytes: &[u8]| {
            bytes[at..bytes.len().min(at + 60)]
                .escape_ascii()
                .to_string()
        };
        Err(format!(
            "at byte {} of {self:?}:\n  expected {}\n  received {}",
            offset + at as u64,
            shown(&expected),
            shown(received)
        ))
    }
}

#[test]
fn every_piece_of_the_content_is_the_same_wherever_it_is_cut() {
    let content = Content { name: 7, piece: 30 };
    let whole = content.bytes(0, 1000);
    assert_eq!(whole.len(), 1000);
    assert_eq!(whole[LINE_BYTES as usize - 1], b'\n');
    for (offset, count) in [(0, 0), (0, 1), (127, 2), (128, 128), (130, 700), (999, 1)] {
        let piece = &whole[offset..offset + count];
        assert_eq!(content.bytes(offset as u64, count), piece);
        assert_eq!(content.check(offset as u64, piece), Ok(()));
    }
    assert!(content.check(1, &whole[..10]).is_err());
    let other = Content { name: 7, piece: 31 };
    assert!(other.check(0, &whole[..10]).is_err());
    for (length, count, start) in [(0, 3, 0), (128, 1, 0), (129, 1, 128), (384, 2, 128)] {
        assert_eq!(Content::last_lines(length, count), start);
    }
}
