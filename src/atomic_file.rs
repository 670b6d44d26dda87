//! A file that replaces another as a whole, or not at all.
//!
//! It is written under a temporary name beside the other, synced, and renamed, so that a full disk, a kill
//! or a power cut leaves the old file or the new one. The next run removes what a killed run left.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::files::{self, folder_of};

/// How much of an existing file is read.
const BEGINNING: u64 = 64 * 1024;

/// The file that replaces `path`, readable by its owner only.
pub struct AtomicFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Creates it, empty, in the same folder.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(io::Error::other("there is no such folder"));
        }
        let name = path.file_name().unwrap_or_default();
        let prefix = format!(".{}.", name.to_string_lossy());
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(&prefix).suffix(SUFFIX).tempfile_in(folder)?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    /// The file that is being written.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Its temporary name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Moves it to its place, durably, unless there is a file.
    ///
    /// # Errors
    /// If there is one, or it cannot be synced or moved.
    pub fn commit_new(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(&self.path)?;
        File::open(folder_of(&self.path))?.sync_all()
    }

    /// Moves it to its place, durably.
    ///
    /// # Errors
    /// If it cannot be synced or moved.
    pub fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

const SUFFIX: &str = ".unfinished";

/// The first bytes of an existing file; empty if there is none.
///
/// # Errors
/// If it exists and cannot be read.
pub fn beginning_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => {
            opened?.take(BEGINNING).read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}
