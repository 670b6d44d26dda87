//! The folder of an export: new, empty, or that of an earlier export, whose files are replaced. It is readable only by
//! its owner, because it holds names and addresses.

use std::fs::Permissions;
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::exit::{CommandError, Exit, Result};
use crate::files;

/// Marks a folder that an export made.
const MARKER: &str = ".access-invite-export";
/// The list of an export as text.
pub const LIST: &str = "list.csv";
/// The longest address in a file name, so that no file system refuses it.
const ADDRESS: usize = 180;

/// A folder for an export.
pub struct ExportFolder(PathBuf);

impl ExportFolder {
    /// Creates the folder, or takes one of an earlier export.
    ///
    /// # Errors
    /// If it is anything else, or cannot be created (74).
    pub fn prepare(path: &Path) -> Result<Self> {
        let folder = Self(path.to_owned());
        folder.open().map_err(|error| folder.failed(&error))?;
        Ok(folder)
    }

    fn open(&self) -> io::Result<()> {
        let Self(path) = self;
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => files::create_folder(path)?,
            found => {
                let found = found?;
                if found.is_symlink() {
                    return Err(Error::other(
                        "it is a symbolic link; name the folder itself",
                    ));
                }
                if !found.is_dir() {
                    return Err(Error::other("it is not a folder; name another one"));
                }
            }
        }
        let marker = path.join(MARKER);
        let is_export = marker.symlink_metadata().is_ok_and(|it| it.is_file());
        if !is_export && std::fs::read_dir(path)?.next().is_some() {
            return Err(Error::other(
                "it holds files that are not from an export; name another folder, or empty this one",
            ));
        }
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
        files::open_own(&marker).map(drop)
    }

    /// Removes the files of an earlier export.
    ///
    /// # Errors
    /// If one cannot be removed (74).
    pub fn clear(&self) -> Result<()> {
        self.remove().map_err(|error| self.failed(&error))
    }

    fn remove(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(is_of_export) && !entry.file_type()?.is_dir() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes one file.
    ///
    /// # Errors
    /// If it exists, or cannot be written (74).
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let written = files::create_new(&self.0.join(name));
        let written = written.and_then(|mut it| it.write_all(content));
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> CommandError {
        let folder = self.0.display();
        let message = format!("cannot write the export to `{folder}`: {error}");
        CommandError::new(Exit::CannotWrite, message)
    }
}

/// The name of the file with this number: what is no letter, digit or usual sign of an address becomes `_`.
pub fn file_name(number: u64, address: &str, ending: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "@.+-_".contains(it);
    let address = address.chars().take(ADDRESS);
    let address: String = address.map(|it| if plain(it) { it } else { '_' }).collect();
    format!("{number:04}-{address}.{ending}")
}

/// Whether an export writes files of this name.
fn is_of_export(name: &str) -> bool {
    let is_numbered = name.split_once('-').is_some_and(|(number, rest)| {
        let is_number = number.len() >= 4 && number.bytes().all(|it| it.is_ascii_digit());
        is_number && (rest.ends_with(".eml") || rest.ends_with(".txt"))
    });
    is_numbered || name == LIST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_safe_and_recognised() {
        let long = format!("{}@a.example", "d".repeat(240));
        for (address, expected) in [
            ("ada@a.example", "0007-ada@a.example.eml"),
            ("a/../b'$@a.example", "0007-a_.._b__@a.example.eml"),
            (&long, &format!("0007-{}.eml", "d".repeat(180))),
        ] {
            let name = file_name(7, address, "eml");
            assert_eq!(name, expected);
            assert!(is_of_export(&name), "{name}");
        }
        for other in ["notes.txt", "007-x.eml", "0007-x.doc", "0007.eml", MARKER] {
            assert!(!is_of_export(other), "{other}");
        }
    }
}
