use super::*;

use std::fmt::Write;

/// A filter as a user writes it, cut at blanks: `+a -b` is `grep=a skip=b`.
pub(super) fn conditions(words: &str) -> Vec<Condition> {
    let condition = |word: &str| Condition {
        text: word[1..].replace("\\n", "\n").into_bytes(),
        wanted: word.starts_with('+'),
    };
    words.split_whitespace().map(condition).collect()
}

#[rustfmt::skip]
pub(super) const FILTERS: [&str; 17] = [
    "", "+a", "+b", "-a", "+ab", "+aba", "-ab", "-aa", "+a +b", "+ab +ba", "+bb -a", "+a -ab",
    "-a -b", "-ab -bb", "+\\n", "-a\\n", "+a -ab -bba +b",
];

/// Every text of up to `length_max` bytes over {a, b, newline}.
pub(super) fn texts(length_max: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..=length_max).flat_map(|length| {
        (0..3usize.pow(length)).map(move |mut number| {
            let mut digit = || {
                let byte = b"ab\n"[number % 3];
                number /= 3;
                byte
            };
            (0..length).map(|_| digit()).collect()
        })
    })
}

/// What is said of lines, word for word.
pub(super) fn is_wanted(line: &[u8], conditions: &[Condition], judged_bytes_max: usize) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let judged = &line[..line.len().min(judged_bytes_max)];
    conditions.iter().all(|condition| {
        let length = condition.text.len();
        judged
            .windows(length)
            .any(|window| window == condition.text)
            == condition.wanted
    })
}

pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

fn grep(text: &[u8], conditions: &[Condition], judged_bytes_max: usize) -> Vec<u8> {
    let wanted = lines(text).filter(|line| is_wanted(line, conditions, judged_bytes_max));
    wanted.flatten().copied().collect()
}

/// A client: it reads at most so many bytes at a time of the file as it is, and takes at most so
/// many of them.
struct Reader {
    filter: Filter,
    cursor: usize,
    taken: Vec<u8>,
    read_bytes: usize,
    take_bytes: usize,
}

impl Reader {
    fn new(filter: Filter, read_bytes: usize, take_bytes: usize) -> Reader {
        Reader {
            filter,
            cursor: 0,
            taken: vec![],
            read_bytes,
            take_bytes,
        }
    }

    /// Until there is no more. Each step has to lead on.
    fn read(&mut self, file: &[u8], is_finished: bool) {
        let mut at_a_place = 0;
        while self.cursor < file.len() {
            let from = self.filter.read_from(self.cursor as u64) as usize;
            let to = file.len().min(from + self.read_bytes);
            let is_end = is_finished && to == file.len();
            if from == to && !is_end {
                return;
            }
            at_a_place += 1;
            assert!(at_a_place <= 2 * file.len() + 2, "it does not go on");
            match self.filter.sift(&file[from..to], is_end) {
                Sifted::Run { pass, take } => {
                    assert!(pass + take > 0, "an empty run");
                    assert!(self.cursor + pass + take <= to, "more than was read");
                    let taken = take.min(self.take_bytes);
                    let run = &file[self.cursor + pass..][..taken];
                    self.taken.extend_from_slice(run);
                    self.cursor += pass + taken;
                    if taken < take {
                        self.filter.give_back(take - taken);
                    }
                    at_a_place = 0;
                }
                Sifted::Again => {}
                Sifted::More => assert!(!is_end, "more is wanted of a finished file"),
            }
        }
    }
}

