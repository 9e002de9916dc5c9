//! Files that are never rotated, and those who follow them for the whole of a soak.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::content::Content;
use super::service::{Service, count};
use super::site::{COPIED, COPIED_BYTES, Site};
use crate::examples::{Local, Run};
use crate::model::random::Random;
use crate::support::{Client, Pace};

/// A mirror waits up to 30 s before it knocks again.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// What mirrors copy. Whoever holds it keeps it from growing.
pub struct Copied {
    file: Mutex<(File, u64)>,
}

impl Copied {
    pub fn new(site: &Site) -> Copied {
        let file = OpenOptions::new().append(true).open(site.quiet("copied"));
        let file = file.expect("it has been made");
        Copied {
            file: Mutex::new((file, COPIED_BYTES as u64)),
        }
    }

    /// Appends now and then, whatever happens to the servers.
    pub fn write(
        &self,
        services: &[Service; 2],
        seed: u64,
        failed: &AtomicBool,
        is_over: impl Fn() -> bool,
    ) {
        let mut random = Random::new(seed);
        let gate = &services[0].gate;
        while !is_over() {
            if gate.is_closed() {
                gate.pass(failed);
            }
            self.append(random.scale(1, 13));
            services.iter().for_each(|one| count(&one.done.ops, 1));
            let pause_max = *random.pick(&[10, 100, 300]);
            let pause = random.below(pause_max);
            std::thread::sleep(Duration::from_millis(pause as u64));
        }
    }

    pub fn append(&self, bytes: usize) {
        let mut file = self.hold();
        let content = COPIED.bytes(file.1, bytes);
        file.0.write_all(&content).expect("there is room");
        file.1 += bytes as u64;
    }

    /// It is the same as the copy, which is on its way to it.
    pub fn compare(&self, mirror: &mut Mirror, failed: &AtomicBool) {
        let file = self.hold();
        let start = Instant::now();
        while mirror.local.length() as u64 != file.1 {
            let length = mirror.local.length();
            assert!(
                !mirror.run.has_ended(),
                "a mirror stops: {}",
                mirror.run.stderr()
            );
            let is_late = start.elapsed() > WAIT_MAX;
            assert!(!is_late, "a mirror has {length} bytes of {}", file.1);
            if failed.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        mirror.check(COPIED);
    }

    fn hold(&self) -> MutexGuard<'_, (File, u64)> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy and the program that makes it.
pub struct Mirror {
    local: Local,
    run: Run,
}

impl Mirror {
    pub fn of(service: &Service) -> Mirror {
        let local = Local::absent();
        let run = local.mirror_of(service.address(), "copied");
        count(&service.done.connects, 1);
        Mirror { local, run }
    }

    fn check(&self, content: Content) {
        let mut copy = File::open(self.local.path()).expect("it has been made");
        let (mut offset, mut chunk) = (0, vec![0; 1 << 20]);
        loop {
            let count = copy.read(&mut chunk).expect("it can be read");
            if count == 0 {
                break;
            }
            let checked = content.check(offset, &chunk[..count]);
            checked.unwrap_or_else(|how| panic!("a mirror differs: {how}"));
            offset += count as u64;
        }
        assert_eq!(self.run.stderr(), "");
    }
}

/// A line each few milliseconds for one follower, while the server is not stopped.
pub fn canary(
    service: &Service,
    path: PathBuf,
    failed: &AtomicBool,
    is_over: impl Fn() -> bool,
) -> Pace {
    let stream = std::net::TcpStream::connect(service.address()).expect("it is up");
    let mut client = Client::new(stream);
    client.send(b"0 canary\n");
    count(&service.done.connects, 1);
    let mut clients = [client];
    let mut pace = Pace::new();
    while !is_over() {
        if service.gate.is_closed() {
            service.gate.pass(failed);
        }
        let runs = service.stop.read();
        pace.append(&path, &mut clients);
        drop(runs);
        count(&service.done.ops, 1);
        std::thread::sleep(Duration::from_millis(20));
    }
    clients.into_iter().for_each(Client::reset);
    pace
}
