//! The log on stderr: levels, and how a line looks on a terminal and in the journal.

use env_logger::Target;
use log::{Level, LevelFilter};

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

/// Sets up the log on stderr. RUST_LOG, when set, wins over the flags.
pub fn init_log(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Info,
        (_, 1) => LevelFilter::Debug,
        (_, _) => LevelFilter::Trace,
    };
    let is_journal = stderr_is_journal();
    // Set to nothing is not set.
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = match wanted.trim() {
        "" => level.as_str(),
        filter => filter,
    };
    env_logger::Builder::new()
        .parse_filters(filter)
        .target(Target::Stderr)
        .format(move |line, record| match (is_journal, record.level()) {
            (true, level) => writeln!(line, "<{}>{}", journal_priority(level), record.args()),
            (false, Level::Info) => writeln!(line, "sendtail: {}", record.args()),
            (false, level) => writeln!(line, "sendtail: {}: {}", level_word(level), record.args()),
        })
        .init();
}

/// Why the process ends before or instead of serving. That nobody reads it is no reason to fail
/// differently.
pub fn say_fatal(why: &str) {
    let _ = match stderr_is_journal() {
        true => writeln!(io::stderr(), "<{}>{why}", journal_priority(Level::Error)),
        false => writeln!(io::stderr(), "sendtail: {why}"),
    };
}

/// systemd says in JOURNAL_STREAM which device and inode it gave as stderr (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(metadata) = fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", metadata.dev(), metadata.ino())
}

/// sd-daemon(3).
fn journal_priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
