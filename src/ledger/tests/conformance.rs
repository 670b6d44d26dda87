//! What both stores do alike.

use super::stores::{Store, on_both_stores};
use super::*;

on_both_stores!(
    changes_survive_reopening_and_a_closed_ledger_is_one_file,
    enrolling_twice_changes_nothing_and_an_unreadable_row_enrols_nobody,
    a_change_that_is_not_allowed_changes_nothing,
    armed_rows_of_a_killed_run_become_unknown_once,
    only_a_resend_of_an_unknown_keeps_the_message_id_and_bytes,
    deferrals_are_counted_from_the_first_and_reset_by_a_resend,
    concurrent_changes_are_all_answered_while_a_reader_reads,
    a_notice_is_due_once_a_day_under_each_name,
    a_notice_stays_until_it_is_removed,
);

async fn changes_survive_reopening_and_a_closed_ledger_is_one_file(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example", "bob@b.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    ledger
        .apply(settled("ada@a.example", Outcome::Accepted))
        .await
        .unwrap();
    ledger.close().await.unwrap();

    assert_is_one_file(&store);
    let reader = store.reader();
    let page = reader
        .page("spring", &RecordFilter::default(), 0)
        .await
        .unwrap();
    let states: Vec<_> = page.iter().map(|it| it.standing.state).collect();
    assert_eq!(states, [State::Accepted, State::Pending]);
    let ada = &page[0];
    store.assert_time(ada.accepted_at, now());
    store.assert_time(Some(ada.created_at), now());
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
    assert_is_one_file(&store);
}

/// Besides the lock and the witness.
fn assert_is_one_file(store: &Store) {
    if let Store::File(folder) = store {
        let names = [
            "ledger.sqlite3",
            "ledger.sqlite3.lock",
            "ledger.sqlite3.witness",
        ];
        assert_eq!(folder.names(), names);
    }
}

async fn enrolling_twice_changes_nothing_and_an_unreadable_row_enrols_nobody(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example"]).await;
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

async fn a_change_that_is_not_allowed_changes_nothing(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example"]).await;

    let refused = ledger
        .apply(settled("ada@a.example", Outcome::Accepted))
        .await;

    // In a database, it could be a late reply to a run that was taken for lost.
    match &store {
        Store::File(_) => assert!(matches!(refused, Err(LedgerError::Fault(_)))),
        Store::Postgres(_) => assert!(matches!(refused, Err(LedgerError::RunLost(_)))),
    }
    let missing = ledger.apply(armed("eva@e.example")).await;
    assert!(matches!(missing, Err(LedgerError::Fault(_))));
    assert_eq!(
        standing(&ledger, "ada@a.example").await.state,
        State::Pending
    );
    ledger.apply(armed("ada@a.example")).await.unwrap();
    assert!(ledger.apply(armed("ada@a.example")).await.is_err());
}

async fn armed_rows_of_a_killed_run_become_unknown_once(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example", "bob@b.example"]).await;
    ledger.apply(armed("ada@a.example")).await.unwrap();
    let store = store.killed(ledger);

    let looked = store.reader();
    let page = looked
        .page("spring", &RecordFilter::default(), 0)
        .await
        .unwrap();
    assert_eq!(page[0].standing.state, State::Armed);

    let ledger = store.open();
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

async fn only_a_resend_of_an_unknown_keeps_the_message_id_and_bytes(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example", "bob@b.example"]).await;
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

async fn deferrals_are_counted_from_the_first_and_reset_by_a_resend(store: Store) {
    let ledger = enrolled_in(store.open(), &["ada@a.example"]).await;
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
    store.assert_time(ada.deferred_since, now());
    store.assert_due(ada.next_attempt_at, later, SignedDuration::from_mins(30));
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

async fn concurrent_changes_are_all_answered_while_a_reader_reads(store: Store) {
    let addresses: Vec<_> = (0..200).map(|it| format!("p{it}@a.example")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let ledger = store.open();
    let ledger = enrolled_in(ledger, &addresses).await;
    let outside = store.reader();

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
    let before = store.now() - SignedDuration::from_hours(1);
    assert_eq!(outside.dots_since(before).await.unwrap().len(), 200);
    drop(outside);
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    assert_is_one_file(&store);
}

async fn a_notice_is_due_once_a_day_under_each_name(store: Store) {
    let ledger = store.open();
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

async fn a_notice_stays_until_it_is_removed(store: Store) {
    let ledger = store.open();

    assert_eq!(ledger.notice("open").await.unwrap(), None);
    ledger.set_notice("open", Some(now())).await.unwrap();
    assert_eq!(ledger.notice("open").await.unwrap(), Some(now()));
    ledger.set_notice("open", None).await.unwrap();
    assert_eq!(ledger.notice("open").await.unwrap(), None);
}
