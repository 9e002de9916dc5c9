//! What is in the list, and that each name in it can be asked for as it stands.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{get, ls, names, tree, write};
use crate::support::{Log, Server, wait_until};

#[test]
fn a_line_is_size_time_and_name() {
    let log = Log::new("12345");
    let file = File::options().write(true).open(&log.path);
    let file = file.expect("it has just been made");
    let changed = UNIX_EPOCH + Duration::new(1_795_271_400, 999_999_999);
    file.set_modified(changed).expect("it is ours");
    let expected = "5\t2026-11-21T14:30:00Z\tlog\n";
    let server = Server::start(&[log.directory.path()]);
    let list = ls(&server, "");
    assert_eq!(String::from_utf8_lossy(&list), expected);
    // Blanks and a CR are as good as in any header, and its end stands for the newline.
    for header in ["ls\n", " ls \r\n", "ls"] {
        let mut client = server.ask(header);
        client.half_close();
        client.expect(expected.as_bytes());
        client.expect_end();
    }
}

#[test]
fn http_gives_the_same_list() {
    let directory = tree(&["log", "a/one", "a/b/two"]);
    let server = Server::start(&[directory.path()]);
    for (dir, target) in [
        ("", "/-/files"),
        ("a", "/-/files/a"),
        ("a/b", "/-/files/a/b"),
        ("a", "/-/files/%61"),
        ("log", "/-/files/log"),
    ] {
        let (status, head, body) = get(&server, target);
        assert_eq!(status, 200, "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("\r\ncontent-type: text/plain"), "{head}");
        let length = format!("\r\ncontent-length: {}", body.len());
        assert!(head.contains(&length), "{head}");
        assert_eq!(body, ls(&server, dir), "{target}");
        assert!(!names(&body).is_empty(), "{target}");
    }
    for target in ["/-/files/nothing", "/-/files/..", "/-/files/a/.hidden"] {
        let (status, head, body) = get(&server, target);
        assert_eq!(status, 404, "{head}");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains("no such file"), "{body}");
    }
    let mut client = server.ask("HEAD /-/files HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = String::from_utf8(client.read_to_end()).expect("a head is ASCII");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn names_are_sorted_by_the_bytes_that_they_mean() {
    let files = ["a b", "a-b", "a.b", "a/b", "a/B", "aa", "b", "é", "B", "z"];
    let directory = tree(&files);
    let server = Server::start(&[directory.path()]);
    let mut sorted = files;
    sorted.sort_by_key(|name| name.as_bytes());
    let encoded = sorted.map(|name| name.replace(' ', "%20").replace('é', "%C3%A9"));
    assert_eq!(names(&ls(&server, "")), encoded);
}

/// Whatever bytes a name has: raw and over HTTP, by what the list says.
#[test]
fn each_name_can_be_asked_for_as_it_stands() {
    let directory = tree(&["once", "ls", "-1", "-", "a/once"]);
    let odd: [&[u8]; 12] = [
        b"a blank",
        b"new\nline",
        b"%41",
        b"100%",
        b"\xff\xfe invalid",
        b"tab\tCR\r",
        b"k=v",
        b"grep=x",
        b"what?#&+",
        b"\"quoted\\\"",
        "größer/日本".as_bytes(),
        b"a:b",
    ];
    for name in odd {
        write(&directory.path().join(OsStr::from_bytes(name)));
    }
    let server = Server::start(&[directory.path()]);
    let listed = names(&ls(&server, ""));
    assert_eq!(listed.len(), 5 + odd.len(), "{listed:?}");
    for name in &listed {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
        assert!(name.bytes().all(is_plain), "{name:?}");
        let content = decoded(name.rsplit('/').next().expect("it has a last part"));
        let mut client = server.ask(format!("0 {name}\n"));
        client.expect(&content);
        let (status, head, body) = get(&server, &format!("/{name}"));
        assert_eq!((status, body), (200, content), "{name}: {head}");
        // And it is a list of itself.
        assert_eq!(names(&ls(&server, name)), std::slice::from_ref(name));
    }
}

/// In HTTP `/-/` is not the files'.
#[test]
fn a_directory_named_like_the_servers_own_pages_is_listed_so_that_it_is_found() {
    let directory = tree(&["-/metrics", "x/-/files"]);
    let server = Server::start(&[directory.path()]);
    let listed = names(&ls(&server, ""));
    assert_eq!(listed, ["%2D/metrics", "x/-/files"]);
    for (name, content) in listed.iter().zip(["metrics", "files"]) {
        server.ask(format!("0 {name}\n")).expect(content.as_bytes());
        let (status, head, body) = get(&server, &format!("/{name}"));
        assert_eq!(status, 200, "{name}: {head}");
        assert_eq!(body, content.as_bytes());
    }
}

#[test]
fn only_what_could_be_asked_for_is_listed() {
    let directory = tree(&[
        "log",
        "a/b/deep",
        ".hidden",
        "a/.hidden",
        ".git/config",
        "a/.git/config",
    ]);
    let path = |name: &str| directory.path().join(name);
    let outside = tree(&["secret"]);
    let secret = outside.path().join("secret");
    let up = format!("{}{}", "../".repeat(30), secret.display());
    for (target, link) in [
        ("log", "to-file"),
        ("../log", "a/up"),
        (".hidden", "to-hidden"),
        ("b", "a/to-directory"),
        ("nothing", "dangling"),
        ("loop", "loop"),
        ("..", "a/parent"),
        (&up, "out-by-dots"),
        ("fifo", "to-fifo"),
    ] {
        symlink(target, path(link)).expect("the directory is ours");
    }
    symlink(&secret, path("out")).expect("the directory is ours");
    symlink(outside.path(), path("out-directory")).expect("the directory is ours");
    // The kernel refuses absolute links even if they stay inside.
    symlink(path("log"), path("absolute")).expect("the directory is ours");
    mkfifo(&path("fifo"), Mode::S_IRWXU).expect("the directory is ours");
    let _socket = UnixListener::bind(path("socket")).expect("the directory is ours");
    fs::create_dir(path("empty")).expect("the directory is ours");
    let server = Server::start(&[directory.path()]);
    let listed = names(&ls(&server, ""));
    assert_eq!(listed, ["a/b/deep", "a/up", "log", "to-file", "to-hidden"]);
    for name in listed {
        assert_eq!(get(&server, &format!("/{name}")).0, 200, "{name}");
    }
}

/// Its size and time are those of the file.
#[test]
fn a_link_says_what_its_file_is() {
    let directory = tree(&[]);
    fs::write(directory.path().join("file"), vec![b'x'; 4321]).expect("it is ours");
    symlink("file", directory.path().join("link")).expect("it is ours");
    let server = Server::start(&[directory.path()]);
    let list = String::from_utf8(ls(&server, "")).expect("it is ASCII");
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("4321\t"), "{list}");
    assert_eq!(lines[0].replace("\tfile", "\tlink"), lines[1]);
}

