//! What was written under one name, whatever files bore it, and what each client got of it: the
//! promise as a check. Rotations, truncations and faults are somebody else's part.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::support::{Client, Server, append, wait_until};

/// A name in a directory, all that was written under it, and the clients that follow it.
pub struct Followed {
    pub path: PathBuf,
    /// How clients ask for it: " log", or nothing where it is the only file.
    asked: String,
    /// What each file said, or one file between two truncations, in the order of the stream.
    generations: Vec<Vec<u8>>,
    pub streams: Vec<Stream>,
    lines: usize,
    renamed: usize,
}

/// A client and what it has got so far.
pub struct Stream {
    pub client: Client,
    pub start: &'static str,
    /// Where it may have begun: while files change there is more than one right place.
    begins: Vec<Place>,
    received: Vec<u8>,
    pub ended: bool,
    /// With a RST.
    pub was_reset: bool,
}

/// A generation, and an offset in it.
type Place = (usize, usize);

/// Whole answers of a server that could not begin a stream.
const REFUSALS: [&str; 3] = [
    "error: try again\n",
    "error: no such file\n",
    "error: file was replaced\n",
];

impl Followed {
    /// Makes the file, with lines that no other file has.
    pub fn new(path: &Path, asked: &str, lines: usize) -> Followed {
        let mut followed = Followed {
            path: path.to_owned(),
            asked: asked.to_owned(),
            generations: vec![],
            streams: vec![],
            lines: 0,
            renamed: 0,
        };
        followed.create(lines);
        followed
    }

    /// From the beginning of the file ("0"), its second line ("+2") or its last two lines ("-2").
    pub fn connect(&mut self, server: &Server, start: &'static str) {
        let begins = (0..self.generations.len()).map(|generation| {
            let offset = match start {
                "0" => 0,
                "+2" => second_line(&self.generations[generation]),
                "-2" => last_two_lines(&self.generations[generation]),
                _ => panic!("no such start here: {start}"),
            };
            (generation, offset)
        });
        self.streams.push(Stream {
            begins: begins.collect(),
            client: server.ask(format!("{start}{}\n", self.asked)),
            start,
            received: vec![],
            ended: false,
            was_reset: false,
        });
    }

    // What writers and rotators do.

    /// More lines at the end of the file that bears the name.
    pub fn append(&mut self, lines: usize) {
        let text = self.next_lines(lines);
        append(&self.path, text.as_bytes());
        self.newest().extend(text.as_bytes());
    }

    /// A new file of the name, where there is none.
    pub fn create(&mut self, lines: usize) {
        let text = self.next_lines(lines);
        let mut file = File::create_new(&self.path).expect("nothing bears the name");
        file.write_all(text.as_bytes()).expect("there is room");
        self.begin(text.into_bytes());
    }

    /// The file becomes the first of the old ones, which move on by one, as logrotate has it; a
    /// logger still has it open.
    pub fn rename(&mut self) {
        let numbered = |number: usize| self.path.with_extension(number.to_string());
        for number in (1..=self.renamed).rev() {
            fs::rename(numbered(number), numbered(number + 1)).expect("it is ours");
        }
        fs::rename(&self.path, numbered(1)).expect("it is ours");
        self.renamed += 1;
    }

    pub fn unlink(&mut self) {
        fs::remove_file(&self.path).expect("it is ours");
    }

    /// A new file in place of the one that bears the name, which then has none.
    pub fn replace(&mut self, lines: usize) {
        let text = self.next_lines(lines);
        let next = self.path.with_extension("next");
        fs::write(&next, &text).expect("the directory is ours");
        fs::rename(next, &self.path).expect("it is ours");
        self.begin(text.into_bytes());
    }

    /// `> file`, as a shell does it.
    pub fn truncate(&mut self) {
        let mut options = OpenOptions::new();
        let file = options.write(true).truncate(true).open(&self.path);
        file.expect("it is there");
        self.begin(vec![]);
    }

    /// A write to a file that has borne the name: of the last generation, or so many before it.
    pub fn write_late(&mut self, mut file: &File, ago: usize) {
        let text = self.next_lines(1);
        file.write_all(text.as_bytes()).expect("there is room");
        let generation = self.generations.len() - 1 - ago;
        self.generations[generation].extend(text.as_bytes());
    }

    /// Opened as loggers do.
    pub fn logger(&self) -> File {
        let file = OpenOptions::new().append(true).open(&self.path);
        file.expect("it is there")
    }

    pub fn newest_text(&self) -> &[u8] {
        self.generations.last().expect("there is one always")
    }

    /// Another generation. A client that has got nothing may as well begin there.
    fn begin(&mut self, text: Vec<u8>) {
        let place = (self.generations.len(), 0);
        self.generations.push(text);
        for stream in &mut self.streams {
            if stream.received.is_empty() && stream.start == "0" {
                stream.begins.push(place);
            }
        }
    }

