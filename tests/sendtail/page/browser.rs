//! A headless Chromium of a test's own, driven by chromedriver over the WebDriver protocol.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Alone, Helper, has_program, wait_until};

/// How long one command may take: the first starts the browser.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Keys without a character, as WebDriver writes them.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const END: &str = "\u{e010}";

/// One window. It ends with the test, as does its profile.
pub struct Browser {
    port: u16,
    session: String,
    _driver: Helper,
    _profile: TempDir,
    // The last to go.
    alone: Option<Alone>,
}

impl Browser {
    /// With a window that shows about a hundred lines; nothing where there is no Chromium: skipped.
    pub fn start() -> Option<Browser> {
        Browser::with(&[], false)
    }

    /// The same, and `requests` knows what it asks for. That costs more than what a page does with
    /// an event.
    pub fn watched() -> Option<Browser> {
        Browser::with(&[], true)
    }

    /// With more flags for Chromium.
    pub fn with(flags: &[&str], is_watched: bool) -> Option<Browser> {
        if !["chromium", "chromedriver"]
            .map(has_program)
            .iter()
            .all(|has| *has)
        {
            return None;
        }
        let alone = Alone::wait();
        let profile = tempfile::tempdir().expect("there is room for tests");
        let said = profile.path().join("said");
        let output = fs::File::create(&said).expect("the directory is ours");
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path());
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        let driver = Helper::start(&mut command);
        let mut port = None;
        wait_until("chromedriver listens", || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            let digits = said
                .split_once("successfully on port ")
                .map(|(_, rest)| rest);
            port = digits.and_then(|digits| digits.split('.').next()?.parse().ok());
            port.is_some()
        });
        let mut browser = Browser {
            port: port.expect("it has just been read"),
            session: String::new(),
            _driver: driver,
            _profile: profile,
            alone: Some(alone),
        };
        let data = browser._profile.path().join("data");
        let data = format!("--user-data-dir={}", data.display());
        #[rustfmt::skip]
        let mut arguments = vec![
            // Root has no sandbox. At a pipe it ends with its driver, whatever happens.
            "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu",
            "--disable-background-networking", "--no-first-run", "--window-size=1280,2000",
            &data,
        ];
        arguments.extend(flags);
        let mut logs = json!({"browser": "ALL"});
        if is_watched {
            logs["performance"] = "ALL".into();
        }
        let session = browser.post(
            "session",
            json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": logs,
            }}}),
        );
        let id = session["sessionId"].as_str().expect("a session has one");
        browser.session = format!("session/{id}");
        Some(browser)
    }

    /// It will do nothing for a while, and need not be alone any more.
    pub fn let_others_go_on(&mut self) {
        self.alone = None;
    }

    pub fn open(&self, address: &str) {
        self.command("url", json!({"url": address}));
    }

    /// What a script gives; it may read and do whatever the page's own could.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({"script": script, "args": []}))
    }

    /// Waits until it is true.
    pub fn wait_for(&self, condition: &str) {
        self.wait_until(condition, || {
            self.run(&format!("return !!({condition})")) == true
        });
    }

    /// Waits for it, and says what is on the screen where it does not come.
    fn wait_until(&self, awaited: &str, mut holds: impl FnMut() -> bool) {
        let start = std::time::Instant::now();
        while !holds() {
            let text = || self.run("return document.body.innerText");
            assert!(
                start.elapsed() < TIMEOUT,
                "never came: {awaited}; it shows {}",
                text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the first element that matches says so.
    pub fn wait_for_text(&self, selector: &str, text: &str) {
        let condition = format!(
            "document.querySelector({selector:?})?.textContent === {}",
            json!(text)
        );
        self.wait_for(&condition);
    }

    pub fn text(&self, selector: &str) -> String {
        let text = self.run(&format!(
            "return document.querySelector({selector:?}).textContent"
        ));
        text.as_str().expect("it is text").to_owned()
    }

    /// Every line that is an element, marks among them.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.run(
            "return [...document.querySelectorAll('#rows > div')].map(row => row.textContent)",
        );
        let lines = lines.as_array().expect("it is a list").iter();
        lines
            .map(|line| line.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub fn wait_for_lines(&self, expected: &[&str]) {
        self.wait_until(&format!("{expected:?}"), || self.lines() == expected);
    }

    /// Waits until this is the last line near the screen.
    pub fn wait_for_last(&self, line: &str) {
        let last = "document.querySelector('#rows').lastChild?.textContent";
        self.wait_for(&format!("{last} === {}", json!(line)));
    }

    /// A real click, as of a mouse.
    pub fn click(&self, selector: &str) {
        let found = self.command(
            "element",
            json!({"using": "css selector", "value": selector}),
        );
        let element = found
            .as_object()
            .and_then(|found| found.values().next()?.as_str());
        let element = element.unwrap_or_else(|| panic!("no {selector}: {found}"));
        self.command(&format!("element/{element}/click"), json!({}));
    }

    /// Presses and releases each key of a text, wherever the focus is.
    pub fn keys(&self, text: &str) {
        let keys: Vec<_> = text
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        self.command(
            "actions",
            json!({"actions": [{"type": "key", "id": "keys", "actions": keys}]}),
        );
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.command(
            "goog/cdp/execute",
            json!({"cmd": command, "params": parameters}),
        )
    }

    /// What has come to the console since the last time.
    pub fn console(&self) -> Vec<String> {
        self.log("browser")
    }

    /// The address of each request since the last time.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance");
        let events = entries
            .iter()
            .filter_map(|entry| serde_json::from_str::<Value>(entry).ok());
        let sent = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| {
            let address = &event["message"]["params"]["request"]["url"];
            address.as_str().map(str::to_owned)
        })
        .collect()
    }

    fn log(&self, kind: &str) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": kind}));
        let entries = entries.as_array().expect("it is a list").iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Minimises the window: the page is hidden.
    pub fn hide(&self) {
        self.command("window/minimize", json!({}));
        self.wait_for("document.hidden");
    }

    /// Shows it again.
    pub fn show(&self) {
        self.command("window/rect", json!({"width": 1280, "height": 2000}));
        self.wait_for("!document.hidden");
    }

    pub fn command(&self, name: &str, body: Value) -> Value {
        self.post(&format!("{}/{name}", self.session), body)
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.request("POST", path, &body)
    }

    /// One request a connection.
    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream
            .set_read_timeout(Some(TIMEOUT))
            .expect("it is a socket");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream
            .write_all(request.as_bytes())
            .expect("chromedriver reads");
        // It keeps the connection, whatever it was asked.
        let mut reply = String::new();
        let mut stream = BufReader::new(stream);
        let mut length = None;
        loop {
            let mut line = String::new();
            stream
                .read_line(&mut line)
                .unwrap_or_else(|error| panic!("{method} /{path} {body}: {error}"));
            let value = line.to_lowercase();
            let value = value.strip_prefix("content-length:");
            length = length.or(value.map(|value| value.trim().parse().expect("a number")));
            if line.trim().is_empty() {
                break;
            }
            reply += &line;
        }
        let mut body_of_reply = vec![0; length.expect("a reply has a length")];
        stream
            .read_exact(&mut body_of_reply)
            .unwrap_or_else(|error| panic!("{method} /{path} {body}: {error}"));
        let value: Value = serde_json::from_slice(&body_of_reply).expect("it is JSON");
        assert!(
            reply.starts_with("HTTP/1.1 200"),
            "{method} /{path} {body}: {value:#}"
        );
        value["value"].clone()
    }
}

impl Drop for Browser {
    /// In order, so that Chromium has left its profile when that is removed.
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.request("DELETE", &self.session, &Value::Null);
        }
    }
}
