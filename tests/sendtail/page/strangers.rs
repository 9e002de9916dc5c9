//! What pages of other origins try, what lines and names try, and what the page itself never does.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::address;
use super::browser::{Browser, ENTER, ESCAPE};
use crate::support::{Log, Server};

const SECRET: &str = "password=hunter2";

#[test]
fn a_line_and_a_name_are_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::absent();
    let attacks = [
        "<script>document.title = 'owned'</script>",
        "<img src=x onerror=\"document.title='owned'\">",
        "</div></body><svg onload=alert(1)>",
        "\u{202e}<a href=javascript:alert(1)>x</a>",
    ];
    let name = "<img src=x onerror=alert(1)>";
    fs::write(log.beside(name), attacks.join("\n") + "\n").expect("it is ours");
    let server = Server::start(&[log.directory.path()]);
    browser.open(&address(&server, ""));
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_lines(&attacks);
    browser.keys("/");
    browser.keys("<script>");
    browser.wait_for_text("#hits", "1 of 1");
    assert_eq!(browser.text("mark"), "<script>");
    assert_eq!(
        browser.run("return document.querySelectorAll('img, svg, #rows script, #rows a').length"),
        0
    );
    assert_eq!(
        browser.run("return document.title"),
        format!("{name} · sendtail")
    );
    assert_eq!(browser.console(), [""; 0]);
}

/// All that a person can do, and nobody else hears of it.
#[test]
fn it_asks_nobody_else_and_keeps_its_policy() {
    let Some(browser) = Browser::watched() else {
        return;
    };
    let log = Log::new("one\ntwo\nthree\n");
    fs::write(log.beside("other"), "x\n").expect("it is ours");
    let server = Server::start(&[log.directory.path()]);
    // The browser's own first page.
    browser.open("about:blank");
    browser.requests();
    browser.open(&address(&server, ""));
    browser.wait_for_text("#count", "2 files");
    browser.click("#list a");
    browser.wait_for_lines(&["one", "two", "three"]);
    browser.keys("w w");
    browser.keys("f");
    browser.keys("t");
    browser.keys(ENTER);
    browser.wait_for_lines(&["two", "three"]);
    browser.keys("/");
    browser.keys("o");
    browser.wait_for_text("#hits", "1 of 1");
    browser.keys(ESCAPE);
    browser.keys("c?");
    browser.wait_for("document.querySelector('#help').open");
    browser.keys(ESCAPE);
    browser.keys("  gG");
    log.append("at last\n");
    browser.wait_for_lines(&["two", "three", "at last"]);
    let origin = address(&server, "");
    let requests = browser.requests();
    assert!(
        requests
            .iter()
            .filter(|request| request.starts_with(&origin))
            .count()
            >= 6,
        "{requests:?}"
    );
    for request in requests {
        assert!(
            request.starts_with(&origin) || request.starts_with("data:"),
            "{request}"
        );
    }
    assert_eq!(browser.console(), [""; 0]);
    // The policy is there, or the console could say nothing of it.
    browser.run(
        "const script = document.createElement('script');
        script.textContent = 'window.ran = 1';
        document.body.append(script);",
    );
    assert_eq!(browser.run("return window.ran ?? null"), json!(null));
    let console = browser.console();
    assert!(
        console
            .iter()
            .any(|line| line.contains("Content Security Policy")),
        "{console:?}"
    );
}

/// From another site, and from another port of the same host, which browsers take for the same
/// site.
#[test]
fn another_page_gets_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(format!("{SECRET}\n"));
    let server = log.server();
    let target = address(&server, "");
    let port = evil(&target);
    for host in ["localhost", "127.0.0.1"] {
        browser.open(&format!("http://{host}:{port}/"));
        browser.wait_for("window.done");
        let got = browser.run("return got");
        let got = got.as_object().expect("it is a record");
        assert_eq!(got.len(), 8, "{got:?}");
        for (way, what) in got {
            assert_eq!(what, "nothing", "{way} from {host}");
        }
        // The frame is there, and the page is not in it.
        browser.command("frame", json!({"id": 0}));
        let framed = browser.run("return document.documentElement.textContent");
        assert!(!framed.to_string().contains("Search files"), "{framed}");
        browser.command("frame", json!({"id": null}));
        // A form that leads there shows a refusal.
        browser.click("#form button");
        browser.wait_for(&format!("location.href === '{target}log'"));
        let text = browser.text("body");
        assert!(
            !text.contains(SECRET) && text.lines().count() == 1,
            "{text}"
        );
        // A link shows the page, as does one to a file.
        browser.open(&format!("http://{host}:{port}/"));
        browser.click("#link");
        browser.wait_for_text("#phase", "Live");
        browser.wait_for_lines(&[SECRET]);
        assert_eq!(browser.run("return window.opener"), json!(null));
        browser.open(&format!("http://{host}:{port}/"));
        browser.click("#text");
        browser.wait_for(&format!("document.body.innerText.includes('{SECRET}')"));
    }
}

