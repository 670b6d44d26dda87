//! Checks the layers of the architecture: a module imports only from layers below it, and no files import
//! each other in a circle.
//!
//! The tokens of each file are read, so that strings and comments do not count, and imports inside of
//! macros do. Only `#[cfg(test)] mod` is skipped, with the file that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// From the bottom up; modules of one line do not import each other.
const LAYERS: [&[&str]; 18] = [
    &["os_error", "panics", "clock"],
    &["finding", "output", "html"],
    &["link", "address", "locale", "color", "files", "digest"],
    &["outcome", "atomic_file", "mentions", "masking"],
    &["refusal"],
    &["invitation"],
    &["config"],
    &["partners", "templates", "inbox"],
    &["message"],
    &["http", "dns", "secret"],
    &["oauth"],
    &[
        "ledger",
        "relay",
        "entra",
        "sandbox",
        "review",
        "report",
        "approval",
        "sender_domain",
        "metrics",
        "notify",
    ],
    &["plan", "outbox", "sync", "events"],
    &["delivery", "results"],
    &["log"],
    &["console", "exit"],
    &["commands"],
    &["cli"],
];

/// A module by its path, `ledger::writer`; the crate itself is empty.
type Module = String;

/// The modules and imports of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    /// The modules that it declares in other files, except for tests.
    children: BTreeSet<Module>,
    /// Modules for tests only. Tests may import them, and they may import anything.
    children_for_tests: BTreeSet<Module>,
    /// Every path of two or more segments, with `crate`, `self` and `super` resolved; a path
    /// that begins with another name is relative to its module.
    paths: BTreeSet<Vec<String>>,
}

impl Source {
    fn read(module: &str, text: &str) -> Self {
        let mut source = Self::default();
        let module: Vec<_> = module.split("::").filter(|it| !it.is_empty()).collect();
        let tokens: TokenStream = text.parse().expect("it compiles");
        source.scan(&module, tokens);
        source
    }

    fn scan(&mut self, module: &[&str], tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while let Some(token) = rest.first() {
            if let Some((only_in_tests, name, body, after)) = declaration(rest) {
                let inner = [module, &[name.as_str()]].concat();
                match body {
                    None if only_in_tests => {
                        self.children_for_tests.insert(inner.join("::"));
                    }
                    _ if only_in_tests => {}
                    Some(body) => self.scan(&inner, body),
                    None => {
                        self.children.insert(inner.join("::"));
                    }
                }
                rest = after;
            } else if let Some(after) = self.path(module, &[], rest) {
                rest = after;
            } else {
                if let TokenTree::Group(group) = token {
                    self.scan(module, group.stream());
                }
                rest = &rest[1..];
            }
        }
    }

    /// Records the path that `tokens` begin with, and each one of a tree of imports.
    fn path<'a>(
        &mut self,
        module: &[&str],
        before: &[String],
        tokens: &'a [TokenTree],
    ) -> Option<&'a [TokenTree]> {
        let mut path = before.to_vec();
        let mut rest = tokens;
        loop {
            match rest {
                [TokenTree::Ident(name), after @ ..] => {
                    path.push(name.to_string());
                    rest = after;
                }
                [TokenTree::Group(tree), after @ ..]
                    if tree.delimiter() == Delimiter::Brace && path.len() > before.len() =>
                {
                    let inner: Vec<_> = tree.stream().into_iter().collect();
                    for branch in inner.split(|it| is_punct(it, ',')) {
                        self.path(module, &path, branch);
                    }
                    return Some(after);
                }
                _ => break,
            }
            match rest {
                [first, second, after @ ..] if is_punct(first, ':') && is_punct(second, ':') => {
                    rest = after;
                }
                _ => break,
            }
        }
        if path.len() == before.len() {
            return None;
        }
        if path.len() > 1 {
            self.paths.insert(resolved(module, &path));
        }
        Some(rest)
    }
}

/// `mod name;` or `mod name { … }` with its attributes: whether it is only built for tests, its name, its
/// body and what follows.
fn declaration(tokens: &[TokenTree]) -> Option<(bool, String, Option<TokenStream>, &[TokenTree])> {
    let mut only_in_tests = false;
    let mut rest = tokens;
    while let [hash, TokenTree::Group(attribute), after @ ..] = rest
        && is_punct(hash, '#')
    {
        only_in_tests |= attribute.stream().to_string().replace(' ', "") == "cfg(test)";
        rest = after;
    }
    if let [TokenTree::Ident(visibility), after @ ..] = rest
        && visibility == "pub"
    {
        rest = match after {
            [TokenTree::Group(_), after @ ..] => after,
            _ => after,
        };
    }
    let [
        TokenTree::Ident(keyword),
        TokenTree::Ident(name),
        end,
        after @ ..,
    ] = rest
    else {
        return None;
    };
    let body = match end {
        TokenTree::Group(body) => Some(body.stream()),
        _ => None,
    };
    (keyword == "mod").then(|| (only_in_tests, name.to_string(), body, after))
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(it) if it.as_char() == wanted)
}

