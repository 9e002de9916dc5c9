use super::*;
use crate::bookmark::CHECK_BYTES;
use crate::filter::{Filter, Sifted};
use crate::request::Condition;

const FILE: u64 = 0xf11e;

/// What a browser hands to the page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    kind: String,
    data: String,
    last_id: String,
}

/// An event stream, interpreted as the HTML standard says it (9.2.6), and the id that the browser
/// would reconnect with after it. What is in doubt panics: we write nothing but known fields.
fn interpret(stream: &[u8]) -> (Vec<Event>, String) {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut events, mut last_id) = (vec![], String::new());
    let (mut data, mut kind, mut id) = (String::new(), String::new(), String::new());
    let mut rest = text;
    // What comes behind the last end of line is no line yet.
    while let Some(end) = rest.find(['\r', '\n']) {
        let line = &rest[..end];
        let ending = if rest[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + ending..];
        if line.is_empty() {
            last_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                events.push(Event {
                    kind: if kind.is_empty() {
                        "message".into()
                    } else {
                        kind.clone()
                    },
                    data: data.into(),
                    last_id: last_id.clone(),
                });
            }
            data.clear();
            kind.clear();
            continue;
        }
        if line.starts_with(':') {
            continue;
        }
        let (field, value) = line.split_once(':').expect("no field without a colon");
        let value = value.strip_prefix(' ').expect("a blank behind each colon");
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => kind = value.into(),
            "id" => {
                assert!(!value.contains('\0'));
                id = value.into();
            }
            other => panic!("{other:?}: {value:?}"),
        }
    }
    (events, last_id)
}

fn messages(stream: &[u8]) -> Vec<Event> {
    let (events, _) = interpret(stream);
    events
        .into_iter()
        .filter(|event| event.kind == "message")
        .collect()
}

/// The place as the server would say it: `before` is the file up to there.
fn place(before: &[u8]) -> Bookmark {
    Bookmark {
        file: FILE,
        offset: before.len() as u64,
        check: check_of(before),
    }
}

/// The lines of `file` from `start` on as the table says them, all at once.
fn expected(file: &[u8], start: usize, line_bytes_max: usize) -> Vec<Event> {
    let (mut events, mut end) = (vec![], start);
    for line in file[start..].split_inclusive(|&byte| byte == b'\n') {
        end += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_cut = line.len() > line_bytes_max;
        let mut shown = &line[..line.len().min(line_bytes_max)];
        if is_cut {
            let last = shown
                .utf8_chunks()
                .last()
                .map_or(&b""[..], |chunk| chunk.invalid());
            let is_half = from_utf8(last).is_err_and(|error| error.error_len().is_none());
            shown = &shown[..shown.len() - if is_half { last.len() } else { 0 }];
        }
        let event = |kind: &str, data: String| Event {
            kind: kind.into(),
            data,
            last_id: place(&file[..end]).to_string(),
        };
        let fields = shown
            .split(|&byte| byte == b'\r')
            .map(String::from_utf8_lossy);
        events.push(event("message", fields.collect::<Vec<_>>().join("\n")));
        if is_cut {
            events.push(event("cut", String::new()));
        }
    }
    events
}

/// A client that reads so many bytes at a time, and makes so many bytes of events.
struct Sender {
    events: Events,
    cursor: usize,
    read_bytes: usize,
    out_bytes_max: usize,
    sent: Vec<u8>,
}

impl Sender {
    fn new(events: Events, read_bytes: usize, out_bytes_max: usize) -> Sender {
        Sender {
            events,
            cursor: 0,
            read_bytes,
            out_bytes_max,
            sent: vec![],
        }
    }

