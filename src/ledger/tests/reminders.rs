//! Reminders beside their invitations.

use super::stores::{Store, on_both_stores};
use super::*;
use crate::invitation::{AccessState, Occasion, PersonHasher, Proof, Unless};
use crate::ledger::{Notification, PersonAccess};

on_both_stores!(
    the_arm_of_a_reminder_rechecks_access,
    a_colleague_prevents_the_arm_only_if_asked,
    the_arm_of_a_reminder_rechecks_the_invitation,
    queries_tell_invitations_and_reminders_apart,
);

const ADA: &str = "ada@a.example";
const BOB: &str = "bob@a.example";
const REMINDER: Occasion = Occasion::Reminder(1);

fn reminder(address: &str) -> Identity {
    identity(address).on(REMINDER)
}

/// A ledger in which these partners were invited, and a reminder of each is pending.
async fn reminding(store: &Store, addresses: &[&str]) -> Ledger {
    let ledger = enrolled_in(store.open(), addresses).await;
    for address in addresses {
        ledger.apply(armed(address)).await.unwrap();
        let accepted = settled(address, Outcome::Accepted);
        ledger.apply(accepted).await.unwrap();
    }
    let reminders = addresses.iter().map(|it| Enrolment {
        identity: reminder(it),
        ..enrolment(it)
    });
    enrol(&ledger, 1, reminders.collect()).await;
    ledger
}

fn armed_reminder(address: &str, unless: Unless) -> Change {
    Change {
        identity: reminder(address),
        unless,
        ..armed(address)
    }
}

async fn state(ledger: &Ledger, identity: Identity) -> State {
    let standings = ledger.reader().standings(vec![identity]).await.unwrap();
    standings[0].as_ref().unwrap().state
}

async fn requested(ledger: &Ledger, address: &str) {
    let hasher = PersonHasher::new(&ledger.reader().key);
    let [person, domain] = hasher.of_invited(&identity(address));
    let mut people = [person, domain].map(|person| PersonAccess {
        person,
        state: AccessState::Denied,
        at: None,
        requested_at: None,
    });
    people.sort_by_key(|it| it.person);
    let package = identity(address).package_id;
    ledger.record_access(package, &people, now()).await.unwrap();
}

async fn the_arm_of_a_reminder_rechecks_access(store: Store) {
    let ledger = reminding(&store, &[ADA, BOB]).await;
    requested(&ledger, ADA).await;

    // In one commit; the one that is withdrawn does not prevent the other.
    let changes = vec![
        armed_reminder(ADA, Unless::Address),
        armed_reminder(BOB, Unless::Address),
    ];
    let results = ledger.submit(changes).results().await;

    let withdrawn = LedgerError::Withdrawn(State::Abandoned).to_string();
    assert_eq!(results[0].as_ref().unwrap_err().to_string(), withdrawn);
    assert_eq!(*results[1].as_ref().unwrap(), State::Armed);
    assert_eq!(state(&ledger, reminder(ADA)).await, State::Abandoned);
    let records = ledger.reader().records(vec![reminder(ADA)]).await.unwrap();
    let latest = &records[0].as_ref().unwrap().latest;
    assert_eq!(latest.note.as_deref(), Some("access was requested"));
    assert_eq!(state(&ledger, identity(ADA)).await, State::Accepted);
}

async fn a_colleague_prevents_the_arm_only_if_asked(store: Store) {
    for (unless, expected) in [
        (Unless::Address, State::Armed),
        (Unless::Colleague, State::Abandoned),
    ] {
        let store = store.another();
        let ledger = reminding(&store, &[BOB]).await;
        requested(&ledger, ADA).await;
        let _ = ledger.apply(armed_reminder(BOB, unless)).await;
        assert_eq!(state(&ledger, reminder(BOB)).await, expected, "{unless:?}");
    }
}

async fn the_arm_of_a_reminder_rechecks_the_invitation(store: Store) {
    let ledger = reminding(&store, &[ADA]).await;
    let reader = ledger.reader();
    let invitation = reader.records(vec![identity(ADA)]).await.unwrap();
    let invitation = invitation[0].as_ref().unwrap();
    let bounced = Notification {
        invitation: invitation.id,
        identity: identity(ADA),
        message_id: invitation.standing.message_id.clone(),
        about_recipient: true,
        proof: Proof::Failed,
        reply: None,
        origin: "report 1".into(),
        text: "failed".into(),
        at: now(),
        suppress: None,
    };
    ledger.notify(vec![bounced]).await.unwrap();

    let arm = ledger.apply(armed_reminder(ADA, Unless::Address)).await;
    assert!(
        matches!(arm, Err(LedgerError::Withdrawn(State::Abandoned))),
        "{arm:?}"
    );
    assert_eq!(state(&ledger, identity(ADA)).await, State::Bounced);
}

async fn queries_tell_invitations_and_reminders_apart(store: Store) {
    let ledger = reminding(&store, &[ADA, BOB]).await;
    let reader = ledger.reader();
    let count = |counts: &[(State, u64)], state| counts.iter().find(|it| it.0 == state).unwrap().1;

    let counts = reader.counts("spring").await.unwrap();
    assert_eq!(
        (
            count(&counts, State::Accepted),
            count(&counts, State::Pending)
        ),
        (2, 0)
    );
    for (occasion, expected) in [
        (Some(Occasion::Invitation), vec![Occasion::Invitation; 2]),
        (Some(REMINDER), vec![REMINDER; 2]),
        (
            None,
            vec![
                Occasion::Invitation,
                Occasion::Invitation,
                REMINDER,
                REMINDER,
            ],
        ),
    ] {
        let filter = RecordFilter {
            occasion,
            ..RecordFilter::default()
        };
        let page = reader.page("spring", &filter, 0).await.unwrap();
        let occasions: Vec<_> = page.iter().map(|it| it.identity.occasion).collect();
        assert_eq!(occasions, expected);
    }
    let default = reader
        .page("spring", &RecordFilter::default(), 0)
        .await
        .unwrap();
    assert_eq!(default.len(), 2);
    let open = reader.open_reminders("spring", 0).await.unwrap();
    assert_eq!(open.len(), 2);
    assert!(reader.open_reminders("autumn", 0).await.unwrap().is_empty());
    let both = reader.with_reminders(vec![identity(ADA)]).await.unwrap();
    let occasions: Vec<_> = both[0].iter().map(|it| it.identity.occasion).collect();
    assert_eq!(occasions, [Occasion::Invitation, REMINDER]);

    // A killed run.
    ledger
        .apply(armed_reminder(BOB, Unless::Address))
        .await
        .unwrap();
    let store = store.killed(ledger);
    let ledger = store.open();
    assert_eq!(ledger.recover(now()).await.unwrap(), 1);
    assert_eq!(state(&ledger, reminder(BOB)).await, State::Unknown);
    assert_eq!(state(&ledger, identity(BOB)).await, State::Accepted);
    let sent = ledger.reader().sent(0).await.unwrap();
    let sent: Vec<_> = sent.iter().map(|it| it.identity.clone()).collect();
    assert_eq!(sent, [identity(ADA), identity(BOB), reminder(BOB)]);
}
