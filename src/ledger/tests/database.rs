//! What only a ledger in a database does.

use super::stores::Store;
use super::*;

/// A ledger in a database with these invitations, claimed by its run.
async fn in_database(addresses: &[&str]) -> (Store, Ledger) {
    let store = Store::postgres();
    let ledger = enrolled_in(store.open(), addresses).await;
    (store, ledger)
}

fn accepted(counts: &[(State, u64)]) -> u64 {
    let found = counts.iter().find(|it| it.0 == State::Accepted);
    found.map_or(0, |it| it.1)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_is_read_again_after_a_lost_connection_unless_a_snapshot_is_lost() {
    let (store, ledger) = in_database(&["ada@a.example"]).await;
    let reader = store.reader();
    assert!(reader.live);
    store.cut_connections();
    assert_eq!(reader.count_sent().await.unwrap(), 0);

    reader.begin_snapshot().await.unwrap();
    ledger.apply(armed("ada@a.example")).await.unwrap();
    ledger
        .apply(settled("ada@a.example", Outcome::Accepted))
        .await
        .unwrap();
    assert_eq!(accepted(&reader.counts("spring").await.unwrap()), 0);
    store.cut_connections();
    for _ in 0..2 {
        let lost = reader.counts("spring").await;
        assert!(matches!(lost, Err(LedgerError::Busy(_))), "{lost:?}");
    }
    assert!(reader.end_snapshot().await.is_err());

    assert_eq!(accepted(&reader.counts("spring").await.unwrap()), 1);
    ledger.end_run(RunEnd::default()).await.unwrap();
    assert!(!store.reader().live);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_verification_finds_what_was_changed() {
    for (change, check, expected) in [
        ("SELECT 1", "", ""),
        (
            "ALTER TABLE invitation DROP CONSTRAINT invitation_campaign_package_id_address_occasion_key",
            "tables",
            "key of invitation: UNIQUE (campaign, package_id, address, occasion) is missing",
        ),
        (
            "DROP INDEX invitation_address",
            "tables",
            "index invitation_address is missing",
        ),
        (
            "ALTER TABLE history DROP COLUMN note",
            "tables",
            "column history.note text is missing",
        ),
        (
            "CREATE TABLE other (a text)",
            "tables",
            "column other.a text was not created",
        ),
        (
            "UPDATE writer SET changes = 1000000",
            "changes",
            "a run made change 1000000",
        ),
        (
            "UPDATE invitation SET state = 'accepted'",
            "invitations",
            "invitation 1 is accepted, but its latest event is pending",
        ),
        (
            "UPDATE invitation SET message_id = 'x@contoso.example'",
            "invitations",
            "invitation 1 has the Message-ID of another one",
        ),
    ] {
        let store = Store::postgres();
        let ledger = store.open();
        let ada = identity("ada@a.example");
        let message_id = ada.message_id(&ledger.reader().key, 0, "contoso.example");
        let real = Enrolment {
            message_id,
            ..enrolment("ada@a.example")
        };
        enrol(&ledger, 1, vec![real]).await;
        store.sql(change);

        let verified = ledger.reader().verify().await.unwrap();

        for found in verified {
            match found.result {
                Ok(_) => assert_ne!(found.check, check, "{change}"),
                Err(what) => {
                    assert_eq!(found.check, check, "{change}: {what}");
                    assert!(what.contains(expected), "{change}: {what}");
                }
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_two_runs_enrol_one_list_in_different_orders() {
    let store = Store::postgres();
    let (one, two) = (store.open(), store.open());
    let addresses: Vec<_> = (0..5_000).map(|it| format!("p{it}@a.example")).collect();
    let forwards: Vec<_> = addresses.iter().map(|it| enrolment(it)).collect();
    let backwards: Vec<_> = forwards.iter().cloned().rev().collect();
    let rows = |list: Vec<Enrolment>| list.into_iter().map(Ok::<_, LedgerError>);

    let (first, second) = tokio::join!(
        one.enrol(1, "spring", rows(forwards), now()),
        two.enrol(1, "spring", rows(backwards), now()),
    );

    first.unwrap();
    second.unwrap();
    let counts = one.reader().counts("spring").await.unwrap();
    assert!(counts.contains(&(State::Pending, 5_000)), "{counts:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_does_not_forget_what_another_run_is_going_to_send() {
    let (store, ledger) = in_database(&["ada@a.example", "bob@b.example"]).await;
    let other = store.open();
    let ada = Address::parse("ada@a.example").unwrap();

    let refused = other.forget(&ada, now()).await;

    assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
    assert_eq!(
        standing(&ledger, "ada@a.example").await.state,
        State::Pending
    );
    ledger.end_run(RunEnd::default()).await.unwrap();
    let forgotten = other.forget(&ada, now()).await.unwrap();
    assert_eq!((forgotten.invitations, forgotten.known), (1, false));
    let gone = other.reader().standings(vec![identity("ada@a.example")]);
    assert!(gone.await.unwrap()[0].is_none());
    let dump = store.sql("SELECT invitation::text FROM invitation");
    assert!(dump.contains("bob@b.example") && !dump.contains("ada@a.example"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_replaces_every_spelling_of_a_forgotten_address() {
    let (store, ledger) = in_database(&["zoe@k\u{e4}se.example", "bob@b.example"]).await;
    let spellings = [
        "zoe@k\u{e4}se.example",
        "Zoe@K\u{c4}SE.example",
        // The sign for kelvins, whose lower case is a `k`.
        "zoe@\u{212A}\u{e4}se.example",
        "ZOE@xn--kse-qla.example",
    ];
    for spelling in spellings {
        let note = Change {
            note: Some(format!("{spelling} and 100% of _ \\ {spelling}")),
            ..settled("bob@b.example", Outcome::Deferred)
        };
        ledger.apply(note).await.unwrap();
    }
    let others = "xzoe@k\u{e4}se.example, zoe@k\u{e4}se.example.example";
    ledger.set_notice(others, Some(now())).await.unwrap();
    let zoe = Address::parse("zoe@k\u{e4}se.example").unwrap();

    let forgotten = ledger.forget(&zoe, now()).await.unwrap();

    assert_eq!((forgotten.invitations, forgotten.mentions), (1, 4));
    let notes = store.sql("SELECT note FROM history WHERE note IS NOT NULL");
    let expected = ["(forgotten) and 100% of _ \\ (forgotten)"; 4].join("\n");
    assert_eq!(notes, expected);
    assert_eq!(ledger.notice(others).await.unwrap(), Some(now()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_older_than_its_witness_is_accepted_by_a_person_only() {
    let (store, ledger) = in_database(&["ada@a.example"]).await;
    ledger.end_run(RunEnd::default()).await.unwrap();
    ledger.close().await.unwrap();
    // As in a dump that was restored.
    store.sql("UPDATE writer SET changes = 0");
    let location = store.location();

    let refused = Ledger::open(&location, &start()).map(|_| ());
    assert!(
        matches!(refused, Err(LedgerError::Unusable(_))),
        "{refused:?}"
    );
    let stale = store.reader().staleness;
    assert!(matches!(stale, Some(Staleness::Older(_))), "{stale:?}");
    let gap = Gap {
        at: now(),
        witness: stale.and_then(Staleness::mark),
        note: "restored".into(),
    };
    let ledger = Ledger::open_although_older(&location, &start()).unwrap();
    let beside = Ledger::open_although_older(&location, &start()).unwrap();
    let busy = ledger.accept_older(gap.clone()).await;
    assert!(matches!(busy, Err(LedgerError::Busy(_))), "{busy:?}");
    beside.end_run(RunEnd::default()).await.unwrap();
    assert_eq!(ledger.accept_older(gap).await.unwrap(), 1);
    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!(ada.state, State::Unknown);
    ledger.close().await.unwrap();

    assert_eq!(store.reader().staleness, None);
    let ledger = store.open();
    let standing = ledger.reader().campaign("spring").await.unwrap();
    assert!(!standing.confirmed && standing.gap.is_some());
}

/// `ledger copy` moves only a ledger that no run uses, but a run may be paused beyond its lease.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_that_was_moved_is_not_written_by_a_run_that_was_paused() {
    let (store, ledger) = in_database(&["ada@a.example"]).await;
    store.sql("UPDATE meta SET moved_to = 'elsewhere'; UPDATE writer SET epoch = epoch + 1");

    let refused = ledger.apply(armed("ada@a.example")).await;

    let Err(LedgerError::CannotWrite(message)) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("was moved to `elsewhere`"), "{message}");
    let ada = standing(&ledger, "ada@a.example").await;
    assert_eq!(ada.state, State::Pending);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_erases_many_in_pages() {
    let store = Store::postgres();
    let ledger = store.open();
    let list = (0..2_500).map(|it| enrolment(&format!("p{it}@a.example")));
    enrol(&ledger, 1, list.collect()).await;
    store.sql("UPDATE invitation SET state = 'abandoned' WHERE id % 10 <> 0");
    let until = Timestamp::now() + SignedDuration::from_hours(1);

    assert_eq!(ledger.erase_closed(until, now()).await.unwrap(), 2_250);

    let left = "SELECT (SELECT count(*) FROM invitation), (SELECT count(*) FROM history),
        (SELECT count(*) FROM erased_invitation)";
    assert_eq!(store.sql(left), "250|250|2250");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_is_not_copied_into_a_file() {
    let store = Store::postgres();
    let folder = tempfile::tempdir().unwrap();
    let refused = store.reader().copy_to(&folder.path().join("copy")).await;
    let Err(LedgerError::Unsafe(message)) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("pg_dump"), "{message}");
}
