//! Approvals: a send goes ahead only with what a person has seen in a preview.
//!
//! The inputs are approved, not what is due: the configuration without its secrets, the links, the
//! templates, and the bytes of the list. An approval therefore holds from run to run until one of them
//! changes. A preview proposes it as `approval.txt`, which is copied to where `[approval] file` points.
//! Only the digest in it decides; the rest tells what has changed.

mod changes;
mod digest;
mod inputs;

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

pub use self::digest::{Digest, GROUPS, NotADigest};
pub use self::inputs::{ApprovalError, Inputs, Result};
use crate::files;

/// How much of an approval is searched for its digest.
const BEGINNING: u64 = 64 * 1024;

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
        (None, Some(file)) => match digest_in(file)? {
            Some(digest) => (digest, Some(file)),
            None => {
                return Err(ApprovalError::NotApproved(format!(
                    "not approved: there is no `{}`; review the messages with `access-invite preview`, then run `{}`",
                    file.display(),
                    command(proposal, file)
                )));
            }
        },
        (Some(digest), file) => {
            let has_it = |it: &&Path| matches!(digest_in(it), Ok(Some(found)) if found == digest);
            (digest, file.into_iter().chain([proposal]).find(has_it))
        }
    };
    if approved == inputs.digest() {
        return Ok(());
    }
    let changes = changes::describe(approved, manifest, inputs)?.join("\n");
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
    format!("cp {} {}", quoted(proposal), quoted(file))
}

/// The shell command that approves exactly these inputs, for somebody in any folder: it fails if the proposal has
/// been replaced by another one since. Without a file of approvals, it sends with this digest.
///
/// # Errors
/// If the current folder is unknown, so that a path cannot be made absolute.
pub fn exact_command(
    digest: Digest,
    proposal: &Path,
    file: Option<&Path>,
    config: &Path,
) -> io::Result<String> {
    let proposal = std::path::absolute(proposal)?;
    let Some(file) = file else {
        let config = quoted(&std::path::absolute(config)?);
        return Ok(format!(
            "access-invite send --approved {digest} --config {config}"
        ));
    };
    Ok(format!(
        "grep -qx 'digest {digest}' {} && {}",
        quoted(&proposal),
        command(&proposal, &std::path::absolute(file)?)
    ))
}

/// A path as one word of a POSIX shell, which no command takes for an option.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-".contains(it);
    let path = if path.starts_with('-') {
        format!("./{path}")
    } else {
        path
    };
    if !path.is_empty() && path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// The digest in an approval; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read, or has no digest.
pub fn digest_in(path: &Path) -> Result<Option<Digest>> {
    let unreadable = |error: io::Error| {
        let denied = error.kind() == ErrorKind::PermissionDenied;
        let message = format!(
            "cannot read the approval `{}`: {error}; make it readable for this user, or copy it again",
            path.display()
        );
        if denied {
            ApprovalError::NoPermission(message)
        } else {
            ApprovalError::NotUsable(message)
        }
    };
    let file = match files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    // The digest is on the third line of a proposal; a file with nothing but a digest is accepted, too.
    for line in BufReader::new(file.take(BEGINNING)).split(b'\n').take(20) {
        let line = line.map_err(unreadable)?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        if let Ok(digest) = line.strip_prefix("digest ").unwrap_or(line).parse() {
            return Ok(Some(digest));
        }
    }
    Err(ApprovalError::NotUsable(format!(
        "`{}` is not an approval: it has no line with a digest; copy the `approval.txt` of a preview there",
        path.display()
    )))
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
        assert_eq!(command("-rf"), "cp preview/approval.txt ./-rf");
    }

    #[test]
    fn the_exact_command_names_digest_and_absolute_paths() {
        let digest = format!("{0}-{0}-{0}-{0}", "0123456789abcdef");
        let exact = |file: Option<&str>| {
            let (proposal, config) = (Path::new("/a b/approval.txt"), Path::new("/it's/c.toml"));
            let digest = digest.parse().unwrap();
            exact_command(digest, proposal, file.map(Path::new), config).unwrap()
        };

        assert_eq!(
            exact(Some("/approved.txt")),
            format!(
                "grep -qx 'digest {digest}' '/a b/approval.txt' && cp '/a b/approval.txt' /approved.txt"
            )
        );
        assert_eq!(
            exact(None),
            format!("access-invite send --approved {digest} --config '/it'\\''s/c.toml'")
        );
    }
}
