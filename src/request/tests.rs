//! Headers of every kind; and all that are short, against an oracle.

mod oracle;

use super::*;

use oracle::{Kind, Meaning, meaning};

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn request(start: Start, path: &str) -> Parsed {
    raw(Wants::File(wanted(start, path)))
}

fn raw(wants: Wants) -> Parsed {
    let form = Form::Raw;
    Parsed::Request(Request { wants, form })
}

fn wanted(start: Start, path: &str) -> Wanted {
    Wanted {
        path: (!path.is_empty()).then(|| PathBuf::from(path)),
        ..Wanted::new(start)
    }
}

fn condition(text: &str, wanted: bool) -> Condition {
    let text = text.into();
    Condition { text, wanted }
}

/// Where nothing but the raw grammar is spoken.
fn parse(received: &[u8], ended: bool) -> Parsed {
    Request::parse(received, ended, &Door::new(false, vec![]))
}

#[test]
fn lines_that_are_requests() {
    use Start::*;
    let max = i64::MAX as u64;
    for (line, expected) in [
        ("\n", request(LastLines(10), "")),
        ("\r\n", request(LastLines(10), "")),
        (" \t \n", request(LastLines(10), "")),
        ("0\n", request(Byte(0), "")),
        ("1000\njunk", request(Byte(1000), "")),
        ("007\n", request(Byte(7), "")),
        ("9223372036854775807\n", request(Byte(max), "")),
        ("-0\n", request(LastLines(0), "")),
        ("-10\r\n", request(LastLines(10), "")),
        ("  -10\t\n", request(LastLines(10), "")),
        ("-1000c\n", request(LastBytes(1000), "")),
        ("-0c\n", request(LastBytes(0), "")),
        ("+0\n", request(FromLine(0), "")),
        ("+5\n", request(FromLine(5), "")),
        ("0 access.log\n", request(Byte(0), "access.log")),
        (
            "0  nginx/access.log \r\n",
            request(Byte(0), "nginx/access.log"),
        ),
        ("0 ../.a//b\n", request(Byte(0), "../.a//b")),
        ("0 a%20b%3D%25%0A\n", request(Byte(0), "a b=%\n")),
        ("0 d\u{e9}j\u{e0}\n", request(Byte(0), "d\u{e9}j\u{e0}")),
        ("0 a..b/c.\n", request(Byte(0), "a..b/c.")),
    ] {
        assert_eq!(parse(line.as_bytes(), false), expected, "{line:?}");
    }
    let not_utf8 = Wanted {
        path: Some(OsString::from_vec(vec![0xff]).into()),
        ..Wanted::new(Byte(0))
    };
    assert_eq!(parse(b"0 %fF\n", false), raw(Wants::File(not_utf8)));
}

#[test]
fn options_in_any_order_and_a_path_before_them() {
    let base = || wanted(Start::LastLines(20), "a.log");
    for (line, expected) in [
        ("-20 a.log\n", base()),
        (
            "-20 a.log once\n",
            Wanted {
                once: true,
                ..base()
            },
        ),
        (
            "-20 once once\n",
            Wanted {
                once: true,
                path: None,
                ..base()
            },
        ),
        (
            "-20 a.log grep=x%20=%2F skip=y once grep=\u{e9}\n",
            Wanted {
                once: true,
                conditions: vec![
                    condition("x =/", true),
                    condition("y", false),
                    condition("\u{e9}", true),
                ],
                ..base()
            },
        ),
        (
            "-20 grep=once\n",
            Wanted {
                path: None,
                conditions: vec![condition("once", true)],
                ..base()
            },
        ),
        (
            "-20 ./once\n",
            Wanted {
                path: Some("./once".into()),
                ..base()
            },
        ),
    ] {
        let expected = raw(Wants::File(expected));
        assert_eq!(parse(line.as_bytes(), false), expected, "{line:?}");
    }
}