#[test]
fn what_the_server_may_not_read_is_left_out() {
    let directory = tree(&["log", "closed", "shut/x", "dark/y"]);
    let path = |name: &str| directory.path().join(name);
    symlink("closed", path("to-closed")).expect("the directory is ours");
    // 0300: its files could be asked for, but not found.
    for (name, mode) in [("closed", 0o200), ("shut", 0o600), ("dark", 0o300)] {
        fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("it is ours");
    }
    let Some(program) = Server::unprivileged(&[], &[directory.path()]) else {
        return;
    };
    let server = Server::command(program);
    assert_eq!(names(&ls(&server, "")), ["log"]);
    assert_eq!(ls(&server, "shut"), b"");
    server.ask("ls dark\n").expect_error("no such file");
    server.ask("0 dark/y\n").expect(b"y");
}

#[test]
fn one_directory_can_be_asked_for() {
    let directory = tree(&["log", "a/one", "a/b/two", "ab/three", ".hidden/x"]);
    symlink("a", directory.path().join("link")).expect("the directory is ours");
    symlink("/", directory.path().join("out")).expect("the directory is ours");
    let server = Server::start(&[directory.path()]);
    let everything = ["a/b/two", "a/one", "ab/three", "log"];
    for dir in ["", ".", "./"] {
        assert_eq!(names(&ls(&server, dir)), everything, "{dir}");
    }
    // Names stay relative to the whole.
    for dir in ["a", "a/", "./a", "a//", "%61"] {
        assert_eq!(names(&ls(&server, dir)), everything[..2], "{dir}");
    }
    assert_eq!(names(&ls(&server, "a/b")), everything[..1]);
    assert_eq!(names(&ls(&server, "log")), ["log"]);
    // A link is not gone into, unless it is asked for.
    assert_eq!(names(&ls(&server, "link")), ["link/b/two", "link/one"]);
    for dir in [
        "nothing", "..", "a/..", "../a", "/", "/etc", ".hidden", "a/.git", "log/x", "out",
        "out/etc",
    ] {
        server
            .ask(format!("ls {dir}\n"))
            .expect_error("no such file");
    }
    for dir in ["%2", "%00", "a%2fb"] {
        server.ask(format!("ls {dir}\n")).expect_error("bad header");
    }
}