/// Reads `text`, of which each of `sizes` bytes are there at a time, then all of it, finished.
fn check_growing(
    text: &[u8],
    words: &str,
    judged_bytes_max: usize,
    sizes: impl Iterator<Item = usize>,
    (read_bytes, take_bytes): (usize, usize),
) {
    let conditions = conditions(words);
    let grep = |text: &[u8]| grep(text, &conditions, judged_bytes_max);
    let all = grep(text);
    let filter = Filter::with_limit(&conditions, judged_bytes_max);
    let mut reader = Reader::new(filter, read_bytes, take_bytes);
    let mut seen = String::new();
    for size in sizes {
        let file = &text[..size];
        reader.read(file, false);
        let _ = write!(seen, "{size} ");
        let whole = memrchr(b'\n', file).map_or(0, |newline| newline + 1);
        let expected = match size - whole < judged_bytes_max {
            // The beginning of a line is not shown before its end is there,
            true => grep(&file[..whole]),
            // unless it is long.
            false => grep(file),
        };
        assert_eq!(
            reader.taken.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{words} ({judged_bytes_max}) of {:?} at {seen}by {read_bytes} and {take_bytes}",
            text.escape_ascii().to_string()
        );
    }
    reader.read(text, true);
    assert_eq!(
        reader.taken.escape_ascii().to_string(),
        all.escape_ascii().to_string(),
        "{words} ({judged_bytes_max}) of {:?} after {seen}by {read_bytes} and {take_bytes}",
        text.escape_ascii().to_string()
    );
    assert_eq!(reader.cursor, text.len(), "all is passed over or taken");
}

/// The sizes that a file has on the way: bit `n` of `splits` says that it is looked at when it has
/// `n + 1` bytes.
fn sizes(splits: usize, length: usize) -> impl Iterator<Item = usize> {
    (1..length).filter(move |size| splits >> (size - 1) & 1 == 1)
}

fn check_every(length_max: u32, filters: &[&str], judged_bytes_max: usize) {
    for text in texts(length_max) {
        for splits in 0..1 << text.len().saturating_sub(1) {
            for (words, read_bytes) in filters
                .iter()
                .flat_map(|words| (1..=text.len().max(1)).map(move |bytes| (words, bytes)))
            {
                let sizes = sizes(splits, text.len());
                check_growing(&text, words, judged_bytes_max, sizes, (read_bytes, 100));
            }
        }
    }
}

#[test]
fn every_short_text_in_every_growth_and_every_buffer() {
    check_every(5, &FILTERS, 100);
}

/// Fewer filters and growths, for it takes its time.
#[test]
fn every_text_of_7_bytes_in_every_buffer() {
    let filters = ["+ab", "-ba", "+aba", "+a +bb", "+ab -aa", "-aab"];
    for (text, words) in texts(7)
        .filter(|text| text.len() >= 6)
        .flat_map(|text| filters.map(|words| (text.clone(), words)))
    {
        for read_bytes in 1..=text.len() {
            let sizes = sizes(0b0101_0010, text.len());
            check_growing(&text, words, 100, sizes, (read_bytes, 100));
        }
    }
}

#[test]
fn lines_are_judged_by_their_first_bytes() {
    for judged_bytes_max in 1..=4 {
        check_every(
            5,
            &["", "+a", "-a", "+ab", "-ab", "+a -b", "+aba"],
            judged_bytes_max,
        );
    }
}

#[test]
fn what_is_given_back_comes_again() {
    for text in texts(6) {
        let sizes = || [text.len() / 2].into_iter();
        for (words, judged_bytes_max) in [("+a", 100), ("-a", 100), ("+b -ab", 2), ("", 2)] {
            for (read_bytes, take_bytes) in
                (1..=6).flat_map(|read| (1..=3).map(move |take| (read, take)))
            {
                let both = (read_bytes, take_bytes);
                check_growing(&text, words, judged_bytes_max, sizes(), both);
            }
        }
    }
}

/// What the filter says of a finished file that is read whole.
fn runs(text: &[u8], words: &str) -> Vec<(usize, usize)> {
    let mut filter = Filter::new(&conditions(words));
    let (mut runs, mut cursor) = (vec![], 0);
    while cursor < text.len() {
        let Sifted::Run { pass, take } = filter.sift(&text[cursor..], true) else {
            panic!("whole lines are runs")
        };
        runs.push((pass, take));
        cursor += pass + take;
    }
    runs
}

