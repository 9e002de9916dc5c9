//! The alerts of the README.

use std::fs;

use super::{TEXT, promtool, scrape};
use crate::support::{Log, has_program};

const README: &str = include_str!("../../../README.md");

/// The README's rules are good ones for `promtool`, speak of metrics that exist, and each fires
/// when it should.
#[test]
fn the_alerts_of_the_readme_work() {
    if !has_program("promtool") {
        return;
    }
    let (_, rules) = README
        .split_once("```yaml\ngroups:\n")
        .expect("it has rules");
    let (rules, _) = rules.split_once("```").expect("they have an end");
    let directory = tempfile::tempdir().expect("there is room for tests");
    let [rules_path, test_path] = ["rules.yml", "test.yml"].map(|name| directory.path().join(name));
    fs::write(&rules_path, format!("groups:\n{rules}")).expect("the directory is ours");
    let path = rules_path.to_str().expect("it is ASCII");
    let output = promtool(&["check", "rules", "--lint=all", "--lint-fatal", path], b"");
    assert!(output.status.success(), "{output:?}");
    let log = Log::new(TEXT);
    let known = scrape(&log.server()).1;
    let words = rules.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    for name in words.filter(|word| word.starts_with("sendtail_")) {
        assert!(known.contains(&format!("\n{name}")), "there is no {name}");
    }
    let alerts = rules.lines().filter(|line| line.contains("- alert: "));
    assert_eq!(alerts.count(), FIRING.len());
    for (alert, series, values) in FIRING {
        for (values, fires) in [("0x60", false), (values, true)] {
            let test = rule_test(alert, series, values, fires);
            fs::write(&test_path, test).expect("the directory is ours");
            let path = test_path.to_str().expect("it is ASCII");
            let output = promtool(&["test", "rules", path], b"");
            assert!(output.status.success(), "{alert} {values}: {output:?}");
        }
    }
}

/// What each alert is for: a series, a value a minute.
const FIRING: [(&str, &str, &str); 4] = [
    ("SendtailLoses", "sendtail_cut_streams_total", "0x25 1x35"),
    (
        "SendtailIsFull",
        "sendtail_refused_total{reason=\"too_many_clients\"}",
        "0x25 7x35",
    ),
    ("SendtailHolds", "sendtail_held_bytes", "0x10 700000000x50"),
    ("SendtailPolls", "sendtail_polled_files", "0x5 3x55"),
];

/// Half an hour later, with all other series at rest.
fn rule_test(alert: &str, series: &str, values: &str, fires: bool) -> String {
    let mut inputs = String::new();
    for (_, other, _) in FIRING {
        let values = if other == series { values } else { "0x60" };
        inputs += &format!("      - {{series: '{other}', values: '{values}'}}\n");
    }
    inputs += "      - {series: 'sendtail_gaps_total', values: '0x60'}\n";
    let expected = match fires {
        true => "[{exp_labels: {}}]",
        false => "[]",
    };
    format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    \
         input_series:\n{inputs}    alert_rule_test:\n      - {{eval_time: 30m, alertname: \
         {alert}, exp_alerts: {expected}}}\n"
    )
}
