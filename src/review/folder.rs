//! The folder of a review: its owner's only, and never anything else than a review.
//!
//! No symbolic link is followed, neither to the folder nor from a file in it, so that what is
//! written here never replaces anything elsewhere.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::file_names::{APPROVAL, DATA, INDEX, LIST, MESSAGES, PAGE};
use crate::files;

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
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(context)?;
            }
            Err(error) => return Err(error).with_context(context),
            Ok(metadata) if metadata.is_symlink() => bail!(
                "{}: it is a symbolic link; name the folder itself with `--out`",
                context()
            ),
            Ok(metadata) => ensure!(
                metadata.is_dir(),
                "{}: it is not a folder; name another one with `--out`",
                context()
            ),
        }
        let folder = open_folder(path).with_context(context)?;
        let owner = folder.metadata().with_context(context)?.uid();
        let user = geteuid().as_raw();
        ensure!(
            owner == user,
            "{}: it belongs to another user (uid {owner}, and this is uid {user}); name a folder of your own with `--out`",
            context()
        );
        let made_by_us = path.join(MARKER).symlink_metadata();
        let made_by_us = made_by_us.is_ok_and(|it| it.is_file());
        let mut entries = std::fs::read_dir(path).with_context(context)?;
        ensure!(
            made_by_us || entries.next().is_none(),
            "{}: it holds files that no preview made; name another folder with `--out`, or empty this one",
            context()
        );
        folder
            .set_permissions(std::fs::Permissions::from_mode(0o700))
            .with_context(context)?;
        let marker = files::open_own(&path.join(MARKER)).with_context(context)?;
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

/// The folder itself, not what a symbolic link of its name leads to.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// A new file for its owner only. Where one of this name stands already, whatever it is, it
/// fails: the old review has been taken away before.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
