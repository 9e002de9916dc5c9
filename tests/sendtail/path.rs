//! What a path may name, and that nothing else is ever served or even touched.
//!
//! Below a directory PATH: every regular file by its relative name, through links only inside, no
//! dotfiles.

mod fifo;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::support::{Server, append, wait_until};

/// A directory to serve, with a secret beside it.
struct Tree {
    directory: TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree {
            directory: tempfile::tempdir().expect("there is room for tests"),
        };
        std::fs::create_dir_all(tree.served().join("sub/deep")).expect("it is ours");
        std::fs::write(tree.directory.path().join("secret"), "secret\n").expect("it is ours");
        tree
    }

    fn served(&self) -> PathBuf {
        self.directory.path().join("served")
    }

    fn server(&self) -> Server {
        Server::start(&[&self.served()])
    }

    fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.served().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Each file says its own name.
    fn add(&self, name: impl AsRef<[u8]>) {
        let name = name.as_ref();
        std::fs::write(self.path(name), content_of(name)).expect("its directory is there");
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).expect("its directory is there");
    }
}

fn content_of(name: &[u8]) -> Vec<u8> {
    [
        b"this is ",
        name.escape_ascii().to_string().as_bytes(),
        b"\n",
    ]
    .concat()
}

// Names below a directory.

#[rustfmt::skip]
const NAMES: [(&[u8], &[&[u8]]); 12] = [
    (b"log", &[b"log", b"./log", b".//log", b"././/log", b"%6cog", b"%6C%6F%67", b"log/", b"log/."]),
    (b"sub/log", &[b"sub/log", b"./sub/log", b"sub//log", b"sub/./log", b".//sub/.//./log", b"s%75b/log"]),
    (b"sub/deep/er.log", &[b"sub/deep/er.log", b"sub///deep//er.log"]),
    (b"with blank", &[b"with%20blank"]),
    (b"a=b", &[b"a%3Db", b"a%3db"]),
    (b"100%", &[b"100%25"]),
    (b"log%20", &[b"log%2520"]),
    (b"caf\xe9", &[b"caf%E9", b"caf%e9"]),
    (b"\xff\xfe", &[b"%FF%FE"]),
    (b"\xc3\xa9t\xc3\xa9", &[b"\xc3\xa9t\xc3\xa9", b"%C3%A9t%c3%a9", b"\xc3\xa9t%C3%A9"]),
    (b"new\nline\x1b[2J\x7f", &[b"new%0Aline%1B[2J%7F"]),
    (b"!\"#$&'()*+,-:;<>?@[\\]^_`{|}~", &[b"!\"#$&'()*+,-:;<>?@[\\]^_`{|}~"]),
];

#[test]
fn every_file_below_a_directory_has_its_relative_name() {
    let tree = Tree::new();
    let server = tree.server();
    for (name, asked) in NAMES {
        tree.add(name);
        let mut clients = Vec::new();
        for path in asked {
            eprintln!("{}", path.escape_ascii());
            let mut client = server.ask([b"0 ", *path, b"\n"].concat());
            client.expect(&content_of(name));
            clients.push(client);
        }
        append(&tree.path(name), b"more\n");
        for mut client in clients {
            client.expect(b"more\n");
        }
    }
}

#[test]
fn all_that_is_not_served_gets_one_answer() {
    let tree = Tree::new();
    for name in ["log", ".hidden", "sub/.hidden", "unreadable"] {
        tree.add(name);
    }
    std::fs::create_dir(tree.path(".git")).expect("it is ours");
    tree.add(".git/config");
    mkfifo(&tree.path("fifo"), Mode::S_IRWXU).expect("it is ours");
    let _socket = UnixListener::bind(tree.path("socket")).expect("it is ours");
    let server = tree.server();
    let long = "x".repeat(256);
    let deep = "sub/".repeat(1000);
    #[rustfmt::skip]
    let paths = [
        "missing", "sub/missing", "missing/log", "log/log", "log/../log", &long, &deep,
        "sub", "sub/", "sub/deep", "fifo", "socket", "./fifo",
        "..", "../secret", "sub/..", "sub/../log", "sub/../../secret", "./../secret", "../served/log", "%2E%2E/secret",
        ".%2e/secret", "..%20/secret",
        "/log", "//log", "/secret", "/etc/passwd", "/", "/dev/null", "/proc/self/environ",
        ".hidden", "./.hidden", "%2Ehidden", "sub/.hidden", ".git/config", ".git", "...", ".missing",
        "served/log", "-1", "0", "log%20", "log%0A", "log%0D", "LOG", "*", "l?g", "~", "$HOME", "%25",
    ];
    for path in paths {
        eprintln!("{path}");
        server
            .ask(format!("0 {path}\n"))
            .expect_error("no such file");
    }
    for header in ["0\n", "\n", "-10\n", "+1 \r\n"] {
        eprintln!("{}", header.escape_debug());
        server.ask(header).expect_error("path needed");
    }
    server.ask("0 log\n").expect(&content_of(b"log"));
}

