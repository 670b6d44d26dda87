//! A ledger in PostgreSQL is set up, reached, checked and moved: against a real server on this machine.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::postgres_server::{PASSWORD, PostgresServer, Setup, USER};
use crate::support::smtp::Server;
use crate::support::{Output, Workplace, oracle};

/// The page whose statements are executed as they stand there.
const PAGE: &str = include_str!("../docs/postgresql.md");
/// The database of the page.
const DATABASE: &str = "invitations";

/// The blocks of SQL of the page.
fn sql_of_page() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1);
    blocks.map(|it| it.split("```").next().unwrap()).collect()
}

fn started() -> PostgresServer {
    let server = PostgresServer::start();
    server.create_database(DATABASE);
    server
}

fn url_of(server: &PostgresServer, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/{DATABASE}", server.port())
}

fn ledger(url: &str, more: &str) -> String {
    format!("url = \"{url}\"\n{more}")
}

impl Workplace {
    /// Puts the ledger elsewhere.
    fn use_ledger(&mut self, lines: &str) {
        self.ledger = lines.into();
        self.configure();
    }
}

#[track_caller]
fn exits(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{arguments:?}: {output:?}");
    output
}

#[track_caller]
fn fails(workplace: &Workplace, arguments: &[&str], code: i32, reason: &str) {
    let output = exits(workplace, arguments, code);
    assert!(output.stderr.contains(reason), "{reason}: {output:?}");
}

/// The findings of `check`, each as a line.
#[track_caller]
fn findings(workplace: &Workplace, code: i32) -> Vec<String> {
    let output = exits(workplace, &["check", "--format", "json"], code);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            format!("{}: {}; {}", text("severity"), text("what"), text("fix"))
        })
        .collect()
}

#[track_caller]
fn has(findings: &[String], part: &str) {
    assert!(
        findings.iter().any(|it| it.contains(part)),
        "{part}: {findings:#?}"
    );
}

#[test]
#[ignore = "needs PostgreSQL"]
fn init_creates_the_tables_once_and_a_run_uses_them() {
    let (server, relay) = (started(), Server::accepting());
    let url = url_of(&server, USER);
    let mut workplace = Workplace::new(relay.port());
    workplace.use_ledger(&ledger(&url, ""));
    fails(
        &workplace,
        &["send"],
        78,
        "`access-invite init` creates its tables",
    );

    let created = exits(&workplace, &["init", "."], 0);
    let shown = format!("every partner counts as not invited ({url})");
    assert!(created.stdout.contains(&shown), "{created:?}");
    let again = exits(&workplace, &["init", "."], 0);
    assert!(again.stdout.contains("nothing was to be done"), "{again:?}");

    workplace.partners(&["ada@a.example", "bob@b.example"]);
    exits(&workplace, &["send"], 0);
    workplace.all_are("accepted");
    assert_eq!(relay.accepted().len(), 2);
    assert!(workplace.file("config.toml.witness").exists());

    // A lost ledger is not replaced by an empty one.
    server.sql(DATABASE, "DROP SCHEMA access_invite CASCADE");
    fails(
        &workplace,
        &["init", "."],
        65,
        "so a ledger was lost or moved",
    );
}

