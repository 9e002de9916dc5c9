//! What any bytes from a client mean, said once more from the grammar and in another way than the
//! parser says it: one decision a line of the protocol's description, and no eye to what it costs.
//! The tests of the running server read the same.

/// What a client that has sent these bytes so far is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    NotYet,
    Silence,
    Error(&'static str),
    Request(Wish),
    /// The list of all files, or of a directory's.
    List(Option<Vec<u8>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub kind: Kind,
    pub number: u64,
    /// Decoded; nothing where no path was named.
    pub path: Option<Vec<u8>>,
    pub once: bool,
    /// What a line has to contain, and what it must not.
    pub greps: Vec<Vec<u8>>,
    pub skips: Vec<Vec<u8>>,
}

/// What the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `N`
    Offset,
    /// `-N`
    LastLines,
    /// `-Nc`
    LastBytes,
    /// `+N`
    LineNumber,
}

/// `at most 4096 bytes`, with the LF.
const LONGEST: usize = 4096;

const BAD_START: Meaning = Meaning::Error("bad start");

/// `has_fin`: the client can send nothing more.
pub fn meaning(sent: &[u8], has_fin: bool) -> Meaning {
    let first_line = sent.iter().take(LONGEST).position(|byte| *byte == b'\n');
    if let Some(length) = first_line {
        return line(&sent[..length]);
    }
    // "The end before the first byte closes silently."
    if sent.is_empty() {
        return if has_fin {
            Meaning::Silence
        } else {
            Meaning::NotYet
        };
    }
    // "A first byte that can begin no header is refused at once": a header begins with blanks, a
    // digit, a sign, its own end, or `ls` as a word.
    let blank = |byte: &u8| b" \t".contains(byte);
    let begin = &sent[..sent.len().min(LONGEST)];
    let begin: Vec<u8> = begin.iter().copied().skip_while(blank).collect();
    let is_list = b"ls ".starts_with(&begin)
        || [" ", "\t", "\r"]
            .iter()
            .any(|end| begin.starts_with(format!("ls{end}").as_bytes()));
    if begin
        .first()
        .is_some_and(|byte| !b"0123456789+-\r".contains(byte))
        && !is_list
    {
        return BAD_START;
    }
    match (sent.len() >= LONGEST, has_fin) {
        (true, _) => Meaning::Error("header too long"),
        // "The end of the client's data stands for the newline."
        (false, true) => line(sent),
        (false, false) => Meaning::NotYet,
    }
}

/// Without its LF.
fn line(bytes: &[u8]) -> Meaning {
    let end = bytes.len() - usize::from(bytes.last() == Some(&b'\r'));
    let mut words = words(&bytes[..end]).into_iter();
    // "An empty line asks for the last 10 lines."
    let mut wish = Wish {
        kind: Kind::LastLines,
        number: 10,
        path: None,
        once: false,
        greps: vec![],
        skips: vec![],
    };
    let Some(start) = words.next() else {
        return Meaning::Request(wish);
    };
    if start == b"ls" {
        return list(words.collect());
    }
    let Some((kind, number)) = start_of(&start) else {
        return BAD_START;
    };
    (wish.kind, wish.number) = (kind, number);
    // What is wrong first is said, from the left to the right. A path is the second word, or none.
    for (place, word) in words.enumerate() {
        let word_of = |name: &str| word.strip_prefix(name.as_bytes());
        let (texts, text) = match (word_of("grep="), word_of("skip=")) {
            (Some(text), _) => (&mut wish.greps, text),
            (_, Some(text)) => (&mut wish.skips, text),
            _ if word == b"once" => {
                wish.once = true;
                continue;
            }
            _ if place > 0 || word.contains(&b'=') => return Meaning::Error("unknown option"),
            _ => match name(&word, b"/\0") {
                None => return Meaning::Error("bad header"),
                path => {
                    wish.path = path;
                    continue;
                }
            },
        };
        match name(text, b"\0") {
            None => return Meaning::Error("bad header"),
            Some(text) if text.is_empty() => return Meaning::Error("empty text"),
            Some(text) => texts.push(text),
        }
    }
    Meaning::Request(wish)
}

fn list(words: Vec<Vec<u8>>) -> Meaning {
    match &words[..] {
        [] => Meaning::List(None),
        [word, ..] if word.contains(&b'=') => Meaning::Error("unknown option"),
        [word, rest @ ..] => match name(word, b"/\0") {
            None => Meaning::Error("bad header"),
            Some(_) if !rest.is_empty() => Meaning::Error("unknown option"),
            directory => Meaning::List(directory),
        },
    }
}

/// A blank ends a word, if there is one.
fn words(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![];
    let mut word = vec![];
    for byte in bytes.iter().chain(b" ") {
        match byte {
            b' ' | b'\t' if word.is_empty() => {}
            b' ' | b'\t' => words.push(std::mem::take(&mut word)),
            other => word.push(*other),
        }
    }
    words
}

/// A number has nineteen digits at most, but for noughts before it: a larger type holds them all.
fn start_of(word: &[u8]) -> Option<(Kind, u64)> {
    let text = std::str::from_utf8(word).ok()?;
    let (sign, rest) = match text.chars().next()? {
        sign @ ('+' | '-') => (Some(sign), &text[1..]),
        _ => (None, text),
    };
    let (kind, digits) = match (sign, rest.strip_suffix('c')) {
        (Some('-'), Some(digits)) => (Kind::LastBytes, digits),
        (Some('-'), None) => (Kind::LastLines, rest),
        (Some(_), _) => (Kind::LineNumber, rest),
        (None, _) => (Kind::Offset, rest),
    };
    if digits.is_empty() || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if significant.len() > 19 {
        return None;
    }
    let number: u128 = format!("0{significant}").parse().ok()?;
    (number < 1 << 63).then_some((kind, number as u64))
}

/// "`%XX` may be any byte but 00 and 2F; printable ASCII and valid UTF-8 may stand as they are." In
/// a text 2F may be, too.
fn name(word: &[u8], may_not_be: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8(word.to_vec()).ok()?;
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    let mut pieces = text.split('%');
    let mut name = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        // Any two bytes that the type would take, but no sign.
        let digits = piece.get(..2)?;
        let byte = match digits.starts_with(['+', '-']) {
            true => return None,
            false => u8::from_str_radix(digits, 16).ok()?,
        };
        if may_not_be.contains(&byte) {
            return None;
        }
        name.push(byte);
        name.extend(&piece.as_bytes()[2..]);
    }
    Some(name)
}
