use super::stores::{Store, on_both_stores};
use super::*;
use crate::invitation::{Access, AccessBy, AccessState, PersonHash, PersonHasher};

on_both_stores!(
    access_is_that_of_the_address_or_else_of_the_domain,
    a_second_reading_replaces_the_first_and_gives_what_changed,
    the_time_of_the_oldest_reading_is_that_of_all_packages,
);

fn package() -> PackageId {
    identity("a@a.example").package_id
}

fn at(second: i64) -> Timestamp {
    now() + SignedDuration::from_secs(second)
}

fn person(person: PersonHash, state: AccessState, second: i64) -> PersonAccess {
    PersonAccess {
        person,
        state,
        at: Some(at(second)),
        requested_at: Some(at(second - 60)),
    }
}

fn sorted(mut people: Vec<PersonAccess>) -> Vec<PersonAccess> {
    people.sort_by_key(|it| it.person);
    people
}

async fn state_of(ledger: &Ledger, address: &str) -> Option<Access> {
    let found = ledger.reader().access_of(vec![identity(address)]).await;
    found.unwrap().remove(0)
}

async fn access_is_that_of_the_address_or_else_of_the_domain(store: Store) {
    let ledger = store.open();
    let hasher = PersonHasher::new(&ledger.reader().key);
    assert_eq!(state_of(&ledger, "ada@a.example").await, None);

    let people = sorted(vec![
        person(hasher.of_address("ada@a.example"), AccessState::Denied, 1),
        person(hasher.of_domain("a.example"), AccessState::Granted, 2),
    ]);
    ledger
        .record_access(package(), &people, now())
        .await
        .unwrap();

    let access = |state, second, by| Access {
        state,
        at: Some(at(second)),
        by: Some(by),
        requested_at: Some(at(second - 60)),
    };
    assert_eq!(
        state_of(&ledger, "Ada@A.example").await,
        Some(access(AccessState::Denied, 1, AccessBy::Address))
    );
    assert_eq!(
        state_of(&ledger, "bob@a.example").await,
        Some(access(AccessState::Granted, 2, AccessBy::Colleague))
    );
    let other = state_of(&ledger, "cyd@c.example").await;
    assert_eq!(other, Some(Access::default()));
}

async fn a_second_reading_replaces_the_first_and_gives_what_changed(store: Store) {
    let ledger = store.open();
    // More than fit into one transaction and one page.
    let hash = |number: u32| {
        let mut hash = [0; 16];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        PersonHash(hash)
    };
    let first: Vec<_> = (0..1_200)
        .map(|it| person(hash(it), AccessState::Requested, 1))
        .collect();
    let changes = ledger
        .record_access(package(), &first, at(0))
        .await
        .unwrap();
    assert_eq!(changes.len(), 1_200);
    let again = ledger
        .record_access(package(), &first, at(60))
        .await
        .unwrap();
    assert_eq!(again, []);

    // 3 is decided, 4 has another time, and 600 of them, 5 included, have disappeared.
    let mut second: Vec<_> = (0..1_200)
        .filter(|it| *it < 600 && *it != 5 || *it == 1_199)
        .map(|it| person(hash(it), AccessState::Requested, 1))
        .collect();
    second[3].state = AccessState::Denied;
    second[4].at = Some(at(9));
    let changes = ledger
        .record_access(package(), &second, at(120))
        .await
        .unwrap();

    let gone = changes.iter().filter(|it| it.to == AccessState::None);
    assert_eq!(gone.count(), 600);
    let decided = AccessChange {
        person: hash(3),
        from: AccessState::Requested,
        to: AccessState::Denied,
    };
    assert_eq!(changes.len(), 601);
    assert!(changes.contains(&decided));
    let left = ledger
        .reader()
        .people(package(), None, 2_000)
        .await
        .unwrap();
    let expected: Vec<_> = second.iter().map(|it| (it.person, it.state)).collect();
    assert_eq!(left, expected);
}

async fn the_time_of_the_oldest_reading_is_that_of_all_packages(store: Store) {
    let ledger = store.open();
    let other = PackageId::parse("11111111-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
    let read_at = async |packages| {
        let reader = ledger.reader();
        reader.requests_read_at(packages).await.unwrap()
    };
    assert_eq!(read_at(vec![package()]).await, None);
    ledger.record_access(package(), &[], at(10)).await.unwrap();

    assert_eq!(read_at(vec![package()]).await, Some(at(10)));
    assert_eq!(read_at(vec![package(), other]).await, None);
    ledger.record_access(other, &[], at(5)).await.unwrap();
    assert_eq!(read_at(vec![package(), other]).await, Some(at(5)));
    assert_eq!(read_at(Vec::new()).await, None);
}

#[tokio::test]
async fn ledgers_of_earlier_versions_know_of_no_requests() {
    for version in [1, 2] {
        let folder = LedgerFolder::new();
        let connection = rusqlite::Connection::open(folder.path()).unwrap();
        connection
            .execute_batch("DROP TABLE access; DROP TABLE access_reading; DROP TABLE suppression")
            .unwrap();
        if version == 1 {
            connection
                .execute_batch("DROP TABLE meta; DROP TABLE witness; DROP TABLE campaign")
                .unwrap();
        }
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        drop(connection);
        let reader = Reader::open(&folder.files(), None).unwrap();

        let access = reader.access_of(vec![identity("ada@a.example")]).await;
        assert_eq!(access.unwrap(), [None], "{version}");
        let read_at = reader.requests_read_at(vec![package()]).await;
        assert_eq!(read_at.unwrap(), None, "{version}");
    }
}
