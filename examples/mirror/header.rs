//! Pure: the line that asks for a file. A name is given as it is, and percent-encoded for the
//! protocol.

/// From byte `start` on; without a path, of the only file that is served.
pub fn header(start: u64, path: Option<&[u8]>) -> String {
    match path {
        None => format!("{start}\n"),
        Some(path) => format!("{start} {}\n", percent_encoded(path)),
    }
}

/// A blank would end the word, a "=" would make an option of it, a "%" begins a code. What is not
/// printable ASCII is encoded as well: it may stand in a name and not in a header.
fn percent_encoded(path: &[u8]) -> String {
    path.iter().fold(String::new(), |text, byte| match byte {
        b'!'..=b'~' if !b"%=".contains(byte) => text + &char::from(*byte).to_string(),
        _ => text + &format!("%{byte:02X}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        let cases: [(&[u8], &str); 6] = [
            (b"nginx/access.log", "nginx/access.log"),
            (b"a b", "a%20b"),
            (b"100%=all", "100%25%3Dall"),
            (b"new\nline\x7f", "new%0Aline%7F"),
            ("ü".as_bytes(), "%C3%BC"),
            (b"\xff~!", "%FF~!"),
        ];
        for (path, expected) in cases {
            assert_eq!(header(7, Some(path)), format!("7 {expected}\n"));
        }
        assert_eq!(header(0, None), "0\n");
    }
}
