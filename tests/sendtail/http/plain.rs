//! Files as they are now: whole, in ranges, and as programs fetch and resume them.

use super::programs::run;
use super::wire::{TEXT, Web, request};
use crate::support::{Log, Server, can_run, has_program, numbered_lines};

#[test]
fn whole_files() {
    let log = Log::absent();
    let large = numbered_lines(300_000);
    let files = [
        ("log", "one\ntwo\n"),
        ("empty", ""),
        ("unterminated", "one"),
        ("a b=%", "odd\n"),
        ("d\u{e9}j\u{e0}", "UTF-8\n"),
        ("large", &large),
    ];
    for (name, content) in files {
        std::fs::write(log.beside(name), content).expect("the directory is ours");
    }
    let server = Server::start(&[log.directory.path()]);
    let directory = log.directory.path().file_name().expect("it has a name");
    let names = [
        "log",
        "empty",
        "unterminated",
        "a%20b=%25",
        "d%C3%A9j\u{e0}",
        "large",
    ];
    for ((_, content), name) in files.iter().zip(names) {
        for line in [
            format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /./{name} HTTP/1.0\r\n\r\n"),
            format!("GET http://localhost/{name} HTTP/1.1\nHost: localhost\n\n"),
        ] {
            let (head, body) = Web::ask(&server, &line).reply();
            assert_eq!(head.status, 200, "{line} in {directory:?}");
            let length = content.len().to_string();
            head.expect(&[
                ("Content-Type", Some(TEXT)),
                ("Content-Length", Some(&length)),
                ("Content-Range", None),
                ("X-Accel-Buffering", None),
                ("Transfer-Encoding", None),
            ]);
            assert!(head.place().contains(".0."), "{head:#?}");
            assert!(body == content.as_bytes(), "{name}: other bytes");
        }
    }
}

/// The length is that of the moment of asking, whatever comes then.
#[test]
fn a_file_that_grows_meanwhile() {
    let content = numbered_lines(1_000_000);
    let log = Log::new(&content);
    let server = log.server();
    let mut web = Web::get(&server, "/log");
    let head = web.head();
    server.sent_until_full();
    log.append("more\n");
    server.look();
    assert_eq!(head.length(), Some(content.len()));
    assert!(web.rest() == content.as_bytes(), "other bytes");
}

#[test]
fn ranges() {
    let log = Log::new("0123456789");
    let server = log.server();
    for (range, expected, said) in [
        ("bytes=0-0", "0", "0-0"),
        ("bytes=2-5", "2345", "2-5"),
        ("bytes=2-", "23456789", "2-9"),
        ("bytes=2-100", "23456789", "2-9"),
        ("bytes=9-9", "9", "9-9"),
        ("bytes=-3", "789", "7-9"),
        ("bytes=-10", "0123456789", "0-9"),
        ("bytes=-100", "0123456789", "0-9"),
        ("bytes=0-99999999999999999999", "0123456789", "0-9"),
    ] {
        let field = format!("Range: {range}");
        let (head, body) = Web::get_with(&server, "/log", &[&field]).reply();
        assert_eq!(head.status, 206, "{range}");
        let said = format!("bytes {said}/10");
        head.expect(&[("Content-Range", Some(&said)), ("Content-Type", Some(TEXT))]);
        assert_eq!(body.escape_ascii().to_string(), expected, "{range}");
        assert_eq!(head.length(), Some(expected.len()));
    }
    for range in [
        "bytes=10-",
        "bytes=10-12",
        "bytes=-0",
        "bytes=99999999999999999999-",
    ] {
        let field = format!("Range: {range}");
        let mut web = Web::get_with(&server, "/log", &[&field]);
        let head = web.head();
        assert_eq!(head.status, 416, "{range}");
        head.expect(&[("Content-Range", Some("bytes */10"))]);
        assert!(web.body(&head).starts_with(b"error: "));
    }
    // What makes no sense, and what only one who knows the version could want.
    for fields in [
        &["Range: bytes=5-2"][..],
        &["Range: bytes=0-1,4-5"],
        &["Range: lines=0-1"],
        &["Range: bytes=x"],
        &["Range: bytes=2-5", "If-Range: \"etag\""],
    ] {
        let (head, body) = Web::get_with(&server, "/log", fields).reply();
        assert_eq!(
            (head.status, &*body),
            (200, &b"0123456789"[..]),
            "{fields:?}"
        );
    }
    let head = Web::ask(&server, request("HEAD", "/log", &["Range: bytes=2-5"])).head();
    assert_eq!((head.status, head.length()), (200, Some(10)));
    let (head, body) = Web::get_with(&server, "/log?from=5", &["Range: bytes=2-5"]).reply();
    assert_eq!((head.status, &*body), (200, &b"56789"[..]));
}

#[test]
fn ranges_of_nothing() {
    let log = Log::new("");
    let server = log.server();
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        let field = format!("Range: {range}");
        let head = Web::get_with(&server, "/log", &[&field]).head();
        assert_eq!(head.status, 416, "{range}");
        head.expect(&[("Content-Range", Some("bytes */0"))]);
    }
}

