//! Power cuts during a run: whatever the disk loses of unsynced data, the ledger opens, and nothing
//! that the run relied on is missing. Run by `.ci/run`,
//! which installs strace.
//!
//! `ACCESS_INVITE_IMAGES` sets the number of disk images (default 400).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};

use crate::support::chance::{Random, number};
use crate::support::disk::{self, Disk, Event, Loss};
use crate::support::smtp::Server;
use crate::support::{OPEN, Workplace};

/// Enough partners to restart the log from its beginning at least once.
const PARTNERS: usize = 240;

/// What the next run must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Its final dot was sent.
    Armed,
    /// The next final dot was sent on that connection, or the run has ended.
    Accepted,
}

/// The bytes sent so far on one connection.
#[derive(Default)]
struct Stream {
    line: Vec<u8>,
    in_message: bool,
    recipient: String,
}

#[derive(Default)]
struct Promises {
    streams: BTreeMap<String, Stream>,
    made: BTreeMap<String, Promise>,
    /// The recipient of the last final dot of each connection.
    last: BTreeMap<String, String>,
}

impl Promises {
    /// Records bytes that are about to be sent; returns whether they contain a final dot.
    fn before_sending(&mut self, socket: &str, bytes: &[u8]) -> bool {
        let stream = self.streams.entry(socket.to_owned()).or_default();
        let mut dotted = false;
        for byte in bytes {
            stream.line.push(*byte);
            if *byte != b'\n' {
                continue;
            }
            let line = std::mem::take(&mut stream.line);
            if stream.in_message {
                if line == b".\r\n" {
                    stream.in_message = false;
                    dotted = true;
                    let who = stream.recipient.clone();
                    if let Some(before) = self.last.insert(socket.to_owned(), who.clone()) {
                        self.made.insert(before, Promise::Accepted);
                    }
                    self.made.insert(who, Promise::Armed);
                }
            } else if let Some(path) = line.strip_prefix(b"RCPT TO:<") {
                let path = String::from_utf8(path.to_vec()).unwrap();
                path.split('>')
                    .next()
                    .unwrap()
                    .clone_into(&mut stream.recipient);
            } else if line == b"DATA\r\n" {
                stream.in_message = true;
            }
        }
        dotted
    }
}

/// A disk after the power cut, and the rows that were durable by then.
struct Image {
    about: String,
    files: BTreeMap<String, Vec<u8>>,
    promised: BTreeMap<String, Promise>,
}

impl Image {
    /// Replaces the files of the job and runs the binary on them.
    fn check_case(&self, workplace: &Workplace, garbage: bool) {
        let about = &self.about;
        for suffix in ["", "-wal", "-shm", "-journal", ".witness"] {
            let _ = std::fs::remove_file(workplace.file(&format!("ledger.sqlite3{suffix}")));
        }
        for (name, content) in &self.files {
            std::fs::write(workplace.file(name), content).unwrap();
        }
        if garbage {
            // The index of the log is never synced, so its content is arbitrary.
            std::fs::write(workplace.file("ledger.sqlite3-shm"), vec![0xA5; 32768]).unwrap();
        }
        set_owner_only(workplace);

        let recovered = workplace.run(&OPEN);

        assert_eq!(recovered.code, 65, "{about}: {recovered:?}");
        let words = "to nobody@a.example is recorded";
        assert!(recovered.stderr.contains(words), "{about}: {recovered:?}");
        let states: BTreeMap<_, _> = workplace.states().into_iter().collect();
        assert_eq!(states.len(), PARTNERS, "{about}: enrolment is durable");
        for (address, state) in states {
            let allowed: &[&str] = match self.promised.get(&address) {
                None => &["pending", "unknown"],
                Some(Promise::Armed) => &["unknown", "accepted"],
                Some(Promise::Accepted) => &["accepted"],
            };
            assert!(
                allowed.contains(&state.as_str()),
                "{about}: {address} is {state}, {:?}",
                self.promised.get(&address)
            );
        }
    }
}

