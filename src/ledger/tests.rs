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
mod damage;
mod erasure;
mod evidence;
mod reminders;

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

async fn enrol(ledger: &Ledger, attempts: u64, invitations: Vec<Enrolment>) {
    let invitations = invitations.into_iter().map(Ok::<_, LedgerError>);
    let enrolled = ledger.enrol(attempts, "spring", invitations, now());
    enrolled.await.unwrap();
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

#[tokio::test]
async fn changes_survive_reopening_and_a_closed_ledger_is_one_file() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example", "bob@b.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    ledger
        .apply(settled("ada@a.example", Outcome::Accepted))
        .await
        .unwrap();
    ledger.close().await.unwrap();

    assert_eq!(folder.names(), ["ledger.sqlite3"]);
    let reader = Reader::open(&folder.files(), None).unwrap();
    let page = reader
        .page("spring", &RecordFilter::default(), 0)
        .await
        .unwrap();
    let states: Vec<_> = page.iter().map(|it| it.standing.state).collect();
    assert_eq!(states, [State::Accepted, State::Pending]);
    let ada = &page[0];
    assert_eq!(ada.accepted_at, Some(now()));
    assert_eq!(ada.standing.attempts, 1);
    assert_eq!(ada.latest.smtp_code, Some(250));
    assert_eq!(ada.latest.reply.as_deref(), Some("queued"));
    let steps: Vec<_> = reader
        .history(ada.id)
        .await
        .unwrap()
        .iter()
        .map(|it| it.to)
        .collect();
    assert_eq!(steps, [State::Pending, State::Armed, State::Accepted]);
    drop(reader);
    assert_eq!(folder.names(), ["ledger.sqlite3"]);
}

#[tokio::test]
async fn enrolling_twice_changes_nothing_and_an_unreadable_row_enrols_nobody() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example"]).await;
    let before = standing(&ledger, "ada@a.example").await.message_id;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    let unreadable = LedgerError::CannotWrite("the row is gone".into());
    let part = [Ok(enrolment("eva@e.example")), Err(unreadable)];
    let refused = ledger.enrol(2, "spring", part.into_iter(), now()).await;
    assert_eq!(refused.unwrap_err().to_string(), "the row is gone");
    let standings = ledger
        .reader()
        .standings(vec![identity("eva@e.example")])
        .await;
    assert!(standings.unwrap()[0].is_none());
    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!((ada.state, ada.message_id), (State::Armed, before));

    let both = vec![enrolment("ada@a.example"), enrolment("eva@e.example")];
    enrol(&ledger, 2, both).await;
    let both = ["ada@a.example", "eva@e.example"].map(identity).to_vec();
    let records = ledger.reader().records(both).await.unwrap();
    let latest = records.iter().flatten().map(|it| it.latest.to);
    let latest: Vec<_> = latest.collect();
    assert_eq!(latest, [State::Armed, State::Pending]);
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
async fn a_change_that_is_not_allowed_changes_nothing() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example"]).await;

    let refused = ledger
        .apply(settled("ada@a.example", Outcome::Accepted))
        .await;

    assert!(matches!(refused, Err(LedgerError::Fault(_))));
    let missing = ledger.apply(armed("eva@e.example")).await;
    assert!(matches!(missing, Err(LedgerError::Fault(_))));
    assert_eq!(
        standing(&ledger, "ada@a.example").await.state,
        State::Pending
    );
    ledger.apply(armed("ada@a.example")).await.unwrap();
    assert!(ledger.apply(armed("ada@a.example")).await.is_err());
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
async fn armed_rows_of_a_killed_run_become_unknown_once() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example", "bob@b.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    std::mem::forget(ledger); // as a kill leaves it: the log stays

    let looked = Reader::open(&folder.files(), None).unwrap();
    let page = looked
        .page("spring", &RecordFilter::default(), 0)
        .await
        .unwrap();
    assert_eq!(page[0].standing.state, State::Armed);

    let ledger = Ledger::open_scratch(&folder.path()).unwrap();
    assert_eq!(ledger.recover(now()).await.unwrap(), 1);
    assert_eq!(ledger.recover(now()).await.unwrap(), 0);
    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!(ada.state, State::Unknown);
    assert_eq!(ada.message, Some((now(), [7; 32])));
    assert_eq!(
        standing(&ledger, "bob@b.example").await.state,
        State::Pending
    );
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
async fn only_a_resend_of_an_unknown_keeps_the_message_id_and_bytes() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example", "bob@b.example"]).await;
    let resend = |address, repeat| Change {
        repeat,
        ..Change::new(&identity(address), now(), Cause::Person(Decision::Resend))
    };
    for address in ["ada@a.example", "bob@b.example"] {
        ledger.apply(armed(address)).await.unwrap();
    }
    ledger
        .apply(settled("ada@a.example", Outcome::Unknown))
        .await
        .unwrap();
    ledger
        .apply(settled("bob@b.example", Outcome::Rejected))
        .await
        .unwrap();
    let ada = standing(&ledger, "ada@a.example").await.message_id;
    let bob = standing(&ledger, "bob@b.example").await.message_id;

    ledger.apply(resend("ada@a.example", true)).await.unwrap();
    ledger.apply(resend("bob@b.example", false)).await.unwrap();

    let again = standing(&ledger, "ada@a.example").await;
    assert_eq!(
        (again.state, again.repeat, &again.message_id),
        (State::Pending, true, &ada)
    );
    assert_eq!(again.message, Some((now(), [7; 32])));
    let again = standing(&ledger, "bob@b.example").await;
    assert!(!again.repeat && again.message_id != bob);
}

