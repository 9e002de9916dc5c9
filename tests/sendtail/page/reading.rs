//! What is there to be seen, and what a person does with it.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::browser::{Browser, END, ENTER, ESCAPE};
use super::{address, open};
use crate::support::{Late, Log, Server, append, in_time, numbered_lines, wait_until};

#[test]
fn a_file_is_found_among_many_and_opened() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::absent();
    fs::create_dir(log.beside("nginx")).expect("the directory is ours");
    for number in 0..100 {
        fs::write(log.beside(&format!("worker-{number:02}.log")), "x\n").expect("it is ours");
    }
    // A name of every kind: what is not UTF-8 stays as it stands in addresses.
    fs::write(log.beside("nginx/a%20b &#?é.log"), "one\ntwo\n").expect("it is ours");
    let file = fs::File::create(log.beside("old")).expect("it is ours");
    file.set_len(1_500_000).expect("there is room");
    let then = SystemTime::now() - Duration::from_secs(3 * 86_400 + 60);
    file.set_modified(then).expect("it is ours");
    let server = Server::start(&[log.directory.path()]);

    browser.open(&address(&server, ""));
    browser.wait_for_text("#count", "102 files");
    let row =
        "[...document.querySelectorAll('#list tr')].find(row => row.innerText.startsWith('old'))";
    let cells = browser.run(&format!(
        "return [...{row}.cells].map(cell => cell.textContent)"
    ));
    assert_eq!(cells, json!(["old", "1.5 MB", "3 d"]));

    // Largest first, then the newest.
    browser.click("th:nth-child(2) button");
    browser.wait_for("document.querySelector('#list a').textContent === 'old'");
    browser.click("th:nth-child(3) button");
    browser.wait_for("document.querySelector('#list tr:last-child a').textContent === 'old'");

    // Each word of a search counts, in any order.
    browser.keys("/");
    browser.keys("LOG Nginx");
    browser.wait_for_text("#count", "1 of 102 files");
    browser.keys(ENTER);
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_lines(&["one", "two"]);
    assert_eq!(browser.text("#name"), "nginx/a%20b &#?é.log");
    assert_eq!(
        browser.run("return document.title"),
        "a%20b &#?é.log · sendtail"
    );
    assert_eq!(browser.text("[aria-current]"), browser.text("#name"));

    // A new one is in the list soon, and Escape leads back to it.
    browser.keys(ESCAPE);
    browser.wait_for("document.querySelector('#file').hidden");
    fs::write(log.beside("nginx/new.log"), "").expect("it is ours");
    browser.wait_for_text("#count", "2 of 103 files");
    // Back and forward, as in any other page.
    browser.command("back", json!({}));
    browser.wait_for_lines(&["one", "two"]);
    assert_eq!(browser.console(), [""; 0]);
}

/// Of one file no list is shown.
#[test]
fn a_server_of_one_file_shows_it_at_once() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(1000));
    let server = log.server();
    browser.open(&address(&server, ""));
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_text("#held", "200 lines");
    assert_eq!(browser.lines().last().expect("there are some"), "line 999");
    // An unterminated line is none yet.
    log.append("unterm");
    log.append("inated\n");
    browser.wait_for_text("#held", "201 lines");
    assert_eq!(
        browser.lines().last().expect("there are some"),
        "unterminated"
    );
    // Back in the list it stays there.
    browser.keys(ESCAPE);
    browser.wait_for_text("#count", "1 files");
    assert_eq!(
        browser.run("return document.querySelector('#file').hidden"),
        true
    );
}

#[test]
fn a_live_line_appears_within_200_ms() {
    const ROUNDS: usize = 20;
    let Some(browser) = Browser::start() else {
        return;
    };
    in_time(|| {
        let log = Log::new("the first\n");
        let server = log.server();
        open(&browser, &server, "#/log");
        browser.wait_for_lines(&["the first"]);
        // When each of them was on the screen: in the frame behind the one that drew it.
        browser.run(
            "window.seen = {};
            new MutationObserver(changes => {
                for (const { addedNodes } of changes) for (const { textContent } of addedNodes)
                    requestAnimationFrame(() =>
                        requestAnimationFrame(() => seen[textContent] = Date.now()));
            }).observe(document.querySelector('#rows'), { childList: true });",
        );
        let mut waits: Vec<Duration> = (0..ROUNDS)
            .map(|round| {
                let line = format!("round {round}");
                let appended = SystemTime::now();
                log.append(format!("{line}\n"));
                let mut seen = None;
                wait_until("the line is on the screen", || {
                    seen = browser.run(&format!("return seen[{line:?}]")).as_u64();
                    seen.is_some()
                });
                let seen = Duration::from_millis(seen.expect("it is there"));
                let appended = appended.duration_since(SystemTime::UNIX_EPOCH);
                seen.saturating_sub(appended.expect("the clock is right"))
            })
            .collect();
        waits.sort();
        let shown = format!("live lines on the screen: {waits:?}");
        eprintln!("{shown}");
        Late::if_over(waits[ROUNDS / 2], Duration::from_millis(200), &shown)
    });
}

