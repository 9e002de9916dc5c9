//! Random numbers: small, seeded, and the same everywhere (xorshift).

pub struct Random(u64);

impl Random {
    /// Seeds that lie side by side give histories that have nothing in common: splitmix64 scatters
    /// them first.
    pub fn new(seed: u64) -> Random {
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random((mixed ^ (mixed >> 31)) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    /// Both ends are possible.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Small numbers are as likely as large ones: every doubling is.
    pub fn scale(&mut self, least: usize, doublings: usize) -> usize {
        let base = least << self.below(doublings);
        self.between(base, 2 * base)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of them, each as likely as its weight says.
    pub fn weighed<T>(&mut self, mut from: Vec<(usize, T)>) -> T {
        let total = from.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        let at = from.iter().position(|(weight, _)| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        from.swap_remove(at.expect("the weights add up to the total"))
            .1
    }
}
