//! Where the ledger stands: what its file, its folder and its file system allow.
//!
//! All of it is asked before SQLite opens anything, so that a job which cannot keep its
//! record is refused in plain words and leaves nothing behind. What is merely unwise, a
//! network file system above all, is a warning.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags, StatxAttributes, StatxFlags, access};
use rustix::io::Errno;

use crate::exit::{self, Exit, Failure};

/// Refuses a ledger that is missing, empty, no file, open to everyone, or has a second name.
pub fn check(path: &Path) -> exit::Result<()> {
    let shown = path.display();
    let refuse = |exit, message| Err(Failure::new(exit, message));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!(
                "there is no ledger `{shown}`; if this is a new job, `access-invite init` creates it, else look for the one that is missing: without it every partner counts as not invited"
            );
            return refuse(Exit::Config, message);
        }
        Err(error) => return Err(cannot_open(path, &error)),
    };
    if !metadata.is_file() {
        let message = format!(
            "the ledger `{shown}` is not a regular file; `ledger.file` must name the file itself"
        );
        return refuse(Exit::BadInput, message);
    }
    if metadata.len() == 0 {
        let message = format!(
            "the ledger `{shown}` is an empty file; restore the one that was there, or, if there was none, remove it and let `access-invite init` create it: without it every partner counts as not invited"
        );
        return refuse(Exit::BadInput, message);
    }
    let mode = metadata.permissions().mode();
    if mode & 0o006 != 0 {
        let done = if mode & 0o004 != 0 {
            "readable"
        } else {
            "writable"
        };
        let message = format!(
            "the ledger `{shown}` is {done} by everyone and holds personal data; run `chmod 600 {shown}`"
        );
        return refuse(Exit::NoPermission, message);
    }
    if metadata.nlink() > 1 {
        let message = format!(
            "the ledger `{shown}` has {} names (hard links); lock and log go by the name, so two runs could send from it at once: keep one name, and make copies by copying",
            metadata.nlink()
        );
        return refuse(Exit::NoPermission, message);
    }
    if is_mount_point(path) {
        let message = format!(
            "the ledger `{shown}` is mounted as a single file, so it has a second name elsewhere; lock and log are found by the name, and two runs could send from it at once: mount its folder instead"
        );
        return refuse(Exit::NoPermission, message);
    }
    Ok(())
}

/// Whether something is mounted on the file itself, as a container engine does with a single file.
/// A bind mount gives the file a second name without raising its link count.
fn is_mount_point(path: &Path) -> bool {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    found.is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Refuses a ledger that this user cannot write, or whose folder takes no files.
pub fn check_writable(path: &Path) -> exit::Result<()> {
    let shown = path.display();
    let folder = folder_of(path);
    let told = |what: String, errno: Errno| {
        let cure = match errno {
            Errno::ROFS => "mount the file system writable, or move the ledger".to_owned(),
            _ => match std::fs::metadata(path) {
                Ok(it) => format!("run the job as the user that owns it (uid {})", it.uid()),
                Err(_) => "run the job as the user that owns it".to_owned(),
            },
        };
        let why = std::io::Error::from(errno);
        Failure::new(Exit::NoPermission, format!("{what}: {why}; {cure}"))
    };
    access(path, Access::READ_OK | Access::WRITE_OK).map_err(|errno| {
        let what = format!("the ledger `{shown}` cannot be written by this user");
        told(what, errno)
    })?;
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
        let what = format!(
            "the folder `{}` takes no files from this user, but lock and log of the ledger `{shown}` stand there during a run",
            folder.display()
        );
        told(what, errno)
    })
}

/// What works, but is unwise, about where the ledger stands.
pub fn warnings(path: &Path) -> Vec<String> {
    let shown = path.display();
    let folder = folder_of(path);
    let mut warnings = Vec::new();
    if let Some(kind) = magic_of(path)
        .or_else(|| magic_of(folder))
        .and_then(network)
    {
        warnings.push(format!(
            "the ledger `{shown}` is on a network file system ({kind}), where locks and the order of writes cannot be relied on; put it on a disk of this machine, or a partner may be invited twice"
        ));
    }
    if let Ok(metadata) = std::fs::metadata(folder)
        && metadata.permissions().mode() & 0o1002 == 0o0002
    {
        warnings.push(format!(
            "everyone may replace the ledger `{shown}`, because its folder is writable by everyone; run `chmod o-w {}`",
            folder.display()
        ));
    }
    if path.exists()
        && let Err(failure) = check_writable(path)
    {
        warnings.push(format!("a real send would stop: {failure}"));
    }
    warnings
}

