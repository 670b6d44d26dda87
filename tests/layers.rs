//! Holds the layers of the architecture: a module imports only from those below it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

/// From the bottom up; modules of one line do not import each other.
const LAYERS: [&[&str]; 13] = [
    &["exit", "output"],
    &["link", "address", "locale", "files", "digest"],
    &["outcome"],
    &["refusal"],
    &["invitation"],
    &["config"],
    &["partners", "templates"],
    &["message"],
    &[
        "ledger", "relay", "sandbox", "gallery", "report", "approval",
    ],
    &["plan"],
    &["delivery", "results"],
    &["commands"],
    &["cli"],
];

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|it| it.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` is in no layer"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_module_imports_from_its_own_layer_or_from_above() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut checked = 0;

    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let module = module.trim_end_matches(".rs");
        if matches!(module, "main" | "lib") || inside.ends_with("tests.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&file).unwrap();
        // What tests import is their own business.
        let source = source.split("#[cfg(test)]").next().unwrap();
        for rest in source.split("crate::").skip(1) {
            let used: String = rest
                .chars()
                .take_while(|it| it.is_alphanumeric() || *it == '_')
                .collect();
            if used == module || used.is_empty() {
                continue;
            }
            checked += 1;
            assert!(
                layer_of(&used) < layer_of(module),
                "{}: `{module}` may not use `{used}`",
                inside.display()
            );
        }
    }
    assert!(checked > 100, "only {checked} imports were found");
}
