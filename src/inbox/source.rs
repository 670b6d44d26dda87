//! Mail in files: one mail (`.eml`), an mbox file, or a Maildir.

use std::fs::{File, ReadDir};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::mbox::Mbox;
use crate::files;
use crate::os_error::without_os_code;

/// How much of one mail is read. Reports name the recipient and the reason before the message that they
/// return, so the beginning of a longer mail is enough.
pub const MAIL_LIMIT: usize = 1 << 20;

/// One mail and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The file, and for an mbox file the number of the mail.
    pub origin: String,
    /// Its first [`MAIL_LIMIT`] bytes.
    pub bytes: Vec<u8>,
}

/// Why mail cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read mail from `{}`: {}", path.display(), without_os_code(source))]
pub struct InboxError {
    path: PathBuf,
    source: std::io::Error,
}

/// The mails of a file or folder, one at a time. A mail of a Maildir that cannot be read does not prevent the
/// others.
pub struct Mails {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// One mail; `None` after it was read.
    Single(Option<BufReader<File>>),
    Mbox(Mbox<BufReader<File>>, u64),
    /// The folders `new` and `cur` that are still to be read.
    Maildir(Vec<ReadDir>),
}

impl Mails {
    /// Opens a mail, an mbox file or a Maildir.
    ///
    /// # Errors
    /// If it cannot be read, or is none of these.
    pub fn open(path: &Path) -> Result<Self, InboxError> {
        let failed = |source| InboxError {
            path: path.to_owned(),
            source,
        };
        let kind = if path.is_dir() {
            let folders = ["cur", "new"].map(|it| std::fs::read_dir(path.join(it)));
            let [cur, new] = folders.map(|it| it.map_err(|error| failed(no_maildir(error))));
            Kind::Maildir(vec![cur?, new?])
        } else {
            let mut file = BufReader::new(files::open(path).map_err(failed)?);
            let start = file.fill_buf().map_err(failed)?;
            if start.is_empty() {
                // An mbox file whose mails were deleted.
                Kind::Single(None)
            } else if start.starts_with(b"From ") {
                Kind::Mbox(Mbox::new(file, MAIL_LIMIT), 0)
            } else {
                Kind::Single(Some(file))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// Reads the next mail.
    fn read_next(&mut self) -> Result<Option<Mail>, InboxError> {
        let failed = |path: &Path, source| InboxError {
            path: path.to_owned(),
            source,
        };
        let whole = self.path.as_path();
        match &mut self.kind {
            Kind::Single(file) => {
                let Some(file) = file.take() else {
                    return Ok(None);
                };
                let mail = mail(whole.display().to_string(), file);
                mail.map(Some).map_err(|error| failed(whole, error))
            }
            Kind::Mbox(mbox, number) => match mbox.next() {
                None => Ok(None),
                Some(Err(error)) => {
                    let error = failed(whole, error);
                    self.kind = Kind::Single(None);
                    Err(error)
                }
                Some(Ok(bytes)) => {
                    *number += 1;
                    let origin = format!("{}, mail {number}", whole.display());
                    Ok(Some(Mail { origin, bytes }))
                }
            },
            Kind::Maildir(folders) => {
                while let Some(folder) = folders.last_mut() {
                    let entry = match folder.next() {
                        Some(Ok(entry)) => entry,
                        Some(Err(error)) => {
                            folders.pop();
                            return Err(failed(whole, error));
                        }
                        None => {
                            folders.pop();
                            continue;
                        }
                    };
                    // Deleted or moved by another reader in the meantime.
                    let path = entry.path();
                    let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                    if hidden || !entry.file_type().is_ok_and(|it| it.is_file()) {
                        continue;
                    }
                    let file = files::open(&path);
                    match file.and_then(|it| mail(path.display().to_string(), it)) {
                        Ok(mail) => return Ok(Some(mail)),
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                        // The next call goes on behind it.
                        Err(error) => return Err(failed(&path, error)),
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Iterator for Mails {
    type Item = Result<Mail, InboxError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// The error of a folder without the folders of a Maildir.
fn no_maildir(error: std::io::Error) -> std::io::Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return error;
    }
    let message = "it is a folder, but no Maildir, which has the folders `new` and `cur`; name a Maildir, an mbox file or a mail (.eml)";
    std::io::Error::other(message)
}

fn mail(origin: String, file: impl Read) -> std::io::Result<Mail> {
    let mut bytes = Vec::new();
    file.take(MAIL_LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(Mail { origin, bytes })
}