    fn window<'a>(&self, file: &'a [u8]) -> Window<'a> {
        let from = self.cursor.saturating_sub(CHECK_BYTES);
        Window {
            file: FILE,
            bytes: &file[from..file.len().min(self.cursor + self.read_bytes)],
            offset: from as u64,
        }
    }

    /// One outbox full of the `take` bytes at the cursor; how many bytes were used.
    fn take(&mut self, file: &[u8], take: usize, is_end: bool) -> usize {
        let window = self.window(file);
        let start = self.cursor - window.offset as usize;
        let (run, mut out) = (start..start + take, vec![]);
        let used = self
            .events
            .feed(window, run, is_end, &mut out, self.out_bytes_max);
        assert!(used > 0 || !out.is_empty(), "it does not get on");
        assert!(out.len() < self.out_bytes_max + 150, "{} bytes", out.len());
        self.cursor += used;
        self.sent.append(&mut out);
        used
    }

    /// All of it, as if there was no filter.
    fn send(&mut self, file: &[u8], is_finished: bool) {
        while self.cursor < file.len() {
            let end = file.len().min(self.cursor + self.read_bytes);
            self.take(file, end - self.cursor, is_finished && end == file.len());
        }
    }
}

/// Random numbers without a seed from outside: the same each time.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 33) as usize
}

#[rustfmt::skip]
const PIECES: [&[u8]; 20] = [
    b"\n", b"\n", b"\r\n", b"\r", b"\r\r", b" ", b":", b"id: 1", b"data", b"\0", b"a", b"bc",
    "\u{e9}".as_bytes(), "\u{20ac}".as_bytes(), "\u{1f600}".as_bytes(), "\u{feff}".as_bytes(),
    b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80",
];

fn random_text(state: &mut u64) -> Vec<u8> {
    let count = random(state) % 40;
    (0..count)
        .flat_map(|_| PIECES[random(state) % PIECES.len()])
        .copied()
        .collect()
}

fn send_all(
    text: &[u8],
    line_bytes_max: usize,
    read_bytes: usize,
    out_bytes_max: usize,
) -> Vec<u8> {
    let events = Events::with_limit(line_bytes_max);
    let mut sender = Sender::new(events, read_bytes, out_bytes_max);
    sender.send(text, true);
    sender.sent
}

#[test]
fn a_line_is_an_event() {
    let text = b"one\n\n two\r\nth\rree\nf\xffur";
    let sent = String::from_utf8(send_all(text, 100, 100, 1000)).unwrap();
    let id = |end: usize| place(&text[..end]);
    let expected = [
        format!("id: {}\ndata: one\n\n", id(4)),
        format!("id: {}\ndata: \n\n", id(5)),
        format!("id: {}\ndata:  two\n\n", id(11)),
        format!("id: {}\ndata: th\ndata: ree\n\n", id(18)),
        format!("id: {}\ndata: f\u{fffd}ur\n\n", id(22)),
    ];
    assert_eq!(sent, expected.concat());
    assert_eq!(
        id(4).to_string(),
        format!("000000000000f11e.4.{:08x}", check_of(b"one\n"))
    );
}

