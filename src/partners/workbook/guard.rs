//! The last resort against files that calamine does not expect.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::WorkbookError;

/// Turns a panic of calamine into an error: it indexes bytes of damaged files without asking.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, WorkbookError>) -> Result<T, WorkbookError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(WorkbookError::Damaged("it cannot be parsed".into())))
}
