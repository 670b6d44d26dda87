//! The approval: a person has looked at a preview, and a send goes ahead only with what they saw.
//!
//! What is approved is the inputs, not what is due: the configuration without its secrets,
//! the links, the templates, and the bytes of the list. So an approval holds from run to run
//! until one of them changes. A preview leaves it as a file, `approval.txt`; whoever is
//! responsible copies that to where `[approval] file` says. The decision hangs on its one
//! digest; the rest of the file only serves to say what has changed.

mod changes;
mod digest;
mod inputs;

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

pub use self::digest::{Digest, GROUPS, NotADigest};
pub use self::inputs::Inputs;
use crate::exit::{self, CommandError, Exit};
use crate::files;

/// How much of an approval is searched for its digest.
const BEGINNING: u64 = 64 * 1024;

/// What an approval is asked for by.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalSource<'a> {
    /// The digest on the command line, which stands in for the file.
    pub digest: Option<Digest>,
    /// The file that the configuration names; it has to be there.
    pub file: Option<&'a Path>,
    /// What the last preview has left to be approved.
    pub proposal: &'a Path,
}

/// Why a send must not go ahead: nobody has approved, or something else was approved.
///
/// # Errors
/// When the approval is there and cannot be read or understood (65, 77).
pub fn approval_error(wanted: ApprovalSource<'_>, inputs: &Inputs) -> exit::Result<Option<String>> {
    let (given, manifest) = match (wanted.digest, wanted.file) {
        (None, None) => return Ok(None),
        (None, Some(file)) => match digest_in(file)? {
            Some(digest) => (digest, Some(file)),
            None => {
                return Ok(Some(format!(
                    "nobody has approved this yet: there is no `{}`; look at what would be sent with `access-invite preview`, and when it is right, `{}`",
                    file.display(),
                    command(wanted.proposal, file)
                )));
            }
        },
        (Some(digest), file) => {
            let knows = |it: &&Path| matches!(digest_in(it), Ok(Some(found)) if found == digest);
            let manifests = [file, Some(wanted.proposal)];
            (digest, manifests.into_iter().flatten().find(knows))
        }
    };
    let today = inputs.digest();
    if given == today {
        return Ok(None);
    }
    let mut lines = vec!["what was approved has changed since:".to_owned()];
    lines.extend(changes::describe(given, manifest, inputs)?);
    let approve = match (wanted.digest, wanted.file) {
        (None, Some(file)) => format!("`{}`", command(wanted.proposal, file)),
        _ => "give the digest that it prints".to_owned(),
    };
    lines.push(format!(
        "look at what would be sent now with `access-invite preview`, and when it is right, {approve}"
    ));
    Ok(Some(lines.join("\n")))
}

/// The command by which a proposal becomes the approval, to be pasted into a shell.
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

/// The digest of an approval; none where there is no such file.
fn digest_in(path: &Path) -> exit::Result<Option<Digest>> {
    let unreadable = |error: &io::Error| {
        let exit = match error.kind() {
            ErrorKind::PermissionDenied => Exit::NoPermission,
            _ => Exit::BadInput,
        };
        let message = format!("cannot read the approval `{}`: {error}", path.display());
        CommandError::new(exit, message)
    };
    let file = match files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
        Ok(file) => file,
    };
    // The digest is on the third line.
    for line in BufReader::new(file.take(BEGINNING)).split(b'\n').take(20) {
        let line = line.map_err(|it| unreadable(&it))?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        // The digest alone is an approval, too.
        let text = line.strip_prefix("digest ").unwrap_or(line);
        if let Ok(digest) = text.parse() {
            return Ok(Some(digest));
        }
    }
    Err(CommandError::new(
        Exit::BadInput,
        format!(
            "`{}` is no approval: it has no line with a digest; copy that of a preview there",
            path.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_whatever_the_folder_is_called() {
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
