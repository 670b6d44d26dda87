//! Approvals: a send goes ahead only with what a person has seen in a preview.
//!
//! The inputs are approved, not what is due: the configuration without its secrets, the links, the
//! templates, and the bytes of the list. An approval therefore holds from run to run until one of them
//! changes. A preview proposes it as `approval.txt`, which is copied to where `[approval] file` points.
//! Only the digest in it decides; the rest tells what has changed.

mod changes;
mod digest;
mod inputs;

use std::io::ErrorKind;
use std::path::Path;

pub use self::digest::{Digest, GROUPS, NotADigest};
pub use self::inputs::{ApprovalError, Inputs, Result};
use crate::files;

/// The largest approval: three million rows.
const LIMIT: u64 = 128 * 1024 * 1024;
/// How much of an approval is searched for its digest.
const BEGINNING: usize = 64 * 1024;

/// Checks that these inputs are approved, if an approval is asked for: by `given`, the digest on the command
/// line, or else by `file`, which the configuration names. `proposal` is that of the last preview.
///
/// # Errors
/// If they are not, with what has changed; if the approval exists but cannot be read.
pub fn require(
    inputs: &Inputs,
    given: Option<Digest>,
    file: Option<&Path>,
    proposal: &Path,
) -> Result<()> {
    let (approved, manifest) = match (given, file) {
        (None, None) => return Ok(()),
        (None, Some(file)) => match read(file)? {
            Some((digest, manifest)) => (digest, manifest),
            None => {
                return Err(ApprovalError::NotApproved(format!(
                    "not approved: there is no `{}`; review the messages with `access-invite preview`, then run `{}`",
                    file.display(),
                    command(proposal, file)
                )));
            }
        },
        (Some(digest), file) => {
            let files = file.into_iter().chain([proposal]);
            let mut found = files.filter_map(|it| read(it).ok().flatten());
            let manifest = found.find(|it| it.0 == digest);
            (digest, manifest.map(|it| it.1).unwrap_or_default())
        }
    };
    if approved == inputs.digest() {
        return Ok(());
    }
    let changes = changes::describe(approved, &manifest, inputs)?.join("\n");
    let approve = match (given, file) {
        (None, Some(file)) => format!("run `{}`", command(proposal, file)),
        _ => "pass the digest that it prints to `--approved`".to_owned(),
    };
    Err(ApprovalError::NotApproved(format!(
        "the inputs have changed since they were approved:\n{changes}\nreview the messages with `access-invite preview`, then {approve}"
    )))
}

/// The shell command that makes a proposal the approval.
#[must_use]
pub fn command(proposal: &Path, file: &Path) -> String {
    let quoted = |path: &Path| {
        let path = path.display().to_string();
        let plain = |it: char| it.is_alphanumeric() || "/._-".contains(it);
        if path.chars().all(plain) {
            path
        } else {
            format!("'{}'", path.replace('\'', "'\\''"))
        }
    };
    format!("cp {} {}", quoted(proposal), quoted(file))
}

/// The digest in an approval, and the whole approval; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<(Digest, Vec<u8>)>> {
    let shown = path.display();
    let bytes = match files::read(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!(
                "cannot read the approval `{shown}`: {error}; make it readable for this user, or copy it again"
            );
            return Err(match error.kind() {
                ErrorKind::PermissionDenied => ApprovalError::NoPermission(message),
                _ => ApprovalError::NotUsable(message),
            });
        }
    };
    // The digest is on the third line of a proposal; a file with nothing but a digest is accepted, too.
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    let digest = beginning.split(|it| *it == b'\n').take(20).find_map(|it| {
        let line = std::str::from_utf8(it).ok()?;
        let line = line.trim_start_matches('\u{feff}').trim_end();
        line.strip_prefix("digest ").unwrap_or(line).parse().ok()
    });
    match digest {
        Some(digest) => Ok(Some((digest, bytes))),
        None => Err(ApprovalError::NotUsable(format!(
            "`{shown}` is not an approval: it has no line with a digest; copy the `approval.txt` of a preview there"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_for_any_path() {
        let command = |file: &str| command(Path::new("preview/approval.txt"), Path::new(file));

        assert_eq!(
            command("approved.txt"),
            "cp preview/approval.txt approved.txt"
        );
        assert_eq!(
            command("/srv/it's $HOME/x"),
            "cp preview/approval.txt '/srv/it'\\''s $HOME/x'"
        );
    }
}
