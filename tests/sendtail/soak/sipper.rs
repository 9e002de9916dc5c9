//! A client that reads one byte a second for the whole of a soak, and all the rest at the end.
//! Where its server is killed it comes back and goes on where it was.

use std::mem;
use std::time::{Duration, Instant};

use super::service::{Service, count};
use super::site::{SIPPED, SIPPED_BYTES};
use crate::model::face::Face;
use crate::model::reader::Reader;
use crate::model::step::{How, Start};

const WAIT_MAX: Duration = Duration::from_secs(90);

const MOMENT: Duration = Duration::from_millis(20);

pub struct Sipper<'a> {
    service: &'a Service,
    /// What it has got so far, in all its connections.
    place: u64,
    connection: Option<Connection>,
}

struct Connection {
    life: usize,
    reader: Reader,
}

impl<'a> Sipper<'a> {
    pub fn new(service: &'a Service) -> Sipper<'a> {
        Sipper {
            service,
            place: 0,
            connection: None,
        }
    }

    pub fn sip(mut self, is_over: impl Fn() -> bool) {
        let name = self.service.name;
        let start = Instant::now();
        while !is_over() {
            let before = self.place;
            self.read(1);
            let second = Instant::now() + Duration::from_secs(1);
            std::thread::sleep(MOMENT);
            while self.place > before && Instant::now() < second && !is_over() {
                std::thread::sleep(MOMENT);
            }
        }
        let (sips, seconds) = (self.place, start.elapsed().as_secs());
        eprintln!("soak {name}: {sips} sips in {seconds} s");
        assert!(sips <= seconds + 2, "that is too many");
        // A server that is down gives nothing.
        assert!(sips >= seconds / 2, "that is too few");
        self.drink_up();
    }

    fn drink_up(mut self) {
        let start = Instant::now();
        while self.place < SIPPED_BYTES as u64 {
            let is_late = start.elapsed() > WAIT_MAX;
            let name = self.service.name;
            assert!(
                !is_late,
                "{name}: what is left from {} does not come",
                self.place
            );
            self.read(usize::MAX);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.place, SIPPED_BYTES as u64);
        if let Some(connection) = self.connection {
            connection.reader.reset();
        }
    }

    fn read(&mut self, bytes_max: usize) {
        let Some(Connection { life, reader }) = &mut self.connection else {
            return self.come_back();
        };
        let result = reader.read(bytes_max);
        let received = mem::take(&mut reader.received);
        let has_ended = reader.has_ended || result.is_err();
        let is_over = self.service.is_over(*life);
        let name = self.service.name;
        // "shutting down", to one who had not got anything.
        if !(is_over && received.starts_with(b"error")) {
            let checked = SIPPED.check(self.place, &received);
            checked.unwrap_or_else(|how| panic!("{name}: sipped {how}"));
            self.place += received.len() as u64;
        }
        if has_ended {
            let how = result.err().unwrap_or_else(|| "a FIN".to_owned());
            assert!(is_over, "{name}: {how} at {}, sipping", self.place);
            self.connection = None;
        }
    }

    fn come_back(&mut self) {
        let service = self.service;
        let Some(life) = service.life() else {
            return;
        };
        let server = (service.address(), service.unix.as_path());
        let start = Start::Byte(self.place as usize);
        let asked = Reader::ask(How::Narrow, server, Face::Raw, (start, "sipped"));
        count(&service.done.connects, 1);
        self.connection = match asked {
            Ok(reader) => Some(Connection { life, reader }),
            Err(_) if service.is_over(life) => None,
            Err(error) => panic!("{}: cannot connect: {error}", service.name),
        };
    }
}
