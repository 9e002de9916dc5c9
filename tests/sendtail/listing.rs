//! The list of what could be asked for: the same to `ls` and to `/-/files`, complete and in order,
//! never with anything from outside; and nobody waits for it.

mod rules; // what is in it
mod walks; // how it is made: once for all, in slices, and not led astray

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Client, Server};

/// A directory with these files, each with its own name as its content.
fn tree(files: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room for tests");
    for file in files {
        write(&directory.path().join(file));
    }
    directory
}

fn write(path: &Path) {
    let parent = path.parent().expect("it is in a directory");
    fs::create_dir_all(parent).expect("the directory is ours");
    let name = path.file_name().expect("it has one");
    fs::write(path, name.as_encoded_bytes()).expect("the directory is ours");
}

/// What `ls DIR` answers; "" for no DIR.
fn ls(server: &Server, dir: &str) -> Vec<u8> {
    let mut client = server.ask(format!("ls {dir}\n"));
    client.read_to_end()
}

/// The names in a list, in its order. Each line is checked to be one.
fn names(list: &[u8]) -> Vec<String> {
    let list = std::str::from_utf8(list).expect("it is ASCII");
    assert!(list.is_empty() || list.ends_with('\n'), "{list:?}");
    let name = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [size, time, name] = fields[..] else {
            panic!("not three fields: {line:?}")
        };
        assert!(size.parse::<u64>().is_ok(), "{line:?}");
        assert!(is_time(time), "{line:?}");
        name.to_owned()
    };
    list.lines().map(name).collect()
}

/// RFC 3339 in UTC with seconds.
fn is_time(text: &str) -> bool {
    let same = |(is, pattern): (u8, u8)| match pattern {
        b'0' => is.is_ascii_digit(),
        other => is == other,
    };
    let pattern = b"0000-00-00T00:00:00Z";
    text.len() == pattern.len() && text.bytes().zip(*pattern).all(same)
}

/// Status, head and body of an answer.
fn get(server: &Server, target: &str) -> (u16, String, Vec<u8>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut client: Client = server.ask(request);
    let answer = client.read_to_end();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&answer)));
    let head = std::str::from_utf8(&answer[..end]).expect("a head is ASCII");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {head}"));
    (status, head.to_owned(), answer[end + 4..].to_vec())
}