#[test]
fn devices_are_not_served() {
    let server = Server::start(&[Path::new("/dev")]);
    for name in ["null", "zero", "random", "tty", "full"] {
        eprintln!("{name}");
        server
            .ask(format!("0 {name}\n"))
            .expect_error("no such file");
    }
}

#[test]
fn links_are_followed_only_inside_the_directory() {
    let tree = Tree::new();
    for name in ["log", "sub/log", ".hidden"] {
        tree.add(name);
    }
    let served = tree.served();
    let inside = [
        ("inside", "log", "log"),
        ("sub/up", "../log", "log"),
        ("down", "sub/log", "sub/log"),
        ("directory", "sub", "directory/log"),
        ("sub/deep/round", "../../sub/deep/../log", "sub/log"),
        ("twice", "inside", "log"),
        // The rule about dots judges the name asked for, not where links lead.
        ("shown", ".hidden", ".hidden"),
    ];
    for (name, target, _) in inside {
        tree.link(target, name);
    }
    tree.link("../secret", "out");
    tree.link("..", "parent");
    tree.link("../served/log", "out-and-in");
    tree.link("out", "out-in-two");
    tree.link(served.join("log"), "absolute");
    tree.link("/etc/passwd", "passwd");
    tree.link("/", "root");
    tree.link("missing", "dangling");
    tree.link("loop", "loop");
    tree.link("/proc/self/fd/0", "magic");
    let server = tree.server();
    for (name, target, content) in inside {
        eprintln!("{name} to {target}");
        let asked = if name == "directory" { content } else { name };
        let content = content.replace("directory", "sub");
        server
            .ask(format!("0 {asked}\n"))
            .expect(&content_of(content.as_bytes()));
    }
    for path in [
        "out",
        "parent",
        "parent/secret",
        "parent/served/log",
        "out-and-in",
        "out-in-two",
        "absolute",
        "passwd",
        "root/etc/passwd",
        "dangling",
        "loop",
        "magic",
    ] {
        eprintln!("{path}");
        server
            .ask(format!("0 {path}\n"))
            .expect_error("no such file");
    }
}

#[test]
fn a_link_that_is_switched_to_outside_leads_nowhere() {
    let tree = Tree::new();
    tree.add("log");
    tree.link("log", "link");
    let server = tree.server();
    let mut follower = server.ask("0 link\n");
    follower.expect(&content_of(b"log"));
    tree.link("../secret", "next");
    std::fs::rename(tree.path("next"), tree.path("link")).expect("it is ours");
    // While somebody follows the name, newcomers may begin where that client is, and nowhere else.
    let mut newcomer = server.ask("0 link\n");
    server.wait_for_request(&newcomer);
    append(&tree.path("log"), b"more\n");
    follower.expect(b"more\n");
    newcomer.expect(&[&content_of(b"log")[..], b"more\n"].concat());
    follower.reset();
    newcomer.reset();
    wait_until("nobody follows it", || server.watches() == 0);
    server.ask("0 link\n").expect_error("no such file");
}

#[test]
fn a_file_that_may_not_be_read_is_not_served() {
    let tree = Tree::new();
    tree.add("log");
    tree.add("private");
    std::fs::create_dir(tree.path("closed")).expect("it is ours");
    tree.add("closed/log");
    for name in ["private", "closed"] {
        std::fs::set_permissions(tree.path(name), Permissions::from_mode(0o000))
            .expect("it is ours");
    }
    let Some(command) = Server::unprivileged(&[], &[&tree.served()]) else {
        return;
    };
    let server = Server::command(command);
    for path in ["private", "closed/log", "closed"] {
        server
            .ask(format!("0 {path}\n"))
            .expect_error("no such file");
    }
    server.ask("0 log\n").expect(&content_of(b"log"));
    let open = Permissions::from_mode(0o700);
    std::fs::set_permissions(tree.path("closed"), open).expect("it is ours");
}

