//! The last resort against files that calamine does not expect.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::WorkbookError;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes an error of the workbook, so that it is not reported.
#[must_use]
pub fn catches_panics() -> bool {
    GUARDED.get()
}

/// Turns a panic of calamine into an error: it indexes bytes of damaged files without asking.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, WorkbookError>) -> Result<T, WorkbookError> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    result.unwrap_or_else(|_| Err(WorkbookError::Damaged("it cannot be parsed".into())))
}

#[cfg(test)]
mod tests {
    use super::{WorkbookError, catches_panics, guarded};

    #[test]
    fn a_panic_becomes_an_error_and_is_announced_while_it_can_happen() {
        let mut inside = false;

        let caught = guarded::<()>(|| {
            inside = catches_panics();
            panic!("of a damaged file")
        });

        assert!(inside);
        assert!(!catches_panics());
        assert!(matches!(caught, Err(WorkbookError::Damaged(_))));
    }
}
