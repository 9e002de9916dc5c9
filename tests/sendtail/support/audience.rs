//! Clients of one file that are in different places, and have to get the same bytes.

use std::sync::LazyLock;

use super::{Client, Server};

/// What the file holds when the audience comes, no two pieces of it alike: more than the kernel
/// takes for a client that does not read.
pub static BACKLOG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let numbers = 0..1_u64 << 21;
    numbers.flat_map(u64::to_be_bytes).collect()
});

/// What the lagging client has read before anything happens.
const LAGGING_BYTES: usize = 1 << 20;

pub struct Audience {
    /// Those who read at once what comes.
    pub readers: Vec<Client>,
    /// Reads a piece at the start, and the rest at the end.
    pub lagging: Client,
    /// Has half-closed, as many clients do, and reads at the end only.
    pub stuck: Client,
    /// All that they have to get.
    written: Vec<u8>,
}

impl Audience {
    /// `path` is what the header says behind the start: nothing, or a blank and a path. What they
    /// ask for holds the `BACKLOG`.
    pub fn gather(server: &Server, path: &str) -> Audience {
        let [mut reader, mut lagging, mut stuck] =
            [(); 3].map(|()| server.ask(format!("0{path}\n")));
        stuck.half_close();
        reader.expect(&BACKLOG);
        lagging.expect(&BACKLOG[..LAGGING_BYTES]);
        server.sent_until_full();
        for behind in [&lagging, &stuck] {
            let offset = server.offset(behind);
            assert!(offset < BACKLOG.len() as u64, "nobody is behind");
        }
        Audience {
            readers: vec![reader],
            lagging,
            stuck,
            written: BACKLOG.clone(),
        }
    }

    /// This comes next, before anything else.
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.written.extend_from_slice(bytes);
        for reader in &mut self.readers {
            reader.expect(bytes);
        }
    }

    /// Somebody who has got by now what the other readers have.
    pub fn join(&mut self, reader: Client) {
        self.readers.push(reader);
    }

    /// Those who are behind get all of it, the readers nothing more; nothing was lost on the way.
    /// All of them are readers now.
    pub fn finish(mut self, server: &Server) -> Vec<Client> {
        self.lagging.expect(&self.written[LAGGING_BYTES..]);
        self.stuck.expect(&self.written);
        for field in ["cut", "gaps", "missed", "late", "held"] {
            assert_eq!(server.totals(field), 0, "{field}");
        }
        server.look();
        self.readers.push(self.lagging);
        self.readers.push(self.stuck);
        self.readers.iter_mut().for_each(Client::expect_nothing);
        self.readers
    }

    /// Those who are behind are closed: what they have got is the beginning of what they asked for.
    /// Gives for each the client and how much it has got.
    pub fn expect_cut(&mut self) -> [(&Client, usize); 2] {
        let behind = [(&mut self.lagging, LAGGING_BYTES), (&mut self.stuck, 0)];
        behind.map(|(client, before)| {
            let received = client.read_to_end();
            let end = before + received.len();
            assert!(received == BACKLOG[before..end], "{end} bytes, but others");
            (&*client, end)
        })
    }
}
