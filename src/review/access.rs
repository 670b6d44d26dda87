//! Who may read a review, and how its files are created accordingly.
//!
//! A review is readable by its owner only. A shared one is also readable by the group of its folder, never by
//! everyone. The set-group-ID bit of the folders makes what is created in them belong to the same group.

use std::fs::{File, Permissions};
use std::io::{self, Error};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::files;

/// Who may read a review.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Its owner.
    #[default]
    Owner,
    /// Its owner, and the group of its folder.
    Group,
}

impl Access {
    /// `--shared`, or not.
    #[must_use]
    pub fn shared(shared: bool) -> Self {
        if shared { Self::Group } else { Self::Owner }
    }

    fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o2750,
        }
    }

    /// Sets the mode of an open file or folder.
    ///
    /// # Errors
    /// If it cannot be set, also where the file system ignores it, or the owner is no member of the group.
    pub fn apply(self, file: &File) -> io::Result<()> {
        let is_folder = file.metadata()?.is_dir();
        let mode = if is_folder {
            self.folder_mode()
        } else {
            self.file_mode()
        };
        let set = file.set_permissions(Permissions::from_mode(mode));
        if self == Self::Owner {
            return set;
        }
        let metadata = file.metadata()?;
        let found = metadata.mode() & 0o7777;
        let why = match set {
            Err(error) => error.to_string(),
            Ok(()) if found == mode => return Ok(()),
            Ok(()) => format!("its mode is {found:04o}, not {mode:04o}"),
        };
        Err(Error::other(format!(
            "it cannot be shared with its group (gid {}): {why}; use a group that you are a member of (`chgrp GROUP DIR`) and a file system with Unix permissions, or leave out `--shared`",
            metadata.gid()
        )))
    }
}

/// Creates the files of a review.
#[derive(Clone, Debug)]
pub struct ReviewFiles {
    folder: PathBuf,
    access: Access,
}

impl ReviewFiles {
    pub fn new(folder: &Path, access: Access) -> Self {
        let folder = folder.to_owned();
        Self { folder, access }
    }

    /// The folder of the review.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates a file that does not exist yet.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let file = files::create_new(&self.folder.join(name))?;
        if self.access == Access::Group {
            self.access.apply(&file)?;
        }
        Ok(file)
    }

    /// Creates a folder in it.
    pub fn create_folder(&self, name: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        files::create_folder(&path)?;
        self.access.apply(&File::open(path)?)
    }

    /// Gives a file that another module has created the same access.
    pub fn adopt(&self, name: &str) -> io::Result<()> {
        self.access.apply(&File::open(self.folder.join(name))?)
    }

    /// Puts a complete file in its place.
    pub fn persist(&self, file: NamedTempFile, name: &str) -> io::Result<()> {
        self.access.apply(file.as_file())?;
        let persisted = file.persist(self.folder.join(name));
        persisted.map(drop).map_err(|it| it.error)
    }
}
