//! Reads the files that operators and other programs provide.
//!
//! Only regular files are read, and only up to a limit: a named pipe would block, and a device such as
//! `/dev/zero` has no end. A symbolic link to a regular file is followed. [`writable_by_everyone`] reports
//! files that everyone can change.

use std::fs::{DirBuilder, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a device may have an effect, so the type is checked before.
    ensure_regular(&std::fs::metadata(path)?)?;
    // Without `O_NONBLOCK`, a pipe that has replaced the file since then would block.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read, is not a regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The length of a file may be wrong: it may grow, and files of `/proc` have none.
    open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(limit));
    }
    Ok(bytes)
}

/// The error about a file that is larger than `limit` bytes.
#[must_use]
pub fn too_large(limit: u64) -> io::Error {
    let limit = match limit {
        it if it >= 1 << 20 => format!("{} MiB", it >> 20),
        it => format!("{} KiB", it >> 10),
    };
    let message = format!("it is larger than {limit}, the limit");
    io::Error::new(ErrorKind::FileTooLarge, message)
}

/// Opens a file that this program owns, such as the lock file, for reading and writing. Creates it readable by
/// its owner only, and keeps its content.
///
/// # Errors
/// If it cannot be opened, is a symbolic link, or is not a regular file.
pub fn open_own(path: &Path) -> io::Result<File> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => ensure_regular(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Creates a file that only its owner may read.
///
/// # Errors
/// If it exists, or cannot be created.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a folder that only its owner may enter, and those above it, unless they exist.
///
/// # Errors
/// If they cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn ensure_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let message = format!("it is {}, not a regular file", kind(metadata.file_type()));
    Err(io::Error::other(message))
}

fn kind(file: FileType) -> &'static str {
    if file.is_dir() {
        "a folder"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_socket() {
        "a socket"
    } else if file.is_symlink() {
        "a symbolic link"
    } else {
        "a device"
    }
}

/// How everyone can change the file, with the command that prevents it; `None` if only its owner and
/// group can. `what` names the file in the message.
#[must_use]
pub fn writable_by_everyone(what: &str, path: &Path) -> Option<String> {
    let mode = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode());
    let shown = path.display();
    if mode(path)? & 0o002 != 0 {
        return Some(format!(
            "{what} `{shown}` is writable by everyone; run `chmod o-w {shown}`"
        ));
    }
    // With the sticky bit, as `/tmp` has it, only the owner of a file can replace it.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&target);
    (mode(folder)? & 0o1002 == 0o002).then(|| {
        let folder = folder.display();
        format!(
            "everyone can replace {what} `{shown}`, because its folder is writable by everyone; run `chmod o-w {folder}`"
        )
    })
}

/// The file beside `path` whose name is that of `path` with a suffix.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Device and inode, which together identify a file.
#[must_use]
pub fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The folder of a path, `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_a_named_pipe_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let begun = Instant::now();

        assert_eq!(read(&at("file"), 4).unwrap(), b"text");
        assert_eq!(read(&at("link"), 4).unwrap(), b"text");
        for (name, why) in [
            ("zero", "it is a device, not a regular file"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            (".", "it is a folder, not a regular file"),
            ("dangling", "No such file"),
        ] {
            let error = read(&at(name), 4).unwrap_err().to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_file_above_the_limit_is_refused_with_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![0; 2048]).unwrap();

        assert_eq!(read(&path, 2048).unwrap().len(), 2048);
        let error = read(&path, 1024).unwrap_err().to_string();
        assert_eq!(error, "it is larger than 1 KiB, the limit");
        // Its length says 0.
        let error = read(Path::new("/proc/self/maps"), 16).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn open_own_keeps_content_and_refuses_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();

        open_own(&at("file")).unwrap();
        open_own(&at("new")).unwrap();
        assert_eq!(std::fs::read(at("file")).unwrap(), b"text");
        for name in ["link", "dangling"] {
            let error = open_own(&at(name)).unwrap_err().to_string();
            assert_eq!(error, "it is a symbolic link, not a regular file");
        }
        assert!(!at("nowhere").exists());
    }

    #[test]
    fn files_that_everyone_can_change_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let allow = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let reported = || writable_by_everyone("the file", &path);

        for (mode, folder_mode, expected) in [
            (0o644, 0o755, None),
            (0o664, 0o775, None),
            (
                0o666,
                0o755,
                Some("is writable by everyone; run `chmod o-w /"),
            ),
            (0o644, 0o777, Some("everyone can replace the file")),
            (0o644, 0o1777, None),
        ] {
            allow(&path, mode);
            allow(folder.path(), folder_mode);
            match (reported(), expected) {
                (None, None) => {}
                (Some(text), Some(part)) => assert!(text.contains(part), "{text}"),
                (found, _) => panic!("{mode:o} in {folder_mode:o}: {found:?}"),
            }
        }
        assert_eq!(writable_by_everyone("x", Path::new("/no/such/file")), None);
    }
}