#[test]
fn the_other_events_are_those_of_the_table() {
    let mut events = Events::new();
    let mut out = vec![];
    let place = place(b"one\n");
    events.pulse(Some(place), &mut out);
    events.pulse(None, &mut out);
    events.rotated(Some(place), &mut out);
    events.end("lost 4096 bytes", &mut out);
    let expected = format!(
        "id: {place}\n\n:\nid: {place}\nevent: rotated\ndata: \n\n\
         event: end\ndata: lost 4096 bytes\n\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn every_line_comes_back_whatever_the_buffers() {
    let mut state = 0x5eed;
    for _ in 0..4000 {
        let text = random_text(&mut state);
        for line_bytes_max in [1, 2, 3, 7, 20, 1000] {
            let read_bytes = 1 + random(&mut state) % 30;
            let out_bytes_max = 1 + random(&mut state) % 200;
            let sent = send_all(&text, line_bytes_max, read_bytes, out_bytes_max);
            assert_eq!(
                interpret(&sent).0,
                expected(&text, 0, line_bytes_max),
                "{} cut at {line_bytes_max}, by {read_bytes} and {out_bytes_max}",
                text.escape_ascii()
            );
        }
    }
}

#[test]
fn every_size_of_buffers_for_a_text_with_everything() {
    let text = "one\r\n\r\rtw\u{e9}\u{20ac}\u{1f600}\u{1f600} \r\n\n\u{feff}bom\n  id: 1\0\n\
                long long long\n";
    let text = [
        text.as_bytes(),
        b"\xf0\x9f\x98\r\xe2\x82\n\xff\xff\xff\nlast \xf0\x9f\r",
    ]
    .concat();
    for line_bytes_max in [1, 2, 3, 4, 5, 9, 100] {
        let expected = expected(&text, 0, line_bytes_max);
        for (read_bytes, out_bytes_max) in (1..=text.len())
            .step_by(2)
            .flat_map(|read| (1..60).map(move |out| (read, out)))
        {
            let sent = send_all(&text, line_bytes_max, read_bytes, out_bytes_max);
            assert_eq!(
                interpret(&sent).0,
                expected,
                "cut at {line_bytes_max}, by {read_bytes} and {out_bytes_max}"
            );
        }
    }
}

#[test]
fn a_line_of_64_kib_is_whole_and_a_longer_one_is_cut() {
    for (length, ending, is_cut) in [
        (LINE_BYTES_MAX, "\n", false),
        (LINE_BYTES_MAX, "\r\n", false),
        (LINE_BYTES_MAX + 1, "\n", true),
        (LINE_BYTES_MAX + 1, "\r\n", true),
        (20 * LINE_BYTES_MAX, "\n", true),
    ] {
        let mut text = vec![b'x'; length];
        text.extend_from_slice(ending.as_bytes());
        text.extend_from_slice(b"next\n");
        for read_bytes in [4096, 65_536, 262_144] {
            let sent = send_all(&text, LINE_BYTES_MAX, read_bytes, 100_000);
            let (events, _) = interpret(&sent);
            assert_eq!(events, expected(&text, 0, LINE_BYTES_MAX));
            assert_eq!(events.len(), if is_cut { 3 } else { 2 });
            assert_eq!(events[0].data.len(), LINE_BYTES_MAX);
        }
    }
}

/// Whatever the last byte is that came through: who resumes by the place that it was left with has
/// each line once.
#[test]
fn cut_off_anywhere_it_resumes_without_a_gap_or_a_double() {
    let mut state = 0xc0ffee;
    for _ in 0..150 {
        let text = random_text(&mut state);
        let line_bytes_max = [3, 8, 1000][random(&mut state) % 3];
        let read_bytes = 1 + random(&mut state) % 30;
        let sent = send_all(&text, line_bytes_max, read_bytes, 50);
        let all = expected(&text, 0, line_bytes_max);
        let only = |events: Vec<Event>| -> Vec<Event> {
            events
                .into_iter()
                .filter(|event| event.kind == "message")
                .collect()
        };
        for end in 0..=sent.len() {
            let (mut seen, last_id) = interpret(&sent[..end]);
            let start = match Bookmark::parse(last_id.as_bytes()) {
                Some(bookmark) => bookmark.offset as usize,
                None => 0,
            };
            if start > 0 {
                assert_eq!(last_id, place(&text[..start]).to_string());
            }
            seen.extend(expected(&text, start, line_bytes_max));
            assert_eq!(
                only(seen),
                only(all.clone()),
                "{} at {end}",
                text.escape_ascii()
            );
        }
    }
}

/// The server stops at any place: nothing that it says then is taken for a line, and the place is
/// one to go on from.
#[test]
fn ended_or_rotated_anywhere_it_resumes_without_a_gap_or_a_double() {
    let mut state = 0xfade;
    for _ in 0..1500 {
        let text = random_text(&mut state);
        let line_bytes_max = [3, 8, 1000][random(&mut state) % 3];
        let all = expected(&text, 0, line_bytes_max);
        let read_bytes = 1 + random(&mut state) % 10;
        let mut sender = Sender::new(Events::with_limit(line_bytes_max), read_bytes, 40);
        let stop = random(&mut state) % (text.len() + 1);
        while sender.cursor < stop {
            let take = read_bytes.min(text.len() - sender.cursor);
            let is_end = sender.cursor + take == text.len();
            sender.take(&text, take, is_end);
            // Between all the others.
            sender.events.pulse(None, &mut sender.sent);
        }
        sender.events.end("shutdown", &mut sender.sent);
        let (mut seen, last_id) = interpret(&sender.sent);
        let end = seen.pop().map(|event| (event.kind, event.data));
        assert_eq!(end, Some(("end".into(), "shutdown".into())));
        let start = Bookmark::parse(last_id.as_bytes()).map_or(0, |place| place.offset as usize);
        seen.retain(|event| event.kind != "part");
        seen.extend(expected(&text, start, line_bytes_max));
        assert_eq!(seen, all, "{} at {stop}", text.escape_ascii());
    }
}

#[test]
fn a_long_line_without_an_end_is_ended_by_the_end_of_its_file() {
    let text = b"one\nlong long line";
    let mut sender = Sender::new(Events::with_limit(4), 5, 1000);
    sender.send(text, false);
    let next = Bookmark {
        file: 2,
        offset: 0,
        check: 0,
    };
    assert_eq!(messages(&sender.sent).len(), 1);
    sender.events.rotated(Some(next), &mut sender.sent);
    let (mut events, last_id) = interpret(&sender.sent);
    assert_eq!(last_id, next.to_string());
    let rotated = events.pop().unwrap();
    assert_eq!((&rotated.kind[..], &rotated.data[..]), ("rotated", ""));
    assert_eq!(events, expected(text, 0, 4));
}

/// What a waiting client is sent never shows a half line.
#[test]
fn a_pulse_is_harmless_at_any_place() {
    let mut state = 0xbea7;
    for _ in 0..1500 {
        let text = random_text(&mut state);
        let line_bytes_max = [3, 8, 1000][random(&mut state) % 3];
        let read_bytes = 1 + random(&mut state) % 10;
        let mut sender = Sender::new(Events::with_limit(line_bytes_max), read_bytes, 40);
        while sender.cursor < text.len() {
            let take = read_bytes.min(text.len() - sender.cursor);
            sender.take(&text, take, sender.cursor + take == text.len());
            // Where the line is, the caller knows only of those that were passed over.
            let place = place(&text[..sender.cursor]);
            sender.events.pulse(Some(place), &mut sender.sent);
            let (_, last_id) = interpret(&sender.sent);
            let at = Bookmark::parse(last_id.as_bytes()).map_or(0, |place| place.offset as usize);
            let is_end_of_line = at == 0 || at == text.len() || text[at - 1] == b'\n';
            assert!(is_end_of_line, "{at} of {}", text.escape_ascii());
        }
        assert_eq!(
            interpret(&sender.sent).0,
            expected(&text, 0, line_bytes_max)
        );
    }
}

#[test]
fn with_a_filter_each_wanted_line_is_an_event() {
    let mut state = 0xf117e5;
    let conditions = [Condition {
        text: b"a".to_vec(),
        wanted: true,
    }];
    for _ in 0..4000 {
        let text = random_text(&mut state);
        let mut filter = Filter::new(&conditions);
        let read_bytes = 1 + random(&mut state) % 40;
        let out_bytes_max = 1 + random(&mut state) % 100;
        let mut sender = Sender::new(Events::new(), read_bytes, out_bytes_max);
        while sender.cursor < text.len() {
            let from = filter.read_from(sender.cursor as u64) as usize;
            let to = text.len().min(from + read_bytes);
            let is_end = to == text.len();
            if let Sifted::Run { pass, mut take } = filter.sift(&text[from..to], is_end) {
                sender.cursor += pass;
                // One outbox; the rest is read again.
                if take > 0 {
                    sender.read_bytes = to - sender.cursor;
                    take -= sender.take(&text, take, is_end);
                    filter.give_back(take);
                }
            }
        }
        let wanted: Vec<Event> = expected(&text, 0, LINE_BYTES_MAX)
            .into_iter()
            .filter(|event| event.data.contains('a'))
            .collect();
        assert_eq!(interpret(&sender.sent).0, wanted, "{}", text.escape_ascii());
    }
}
