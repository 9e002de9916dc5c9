//! Heads cut off, in pieces and damaged: nothing panics, nothing is answered sooner than it is
//! clear, and no piece of a request is another one.

use super::*;

/// A multiplier and a mix (splitmix64): the same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 27
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

fn answer(received: &[u8], ended: bool) -> Parsed {
    parse(received, ended, &door())
}

/// The first answer stays the answer, wherever the head is split; until then the end of the input
/// makes it a bad one.
fn check(head: &[u8]) {
    let whole = answer(head, false);
    let shown = || head.escape_ascii().to_string();
    let mut is_settled = false;
    for length in 1..=head.len() {
        let part = answer(&head[..length], false);
        if part == Parsed::NotYet {
            assert!(!is_settled, "unsettled at {length} of {}", shown());
            let ended = answer(&head[..length], true);
            assert_eq!(ended, Parsed::Refused(Refusal::BadRequest), "{}", shown());
        } else if !is_settled {
            assert_eq!(part, whole, "at {length} of {}", shown());
            assert_eq!(answer(&head[..length], true), whole, "{}", shown());
            is_settled = true;
        }
    }
    let is_over = matches!(whole, Parsed::Request(_));
    let has_end = head.windows(2).any(|two| two == b"\n\n") || holds(head, b"\n\r\n");
    assert!(!is_over || has_end, "answered without an end: {}", shown());
    assert!(
        whole != Parsed::NotYet || !has_end,
        "still not: {}",
        shown()
    );
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn right(random: &mut Random) -> Vec<u8> {
    let line_end = random.pick(&["\r\n", "\r\n", "\n"]);
    let target = random.pick(&[
        "/",
        "/log",
        "/log?from=-10&follow",
        "/log?grep=a%20b&skip=c+d",
        "/a%20b",
        "*",
        "/-/files",
        "/-/healthy",
        "http://localhost:80/log",
        "/log?from=00000000000000ff.12.0000abcd",
        "/d\u{e9}j\u{e0}",
        "//",
        "/log?",
    ]);
    let method = random.pick(&["GET", "GET", "GET", "HEAD", "POST", "PRI"]);
    let version = random.pick(&["1.1", "1.1", "1.1", "1.0", "2.0"]);
    let mut head = format!("{method} {target} HTTP/{version}{line_end}");
    for number in 0..random.below(5) {
        if number == 0 {
            head += &format!("Host: localhost{line_end}");
        }
        head += random.pick(&[
            "Host:[::1]:80",
            "host: evil.example",
            "X: y",
            "Accept: text/event-stream",
            "Range: bytes=0-5",
            "Range: bytes=-5",
            "If-Range: x",
            "Last-Event-ID: 00000000000000ff.12.0000abcd",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
            "X-\u{e9}: \u{e9}",
        ]);
        head += line_end;
    }
    (head + line_end).into_bytes()
}

fn damage(head: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(head.len());
    let byte = match random.below(4) {
        0 => random.next() as u8,
        _ => b" \t\r\n%/?&=:.-*#+,;0129Aax\0\x7f\xff\xc3"[random.below(27)],
    };
    match random.below(5) {
        0 => head.insert(at, byte),
        1 => head[at] = byte,
        2 => drop(head.remove(at)),
        3 => head.truncate(at.max(1)),
        _ => head.extend_from_within(at..),
    }
    if head.is_empty() || !head[0].is_ascii_uppercase() {
        head.insert(0, b'G');
    }
}

#[test]
fn heads_that_are_nearly_right() {
    let mut random = Random(1);
    let (mut requests, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut head = right(&mut random);
        for _ in 0..random.below(4) {
            damage(&mut head, &mut random);
        }
        check(&head);
        match answer(&head, false) {
            Parsed::Request(_) => requests += 1,
            Parsed::Refused(_) => refused += 1,
            _ => {}
        }
    }
    assert!(requests > 150 && refused > 1000, "{requests} {refused}");
}

#[test]
fn every_byte_at_every_place_of_a_head() {
    let head = b"GET /%41?from=-1 HTTP/1.0\r\nHost: [::1]:8\n\r\n";
    for at in 1..head.len() {
        for byte in 0..=255 {
            let mut head = head.to_vec();
            head[at] = byte;
            check(&head);
        }
    }
}

#[test]
fn noise() {
    let mut random = Random(2);
    for _ in 0..5000 {
        let length = random.below(60);
        let mut noise = vec![b'A' + random.below(26) as u8];
        noise.extend((0..length).map(|_| random.next() as u8));
        check(&noise);
    }
}

/// The answer at the two limits does not depend on where the head is split either.
#[test]
fn heads_that_are_too_long() {
    for field in [
        "X: y\r\n",
        "X:\n",
        "X: a line that is longer than others\r\n",
    ] {
        for count in [99, 100, 101, 1400] {
            let text = format!("GET / HTTP/1.0\r\n{}\r\n", field.repeat(count));
            let whole = answer(text.as_bytes(), false);
            let mut first = None;
            for length in (1..=text.len()).rev() {
                match answer(&text.as_bytes()[..length], false) {
                    Parsed::NotYet => break,
                    other => first = Some(other),
                }
            }
            assert_eq!(first, Some(whole), "{count} of {field:?}");
        }
    }
}
