//! Catches panics of parsers of files from strangers, which may index bytes of damaged input without asking.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught, so that it is not reported.
#[must_use]
pub fn catches_panics() -> bool {
    GUARDED.get()
}

/// Calls a parser; `None` if it panics.
pub fn caught<T>(parse: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(parse));
    GUARDED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::{catches_panics, caught};

    #[test]
    fn a_panic_becomes_nothing_and_is_announced_while_it_can_happen() {
        let mut inside = false;

        let result = caught::<()>(|| {
            inside = catches_panics();
            panic!("of a damaged file")
        });

        assert!(inside);
        assert!(!catches_panics());
        assert_eq!((result, caught(|| 1)), (None, Some(1)));
    }
}
