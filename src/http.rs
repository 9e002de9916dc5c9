//! The bytes of HTTP replies: heads, refusals, what stands around chunks. Pure.
//!
//! | reply                             | length           | beside what all have             |
//! |-----------------------------------|------------------|----------------------------------|
//! | a file, a list, the page          | `Content-Length` | a file: `Sendtail-Place`         |
//! | a range of a file                 | `Content-Length` | 206, `Content-Range`             |
//! | bytes that follow, to HTTP/1.1    | chunks           | `Trailer`, `X-Accel-Buffering`   |
//! | the same to HTTP/1.0, and events  | ends with it     | `X-Accel-Buffering`              |
//! | what a filter lets through        | chunks           |                                  |
//! | a refusal                         | `Content-Length` | its status; 405 and 416 say more |
//!
//! Each says HTTP/1.1, whatever was asked in: that is this server's version (RFC 9110, 2.5). What
//! 1.0 does not know, chunks and trailers, whoever describes the reply leaves out.

use crate::bookmark::Bookmark;
use crate::refusal::Refusal;

use httpdate::HttpDate;

use std::io::Write;
use std::time::SystemTime;

/// What a reply's head says. To HEAD it says the same as to GET.
#[derive(Debug, Default)]
pub struct Head {
    pub media_type: &'static str,
    /// Of the body, if it is known.
    pub length: Option<u64>,
    /// The body is this part of a file: 206.
    pub range: Option<ContentRange>,
    /// Of the first byte of the body.
    pub place: Option<Bookmark>,
    /// It goes on as the file does: no proxy may wait for more of it.
    pub is_stream: bool,
    /// Its length is said piece by piece, and its end by the last of them.
    pub is_chunked: bool,
}

/// `Content-Range`: `last` counts, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    pub first: u64,
    pub last: u64,
    pub length: u64,
}

/// Files, lists, refusals. Whether a file is UTF-8 is for its writer to say; most are.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Server-sent events.
pub const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Behind the last byte of a body in chunks: it has ended in order, and there is nothing to say.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Behind the bytes of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// In every head. One request a connection; nothing may be kept, taken for something else, shown
/// within another site's page, or fetch anything from elsewhere.
const ALWAYS: &str = "\
Connection: close\r
Cache-Control: no-store\r
X-Content-Type-Options: nosniff\r
Cross-Origin-Resource-Policy: same-origin\r
Referrer-Policy: no-referrer\r
Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r
";

impl Head {
    /// Appends it to `out`.
    pub fn write(&self, now: SystemTime, out: &mut Vec<u8>) {
        let status = if self.range.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        begin(status, self.media_type, now, out);
        if let Some(length) = self.length {
            field(out, format_args!("Content-Length: {length}"));
        }
        if let Some(ContentRange {
            first,
            last,
            length,
        }) = self.range
        {
            field(
                out,
                format_args!("Content-Range: bytes {first}-{last}/{length}"),
            );
        }
        if let Some(place) = self.place {
            field(out, format_args!("Sendtail-Place: {place}"));
        }
        if self.is_stream {
            field(out, format_args!("X-Accel-Buffering: no"));
        }
        if self.is_chunked {
            field(out, format_args!("Transfer-Encoding: chunked"));
        }
        if self.is_chunked && self.is_stream {
            field(out, format_args!("Trailer: Sendtail-End"));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The whole reply for a request that is not granted. `is_head`: what was asked for is a head.
pub fn refuse(refusal: Refusal, is_head: bool, now: SystemTime, out: &mut Vec<u8>) {
    let body = format!("error: {refusal}\n");
    begin(status(refusal), TEXT, now, out);
    field(out, format_args!("Content-Length: {}", body.len()));
    match refusal {
        Refusal::MethodNotAllowed => field(out, format_args!("Allow: GET, HEAD")),
        Refusal::NotSatisfiable { length } => {
            field(out, format_args!("Content-Range: bytes */{length}"));
        }
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Before the bytes of a chunk. There is none of no bytes: that is the last one.
pub fn size_line(bytes: u64, out: &mut Vec<u8>) {
    debug_assert_ne!(bytes, 0);
    field(out, format_args!("{bytes:x}"));
}

/// The last chunk of a stream, and why it ends.
pub fn last_chunk_with(words: &str, out: &mut Vec<u8>) {
    field(out, format_args!("0\r\nSendtail-End: {words}"));
    out.extend_from_slice(b"\r\n");
}

fn begin(status: &str, media_type: &str, now: SystemTime, out: &mut Vec<u8>) {
    let date = HttpDate::from(now);
    field(out, format_args!("HTTP/1.1 {status}\r\nDate: {date}"));
    out.extend_from_slice(ALWAYS.as_bytes());
    field(out, format_args!("Content-Type: {media_type}"));
}

fn field(out: &mut Vec<u8>, line: std::fmt::Arguments) {
    // A vector takes everything.
    let _ = write!(out, "{line}\r\n");
}

fn status(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BadRequest
        | Refusal::BadStart
        | Refusal::BadHeader
        | Refusal::UnknownOption
        | Refusal::UnknownQuery
        | Refusal::EmptyText
        | Refusal::TooManyTexts => "400 Bad Request",
        Refusal::CrossSite => "403 Forbidden",
        Refusal::NoSuchFile | Refusal::PathNeeded => "404 Not Found",
        Refusal::MethodNotAllowed => "405 Method Not Allowed",
        Refusal::NoHeader { .. } => "408 Request Timeout",
        Refusal::FileWasReplaced | Refusal::PlaceIsGone => "410 Gone",
        Refusal::NotSatisfiable { .. } => "416 Range Not Satisfiable",
        Refusal::WrongHost => "421 Misdirected Request",
        Refusal::HeaderTooLong => "431 Request Header Fields Too Large",
        Refusal::MoreFiles => "500 Internal Server Error",
        Refusal::TryAgain
        | Refusal::TooManyClients
        | Refusal::TooManyOfHost
        | Refusal::TooManyFiles
        | Refusal::ShuttingDown => "503 Service Unavailable",
        Refusal::VersionNotSupported => "505 HTTP Version Not Supported",
    }
}

#[cfg(test)]
mod tests;
