//! The head of an HTTP request to a request, or "not yet", or why not. Pure.
//!
//! | head so far                                  | parsed as                                |
//! |----------------------------------------------|------------------------------------------|
//! | anything up to its empty line                | not yet                                  |
//! | the same, then FIN                           | `bad request`: half a target is another  |
//! | 8 KiB without an empty line, or 101 fields   | `header too long`                        |
//! | what is no HTTP                              | `bad request`, at the byte that shows it |
//! | `HTTP/2.0`                                   | `version not supported`                  |
//! | POST and whatever else is not GET or HEAD    | `method not allowed`                     |
//! | 1.1 without Host, two of a field read here   | `bad request`                            |
//! | a Host that this server does not go by       | `wrong host`, but for `/-/healthy`       |
//! | from another site's page                     | `cross-site`, but for a link to here     |
//! | the same, and its `Origin` is all that shows | `cross-site`                             |
//! | `/`, `/-/files`, `/-/metrics`, `/-/page.css` | these                                    |
//! | `/NAME`, with `from`, `follow`, `grep`, ...  | a file                                   |
//!
//! What follows the head is not looked at: neither a body nor a second request. So nobody can hide
//! a request in what somebody else's browser sends, and there is no length to disagree about.

use super::words::{self, hex_digit};
use super::{Body, Condition, Form, Http, Parsed, Request, Start, Version, Wanted, Wants};
use crate::bookmark::Bookmark;
use crate::door::Door;
use crate::offset::parse_number;
use crate::page::{self, Asset};
use crate::refusal::Refusal;

use httparse::{EMPTY_HEADER, Error, Header, Status};

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// The longest head in bytes, its empty line included. Browsers send a tenth of it.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// Browsers send twenty or so.
const FIELDS_MAX: usize = 100;

const HEALTHY: &str = "-/healthy";
static HEALTH: Asset = Asset {
    media_type: "text/plain; charset=utf-8",
    bytes: b"ok\n",
};

/// Parses `received`, all that the client has sent so far, which begins with a capital letter;
/// `ended` says that nothing can follow (it sent FIN).
pub fn parse(received: &[u8], ended: bool, door: &Door) -> Parsed {
    let window = &received[..received.len().min(HEAD_BYTES_MAX)];
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let refusal = match head.parse(window) {
        Ok(Status::Complete(_)) => match judge(&head, door) {
            Ok(request) => return Parsed::Request(request),
            Err(refusal) => refusal,
        },
        Ok(Status::Partial) if window.len() == HEAD_BYTES_MAX => Refusal::HeaderTooLong,
        Ok(Status::Partial) if ended => Refusal::BadRequest,
        Ok(Status::Partial) => return Parsed::NotYet,
        Err(Error::TooManyHeaders) => Refusal::HeaderTooLong,
        Err(Error::Version) if names_version(window) => Refusal::VersionNotSupported,
        Err(_) => Refusal::BadRequest,
    };
    Parsed::Refused(refusal)
}

/// The third word of the first line is one of HTTP's, 2.0 for one.
fn names_version(head: &[u8]) -> bool {
    let third = head.splitn(3, |byte| *byte == b' ').nth(2);
    let number = third.and_then(|word| word.strip_prefix(b"HTTP/"));
    number.is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}

fn judge(head: &httparse::Request, door: &Door) -> Result<Request, Refusal> {
    let is_head = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::MethodNotAllowed),
    };
    let version = match head.version {
        Some(0) => Version::V10,
        _ => Version::V11,
    };
    let fields = Fields(head.headers);
    let target = Target::parse(head.path.unwrap_or_default()).ok_or(Refusal::BadRequest)?;
    let host = fields.one("Host")?;
    if host.is_none() && version == Version::V11 {
        return Err(Refusal::BadRequest);
    }
    let authority = target.authority.map(str::as_bytes).or(host);
    let host = match authority {
        Some(authority) => Some(host_of(authority).ok_or(Refusal::BadRequest)?),
        None => None,
    };
    if host.is_some_and(|host| !door.admits(host)) && target.path != HEALTHY {
        return Err(Refusal::WrongHost);
    }
    if is_cross_site(&fields, is_head, host)? {
        return Err(Refusal::CrossSite);
    }
    let (wants, body, is_range) = target.wants(&fields, is_head)?;
    let form = Form::Http(Http {
        version,
        is_head,
        body,
        is_range,
    });
    Ok(Request { wants, form })
}

