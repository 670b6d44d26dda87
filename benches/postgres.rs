//! Measures whole jobs with their ledger in PostgreSQL, beside the same job with its ledger in a file.
//!
//! ```sh
//! cargo bench --bench postgres                # needs PostgreSQL and Postfix's smtp-sink
//! cargo bench --bench postgres -- throughput  # or: million
//! ACCESS_INVITE_MESSAGES=2000 ACCESS_INVITE_ROUNDS=3 cargo bench --bench postgres
//! ```
//!
//! The release binary sends to `smtp-sink`. The server and the file are in folders of the same disk, with their usual
//! durability. Rounds of all kinds alternate in reversed order, and medians are printed. Compare only ratios of one
//! round of this program: how fast a disk syncs changes from hour to hour.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a driver that reports to a terminal"
)]

mod job;
#[path = "../tests/support/ports.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod ports;
#[path = "../tests/support/postgres_server.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod postgres_server;

use std::process::Child;
use std::time::Instant;

use self::job::{Job, Sink, Took, is_there, median, number, run};
use self::postgres_server::{PostgresServer, Setup, programs};

const CONNECTIONS: usize = 8;
const DATABASE: &str = "bench";

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with("--"))
        .collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    if programs().is_none() || !is_there("smtp-sink") {
        println!(
            "PostgreSQL or smtp-sink is missing (Debian: postgresql, postfix); nothing is measured"
        );
        return;
    }
    let server = PostgresServer::set_up(&Setup {
        settings: "shared_buffers = '512MB'\nmax_wal_size = '1GB'\nshared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track_planning = on".into(),
        within: std::env::temp_dir(),
        ..Setup::default()
    });
    println!("{}", server.sql("postgres", "SELECT version()"));
    if asked("throughput") {
        throughput(&server);
    }
    if asked("million") {
        million(&server);
    }
}

/// Jobs of this many messages, by one process with a file, and by 1, 2 and 4 with the server.
fn throughput(server: &PostgresServer) {
    let messages = number("ACCESS_INVITE_MESSAGES", 5_000);
    let rounds = number("ACCESS_INVITE_ROUNDS", 5);
    println!(
        "\n{messages} messages, {CONNECTIONS} connections for each process, medians of {rounds} rounds"
    );
    let sink = Sink::start();
    let ledger = format!("url = \"{}\"", server.url(DATABASE));
    let file = Job::new(messages, CONNECTIONS, sink.port, "");
    let shared: Vec<Job> = (0..4)
        .map(|_| Job::with_ledger(messages, CONNECTIONS, sink.port, "", &ledger))
        .collect();
    let kinds = [0, 1, 2, 4];
    let mut taken: Vec<Vec<Took>> = vec![Vec::new(); kinds.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for kind in order {
            taken[kind].push(match kinds[kind] {
                0 => file.send(),
                processes => together(server, &shared[..processes], messages),
            });
        }
    }
    println!("ledger       processes   msg/s  delivery msg/s   ratio to the file: whole  delivery");
    let count = messages as f64;
    for (kind, took) in kinds.into_iter().zip(&taken) {
        let rate = |of: fn(&Took) -> f64| count / median(took.iter().map(of));
        let ratio = |of: fn(&Took) -> f64| {
            median(
                taken[0]
                    .iter()
                    .zip(took)
                    .map(|(file, own)| of(file) / of(own)),
            )
        };
        println!(
            "{:<12} {:>9} {:>7.0} {:>15.0} {:>25.2} {:>9.2}",
            if kind == 0 { "SQLite" } else { "PostgreSQL" },
            kind.max(1),
            rate(|it| it.wall),
            rate(|it| it.phase),
            ratio(|it| it.wall),
            ratio(|it| it.phase),
        );
    }
}

/// Starts `send` in all folders at once, from an empty ledger.
fn together(server: &PostgresServer, jobs: &[Job], messages: usize) -> Took {
    empty_ledger(server, jobs);
    let start = Instant::now();
    let runs: Vec<Child> = jobs
        .iter()
        .map(|it| it.command(&["send"]).spawn().unwrap())
        .collect();
    for mut run in runs {
        let status = run.wait().unwrap();
        assert!(status.success(), "{status}");
    }
    let wall = start.elapsed().as_secs_f64();
    let row = server.sql(
        DATABASE,
        "SELECT count(*) FILTER (WHERE to_state = 'accepted'),
            max(at) FILTER (WHERE to_state = 'accepted') - min(at) FILTER (WHERE to_state = 'armed')
         FROM access_invite.history",
    );
    let (accepted, phase) = row.split_once('|').unwrap();
    assert_eq!(
        accepted,
        messages.to_string(),
        "not everything was accepted"
    );
    Took {
        wall,
        phase: phase.parse::<f64>().unwrap() / 1_000.0,
        ..Took::default()
    }
}

