//! The table of what the program finds in Microsoft Entra has every finding of the program, and no other.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::page;
use super::tables::documented;

/// What describes findings.
const SOURCES: [&str; 2] = [
    include_str!("../../src/entra/conditions.rs"),
    include_str!("../../src/entra/coverage.rs"),
];

/// The first text of each call of `error` and `warning`, and of each pair after `=>`: what was found. What
/// could not be read is described elsewhere, and always begins with "not checked".
fn texts(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (nth, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let before = tokens[..nth].iter().rev().take(2);
        let before: String = before.map(ToString::to_string).collect();
        let is_call = before.starts_with("error") || before.starts_with("warning");
        if is_call || before == ">=" {
            found.extend(first_text(group.stream()));
        }
        texts(group.stream(), found);
    }
}

/// The first string literal, also inside of a macro.
fn first_text(tokens: TokenStream) -> Option<String> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Literal(text) => text.to_string().strip_prefix('"').map(str::to_owned),
        TokenTree::Group(group) => first_text(group.stream()),
        _ => None,
    })
}

#[test]
fn the_findings_about_entra_are_those_of_the_program() {
    let mut found = BTreeSet::new();
    for source in SOURCES {
        let (source, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
        texts(source.parse().unwrap(), &mut found);
    }
    let phrases = documented(page("entra.md"), "finding");

    // Texts of several words; others are parts of one.
    let sentences: Vec<_> = found.iter().filter(|it| it.split(' ').count() > 4).collect();
    assert!(sentences.len() > 20, "{sentences:#?}");
    for text in &sentences {
        let row = phrases.iter().find(|it| text.contains(it.as_str()));
        assert!(row.is_some(), "no row for {text}");
    }
    for phrase in &phrases {
        let is_there = sentences.iter().any(|it| it.contains(phrase));
        assert!(is_there, "the program finds no `{phrase}`");
    }
}