/// What another site's page makes a browser fetch is no business of that page. A link from there to
/// here is: what it opens stays out of the page's reach.
fn is_cross_site(fields: &Fields, is_head: bool, host: Option<&str>) -> Result<bool, Refusal> {
    let is = |name, word: &str| {
        let value = fields.one(name)?;
        Ok::<_, Refusal>(value.is_some_and(|value| value.eq_ignore_ascii_case(word.as_bytes())))
    };
    let site = fields.one("Sec-Fetch-Site")?;
    let origin = fields.one("Origin")?;
    let is_other_site = is("Sec-Fetch-Site", "cross-site")?;
    let navigates = is("Sec-Fetch-Mode", "navigate")?;
    let to_document = is("Sec-Fetch-Dest", "document")?;
    let is_other_host = site.is_none() && origin.is_some_and(|origin| !is_of_host(origin, host));
    Ok(is_other_host || is_other_site && (is_head || !navigates || !to_document))
}

/// To an address without TLS a browser does not say what site a page is of (Chromium 156: no
/// `Sec-Fetch-*` but to loopback), only its origin, and that where the page could read the reply. A
/// page of this server's own has none to say.
fn is_of_host(origin: &[u8], host: Option<&str>) -> bool {
    let origin = std::str::from_utf8(origin).unwrap_or_default();
    let from = origin
        .split_once("://")
        .and_then(|(_, authority)| host_of(authority.as_bytes()));
    from.zip(host)
        .is_some_and(|(from, host)| from.eq_ignore_ascii_case(host))
}

/// The fields of a head; their names are compared without case.
struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self
            .0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    }

    /// Of two, a proxy before this server could have read the other.
    fn one(&self, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (value, None) => Ok(value),
            _ => Err(Refusal::BadRequest),
        }
    }

    /// Whether events are among what the client takes.
    fn accept_events(&self) -> bool {
        let mut types = self
            .all("Accept")
            .flat_map(|value| value.split(|byte| *byte == b','));
        types.any(|media_type| {
            let mut words = media_type
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii);
            let is_events = words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(b"text/event-stream"));
            is_events && !words.any(is_zero_weight)
        })
    }
}

/// `q=0`: not acceptable (RFC 9110, 12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    match parameter {
        [b'q' | b'Q', b'=', b'0', rest @ ..] => rest.iter().all(|byte| b".0".contains(byte)),
        _ => false,
    }
}

/// `Host`, or the authority of an absolute target, without its port; `None` if it is neither.
fn host_of(authority: &[u8]) -> Option<&str> {
    let authority = std::str::from_utf8(authority).ok()?;
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let is_host = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // `reg-name` (RFC 3986, 3.2.2).
        None => host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)),
    };
    (is_port && is_host).then_some(host)
}

/// What stands between the method and the version, not decoded.
struct Target<'a> {
    /// Of `http://AUTHORITY/PATH`, which counts instead of Host (RFC 9112, 3.2.2).
    authority: Option<&'a str>,
    /// Without its first slash.
    path: &'a str,
    /// The words of the query.
    words: Vec<&'a str>,
}

/// What a target asks for, the form of the reply's body, and whether a range of a file is wanted.
type Asked = (Wants, Body, bool);

