//! What a send is made of today: configuration, links, templates and list, each by digest.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use super::digest::{Digest, of};
use crate::config::Config;
use crate::exit::{self, Exit, OrExit};
use crate::partners::{Partner, Partners};
use crate::templates::Templates;

/// The first line of an approval.
const HEAD: &str = "access-invite approval 1";

/// The inputs of today.
pub struct Inputs {
    /// Configuration keys, packages with their links, and template files, each with the digest
    /// of what it holds.
    pub named: [BTreeMap<String, u64>; 3],
    /// The list, judged.
    pub partners: Arc<Partners>,
}

impl Inputs {
    /// Looks at what was loaded.
    #[must_use]
    pub fn of(config: &Config, templates: &Templates, partners: &Arc<Partners>) -> Self {
        let mut keys = BTreeMap::new();
        let mut links = BTreeMap::new();
        for (key, value) in &config.keys {
            let package = key
                .strip_prefix("packages.")
                .and_then(|it| it.strip_suffix(".link"));
            match package {
                Some(package) => links.insert(package.to_owned(), of([value])),
                // Where approvals lie is no part of what is approved.
                None if key.starts_with("approval.") => None,
                None => keys.insert(key.clone(), of([value])),
            };
        }
        let files = templates.sources().iter();
        let files = files.map(|(name, digest)| (name.clone(), of([digest])));
        Self {
            named: [keys, links, files.collect()],
            partners: partners.clone(),
        }
    }

    /// What is approved.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let group = |named: &BTreeMap<String, u64>| {
            let entries = named.iter();
            of(entries.flat_map(|(name, digest)| {
                [name.as_bytes().to_vec(), digest.to_be_bytes().to_vec()]
            }))
        };
        let [keys, links, templates] = &self.named;
        let list = of([self.partners.digest()]);
        Digest([group(keys), group(links), group(templates), list])
    }

    /// Leaves at `path` all that a later run needs to say what has changed: names with
    /// digests, and sixteen bytes a row. No value is in it, no address and no secret.
    ///
    /// # Errors
    /// When the list's copy cannot be read, or the file cannot be written (74).
    pub fn write(&self, path: &Path, made: Timestamp) -> exit::Result<()> {
        let rows = self.partners.iter().map(|it| it.map(|it| row(&it)));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        rows.sort_unstable();
        self.write_all(path, made, &rows)
            .with_context(|| format!("cannot write `{}`", path.display()))
            .or_exit(Exit::CannotWrite)
    }

    fn write_all(&self, path: &Path, made: Timestamp, rows: &[(u64, u64)]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        // A review begins without one, so whatever has this name now is not ours.
        let options = options.write(true).create_new(true).mode(0o600);
        let mut out = BufWriter::new(options.open(path)?);
        writeln!(out, "{HEAD}")?;
        writeln!(
            out,
            "# What the preview of {made} was made of. Copied to where `[approval] file` points, it lets a"
        )?;
        writeln!(
            out,
            "# send go ahead as long as nothing of it changes. Only the digest decides; the rest tells what changed."
        )?;
        writeln!(out, "digest {}", self.digest())?;
        for (word, named) in WORDS.iter().zip(&self.named) {
            for (name, digest) in named {
                writeln!(out, "{word} {digest:016x} {}", name.escape_debug())?;
            }
        }
        for (whose, what) in rows {
            writeln!(out, "row {whose:016x}{what:016x}")?;
        }
        out.flush()
    }
}

/// The word before each named input in an approval, in the order of [`Inputs::named`].
pub const WORDS: [&str; 3] = ["key", "link", "template"];

/// What stands for a row: whose it is, and what it says.
pub fn row(partner: &Partner) -> (u64, u64) {
    let package = partner.package.key.as_str();
    let whose = of([package, partner.address.canonical().as_str()]);
    let locale = partner.locale.as_ref().map(ToString::to_string);
    let known = [
        partner.address.as_written(),
        partner.name.as_deref().unwrap_or_default(),
        partner.organization.as_deref().unwrap_or_default(),
        locale.as_deref().unwrap_or_default(),
    ];
    let columns = partner.extra_columns.iter().map(String::as_str);
    let cells = partner.extra.iter().map(String::as_str);
    (whose, of(known.into_iter().chain(columns).chain(cells)))
}