#[test]
fn pause_counts_what_comes_and_goes_on() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(150));
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_last("line 149");
    browser.keys(" ");
    browser.wait_for_text("#phase", "Paused");
    let top = "(() => {
        const { top } = document.querySelector('#log').getBoundingClientRect();
        const isShown = row => row.getBoundingClientRect().bottom > top;
        return [...document.querySelector('#rows').children].find(isShown).textContent; })()";
    let before = browser.run(&format!("return {top}"));
    log.append(numbered_lines(1234));
    browser.wait_for_text("#newer", "↓ 1,234 more");
    assert_eq!(
        browser.run(&format!("return {top}")),
        before,
        "what is read stays"
    );
    browser.keys(" ");
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_last("line 1233");
    assert_eq!(
        browser.run("return document.querySelector('#newer').hidden"),
        true
    );

    // To scroll up, or to select something, is to read: then nothing moves either.
    browser.run("document.querySelector('#log').scrollBy(0, -100)");
    browser.wait_for_text("#phase", "Paused");
    log.append("one more\n");
    browser.wait_for_text("#newer", "↓ 1 more");
    browser.keys(END);
    browser.wait_for_text("#phase", "Live");
    browser.wait_for_last("one more");
    browser.run("getSelection().selectAllChildren(document.querySelector('#rows').lastChild)");
    browser.wait_for_text("#phase", "Paused");
    log.append("and another\n");
    browser.wait_for_text("#newer", "↓ 1 more");
    assert_eq!(browser.run("return `${getSelection()}`"), "one more");
    // Down at the end, it goes on.
    browser.run("document.querySelector('#log').scrollBy(0, 1000)");
    browser.wait_for_text("#phase", "Live");
}

#[test]
fn the_server_filters() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(2000));
    log.append("a \"b\" c\nb c\n-b\n");
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_text("#held", "200 lines");
    let filter = |text: &str| {
        browser.keys("f");
        browser.keys(text);
        browser.keys(ENTER);
    };
    // The last that match, from far above the last 200.
    filter("99 -1199 -993");
    let expected: Vec<String> = (0..2000)
        .map(|number| format!("line {number}"))
        .filter(|line| line.contains("99"))
        .filter(|line| {
            ["1199", "993"]
                .iter()
                .all(|skipped| !line.contains(skipped))
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    browser.wait_for_lines(&expected);
    log.append("line 98\nline 99 at last\n");
    browser.wait_for_last("line 99 at last");
    assert_eq!(browser.lines().len(), expected.len() + 1);
    for (text, lines) in [
        ("\"b c\"", &["b c"][..]),
        ("b c", &["a \"b\" c", "b c"]),
        ("b -\" c\"", &["-b"]),
        ("\"-b\"", &["-b"]),
        ("b -", &["a \"b\" c", "b c", "-b"]),
    ] {
        filter(text);
        browser.wait_for_lines(lines);
    }
    // It is part of the address, and of what is saved.
    filter("b -\" c\"");
    browser.wait_for_lines(&["-b"]);
    let saved = browser
        .run("return fetch(document.querySelector('#save').href).then(reply => reply.text())");
    assert_eq!(saved, "-b\n");
    browser.command("refresh", json!({}));
    browser.wait_for_lines(&["-b"]);
    assert_eq!(
        browser.run("return document.querySelector('#filter').value"),
        "b -\" c\""
    );
    filter("occurs nowhere");
    browser.wait_for("!document.querySelector('#empty').hidden");
    assert_eq!(browser.lines(), [""; 0]);
    let said = browser.text("#empty");
    assert_eq!(said, "No line matches so far. Case matters.");
    log.append("it occurs nowhere else\n");
    browser.wait_for_lines(&["it occurs nowhere else"]);
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn a_link_leads_to_a_place() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(3000));
    let server = log.server();
    open(&browser, &server, "#/log");
    // Live, it says nothing of a place: who gets it wants what is new.
    assert_eq!(browser.run("return location.hash"), "#/log");
    browser.wait_for_text("#held", "200 lines");
    browser.keys("g");
    browser.wait_for("location.hash.includes('from=')");
    log.append(numbered_lines(200));
    // A copied link is what another one opens.
    browser.devtools(
        "Browser.grantPermissions",
        json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}),
    );
    browser.keys("c");
    browser.wait_for_text("#copy", "Copied");
    let copied = browser.run("return navigator.clipboard.readText()");
    let copied = copied.as_str().expect("it is text").to_owned();
    browser.open("about:blank");
    browser.open(&copied);
    browser.wait_for_text("#phase", "Paused");
    browser.wait_for("document.querySelector('#rows').firstChild?.textContent === 'line 2800'");
    browser.wait_for_text("#newer", "↓ 400 more");
    // From any start that the server knows.
    for (start, first, phase) in [
        ("%2B2999", "line 2998", "Paused"),
        ("-3", "line 197", "Live"),
    ] {
        browser.open("about:blank");
        browser.open(&address(&server, &format!("#/log?from={start}")));
        browser.wait_for_text("#phase", phase);
        browser.wait_for(&format!(
            "document.querySelector('#rows').firstChild?.textContent === '{first}'"
        ));
    }
}