/// The path from the root of the crate.
fn resolved(module: &[&str], path: &[String]) -> Vec<String> {
    let mut base: Vec<String> = module.iter().map(|it| (*it).to_owned()).collect();
    // `a::{self}` is `a`.
    let mut rest = path.strip_suffix(&["self".to_owned()]).unwrap_or(path);
    while let [first, after @ ..] = rest {
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => break,
        }
        rest = after;
    }
    base.extend_from_slice(rest);
    base
}

/// The files of the library with their modules and imports, starting at `lib.rs`.
fn sources() -> BTreeMap<Module, Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut next = vec![String::new()];
    while let Some(module) = next.pop() {
        let inside = module.replace("::", "/");
        let file = match inside.as_str() {
            "" => src.join("lib.rs"),
            _ if src.join(&inside).join("mod.rs").exists() => src.join(&inside).join("mod.rs"),
            _ => src.join(inside + ".rs"),
        };
        let text = std::fs::read_to_string(&file);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let source = Source::read(&module, &text);
        next.extend(source.children.iter().cloned());
        let for_tests = source.children_for_tests.iter().cloned();
        found.extend(for_tests.map(|it| (it, Source::default())));
        found.insert(module, source);
    }
    found
}

/// Which file imports from which others. An import counts for the innermost file that its path names, so
/// what a parent re-exports counts for the parent.
fn imports(sources: &BTreeMap<Module, Source>) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    for (module, source) in sources {
        for path in &source.paths {
            let prefixes = (1..=path.len())
                .rev()
                .map(|length| path[..length].join("::"));
            let target = prefixes
                .filter_map(|it| sources.get_key_value(&it))
                .map(|(it, _)| it)
                .next();
            if let Some(target) = target.filter(|it| *it != module) {
                found.insert((module.as_str(), target.as_str()));
            }
        }
    }
    found
}

/// The files that can be reached from one by imports.
fn reached<'a>(from: &'a str, imports: &BTreeSet<(&'a str, &'a str)>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        let targets = imports.range((module, "")..);
        let targets = targets.take_while(|(it, _)| *it == module);
        next.extend(targets.map(|(_, it)| *it).filter(|it| found.insert(*it)));
    }
    found
}

/// The imports that are part of a circle.
fn in_circles<'a>(imports: &BTreeSet<(&'a str, &'a str)>) -> BTreeSet<(&'a str, &'a str)> {
    let closes = |(from, to): &(&'a str, &'a str)| reached(to, imports).contains(from);
    imports.iter().copied().filter(closes).collect()
}

fn layer_of(module: &str) -> usize {
    let room = module.split("::").next().unwrap_or_default();
    LAYERS
        .iter()
        .position(|it| it.contains(&room))
        .unwrap_or_else(|| panic!("`{room}` is in no layer"))
}

#[test]
fn modules_import_only_from_layers_below() {
    let sources = sources();
    let imports = imports(&sources);
    let mut checked = 0;
    for (from, to) in imports {
        let room = |it: &str| it.split("::").next().map(str::to_owned);
        if from.is_empty() || room(from) == room(to) {
            continue;
        }
        checked += 1;
        assert!(
            layer_of(to) < layer_of(from),
            "`{from}` may not import from `{to}`"
        );
    }
    assert!(checked > 100, "only {checked} imports were found");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let circles = in_circles(&imports(&sources));
    assert!(circles.is_empty(), "imports in a circle: {circles:#?}");
}

#[test]
fn imports_are_found_everywhere_except_in_tests() {
    let text = r#"
        //! Not [`crate::doc`].
        #[cfg(test)]
        mod tests;
        mod child;
        #[cfg(test)]
        pub(crate) mod testing { use crate::testing::Only; }
        use std::fmt;
        use crate::{a::{self, A}, b::{B, c::*}};
        pub use self::child::Child;
        use super::sibling::Thing as Other;
        pub(super) mod inner { use super::super::uncle::U; }
        #[cfg(test)]
        use crate::used::InTests;
        impl child::Child {
            fn f(&self) -> crate::d::D<crate::e::E> { println!("{} crate::text::T", crate::g::G::new()) }
        }
    "#;

    let source = Source::read("room::this", text);

    let child = BTreeSet::from(["room::this::child".to_owned()]);
    assert_eq!(source.children, child);
    let found: Vec<_> = source.paths.iter().map(|it| it.join("::")).collect();
    for path in [
        "a",
        "a::A",
        "b::B",
        "b::c",
        "d::D",
        "e::E",
        "g::G::new",
        "room::sibling::Thing",
        "room::this::child::Child",
        "room::uncle::U",
        "used::InTests",
    ] {
        assert!(found.iter().any(|it| it == path), "{path}: {found:#?}");
    }
    for part in ["doc", "testing", "text"] {
        let none = found.iter().all(|it| !it.contains(part));
        assert!(none, "{part}: {found:#?}");
    }
}

#[test]
fn import_circles_of_any_length_are_found() {
    let line = [("a", "b"), ("b", "c"), ("a", "c")];
    assert!(in_circles(&BTreeSet::from(line)).is_empty());
    let circle = BTreeSet::from([("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("d", "e")]);
    let expected = BTreeSet::from([("b", "c"), ("c", "d"), ("d", "b")]);
    assert_eq!(in_circles(&circle), expected);
}
