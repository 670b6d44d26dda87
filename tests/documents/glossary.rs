//! The glossary is in order, and has the terms that the tables use.

use std::collections::BTreeSet;

use super::markdown::tables;
use super::tables::documented;
use super::{PAGES, page};
use access_invite::config::declared_keys;
use access_invite::invitation::State;

/// The terms of the glossary, in its order.
fn glossary() -> Vec<&'static str> {
    let entries = page("glossary.md")
        .lines()
        .filter_map(|it| it.strip_prefix("- **"));
    let terms = entries.map(|it| it.split_once("**: ").unwrap().0);
    terms.collect()
}

#[test]
fn the_glossary_is_in_alphabetical_order() {
    let terms = glossary();
    let lower = |it: &&str| it.to_lowercase();
    let mut sorted = terms.clone();
    sorted.sort_by_key(lower);
    sorted.dedup_by_key(|it| lower(it));

    assert_eq!(terms, sorted);
    assert!(terms.len() > 60, "only {} terms", terms.len());
}

#[test]
fn the_glossary_has_every_state_and_table_term() {
    let mut wanted: BTreeSet<String> = State::ALL.iter().map(ToString::to_string).collect();
    wanted.extend(["not_invited".into(), "bad_row".into()]);
    wanted.extend(documented(page("templates.md"), "step"));
    wanted.extend(documented(page("operations.md"), "decision"));
    for key in declared_keys() {
        let table = key.path.split('.').next().unwrap_or_default();
        wanted.insert(table.to_owned());
    }
    for (_, text) in PAGES {
        wanted.extend(tables(text).iter().map(|it| it.header[0].clone()));
    }
    let text = page("glossary.md").to_lowercase();
    let terms = glossary();

    let is_there = |term: &str| terms.contains(&term) || text.contains(&format!("`{term}`"));
    let missing: Vec<_> = wanted.iter().filter(|it| !is_there(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
