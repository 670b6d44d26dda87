//! The files beside the ledger, and their owner.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Gid, Uid, fchown};

/// Gives a file that root created to the ledger's owner, who usually runs the job. Does nothing for any
/// other user.
///
/// # Errors
/// If the file cannot be examined or its owner cannot be changed.
pub fn give_to_owner(file: &File, ledger: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Ok(owner) = std::fs::metadata(ledger) else {
        return Ok(());
    };
    if owner.uid() == file.metadata()?.uid() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    fchown(file, Some(uid), Some(gid)).map_err(io::Error::from)
}

/// How to make a file usable for this user, if it belongs to another one; otherwise empty.
pub fn ownership_fix(path: &Path) -> String {
    let owner = std::fs::metadata(path).map(|it| it.uid()).ok();
    let own = rustix::process::geteuid().as_raw();
    match owner {
        Some(uid) if uid != own => format!(
            "; it belongs to uid {uid}: run `sudo chown {own} {}`, or run the job as that user",
            path.display()
        ),
        _ => String::new(),
    }
}
