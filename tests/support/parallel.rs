//! Runs the cases of one test at the same time, because most of them only wait.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `case` with each item, on at most `threads` threads. The test fails if one of the cases panics.
pub fn for_each<T: Sync>(threads: usize, items: &[T], case: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    case(item);
                }
            });
        }
    });
}
