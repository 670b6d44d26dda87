//! What is erased, what remains of it, and what that blocks.

use super::stores::{Store, on_both_stores};
use super::*;
use crate::invitation::{Erasure, Proof};

on_both_stores!(
    an_armed_invitation_is_not_forgotten,
    a_report_that_was_matched_before_is_about_nobody_afterwards,
    only_what_is_closed_and_old_is_erased_and_its_invitation_stays_blocked,
);

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

async fn open(store: &Store, addresses: &[&str]) -> Ledger {
    enrolled_in(store.open(), addresses).await
}

async fn accept(ledger: &Ledger, address: &str) {
    ledger.apply(armed(address)).await.unwrap();
    let accepted = settled(address, Outcome::Accepted);
    ledger.apply(accepted).await.unwrap();
}

async fn an_armed_invitation_is_not_forgotten(store: Store) {
    let ledger = open(&store, &["ada@a.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();

    let refused = ledger.forget(&address("ada@a.example"), now()).await;

    assert!(matches!(refused, Err(LedgerError::Fault(_))), "{refused:?}");
    assert_eq!(standing(&ledger, "ada@a.example").await.state, State::Armed);
    let identities = vec![identity("ada@a.example")];
    assert_eq!(ledger.reader().erasures(identities).await.unwrap(), [None]);
}

async fn a_report_that_was_matched_before_is_about_nobody_afterwards(store: Store) {
    let ledger = open(&store, &["bob@b.example", "ada@a.example"]).await;
    accept(&ledger, "ada@a.example").await;
    let sent = ledger.reader().sent(0).await.unwrap().remove(0);
    let report = Notification {
        invitation: sent.id,
        identity: sent.identity,
        message_id: sent.message_id,
        about_recipient: true,
        proof: Proof::Failed,
        reply: None,
        origin: "report 1".into(),
        text: "failed".into(),
        at: now(),
        suppress: None,
    };
    ledger
        .forget(&address("ada@a.example"), now())
        .await
        .unwrap();
    enrol(&ledger, 1, vec![enrolment("eva@e.example")]).await;
    accept(&ledger, "eva@e.example").await;
    // In a file, the next invitation gets the same number.
    let next = ledger.reader().sent(0).await.unwrap()[0].id;
    assert_eq!(next == sent.id, store.is_file());

    let notified = ledger.notify(vec![report]).await.unwrap();

    assert_eq!(notified, [Notified::Known]);
    let eva = standing(&ledger, "eva@e.example").await;
    assert_eq!(eva.state, State::Accepted);
    let history = ledger.reader().history(next).await.unwrap();
    assert!(history.iter().all(|it| it.note.is_none()), "{history:?}");
}

async fn only_what_is_closed_and_old_is_erased_and_its_invitation_stays_blocked(store: Store) {
    let addresses = ["old@a.example", "open@a.example", "other@a.example"];
    let ledger = open(&store, &addresses).await;
    accept(&ledger, "old@a.example").await;
    let at = store.now() + SignedDuration::from_hours(1);
    let until = match &store {
        Store::File(_) => now(),
        Store::Postgres(_) => store.now() - SignedDuration::from_hours(1),
    };

    assert_eq!(ledger.erase_closed(until, at).await.unwrap(), 0);
    assert_eq!(ledger.erase_closed(at, at).await.unwrap(), 1);

    let identities = addresses.map(identity).to_vec();
    let found = ledger.reader().erasures(identities.clone()).await.unwrap();
    assert_eq!(found, [Some(Erasure::Retention), None, None]);
    // Only this invitation is blocked, not the address.
    let autumn = Identity {
        campaign: "autumn".into(),
        ..identities[0].clone()
    };
    let blocked = |identity| ledger.reader().erasures(vec![identity]);
    assert_eq!(blocked(autumn.clone()).await.unwrap(), [None]);
    let forgotten = ledger.forget(&address("OLD@a.example"), at).await.unwrap();
    assert_eq!((forgotten.invitations, forgotten.known), (0, false));
    assert_eq!(blocked(autumn).await.unwrap(), [Some(Erasure::Forgotten)]);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_keeps_the_file_from_being_rebuilt_and_the_next_run_completes_it() {
    let folder = LedgerFolder::new();
    let ledger = Ledger::open(&folder.files(), &start()).unwrap();
    let ledger = enrolled_in(ledger, &["ada@a.example"]).await;
    accept(&ledger, "ada@a.example").await;
    let is_in_file = || {
        let bytes = std::fs::read(folder.path()).unwrap();
        bytes.windows(13).any(|it| it == b"ada@a.example")
    };
    let outside = rusqlite::Connection::open(folder.path()).unwrap();
    // Written into the file, so that the reader's snapshot needs its pages.
    outside
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    outside.execute_batch("BEGIN").unwrap();
    outside
        .query_row("SELECT count(*) FROM invitation", [], |_| Ok(()))
        .unwrap();

    let kept = ledger.forget(&address("ada@a.example"), now()).await;

    assert!(matches!(kept, Err(LedgerError::Busy(_))), "{kept:?}");
    assert!(is_in_file());
    drop(outside);
    // Nothing is old enough, but the file is rebuilt.
    assert_eq!(
        ledger
            .erase_closed(Timestamp::UNIX_EPOCH, now())
            .await
            .unwrap(),
        0
    );
    assert!(!is_in_file());
    assert_eq!(ledger.notice("rebuild").await.unwrap(), None);
    ledger.close().await.unwrap();
    assert_eq!(
        folder.names(),
        [
            "ledger.sqlite3",
            "ledger.sqlite3.lock",
            "ledger.sqlite3.witness"
        ]
    );
}