impl<'a> Target<'a> {
    fn parse(target: &'a str) -> Option<Target<'a>> {
        let (authority, rest) = match target.starts_with('/') {
            true => (None, target),
            false => {
                let (scheme, rest) = target.split_once("://")?;
                let is_known = ["http", "https"]
                    .iter()
                    .any(|known| scheme.eq_ignore_ascii_case(known));
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                (is_known && !authority.is_empty()).then_some((Some(authority), rest))?
            }
        };
        // A fragment is not for servers: who sends one has not understood what it is.
        if rest.contains('#') {
            return None;
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Some(Target {
            authority,
            path: path.strip_prefix('/').unwrap_or(path),
            words: query.split('&').filter(|word| !word.is_empty()).collect(),
        })
    }

    fn wants(&self, fields: &Fields, is_head: bool) -> Result<Asked, Refusal> {
        let wants = match self.path {
            "" => Wants::Asset(&page::PAGE),
            HEALTHY => Wants::Asset(&HEALTH),
            "-/page.css" => Wants::Asset(&page::STYLE),
            "-/page.js" => Wants::Asset(&page::SCRIPT),
            "-/metrics" => Wants::Metrics,
            "-/files" | "-/files/" => Wants::List(None),
            path => match path.strip_prefix("-/files/") {
                Some(directory) => Wants::List(Some(decode_path(directory)?)),
                // A directory of this name can be asked for as `/./-/`.
                None if path == "-" || path.starts_with("-/") => return Err(Refusal::NoSuchFile),
                None => return self.file(fields, is_head),
            },
        };
        match self.words.is_empty() {
            true => Ok((wants, Body::Bytes, false)),
            false => Err(Refusal::UnknownQuery),
        }
    }

    fn file(&self, fields: &Fields, is_head: bool) -> Result<Asked, Refusal> {
        let path = decode_path(self.path)?;
        let words = Words::parse(&self.words)?;
        let is_events = fields.accept_events();
        let mut start = words.start;
        if is_events {
            start = last_event(fields)?.or(start);
        }
        let mut wanted = Wanted {
            path: Some(path),
            start: start.unwrap_or(Start::Byte(0)),
            once: !words.follow && !is_events,
            until: None,
            conditions: words.conditions,
        };
        let range = match self.words.is_empty() && !is_events && !is_head {
            true => Range::asked(fields)?,
            false => None,
        };
        let is_range = range.is_some();
        if let Some(range) = range {
            (wanted.start, wanted.until) = (range.start, range.until);
        }
        let body = if is_events { Body::Events } else { Body::Bytes };
        Ok((Wants::File(wanted), body, is_range))
    }
}

fn decode_path(encoded: &str) -> Result<PathBuf, Refusal> {
    words::decode_path(encoded.as_bytes()).ok_or(Refusal::BadRequest)
}

/// Where a browser that was cut off has been; an empty one is none.
fn last_event(fields: &Fields) -> Result<Option<Start>, Refusal> {
    match fields.one("Last-Event-ID")? {
        None | Some(b"") => Ok(None),
        Some(place) => {
            let place = Bookmark::parse(place).ok_or(Refusal::BadStart)?;
            Ok(Some(Start::Bookmark(place)))
        }
    }
}

/// What the query of a file says.
#[derive(Default)]
struct Words {
    start: Option<Start>,
    follow: bool,
    conditions: Vec<Condition>,
}

impl Words {
    fn parse(words: &[&str]) -> Result<Words, Refusal> {
        let mut parsed = Words::default();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let value = form_decode(value).ok_or(Refusal::BadRequest)?;
            match name {
                "from" if parsed.start.is_some() => return Err(Refusal::BadStart),
                "from" => parsed.start = Some(start_of(&value).ok_or(Refusal::BadStart)?),
                "follow" if value.is_empty() => parsed.follow = true,
                "grep" | "skip" => {
                    Condition::add(&mut parsed.conditions, value, name == "grep")?;
                }
                _ => return Err(Refusal::UnknownQuery),
            }
        }
        Ok(parsed)
    }
}

fn start_of(word: &[u8]) -> Option<Start> {
    Start::parse(word).or_else(|| Bookmark::parse(word).map(Start::Bookmark))
}

/// A value as forms encode it: `+` is a blank, `%XX` any byte but NUL.
fn form_decode(value: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let [high, low, after @ ..] = rest else {
                    return None;
                };
                rest = after;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            byte => *byte,
        });
    }
    (!decoded.contains(&0)).then_some(decoded)
}

/// One range of a file (RFC 9110, 14). What makes no sense, has another unit or asks for several is
/// to be ignored: the whole file is a right answer too.
struct Range {
    start: Start,
    until: Option<u64>,
}

impl Range {
    /// With `If-Range` the client wants the range of one version, which nothing here can tell.
    fn asked(fields: &Fields) -> Result<Option<Range>, Refusal> {
        let range = fields.one("Range")?.and_then(Range::parse);
        Ok(range.filter(|_| fields.all("If-Range").next().is_none()))
    }

    fn parse(value: &[u8]) -> Option<Range> {
        let (unit, set) = std::str::from_utf8(value).ok()?.split_once('=')?;
        let (first, last) = set.trim_ascii().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let range = |start, until| Some(Range { start, until });
        match (first, last) {
            ("", suffix) => range(Start::LastBytes(offset(suffix)?), None),
            (first, "") => range(Start::Byte(offset(first)?), None),
            (first, last) => {
                let (first, last) = (offset(first)?, offset(last)?);
                (first <= last).then_some(())?;
                range(Start::Byte(first), Some(last + 1))
            }
        }
    }
}

/// Whatever is too large lies beyond the end of every file.
fn offset(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| parse_number(digits.as_bytes()).unwrap_or(i64::MAX as u64))
}

#[cfg(test)]
mod tests;
