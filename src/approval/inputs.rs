//! The inputs of a send: configuration, links, templates and list, each by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::digest::{Digest, of};
use crate::address::Address;
use crate::config::Config;
use crate::files::create_new;
use crate::partners::{Partner, Partners};
use crate::templates::Templates;

/// An error of an approval, with what failed, where, why, and how to fix it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApprovalError {
    /// These inputs are not approved: preview and approve them.
    #[error("{0}")]
    NotApproved(String),
    /// The approval is damaged, or no approval: copy it again.
    #[error("{0}")]
    NotUsable(String),
    /// This user may not read the approval: change owner or mode.
    #[error("{0}")]
    NoPermission(String),
    /// A file cannot be written, or the copy of the list cannot be read: make room, look after the disk.
    #[error("{0}")]
    Io(String),
}

/// What approvals return.
pub type Result<T> = std::result::Result<T, ApprovalError>;

/// The inputs as loaded.
pub struct Inputs {
    /// Configuration keys, packages with their links, and template files, each with the digest
    /// of what it holds.
    pub named: [BTreeMap<String, u64>; 3],
    /// The list, validated.
    pub partners: Arc<Partners>,
    /// The configuration keys that may differ between machines that do the same job.
    local: BTreeSet<String>,
}

/// Tables whose keys may differ between machines that do the same job.
const LOCAL_TABLES: [&str; 6] = [
    "ledger.", "results.", "log.", "events.", "metrics.", "notify.",
];

impl Inputs {
    /// Takes the digests of what was loaded.
    #[must_use]
    pub fn of(config: &Config, templates: &Templates, partners: &Arc<Partners>) -> Self {
        let mut keys = BTreeMap::new();
        let mut links = BTreeMap::new();
        for (key, value) in &config.keys {
            let package = key.strip_prefix("packages.");
            if let Some(package) = package.and_then(|it| it.strip_suffix(".link")) {
                links.insert(package.to_owned(), of([value]));
            } else if !key.starts_with("approval.") {
                // The place of the approval is not part of what is approved.
                keys.insert(key.clone(), of([value]));
            }
        }
        let files = templates.sources.iter();
        let files = files.map(|(name, digest)| (name.clone(), of([digest])));
        Self {
            local: config.local_keys.clone(),
            named: [keys, links, files.collect()],
            partners: partners.clone(),
        }
    }

    /// The digest that is approved.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest_of(|_| true)
    }

    /// The digest without what may differ between machines that do the same job, such as paths.
    #[must_use]
    pub fn shared_digest(&self) -> Digest {
        let is_local = |key: &str| {
            self.local.contains(key) || LOCAL_TABLES.iter().any(|it| key.starts_with(it))
        };
        self.digest_of(|key| !is_local(key))
    }

    /// The digest with these configuration keys.
    fn digest_of(&self, counts: impl Fn(&str) -> bool) -> Digest {
        let [keys, links, templates] = &self.named;
        Digest([
            group(keys.iter().filter(|it| counts(it.0))),
            group(links),
            group(templates),
            of([self.partners.digest()]),
        ])
    }

    /// Writes the proposal of an approval: the digest, and all that a later run needs to say what has
    /// changed, as names with digests and sixteen bytes a row. It holds no value, address or secret.
    ///
    /// # Errors
    /// If the copy of the list cannot be read, or the file exists or cannot be written.
    pub fn write(&self, path: &Path, made: Timestamp) -> Result<()> {
        let rows = self.partners.iter().map(|it| it.map(|it| row(&it)));
        let rows = rows.collect::<std::result::Result<Vec<_>, _>>();
        let mut rows = rows.map_err(|error| ApprovalError::Io(error.to_string()))?;
        rows.sort_unstable();
        self.write_all(path, made, &rows).map_err(|error| {
            ApprovalError::Io(format!("cannot write the approval `{}`: {error}; make room, or name another folder with `--out`", path.display()))
        })
    }

    fn write_all(&self, path: &Path, made: Timestamp, rows: &[(u64, u64)]) -> io::Result<()> {
        // A new review removes the proposal of the old one, so a file of this name is not ours.
        let mut out = BufWriter::new(create_new(path)?);
        write!(
            out,
            "access-invite approval 1\n\
            # The inputs of the preview of {made}. Copied to the file that `[approval] file` names, it approves\n\
            # them until one of them changes. Only the digest decides; the other lines show what has changed.\n\
            digest {}\n",
            self.digest()
        )?;
        for (keyword, named) in KEYWORDS.iter().zip(&self.named) {
            for (name, digest) in named {
                writeln!(out, "{keyword} {digest:016x} {}", name.escape_debug())?;
            }
        }
        for (identity, content) in rows {
            writeln!(out, "row {identity:016x}{content:016x}")?;
        }
        out.flush()
    }
}

/// The digest of a group of named inputs.
fn group<'a>(named: impl IntoIterator<Item = (&'a String, &'a u64)>) -> u64 {
    let fields = named
        .into_iter()
        .flat_map(|(name, digest)| [name.as_bytes().to_vec(), digest.to_be_bytes().to_vec()]);
    of(fields)
}

/// The keyword before each named input in an approval, in the order of [`Inputs::named`].
pub const KEYWORDS: [&str; 3] = ["key", "link", "template"];

/// The digests of a row: of its identity, and of its content.
pub fn row(partner: &Partner) -> (u64, u64) {
    let package = partner.package.key.as_str();
    let identity = of([package, partner.address.canonical().as_str()]);
    let locale = partner.locale.as_ref().map(ToString::to_string);
    let known = [
        partner.address.as_written(),
        partner.name.as_deref().unwrap_or_default(),
        partner.organization.as_deref().unwrap_or_default(),
        locale.as_deref().unwrap_or_default(),
    ];
    // Lists without these columns keep the digests that they had before there were any.
    let inviter = partner.inviter_email.as_ref().map(Address::as_written);
    let added = [
        ("inviter_name", partner.inviter_name.as_deref()),
        ("inviter_email", inviter),
        ("note", partner.note.as_deref()),
    ];
    let added = added
        .into_iter()
        .filter_map(|(field, it)| Some([field, it?]));
    let columns = partner.extra_columns.iter().map(String::as_str);
    let cells = partner.extra.iter().map(String::as_str);
    let fields = known.into_iter().chain(columns).chain(cells);
    (identity, of(fields.chain(added.flatten())))
}
