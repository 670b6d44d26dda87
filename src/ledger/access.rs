//! Recording who has asked for access to a package.

use jiff::Timestamp;

use super::error::Result;
use super::person_access::{AccessChange, PersonAccess};
use super::reader::Reader;
use super::store::{Store, on_writer};
use crate::invitation::AccessState;
use crate::link::PackageId;

/// How many people are recorded in one transaction, which takes a few milliseconds.
const BATCH: u32 = 500;

/// Replaces what is recorded about a package by a complete reading of its requests, which began at `at`, in
/// short transactions. `people` has the order of the hashes, each of them once. A person who is missing has no
/// request any more. Gives whose state has changed.
///
/// # Errors
/// If it cannot be recorded. Some of it may be recorded then; the time of the reading is not.
pub async fn record(
    store: &Store,
    reader: &Reader,
    package: PackageId,
    people: &[PersonAccess],
    at: Timestamp,
) -> Result<Vec<AccessChange>> {
    debug_assert!(people.is_sorted_by(|a, b| a.person < b.person));
    let mut changes = Vec::new();
    for batch in people.chunks(BATCH as usize) {
        let batch = batch.to_vec();
        let recorded = on_writer!(*store, it => it.record_access(package, &batch));
        changes.extend(recorded?);
    }
    let mut after = None;
    loop {
        let recorded = reader.people(package, after, BATCH).await?;
        let Some((last, _)) = recorded.last() else {
            break;
        };
        after = Some(*last);
        let is_read = |person| people.binary_search_by_key(&person, |it| it.person).is_ok();
        let mut gone = recorded;
        gone.retain(|(person, _)| !is_read(*person));
        if gone.is_empty() {
            continue;
        }
        let deleted: Vec<_> = gone.iter().map(|it| it.0).collect();
        on_writer!(*store, it => it.forget_access(package, &deleted))?;
        changes.extend(gone.into_iter().map(|(person, from)| AccessChange {
            person,
            from,
            to: AccessState::None,
        }));
    }
    on_writer!(*store, it => it.record_reading(package, at))?;
    Ok(changes)
}
