//! A client that takes nothing for granted: what is not exactly as it has to be fails the test.

mod events;

use crate::support::{Client, Server};

/// What every reply says.
const ALWAYS: [(&str, &str); 6] = [
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

pub const TEXT: &str = "text/plain; charset=utf-8";

/// One connection, and what of it was received and not yet looked at.
pub struct Web {
    pub client: Client,
    unread: Vec<u8>,
    /// Of the chunk that is being read.
    chunk_left: usize,
}

/// A reply's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }

    #[track_caller]
    pub fn expect(&self, fields: &[(&str, Option<&str>)]) {
        for (name, value) in fields {
            assert_eq!(self.field(name), *value, "{name} in {self:#?}");
        }
    }

    pub fn length(&self) -> Option<usize> {
        self.field("Content-Length")
            .map(|length| length.parse().expect("it is a number"))
    }

    pub fn is_chunked(&self) -> bool {
        self.field("Transfer-Encoding") == Some("chunked")
    }

    pub fn place(&self) -> &str {
        let place = self.field("Sendtail-Place").expect("it has a place");
        let mut parts = place.split('.');
        let mut next = || parts.next().expect("it has three parts");
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (file, offset, check) = (next(), next(), next());
        assert!(file.len() == 16 && is_hex(file), "{place}");
        assert!(offset.parse::<u64>().is_ok(), "{place}");
        assert!(check.len() == 8 && is_hex(check), "{place}");
        assert_eq!(parts.next(), None, "{place}");
        place
    }

    /// Its fields but for the time.
    pub fn without_date(&self) -> Vec<&(String, String)> {
        let fields = self.fields.iter();
        fields.filter(|(name, _)| name != "Date").collect()
    }
}

impl Web {
    pub fn new(client: Client) -> Web {
        Web {
            client,
            unread: vec![],
            chunk_left: 0,
        }
    }

    /// Sends these bytes.
    pub fn ask(server: &Server, request: impl AsRef<[u8]>) -> Web {
        Web::new(server.ask(request))
    }

    pub fn get(server: &Server, target: &str) -> Web {
        Web::get_with(server, target, &[])
    }

    /// With these fields, each a whole line.
    pub fn get_with(server: &Server, target: &str, fields: &[&str]) -> Web {
        Web::ask(server, request("GET", target, fields))
    }

    /// Gives false at the end of the stream.
    fn receive(&mut self) -> bool {
        let mut chunk = [0; 1 << 16];
        let count = self.client.read(&mut chunk);
        let count = count.unwrap_or_else(|error| {
            panic!(
                "{error} behind {:?}",
                self.unread.escape_ascii().to_string()
            )
        });
        self.unread.extend_from_slice(&chunk[..count]);
        count > 0
    }

