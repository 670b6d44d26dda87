//! Erasing partners from the events file, and from the rotated ones beside it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::{Result, failed};
use super::position::PositionFile;
use crate::address::Address;
use crate::atomic_file::AtomicFile;
use crate::files::{self, folder_of};
use crate::mentions::Mentions;

/// The fields of a change that tell who the partner is, or may.
const PERSONAL: [&str; 4] = ["address", "reply", "message_id", "note"];

/// What was erased from the events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErasedEvents {
    /// From how many lines.
    pub lines: u64,
    /// Files beside them that cannot be read as JSON lines, such as compressed ones.
    pub unreadable: Vec<PathBuf>,
}

/// Erases an address. The lines about it stay, without what tells whose they are.
///
/// # Errors
/// If a file cannot be read or written. Those before it are done.
pub async fn erase_address(path: &Path, address: &Address) -> Result<ErasedEvents> {
    let (mentions, canonical) = (Mentions::of(address), address.canonical());
    let change = |line: &mut Object| {
        if line.text("address") == Some(&canonical) {
            return line.anonymize();
        }
        let texts = line.0.iter_mut().filter_map(|(_, value)| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        let mut changed = false;
        for text in texts.filter(|it| mentions.is_in(it)) {
            *text = mentions.removed_from(text).into_owned();
            changed = true;
        }
        changed
    };
    erase(path, change, |_| false).await
}

/// Erases whom all lines before `until` are about.
///
/// # Errors
/// As [`erase_address`].
pub async fn erase_before(path: &Path, until: Timestamp) -> Result<ErasedEvents> {
    // The lines are in the order of their times, so that a long file is not read to its end for nothing.
    let is_later = |line: &Object| line.at().is_none_or(|it| it >= until);
    let change = |line: &mut Object| !is_later(line) && line.anonymize();
    erase(path, change, is_later).await
}

/// Lets `change` change each line of all files, and writes those again that need it before a line that is beyond what
/// is to be changed.
async fn erase(
    path: &Path,
    mut change: impl FnMut(&mut Object) -> bool,
    is_beyond: impl Fn(&Object) -> bool,
) -> Result<ErasedEvents> {
    let mut erased = ErasedEvents::default();
    if !folder_of(path).is_dir() {
        return Ok(erased);
    }
    let _lock = PositionFile::lock(path).await.map_err(failed(path))?;
    for file in with_rotated(path).map_err(failed(path))? {
        match rewrite(&file, &mut change, &is_beyond).map_err(failed(&file))? {
            Some(lines) => erased.lines += lines,
            None => erased.unreadable.push(file),
        }
    }
    Ok(erased)
}

/// The file and those that were rotated, `events.jsonl.1` or `events.jsonl-20261130.gz`.
fn with_rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let position = PositionFile::path(path);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder_of(path))? {
        let file = entry?.file_name();
        let file = file.to_string_lossy();
        let Some(rest) = file.strip_prefix(&*name) else {
            continue;
        };
        let file = folder_of(path).join(&*file);
        if (rest.is_empty() || rest.starts_with(['.', '-'])) && file != position && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a file again if `change` changes a line; gives how many it did. None if these are not JSON lines.
fn rewrite(
    path: &Path,
    change: &mut impl FnMut(&mut Object) -> bool,
    is_beyond: impl Fn(&Object) -> bool,
) -> io::Result<Option<u64>> {
    let source = files::open(path)?;
    let mut first = Vec::new();
    (&source).take(1).read_to_end(&mut first)?;
    if first.iter().any(|it| *it != b'{') {
        return Ok(None);
    }
    if !needs_change(&source, change, is_beyond)? {
        return Ok(Some(0));
    }
    let copy = AtomicFile::begin(path)?;
    let mut written = BufWriter::new(copy.file());
    let mut changed = 0;
    for line in lines(&source)? {
        let line = line?;
        let mut object = serde_json::from_slice::<Object>(&line).ok();
        if let Some(object) = &mut object
            && change(object)
        {
            serde_json::to_writer(&mut written, object)?;
            changed += 1;
        } else {
            written.write_all(&line)?;
        }
        written.write_all(b"\n")?;
    }
    written.flush()?;
    drop(written);
    keep_owner(&source, copy.file())?;
    copy.commit()?;
    Ok(Some(changed))
}

/// Whether a line before the first that is beyond what is to be changed needs a change.
fn needs_change(
    source: &File,
    change: &mut impl FnMut(&mut Object) -> bool,
    is_beyond: impl Fn(&Object) -> bool,
) -> io::Result<bool> {
    for line in lines(source)? {
        let Ok(mut object) = serde_json::from_slice::<Object>(&line?) else {
            continue;
        };
        if is_beyond(&object) {
            return Ok(false);
        }
        if change(&mut object) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The lines of a file, from its beginning.
fn lines(mut file: &File) -> io::Result<io::Split<BufReader<&File>>> {
    file.rewind()?;
    Ok(BufReader::new(file).split(b'\n'))
}

fn keep_owner(from: &File, to: &File) -> io::Result<()> {
    let (from, now) = (from.metadata()?, to.metadata()?);
    if (from.uid(), from.gid()) != (now.uid(), now.gid()) {
        fchown(to, Some(from.uid()), Some(from.gid()))?;
    }
    to.set_permissions(from.permissions())
}

/// A JSON object whose members keep their order.
struct Object(Vec<(String, Value)>);

impl Object {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == name)?.1.as_str()
    }

    fn at(&self) -> Option<Timestamp> {
        self.text("at")?.parse().ok()
    }

    /// Empties the fields that tell who the partner is. Gives whether there was something.
    fn anonymize(&mut self) -> bool {
        let mut changed = false;
        for (name, value) in &mut self.0 {
            if PERSONAL.contains(&name.as_str()) && !value.is_null() {
                *value = Value::Null;
                changed = true;
            }
        }
        changed
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