#[test]
fn with_several_paths_names_begin_with_theirs() {
    let directory = tree(&["logs/b", "logs/a/c", "access.log", "elsewhere"]);
    let paths = ["logs", "access.log", "absent"].map(|name| directory.path().join(name));
    let server = Server::start(&paths.each_ref().map(|path| &**path));
    let everything = ["access.log", "logs/a/c", "logs/b"];
    assert_eq!(names(&ls(&server, "")), everything);
    assert_eq!(names(&ls(&server, "logs")), everything[1..]);
    assert_eq!(names(&ls(&server, "logs/a")), ["logs/a/c"]);
    assert_eq!(names(&ls(&server, "access.log")), ["access.log"]);
    for dir in ["absent", "elsewhere", "a", "access.log/x"] {
        server
            .ask(format!("ls {dir}\n"))
            .expect_error("no such file");
    }
    // A file PATH is the operator's, and may be a link.
    symlink("elsewhere", &paths[2]).expect("the directory is ours");
    wait_until("the new name is in the list", || {
        names(&ls(&server, "")) == ["absent", "access.log", "logs/a/c", "logs/b"]
    });
}

#[test]
fn a_server_of_one_file_lists_that_one() {
    let log = Log::absent();
    let server = log.server();
    assert_eq!(ls(&server, ""), b"");
    fs::write(&log.path, "x").expect("the directory is ours");
    fs::write(log.beside("other"), "x").expect("the directory is ours");
    wait_until("it is in the list", || names(&ls(&server, "")) == ["log"]);
    assert_eq!(names(&ls(&server, "log")), ["log"]);
    server.ask("ls other\n").expect_error("no such file");
    server.ask("ls .\n").expect(&ls(&server, ""));
}

/// Somebody who may not read all of it lists the rest; a whole that is gone has nothing in it.
#[test]
fn a_directory_path_that_is_gone_has_no_files() {
    let parent = tree(&["logs/a"]);
    let logs = parent.path().join("logs");
    let server = Server::start(&[&logs]);
    assert_eq!(names(&ls(&server, "")), ["a"]);
    fs::rename(&logs, parent.path().join("away")).expect("it is ours");
    wait_until("the list is empty", || ls(&server, "").is_empty());
    write(&logs.join("b"));
    wait_until("it is there again", || names(&ls(&server, "")) == ["b"]);
}

#[test]
fn there_is_an_end_to_a_list() {
    const MOST: usize = 10_000;
    let directory = tree(&[]);
    for number in 0..MOST {
        let path = directory.path().join(format!("log.{number}"));
        File::create(path).expect("there is room");
    }
    let server = Server::start(&[directory.path()]);
    let listed = names(&ls(&server, ""));
    assert_eq!(listed.len(), MOST);
    assert!(listed.is_sorted());
    let one_more = directory.path().join("a/one-more");
    write(&one_more);
    let refused = b"error: more than 10000 files\n";
    wait_until("there are too many", || ls(&server, "") == refused);
    let (status, head, body) = get(&server, "/-/files");
    assert_eq!(status, 500, "{head}");
    assert_eq!(body, refused);
    // Part of it can still be listed.
    assert_eq!(names(&ls(&server, "a")), ["a/one-more"]);
    fs::remove_file(one_more).expect("it is ours");
    wait_until("there are not any more", || {
        let list = ls(&server, "");
        list != refused && names(&list).len() == MOST
    });
}

fn decoded(name: &str) -> Vec<u8> {
    let mut bytes = name.bytes();
    let mut decoded = vec![];
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("two follow"));
                let digits = std::str::from_utf8(&digits).expect("they are ASCII");
                u8::from_str_radix(digits, 16).expect("they are digits")
            }
            plain => plain,
        });
    }
    decoded
}
