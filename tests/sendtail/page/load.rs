//! Much at once, for long, and of any kind: the page stays what it is.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::browser::Browser;
use super::open;
use crate::support::{Late, Log, in_time};

/// Lines like those of an application: about a hundred bytes.
fn lines(first: usize, count: usize) -> String {
    (first..first + count).fold(String::new(), |mut text, number| {
        let level = ["INFO", "INFO", "DEBUG", "WARN", "ERROR"][number % 5];
        writeln!(
            text,
            "2026-11-21T03:00:00.{:03}Z {level} pool: request {number} of user {} took {} ms",
            number % 1000,
            number % 977,
            number % 311
        )
        .expect("a string takes everything");
        text
    })
}

/// On tmpfs: a hundred megabytes are nothing to write to a disk for a test.
fn in_memory() -> Log {
    let log = Log::absent_in(Path::new("/dev/shm"));
    fs::write(&log.path, "the first\n").expect("the directory is ours");
    log
}

#[test]
fn twenty_thousand_lines_a_second_are_drawn_smoothly() {
    const LINES_A_SECOND: usize = 20_000;
    const SECONDS: usize = 10;
    const STEPS_A_SECOND: usize = 50;
    let Some(browser) = Browser::start() else {
        return;
    };
    in_time(|| {
        let log = in_memory();
        let server = log.server();
        open(&browser, &server, "#/log");
        browser.run(
            "window.frames_at = [];
            const frame = time => { frames_at.push(time); requestAnimationFrame(frame); };
            requestAnimationFrame(frame);",
        );
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(&log.path)
            .expect("it is there");
        let start = Instant::now();
        let step = LINES_A_SECOND / STEPS_A_SECOND;
        let mut answer = Duration::ZERO;
        for number in 0..SECONDS * STEPS_A_SECOND {
            file.write_all(lines(number * step, step).as_bytes())
                .expect("there is room");
            // A person does something in the middle of it.
            if number % 100 == 50 {
                let asked = Instant::now();
                browser.keys("w");
                answer = answer.max(asked.elapsed());
            }
            let next = start + Duration::from_secs(1) * (number as u32 + 1) / STEPS_A_SECOND as u32;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let written = start.elapsed();
        let last = lines(SECONDS * LINES_A_SECOND - 1, 1);
        browser.wait_for_last(last.trim_end());
        let behind = start.elapsed() - written;
        let gaps =
            browser.run("return frames_at.slice(1).map((time, index) => time - frames_at[index])");
        let gaps = gaps.as_array().expect("it is a list").iter();
        let mut gaps: Vec<f64> = gaps.filter_map(|gap| gap.as_f64()).collect();
        gaps.sort_by(f64::total_cmp);
        let [median, most, worst] =
            [2.0, 1.25, 1.0].map(|part| gaps[((gaps.len() - 1) as f64 / part) as usize]);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let shown = format!(
            "{} frames in {written:?}: mean {mean:.1} ms, median {median:.1} ms, \
             four of five {most:.1} ms, worst {worst:.1} ms; \
             {behind:?} behind at the end, answers within {answer:?}",
            gaps.len()
        );
        eprintln!("{shown}");
        assert_eq!(browser.text("#held"), "100,000 lines, the oldest go");
        assert_eq!(browser.text("#phase"), "Live");
        Late::if_over(
            Duration::from_secs_f64(median / 1000.0),
            Duration::from_millis(50),
            &shown,
        )?;
        // Short frames between long ones are no smooth view; but others take the processors, too.
        Late::if_over(
            Duration::from_secs_f64(mean / 1000.0),
            Duration::from_millis(100),
            &shown,
        )?;
        Late::if_over(answer, Duration::from_secs(2), &shown)?;
        Late::if_over(behind, Duration::from_secs(2), &shown)
    });
}

#[test]
fn a_million_lines_leave_no_more_than_a_hundred_thousand() {
    const BATCH: usize = 50_000;
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = in_memory();
    let server = log.server();
    open(&browser, &server, "#/log");
    let used = || {
        browser.devtools("HeapProfiler.collectGarbage", json!({}));
        let usage = browser.devtools("Runtime.getHeapUsage", json!({}));
        let nodes = browser.run("return document.querySelectorAll('*').length");
        (
            usage["usedSize"].as_f64().expect("a number"),
            nodes.as_u64().expect("a number"),
        )
    };
    let mut at_first = (0.0, 0);
    for batch in 0..1_000_000 / BATCH {
        log.append(lines(batch * BATCH, BATCH));
        let last = lines((batch + 1) * BATCH - 1, 1);
        browser.wait_for_last(last.trim_end());
        if batch == 3 {
            at_first = used();
        }
    }
    let at_last = used();
    eprintln!(
        "used bytes and elements after 200,000 lines {at_first:?}, after 1,000,000 {at_last:?}"
    );
    assert!(
        at_last.0 < 1.1 * at_first.0 + 2e6,
        "{at_first:?}, {at_last:?}"
    );
    assert!(at_last.1 < at_first.1 + 100, "{at_first:?}, {at_last:?}");
    assert_eq!(browser.text("#held"), "100,000 lines, the oldest go");
}

/// What is looked at does not go: the connection does, and the place is kept.
#[test]
fn a_pause_may_last_for_any_number_of_lines() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = in_memory();
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&["the first"]);
    browser.keys(" ");
    browser.wait_for_text("#phase", "Paused");
    log.append(lines(0, 250_000));
    browser.wait_for("document.querySelector('#newer').textContent.includes('+')");
    assert_eq!(browser.lines()[0], "the first");
    assert_eq!(server.totals("clients"), 0);
    // Each number that comes from now on is the next one.
    browser.run(
        "window.wrong = []; window.next = null;
        const before = add;
        add = (text, ...rest) => {
            const number = +/request (\\d+)/.exec(text)?.[1];
            if (next !== null && number !== next) wrong.push(text);
            next = number + 1;
            before(text, ...rest);
        };
        next = +/request (\\d+)/.exec(lines.at(-1).text)[1] + 1;",
    );
    browser.keys(" ");
    let last = lines(249_999, 1);
    browser.wait_for_last(last.trim_end());
    assert_eq!(browser.run("return [wrong, next]"), json!([[], 250_000]));
    assert_eq!(browser.text("#phase"), "Live");

    // To the end at once: what is left out is said.
    browser.keys(" g");
    browser.wait_for_text("#phase", "Paused");
    log.append(lines(250_000, 250_000));
    browser.wait_for("document.querySelector('#newer').textContent.includes('+')");
    browser.keys("G");
    let last = lines(499_999, 1);
    browser.wait_for_last(last.trim_end());
    assert_eq!(
        browser.run("return wrong.length > 0 && wrong[0]"),
        "Gap: lines are left out here, on to the end"
    );
}

