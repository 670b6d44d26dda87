//! Approvals: a send goes ahead only with what a person has seen in a preview.
//!
//! The inputs are approved, not what is due: the configuration without its secrets, the links, the
//! templates, and the bytes of the list. An approval therefore holds from run to run until one of them
//! changes. A preview proposes it as `approval.txt`, which `approve` records, or which is copied to where
//! `[approval] file` points. Only the digest in it decides; the rest tells what has changed.

mod changes;
mod digest;
mod inputs;

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

pub use self::digest::{Digest, GROUPS, NotADigest};
pub use self::inputs::{ApprovalError, Inputs, Result};
use crate::config::ApprovalRules;
use crate::files;

/// How much of an approval is searched for its digest.
const BEGINNING: u64 = 64 * 1024;

/// What may approve the inputs.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What the configuration asks for.
    pub rules: &'a ApprovalRules,
    /// The digest on the command line.
    pub given: Option<Digest>,
    /// The last approval on record.
    pub recorded: Option<Digest>,
    /// The proposal of the last preview.
    pub proposal: &'a Path,
}

/// Checks that these inputs are approved, if an approval is asked for. A digest on the command line decides
/// alone. Otherwise the file decides; if an approval is required, the last one on record does as well.
///
/// # Errors
/// If they are not, with what has changed; if the approval exists but cannot be read.
pub fn require(inputs: &Inputs, sources: Sources<'_>) -> Result<()> {
    let Sources {
        rules,
        given,
        proposal,
        ..
    } = sources;
    let digest = inputs.digest();
    let recorded = sources.recorded.filter(|_| rules.required);
    let approved = match (given, recorded) {
        (Some(given), _) => Some(given),
        (None, Some(recorded)) if recorded == digest => return Ok(()),
        (None, recorded) => {
            let in_file = rules.file.as_deref().map(digest_in).transpose()?.flatten();
            in_file.or(recorded)
        }
    };
    let Some(approved) = approved else {
        return if rules.apply() {
            Err(never_approved(rules, proposal))
        } else {
            Ok(())
        };
    };
    if approved == digest {
        return Ok(());
    }
    let manifests = rules.file.as_deref().into_iter().chain([proposal]);
    let changes = describe_changes(approved, manifests, inputs)?;
    let approve = match given {
        Some(_) => "pass the digest that it prints to `--approved`".to_owned(),
        None => format!("run `{}`", approving_command(rules, proposal)),
    };
    Err(ApprovalError::NotApproved(format!(
        "the inputs have changed since they were approved:\n{changes}\nreview the messages with `access-invite preview`, then {approve}"
    )))
}

/// Checks that these inputs are still those of a review, before a person's approval of it is recorded.
///
/// # Errors
/// If they have changed since, with what has changed.
pub fn require_unchanged(inputs: &Inputs, reviewed: Digest, proposal: &Path) -> Result<()> {
    if reviewed == inputs.digest() {
        return Ok(());
    }
    let changes = describe_changes(reviewed, [proposal], inputs)?;
    Err(ApprovalError::NotApproved(format!(
        "the inputs have changed since they had the digest {reviewed}:\n{changes}\nreview the messages with `access-invite preview`, then approve them again"
    )))
}

/// What has changed since an approval. Its manifest shows how, if one of these files is it.
fn describe_changes<'a>(
    approved: Digest,
    manifests: impl IntoIterator<Item = &'a Path>,
    inputs: &Inputs,
) -> Result<String> {
    let has_it = |it: &&Path| matches!(digest_in(it), Ok(Some(found)) if found == approved);
    let manifest = manifests.into_iter().find(has_it);
    Ok(changes::describe(approved, manifest, inputs)?.join("\n"))
}

fn never_approved(rules: &ApprovalRules, proposal: &Path) -> ApprovalError {
    let what = match (&rules.file, rules.required) {
        (Some(file), false) => format!("there is no `{}`", file.display()),
        (Some(file), true) => format!(
            "no approval is on record, and there is no `{}`",
            file.display()
        ),
        (None, _) => "no approval is on record".to_owned(),
    };
    ApprovalError::NotApproved(format!(
        "not approved: {what}; review the messages with `access-invite preview`, then run `{}`",
        approving_command(rules, proposal)
    ))
}

/// The command that approves a proposal under these rules.
fn approving_command(rules: &ApprovalRules, proposal: &Path) -> String {
    match &rules.file {
        Some(file) if !rules.required => command(proposal, file),
        _ => "access-invite approve".to_owned(),
    }
}

/// The shell command that makes a proposal the approval.
#[must_use]
pub fn command(proposal: &Path, file: &Path) -> String {
    format!("cp {} {}", quoted(proposal), quoted(file))
}

/// The shell command that approves exactly these inputs, for somebody in any folder: it fails if the proposal has
/// been replaced by another one since. Without a rule about approvals, it sends with this digest.
///
/// # Errors
/// If the current folder is unknown, so that a path cannot be made absolute.
pub fn exact_command(
    digest: Digest,
    proposal: &Path,
    rules: &ApprovalRules,
    config: &Path,
) -> io::Result<String> {
    let proposal = std::path::absolute(proposal)?;
    let verb = match &rules.file {
        _ if rules.required => "approve",
        None => "send --approved",
        Some(file) => {
            return Ok(format!(
                "grep -qx 'digest {digest}' {} && {}",
                quoted(&proposal),
                command(&proposal, &std::path::absolute(file)?)
            ));
        }
    };
    let config = quoted(&std::path::absolute(config)?);
    Ok(format!("access-invite {verb} {digest} --config {config}"))
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
        let exact = |required, file: Option<&str>| {
            let (proposal, config) = (Path::new("/a b/approval.txt"), Path::new("/it's/c.toml"));
            let digest = digest.parse().unwrap();
            let file = file.map(Into::into);
            let rules = ApprovalRules { required, file };
            exact_command(digest, proposal, &rules, config).unwrap()
        };

        for file in [None, Some("/approved.txt")] {
            assert_eq!(
                exact(true, file),
                format!("access-invite approve {digest} --config '/it'\\''s/c.toml'")
            );
        }
        assert_eq!(
            exact(false, Some("/approved.txt")),
            format!(
                "grep -qx 'digest {digest}' '/a b/approval.txt' && cp '/a b/approval.txt' /approved.txt"
            )
        );
        assert_eq!(
            exact(false, None),
            format!("access-invite send --approved {digest} --config '/it'\\''s/c.toml'")
        );
    }
}
