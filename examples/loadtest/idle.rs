//! idle: followers of a quiet file. What a client costs that gets nothing.

use crate::bench::Bench;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::Table;

use std::thread;

const CONTENDERS: [Contender; 2] = [Contender::Sendtail, Contender::BareLoop];
const FIGURES: [&str; 3] = [
    "CPU us a second",
    "private bytes a client",
    "descriptors a client",
];

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let (clients, seconds) = (bench.options.clients, bench.options.seconds);
    let title = format!("idle: followers of a file that is quiet for {seconds:?}");
    let mut table = Table::new(title, &CONTENDERS);
    let case = format!("{clients} clients");
    bench.compare(&mut table, &CONTENDERS, &case, &FIGURES, |contender| {
        measure(bench, contender)
    })?;
    Ok(table)
}

fn measure(bench: &Bench, contender: Contender) -> Result<Vec<f64>, Failure> {
    let (clients, seconds) = (bench.options.clients, bench.options.seconds);
    bench.allow_descriptors(clients)?;
    let mut sample = bench.sample("idle.log", LINE_BYTES)?;
    let server = Server::start(bench, contender, &sample.path)?;
    // The first client is not counted: with it the file is opened and watched.
    let mut first = Crowd::of(&server, 1, 0, Taking::Copy)?;
    first.receive(sample.bytes, |_| {})?;
    let (bytes, descriptors) = (server.private_bytes()?, server.descriptors()?);

    let mut crowd = Crowd::of(&server, clients, sample.bytes, Taking::Copy)?;
    // Who has got a line has been accepted and heard.
    sample.append()?;
    crowd.receive(LINE_BYTES, |_| {})?;
    let cpu = server.cpu()?;
    thread::sleep(seconds);
    let cpu = server.cpu()? - cpu;
    let a_client = |much: u64| much as f64 / clients as f64;
    Ok(vec![
        cpu.as_micros() as f64 / seconds.as_secs_f64(),
        a_client(server.private_bytes()?.saturating_sub(bytes)),
        a_client((server.descriptors()? - descriptors) as u64),
    ])
}
