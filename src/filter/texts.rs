//! The texts of a filter, and where they are: in whole lines, or in a line piece by piece. Pure.

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};

use std::ops::Range;

/// What is looked for, and what is known of the lines under the cursor.
pub struct Texts {
    /// A wanted line contains all of them.
    greps: Box<[Text]>,
    /// A wanted line contains none of them.
    skips: Box<[Text]>,
    /// One of the greps has a newline in it: no line contains that.
    is_hopeless: bool,
    /// A longer line is judged on so many of its bytes.
    judged_bytes_max: usize,
    /// No line that begins before this place, counted from the cursor, is wanted: it was looked
    /// further than the last run went.
    unwanted_end: usize,
    /// The end of what was examined, one byte less than the longest text: a text that lies across
    /// two pieces begins in it.
    seam: Vec<u8>,
}

struct Text {
    finder: Finder<'static>,
    /// It does not begin before this place, counted from the cursor, in a line that is still in
    /// question.
    not_before: usize,
    /// It is in the pieces that were examined.
    is_found: bool,
}

impl Text {
    fn new(text: &[u8]) -> Text {
        Text {
            finder: Finder::new(text).into_owned(),
            not_before: 0,
            is_found: false,
        }
    }

    fn len(&self) -> usize {
        self.finder.needle().len()
    }

    /// Where it begins next, from `from` on; if nowhere, the end of `lines`. No byte is searched
    /// twice, so that a text that is nowhere costs nothing beside one that is in each line.
    fn next(&mut self, lines: &[u8], from: usize) -> usize {
        let from = from.max(self.not_before).min(lines.len());
        self.not_before = match self.finder.find(&lines[from..]) {
            Some(at) => from + at,
            None => lines.len(),
        };
        self.not_before
    }
}

impl Texts {
    pub fn new<'a>(
        greps: impl Iterator<Item = &'a [u8]> + Clone,
        skips: impl Iterator<Item = &'a [u8]>,
        judged_bytes_max: usize,
    ) -> Texts {
        let can_match = |text: &&[u8]| !text.contains(&b'\n');
        Texts {
            is_hopeless: !greps.clone().all(|text| can_match(&text)),
            greps: greps.filter(can_match).map(Text::new).collect(),
            skips: skips.filter(can_match).map(Text::new).collect(),
            judged_bytes_max,
            unwanted_end: 0,
            seam: vec![],
        }
    }

    pub fn count(&self) -> usize {
        self.greps.len() + self.skips.len()
    }

    pub fn judged_bytes_max(&self) -> usize {
        self.judged_bytes_max
    }

    /// The next wanted lines, from the line that begins at `from` on: neighbours, but not always
    /// all of them. `lines` are whole, the last one may lack its newline.
    pub fn next_wanted(&mut self, lines: &[u8], from: usize) -> Option<Range<usize>> {
        let from = from.max(self.unwanted_end).min(lines.len());
        let run = match self.greps.is_empty() {
            _ if self.is_hopeless => None,
            true => self.next_without_skips(lines, from),
            false => self.next_with_greps(lines, from),
        };
        self.unwanted_end = run.as_ref().map_or(lines.len(), |run| run.start);
        run
    }

    /// How many lines of `lines` are wanted, and where the first of them begins.
    pub fn count_wanted(&mut self, lines: &[u8]) -> (u64, Option<usize>) {
        let (mut count, mut first, mut from) = (0, None, 0);
        while let Some(run) = self.next_wanted(lines, from) {
            first = first.or(Some(run.start));
            from = run.end;
            count += memchr_iter(b'\n', &lines[run]).count() as u64;
        }
        (count, first)
    }

    /// The cursor goes on by so many bytes, all of them whole lines.
    pub fn advance(&mut self, bytes: usize) {
        self.unwanted_end = self.unwanted_end.saturating_sub(bytes);
        for text in self.greps.iter_mut().chain(&mut self.skips) {
            text.not_before = text.not_before.saturating_sub(bytes);
        }
    }

    /// The next piece of a line, without its newline.
    pub fn examine(&mut self, piece: &[u8]) {
        let texts = || self.greps.iter().chain(&self.skips);
        let seam_bytes_max = texts().map(Text::len).max().unwrap_or(1) - 1;
        let begun = self.seam.len();
        self.seam
            .extend_from_slice(&piece[..piece.len().min(seam_bytes_max)]);
        for text in self.greps.iter_mut().chain(&mut self.skips) {
            let is_in = |bytes| text.finder.find(bytes).is_some();
            text.is_found |= begun > 0 && is_in(&self.seam) || is_in(piece);
        }
        if piece.len() >= seam_bytes_max {
            self.seam.clear();
            self.seam
                .extend_from_slice(&piece[piece.len() - seam_bytes_max..]);
        } else {
            let surplus = self.seam.len().saturating_sub(seam_bytes_max);
            self.seam.drain(..surplus);
        }
    }

    /// Whether the line is wanted whose pieces were examined.
    pub fn is_examined_wanted(&self) -> bool {
        let is_found = |text: &Text| text.is_found;
        !self.is_hopeless && self.greps.iter().all(is_found) && !self.skips.iter().any(is_found)
    }

    /// Another line, elsewhere.
    pub fn forget(&mut self) {
        self.seam.clear();
        self.unwanted_end = 0;
        for text in self.greps.iter_mut().chain(&mut self.skips) {
            (text.not_before, text.is_found) = (0, false);
        }
    }

    #[cfg(test)]
    pub fn kept_bytes(&self) -> usize {
        self.seam.capacity()
    }

    /// From the text that comes last to its line: nothing before can have them all.
    fn next_with_greps(&mut self, lines: &[u8], mut from: usize) -> Option<Range<usize>> {
        loop {
            let nexts = self.greps.iter_mut().map(|text| text.next(lines, from));
            let last = nexts.max().filter(|last| *last < lines.len())?;
            let line = line_around(lines, from, last);
            let judged_end = line.end.min(line.start + self.judged_bytes_max);
            let is_judged_in =
                |text: &mut Text| text.next(lines, line.start) + text.len() <= judged_end;
            if self.greps.iter_mut().all(is_judged_in) && !self.skips.iter_mut().any(is_judged_in) {
                return Some(line);
            }
            from = line.end;
        }
    }

    /// All lines up to that of the text that comes first.
    fn next_without_skips(&mut self, lines: &[u8], mut from: usize) -> Option<Range<usize>> {
        while from < lines.len() {
            let nexts = self.skips.iter_mut().map(|text| text.next(lines, from));
            let first = nexts.min().unwrap_or(lines.len());
            if first == lines.len() {
                return Some(from..first);
            }
            let line = line_around(lines, from, first);
            if line.start > from {
                return Some(from..line.start);
            }
            let judged_end = line.end.min(line.start + self.judged_bytes_max);
            let is_judged_in = |text: &Text| text.not_before + text.len() <= judged_end;
            if !self.skips.iter().any(is_judged_in) {
                return Some(line);
            }
            from = line.end;
        }
        None
    }
}

/// The line of the byte at `at`, its newline included; another line begins at `from`.
fn line_around(lines: &[u8], from: usize, at: usize) -> Range<usize> {
    let before = memrchr(b'\n', &lines[from..at]);
    let behind = memchr(b'\n', &lines[at..]);
    let start = before.map_or(from, |newline| from + newline + 1);
    let end = behind.map_or(lines.len(), |newline| at + newline + 1);
    start..end
}
