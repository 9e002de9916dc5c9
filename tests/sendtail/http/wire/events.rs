//! Server-sent events, read as strictly.

use super::{Head, Web};
use crate::support::Server;

/// A server-sent event, or an id alone.
#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub kind: Option<String>,
    /// Lines are joined by LF, as a browser does.
    pub data: Option<String>,
}

impl Web {
    /// Asks for events, and reads the head.
    pub fn events(server: &Server, target: &str, fields: &[&str]) -> (Head, Web) {
        let accept = ["Accept: text/event-stream"];
        let mut web = Web::get_with(server, target, &[&accept, fields].concat());
        let head = web.head();
        assert_eq!(head.status, 200, "{head:#?}");
        head.expect(&[
            ("Content-Type", Some("text/event-stream; charset=utf-8")),
            ("X-Accel-Buffering", Some("no")),
            ("Transfer-Encoding", None),
            ("Content-Length", None),
        ]);
        (head, web)
    }

    /// The next event, or the next id alone. A line of which only a part came is an event of that
    /// kind: its place is where it begins, and stands behind it.
    pub fn event(&mut self) -> Event {
        let mut event = Event::default();
        let mut is_part = false;
        loop {
            let line = self.event_line();
            if line.is_empty() {
                assert_ne!(event, Event::default(), "an event of nothing");
                assert_eq!(is_part, event.kind.as_deref() == Some("part"), "{event:?}");
                return event;
            }
            let (name, value) = line.split_once(": ").expect("a field has a value");
            match name {
                "id" if event == Event::default() => event.id = Some(value.into()),
                "id" if event.data.is_some() && !is_part => {
                    event.id = Some(value.into());
                    is_part = true;
                }
                "event" if event.kind.is_none() && (event.data.is_none() || is_part) => {
                    event.kind = Some(value.into());
                }
                "data" if !is_part => match &mut event.data {
                    None => event.data = Some(value.into()),
                    Some(data) => *data = format!("{data}\n{value}"),
                },
                _ => panic!("{line:?} behind {event:?}"),
            }
        }
    }

    fn event_line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                assert!(!line.contains(&b'\r'), "CR would end a line: {line:?}");
                return String::from_utf8(line).expect("events are UTF-8");
            }
            let is_more = self.receive();
            assert!(
                is_more,
                "ended in {:?}",
                self.unread.escape_ascii().to_string()
            );
        }
    }

    /// The next events are these lines; gives the place behind the last. Ids alone may come
    /// between.
    pub fn expect_lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> String {
        let mut place = String::new();
        for line in lines {
            let event = self.said();
            assert_eq!(event.kind, None, "{event:?} and not {line:?}");
            assert_eq!(event.data.as_deref(), Some(line));
            place = event.id.expect("a line has a place");
        }
        place
    }

    /// The next event that says anything.
    pub fn said(&mut self) -> Event {
        loop {
            let event = self.event();
            if event.data.is_some() && event.kind.as_deref() != Some("part") {
                return event;
            }
        }
    }

    /// The last event, which says why, and the end of the connection.
    pub fn expect_end_event(&mut self, words: &str) {
        let event = self.said();
        assert_eq!(event.kind.as_deref(), Some("end"), "{event:?}");
        assert_eq!(event.data.as_deref(), Some(words));
        assert_eq!(self.rest(), b"", "behind the end");
    }
}
