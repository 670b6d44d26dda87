//! A file that takes the place of another as a whole, or not at all.
//!
//! It grows under a name of its write_original beside the other, is brought to the disk, and is
//! renamed. Whatever happens meanwhile (a full disk, a kill, a power cut) leaves the old or
//! the new. What a killed run left under such a name goes with the next.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::files::{self, folder_of};

/// How much of a file that stands there is looked at.
const BEGINNING: u64 = 64 * 1024;

/// The file that is to take the place of `path`, readable by its owner only.
pub struct AtomicFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins it, empty, in the same folder.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(io::Error::other("there is no such folder"));
        }
        let prefix = prefix(path);
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(SUFFIX)
            .tempfile_in(folder)?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// The file that is being written.
    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts it in its place, durably.
    pub fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

const SUFFIX: &str = ".unfinished";

fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    format!(".{}.", name.to_string_lossy())
}

/// The first bytes of the file that stands there; none where there is none.
pub fn beginning_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    files::open(path)?.take(BEGINNING).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
