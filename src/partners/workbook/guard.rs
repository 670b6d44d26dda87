//! The last resort against files that calamine does not expect.

use super::error::{WorkbookError, damaged};
use crate::panics::caught;

/// Turns a panic of calamine into an error: it indexes bytes of damaged files without asking.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, WorkbookError>) -> Result<T, WorkbookError> {
    caught(read).unwrap_or_else(|| Err(damaged("it cannot be parsed")))
}

#[cfg(test)]
mod tests {
    use super::{WorkbookError, guarded};

    #[test]
    fn a_panic_becomes_an_error() {
        let caught = guarded::<()>(|| panic!("of a damaged file"));

        assert!(matches!(caught, Err(WorkbookError::Damaged(_))));
    }
}
