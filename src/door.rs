//! Whether HTTP is served, and by which names: what keeps a page from elsewhere out whose name was
//! made to lead here (DNS rebinding).
//!
//! | a host that is asked for                     | is admitted                                 |
//! |----------------------------------------------|---------------------------------------------|
//! | an IP address                                | always: nobody's page has one for a name    |
//! | `localhost`, `x.localhost`, `ip6-localhost`  | always: no name server is asked for these   |
//! | this machine's name, with and without domain | always                                      |
//! | a `--host NAME`                              | yes                                         |
//! | any other                                    | no                                          |

use std::fs;
use std::net::Ipv4Addr;

/// Built once, at the start.
#[derive(Debug, Default)]
pub struct Door {
    is_http: bool,
    /// In lower case, without a dot at the end.
    names: Vec<String>,
}

/// What an `/etc/hosts` has for loopback. None of them is below a domain that anybody could
/// register.
const LOOPBACK: [&str; 4] = [
    "localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
];

impl Door {
    /// `names` beside those that are always admitted.
    pub fn new(is_http: bool, names: Vec<String>) -> Door {
        let names = names.iter().map(|name| plain(name)).collect();
        Door { is_http, names }
    }

    /// `--no-http` was not given.
    pub fn is_http(&self) -> bool {
        self.is_http
    }

    /// `host` is without port; an IPv6 address is in brackets.
    pub fn admits(&self, host: &str) -> bool {
        // What stands in brackets can be nothing else.
        if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
            return true;
        }
        let name = plain(host);
        LOOPBACK.contains(&&*name)
            || name.ends_with(".localhost")
            || (!name.is_empty() && self.names.contains(&name))
    }
}

/// A name as `Host` has it, without its port. What could never be one is refused: an operator would
/// wait for it in vain.
pub fn parse_name(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !plain(text).is_empty() && text.bytes().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("a name alone is wanted, like logs.example.org"),
    }
}

fn plain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// By what names others on its network know this machine, as far as it knows itself. For before
/// the sandbox.
pub fn own_names() -> Vec<String> {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    names_of(&host.to_string_lossy(), &resolver)
}

/// The name, its first label, and that with each domain that the resolver would try
/// (resolv.conf(5)).
fn names_of(host: &str, resolver: &str) -> Vec<String> {
    let label = host.split('.').next().unwrap_or_default();
    if label.is_empty() {
        return vec![];
    }
    let domains = resolver.lines().flat_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_list = matches!(words.next(), Some("domain" | "search"));
        words.filter(move |domain| is_list && !domain.trim_matches('.').is_empty())
    });
    let mut names = vec![host.to_owned(), label.to_owned()];
    names.extend(domains.map(|domain| format!("{label}.{domain}")));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_admitted() {
        let door = Door::new(true, vec!["Logs.example.".into(), String::new()]);
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("a.localhost", true),
            ("a.b.localhost.", true),
            ("ip6-loopback", true),
            ("127.0.0.1", true),
            ("192.0.2.7", true),
            ("[::1]", true),
            ("[2001:db8::7]", true),
            ("logs.example", true),
            ("LOGS.EXAMPLE", true),
            ("logs.example.", true),
            ("", false),
            (".", false),
            ("evil.example", false),
            ("x.logs.example", false),
            ("logs.example.evil", false),
            ("logs.example..", false),
            ("localhost.evil", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil", false),
            ("127.0.0.1.nip.io", false),
            ("127.0.0.256", false),
            ("2130706433", false),
        ] {
            assert_eq!(door.admits(host), expected, "{host:?}");
        }
    }

    #[test]
    fn the_names_of_a_machine() {
        for (host, resolver, expected) in [
            ("web", "", &["web", "web"][..]),
            ("web.example.com", "", &["web.example.com", "web"]),
            (
                "web",
                "# search no\nnameserver 192.0.2.1\nsearch a.example b.example.\ndomain c\n",
                &["web", "web", "web.a.example", "web.b.example.", "web.c"],
            ),
            ("web", "search .\nsearch\n", &["web", "web"]),
            ("", "search a.example\n", &[]),
            (".x", "search a.example\n", &[]),
        ] {
            assert_eq!(names_of(host, resolver), expected, "{host:?}");
        }
    }
}
