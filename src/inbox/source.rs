//! Mail in files: one mail (`.eml`), an mbox file, or a Maildir.

use std::fs::ReadDir;
use std::io::{BufReader, Read};
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

/// The mails of a file or folder, one at a time.
pub struct Mails {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// One mail; `None` after it was read.
    Single(Option<Box<dyn Read>>),
    Mbox(Box<Mbox<BufReader<Box<dyn Read>>>>, u64),
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
            let [cur, new] = folders;
            Kind::Maildir(vec![cur.map_err(failed)?, new.map_err(failed)?])
        } else {
            let mut file = files::open(path).map_err(failed)?;
            let mut start = [0; 5];
            let read = read_up_to(&mut file, &mut start).map_err(failed)?;
            let whole: Box<dyn Read> =
                Box::new(std::io::Cursor::new(start[..read].to_vec()).chain(file));
            if &start[..read] == b"From " {
                Kind::Mbox(Box::new(Mbox::new(BufReader::new(whole), MAIL_LIMIT)), 0)
            } else {
                Kind::Single(Some(whole))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// Reads the next mail.
    fn read_next(&mut self) -> std::io::Result<Option<Mail>> {
        match &mut self.kind {
            Kind::Single(file) => {
                let Some(file) = file.take() else {
                    return Ok(None);
                };
                Ok(Some(mail(self.path.display().to_string(), file)?))
            }
            Kind::Mbox(mbox, number) => {
                let Some(bytes) = mbox.next().transpose()? else {
                    return Ok(None);
                };
                *number += 1;
                let origin = format!("{}, mail {number}", self.path.display());
                Ok(Some(Mail { origin, bytes }))
            }
            Kind::Maildir(folders) => {
                while let Some(folder) = folders.last_mut() {
                    let Some(entry) = folder.next().transpose()? else {
                        folders.pop();
                        continue;
                    };
                    // Deleted or moved by another reader in the meantime.
                    let path = entry.path();
                    let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                    if hidden || !entry.file_type().is_ok_and(|it| it.is_file()) {
                        continue;
                    }
                    match files::open(&path) {
                        Ok(file) => {
                            return Ok(Some(mail(path.display().to_string(), Box::new(file))?));
                        }
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
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
        let read = self.read_next().map_err(|source| InboxError {
            path: self.path.clone(),
            source,
        });
        if read.is_err() {
            // An error is reported once, and ends the reading.
            self.kind = Kind::Single(None);
        }
        read.transpose()
    }
}

fn mail(origin: String, file: Box<dyn Read>) -> std::io::Result<Mail> {
    let mut bytes = Vec::new();
    file.take(MAIL_LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(Mail { origin, bytes })
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            count => read += count,
        }
    }
    Ok(read)
}
