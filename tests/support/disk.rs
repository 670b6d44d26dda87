//! A model of power loss: the states in which a power cut may leave the files of a run.
//!
//! The system calls of the run are replayed from strace's output. Unsynced writes may be
//! lost, in any selection and torn in the middle; a created or removed name is durable only
//! after its folder was synced. Nothing else is lost: the model assumes that a sync that
//! returned is durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::chance::Random;

/// The unit that a disk writes atomically.
const SECTOR: usize = 512;

/// A system call of the run, in order.
#[derive(Debug)]
pub enum Event {
    /// A file of this name was opened, or created.
    Open(PathBuf),
    /// Bytes at an offset, or at the end.
    Write(PathBuf, Option<u64>, Vec<u8>),
    /// A new length.
    Truncate(PathBuf, u64),
    /// All of a file, or of a folder's names, is durable.
    Sync(PathBuf),
    /// A name was removed.
    Unlink(PathBuf),
    /// Bytes into a socket.
    Send(String, Vec<u8>),
}

/// The calls that [`read`] needs.
pub const CALLS: &str = "trace=open,openat,creat,pwrite64,write,writev,pwritev,ftruncate,fallocate,fsync,fdatasync,sync_file_range,unlink,unlinkat,rename,renameat,renameat2,link,linkat,sendto,sendmsg";

/// Reads strace output, made with `-f -y -xx` and unlimited strings, about the files in `folder`.
pub fn read(record: &str, folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    let mut unfinished: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for line in record.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if rest.starts_with("<... fsync resumed") || rest.starts_with("<... fdatasync resumed") {
            if let (Some(path), true) = (unfinished.remove(thread), rest.ends_with("= 0")) {
                events.push(Event::Sync(path));
            }
            continue;
        }
        let Some((call, arguments)) = rest.split_once('(') else {
            continue;
        };
        // An unfinished call may have taken effect; a sync counts only when it returned.
        let pending = rest.ends_with("<unfinished ...>");
        if !pending && rest.contains(" = -1 ") {
            continue;
        }
        let of_descriptor = || text(between(arguments, "<", ">"));
        match call {
            "fsync" | "fdatasync" => {
                let path = PathBuf::from(of_descriptor());
                if pending {
                    unfinished.insert(thread, path);
                } else {
                    events.push(Event::Sync(path));
                }
            }
            "pwrite64" => {
                let bytes = bytes(between(arguments, "\"", "\""));
                let last = arguments.split("<unfinished").next().unwrap();
                let last = last.split(") = ").next().unwrap();
                let offset = last.trim().rsplit(", ").next().unwrap().parse().unwrap();
                events.push(Event::Write(of_descriptor().into(), Some(offset), bytes));
            }
            "write" => {
                let bytes = bytes(between(arguments, "\"", "\""));
                events.push(Event::Write(of_descriptor().into(), None, bytes));
            }
            "ftruncate" => {
                let length = arguments.split(", ").nth(1).unwrap();
                let length = length.split([')', ' ']).next().unwrap().parse().unwrap();
                events.push(Event::Truncate(of_descriptor().into(), length));
            }
            "unlink" => {
                let path = text(between(arguments, "\"", "\""));
                events.push(Event::Unlink(folder.join(path)));
            }
            "openat" => {
                let path = text(between(arguments, "\"", "\""));
                events.push(Event::Open(folder.join(path)));
                let flags = arguments.rsplit("\", ").next().unwrap();
                assert!(!flags.contains("O_TRUNC"), "not in the model: {line:.200}");
            }
            // The allocator reads system settings.
            "open" => assert!(
                arguments.contains("O_RDONLY"),
                "not in the model: {line:.200}"
            ),
            "sendto" => {
                let bytes = bytes(between(arguments, "\"", "\""));
                events.push(Event::Send(of_descriptor(), bytes));
            }
            other => panic!("not in the model: {other}: {line:.200}"),
        }
    }
    events
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let (_, rest) = text.split_once(open).unwrap();
    rest.split_once(close).unwrap().0
}

/// The bytes of `\x2f\x74…`.
fn bytes(hexadecimal: &str) -> Vec<u8> {
    hexadecimal
        .as_bytes()
        .chunks(4)
        .map(|it| u8::from_str_radix(std::str::from_utf8(&it[2..]).unwrap(), 16).unwrap())
        .collect()
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(bytes(hexadecimal)).unwrap()
}

/// How much a power cut loses.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// All unsynced writes.
    Everything,
    /// Nothing.
    Nothing,
    /// A selection, some of it torn.
    Some,
    /// Only a part of the last write.
    Tail,
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A file, under any name.
#[derive(Default)]
struct File {
    /// The durable content.
    synced: Vec<u8>,
    /// The changes since.
    pending: Vec<Change>,
}

