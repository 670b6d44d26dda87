//! Measures the parts of one message: row → partner, templates, message, verification, ledger.
//!
//! `cargo bench --bench parts`; a part by its name: `cargo bench --bench parts -- verify`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use access_invite::commands::Job;
use access_invite::config::{Config, LedgerFiles, LedgerLocation};
use access_invite::invitation::{Cause, Identity};
use access_invite::ledger::{Change, Enrolment, Ledger, LedgerError, RunStart};
use access_invite::message::Composer;
use access_invite::outcome::{Outcome, Phase, Reply};
use access_invite::partners::{Partner, Partners};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 1_000;
const ID: &str = "0123456789abcdef0123456789abcdef@contoso.example";

/// The example configuration with a list of a thousand partners in four languages.
fn job(folder: &Path) -> Job {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(home.join("config.example.toml")).expect("it is shipped");
    let example = example.replace(
        "[templates]",
        &format!(
            "[templates]\ndirectory = \"{}\"",
            home.join("templates").display()
        ),
    );
    std::fs::write(folder.join("config.toml"), example).expect("the folder is writable");
    let mut rows = "email,name,organization,locale\n".to_owned();
    for row in 0..ROWS {
        let locale = ["en", "fr", "de", "es"][row % 4];
        let company = row % 97;
        rows.extend([format!(
            "partner{row}@company{company}.example,Ada Partner {row},Company,{locale}\n"
        )]);
    }
    std::fs::write(folder.join("partners.example.csv"), rows).expect("the folder is writable");
    let config = Config::load(&folder.join("config.toml")).expect("the example is right");
    Job::load(Arc::new(config), folder).expect("the example is right")
}

fn partners(partners: &Arc<Partners>) -> Vec<Partner> {
    let rows = partners.iter().collect::<Result<Vec<_>, _>>();
    rows.expect("the rows are good")
}

fn messages(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room");
    let job = job(folder.path());
    let rows = partners(&job.partners);
    let date = Timestamp::UNIX_EPOCH;
    let composer: &Composer = &job.composer;
    let mut next = rows.iter().cycle();
    let mut partner = || next.next().expect("the iterator is endless");

    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("row to partner, 1,000", |it| {
        it.iter(|| partners(&job.partners).len());
    });
    group.finish();

    let mut group = criterion.benchmark_group("message");
    group.bench_function("compose", |it| {
        it.iter(|| {
            composer
                .draft(black_box(partner()), ID, None)
                .compose(date)
                .expect("it composes")
        });
    });
    group.bench_function("compose and verify", |it| {
        it.iter(|| {
            composer
                .draft(black_box(partner()), ID, None)
                .compose_and_verify(date)
                .expect("it holds")
        });
    });
    let message = composer
        .draft(partner(), ID, None)
        .compose(date)
        .expect("it composes");
    group.throughput(Throughput::Bytes(message.bytes.len() as u64));
    group.bench_function("fingerprint", |it| {
        it.iter(|| black_box(&message).fingerprint());
    });
    group.finish();
}

/// The two changes of a message, each durable before the next: one message and eight messages per commit.
fn ledger(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let folder = tempfile::tempdir().expect("there is room");
    let job = job(folder.path());
    let invitations: Vec<_> = partners(&job.partners)
        .iter()
        .map(|it| Enrolment {
            identity: it.identity("bench"),
            invitee: job.composer.invitee(it),
            message_id: ID.into(),
        })
        .collect();
    let identities: Vec<Identity> = invitations.iter().map(|it| it.identity.clone()).collect();
    let now = Timestamp::now();
    let files = LedgerLocation::File(LedgerFiles {
        file: folder.path().join("ledger.sqlite3"),
        witness: folder.path().join("ledger.sqlite3.witness"),
    });
    let start = RunStart {
        verb: "send",
        campaign: "bench".into(),
        at: now,
    };
    Ledger::create_if_missing(&files).expect("the folder is writable");
    let ledger = Ledger::open(&files, &start).expect("it is new");
    runtime
        .block_on(async {
            let invitations = invitations.into_iter().map(Ok::<_, LedgerError>);
            ledger.enrol(ROWS as u64, "bench", invitations, now).await
        })
        .expect("there is room");
    // A deferral leaves an invitation that may be armed again.
    let arm = |identity: &Identity| Change {
        message: Some((now, [7; 32])),
        phase: Some(Phase::Dot),
        ..Change::new(identity, now, Cause::Arm)
    };
    let settle = |identity: &Identity| Change {
        phase: Some(Phase::Dot),
        reply: Some(Reply {
            code: 450,
            enhanced: None,
            text: "later".into(),
        }),
        ..Change::new(identity, now, Cause::Outcome(Outcome::Deferred))
    };
    let mut places = (0..ROWS).cycle();
    let mut group = criterion.benchmark_group("ledger");
    for connections in [1, 8] {
        group.throughput(Throughput::Elements(connections));
        group.bench_function(
            format!("armed and settled, {connections} in a commit"),
            |it| {
                it.iter_batched(
                    || {
                        let take = places
                            .by_ref()
                            .take(usize::try_from(connections).unwrap_or(1));
                        take.map(|place| identities[place].clone())
                            .collect::<Vec<_>>()
                    },
                    |identities| {
                        runtime.block_on(async {
                            let armed = identities.iter().map(arm).collect();
                            let results = ledger.submit(armed).results().await;
                            assert!(results.iter().all(Result::is_ok));
                            let settled = identities.iter().map(settle).collect();
                            let results = ledger.submit(settled).results().await;
                            assert!(results.iter().all(Result::is_ok));
                        });
                    },
                    BatchSize::SmallInput,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(benches, messages, ledger);
criterion_main!(benches);