#[test]
fn runs_are_as_long_as_they_can_be() {
    for text in texts(7) {
        for words in FILTERS {
            let conditions = conditions(words);
            let mut expected: Vec<(usize, usize)> = vec![(0, 0)];
            for line in lines(&text) {
                let wanted = is_wanted(line, &conditions, 100);
                match (expected.last_mut(), wanted) {
                    (Some((_, take)), true) => *take += line.len(),
                    (Some((pass, 0)), false) => *pass += line.len(),
                    (_, false) => expected.push((line.len(), 0)),
                    (None, true) => unreachable!(),
                }
            }
            expected.retain(|run| *run != (0, 0));
            assert_eq!(runs(&text, words), expected, "{words} of {text:?}");
        }
    }
}

#[test]
fn a_line_of_a_mebibyte_is_judged_whole() {
    let most = LINE_JUDGED_BYTES_MAX;
    for (at, length, is_in) in [
        (0, most, true),
        (most - 5, most, true),
        (most - 5, most + 1, true),
        (most - 4, most + 1, false),
        (most, 2 * most, false),
        (most - 5, 3 * most, true),
    ] {
        let mut line = vec![b'-'; length];
        line[at..at + 5].copy_from_slice(b"error");
        let mut text = b"error: before\n\nother\n".to_vec();
        text.extend(line);
        text.extend(b"\nerror: behind\nother\n");
        for (words, read_bytes) in [("+error", 4096), ("-error", 65_537), ("+error", 10 << 20)] {
            let conditions = conditions(words);
            let mut reader = Reader::new(Filter::new(&conditions), read_bytes, usize::MAX);
            reader.read(&text[..length / 2], false);
            reader.read(&text, false);
            let expected = grep(&text, &conditions, most);
            assert_eq!(expected.len() > length, is_in == words.starts_with('+'));
            assert!(
                reader.taken == expected,
                "{words} at {at} of {length} by {read_bytes}"
            );
        }
    }
}

/// Else a client that asks for a text that is nowhere would read such a file for ever.
#[test]
fn of_a_file_without_newlines_each_byte_is_examined_once() {
    let zeros = vec![0; 4 << 20];
    for words in ["+error", "-error"] {
        let mut filter = Filter::new(&conditions(words));
        let (mut cursor, mut read_bytes) = (0, 0);
        while cursor < zeros.len() {
            let from = filter.read_from(cursor as u64) as usize;
            let bytes = &zeros[from..zeros.len().min(from + 65_536)];
            read_bytes += bytes.len();
            if let Sifted::Run { pass, take } = filter.sift(bytes, false) {
                cursor += pass + take;
            }
        }
        assert!(
            read_bytes <= zeros.len() + 2 * LINE_JUDGED_BYTES_MAX,
            "{words}"
        );
    }
}

#[test]
fn what_is_examined_is_not_kept() {
    let mut filter = Filter::new(&conditions("+error -debug"));
    let bytes = vec![b'-'; 65_536];
    for _ in 0..15 {
        assert_eq!(filter.sift(&bytes, false), Sifted::More);
    }
    assert!(
        filter.texts.kept_bytes() <= 16,
        "{}",
        filter.texts.kept_bytes()
    );
}

#[test]
fn another_file_begins_with_a_line() {
    let mut filter = Filter::new(&conditions("+ab"));
    assert_eq!(filter.sift(b"xa", false), Sifted::More);
    filter.restart();
    assert_eq!(filter.read_from(0), 0);
    assert_eq!(
        filter.sift(b"b\nab\n", false),
        Sifted::Run { pass: 2, take: 3 }
    );
    filter.give_back(2);
    filter.restart();
    assert_eq!(
        filter.sift(b"cd\n", false),
        Sifted::Run { pass: 3, take: 0 }
    );
}

#[test]
fn inside_a_long_line_it_says_so() {
    let mut filter = Filter::with_limit(&conditions("+ab"), 2);
    assert_eq!(filter.sift(b"x", false), Sifted::More);
    assert!(!filter.is_in_line());
    assert_eq!(filter.sift(b"xx", false), Sifted::Run { pass: 2, take: 0 });
    assert!(filter.is_in_line());
    assert_eq!(filter.sift(b"xab", false), Sifted::Run { pass: 3, take: 0 });
    assert!(filter.is_in_line());
    assert_eq!(
        filter.sift(b"x\nab\n", false),
        Sifted::Run { pass: 2, take: 0 }
    );
    assert!(!filter.is_in_line());
}
