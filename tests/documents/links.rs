//! Every relative link leads to a file, and every anchor to a heading.

use std::path::{Path, PathBuf};

use super::markdown::{anchors, links};
use super::{PAGES, ROOT};

/// All documents, by path.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let folder = std::fs::read_dir(root.join("docs")).unwrap();
    let pages = folder.map(|it| it.unwrap().path());
    let mut paths: Vec<PathBuf> = pages
        .filter(|it| it.extension().is_some_and(|it| it == "md"))
        .collect();
    paths.extend([root.join("README.md"), root.join("CHANGELOG.md")]);
    paths
}

#[test]
fn every_relative_link_and_anchor_exists() {
    let mut checked = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let found = anchors(&text).iter().any(|it| it == anchor);
                assert!(found, "{}: {link}", path.display());
            }
        }
    }
    assert!(checked > 40, "only {checked} links were checked");
}

#[test]
fn every_page_is_either_for_administrators_or_for_developers() {
    let developers = [
        "ARCHITECTURE.md",
        "PERFORMANCE.md",
        "RELIABILITY.md",
        "SECURITY.md",
    ];
    for path in documents() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let known = PAGES.iter().map(|it| it.0).chain(developers);
        let known = known.chain(["README.md", "CHANGELOG.md"]);
        let mut known = known;
        assert!(
            known.any(|it| it == name),
            "{name} is checked by no test: add it to `PAGES`"
        );
    }
}