#[test]
fn find_leads_from_one_to_the_next() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(199));
    log.append("ERROR: Needle and needle\n");
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_text("#held", "200 lines");
    browser.keys("/");
    browser.keys("needle");
    browser.wait_for_text("#hits", "1 of 1");
    assert_eq!(
        browser.run("return [...document.querySelectorAll('mark')].map(mark => mark.textContent)"),
        json!(["Needle", "needle"])
    );
    browser.keys(ESCAPE);
    browser.keys("/");
    browser.keys("line 7");
    browser.wait_for_text("#hits", "11 of 11");
    browser.keys(ENTER);
    browser.wait_for_text("#hits", "1 of 11");
    assert_eq!(browser.text(".current"), "line 7");
    browser.wait_for("document.querySelector('.current').getBoundingClientRect().top > 0");
    browser.keys(ESCAPE);
    browser.keys("G");
    browser.wait_for_text("#phase", "Live");
}

/// A level is a word in capitals or in its place, not any mention of it.
#[test]
fn lines_have_the_colour_of_their_level() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("");
    let server = log.server();
    open(&browser, &server, "#/log");
    let cases = [
        ("2026-11-21T03:00:00Z ERROR disk", "error"),
        ("Nov 21 03:00:00 web sshd[1]: error: no", "error"),
        ("2026/11/21 03:00:00 [warn] 1#1: x", "warn"),
        ("{\"level\":\"debug\",\"message\":\"ERROR\"}", "debug"),
        ("level=warning x", "warn"),
        ("<3>kernel", "error"),
        ("<6>kernel ERROR", ""),
        ("E1121 03:00:00 main.go:1] x", "error"),
        ("::1 - - [x] \"GET / HTTP/1.1\" 502 12 \"-\"", "error"),
        ("::1 - - [x] \"GET / HTTP/1.1\" 404 12 \"-\"", "warn"),
        ("::1 - - [x] \"GET /ERRORS HTTP/1.1\" 200 12 \"-\"", ""),
        ("INFO 0 ERROR lines", ""),
        ("no errors, an error of none", ""),
    ];
    for (line, _) in cases {
        log.append(format!("{line}\n"));
    }
    browser.wait_for_text("#held", &format!("{} lines", cases.len()));
    browser
        .wait_for("document.querySelector('#rows').lastChild.textContent.startsWith('no errors')");
    let shown = browser.run(&format!(
        "return [...document.querySelector('#rows').children].slice(-{})
            .map(row => [row.textContent, row.className])",
        cases.len()
    ));
    assert_eq!(shown, json!(cases));
}

/// The end is still the end, and every row is where its line is; of wide characters too.
#[test]
fn long_lines_are_wrapped() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new(numbered_lines(199));
    let server = log.server();
    open(&browser, &server, "#/log");
    append(
        &log.path,
        format!("{}\n{}\nlast\n", "漢".repeat(700), "x\t".repeat(300)).as_bytes(),
    );
    browser.keys("w");
    let wrapped = "(() => {
        const rows = [...document.querySelector('#rows').children].slice(-3);
        const log = document.querySelector('#log'), { bottom } = log.getBoundingClientRect();
        return rows[2].textContent === 'last'
            && rows[0].offsetHeight > 50 && rows[1].offsetHeight > 50
            && Math.abs(rows[2].getBoundingClientRect().bottom - bottom) < 1
            && log.scrollHeight - log.clientHeight - log.scrollTop < 1
            && log.scrollWidth === log.clientWidth; })()";
    browser.wait_for(wrapped);
    browser.keys("w");
    browser.wait_for("document.querySelector('#log').scrollWidth > 2000");
}
