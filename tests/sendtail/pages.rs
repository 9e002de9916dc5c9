//! Help, man page and README cannot drift apart: they know the same flags with the same defaults.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::BINARY;

const MAN: &str = include_str!("../../man/sendtail.1");
const README: &str = include_str!("../../README.md");

/// From a flag's names, as in `-p --port`, to its default, empty where it has none.
type Flags = BTreeMap<String, String>;

#[test]
fn help_and_readme_know_the_same_flags() {
    let section = README.split("## Options").nth(1).expect("there is one");
    assert_eq!(
        listed(&help()),
        listed(section.split("\n## ").next().unwrap_or_default())
    );
}

#[test]
fn help_and_man_page_know_the_same_flags() {
    let options = MAN
        .split("The options are as follows:")
        .nth(1)
        .expect("there are some");
    let options = options.split(".El").next().unwrap_or_default();
    let mut flags = Flags::new();
    for item in options.split(".It ").skip(1) {
        let (heading, text) = item.split_once('\n').expect("an item has a text");
        // `Fl p , \-port Ar port`: a flag of mdoc(7) has one dash by itself.
        let names = heading
            .split(" Ar ")
            .next()
            .unwrap_or_default()
            .replace("\\-", "-");
        let words = names
            .split_whitespace()
            .filter(|word| !["Fl", ","].contains(word));
        let names: Vec<String> = words.map(|word| format!("-{word}")).collect();
        flags.insert(names.join(" "), default(text));
    }
    assert_eq!(listed(&help()), flags);
}

/// Who reads the synopsis alone misses nothing but what every program has.
#[test]
fn the_synopsis_is_complete() {
    let synopsis = MAN.split(".Sh SYNOPSIS").nth(1).expect("there is one");
    let synopsis = synopsis
        .split(".Sh ")
        .next()
        .unwrap_or_default()
        .replace("\\-", "-");
    for names in listed(&help()).keys() {
        let long_only = names
            .starts_with("--")
            .then(|| [" ", "\n"].map(|end| format!(".Op Fl {}{end}", &names[1..])));
        let short = format!("Fl {} ", &names[1..2]);
        let is_there = match &long_only {
            Some(flag) => flag.iter().any(|flag| synopsis.contains(flag)),
            None => {
                synopsis.contains(&short)
                    || synopsis.contains(".Op Fl q | Fl v\n") && "-q -v".contains(&names[..2])
            }
        };
        assert!(
            is_there || ["-h --help", "-V --version"].contains(&names.as_str()),
            "{names}"
        );
    }
}

/// What the program itself takes for its errors stands in both texts.
#[test]
fn every_reason_is_explained() {
    let source = include_str!("../../src/refusal.rs");
    let wordings = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Refusal::")?.split_once("=> \""));
    let reasons: Vec<&str> = wordings
        .filter_map(|(_, rest)| rest.strip_suffix("\","))
        .collect();
    assert!(reasons.len() > 8, "{reasons:?}");
    for reason in reasons.into_iter().chain(["no header within 30 s"]) {
        assert!(
            README.contains(&format!("| `{reason}`")),
            "README: {reason}"
        );
        assert!(
            MAN.contains(&format!(".It Li error: {reason}\n")),
            "man page: {reason}"
        );
    }
}

fn help() -> String {
    let output = Command::new(BINARY)
        .arg("--help")
        .output()
        .expect("it runs");
    String::from_utf8(output.stdout).expect("it is text")
}

/// The lines that begin with a flag: `  -p, --port <PORT>   TCP port [default: 4321]`.
fn listed(text: &str) -> Flags {
    let lines = text
        .lines()
        .filter(|line| line.trim_start().starts_with('-') && line.starts_with("  "));
    let flags = lines.map(|line| {
        let words = line
            .split_whitespace()
            .map(|word| word.trim_end_matches("..."));
        let names = words
            .map(|word| word.trim_end_matches(','))
            .take_while(|word| word.starts_with('-'));
        (names.collect::<Vec<_>>().join(" "), default(line))
    });
    flags.collect()
}

fn default(text: &str) -> String {
    let rest = text.split("[default: ").nth(1).unwrap_or_default();
    let default = rest.split(']').next().unwrap_or_default();
    default.split_whitespace().collect::<Vec<_>>().join(" ")
}