/// A name that its owner has made to lead here (DNS rebinding): to the browser it is one origin.
#[test]
fn another_name_for_this_host_gets_nothing() {
    let rules = "--host-resolver-rules=MAP evil.test 127.0.0.1";
    let Some(browser) = Browser::with(&[rules], false) else {
        return;
    };
    let log = Log::new(format!("{SECRET}\n"));
    let server = log.server();
    let port = server.address().port();
    for path in ["", "log", "-/files"] {
        browser.open(&format!("http://evil.test:{port}/{path}"));
        let text = browser.text("body");
        assert!(text.contains("--host") && !text.contains(SECRET), "{text}");
        let status =
            browser.run("return performance.getEntriesByType('navigation')[0].responseStatus");
        assert_eq!(status, 421, "{path}");
    }
    let log = Log::new(format!("{SECRET}\n"));
    let server = Server::with(&["--host", "evil.test"], &[&log.path]);
    browser.open(&format!("http://evil.test:{}/", server.address().port()));
    browser.wait_for_lines(&[SECRET]);
}

/// A web server of another origin, with a page that tries everything. Gives its port.
fn evil(target: &str) -> u16 {
    let page = EVIL.replace("TARGET", target).replace("SECRET", SECRET);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = listener.local_addr().expect("it listens").port();
    let answer = move |mut stream: TcpStream| {
        let mut head = vec![];
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            head.push(byte[0]);
        }
        let reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{page}",
            page.len()
        );
        let _ = stream.write_all(reply.as_bytes());
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Each way ends with what it has got: `nothing`, where it was refused or cannot be read.
const EVIL: &str = r#"<!doctype html><title>evil</title>
<a id="link" href="TARGET#/log">a link</a> <a id="text" href="TARGETlog">the text</a>
<form id="form" method="post" action="TARGETlog" enctype="text/plain">
<input name="-10" value="x"><button>Send</button></form>
<script>
const got = {};
const late = new Promise(end => setTimeout(end, 3000, 'nothing'));
const text = reply => reply.text();
const within = (way, promise) => Promise.race([promise, late])
    .catch(() => 'nothing').then(what => got[way] = what || 'nothing');
const element = (tag, values, place = document.body) => new Promise(end => {
    const made = Object.assign(document.createElement(tag), values);
    made.onload = () => end(made);
    made.onerror = () => end(null);
    place.append(made);
});
window.onerror = message => { got.script = message; };
Promise.all([
    within('fetch', fetch('TARGETlog').then(text)),
    within('fetch with a header', fetch('TARGET-/files', {headers: {'X-Own': '1'}}).then(text)),
    within('fetch without cors', fetch('TARGETlog', {mode: 'no-cors'}).then(text)),
    within('post', fetch('TARGETlog', {method: 'POST', mode: 'no-cors', body: '-10\n'}).then(text)),
    within('script', element('script', {src: 'TARGETlog'}).then(made => made && 'it ran')),
    within('our script',
        element('script', {src: 'TARGET-/page.js'}).then(made => made && 'it ran')),
    within('style', element('link', {rel: 'stylesheet', href: 'TARGET-/page.css'})
        .then(made => made && 'it applies')),
    element('iframe', {src: 'TARGET'}),
    within('events', new Promise(end => {
        new EventSource('TARGETlog?from=0&follow').onmessage = ({data}) => end(data);
    })),
]).then(() => window.done = true);
</script>"#;
