//! Flags, defaults, help.

use crate::door::parse_name;
use crate::error::Escaped;
use crate::hosts::Network;

use clap::{ArgAction, Parser, error::ErrorKind};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The protocol in short, for whoever has only the binary.
const PROTOCOL: &str = "\
A client sends one line, START [PATH] [OPTION...], and receives the file from there and
all that is appended, for as long as it likes:  echo -10 | nc localhost 4321

START is N (from byte N on), -N (the last N lines), -Nc (the last N bytes) or +N (from
line N on). An empty line asks for the last 10 lines. Options behind it: once (end where
the file ends now), grep=TEXT, skip=TEXT. The line ls [DIR] lists the files.

The same port speaks HTTP: http://localhost:4321/ is a page that follows them.";

/// tail -F as a server: follow growing files over raw TCP
#[derive(Parser, Debug)]
#[command(version, after_help = PROTOCOL)]
pub struct Cli {
    /// A file (it need not exist yet), or a directory: all regular files below it
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// TCP port; 0 takes a free one
    #[arg(short, long, value_name = "PORT", default_value_t = 4321)]
    pub port: u16,

    /// IP address, or unix:/path/to.sock; repeatable [default: 127.0.0.1 and ::1]
    #[arg(short, long, value_name = "ADDR")]
    pub bind: Vec<Address>,

    /// Most clients at a time [default: the descriptor limit less 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_clients: Option<u32>,

    /// Most TCP clients of one address at a time [default: no limit of its own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_clients_per_host: Option<u32>,

    /// Address or network whose hosts may connect by TCP; repeatable [default: all]
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<Network>,

    /// Name that HTTP clients may know this server by, beside this machine's own; repeatable
    #[arg(long, value_name = "NAME", value_parser = parse_name, conflicts_with = "no_http")]
    pub host: Vec<String>,

    /// Do without HTTP: no page for browsers, no metrics
    #[arg(long)]
    pub no_http: bool,

    /// Permissions of the unix sockets, octal as in 660 [default: by umask]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub socket_mode: Option<u32>,

    /// Seconds a client has to send its line
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    header_timeout: u32,

    // 32767 s is the kernel's own limit (MAX_TCP_KEEPIDLE, linux/tcp.h).
    /// Seconds of silence before a peer is probed, four times at a quarter of it
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=32767))]
    keepalive: u32,

    /// Seconds of silence after which a rotated file that may still have a writer is left
    #[arg(long, value_name = "SECS", default_value_t = 5)]
    drain_grace: u32,

    /// Most disk space that deleted files may hold for slow clients; K, M, G
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = parse_size)]
    pub max_held: u64,

    /// Do without the sandbox (Landlock) that keeps the process to reading what is served
    #[arg(long)]
    pub no_sandbox: bool,

    /// Say more on stderr; repeatable
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say only errors on stderr
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(IpAddr),
    Unix(PathBuf),
}

impl Address {
    /// Where the server listens when `-b` is not given.
    pub const DEFAULT: [Address; 2] = [
        Address::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Address::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];

    /// As in `0.0.0.0:80`, `[::1]:80`, `unix:/run/s.sock`.
    pub fn with_port(&self, port: u16) -> String {
        match self {
            Address::Ip(ip) => SocketAddr::new(*ip, port).to_string(),
            Address::Unix(path) => format!("unix:{}", Escaped(path)),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("the path of the unix socket is missing"),
            Some(path) => Ok(Address::Unix(path.into())),
            None => text
                .parse()
                .map(Address::Ip)
                .map_err(|_| "neither an IP address nor unix:/path/to.sock"),
        }
    }
}

/// What the command line asks for when it does not ask to serve.
pub enum Instead {
    /// `--help` or `--version`: text for stdout.
    Print(String),
    /// One line for stderr.
    UsageError(String),
}