    /// A line without its CR LF.
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                assert_eq!(line.pop(), Some(b'\r'), "a bare LF ends {line:?}");
                assert!(!line.contains(&b'\r'), "a bare CR in {line:?}");
                return String::from_utf8(line).expect("it is ASCII");
            }
            let is_more = self.receive();
            assert!(
                is_more,
                "ended in {:?}",
                self.unread.escape_ascii().to_string()
            );
        }
    }

    /// Lines up to an empty one, as fields.
    fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = vec![];
        loop {
            let line = self.line();
            if line.is_empty() {
                return fields;
            }
            let (name, value) = line.split_once(": ").expect("a field has a value");
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            assert!(name.bytes().all(is_token) && !name.is_empty(), "{line}");
            assert!(
                value.bytes().all(|byte| (b' '..0x7f).contains(&byte)),
                "{line}"
            );
            assert!(
                !fields.iter().any(|(known, _)| known == name),
                "twice: {line}"
            );
            fields.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The head, which says what all have to say.
    pub fn head(&mut self) -> Head {
        let line = self.line();
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..4));
        let status = status.and_then(|status| status.strip_suffix(' '));
        let status = status.and_then(|status| status.parse().ok());
        let head = Head {
            status: status.unwrap_or_else(|| panic!("no status: {line}")),
            fields: self.fields(),
        };
        for (name, value) in ALWAYS {
            assert_eq!(head.field(name), Some(value), "{name} in {head:#?}");
        }
        let date = head.field("Date").expect("every reply has one");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        let both = head.length().is_some() && head.is_chunked();
        assert!(!both, "two lengths: {head:#?}");
        assert_eq!(head.field("Access-Control-Allow-Origin"), None);
        head
    }

    /// So many bytes, without chunks.
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let count = expected.len().min(self.unread.len());
        let unread: Vec<u8> = self.unread.drain(..count).collect();
        assert!(
            unread == expected[..count],
            "{:?}",
            unread.escape_ascii().to_string()
        );
        self.client.expect(&expected[count..]);
    }

    /// All that comes, to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unread);
        rest.extend(self.client.read_to_end());
        rest
    }

    /// The body, as its head says that it is to be read, and the end of the connection.
    pub fn body(&mut self, head: &Head) -> Vec<u8> {
        if head.is_chunked() {
            let body = self.chunks_to_end();
            assert_eq!(body.1, vec![], "a trailer where none is to be");
            return body.0;
        }
        let rest = self.rest();
        if let Some(length) = head.length() {
            assert_eq!(rest.len(), length, "{head:#?}");
        }
        rest
    }

    /// Head and body.
    pub fn reply(&mut self) -> (Head, Vec<u8>) {
        let head = self.head();
        let body = self.body(&head);
        (head, body)
    }

    /// The size of the next chunk; 0 is the last.
    fn chunk_size(&mut self) -> usize {
        let line = self.line();
        // Noughts before it are allowed; a sign, which the type would take, and extensions are not.
        let is_plain = line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(&line, 16).ok().filter(|_| is_plain);
        size.unwrap_or_else(|| panic!("no size of a chunk: {line:?}"))
    }

    /// What there is of the current chunk, or of the next; nothing: that was the last.
    fn piece(&mut self, most: usize) -> Vec<u8> {
        if self.chunk_left == 0 {
            self.chunk_left = self.chunk_size();
            if self.chunk_left == 0 {
                return vec![];
            }
        }
        while self.unread.is_empty() {
            assert!(
                self.receive(),
                "ended with {} bytes to come",
                self.chunk_left
            );
        }
        let count = self.chunk_left.min(self.unread.len()).min(most);
        let piece = self.unread.drain(..count).collect();
        self.chunk_left -= count;
        if self.chunk_left == 0 {
            assert_eq!(self.line(), "", "behind a chunk");
        }
        piece
    }

    /// These bytes in chunks of any size.
    pub fn expect_chunked(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut at = 0;
        while at < expected.len() {
            let piece = self.piece(expected.len() - at);
            assert!(!piece.is_empty(), "ended at {at} of {}", expected.len());
            let wanted = &expected[at..at + piece.len()];
            let shown = |bytes: &[u8]| bytes[..bytes.len().min(80)].escape_ascii().to_string();
            assert!(
                piece == wanted,
                "at {at}: {:?} and not {:?}",
                shown(&piece),
                shown(wanted)
            );
            at += piece.len();
        }
    }

    /// All chunks to the last, its trailers, and the end of the connection.
    pub fn chunks_to_end(&mut self) -> (Vec<u8>, Vec<(String, String)>) {
        let mut body = vec![];
        loop {
            let piece = self.piece(usize::MAX);
            if piece.is_empty() {
                break;
            }
            body.extend(piece);
        }
        let trailers = self.fields();
        assert_eq!(self.rest(), b"", "behind the last chunk");
        (body, trailers)
    }

    /// The next is the last chunk, and its trailer says this.
    pub fn expect_last_chunk(&mut self, words: &str) {
        let (body, trailers) = self.chunks_to_end();
        assert_eq!(body.escape_ascii().to_string(), "");
        assert_eq!(trailers, [("Sendtail-End".to_owned(), words.to_owned())]);
    }

    /// A reply with this status, whose body is one line of text; gives its words.
    #[track_caller]
    pub fn expect_refusal(&mut self, status: u16) -> String {
        let (head, body) = self.reply();
        let body = String::from_utf8(body).expect("it is text");
        assert_eq!(head.status, status, "{body}");
        head.expect(&[("Content-Type", Some(TEXT))]);
        assert!(head.length().is_some(), "{head:#?}");
        let words = body
            .strip_suffix('\n')
            .and_then(|body| body.strip_prefix("error: "));
        let words = words.unwrap_or_else(|| panic!("not a line: {body:?}"));
        assert!(!words.contains(|c: char| c.is_control()), "{words:?}");
        words.to_owned()
    }
}

/// A request of HTTP/1.1 from this host.
pub fn request(method: &str, target: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}
