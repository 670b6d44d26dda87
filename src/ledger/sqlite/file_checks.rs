//! Checks of the ledger's file, folder and file system, made before SQLite opens the file, so that a job that
//! cannot record is refused with a clear message and creates no files. A network file system is a warning.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, access};
use rustix::io::Errno;

use crate::files::folder_of;
use crate::finding::Finding;
use crate::ledger::error::{LedgerError, Result};

/// Refuses a ledger that is missing, empty, not a regular file, open to everyone, or has a second name.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(LedgerError::Missing(format!(
                "there is no ledger `{shown}`, without which no partner counts as invited; restore it, or for a new job, `access-invite init` creates it"
            )));
        }
        Err(error) => return Err(cannot_open(path, &error)),
    };
    if !metadata.is_file() {
        return Err(LedgerError::Unusable(format!(
            "the ledger `{shown}` is not a regular file; set `ledger.file` to the file itself"
        )));
    }
    if metadata.len() == 0 {
        return Err(LedgerError::Unusable(format!(
            "the ledger `{shown}` is an empty file, in which no partner counts as invited; restore it, or for a new job remove it and run `access-invite init`"
        )));
    }
    let mode = metadata.permissions().mode();
    let refused = if mode & 0o006 != 0 {
        let access = match mode & 0o004 {
            0 => "writable",
            _ => "readable",
        };
        format!("is {access} by everyone and holds personal data; run `chmod 600 {shown}`")
    } else if metadata.nlink() > 1 {
        format!(
            "has {} names (hard links), and lock and log depend on the name, so that two runs could send from it at once; keep one name, and make backups by copying",
            metadata.nlink()
        )
    } else if is_mount_point(path) {
        "is mounted as a single file, so it has a second name, and lock and log depend on the name, so that two runs could send from it at once; mount its folder instead".into()
    } else {
        return Ok(());
    };
    let message = format!("the ledger `{shown}` {refused}");
    Err(LedgerError::NoPermission(message))
}

/// Whether the file is a mount point, as a container engine makes it for a single file. A bind mount gives
/// the file a second name without raising its link count.
fn is_mount_point(path: &Path) -> bool {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    found.is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Refuses a ledger that this user cannot write, or in whose folder this user cannot create files.
pub fn check_writable(path: &Path) -> Result<()> {
    let shown = path.display();
    let folder = folder_of(path);
    let refused = |what: String, errno: Errno| {
        let fix = match errno {
            Errno::ROFS => "mount the file system writable, or move the ledger".to_owned(),
            _ => match std::fs::metadata(path) {
                Ok(it) => format!("run the job as the user that owns it (uid {})", it.uid()),
                Err(_) => "run the job as the user that owns it".to_owned(),
            },
        };
        let why = std::io::Error::from(errno);
        LedgerError::NoPermission(format!("{what}: {why}; {fix}"))
    };
    access(path, Access::READ_OK | Access::WRITE_OK).map_err(|errno| {
        let what = format!("the ledger `{shown}` cannot be written by this user");
        refused(what, errno)
    })?;
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
        let what = format!(
            "this user cannot create files in the folder `{}`, where the ledger `{shown}` needs its lock and log",
            folder.display()
        );
        refused(what, errno)
    })
}

/// What works, but is unsafe, about the location of the ledger.
pub fn warnings(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let folder = folder_of(path);
    let mut warnings = Vec::new();
    if let Some(kind) = magic_of(path)
        .or_else(|| magic_of(folder))
        .and_then(network)
    {
        warnings.push(format!(
            "the ledger `{shown}` is on a network file system ({kind}), where locks and the order of writes are not reliable and a partner may be invited twice; move it to a local disk"
        ));
    }
    if let Ok(metadata) = std::fs::metadata(folder)
        && metadata.permissions().mode() & 0o1002 == 0o0002
    {
        warnings.push(format!(
            "everyone can replace the ledger `{shown}`, because its folder is writable by everyone; run `chmod o-w {}`",
            folder.display()
        ));
    }
    if path.exists()
        && let Err(error) = check_writable(path)
    {
        warnings.push(format!("a real send would fail: {error}"));
    }
    let finding = |it| Finding::warning("ledger", &shown, it);
    warnings.into_iter().map(finding).collect()
}

/// The name of the network file system with this magic number (`linux/magic.h`, `statfs(2)`); none for a
/// local file system.
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

/// The magic number of the file system.
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

/// The error of a file that cannot be opened at all.
pub fn cannot_open(path: &Path, error: &std::io::Error) -> LedgerError {
    LedgerError::NoPermission(format!(
        "cannot open the ledger `{}`: {error}; run the job as the user that owns it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_network_file_systems_are_recognised_by_magic_number() {
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