    fn newest(&mut self) -> &mut Vec<u8> {
        self.generations.last_mut().expect("there is one always")
    }

    fn next_lines(&mut self, count: usize) -> String {
        let from = self.lines;
        self.lines += count;
        let line = |number| format!("line {number} of{}\n", self.asked);
        (from..self.lines).map(line).collect()
    }

    // What the clients got.

    /// Reads what is there, which has to be right. Whether every client has either all that was
    /// written or its end.
    #[track_caller]
    pub fn is_settled(&mut self) -> bool {
        let generations = &self.generations;
        let mut settled = true;
        for stream in &mut self.streams {
            if stream.read() && !stream.is_right(generations) {
                panic!("{}", stream.complaint(generations));
            }
            settled &= stream.ended || stream.is_whole(generations);
        }
        settled
    }

    /// Waits for that. Which clients were cut says `take_cut`.
    #[track_caller]
    pub fn settle(&mut self) {
        wait_until("the clients have everything", || self.is_settled());
    }

    /// Takes out the clients whose streams have ended.
    pub fn take_cut(&mut self) -> Vec<Stream> {
        let streams = std::mem::take(&mut self.streams).into_iter();
        let (cut, going_on) = streams.partition(|stream| stream.ended);
        self.streams = going_on;
        cut
    }

    /// What the last file has and its clients, all of which have the same, have not: it need not
    /// come any more.
    pub fn forget_unsent(&mut self) {
        let streams = self.streams.iter();
        let unsent = streams.map(|stream| stream.missing(&self.generations));
        let unsent = unsent.max().unwrap_or(0);
        let newest = self.newest();
        newest.truncate(newest.len().saturating_sub(unsent));
    }

    /// A byte that means nothing: for the server it is an event, and everything that may have been
    /// missed at this client is looked at.
    pub fn nudge(&self) {
        for stream in &self.streams {
            let _ = (&stream.client.stream).write_all(b"\n");
        }
    }
}

impl Stream {
    /// Takes everything that has come; whether that was anything.
    fn read(&mut self) -> bool {
        let before = self.received.len();
        let mut chunk = [0; 1 << 16];
        let nonblocking = self.client.stream.set_nonblocking(true);
        nonblocking.expect("it is a socket");
        while !self.ended {
            match self.client.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(count) => self.received.extend(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    (self.ended, self.was_reset) = (true, true);
                }
                Err(error) => panic!("{:?}: {error}", self.start),
            }
        }
        self.ended || self.received.len() > before
    }

    /// Not a byte is wrong, too much or out of order.
    fn is_right(&self, generations: &[Vec<u8>]) -> bool {
        // Its end may still be on its way.
        let is_refused = REFUSALS.map(str::as_bytes).contains(&&*self.received);
        let mut texts = self.texts(generations);
        is_refused || texts.any(|text| text.starts_with(&self.received))
    }

    /// Nothing is missing.
    fn is_whole(&self, generations: &[Vec<u8>]) -> bool {
        self.missing(generations) == 0 && self.texts(generations).any(|text| text == self.received)
    }

    /// How many bytes are still to come, at least.
    fn missing(&self, generations: &[Vec<u8>]) -> usize {
        let lengths = self.begins.iter().map(|(generation, offset)| {
            let lengths = generations[*generation..].iter().map(Vec::len);
            lengths.sum::<usize>() - offset
        });
        let missing = lengths.filter_map(|length| length.checked_sub(self.received.len()));
        missing.min().unwrap_or(0)
    }

    /// What it may be about to get, from each place where it may have begun.
    fn texts(&self, generations: &[Vec<u8>]) -> impl Iterator<Item = Vec<u8>> {
        let begins = self.begins.iter();
        begins.map(|(generation, offset)| generations[*generation..].concat().split_off(*offset))
    }

    fn complaint(&self, generations: &[Vec<u8>]) -> String {
        let right = self.texts(generations).map(|text| {
            let mut pairs = text.iter().zip(&self.received);
            let different = pairs.position(|(one, other)| one != other);
            different.unwrap_or(text.len().min(self.received.len()))
        });
        let at = right.max().expect("it may begin somewhere");
        let to = self.received.len().min(at + 60);
        let shown = self.received[at.saturating_sub(60)..to].escape_ascii();
        format!("{:?} got wrong bytes at {at}: {shown}", self.start)
    }
}

fn second_line(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| *byte == b'\n');
    end.map_or(text.len(), |at| at + 1)
}

fn last_two_lines(text: &[u8]) -> usize {
    let ends = text.iter().enumerate().rev();
    let mut ends = ends.filter(|(_, byte)| **byte == b'\n');
    ends.nth(2).map_or(0, |(at, _)| at + 1)
}
