//! Pure: what the beginning of a reply says.
//!
//! The mirror asks for the last bytes that it has already, the overlap, so that a file that was
//! rewritten, truncated or replaced shows before anything is written:
//!
//! | received                    | and then         | verdict                             |
//! |-----------------------------|------------------|-------------------------------------|
//! | one line, `error: REASON`   | the end          | `Refused`                           |
//! | a part of such a line       | still open       | `Wait`: it may become one           |
//! | other than the overlap      |                  | `Differs`                           |
//! | the overlap, and maybe more |                  | `Continue`                          |
//! | a part of the overlap       | still open       | `Wait`                              |
//! | a part of the overlap       | the end          | `Lost`                              |
//! | a part of the overlap       | nothing for long | `Short`: the remote file ends there |
//!
//! A remote file that is nothing but one line `error: ...` looks like an error only if the
//! connection ends just behind it: the server ends it at once after an error, and never by itself
//! after the data of a file that stays.

/// What came after the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing yet.
    Open,
    /// The end of the stream.
    End,
    /// Nothing for so long that nothing is going to come.
    Silence,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    Wait,
    /// The overlap is the same; this is what lies behind it.
    Continue(&'a [u8]),
    /// First at this byte of the overlap.
    Differs(usize),
    Refused(&'a [u8]),
    Lost,
    Short,
}

/// Longer ones are none of the server's.
const ERROR_LINE_BYTES_MAX: usize = 1024;

const ERROR: &[u8] = b"error: ";

pub fn judge<'a>(overlap: &[u8], received: &'a [u8], then: Then) -> Verdict<'a> {
    if then == Then::End {
        if let Some(reason) = error_line(received) {
            return Verdict::Refused(reason);
        }
    }
    if then == Then::Open && may_become_error(received) {
        return Verdict::Wait;
    }
    let mut pairs = overlap.iter().zip(received);
    if let Some(place) = pairs.position(|(ours, theirs)| ours != theirs) {
        return Verdict::Differs(place);
    }
    if let Some(rest) = received.get(overlap.len()..) {
        return Verdict::Continue(rest);
    }
    match then {
        Then::Open => Verdict::Wait,
        Then::End => Verdict::Lost,
        Then::Silence => Verdict::Short,
    }
}

/// Whether the server's reason to refuse will pass by itself.
pub fn is_passing(reason: &[u8]) -> bool {
    let passing: [&[u8]; 4] = [
        b"shutting down",
        b"too many clients",
        b"too many files",
        b"try again",
    ];
    passing.contains(&reason)
}

fn error_line(received: &[u8]) -> Option<&[u8]> {
    let reason = received.strip_prefix(ERROR)?.strip_suffix(b"\n")?;
    let is_one_line = !reason.contains(&b'\n') && received.len() <= ERROR_LINE_BYTES_MAX;
    is_one_line.then_some(reason)
}

/// Also when it is a complete one already: then the end is what is waited for.
fn may_become_error(received: &[u8]) -> bool {
    let line = received.strip_suffix(b"\n").unwrap_or(received);
    if line.len() < ERROR.len() {
        return ERROR.starts_with(received);
    }
    line.starts_with(ERROR) && !line.contains(&b'\n') && received.len() <= ERROR_LINE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        use Then::{End, Open, Silence};
        use Verdict::{Continue, Differs, Lost, Refused, Short, Wait};
        let cases: [(&[u8], &[u8], Then, Verdict); 33] = [
            (b"abc", b"", Open, Wait),
            (b"abc", b"ab", Open, Wait),
            (b"abc", b"abc", Open, Continue(b"")),
            (b"abc", b"abcd\n", Open, Continue(b"d\n")),
            (b"abc", b"abcd\n", End, Continue(b"d\n")),
            (b"abc", b"abc", Silence, Continue(b"")),
            (b"abc", b"x", Open, Differs(0)),
            (b"abc", b"abx", Open, Differs(2)),
            (b"abc", b"x", End, Differs(0)),
            (b"abc", b"x", Silence, Differs(0)),
            (b"abc", b"", End, Lost),
            (b"abc", b"ab", End, Lost),
            (b"abc", b"", Silence, Short),
            (b"abc", b"ab", Silence, Short),
            // Nothing to compare.
            (b"", b"", Open, Wait),
            (b"", b"", End, Continue(b"")),
            (b"", b"a", Open, Continue(b"a")),
            (b"", b"e", Open, Wait),
            (b"", b"e", Silence, Continue(b"e")),
            (b"", b"e\n", Open, Continue(b"e\n")),
            (b"", b"error: x\n", Open, Wait),
            (b"", b"error: x\n", End, Refused(b"x")),
            (b"", b"error: x\n", Silence, Continue(b"error: x\n")),
            (b"", b"error: x\ny", Open, Continue(b"error: x\ny")),
            (b"", b"error: x\ny\n", End, Continue(b"error: x\ny\n")),
            // An error in place of the overlap, and an overlap that reads like one.
            (b"abc", b"error: no", Open, Wait),
            (b"abc", b"error: no", End, Differs(0)),
            (b"abc", b"error: no\n", End, Refused(b"no")),
            (b"abc", b"error: no\n", Silence, Differs(0)),
            (b"error: x\n", b"error: x\n", Open, Wait),
            (b"error: x\n", b"error: x\n", Silence, Continue(b"")),
            (b"error: x\n", b"error: x\n\n", Open, Continue(b"\n")),
            (b"error: x\n", b"error: \n", End, Refused(b"")),
        ];
        for (overlap, received, then, expected) in cases {
            let verdict = judge(overlap, received, then);
            let shown = received.escape_ascii();
            assert_eq!(verdict, expected, "{overlap:?}, \"{shown}\", {then:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_no_error() {
        let mut received = [ERROR, &[b'x'; ERROR_LINE_BYTES_MAX]].concat();
        assert_eq!(
            judge(b"", &received, Then::Open),
            Verdict::Continue(&received)
        );
        received.push(b'\n');
        assert_eq!(
            judge(b"", &received, Then::End),
            Verdict::Continue(&received)
        );
    }

    #[test]
    fn a_verdict_stands_whatever_comes_after_it() {
        let texts: [&[u8]; 4] = [b"abcd", b"error: no\nab", b"error: no\n", b"err"];
        for text in texts {
            for overlap in texts.map(|text| &text[..3]) {
                let mut stands = None;
                for length in 0..=text.len() {
                    let verdict = match judge(overlap, &text[..length], Then::Open) {
                        Verdict::Wait => continue,
                        Verdict::Continue(_) => None,
                        Verdict::Differs(place) => Some(place),
                        verdict => panic!("{verdict:?} while it is open"),
                    };
                    assert_eq!(*stands.get_or_insert(verdict), verdict);
                }
            }
        }
    }

    #[test]
    fn some_reasons_pass() {
        for (reason, passes) in [
            ("try again", true),
            ("shutting down", true),
            ("too many clients", true),
            ("no such file", false),
            ("file was replaced", false),
            ("", false),
        ] {
            assert_eq!(is_passing(reason.as_bytes()), passes, "{reason}");
        }
    }
}