#[test]
#[ignore = "needs PostgreSQL"]
fn tables_of_another_version_are_refused() {
    let server = started();
    let mut workplace = Workplace::new(1);
    workplace.use_ledger(&ledger(&url_of(&server, USER), ""));
    exits(&workplace, &["init", "."], 0);
    for (version, reason) in [
        (2, "was written by a newer version of access-invite"),
        (-1, "which no version of access-invite has created"),
    ] {
        let update = format!("UPDATE access_invite.meta SET version = {version}");
        server.sql(DATABASE, &update);
        for verb in [&["send"][..], &["status"], &["init", "."]] {
            fails(&workplace, verb, 65, reason);
        }
    }
    server.sql(DATABASE, "UPDATE access_invite.meta SET version = 1");
    exits(&workplace, &["status"], 0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_roles_of_the_page_can_do_what_it_says() {
    let (server, relay) = (started(), Server::accepting());
    let [roles, grants] = sql_of_page()[..] else {
        panic!("two blocks of SQL are expected");
    };
    server.sql(DATABASE, roles);
    let as_role = |role: &str| {
        let mut workplace = Workplace::new(relay.port());
        workplace.use_ledger(&ledger(&url_of(&server, role), ""));
        workplace.partners(&["ada@a.example"]);
        workplace
    };
    let [owner, sender, reader] = ["invite_owner", "invite_sender", "invite_reader"].map(as_role);

    // Without the right to create a schema.
    fails(&sender, &["init", "."], 77, "docs/postgresql.md");
    exits(&owner, &["init", "."], 0);
    fails(&sender, &["send"], 77, "may not be used so by this user");
    fails(&reader, &["status"], 77, "may not be used so by this user");
    server.sql(DATABASE, &format!("SET ROLE invite_owner; {grants}"));

    exits(&sender, &["send"], 0);
    assert_eq!(relay.accepted().len(), 1);
    sender.all_are("accepted");
    for verb in [
        &["suppress", "eve@e.example", "--note", "x"][..],
        &["approve"],
        &["forget", "eve@e.example"],
        &["ledger", "verify"],
    ] {
        let output = sender.run(verb);
        assert!([0, 65].contains(&output.code), "{verb:?}: {output:?}");
        assert!(!output.stderr.contains("SQLSTATE"), "{output:?}");
    }
    let found = findings(&sender, 0);
    assert!(!found.iter().any(|it| it.contains("lacks")), "{found:#?}");
    let again = exits(&sender, &["init", "."], 0);
    assert!(again.stdout.contains("nothing was to be done"), "{again:?}");

    reader.all_are("accepted");
    has(&findings(&reader, 0), "the role `invite_reader` lacks");
    fails(&reader, &["send"], 77, "may not be used so by this user");
    assert_eq!(relay.accepted().len(), 1);
}

/// Sets the certificate of a server up and starts TLS.
fn offer_tls(server: &PostgresServer, pki: &Pki, name: &str) {
    let (certificate, key) = pki.pem(name);
    for (file, text) in [("server.crt", certificate), ("server.key", key)] {
        let path = server.data().join(file);
        std::fs::write(&path, text).unwrap();
        let owner = std::fs::metadata(server.data()).unwrap();
        std::os::unix::fs::chown(
            &path,
            Some(std::os::unix::fs::MetadataExt::uid(&owner)),
            Some(std::os::unix::fs::MetadataExt::gid(&owner)),
        )
        .unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    server.configure("ssl = on");
    server.restart();
}

#[test]
#[ignore = "needs PostgreSQL"]
fn tls_verifies_the_certificate_and_binds_the_channel() {
    let server = PostgresServer::set_up(&Setup {
        authentication: "scram-sha-256",
        ..Setup::default()
    });
    server.create_database(DATABASE);
    let pki = Pki::new();
    let port = server.port();
    let mut workplace = Workplace::new(1);
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.write("password", PASSWORD);
    std::fs::set_permissions(workplace.file("password"), PermissionsExt::from_mode(0o600)).unwrap();
    let mut with = |host: &str, parameters: &str, more: &str| {
        let url = format!("postgres://{USER}@{host}:{port}/{DATABASE}?{parameters}");
        workplace.use_ledger(&ledger(
            &url,
            &format!("password_file = \"password\"\n{more}"),
        ));
        workplace.run(&["init", "."])
    };
    let trusted = "ca_file = \"ca.pem\"";
    let plain = with("localhost", "sslmode=require", trusted);
    assert_eq!(plain.code, 78, "{plain:?}");
    assert!(plain.stderr.contains("does not offer TLS"), "{plain:?}");

    offer_tls(&server, &pki, "localhost");
    for (host, parameters, more, code, reason) in [
        (
            "localhost",
            "sslmode=verify-full",
            "",
            78,
            "an issuer that this machine does not trust",
        ),
        (
            "127.0.0.1",
            "sslmode=require",
            trusted,
            78,
            "is not for the name 127.0.0.1",
        ),
        (
            "localhost",
            "sslmode=verify-full&channel_binding=require",
            trusted,
            0,
            "",
        ),
        ("localhost", "sslmode=require&sslrootcert=ca.pem", "", 0, ""),
        (
            "localhost",
            "channel_binding=require",
            trusted,
            78,
            "channel binding",
        ),
        // Another host may have the same address.
        (
            "127.0.0.1",
            "sslmode=require&host=localhost&hostaddr=127.0.0.1",
            trusted,
            0,
            "",
        ),
    ] {
        let output = with(host, parameters, more);
        assert_eq!(output.code, code, "{host}?{parameters}: {output:?}");
        assert!(output.stderr.contains(reason), "{reason}: {output:?}");
    }
    workplace.use_ledger(&ledger(
        &format!("postgres://{USER}@localhost:{port}/{DATABASE}?sslmode=verify-full"),
        &format!("password_file = \"password\"\n{trusted}"),
    ));
    has(&findings(&workplace, 0), "encrypted with TLSv1.3");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_password_comes_from_each_of_its_places() {
    let server = PostgresServer::set_up(&Setup {
        authentication: "scram-sha-256",
        ..Setup::default()
    });
    server.create_database(DATABASE);
    let url = url_of(&server, USER);
    let mut workplace = Workplace::new(1);
    workplace.use_ledger(&ledger(&url, ""));
    workplace.write("password", PASSWORD);
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let run = |workplace: &Workplace, verb: &[&str], variables: &[(&str, &str)]| {
        workplace.run_with(verb, |command: &mut Command| {
            command
                .env("HOME", home.path())
                .envs(variables.iter().copied());
        })
    };
    let none = run(&workplace, &["init", "."], &[]);
    assert_eq!(none.code, 77, "{none:?}");
    let line = format!("`127.0.0.1:{}:{DATABASE}:{USER}:PASSWORD`", server.port());
    assert!(none.stderr.contains(&line), "{none:?}");
    let wrong = run(&workplace, &["init", "."], &[("PGPASSWORD", "another")]);
    assert_eq!(wrong.code, 77, "{wrong:?}");
    assert!(wrong.stderr.contains("refuses the login"), "{wrong:?}");
    let right = run(&workplace, &["init", "."], &[("PGPASSWORD", PASSWORD)]);
    assert_eq!(right.code, 0, "{right:?}");

    let line = format!("127.0.0.1:*:{DATABASE}:{USER}:{PASSWORD}\n");
    file(".pgpass", &line, 0o600);
    assert_eq!(run(&workplace, &["status"], &[]).code, 0);
    file(".pgpass", &line, 0o644);
    let ignored = run(&workplace, &["status"], &[]);
    assert_eq!(ignored.code, 77, "{ignored:?}");
    assert!(ignored.stderr.contains("chmod 600"), "{ignored:?}");
    let elsewhere = home.path().join("passwords");
    file("passwords", &line, 0o600);
    let elsewhere = elsewhere.to_str().unwrap();
    assert_eq!(
        run(&workplace, &["status"], &[("PGPASSFILE", elsewhere)]).code,
        0
    );

    let service = format!(
        "[inv]\nhost=127.0.0.1\nport={}\ndbname={DATABASE}\nuser={USER}\npassword={PASSWORD}\n",
        server.port()
    );
    file(".pg_service.conf", &service, 0o600);
    workplace.use_ledger(&ledger("postgres://?service=inv", ""));
    let by_service = run(&workplace, &["status"], &[]);
    assert_eq!(by_service.code, 0, "{by_service:?}");

    workplace.use_ledger(&ledger(&url, "password_env = \"LEDGER_PASSWORD\""));
    assert_eq!(
        run(&workplace, &["status"], &[("LEDGER_PASSWORD", PASSWORD)]).code,
        0
    );
    workplace.use_ledger(&ledger(&url, "password_file = \"password\""));
    let private = PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(workplace.file("password"), private).unwrap();
    assert_eq!(run(&workplace, &["status"], &[]).code, 0);

    let socket = server.folder().display();
    workplace.use_ledger(&ledger(
        &format!(
            "postgres:///{DATABASE}?host={socket}&port={}&user={USER}",
            server.port()
        ),
        "password_file = \"password\"",
    ));
    assert_eq!(run(&workplace, &["status"], &[]).code, 0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_that_cannot_be_used_is_named_with_a_fix() {
    let server = started();
    let mut workplace = Workplace::new(1);
    let closed = ClosedPort::reserve();
    let gone = format!("postgres://{USER}@127.0.0.1:{}/{DATABASE}", closed.port());
    for (url, code, reason) in [
        (gone.clone(), 75, "Connection refused"),
        (
            format!("postgres:///{DATABASE}?host=/nonexistent"),
            75,
            "no server of this machine",
        ),
        (server.url("missing"), 78, "has no such database"),
        (url_of(&server, "nobody"), 77, "refuses the login"),
    ] {
        workplace.use_ledger(&ledger(&url, ""));
        fails(&workplace, &["status"], code, reason);
    }

    let both = format!("127.0.0.1:{},127.0.0.1:{}", closed.port(), server.port());
    workplace.use_ledger(&ledger(&format!("postgres://{USER}@{both}/{DATABASE}"), ""));
    exits(&workplace, &["init", "."], 0);

    server.sql(
        DATABASE,
        "CREATE ROLE busy LOGIN CONNECTION LIMIT 0; GRANT ALL ON SCHEMA access_invite TO busy",
    );
    workplace.use_ledger(&ledger(&url_of(&server, "busy"), ""));
    fails(&workplace, &["status"], 75, "too many connections for role");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn check_reports_the_server_and_refuses_one_that_may_lose_records() {
    let server = started();
    let mut workplace = Workplace::new(1);
    workplace.use_ledger(&ledger(&url_of(&server, USER), ""));
    workplace.partners(&["ada@a.example"]);
    exits(&workplace, &["init", "."], 0);
    let found = findings(&workplace, 0);
    for part in [
        &format!(
            "at 127.0.0.1:{}, on this machine, not encrypted",
            server.port()
        )[..],
        "`fsync = on`, `synchronous_commit = on`, no standby",
        "a round trip takes ",
    ] {
        has(&found, part);
    }
    workplace.use_ledger(&ledger(
        &url_of(&server, USER),
        "witness = \"missing/ledger.witness\"",
    ));
    has(&findings(&workplace, 0), "set `ledger.witness` to a file");

    let standby = server.standby("other");
    workplace.use_ledger(&ledger(&url_of(&server, USER), ""));
    has(&findings(&workplace, 78), "error: the server of the ledger");
    fails(&workplace, &["send"], 78, "without synchronous replication");
    workplace.use_ledger(&ledger(
        &url_of(&server, USER),
        "accept_failover_loss = true",
    ));
    has(&findings(&workplace, 0), "a standby of its server may lack");
    workplace.use_ledger(&ledger(&url_of(&standby, USER), ""));
    fails(&workplace, &["send"], 78, "is on a standby");
    let reading = format!("{}?target_session_attrs=read-write", url_of(&standby, USER));
    workplace.use_ledger(&ledger(&reading, ""));
    fails(&workplace, &["status"], 75, "accepts no writes");
    drop(standby);

    server.configure("fsync = off");
    server.restart();
    workplace.use_ledger(&ledger(&url_of(&server, USER), ""));
    has(&findings(&workplace, 78), "`fsync = off`");
    fails(&workplace, &["send"], 78, "`fsync = off`");
}

/// What a ledger shows, which a move must not change.
#[track_caller]
fn shown(workplace: &Workplace) -> (Value, Value) {
    let status = exits(
        workplace,
        &["status", "--campaign", "all", "--format", "json"],
        0,
    );
    let list = exits(workplace, &["suppress", "--list"], 0);
    let history = exits(
        workplace,
        &["status", "ada@a.example", "--format", "json"],
        0,
    );
    let read = |it: &str| serde_json::from_str(it).unwrap();
    let status: Value = read(&status.stdout);
    (
        Value::Array(vec![status, list.stdout.into()]),
        read(&history.stdout),
    )
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_ledger_moves_into_a_database_and_back_with_everything() {
    let (server, relay) = (started(), Server::accepting());
    let url = url_of(&server, USER);
    let mut workplace = Workplace::new(relay.port());
    workplace.partners(&[
        "ada@a.example",
        "bob@b.example",
        "eve@e.example",
        "moe@m.example",
    ]);
    exits(
        &workplace,
        &["suppress", "bob@b.example", "--note", "by phone"],
        0,
    );
    exits(&workplace, &["send"], 0);
    exits(&workplace, &["forget", "moe@m.example"], 0);
    exits(
        &workplace,
        &[
            "resolve",
            "eve@e.example",
            "--as",
            "bounced",
            "--note",
            "returned",
        ],
        0,
    );
    workplace.partners(&["ada@a.example", "bob@b.example", "eve@e.example"]);
    let before = shown(&workplace);

    let moved = exits(&workplace, &["ledger", "copy", "ledger.sqlite3", &url], 0);
    assert!(moved.stdout.contains("nothing is sent from"), "{moved:?}");
    let again = exits(&workplace, &["ledger", "copy", "ledger.sqlite3", &url], 0);
    assert!(again.stdout.contains("was moved to"), "{again:?}");
    let named = format!("was moved to `{url}`");
    for verb in [&["send"][..], &["sync"], &["forget", "x@x.example"]] {
        let output = workplace.run(verb);
        assert!(output.code == 65 || verb == ["sync"], "{output:?}");
    }
    fails(&workplace, &["send"], 65, &named);
    let status = exits(&workplace, &["status"], 0);
    assert!(status.stderr.contains(&named), "{status:?}");
    // An earlier version of the program reads this number, and refuses a higher one than its own.
    let header = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();
    assert_eq!(u32::from_be_bytes(header[60..64].try_into().unwrap()), 1003);

    workplace.use_ledger(&ledger(&url, "witness = \"ledger.sqlite3.witness\""));
    assert_eq!(shown(&workplace), before);
    exits(&workplace, &["ledger", "verify"], 0);
    workplace.partners(&[
        "ada@a.example",
        "bob@b.example",
        "eve@e.example",
        "new@n.example",
    ]);
    exits(&workplace, &["send"], 0);
    assert_eq!(relay.accepted().len(), 4);
    let before = shown(&workplace);

    exits(&workplace, &["ledger", "copy", &url, "back.sqlite3"], 0);
    fails(&workplace, &["send"], 65, "was moved to `");
    workplace.use_ledger("file = \"back.sqlite3\"\nwitness = \"ledger.sqlite3.witness\"");
    assert_eq!(shown(&workplace), before);
    exits(&workplace, &["ledger", "verify"], 0);
    exits(&workplace, &["send"], 0);
    assert_eq!(relay.accepted().len(), 4);
    fails(
        &workplace,
        &["ledger", "copy", "back.sqlite3", &url],
        65,
        "there is a ledger at",
    );
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_ledger_in_use_or_with_armed_invitations_is_not_moved() {
    let server = started();
    let url = url_of(&server, USER);
    for in_database in [false, true] {
        let closed = ClosedPort::reserve();
        let mut workplace = Workplace::new(closed.port());
        if in_database {
            workplace.use_ledger(&ledger(&url, "lease = \"2s\""));
            exits(&workplace, &["init", "."], 0);
        }
        workplace.partners(&["ada@a.example"]);
        exits(&workplace, &["send"], 69);
        let (from, to) = if in_database {
            (url.as_str(), "there.sqlite3")
        } else {
            ("ledger.sqlite3", url.as_str())
        };
        if in_database {
            let arm = "UPDATE access_invite.invitation SET state = 'armed'";
            server.sql(DATABASE, arm);
            fails(
                &workplace,
                &["ledger", "copy", from, to],
                65,
                "1 armed invitations",
            );
            server.sql(
                DATABASE,
                "UPDATE access_invite.invitation SET state = 'pending'",
            );
            server.sql(
                DATABASE,
                "UPDATE access_invite.run SET ended_at = NULL, lease_until = 9999999999999",
            );
            fails(
                &workplace,
                &["ledger", "copy", from, to],
                75,
                "is using the ledger",
            );
            server.sql(DATABASE, "UPDATE access_invite.run SET ended_at = 1");
        } else {
            let lock = std::fs::File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(workplace.file("ledger.sqlite3.lock"))
                .unwrap();
            lock.lock().unwrap();
            fails(
                &workplace,
                &["ledger", "copy", from, to],
                75,
                "another run is using",
            );
        }
        exits(&workplace, &["ledger", "copy", from, to], 0);
        server.sql(DATABASE, "DROP SCHEMA access_invite CASCADE");
    }
}

/// Whether `send` would use a ledger.
fn is_usable(workplace: &mut Workplace, lines: &str) -> bool {
    workplace.use_ledger(lines);
    workplace.run(&["send", "--limit", "0"]).code == 0
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_move_that_is_killed_at_any_moment_can_be_finished() {
    let server = started();
    let url = url_of(&server, USER);
    let (database, file) = (ledger(&url, ""), "file = \"ledger.sqlite3\"");
    let trials: u64 = std::env::var("ACCESS_INVITE_KILLS").map_or(8, |it| it.parse().unwrap());
    let mut killed = 0;
    for trial in 0..trials {
        let closed = ClosedPort::reserve();
        let mut workplace = Workplace::new(closed.port());
        workplace.many_partners(1500);
        exits(&workplace, &["send"], 69);
        // Forward, then back.
        let steps = [
            ("ledger.sqlite3", url.as_str(), file, database.as_str()),
            (
                url.as_str(),
                "back.sqlite3",
                &database,
                "file = \"back.sqlite3\"",
            ),
        ];
        for (from, to, old, new) in steps {
            workplace.use_ledger(old);
            let before = exits(&workplace, &["status", "--format", "json"], 0).stdout;
            let mut run = workplace.start(&["ledger", "copy", from, to]);
            std::thread::sleep(Duration::from_millis(20 + 1000 * trial / trials));
            killed += i32::from(run.is_running());
            run.kill();
            let usable = [old, new].map(|it| is_usable(&mut workplace, it));
            assert!(!usable[0] || !usable[1], "both can be sent from: {trial}");
            workplace.use_ledger(old);
            let finished = workplace.run(&["ledger", "copy", from, to]);
            assert_eq!(finished.code, 0, "{trial}: {finished:?}");
            let usable = [old, new].map(|it| is_usable(&mut workplace, it));
            assert_eq!(usable, [false, true], "{trial}");
            let after = exits(&workplace, &["status", "--format", "json"], 0).stdout;
            let invitations = |it: &str| -> Value {
                let status: Value = serde_json::from_str(it).unwrap();
                status["invitations"].clone()
            };
            assert_eq!(invitations(&after), invitations(&before), "{trial}");
        }
        server.sql(DATABASE, "DROP SCHEMA access_invite CASCADE");
    }
    assert!(killed > 0, "no move was killed");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_two_steps_after_the_copy_can_be_interrupted() {
    let server = started();
    let url = url_of(&server, USER);
    let relay = Server::accepting();
    let mut workplace = Workplace::new(relay.port());
    workplace.partners(&["ada@a.example"]);
    exits(&workplace, &["send"], 0);
    let path = workplace.file("ledger.sqlite3");
    exits(&workplace, &["ledger", "copy", "ledger.sqlite3", &url], 0);

    // As if it had been killed after the source was marked: both are refused, and the command is named.
    let name = path.canonicalize().unwrap().display().to_string();
    server.sql(
        DATABASE,
        &format!("UPDATE access_invite.meta SET version = 0, copied_from = '{name}'"),
    );
    let bytes = std::fs::read(&path).unwrap();
    let place = bytes
        .windows(url.len())
        .rposition(|it| it == url.as_bytes())
        .unwrap();
    // `finished` is the constant 1, which SQLite keeps in the header of the row: 9, and 8 for 0.
    let header = bytes[..place].iter().rposition(|it| *it == 9).unwrap();
    let mut unfinished = bytes.clone();
    unfinished[header] = 8;
    std::fs::write(&path, unfinished).unwrap();
    fails(&workplace, &["send"], 65, "was moved to");
    workplace.use_ledger(&ledger(&url, ""));
    let command = format!("`access-invite ledger copy '{name}' '{url}'`");
    for verb in [&["send"][..], &["status"], &["init", "."]] {
        fails(&workplace, verb, 65, &command);
    }
    let moved = exits(&workplace, &["ledger", "copy", "ledger.sqlite3", &url], 0);
    assert!(moved.stdout.contains("moved 1 invitation"), "{moved:?}");
    workplace.all_are("accepted");
    exits(&workplace, &["send"], 0);
    oracle::check_settled(&workplace, &relay, 1, 0);
    // Now it is known to be in use, so that a lost database is not replaced by the old ledger.
    server.sql(DATABASE, "DROP SCHEMA access_invite CASCADE");
    let again = exits(&workplace, &["ledger", "copy", "ledger.sqlite3", &url], 0);
    assert!(again.stdout.contains("nothing was to be done"), "{again:?}");
}
