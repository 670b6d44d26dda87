//! Detects paths that lead to the same file, so that no output replaces an input.

use std::path::{Path, PathBuf};

use crate::files::{folder_of, identity};

/// Which of the `others` is the same file; also detects files in the template folder.
pub fn find(
    file: &Path,
    others: &[(&'static str, PathBuf)],
    templates: &Path,
) -> Option<&'static str> {
    let same = others.iter().find(|(_, other)| is_same_file(file, other));
    let among_templates = || {
        let templates = templates.canonicalize().ok()?;
        let inside = resolved(file)?.starts_with(templates);
        inside.then_some("a file of the templates")
    };
    same.map(|(what, _)| *what).or_else(among_templates)
}

/// Whether two paths lead to one file, which need not exist yet.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |it: &Path| it.metadata().map(|it| identity(&it));
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => resolved(one).is_some_and(|it| Some(it) == resolved(other)),
    }
}

/// A path with its folder in canonical form.
fn resolved(path: &Path) -> Option<PathBuf> {
    let folder = folder_of(path).canonicalize().ok()?;
    Some(folder.join(path.file_name()?))
}

/// The target of a symbolic link; any other path, and a dangling link, as it is.
pub fn behind_link(path: PathBuf) -> PathBuf {
    if path.is_symlink() {
        path.canonicalize().unwrap_or(path)
    } else {
        path
    }
}
