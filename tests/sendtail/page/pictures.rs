//! The README's pictures of the page: small, and taken anew by
//! `cargo test page::pictures -- --ignored` (with Debian's `pngquant`).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::browser::Browser;
use super::open;
use crate::support::{Server, has_program};

const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/page");
const SCHEMES: [&str; 2] = ["light", "dark"];
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 800;
const BYTES_MAX: usize = 150_000;

#[test]
fn the_pictures_are_there_and_small() {
    for scheme in SCHEMES {
        let path = format!("{PICTURES}/{scheme}.png");
        let picture = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            picture.starts_with(b"\x89PNG\r\n\x1a\n"),
            "{path} is no PNG"
        );
        assert!(picture.len() < BYTES_MAX, "{path}: {} bytes", picture.len());
        // Both are the first fields of the first chunk.
        let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().expect("four"));
        assert_eq!([number(16), number(20)], [WIDTH, HEIGHT], "{path}");
    }
}

#[test]
#[ignore = "writes the README's pictures anew"]
fn take() {
    if !has_program("pngquant") {
        return;
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let directory = tempfile::tempdir().expect("there is room for tests");
    write_logs(directory.path());
    let server = Server::start(&[directory.path()]);
    browser.devtools(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false}),
    );
    browser.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true}));
    open(&browser, &server, "#/nginx/access.log");
    browser.wait_for_text("#held", "200 lines");
    browser.run("document.activeElement.blur()");
    fs::create_dir_all(PICTURES).expect("it is ours");
    for scheme in SCHEMES {
        browser.devtools(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        let picture = browser.devtools("Page.captureScreenshot", json!({"format": "png"}));
        let picture = from_base64(picture["data"].as_str().expect("it is text"));
        fs::write(format!("{PICTURES}/{scheme}.png"), few_colours(&picture)).expect("it is ours");
    }
}

/// A web server's logs on some morning, the same each time.
fn write_logs(directory: &Path) {
    // What was written to each, and how long ago.
    #[rustfmt::skip]
    let files = [
        ("auth.log", 48, 70), ("cron.log", 12, 480), ("daemon.log", 310, 9),
        ("dpkg.log", 640, 200_000), ("kern.log", 96, 4_000), ("mail.log", 77, 300),
        ("syslog", 1800, 2), ("user.log", 5, 90_000), ("nginx/access.log", 0, 0),
        ("nginx/access.log.1", 5200, 33_000), ("nginx/error.log", 31, 22),
        ("nginx/error.log.1", 120, 33_000), ("postgresql/main.log", 420, 1),
        ("postgresql/main.log.1", 2600, 60_000), ("redis/redis.log", 44, 1_300),
        ("shop/cart.log", 260, 3), ("shop/checkout.log", 140, 1), ("shop/mailer.log", 35, 45),
        ("shop/orders.log", 880, 1), ("shop/payments.log", 410, 6), ("shop/search.log", 1500, 2),
        ("shop/worker-1.log", 330, 1), ("shop/worker-2.log", 310, 4), ("shop/worker-3.log", 290, 2),
        ("unattended-upgrades/upgrades.log", 60, 150_000),
    ];
    for (name, kilobytes, seconds_ago) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it is ours");
        let content = if kilobytes == 0 {
            requests()
        } else {
            "x\n".repeat(kilobytes * 512)
        };
        fs::write(&path, content).expect("it is ours");
        let file = fs::File::options()
            .write(true)
            .open(&path)
            .expect("it has just been made");
        let then = SystemTime::now() - Duration::from_secs(seconds_ago);
        file.set_modified(then).expect("it is ours");
    }
}

/// An access log in nginx's own format.
fn requests() -> String {
    const TARGETS: [(&str, &str); 9] = [
        ("GET", "/"),
        ("GET", "/products/lamp"),
        ("GET", "/assets/app-5f2c.css"),
        ("POST", "/cart"),
        ("GET", "/search?q=desk+lamp"),
        ("GET", "/api/orders/48213"),
        ("POST", "/checkout"),
        ("GET", "/images/lamp-2.webp"),
        ("GET", "/health"),
    ];
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (X11; Linux x86_64)",
        "curl/8.5.0",
        "Mozilla/5.0 (Macintosh)",
    ];
    let mut state: u64 = 20;
    let mut any = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..400).fold(String::new(), |mut text, number| {
        let (method, target) = TARGETS[any(TARGETS.len())];
        let status = match any(40) {
            0 => 502,
            1 => 500,
            2 | 3 => 404,
            4..=6 => 304,
            _ => 200,
        };
        let second = 9 * 3600 + 1200 + number * 3 / 4;
        writeln!(
            text,
            "203.0.113.{} - - [21/Nov/2026:{:02}:{:02}:{:02} +0000] \
             \"{method} {target} HTTP/1.1\" {status} {} \"-\" \"{}\"",
            any(250) + 1,
            second / 3600,
            second / 60 % 60,
            second % 60,
            any(60_000) + 90,
            AGENTS[any(AGENTS.len())],
        )
        .expect("a string takes everything");
        text
    })
}

/// The same picture in a quarter of the bytes; nobody sees the difference.
fn few_colours(picture: &[u8]) -> Vec<u8> {
    let mut command = Command::new("pngquant");
    command.args(["--speed=1", "--nofs", "--strip", "128", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    let mut input = child.stdin.take().expect("it is piped");
    // It reads all of it before it writes.
    input.write_all(picture).expect("it reads");
    drop(input);
    child.wait_with_output().expect("it is our child").stdout
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .map(value)
        .collect();
    let mut bytes = vec![];
    for group in digits.chunks(4) {
        let number = group
            .iter()
            .fold(0u32, |number, digit| number << 6 | u32::from(*digit));
        let number = number << (6 * (4 - group.len()));
        bytes.extend(&number.to_be_bytes()[1..group.len()]);
    }
    bytes
}
