//! The unit's list of system calls: all that a server makes stand in it, and it has no others but
//! those by which another libc or machine does the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{ANALYZE, examples, life};
use crate::support::{has_program, wait_until};

/// What is not called here: other versions of libc, other machines, and what is called only when a
/// server is started without an output.
const ELSEWHERE: [&str; 15] = [
    "access",
    "dup",
    "epoll_pwait",
    "faccessat",
    "faccessat2",
    "fstat",
    "getsockopt",
    "lseek",
    "madvise",
    "mremap",
    "open",
    "ppoll",
    "stat",
    "unlinkat",
    "writev",
];

type Calls = BTreeSet<String>;

#[test]
fn every_call_is_in_the_units_list_and_few_others_are() {
    if !["strace", "cc", ANALYZE]
        .iter()
        .all(|name| has_program(name))
    {
        return;
    }
    let (_directory, confine) = confine("SECCOMP_RET_ALLOW");
    let confine = confine.to_str().expect("it is ASCII");
    let directory = tempfile::tempdir().expect("there is room for tests");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let outputs = [path("full"), path("crowded")];
    let wrapper = |output| ["strace", "-D", "-f", "-q", "-o", output, confine];
    life::full(&wrapper(&outputs[0]));
    life::crowded(&wrapper(&outputs[1]));
    let mut seen = Calls::new();
    for output in &outputs {
        let mut trace = String::new();
        wait_until("strace has written all of it", || {
            trace = fs::read_to_string(output).expect("it has been made");
            trace.ends_with("+++ exited with 0 +++\n")
        });
        seen.extend(calls(&trace));
    }
    assert!(
        seen.contains("landlock_restrict_self") && seen.contains("sendfile"),
        "{seen:?}"
    );
    let listed = listed();
    let allowed = &listed | &members("@default");
    let missing: Vec<&String> = seen.difference(&allowed).collect();
    assert!(missing.is_empty(), "the unit forbids {missing:?}");
    let elsewhere = ELSEWHERE.map(str::to_owned).into();
    let needless: Vec<String> = (&(&listed - &seen) - &elsewhere).into_iter().collect();
    assert!(needless.is_empty(), "nobody needs {needless:?}");
}

/// Any other call kills it here, where the unit's answers ENOSYS: something that can be done without
/// would not show otherwise.
#[test]
fn it_lives_under_the_very_filter() {
    if !has_program(ANALYZE) || !has_program("cc") {
        return;
    }
    let (_directory, confine) = confine("SECCOMP_RET_KILL_PROCESS");
    let wrapper = [confine.to_str().expect("it is ASCII")];
    life::full(&wrapper);
    life::crowded(&wrapper);
    // And it is a filter.
    let directory = tempfile::tempdir().expect("there is room for tests");
    let mut forbidden = Command::new(&confine);
    forbidden.arg("mkdir").arg(directory.path().join("new"));
    let status = forbidden.status().expect("it has just been built");
    assert_eq!(status.signal(), Some(Signal::SIGSYS as i32), "{status}");
}

/// The names of `SystemCallFilter=`.
fn listed() -> Calls {
    let names = setting("SystemCallFilter");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let are_plain = names.iter().all(|name| name.chars().all(is_plain));
    assert!(are_plain, "a group or an exception: {names:?}");
    names
}

/// The words of a setting of the service.
fn setting(name: &str) -> Calls {
    let unit = fs::read_to_string(examples().join("sendtail.service"));
    let unit = unit.expect("it is part of the package");
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let values = lines.filter_map(|(key, value)| (key == name).then_some(value));
    let words = values.flat_map(str::split_whitespace).map(str::to_owned);
    words.collect()
}

/// What systemd has in a group: the default one is always allowed.
fn members(group: &str) -> Calls {
    let output = Command::new(ANALYZE)
        .args(["syscall-filter", group])
        .output();
    let output = output.expect("it is installed");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it is ASCII");
    let names = text.lines().skip(1).map(str::trim);
    let names = names.filter(|name| !name.is_empty() && !name.starts_with('#'));
    names.map(str::to_owned).collect()
}

/// The names in what strace has written: `1234 name(...` and `1234 <... name resumed>`.
fn calls(trace: &str) -> Calls {
    let starts = trace.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_name && !name.is_empty()).then(|| name.to_owned())
    });
    starts.collect()
}

/// A program that runs another one under the unit's filters, and with this answer for all other
/// calls.
fn confine(others: &str) -> (TempDir, PathBuf) {
    const ALLOW: &str = "SECCOMP_RET_ALLOW";
    let directory = tempfile::tempdir().expect("there is room for tests");
    let mut answers = String::new();
    for name in &listed() | &members("@default") {
        // systemd does this for RestrictSUIDSGID=, which DynamicUser= brings along: what is in a
        // structure no filter can see.
        let answer = match name.as_str() {
            "openat2" => "SECCOMP_RET_ERRNO | ENOSYS",
            _ => ALLOW,
        };
        // Not every machine has each of them.
        let text = format!("#ifdef __NR_{name}\nANSWER(__NR_{name}, {answer})\n#endif\n");
        answers.push_str(&text);
    }
    let families = setting("RestrictAddressFamilies");
    let text: String = families
        .iter()
        .map(|family| format!("ANSWER({family}, {ALLOW})\n"))
        .collect();
    fs::write(directory.path().join("families.h"), text).expect("the directory is ours");
    fs::write(directory.path().join("answers.h"), answers).expect("the directory is ours");
    let program = directory.path().join("confine");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/sendtail/systemd/confine.c"
    );
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-Wall", "-Werror", "-I"])
        .arg(directory.path());
    compiler.arg(format!("-DFAMILIES={}", families.len()));
    compiler.arg(format!("-DOTHERS={others}"));
    compiler.arg("-o").arg(&program).arg(source);
    assert!(compiler.status().expect("it is installed").success());
    (directory, program)
}
