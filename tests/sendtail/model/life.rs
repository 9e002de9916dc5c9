//! What a file holds from one truncation to the next: lines that say where they belong.

use std::sync::LazyLock;

/// The bytes of a file between two truncations. Every line begins with a letter that no other
/// place has nearby, the number of this life, and the line's own, so that whatever is lost, doubled
/// or put elsewhere shows.
pub struct Life {
    pub bytes: Vec<u8>,
    /// Where its lines begin.
    starts: Vec<usize>,
    number: usize,
}

/// What lines are filled up with. None of it is a capital, a blank or a newline; nor an "e", which an
/// `error:` line begins with.
pub static FILLING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = super::random::Random::new(0);
    let letters = b"abcdfghijklmnopqrstuvwxyz0123456789-_/.";
    (0..1 << 16).map(|_| *random.pick(letters)).collect()
});

impl Life {
    pub fn new(number: usize) -> Life {
        Life {
            bytes: vec![],
            starts: vec![],
            number,
        }
    }

    /// A copy of a file.
    pub fn copied(&self) -> Life {
        Life {
            bytes: self.bytes.clone(),
            starts: self.starts.clone(),
            number: self.number,
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The lines that come next, `count` of them.
    pub fn next_lines(&self, count: usize) -> Vec<u8> {
        let mut lines = vec![];
        for number in self.starts.len()..self.starts.len() + count {
            self.write_line(number, 7 * number % 50, &mut lines);
        }
        lines
    }

    /// The same, about so many bytes, in long lines.
    pub fn next_flood(&self, bytes: usize) -> Vec<u8> {
        let mut lines = vec![];
        let mut number = self.starts.len();
        while lines.len() < bytes {
            self.write_line(number, 500 + number % 1000, &mut lines);
            number += 1;
        }
        lines
    }

    /// The same, exactly so many bytes.
    pub fn next_exactly(&self, bytes: usize) -> Vec<u8> {
        let mut lines = self.next_flood(bytes);
        lines.truncate(bytes);
        if let Some(last) = lines.last_mut() {
            *last = b'\n';
        }
        lines
    }

    fn write_line(&self, number: usize, filling: usize, lines: &mut Vec<u8>) {
        let letter = char::from(b'A' + (self.number % 26) as u8);
        lines.extend_from_slice(format!("{letter}{}.{number} ", self.number).as_bytes());
        let from = (self.number * 7919 + number * 104_729) % (FILLING.len() - filling);
        lines.extend_from_slice(&FILLING[from..from + filling]);
        lines.push(b'\n');
    }

    pub fn append(&mut self, bytes: &[u8]) {
        let mut is_start = self.bytes.last().is_none_or(|&last| last == b'\n');
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if is_start {
                self.starts.push(self.bytes.len());
            }
            self.bytes.extend_from_slice(line);
            is_start = true;
        }
    }

    pub fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// Where the n-th line begins, counted from 1, as soon as that is known.
    pub fn line(&self, number: usize) -> Option<usize> {
        match number.saturating_sub(1) {
            0 => Some(0),
            before if before == self.starts.len() => Some(self.len()),
            before => self.starts.get(before).copied(),
        }
    }

    /// Where the last `count` lines begin.
    pub fn last_lines(&self, count: usize) -> usize {
        match count {
            0 => self.len(),
            count => {
                let first = self.starts.len().saturating_sub(count);
                self.starts.get(first).copied().unwrap_or(0)
            }
        }
    }
}