// Several PATHs.

#[test]
fn several_paths_go_by_their_last_components() {
    let tree = Tree::new();
    for name in ["access.log", "sub/error.log"] {
        tree.add(name);
    }
    let odd = tree.path("odd\nname =%\u{e9}");
    std::fs::write(&odd, "odd\n").expect("it is ours");
    let server = Server::start(&[&tree.path("access.log"), &tree.path("sub/"), &odd]);
    for (path, name) in [
        ("access.log", "access.log"),
        ("./access.log", "access.log"),
        ("sub/error.log", "sub/error.log"),
        ("sub//./error.log", "sub/error.log"),
    ] {
        eprintln!("{path}");
        server
            .ask(format!("0 {path}\n"))
            .expect(&content_of(name.as_bytes()));
    }
    server.ask("0 odd%0Aname%20%3D%25\u{e9}\n").expect(b"odd\n");
    for path in [
        "error.log",
        "sub",
        "sub/",
        "sub/access.log",
        "access.log/sub",
        "access",
        "served/access.log",
        "sub/missing",
        "sub/../access.log",
        "subs/error.log",
        "su/error.log",
        "odd",
        "../access.log",
    ] {
        eprintln!("{path}");
        server
            .ask(format!("0 {path}\n"))
            .expect_error("no such file");
    }
    server.ask("0\n").expect_error("path needed");
}

#[test]
fn a_directory_path_may_be_a_link_or_lie_under_dots() {
    let tree = Tree::new();
    tree.add("log");
    let hidden = tree.directory.path().join(".hidden");
    symlink("served", &hidden).expect("it is ours");
    for path in [&hidden, &hidden.join(""), &tree.served().join(".")] {
        eprintln!("{}", path.display());
        let server = Server::start(&[path]);
        server.ask("0 log\n").expect(&content_of(b"log"));
        server.ask("0 ../secret\n").expect_error("no such file");
        server.ask("0 sub\n").expect_error("no such file");
    }
}

// What clients send ends up in the log.

/// The client is not told, and the operator is.
#[test]
fn the_log_says_why_there_is_no_such_file() {
    let tree = Tree::new();
    tree.add("log");
    tree.link("/etc/passwd", "outside");
    let server = tree.server();
    for (asked, why) in [
        ("missing", "No such file or directory"),
        ("/etc/passwd", "is absolute"),
        ("../log", "leads up"),
        (".log", "begins with a dot"),
        (".", "is a directory"),
        ("outside", "leads out of its directory"),
        ("log/x", "Not a directory"),
    ] {
        let mut client = server.ask(format!("0 {asked}\n"));
        client.expect_error("no such file");
        server.wait_for_log(&format!("no such file: {asked}: {why}"));
    }
}

#[test]
fn nothing_a_client_sends_reaches_the_log_unescaped() {
    let tree = Tree::new();
    let nasty = b"a\nsendtail: error: forged\x1b[31m\x07\xc2\x9b2J\xc2\x85\xff\r\x7f";
    tree.add(nasty);
    let server = tree.server();
    let encoded: String = nasty.iter().map(|byte| format!("%{byte:02X}")).collect();
    let mut client = server.ask(format!("0 {encoded}\n"));
    client.expect(&content_of(nasty));
    server.wait_for_request(&client);
    server
        .ask(format!("0 {encoded}x\n"))
        .expect_error("no such file");
    server
        .ask([&nasty[..], b"\n"].concat())
        .expect_error("bad start");
    // A raw newline would end the header, and a blank the path.
    let raw = &nasty[nasty.len() - 16..];
    server
        .ask([b"0 ", raw, b"\n"].concat())
        .expect_error("bad header");
    server
        .ask([b"0 log =", raw, b"\n"].concat())
        .expect_error("unknown option");
    client.reset();
    wait_until("all are closed", || {
        server.log().matches(" closed: ").count() == 5
    });
    let log = server.log();
    for line in log.trim_end().split('\n') {
        assert!(line.starts_with("sendtail: "), "forged: {line:?}");
        let raw = |letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER;
        assert!(!line.contains(raw), "not escaped: {line:?}");
    }
    assert!(!log.contains("\nsendtail: error: forged"));
}
