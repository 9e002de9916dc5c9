//! Calls that do a part of what they are asked for, as the kernel may at any time: a library of our
//! own between the server and the system shortens them.

use nix::sys::signal::Signal;

use super::scene::{Act, Scene};
use crate::support::{Server, has_program, library};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sendtail/faults/short.c");

#[test]
fn short_sends_and_short_reads_cost_no_byte() {
    if !has_program("cc") {
        return;
    }
    let (_directory, library) = library(SOURCE);
    let mut scene = Scene::new(Act::Connect, |log| {
        let mut program = Server::program(&[], &[&log.path, &log.beside("other")]);
        program.env("LD_PRELOAD", &library);
        Server::command(program)
    });
    for act in [
        Act::Connect,
        Act::Append,
        Act::Rotate,
        Act::RotateTwice,
        Act::Truncate,
        Act::Connect,
        Act::Append,
    ] {
        scene.perform(act, Scene::settle);
        assert_eq!(scene.cut, 0, "in {act:?}");
    }
    let server = scene.end();
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.log();
    let (_, said) = log
        .split_once("shortened: ")
        .expect("the library was there");
    let numbers: Vec<u32> = said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(
        numbers.len() == 2 && numbers.iter().all(|times| *times >= 20),
        "shortened: {said}"
    );
}
