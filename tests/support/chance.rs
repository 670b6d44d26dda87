//! Reproducible random numbers, and the number of trials.
//!
//! `docs/RELIABILITY.md` lists the variables; `ACCESS_INVITE_SEED` repeats a failed test.

use std::time::SystemTime;

/// A seeded random number generator (splitmix64).
pub struct Random(u64);

impl Random {
    /// Seeded by `ACCESS_INVITE_SEED` or the time; the seed is printed, so that a failure can be repeated.
    #[expect(clippy::print_stdout, reason = "a failed test shows it")]
    pub fn seeded() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let from_time = now.unwrap().as_nanos() & u128::from(u64::MAX);
        let seed = number("ACCESS_INVITE_SEED").unwrap_or(u64::try_from(from_time).unwrap());
        println!("ACCESS_INVITE_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The number in an environment variable.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