/// What to call the network file system with this magic number; none for one of this machine.
/// The numbers are those of `linux/magic.h` and of `statfs(2)`.
#[must_use]
pub fn network(magic: u32) -> Option<&'static str> {
    let name = match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x0102_1997 => "9p",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x2003_0528 => "OrangeFS",
        0x1983_0326 => "BeeGFS",
        0xAAD7_AAEA => "PanFS",
        0x6573_5546 => "FUSE, perhaps sshfs or a shared folder",
        0x786F_4256 => "a shared folder of VirtualBox",
        0xBACB_ACBC => "a shared folder of VMware",
        _ => return None,
    };
    Some(name)
}

#[cfg(target_os = "linux")]
fn magic_of(path: &Path) -> Option<u32> {
    let found = rustix::fs::statfs(path).ok()?;
    // The kernel's number has 32 bits; some of them come sign-extended.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "see above"
    )]
    Some(found.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn magic_of(_: &Path) -> Option<u32> {
    None
}

/// The folder that a file stands in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Opens a regular file; anything else is an error, and a FIFO does not block.
pub fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.clone().custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Gives a file that root has made beside the ledger to the ledger's owner, who runs the job
/// otherwise. For any other user nothing happens.
///
/// # Errors
/// If the file cannot be examined or given away.
pub fn give_to_owner(file: &File, ledger: &Path) -> io::Result<()> {
    use rustix::fs::{Gid, Uid, fchown};

    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Ok(owner) = std::fs::metadata(ledger) else {
        return Ok(());
    };
    let own = file.metadata()?;
    if owner.uid() == own.uid() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    fchown(file, Some(uid), Some(gid)).map_err(io::Error::from)
}

/// How to make a file beside the ledger usable for this user, if it belongs to somebody else.
#[must_use]
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

/// Files that a run has open by name: if one of them is replaced or removed, the run and the next
/// one no longer work on the same ledger.
#[derive(Debug)]
pub struct OpenFiles {
    names: Vec<(PathBuf, (u64, u64))>,
    /// The ledger itself. Closed after SQLite's own, because closing any descriptor of a file gives up
    /// the locks that the process holds on it.
    ledger: File,
}

/// What happened to an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Its name is gone, or leads to another file.
    Name(PathBuf),
    /// The ledger's content was overwritten in place.
    Content,
}

impl OpenFiles {
    /// Remembers which file the ledger is now.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of(ledger: &Path) -> io::Result<Self> {
        let file = File::open(ledger)?;
        let names = vec![(ledger.to_owned(), identity(&file.metadata()?))];
        Ok(Self {
            names,
            ledger: file,
        })
    }

    /// Remembers which file `path` is now.
    ///
    /// # Errors
    /// If it is missing or cannot be examined.
    pub fn watch(&mut self, path: PathBuf) -> io::Result<()> {
        let identity = identity(&std::fs::metadata(&path)?);
        self.names.push((path, identity));
        Ok(())
    }

    /// The first file that is no longer the one that was opened. A ledger in use is in log mode,
    /// and a copy that was closed is not.
    #[must_use]
    pub fn replaced(&self) -> Option<Replaced> {
        let changed = |(path, opened): &&(PathBuf, (u64, u64))| {
            std::fs::metadata(path).map_or(true, |it| identity(&it) != *opened)
        };
        if let Some((path, _)) = self.names.iter().find(changed) {
            return Some(Replaced::Name(path.clone()));
        }
        let mut mode = [0; 2];
        let read = self.ledger.read_exact_at(&mut mode, 18);
        (read.is_err() || mode != [2, 2]).then_some(Replaced::Content)
    }
}

/// Device and inode, which together name a file.
#[must_use]
pub fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The failure to open the file at all.
pub fn cannot_open(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!(
        "cannot open the ledger `{}`: {error}; run the job as the user that owns it",
        path.display()
    );
    Failure::new(Exit::NoPermission, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_network_file_systems_are_known_by_their_numbers_and_local_ones_are_not() {
        let local = [
            0xEF53,      // ext2, ext3, ext4
            0x9123_683E, // btrfs
            0x5846_5342, // XFS
            0x0102_1994, // tmpfs
            0x794C_7630, // overlay
            0x2FC1_2FC1, // ZFS
            0xF2F5_2010, // F2FS
            0,
        ];

        for magic in local {
            assert_eq!(network(magic), None, "{magic:#x}");
        }
        for (magic, name) in [(0x6969, "NFS"), (0xFF53_4D42, "CIFS"), (0x0102_1997, "9p")] {
            assert_eq!(network(magic), Some(name));
        }
        assert_eq!(magic_of(Path::new("/proc")), Some(0x9FA0));
    }
}