impl Cli {
    /// Parses the process's arguments.
    pub fn parse_arguments() -> Result<Cli, Instead> {
        let cli = Cli::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Instead::Print(error.to_string()),
            _ => Instead::UsageError(one_line(&error.to_string())),
        })?;
        let is_unix = |address: &Address| matches!(address, Address::Unix(_));
        if cli.socket_mode.is_some() && !cli.bind.iter().any(is_unix) {
            let why = "--socket-mode is of use only with -b unix:/path/to.sock";
            return Err(Instead::UsageError(why.into()));
        }
        Ok(cli)
    }

    /// How long a client may take for its line.
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout.into())
    }

    /// The silence after which a rotated file is left although it may still have a writer.
    pub fn drain_grace(&self) -> Duration {
        Duration::from_secs(self.drain_grace.into())
    }

    /// The silence before a peer is probed.
    pub fn keepalive(&self) -> Duration {
        Duration::from_secs(self.keepalive.into())
    }
}

/// As in `4096`, `64K`, `1G`: powers of 1024, as `tail -c` and `ulimit` have them.
fn parse_size(text: &str) -> Result<u64, &'static str> {
    const WHAT: &str = "not a number of bytes, with K, M or G behind it or not";
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    // u64's own parser takes a plus sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WHAT);
    }
    let number: u64 = digits.parse().map_err(|_| WHAT)?;
    number.checked_mul(1 << shift).ok_or(WHAT)
}

/// Permissions as chmod(1) takes them in octal, without the bits that mean nothing for a socket.
fn parse_mode(text: &str) -> Result<u32, &'static str> {
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or("not permissions in octal, as in 660")
}

/// clap explains itself in paragraphs: the first says what is wrong, those behind it repeat the
/// usage.
fn one_line(message: &str) -> String {
    let wrong = message.split("\n\n").next().unwrap_or(message);
    let wrong = wrong.strip_prefix("error: ").unwrap_or(wrong);
    let line = wrong.split_whitespace().collect::<Vec<_>>().join(" ");
    Escaped(Path::new(&line)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", Some(Address::Ip(Ipv4Addr::LOCALHOST.into()))),
            ("::", Some(Address::Ip(Ipv6Addr::UNSPECIFIED.into()))),
            (
                "unix:/run/s.sock",
                Some(Address::Unix("/run/s.sock".into())),
            ),
            ("unix:s.sock", Some(Address::Unix("s.sock".into()))),
            ("unix:", None),
            ("localhost", None),
            ("127.0.0.1:80", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        for (text, is_name) in [
            ("logs.example.org", true),
            ("logs", true),
            ("xn--bcher-kva.example.", true),
            ("a_b.local", true),
            ("192.0.2.7", true),
            ("", false),
            (".", false),
            ("logs.example:80", false),
            ("http://logs.example", false),
            ("*.example", false),
            ("a b", false),
            ("bücher.example", false),
        ] {
            let parsed = Cli::try_parse_from(["sendtail", "--host", text, "log"]);
            assert_eq!(parsed.is_ok(), is_name, "{text:?}");
        }
        let both = ["sendtail", "--no-http", "--host", "logs", "log"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64K", Some(64 << 10)),
            ("10M", Some(10 << 20)),
            ("1G", Some(1 << 30)),
            ("17179869183G", Some(17_179_869_183 << 30)),
            ("17179869184G", None),
            ("18446744073709551616", None),
            ("", None),
            ("G", None),
            ("1X", None),
            ("1k", None),
            ("+1", None),
            ("-1", None),
            ("1 G", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn modes() {
        for (text, expected) in [
            ("660", Some(0o660)),
            ("0600", Some(0o600)),
            ("0", Some(0)),
            ("777", Some(0o777)),
            ("1777", None),
            ("668", None),
            ("+600", None),
            ("-600", None),
            ("0o600", None),
            ("rw", None),
            ("", None),
        ] {
            assert_eq!(parse_mode(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_usage_error_is_one_line() {
        let missing = Cli::try_parse_from(["sendtail"]).unwrap_err();
        assert_eq!(
            one_line(&missing.to_string()),
            "the following required arguments were not provided: <PATH>..."
        );
        let unknown = Cli::try_parse_from(["sendtail", "--bogus", "f"]).unwrap_err();
        assert_eq!(
            one_line(&unknown.to_string()),
            "unexpected argument '--bogus' found"
        );
    }
}