/// The files of a folder that the test examines.
pub struct Disk {
    folder: PathBuf,
    interesting: fn(&str) -> bool,
    files: Vec<File>,
    /// For each name its durable file, and the files that it had
    /// since; `None` if the name does not exist.
    names: BTreeMap<String, Vec<Option<usize>>>,
}

impl Disk {
    /// The folder in its present state, all of it durable.
    pub fn new(folder: &Path, interesting: fn(&str) -> bool) -> Self {
        let mut disk = Self {
            folder: folder.to_owned(),
            interesting,
            files: Vec::new(),
            names: BTreeMap::new(),
        };
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if interesting(&name) {
                disk.names.insert(name, vec![Some(disk.files.len())]);
                disk.files.push(File {
                    synced: std::fs::read(entry.path()).unwrap(),
                    pending: Vec::new(),
                });
            }
        }
        disk
    }

    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.folder).ok()?.to_str()?;
        (self.interesting)(name).then(|| name.to_owned())
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        let name = self.name(path)?;
        let file = (*self.names.get(&name)?.last()?)?;
        Some(&mut self.files[file])
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Open(path) => {
                let Some(name) = self.name(path) else { return };
                let given = self.names.entry(name).or_insert_with(|| vec![None]);
                if given.last() == Some(&None) {
                    given.push(Some(self.files.len()));
                    self.files.push(File::default());
                }
            }
            Event::Unlink(path) => {
                let name = self.name(path);
                if let Some(given) = name.and_then(|it| self.names.get_mut(&it)) {
                    given.push(None);
                }
            }
            Event::Write(path, offset, bytes) => {
                if let Some(file) = self.file(path) {
                    let offset = offset.map(|it| usize::try_from(it).unwrap());
                    let offset = offset.unwrap_or_else(|| file.length());
                    file.pending.push(Change::Write(offset, bytes.clone()));
                }
            }
            Event::Truncate(path, length) => {
                if let Some(file) = self.file(path) {
                    let length = usize::try_from(*length).unwrap();
                    file.pending.push(Change::Truncate(length));
                }
            }
            Event::Sync(path) if *path == self.folder => {
                for given in self.names.values_mut() {
                    given.drain(..given.len() - 1);
                }
            }
            Event::Sync(path) => {
                if let Some(file) = self.file(path) {
                    file.synced = file.after(|_| Kept::Whole);
                    file.pending.clear();
                }
            }
            Event::Send(..) => {}
        }
    }

    /// The files that a power cut would leave now, by name.
    pub fn after_power_cut(&self, loss: Loss, random: &mut Random) -> BTreeMap<String, Vec<u8>> {
        let mut left = BTreeMap::new();
        for (name, given) in &self.names {
            let since = given.len() as u64;
            let file = match loss {
                Loss::Everything => given[0],
                Loss::Nothing | Loss::Tail => given[given.len() - 1],
                Loss::Some => given[usize::try_from(random.below(since)).unwrap()],
            };
            let Some(file) = file.map(|it| &self.files[it]) else {
                continue;
            };
            let last = file.pending.len().wrapping_sub(1);
            let content = file.after(|nth| match loss {
                Loss::Everything => Kept::Not,
                Loss::Nothing => Kept::Whole,
                Loss::Tail if nth == last => Kept::Torn(random.below(u64::MAX)),
                Loss::Tail => Kept::Whole,
                Loss::Some => match random.below(8) {
                    0..=2 => Kept::Not,
                    3 => Kept::Torn(random.below(u64::MAX)),
                    _ => Kept::Whole,
                },
            });
            left.insert(name.clone(), content);
        }
        left
    }
}

/// The durable part of a change; of a torn one, the sectors whose bit is set.
enum Kept {
    Whole,
    Torn(u64),
    Not,
}

impl File {
    fn length(&self) -> usize {
        let mut length = self.synced.len();
        for change in &self.pending {
            length = match change {
                Change::Write(offset, bytes) => length.max(offset + bytes.len()),
                Change::Truncate(length) => *length,
            };
        }
        length
    }

    fn after(&self, mut kept: impl FnMut(usize) -> Kept) -> Vec<u8> {
        let mut content = self.synced.clone();
        for (nth, change) in self.pending.iter().enumerate() {
            let kept = kept(nth);
            match (change, kept) {
                (_, Kept::Not) => {}
                (Change::Truncate(length), _) => content.resize(*length, 0),
                (Change::Write(offset, bytes), kept) => {
                    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                        let at = offset + sector * SECTOR;
                        let there = match kept {
                            Kept::Torn(sectors) => sectors >> (sector % 64) & 1 == 1,
                            _ => true,
                        };
                        if there {
                            let end = at + part.len();
                            content.resize(content.len().max(end), 0);
                            content[at..end].copy_from_slice(part);
                        }
                    }
                }
            }
        }
        content
    }
}
