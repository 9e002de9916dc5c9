//! What the histories have met, so that tame ones show.

use std::fmt;

macro_rules! tally {
    ($($(#[$comment:meta])* $field:ident,)*) => {
        /// Counters of one history, or of all together.
        #[derive(Clone, Default)]
        pub struct Tally {
            $($(#[$comment])* pub $field: usize,)*
        }

        impl Tally {
            pub fn add(&mut self, other: &Tally) {
                $(self.$field += other.$field;)*
            }
        }

        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                let fields = [$((stringify!($field), self.$field)),*];
                let parts = fields.map(|(name, sum)| format!("{sum} {}", name.replace('_', " ")));
                f.write_str(&parts.join(", "))
            }
        }
    };
}

tally! {
    histories,
    steps,
    clients,
    stops,
    /// Another file bore the name.
    rotations,
    /// A file bore the name again, and went on where it had ended.
    came_back,
    written_bytes,
    /// Written to a file that had a successor already.
    late_bytes,
    truncations,
    truncations_stopped,
    /// Truncations of which it is not certain how much of the file the server had seen.
    truncations_raced,
    /// Files that were deleted and cannot have been opened, and those that perhaps were.
    gaps_sure,
    gaps_maybe,
    received_bytes,
    /// A client went on from one file to the next.
    crossings,
    /// Clients that were cut off by a truncation; and those whose file was missing, or never got as
    /// far as they had asked for.
    closed_truncated,
    closed_missing,
    /// Clients that were sent what no look can see: see `End::Overtaken`.
    overtaken,
    /// Clients that stayed, and have everything.
    complete,
    waits,
    slow_waits,
    turns,
}

impl Tally {
    /// The least that so many histories have to meet: about half of what they do.
    pub fn expect_not_tame(&self) {
        let least = [
            ("clients", self.clients, 2),
            ("rotations", self.rotations, 4),
            ("crossings", self.crossings, 5),
            ("stops", self.stops, 1),
            ("late kilobytes", self.late_bytes / 1000, 100),
        ];
        for (what, met, each) in least {
            let wanted = each * self.histories;
            assert!(
                met >= wanted,
                "only {met} {what}, {wanted} expected: {self}"
            );
        }
        let rare = [
            ("truncations", self.truncations, 2),
            ("truncations while stopped", self.truncations_stopped, 10),
            ("truncations in a race", self.truncations_raced, 6),
            ("files that came back", self.came_back, 15),
            ("gaps", self.gaps_sure, 3),
            ("possible gaps", self.gaps_maybe, 2),
            ("clients cut off", self.closed_truncated, 3),
            ("clients with a gap", self.closed_missing, 2),
            ("clients with everything", self.complete, 1),
        ];
        for (what, met, histories_each) in rare {
            let wanted = self.histories / histories_each;
            assert!(
                met >= wanted,
                "only {met} {what}, {wanted} expected: {self}"
            );
        }
    }
}

impl Tally {
    /// What no look can see is a window of microseconds: hardly any truncation falls into it, unless
    /// the server does not look.
    pub fn expect_sight(&self) {
        let allowed = 1 + self.truncations_raced / 500;
        assert!(
            self.overtaken <= allowed,
            "{} clients were overtaken by {} truncations",
            self.overtaken,
            self.truncations_raced
        );
    }
}
