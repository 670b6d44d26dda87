//! Runs and approvals on record.

use super::stores::{Store, on_both_stores};
use super::*;

on_both_stores!(runs_and_approvals_are_read_with_the_last_one_first,);

fn approval(digest: &str, by: &str, at: Timestamp) -> Approval {
    Approval {
        campaign: "spring".into(),
        digest: digest.into(),
        by: by.into(),
        at,
        note: Some("read on paper".into()),
    }
}

/// A run of `send` that starts at this hour and has this digest.
async fn run(store: &Store, hours: i64, digest: Option<&str>, approved: &[Approval]) {
    let at = now() + SignedDuration::from_hours(hours);
    let ledger = store.open_for(&RunStart { at, ..start() });
    for approval in approved {
        ledger.approve(approval.clone()).await.unwrap();
    }
    if let Some(digest) = digest {
        let end = RunEnd {
            at: at + SignedDuration::from_mins(5),
            exit_code: 75,
            digest: Some(digest.into()),
            counts: Some(r#"{"accepted":2}"#.into()),
        };
        ledger.end_run(end).await.unwrap();
    }
    ledger.close().await.unwrap();
}

async fn runs_and_approvals_are_read_with_the_last_one_first(store: Store) {
    let hour = |hours| now() + SignedDuration::from_hours(hours);
    let approvals = [
        approval("one", "Ada", hour(1)),
        approval("two", "Bob", hour(3)),
        approval("one", "Eva", hour(5)),
    ];
    let [ada, bob, eva] = &approvals;
    run(&store, 0, Some("one"), std::slice::from_ref(ada)).await;
    run(&store, 2, Some("one"), std::slice::from_ref(bob)).await;
    run(&store, 4, Some("two"), std::slice::from_ref(eva)).await;
    run(&store, 6, Some("one"), &[]).await;
    run(&store, 7, None, &[]).await;

    let reader = store.reader();
    let found = reader.approvals(Some("spring")).await.unwrap();
    let mut expected = approvals;
    expected.reverse();
    for (approval, found) in expected.iter_mut().zip(&found) {
        store.assert_time(Some(found.at), approval.at);
        approval.at = found.at;
    }
    assert_eq!(found, expected);
    let runs = reader.runs(Some("spring"), 100).await.unwrap();
    let read: Vec<_> = runs
        .iter()
        .map(|it| {
            let by = it.approval(&found).map(|it| it.by.as_str());
            (it.number, it.digest.as_deref(), it.exit_code, by)
        })
        .collect();
    assert_eq!(
        read,
        [
            (5, None, None, None),
            (4, Some("one"), Some(75), Some("Eva")),
            (3, Some("two"), Some(75), Some("Bob")),
            (2, Some("one"), Some(75), Some("Ada")),
            // It started before anybody approved its digest.
            (1, Some("one"), Some(75), None),
        ]
    );
    assert_eq!((runs[0].ended_at, runs[1].ended_at.is_some()), (None, true));
    assert_eq!(runs[1].counts.as_deref(), Some(r#"{"accepted":2}"#));
    assert_eq!(runs[0].version, env!("CARGO_PKG_VERSION"));

    assert_eq!(reader.runs(None, 2).await.unwrap(), runs[..2]);
    assert_eq!(reader.runs(Some("autumn"), 100).await.unwrap(), []);
    assert_eq!(reader.approvals(Some("autumn")).await.unwrap(), []);
    assert_eq!(reader.approvals(None).await.unwrap(), found);
}

#[tokio::test]
async fn ledgers_of_earlier_versions_have_no_runs_or_approvals() {
    let folder = LedgerFolder::new();
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    std::fs::copy(fixture, folder.path()).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.path(), private).unwrap();

    let reader = Reader::open(&folder.files(), None).unwrap();
    assert_eq!(reader.runs(None, 100).await.unwrap(), []);
    assert_eq!(reader.approvals(None).await.unwrap(), []);
}