fn set_owner_only(workplace: &Workplace) {
    use std::os::unix::fs::PermissionsExt;
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(workplace.file("ledger.sqlite3"), owner_only).unwrap();
}

/// The losses to try at one moment.
const LOSSES: [Loss; 6] = [
    Loss::Everything,
    Loss::Nothing,
    Loss::Tail,
    Loss::Some,
    Loss::Some,
    Loss::Some,
];

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a8_a_power_cut_loses_nothing_that_was_synced() {
    let server = Server::accepting();
    let mut workplace = Workplace::on_disk(server.port());
    workplace.smtp("connections = 2");
    workplace.many_partners(PARTNERS);
    let folder = workplace.path().canonicalize().unwrap();
    let interesting = |name: &str| {
        name.starts_with("ledger.sqlite3") && !name.ends_with("-shm") && !name.ends_with(".lock")
    };
    let disk = Disk::new(&folder, interesting);
    let strace: Vec<_> = "strace -f -qq -y -xx -s 1000000 -o record -e"
        .split(' ')
        .chain([disk::CALLS])
        .collect();
    let sent = workplace.run_under(&strace, &["send"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let record = std::fs::read_to_string(workplace.file("record")).unwrap();
    let events = disk::read(&record, &folder);
    // The complete witness would show that the images are older.
    std::fs::remove_file(workplace.file("ledger.sqlite3.witness")).unwrap();

    let tried = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Disk images are large, so only a few exist at a time.
        let (give, images) = mpsc::sync_channel::<Image>(1);
        let images = Arc::new(Mutex::new(images));
        for _ in 0..2 {
            let (images, tried) = (images.clone(), &tried);
            scope.spawn(move || {
                let workplace = Workplace::on_disk(1);
                workplace.many_partners(PARTNERS);
                loop {
                    let image = images.lock().unwrap().recv();
                    let Ok(image) = image else { return };
                    let nth = tried.fetch_add(1, Ordering::Relaxed);
                    image.check_case(&workplace, nth % 2 == 0);
                }
            });
        }
        drop(images);
        cut_the_power(&events, disk, &give);
    });
    println!("{} images of {} calls", tried.into_inner(), events.len());
}

/// At each final dot, and between any two calls from the first byte to the relay to the end.
fn cut_the_power(events: &[Event], mut disk: Disk, images: &SyncSender<Image>) {
    let mut random = Random::seeded();
    let wanted = number("ACCESS_INVITE_IMAGES").unwrap_or(400);
    let first = events.iter().position(|it| matches!(it, Event::Send(..)));
    let calls = (events.len() - first.unwrap()) as u64;
    let moments = PARTNERS as u64 * 2;
    let mut promises = Promises::default();
    let mut begun = 0;
    for (nth, event) in events.iter().enumerate() {
        let dotted = match event {
            Event::Send(socket, bytes) => promises.before_sending(socket, bytes),
            Event::Write(path, Some(0), _) => {
                begun += u32::from(path.ends_with("ledger.sqlite3-wal"));
                false
            }
            _ => false,
        };
        let chosen = dotted || random.below(calls) < moments / 2;
        if nth >= first.unwrap() && chosen {
            for loss in LOSSES {
                // The wanted number in all, spread over all moments.
                if random.below(moments * LOSSES.len() as u64) < wanted {
                    let image = Image {
                        about: format!("call {nth} of {}, {loss:?}", events.len()),
                        files: disk.after_power_cut(loss, &mut random),
                        promised: promises.made.clone(),
                    };
                    images.send(image).unwrap();
                }
            }
        }
        disk.take(event);
    }
    assert_eq!(promises.made.len(), PARTNERS, "a dot for each");
    assert!(begun > 2, "the log was restarted {begun} times");
    for loss in LOSSES {
        let all = promises.made.keys();
        let image = Image {
            about: format!("at the end, {loss:?}"),
            files: disk.after_power_cut(loss, &mut random),
            promised: all.map(|it| (it.clone(), Promise::Accepted)).collect(),
        };
        images.send(image).unwrap();
    }
}