#[tokio::test]
async fn deferrals_are_counted_from_the_first_and_reset_by_a_resend() {
    let folder = LedgerFolder::new();
    let ledger = enrolled(&folder, &["ada@a.example"]).await;
    let later = now() + SignedDuration::from_hours(1);
    let deferred = |at| Change {
        phase: Some(Phase::Rcpt),
        next_attempt_at: Some(at + SignedDuration::from_mins(30)),
        ..Change::new(
            &identity("ada@a.example"),
            at,
            Cause::Outcome(Outcome::Deferred),
        )
    };

    ledger.apply(deferred(now())).await.unwrap();
    ledger.apply(deferred(later)).await.unwrap();

    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!((ada.deferrals, ada.attempts), (2, 2));
    assert_eq!(ada.deferred_since, Some(now()));
    assert_eq!(
        ada.next_attempt_at,
        Some(later + SignedDuration::from_mins(30))
    );
    let give_up = Change::new(&identity("ada@a.example"), later, Cause::GiveUp);
    assert_eq!(ledger.apply(give_up).await.unwrap(), State::Expired);
    let resend = Change::new(
        &identity("ada@a.example"),
        later,
        Cause::Person(Decision::Resend),
    );
    ledger.apply(resend).await.unwrap();
    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!(
        (ada.deferrals, ada.deferred_since, ada.next_attempt_at),
        (0, None, None)
    );
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
async fn concurrent_changes_are_all_answered_while_a_reader_reads() {
    let folder = LedgerFolder::new();
    let addresses: Vec<_> = (0..200).map(|it| format!("p{it}@a.example")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let ledger = Ledger::open(&folder.files(), &start()).unwrap();
    let ledger = enrolled_in(ledger, &addresses).await;
    let outside = Reader::open(&folder.files(), None).unwrap();

    let ledger = Arc::new(ledger);
    let mut tasks = JoinSet::new();
    for it in 0..200 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let address = format!("p{it}@a.example");
            ledger.apply(armed(&address)).await.unwrap();
            let accepted = settled(&address, Outcome::Accepted);
            ledger.apply(accepted).await.unwrap();
        });
    }
    let (done, seen) = tokio::join!(tasks.join_all(), outside.counts("spring"));
    assert_eq!(done.len(), 200);

    let seen = seen.unwrap();
    assert_eq!(seen.iter().map(|(_, count)| count).sum::<u64>(), 200);
    let counts = outside.counts("spring").await.unwrap();
    assert!(counts.contains(&(State::Accepted, 200)));
    let before = now() - SignedDuration::from_secs(1);
    assert_eq!(outside.dots_since(before).await.unwrap().len(), 200);
    drop(outside);
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    let names = [
        "ledger.sqlite3",
        "ledger.sqlite3.lock",
        "ledger.sqlite3.witness",
    ];
    assert_eq!(folder.names(), names);
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

#[tokio::test]
async fn a_notice_is_due_once_a_day_under_each_name() {
    let folder = LedgerFolder::new();
    let ledger = Ledger::open_scratch(&folder.path()).unwrap();
    let due = async |name: &str, hours: i64| {
        let at = now() + SignedDuration::from_hours(hours);
        ledger.notice_due(name, at).await.unwrap()
    };

    assert!(due("expired spring", 0).await);
    assert!(!due("expired spring", 1).await && !due("expired spring", 23).await);
    let a_day_later = due("expired spring", 24).await;
    assert!(a_day_later, "counted from when it was reported");
    assert!(!due("expired spring", 25).await);
    assert!(due("unknown spring", 25).await);
    // A time in the future, from a wrong clock, does not silence it.
    assert!(due("expired spring", -48).await);
}

#[tokio::test]
async fn a_notice_stays_until_it_is_removed() {
    let folder = LedgerFolder::new();
    let ledger = Ledger::open_scratch(&folder.path()).unwrap();

    assert_eq!(ledger.notice("open").await.unwrap(), None);
    ledger.set_notice("open", Some(now())).await.unwrap();
    assert_eq!(ledger.notice("open").await.unwrap(), Some(now()));
    ledger.set_notice("open", None).await.unwrap();
    assert_eq!(ledger.notice("open").await.unwrap(), None);
}
