//! The folder of a review: its owner's only, and never anything else than a review.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::data::DATA;
use super::plain::LIST;
use super::{APPROVAL, INDEX, MESSAGES, PAGE};

/// Tells a folder that a preview made from one that somebody keeps things in.
const MARKER: &str = ".made-by-access-invite";

/// A folder that is ready to take a review, while the old one still stands in it.
#[derive(Debug)]
pub struct Folder {
    pub(super) path: PathBuf,
    /// Held as long as this run writes here.
    pub(super) marker: File,
}

impl Folder {
    /// Makes the folder, or takes one that a preview has made.
    ///
    /// # Errors
    /// When something else stands there, it cannot be made, or another run writes into it.
    pub fn prepare(path: &Path) -> Result<Self> {
        let context = || format!("cannot use `{}` for the review", path.display());
        match std::fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(context)?;
            }
            Err(error) => return Err(error).with_context(context),
            Ok(mut entries) => ensure!(
                path.join(MARKER).exists() || entries.next().is_none(),
                "{}: it holds files that no preview made; name another folder with `--out`, or empty this one",
                context()
            ),
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(context)?;
        let marker = create(&path.join(MARKER)).with_context(context)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another run is writing there just now; wait for it, or name another folder with `--out`",
                context()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        remove_scratch(path).with_context(context)?;
        Ok(Self {
            path: path.to_owned(),
            marker,
        })
    }

    /// Where scratch files may lie for a while.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes away the old review, its page first, and makes room for a new one.
    pub(super) fn clear(&self) -> io::Result<()> {
        for file in [INDEX, LIST, APPROVAL]
            .into_iter()
            .chain(PAGE.map(|it| it.0))
        {
            unless_missing(std::fs::remove_file(self.path.join(file)))?;
        }
        for folder in [MESSAGES, DATA] {
            let path = self.path.join(folder);
            unless_missing(std::fs::remove_dir_all(&path))?;
            DirBuilder::new().mode(0o700).create(path)?;
        }
        Ok(())
    }
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes away what a run that was killed has left: its scratch files hold addresses.
fn remove_scratch(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A file for its owner only.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
