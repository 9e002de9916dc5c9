//! producer: a program writes lines at full speed. How much longer that takes when the file is
//! followed, beside `tail -f` into a pipe.
//!
//! The writer has our core to itself. Whoever follows and whoever reads share the other one: so
//! what the writer loses it loses to the kernel, which has to tell somebody of each write, and not
//! to a reader who takes its core. In a log's real life readers are on another host.

use crate::bench::Bench;
use crate::cores::Place;
use crate::crowd::{Crowd, Taking};
use crate::failure::Failure;
use crate::readers::Readers;
use crate::sample::LINE_BYTES;
use crate::server::{Contender, Server};
use crate::table::Table;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONTENDERS: [Contender; 3] = [Contender::Sendtail, Contender::TailF, Contender::BareLoop];
const FIGURES: [&str; 5] = [
    "nobody there, wall seconds",
    "1 follower, times as long",
    "0 followers, times as long",
    "100 followers, times as long",
    "100 followers, share received meanwhile",
];
const FOLLOWERS_MANY: usize = 100;

pub fn run(bench: &Bench) -> Result<Table, Failure> {
    let lines = bench.options.lines;
    let title = format!("producer: a program writes {lines} lines at full speed, one write each");
    let mut table = Table::new(title, &CONTENDERS);
    bench.compare(&mut table, &CONTENDERS, "writer", &FIGURES, |contender| {
        let nobody = write(bench, None, 0)?;
        let times =
            |written: &Written| written.elapsed.as_secs_f64() / nobody.elapsed.as_secs_f64();
        let one = write(bench, Some(contender), 1)?;
        let mut values = vec![nobody.elapsed.as_secs_f64(), times(&one)];
        if contender != Contender::TailF {
            let none = write(bench, Some(contender), 0)?;
            let many = write(bench, Some(contender), FOLLOWERS_MANY)?;
            values.extend([times(&none), times(&many), many.share_received]);
        }
        Ok(values)
    })?;
    Ok(table)
}

struct Written {
    elapsed: Duration,
    /// By one follower, until the last line was written.
    share_received: f64,
}

fn write(
    bench: &Bench,
    contender: Option<Contender>,
    followers: usize,
) -> Result<Written, Failure> {
    bench.allow_descriptors(followers)?;
    let mut sample = bench.sample("producer.log", LINE_BYTES)?;
    let begin_bytes = sample.bytes;
    let followed = match contender {
        Some(contender) => Some(Followed::start(bench, contender, &sample.path, followers)?),
        None => None,
    };
    let start = Instant::now();
    for _ in 0..bench.options.lines {
        sample.append()?;
    }
    let elapsed = start.elapsed();
    let written_bytes = (sample.bytes - begin_bytes) * followers as u64;
    let received_bytes = match followed {
        Some(followed) => followed.end()?,
        None => 0,
    };
    Ok(Written {
        elapsed,
        share_received: received_bytes as f64 / written_bytes as f64,
    })
}

/// Whoever follows a file, and those who read. The readers end first: they are dropped in order.
struct Followed {
    readers: Readers,
    begin_bytes: u64,
    _server: Option<Server>,
    _tail: Option<Tail>,
}

impl Followed {
    /// Returns when everybody has got what is in the file: so it is followed from now on.
    fn start(
        bench: &Bench,
        contender: Contender,
        path: &Path,
        followers: usize,
    ) -> Result<Followed, Failure> {
        let mut crowd = Crowd::new(contender, Taking::Copy)?;
        let (mut server, mut tail) = (None, None);
        if contender == Contender::TailF {
            tail = Some(Tail::start(bench, path, &mut crowd)?);
        } else {
            let server = server.insert(Server::start(bench, contender, path)?);
            for _ in 0..followers {
                crowd.join(server, "0")?;
            }
        }
        crowd.receive(LINE_BYTES, |_| {})?;
        Ok(Followed {
            begin_bytes: crowd.received_bytes(),
            readers: Readers::start(bench, crowd, Place::Servers),
            _server: server,
            _tail: tail,
        })
    }

    /// How much all have received since it began.
    fn end(self) -> Result<u64, Failure> {
        let received_bytes = self.readers.received_bytes() - self.begin_bytes;
        self.readers.stop()?;
        Ok(received_bytes)
    }
}

/// Killed when dropped.
struct Tail(Child);

impl Tail {
    fn start(bench: &Bench, path: &Path, crowd: &mut Crowd) -> Result<Tail, Failure> {
        let mut command = Command::new("tail");
        command
            .args(["-n", "+1", "-f", "--"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut tail = Tail(bench.cores.start(&mut command)?);
        match tail.0.stdout.take() {
            Some(pipe) => crowd.adopt(pipe.into())?,
            None => return Err(Failure::new("tail has no output")),
        }
        Ok(tail)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