#[test]
fn lines_of_any_length_and_kind_are_shown() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let log = Log::new("\x1b[1;31mred\x1b[0m\tbell\x07 nul\0 10%\r20%\r\nunix\n\ndos\r\n");
    log.append(b"\xff\xfe\n");
    let server = log.server();
    open(&browser, &server, "#/log");
    browser.wait_for_lines(&[
        "red\tbell␇ nul␀ 10%␍20%",
        "unix",
        "",
        "dos",
        "\u{fffd}\u{fffd}",
    ]);
    // More than a browser wants to lay out, more than a line may have, and what is no text.
    log.append(format!("{}end\n", "x".repeat(60_000)));
    browser.wait_for(
        "document.querySelector('#rows').lastChild.textContent.endsWith('… 58,003 more')",
    );
    browser.click("#rows button");
    browser.wait_for("document.querySelector('#rows').lastChild.textContent.endsWith('xend')");
    log.append(format!("{}\n", "y".repeat(100_000)));
    browser.wait_for(
        "document.querySelector('#rows').lastChild.textContent.endsWith('more cut at 64 KiB')",
    );
    let binary = fs::read(crate::support::BINARY).expect("it is there");
    for wrapped in [false, true] {
        let start = Instant::now();
        log.append(&binary[..binary.len().min(3_000_000)]);
        log.append(format!("{}\n", "z".repeat(50_000)).repeat(100));
        log.append(format!("\nthe end, {wrapped}\n"));
        browser.keys("G");
        browser.wait_for_last(&format!("the end, {wrapped}"));
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        browser.keys("w");
    }
    assert_eq!(browser.console(), [""; 0]);
}
