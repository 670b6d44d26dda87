//! A damaged file is refused, or its states are unchanged.

use super::*;

/// Addresses and their outcomes, all of which the ledger contains.
const SETTLED: [(&str, Outcome); 8] = [
    ("a1@a.example", Outcome::Accepted),
    ("a2@a.example", Outcome::Accepted),
    ("a3@b.example", Outcome::Accepted),
    ("a4@b.example", Outcome::Accepted),
    ("u1@a.example", Outcome::Unknown),
    ("u2@b.example", Outcome::Unknown),
    ("r1@a.example", Outcome::Rejected),
    ("d1@b.example", Outcome::Deferred),
];

async fn full_ledger(folder: &LedgerFolder) -> Vec<u8> {
    let addresses: Vec<_> = SETTLED.iter().map(|(address, _)| *address).collect();
    let ledger = enrolled(folder, &addresses).await;
    for (address, outcome) in SETTLED {
        ledger.apply(armed(address)).await.unwrap();
        ledger.apply(settled(address, outcome)).await.unwrap();
    }
    ledger.close().await.unwrap();
    // Without the free pages, in which damage does not matter.
    let outside = rusqlite::Connection::open(folder.path()).unwrap();
    outside.execute_batch("VACUUM").unwrap();
    drop(outside);
    std::fs::read(folder.path()).unwrap()
}

/// The state of each, or why the ledger is refused.
async fn states_of(path: &Path) -> Result<Vec<Option<State>>> {
    let ledger = Ledger::open_scratch(path)?;
    let identities = SETTLED.iter().map(|(address, _)| identity(address));
    let standings = ledger.reader().standings(identities.collect()).await?;
    ledger.close().await?;
    Ok(standings
        .into_iter()
        .map(|it| it.map(|it| it.state))
        .collect())
}

/// `ACCESS_INVITE_FLIPS` says how many bits are tried, spread evenly over the file.
#[tokio::test]
async fn b5_a_flipped_bit_is_refused_or_changes_no_state() {
    let flips = std::env::var("ACCESS_INVITE_FLIPS");
    let flips: usize = flips.map_or(400, |it| it.parse().unwrap());
    let folder = LedgerFolder::new();
    let whole = full_ledger(&folder).await;
    let expected = states_of(&folder.path()).await.unwrap();
    let bits = whole.len() * 8;
    let spread = (0..flips).map(|flip| flip * bits / flips + flip % 8);
    // And in each address, in tables and indexes, where the damage would matter most.
    let addresses = SETTLED.iter().flat_map(|(address, _)| {
        let windows = whole.windows(address.len()).enumerate();
        windows.filter_map(|(at, found)| (found == address.as_bytes()).then_some(at * 8))
    });
    let mut refused = 0;

    for bit in spread.chain(addresses) {
        let mut bytes = whole.clone();
        bytes[bit / 8 % whole.len()] ^= 1 << (bit % 8);
        std::fs::write(folder.path(), bytes).unwrap();
        match states_of(&folder.path()).await {
            Ok(states) => assert_eq!(states, expected, "bit {bit}"),
            Err(failure) => {
                refused += 1;
                assert!(
                    matches!(
                        failure,
                        LedgerError::Unusable(_) | LedgerError::NoPermission(_)
                    ),
                    "bit {bit}: {failure}"
                );
            }
        }
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(crate::files::beside(&folder.path(), suffix));
        }
    }

    assert!(refused > flips / 20, "{refused} of {flips}");
}

#[tokio::test]
async fn a_value_that_no_run_has_written_is_named() {
    let folder = LedgerFolder::new();
    full_ledger(&folder).await;
    let outside = rusqlite::Connection::open(folder.path()).unwrap();
    let change = "UPDATE invitation SET occasion = 'never' WHERE id = 1";
    outside.execute_batch(change).unwrap();
    drop(outside);

    let reader = Reader::open(&folder.files(), None).unwrap();
    let all = RecordFilter {
        occasion: None,
        ..RecordFilter::default()
    };
    let error = reader.page("spring", &all, 0).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unusable(_)), "{error:?}");
    assert!(
        error.to_string().contains("unexpected value: never"),
        "{error}"
    );
}