#[test]
fn so_many_conditions_and_no_more() {
    let texts = |count: usize| format!("0{}\n", " grep=a".repeat(count));
    let Parsed::Request(request) = parse(texts(words::CONDITIONS_MAX).as_bytes(), false) else {
        panic!("so many are allowed")
    };
    let Wants::File(wanted) = request.wants else {
        panic!("a file is wanted")
    };
    assert_eq!(wanted.conditions, vec![condition("a", true); 16]);
    assert_eq!(
        parse(texts(words::CONDITIONS_MAX + 1).as_bytes(), false),
        Parsed::Refused(Refusal::TooManyTexts)
    );
}

#[test]
fn lists() {
    for (line, expected) in [
        ("ls\n", None),
        (" ls \r\n", None),
        ("ls nginx\n", Some("nginx")),
        ("ls a%20b/\n", Some("a b/")),
        ("ls once\n", Some("once")),
    ] {
        let expected = raw(Wants::List(expected.map(PathBuf::from)));
        assert_eq!(parse(line.as_bytes(), false), expected, "{line:?}");
    }
    assert_eq!(parse(b"ls", true), raw(Wants::List(None)));
}

#[test]
fn lines_that_are_refused() {
    use Refusal::*;
    for (line, refusal) in [
        (&b"x\n"[..], BadStart),
        (b"-\n", BadStart),
        (b"+\n", BadStart),
        (b"-c\n", BadStart),
        (b"5c\n", BadStart),
        (b"+5c\n", BadStart),
        (b"--5\n", BadStart),
        (b"-10\r \n", BadStart),
        (b"a=b\n", BadStart),
        (b"\0\n", BadStart),
        (b"\xff\n", BadStart),
        (b"9223372036854775808\n", BadStart),
        (b"-99999999999999999999999\n", BadStart),
        (b"0 a%\n", BadHeader),
        (b"0 a%4\n", BadHeader),
        (b"0 a%4g\n", BadHeader),
        (b"0 a%+4\n", BadHeader),
        (b"0 a%00\n", BadHeader),
        (b"0 ..%2Fb\n", BadHeader),
        (b"0 a\x1b[m\n", BadHeader),
        (b"0 a\x7f\n", BadHeader),
        (b"0 a\xff\n", BadHeader),
        (b"0 a b\n", UnknownOption),
        (b"0 a b=c\n", UnknownOption),
        (b"0 b=c\n", UnknownOption),
        (b"0 a once b\n", UnknownOption),
        (b"0 once a\n", UnknownOption),
        (b"0 grep=x a\n", UnknownOption),
        (b"0 Once=\n", UnknownOption),
        (b"0 grep=\n", EmptyText),
        (b"0 a skip=\n", EmptyText),
        (b"0 grep=%00\n", BadHeader),
        (b"0 grep=%\n", BadHeader),
        (b"ls a b\n", UnknownOption),
        (b"ls a=b\n", UnknownOption),
        (b"ls %2F\n", BadHeader),
        (b"lsx\n", BadStart),
        (b"l\n", BadStart),
        (b"LS\n", BadStart),
    ] {
        assert_eq!(
            parse(line, false),
            Parsed::Refused(refusal),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn before_the_newline() {
    for (received, expected) in [
        (&b""[..], Parsed::NotYet),
        (b" ", Parsed::NotYet),
        (b"-", Parsed::NotYet),
        (b"\r", Parsed::NotYet),
        (b"-10 access.lo", Parsed::NotYet),
        (b"l", Parsed::NotYet),
        (b" ls", Parsed::NotYet),
        (b"ls\tnginx", Parsed::NotYet),
        (b"lx", Parsed::Refused(Refusal::BadStart)),
        (b"lsx", Parsed::Refused(Refusal::BadStart)),
        (b"GET / HTTP/1.1\r", Parsed::Refused(Refusal::BadStart)),
        (b"\x16\x03\x01", Parsed::Refused(Refusal::BadStart)),
        (b" \0", Parsed::Refused(Refusal::BadStart)),
    ] {
        assert_eq!(
            parse(received, false),
            expected,
            "{}",
            received.escape_ascii()
        );
    }
}

#[test]
fn the_end_stands_for_the_newline() {
    assert_eq!(parse(b"", true), Parsed::Silence);
    assert_eq!(parse(b" ", true), request(Start::LastLines(10), ""));
    assert_eq!(parse(b"-3", true), request(Start::LastLines(3), ""));
    assert_eq!(parse(b"-3 a\r", true), request(Start::LastLines(3), "a"));
    assert_eq!(parse(b"-", true), Parsed::Refused(Refusal::BadStart));
}

#[test]
fn the_longest_header() {
    let mut header = vec![b' '; HEADER_BYTES_MAX - 2];
    header.extend(b"0\n");
    assert_eq!(parse(&header, false), request(Start::Byte(0), ""));
    header.insert(0, b' ');
    assert_eq!(
        parse(&header, false),
        Parsed::Refused(Refusal::HeaderTooLong)
    );
    assert_eq!(
        parse(&header[..HEADER_BYTES_MAX - 1], false),
        Parsed::NotYet
    );
}

// All of them, against an oracle.

/// What the parser may tell apart: digits (`4` and `0` also as halves of an escape), the signs and
/// the letter of a start, blanks, the two bytes of a line's end, what a path is decoded by, a
/// letter that is a digit of escapes and one that is none, and bytes that may not stand as they
/// are: NUL, ESC, DEL, and the first, the middle and no byte at all of UTF-8.
const ALPHABET: [u8; 24] = *b"049+-cls \t\r\n%=./Fx\0\x1b\x7f\x80\xc3\xff";

/// The same for what may stand behind `0 `, where more than four bytes are needed.
const PATH_ALPHABET: [u8; 18] = *b"024fFgx%=./+ \r\n\0\x80\xc3";

/// What is not the answer for all of the bytes is "not yet". What a client gets whose bytes come
/// in several segments is the first answer that is none, so it is that of all of them, wherever
/// they are split: shown for every start of a header by what holds for the next shorter one.
fn check_below(header: &mut Vec<u8>, alphabet: &[u8], depth: usize) -> usize {
    let answer = check(header);
    if depth == 0 {
        return 1;
    }
    let mut count = 1;
    for byte in alphabet {
        header.push(*byte);
        if answer != Parsed::NotYet {
            let (longer, at_end) = (parse(header, false), parse(header, true));
            let shown = header.escape_ascii();
            assert_eq!((&longer, &at_end), (&answer, &answer), "{shown} in two");
        }
        count += check_below(header, alphabet, depth - 1);
        header.pop();
    }
    count
}

/// Both answers are the oracle's; gives the one before the end.
#[track_caller]
fn check(header: &[u8]) -> Parsed {
    for ended in [true, false] {
        let (answer, meaning) = (parse(header, ended), meaning(header, ended));
        let shown = header.escape_ascii();
        assert_eq!(answer, parsed(meaning), "{shown}, FIN: {ended}");
    }
    parse(header, false)
}

fn parsed(meaning: Meaning) -> Parsed {
    match meaning {
        Meaning::NotYet => Parsed::NotYet,
        Meaning::Silence => Parsed::Silence,
        Meaning::Error("bad start") => Parsed::Refused(Refusal::BadStart),
        Meaning::Error("bad header") => Parsed::Refused(Refusal::BadHeader),
        Meaning::Error("header too long") => Parsed::Refused(Refusal::HeaderTooLong),
        Meaning::Error("empty text") => Parsed::Refused(Refusal::EmptyText),
        Meaning::Error("unknown option") => Parsed::Refused(Refusal::UnknownOption),
        Meaning::Error(other) => panic!("{other} is none of the parser's"),
        Meaning::List(path) => raw(Wants::List(
            path.map(|path| OsString::from_vec(path).into()),
        )),
        Meaning::Request(wish) => {
            let number = wish.number;
            let path = wish.path.map(|path| OsString::from_vec(path).into());
            let conditions = |texts: Vec<Vec<u8>>, wanted| {
                let texts = texts.into_iter();
                texts.map(move |text| Condition { text, wanted })
            };
            raw(Wants::File(Wanted {
                start: match wish.kind {
                    Kind::Offset => Start::Byte(number),
                    Kind::LastLines => Start::LastLines(number),
                    Kind::LastBytes => Start::LastBytes(number),
                    Kind::LineNumber => Start::FromLine(number),
                },
                path,
                once: wish.once,
                until: None,
                // Their order among themselves is not looked at: it makes no difference.
                conditions: conditions(wish.greps, true)
                    .chain(conditions(wish.skips, false))
                    .collect(),
            }))
        }
    }
}

/// What is longer than four bytes and means something.
const WORDS: [&str; 14] = [
    "0", "-5c", "ls", "once", "grep=", "skip=", "grep=a", "skip=%2F", "a", "./once", "x=", "%00",
    "", "\t",
];

#[test]
fn every_header_of_up_to_four_words() {
    let mut headers = vec![String::new()];
    for _ in 0..4 {
        let longer = headers.iter();
        headers = longer
            .flat_map(|header| WORDS.map(|word| format!("{header} {word}")))
            .collect();
        for header in &headers {
            // The oracle does not keep their order.
            if !(header.contains("skip=%") && header.contains("grep=a")) {
                check(format!("{header}\n").as_bytes());
            }
        }
    }
}

#[test]
fn every_header_of_up_to_four_bytes() {
    let count = check_below(&mut vec![], &ALPHABET, 4);
    assert_eq!(
        count,
        (0..=4).map(|length| ALPHABET.len().pow(length)).sum()
    );
}

#[test]
fn every_path_of_up_to_four_bytes() {
    check_below(&mut b"0 ".to_vec(), &PATH_ALPHABET, 4);
}

#[test]
fn every_byte_beside_every_byte() {
    let all: Vec<u8> = (0..=255).collect();
    for start in ["", "0 ", "0 %", "0 a ", "-1"] {
        check_below(&mut start.into(), &all, 2);
    }
}

/// Each sign, with and without `c`, around each border: noughts before it make no difference, and
/// a digit more is too much.
#[test]
fn every_number_at_a_border() {
    let borders = [
        0,
        1 << 31,
        1 << 32,
        1 << 53,
        1 << 63,
        1 << 64,
        1 << 65,
        10_u128.pow(19),
    ];
    for number in borders
        .into_iter()
        .flat_map(|border| border.saturating_sub(2)..border + 3)
    {
        for (sign, unit) in ["", "+", "-", "--"]
            .into_iter()
            .flat_map(|s| [(s, ""), (s, "c")])
        {
            for noughts in ["", "0", "00000000000000000000000000000000000000000"] {
                check(format!("{sign}{noughts}{number}{unit}\n").as_bytes());
                check(format!("{sign}{number}{noughts}{unit}").as_bytes());
            }
        }
    }
    assert_eq!(
        parse(&[b'9'; HEADER_BYTES_MAX - 1], true),
        Parsed::Refused(Refusal::BadStart)
    );
}

/// Each byte of the alphabet at each place around the border, in headers of each length there, of
/// which the rest is a header.
#[test]
fn every_byte_at_the_longest_header() {
    for length in HEADER_BYTES_MAX - 3..HEADER_BYTES_MAX + 3 {
        for fill in [" ", "0", "0 a", "0 a b", "x", "\r", "0 %41"] {
            let last = fill.bytes().last().expect("it has a byte");
            let mut header = fill.as_bytes().to_vec();
            header.resize(length, last);
            check(&header);
            for at in HEADER_BYTES_MAX - 4..length {
                for byte in ALPHABET {
                    header[at] = byte;
                    check(&header);
                }
                header[at] = last;
            }
        }
    }
}