/// An empty ledger, with no witness of another one in the folders.
fn empty_ledger(server: &PostgresServer, jobs: &[Job]) {
    server.sql("postgres", &format!("DROP DATABASE IF EXISTS {DATABASE}"));
    server.create_database(DATABASE);
    for job in jobs {
        for entry in std::fs::read_dir(job.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "witness") {
                std::fs::remove_file(path).unwrap();
            }
        }
        assert!(job.command(&["init", "."]).status().unwrap().success());
    }
    server.sql("postgres", "CHECKPOINT");
}

/// A ledger of a million invitations: what a run with nothing to do, a claim and `status` take.
fn million(server: &PostgresServer) {
    let rows = number("ACCESS_INVITE_ROWS", 1_000_000);
    println!("\n{rows} invitations");
    let sink = Sink::start();
    let ledger = format!("url = \"{}\"", server.url(DATABASE));
    let job = Job::with_ledger(rows, CONNECTIONS, sink.port, "", &ledger);
    empty_ledger(server, std::slice::from_ref(&job));
    let start = Instant::now();
    server.sql(DATABASE, &fill(rows));
    println!("filled in {:.0} s", start.elapsed().as_secs_f64());
    server.sql(DATABASE, "VACUUM ANALYZE");
    let idle = run(&mut job.command(&["send"]));
    println!(
        "send, nothing to do: {:.1} s, {:.0} MiB",
        idle.wall, idle.peak
    );
    for verb in [
        &["status", "partner500000@company503.example"][..],
        &["status", "--state", "pending"],
        &["status", "--format", "csv"],
    ] {
        let took = run(&mut job.command(verb));
        println!(
            "{}: {:.2} s, {:.0} MiB",
            verb.join(" "),
            took.wall,
            took.peak
        );
    }
    server.sql(
        DATABASE,
        "UPDATE access_invite.invitation SET state = 'pending' WHERE id % 10 = 0;
         CREATE EXTENSION pg_stat_statements",
    );
    server.sql(DATABASE, "VACUUM ANALYZE");
    server.sql(DATABASE, "SELECT pg_stat_statements_reset()");
    let took = run(&mut job.command(&["send", "--limit", "5000"]));
    println!(
        "send, 5,000 of 100,000 pending: {:.1} s, {:.0} MiB",
        took.wall, took.peak
    );
    println!("statements of that run, mean ms (calls):");
    println!(
        "{}",
        server.sql(
            DATABASE,
            "SELECT round((mean_exec_time + mean_plan_time)::numeric, 3), calls,
                left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
             FROM pg_stat_statements WHERE query NOT LIKE 'COMMIT%' ORDER BY total_exec_time DESC LIMIT 12",
        )
    );
    println!("tables and indexes, MiB:");
    println!(
        "{}",
        server.sql(
            DATABASE,
            "SELECT relname, round(pg_relation_size(c.oid) / 1048576.0)
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = 'access_invite' AND pg_relation_size(c.oid) > 1048576
             ORDER BY pg_relation_size(c.oid) DESC",
        )
    );
}

/// Fills the ledger as if everybody had been invited: three events for each.
fn fill(rows: usize) -> String {
    format!(
        "SET search_path = access_invite;
         INSERT INTO invitation (id, campaign, package_id, address, occasion, package, email, name, organization,
            locale, template_locale, state, generation, message_id, attempts, deferrals, repeat, created_at,
            updated_at, accepted_at, message_date, message_sha256, latest)
         SELECT n + 1, 'bench', '8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11',
            'partner' || n || '@company' || (n % 997) || '.example', 'invitation', 'project',
            'partner' || n || '@company' || (n % 997) || '.example', 'Ada Partner ' || n, 'Company ' || n % 997,
            'en', 'en', 'accepted', 0, md5(n::text) || md5('b' || n) || '@contoso.example', 1, 0, false,
            1700000000000 + n, 1700000000000 + n, 1700000000000 + n, 1700000000, sha256(n::text::bytea), n * 3 + 3
         FROM generate_series(0, {rows} - 1) AS n;
         INSERT INTO history (id, invitation, at, from_state, to_state, cause, phase, smtp_code, enhanced_code,
            reply, relay, message_id)
         SELECT n * 3 + k, n + 1, 1700000000000 + n,
            (ARRAY[NULL, 'pending', 'armed'])[k], (ARRAY['pending', 'armed', 'accepted'])[k],
            (ARRAY['enrol', 'arm', 'reply'])[k], CASE WHEN k > 1 THEN 'dot' END, CASE WHEN k = 3 THEN 250 END,
            CASE WHEN k = 3 THEN '2.0.0' END, CASE WHEN k = 3 THEN 'Ok' END,
            CASE WHEN k > 1 THEN '127.0.0.1:25' END, md5(n::text) || md5('b' || n) || '@contoso.example'
         FROM generate_series(0, {rows} - 1) AS n, generate_series(1, 3) AS k;
         SELECT setval(pg_get_serial_sequence('invitation', 'id'), {rows});
         SELECT setval(pg_get_serial_sequence('history', 'id'), {rows} * 3);
         INSERT INTO campaign (name, confirmed_at) VALUES ('bench', 1700000000000)"
    )
}
