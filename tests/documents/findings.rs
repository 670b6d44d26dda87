//! The table of what the program finds in Microsoft Entra has every finding of the program with its severity,
//! and no other.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::markdown::{code_spans, tables_of};
use super::{ROOT, page};

/// The first text of each call of `error` and `warning`, with that severity, and of each pair after `=>`,
/// which becomes a warning. What could not be read is described in `wording.rs`, and begins with "not checked".
fn collect(tokens: TokenStream, found: &mut BTreeMap<String, &'static str>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (nth, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let before = tokens[..nth].iter().rev().take(2);
        let before: String = before.map(ToString::to_string).collect();
        let in_parentheses = group.delimiter() == Delimiter::Parenthesis;
        let severity = match before.as_str() {
            _ if !in_parentheses => None,
            "error." => Some("error"),
            "warning." => Some("warning"),
            ">=" => Some("warning"),
            _ => None,
        };
        if let (Some(severity), Some(text)) = (severity, first_text(group.stream())) {
            found.insert(text, severity);
        }
        collect(group.stream(), found);
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
    let mut found = BTreeMap::new();
    let folder = std::fs::read_dir(Path::new(ROOT).join("src/entra")).unwrap();
    for file in folder {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (source, _) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        collect(source.parse().unwrap(), &mut found);
    }
    // Other pairs after `=>` have single words.
    found.retain(|text, _| text.split(' ').count() > 4);
    let table = tables_of(page("entra.md"), "finding").remove(0);
    let phrases_of = |row: &[String]| -> Vec<String> {
        let phrases = code_spans(&row[0]).into_iter();
        phrases.map(str::to_owned).collect()
    };

    assert!(found.len() > 20, "{found:#?}");
    for (text, severity) in &found {
        let is_about = |row: &&Vec<String>| phrases_of(row).iter().any(|it| text.contains(it));
        let row = table.rows.iter().find(is_about);
        let row = row.unwrap_or_else(|| panic!("no row for: {text}"));
        assert!(row[1].starts_with(severity), "{severity}: {text}");
    }
    for row in &table.rows {
        for phrase in phrases_of(row) {
            let is_there = found.keys().any(|it| it.contains(&phrase));
            assert!(is_there, "the program finds no `{phrase}`");
        }
    }
}
