use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::task::JoinSet;

use super::*;
use crate::address::Address;
use crate::invitation::{Cause, Decision, Identity, Invitee, Standing};
use crate::link::PackageId;
use crate::outcome::{Outcome, Phase};

mod access;
mod conformance;
mod damage;
mod database;
mod differences;
mod erasure;
mod evidence;
mod reminders;
mod stores;

/// A folder with an empty ledger.
struct LedgerFolder(tempfile::TempDir);

impl LedgerFolder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        Ledger::create_scratch(&folder.path()).unwrap();
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.sqlite3")
    }

    fn files(&self) -> LedgerLocation {
        files_of(self.path())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn files_of(file: PathBuf) -> LedgerLocation {
    LedgerLocation::File(LedgerFiles {
        witness: crate::files::beside(&file, ".witness"),
        file,
    })
}

fn start() -> RunStart {
    RunStart {
        verb: "send",
        campaign: "spring".into(),
        at: now(),
    }
}

fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn identity(address: &str) -> Identity {
    let package_id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
    Identity::new("spring", package_id, &Address::parse(address).unwrap())
}

fn enrolment(address: &str) -> Enrolment {
    Enrolment {
        identity: identity(address),
        invitee: Invitee {
            package: "project".into(),
            email: address.into(),
            name: Some("Ada".into()),
            organization: None,
            locale: Some("fr-CA".into()),
            template_locale: "fr".into(),
        },
        message_id: format!("{}@contoso.example", "0".repeat(32)),
    }
}

fn armed(address: &str) -> Change {
    Change {
        phase: Some(Phase::Dot),
        relay: Some("smtp.example.com".into()),
        message: Some((now(), [7; 32])),
        ..Change::new(&identity(address), now(), Cause::Arm)
    }
}

fn settled(address: &str, outcome: Outcome) -> Change {
    Change {
        phase: Some(Phase::Dot),
        reply: Some(crate::outcome::testing::reply("250 2.0.0 queued")),
        ..Change::new(&identity(address), now(), Cause::Outcome(outcome))
    }
}

/// Enrols them, and claims them for this run.
async fn enrol(ledger: &Ledger, attempts: u64, invitations: Vec<Enrolment>) {
    let identities: Vec<_> = invitations.iter().map(|it| it.identity.clone()).collect();
    let invitations = invitations.into_iter().map(Ok::<_, LedgerError>);
    let enrolled = ledger.enrol(attempts, "spring", invitations, now());
    enrolled.await.unwrap();
    ledger.claim(&identities).await.unwrap();
}

async fn enrolled(folder: &LedgerFolder, addresses: &[&str]) -> Ledger {
    enrolled_in(Ledger::open_scratch(&folder.path()).unwrap(), addresses).await
}

async fn enrolled_in(ledger: Ledger, addresses: &[&str]) -> Ledger {
    let enrolments = addresses.iter().map(|it| enrolment(it)).collect();
    enrol(&ledger, addresses.len() as u64, enrolments).await;
    ledger
}

async fn standing(ledger: &Ledger, address: &str) -> Standing {
    let standings = ledger.reader().standings(vec![identity(address)]).await;
    standings.unwrap().remove(0).unwrap()
}

fn length_of_log(folder: &LedgerFolder) -> u64 {
    let log = folder.path().with_extension("sqlite3-wal");
    log.metadata().unwrap().len()
}

#[tokio::test]
async fn after_a_long_enrolment_the_log_shrinks_to_the_reserve() {
    let folder = LedgerFolder::new();
    let ledger = Ledger::open_scratch(&folder.path()).unwrap();
    let rows = (0..20_000).map(|row| enrolment(&format!("p{row}@c{}.example", row / 1_000)));
    enrol(&ledger, 20_000, rows.collect()).await;

    ledger.apply(armed("p0@c0.example")).await.unwrap();

    assert_eq!(length_of_log(&folder), 2_048 * (4_096 + 24));
}

#[tokio::test]
async fn with_a_reader_the_log_grows_behind_the_kept_pages() {
    let folder = LedgerFolder::new();
    let ledger = Ledger::open_scratch(&folder.path()).unwrap();
    let reader = rusqlite::Connection::open(folder.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM invitation")
        .unwrap();
    let room = (16 + 64) * (4_096 + 24);

    enrol(&ledger, 1, vec![enrolment("ada@a.example")]).await;

    assert!(length_of_log(&folder) > room + 4 * 4_096);
}

#[tokio::test]
async fn f19_a_change_without_effect_is_an_error_and_the_last_write() {
    for table in ["invitation", "history", "meta", "run"] {
        let folder = LedgerFolder::new();
        let ledger = Ledger::open(&folder.files(), &start()).unwrap();
        let ledger = enrolled_in(ledger, &["ada@a.example"]).await;
        let outside = rusqlite::Connection::open(folder.path()).unwrap();
        for event in ["INSERT", "UPDATE"] {
            outside
                .execute_batch(&format!(
                    "CREATE TRIGGER quiet_{event} BEFORE {event} ON {table}
                     BEGIN SELECT RAISE(IGNORE); END"
                ))
                .unwrap();
        }

        let failure = ledger.apply(armed("ada@a.example")).await.unwrap_err();

        assert!(
            matches!(failure, LedgerError::Fault(_)),
            "{table}: {failure}"
        );
        let again = ledger.apply(armed("ada@a.example")).await.unwrap_err();
        assert!(
            matches!(again, LedgerError::CannotWrite(_)),
            "{table}: {again}"
        );
        let ada = standing(&ledger, "ada@a.example").await;
        assert_eq!(ada.state, State::Pending, "{table}");
    }
}

#[tokio::test]
async fn reading_after_a_killed_run_changes_no_byte_of_the_folder() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    let dead = tempfile::tempdir().unwrap();
    for name in ["ledger.sqlite3", "ledger.sqlite3-wal"] {
        std::fs::copy(folder.0.path().join(name), dead.path().join(name)).unwrap();
    }
    let bytes = || {
        let mut files: Vec<_> = std::fs::read_dir(dead.path())
            .unwrap()
            .map(|it| it.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = bytes();

    let scratch = tempfile::tempdir().unwrap();
    let path = dead.path().join("ledger.sqlite3");
    let reader = Reader::open(&files_of(path), Some(scratch.path())).unwrap();
    let counts = reader.counts("spring").await.unwrap();
    drop(reader);

    assert!(counts.contains(&(State::Armed, 1)));
    assert!(bytes() == before, "the folder has changed");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn other_files_are_refused_before_they_are_changed() {
    let open = |path: &Path| Ledger::open_scratch(path).map(|_| ()).unwrap_err();
    let folder = LedgerFolder::new();
    let path = folder.path();
    let whole = std::fs::read(&path).unwrap();

    let missing = open(&folder.0.path().join("none"));
    assert!(matches!(missing, LedgerError::Missing(_)), "{missing}");
    std::fs::write(&path, "email,name\n".repeat(100)).unwrap();
    assert!(matches!(open(&path), LedgerError::Unusable(_)));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(open(&path), LedgerError::Unusable(_)));
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let damaged = open(&path);
    assert!(matches!(damaged, LedgerError::Unusable(_)));
    assert!(damaged.to_string().contains("is damaged"), "{damaged}");

    std::fs::write(&path, &whole).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    let failure = open(&path);
    assert!(matches!(failure, LedgerError::Unusable(_)));
    assert!(
        failure.to_string().contains("newer access-invite"),
        "{failure}"
    );
    other.pragma_update(None, "application_id", 1).unwrap();
    assert!(
        open(&path)
            .to_string()
            .contains("not a ledger of access-invite")
    );

    std::fs::write(&path, &whole).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(open(&path), LedgerError::NoPermission(_)));
    let again = Ledger::create_scratch(&path);
    assert!(matches!(again, Err(LedgerError::CannotWrite(_))));
}

#[tokio::test]
async fn the_log_does_not_grow_beyond_the_reserve() {
    let folder = LedgerFolder::new();
    let addresses: Vec<_> = (0..2_000).map(|it| format!("p{it}@a.example")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let ledger = enrolled(&folder, &addresses).await;
    let log = crate::files::beside(&folder.path(), "-wal");
    let before = std::fs::metadata(&log).unwrap().len();

    for address in &addresses {
        ledger.apply(armed(address)).await.unwrap();
        ledger
            .apply(settled(address, Outcome::Accepted))
            .await
            .unwrap();
    }

    assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
}