/// The head of a HEAD is that of the GET, and there is no body.
#[test]
fn head_is_gets_head() {
    let log = Log::new(numbered_lines(1000));
    let server = Server::start(&[log.directory.path()]);
    for (target, accept) in [
        ("/log", "*/*"),
        ("/log?from=-10", "*/*"),
        ("/log?from=%2B990", "*/*"),
        ("/log?from=99999999", "*/*"),
        ("/log?from=-10&follow", "*/*"),
        ("/log?grep=9", "*/*"),
        ("/log?from=-10&follow&grep=9", "*/*"),
        ("/log?from=-10", "text/event-stream"),
        ("/", "*/*"),
        ("/-/page.css", "*/*"),
        ("/-/page.js", "*/*"),
        ("/-/files", "*/*"),
        ("/-/files/absent", "*/*"),
        ("/-/healthy", "*/*"),
        ("/absent", "*/*"),
        ("/log?what", "*/*"),
        ("/log?from=0000000000000000.5.00000000", "*/*"),
    ] {
        for version in ["1.0", "1.1"] {
            let ask = |method| {
                let fields = format!("Host: localhost\r\nAccept: {accept}\r\n");
                Web::ask(
                    &server,
                    format!("{method} {target} HTTP/{version}\r\n{fields}\r\n"),
                )
            };
            let (mut by_head, mut by_get) = (ask("HEAD"), ask("GET"));
            let (head, expected) = (by_head.head(), by_get.head());
            assert_eq!(head.status, expected.status, "{target}");
            assert_eq!(head.without_date(), expected.without_date(), "{target}");
            assert_eq!(by_head.rest().escape_ascii().to_string(), "", "{target}");
        }
    }
    // What they count differs from one request to the next.
    let mut metrics = Web::ask(&server, request("HEAD", "/-/metrics", &[]));
    assert_eq!(metrics.head().status, 200);
    assert_eq!(metrics.rest(), b"");
    for refused in [
        "HEAD /log HTTP/3.0\r\n\r\n",
        "HEAD /x HTTP/1.1\r\n\r\n",
        "HEAD x\r\n",
    ] {
        let mut web = Web::ask(&server, refused);
        assert!(web.head().status >= 400);
        assert_eq!(web.rest().escape_ascii().to_string(), "", "{refused}");
    }
}

#[test]
fn curl_fetches_and_resumes() {
    if !has_program("curl") {
        return;
    }
    let content = numbered_lines(200_000);
    let log = Log::new(&content);
    let server = log.server();
    let fetched = |script| run(&server, script).ok();
    assert!(fetched("curl -sSf $URL/log") == content);
    assert!(fetched("curl -sSf --http1.0 $URL/log") == content);
    assert!(fetched("curl -sSf --compressed $URL/log") == content);
    assert_eq!(fetched("curl -sSf -r 5-9 $URL/log"), content[5..10]);
    assert_eq!(
        fetched("curl -sSf -r -9 $URL/log"),
        content[content.len() - 9..]
    );
    let resumed = "curl -sSf -r 0-99999 -o f $URL/log && curl -sSf -C - -o f $URL/log && cat f";
    assert!(fetched(resumed) == content);
    // A proxy's form of a target.
    assert!(fetched("curl -sSf --noproxy '' -x $URL http://localhost/log") == content);
    // "Expect: 100-continue" and a body.
    let with_body = "head -c 2000000 /dev/zero | curl -sSf -X GET -T - $URL/log";
    assert!(fetched(with_body) == content);
}

#[test]
fn wget_fetches_and_resumes() {
    if !has_program("wget") {
        return;
    }
    let content = numbered_lines(200_000);
    let log = Log::new(&content);
    let server = log.server();
    assert!(run(&server, "wget -q -O - $URL/log").ok() == content);
    std::fs::write(log.beside("half"), &content[..1_000_000]).expect("it is ours");
    let half = log.beside("half");
    let resumed = format!(
        "cp {} log && wget -q -c $URL/log && cat log",
        half.display()
    );
    assert!(run(&server, &resumed).ok() == content);
    // It has all of it already, which wget learns from a 416.
    let whole = format!(
        "cp {} log && wget -nv -c $URL/log; cat log",
        log.path.display()
    );
    assert!(run(&server, &whole).ok() == content);
}

#[test]
fn python_fetches() {
    if !has_program("python3") {
        return;
    }
    let content = numbered_lines(200_000);
    let log = Log::new(&content);
    let server = log.server();
    let python = |lines: &str| run(&server, &format!("python3 -c '{lines}'")).ok();
    let urllib = "
import os, sys, urllib.request
with urllib.request.urlopen(os.environ[\"URL\"] + \"/log\") as reply:
    sys.stdout.buffer.write(reply.read())";
    assert!(python(urllib) == content);
    let refused = "
import os, urllib.request, urllib.error
try: urllib.request.urlopen(os.environ[\"URL\"] + \"/absent\")
except urllib.error.HTTPError as error: print(error.code, error.reason, error.read().decode())";
    assert_eq!(python(refused), "404 Not Found error: no such file\n\n");
    if !can_run(&["python3", "-c", "import requests"]) {
        return;
    }
    let requests = "
import os, sys, requests
url = os.environ[\"URL\"] + \"/log\"
part = requests.get(url, headers={\"Range\": \"bytes=0-99\"})
assert part.status_code == 206, part
rest = requests.get(url, params={\"from\": 100})
rest.raise_for_status()
sys.stdout.buffer.write(part.content + rest.content)";
    assert!(python(requests) == content);
}

#[test]
fn node_fetches() {
    if !has_program("node") {
        return;
    }
    let content = numbered_lines(200_000);
    let log = Log::new(&content);
    let server = log.server();
    let script = r#"node --input-type=module -e '
        const url = process.env.URL + "/log";
        const part = await fetch(url, { headers: { range: "bytes=0-99" } });
        const rest = await fetch(url + "?from=100");
        if (part.status != 206 || !rest.ok) throw [part.status, rest.status];
        process.stdout.write(await part.text() + await rest.text());'"#;
    assert!(run(&server, script).ok() == content);
}
