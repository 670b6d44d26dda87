//! The folder of a review: never anything else than a review, and readable only by those who may.
//!
//! No symbolic link is followed, neither to the folder nor from a file in it, so that a review replaces
//! nothing elsewhere.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::access::{Access, ReviewFiles};
use crate::files;

/// The folder of the messages.
pub const MESSAGES: &str = "messages";
/// The page.
pub const INDEX: &str = "index.html";
/// The folder of the data files.
pub const DATA: &str = "data";
/// The list that needs no script.
pub const LIST: &str = "list.html";
/// The proposal of an approval; a new review removes it.
pub const APPROVAL: &str = "approval.txt";

/// What the page loads, the same for every review.
pub const PAGE: [(&str, &str); 4] = [
    (
        "review.css",
        concat!(
            include_str!("../html/palette.css"),
            include_str!("page/review.css")
        ),
    ),
    ("kinds.js", include_str!("page/kinds.js")),
    ("print.js", include_str!("page/print.js")),
    ("review.js", include_str!("page/review.js")),
];
/// The page itself.
pub const INDEX_PAGE: &str = include_str!("page/index.html");

/// Why a review cannot be written: what failed, where, why, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The folder cannot be used: name another one.
    #[error("cannot use `{folder}` for the review: {1}", folder = .0.display())]
    Folder(PathBuf, Error),
    /// A file of the review cannot be written: make room.
    #[error("cannot write the review: {0}; make room, or name another folder with `--out`")]
    Write(#[from] Error),
}

/// What a review returns.
pub type Result<T> = std::result::Result<T, ReviewError>;

/// Marks a folder that a review made.
const MARKER: &str = ".made-by-access-invite";

/// A folder that is ready for a new review, and still holds the old one.
#[derive(Debug)]
pub struct Folder {
    pub(super) files: ReviewFiles,
    /// Locked while this run writes here.
    pub(super) marker: File,
}

impl Folder {
    /// Creates the folder, or takes one of an earlier review.
    ///
    /// # Errors
    /// If it is anything else, cannot be created or shared, or another run writes into it.
    pub fn prepare(path: &Path, access: Access) -> Result<Self> {
        Self::open(path, access).map_err(|error| ReviewError::Folder(path.to_owned(), error))
    }

    fn open(path: &Path, access: Access) -> io::Result<Self> {
        let refuse_if = |refused: bool, why: &str| {
            let error = refused.then(|| Error::other(why));
            error.map_or(Ok(()), Err)
        };
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                files::create_folder(path)?;
            }
            found => {
                let found = found?;
                let link = "it is a symbolic link; name the folder itself with `--out`";
                refuse_if(found.is_symlink(), link)?;
                let file = "it is not a folder; name another one with `--out`";
                refuse_if(!found.is_dir(), file)?;
            }
        }
        let folder = open_folder(path)?;
        let (owner, user) = (folder.metadata()?.uid(), geteuid().as_raw());
        let foreign = format!(
            "it belongs to another user (uid {owner}, and this is uid {user}); name a folder of your own with `--out`"
        );
        refuse_if(owner != user, &foreign)?;
        let marker = path.join(MARKER);
        let is_review = marker.symlink_metadata().is_ok_and(|it| it.is_file());
        let is_empty = std::fs::read_dir(path)?.next().is_none();
        let files = "it holds files that are not from a preview; name another folder with `--out`, or empty this one";
        refuse_if(!is_review && !is_empty, files)?;
        let marker = files::open_own(&marker)?;
        let busy = "another run is writing there; wait for it, or name another folder with `--out`";
        marker.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::other(busy),
            TryLockError::Error(error) => error,
        })?;
        access.apply(&folder)?;
        if access == Access::Group {
            // It may have been created before the folder passed its group on.
            fchown(&marker, None, Some(folder.metadata()?.gid()))?;
        }
        access.apply(&marker)?;
        remove_scratch(path)?;
        let files = ReviewFiles::new(path, access);
        Ok(Self { files, marker })
    }

    /// The folder, which also takes scratch files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.folder()
    }

    /// Removes the old review, its page first.
    pub(super) fn clear(&self) -> io::Result<()> {
        let page = PAGE.map(|it| it.0);
        for file in [INDEX, LIST, APPROVAL].into_iter().chain(page) {
            unless_missing(std::fs::remove_file(self.path().join(file)))?;
        }
        for folder in [MESSAGES, DATA] {
            unless_missing(std::fs::remove_dir_all(self.path().join(folder)))?;
            self.files.create_folder(folder)?;
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

/// Removes the scratch files of a run that was killed, because they hold addresses.
fn remove_scratch(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_scratch = entry.file_name().as_encoded_bytes().starts_with(b".tmp");
        if is_scratch && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if is_scratch {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Opens the folder itself, not the target of a symbolic link.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}
