//! The table of connections: from a token to a seat, never to a later client in the same seat.

use crate::client::Client;
use crate::refusal::Full;
use crate::socket::Peer;
use crate::texts::TextKey;
use crate::watch::TailKey;

use mio::Token;
use slab::Slab;

use std::time::Instant;

/// All connections.
#[derive(Default)]
pub struct Clients {
    seats: Slab<Seat>,
    /// Goes up with each connection, so that an event or a queue that means an earlier one finds
    /// nobody.
    next_generation: u32,
    /// Clients over the limit, who are only told so.
    over_limit: usize,
}

/// One connection and what the server knows of it.
pub struct Seat {
    pub client: Client,
    pub peer: Peer,
    /// When it connected.
    pub since: Instant,
    pub at: At,
    /// The name it follows; set from its request to its end.
    pub tail: Option<TailKey>,
    /// The text that it is sent; set in place of `tail`.
    pub text: Option<TextKey>,
    /// It is over a limit and is only told so.
    pub over_limit: Option<Full>,
    /// An event said that nothing can be sent to it any more.
    pub is_gone: bool,
    /// It stands in the inbox.
    pub is_in_inbox: bool,
    generation: u32,
}

/// Where a client is: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It has not asked yet.
    Header,
    /// In one of the schedule's lanes.
    Ready,
    /// In its segment, under this number.
    Waiting(usize),
    /// Its socket is full.
    Blocked,
    /// What comes next is not in memory: it comes back after a pause, or when its turn comes to ask
    /// the disk.
    Parked,
    /// Nothing more is sent to it.
    Draining,
}

impl Clients {
    /// Takes a new connection in, and says by which token it goes.
    pub fn insert(
        &mut self,
        client: Client,
        peer: Peer,
        since: Instant,
        over_limit: Option<Full>,
    ) -> Token {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        self.over_limit += usize::from(over_limit.is_some());
        let seat = Seat {
            client,
            peer,
            since,
            at: At::Header,
            tail: None,
            text: None,
            over_limit,
            is_gone: false,
            is_in_inbox: false,
            generation,
        };
        token(self.seats.insert(seat), generation)
    }

    /// `None` when that client has gone.
    pub fn seat(&mut self, token: Token) -> Option<&mut Seat> {
        self.seats
            .get_mut(slot(token))
            .filter(|seat| seat.generation == generation(token))
    }

    /// `None` when that client has gone already.
    pub fn remove(&mut self, token: Token) -> Option<Seat> {
        self.seat(token)?;
        let seat = self.seats.remove(slot(token));
        self.over_limit -= usize::from(seat.over_limit.is_some());
        Some(seat)
    }

    /// Everybody, those over the limit and those who drain among them.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Those over the limit.
    pub fn over_limit(&self) -> usize {
        self.over_limit
    }

    /// The clients in the slots from `first_slot` on, at most `count` slots, and the slot to go on
    /// at; `None` at the end.
    pub fn page(
        &self,
        first_slot: usize,
        count: usize,
    ) -> (impl Iterator<Item = &Seat>, Option<usize>) {
        let next = first_slot + count;
        let seats = (first_slot..next).filter_map(|slot| self.seats.get(slot));
        (seats, (next < self.seats.capacity()).then_some(next))
    }

    /// Everybody.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &Seat)> {
        self.seats
            .iter()
            .map(|(slot, seat)| (token(slot, seat.generation), seat))
    }
}

/// The slot is never so large that a client's token could be one of the server's own.
fn token(slot: usize, generation: u32) -> Token {
    Token(slot << 32 | generation as usize)
}

fn slot(token: Token) -> usize {
    token.0 >> 32
}

fn generation(token: Token) -> u32 {
    token.0 as u32
}

const _: () = assert!(
    size_of::<usize>() == 8,
    "a token holds a slot and a generation"
);
