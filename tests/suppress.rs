//! `suppress`: no campaign mails an address or a domain on the list, and what was due to it comes back when it is
//! taken off.

use std::collections::BTreeMap;
use std::path::Path;

use access_invite::invitation::invite_id;
use serde_json::Value;

use crate::support::held::Held;
use crate::support::smtp::gate::gate;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace, oracle};

const ADA: &str = "ada@fabrikam.example";
const BOB: &str = "bob@northwind.example";
const EVE: &str = "eve@northwind.example";

#[track_caller]
fn run(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{output:?}");
    output
}

fn states(workplace: &Workplace) -> BTreeMap<String, String> {
    workplace.states().into_iter().collect()
}

fn recipients(server: &Server) -> Vec<String> {
    let accepted = server.accepted().into_iter();
    let mut recipients: Vec<_> = accepted.flat_map(|it| it.recipients).collect();
    recipients.sort();
    recipients
}

/// The invitation to an address in JSON.
fn invitation(workplace: &Workplace, address: &str) -> Value {
    let status = workplace.status();
    let invitations = status["invitations"].as_array().unwrap();
    invitations
        .iter()
        .find(|it| it["email"] == address)
        .unwrap()
        .clone()
}

/// A relay that defers everything to these addresses.
fn deferring(addresses: &'static [&'static str]) -> Server {
    Server::start(move |call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(recipient)) if addresses.contains(&recipient) => {
            reply("450 4.2.0 try again later")
        }
        _ => Action::Normal,
    })
}

#[test]
fn what_is_due_is_suppressed_and_comes_back() {
    let server = deferring(&[ADA]);
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, BOB]);
    run(&workplace, &["send"], 75);
    assert_eq!(states(&workplace)[ADA], "deferred");

    let output = run(
        &workplace,
        &[
            "suppress",
            "Ada@Fabrikam.example",
            BOB,
            "--note",
            "by phone",
        ],
        0,
    );

    assert_eq!(
        output.stdout,
        "ada@fabrikam.example: suppressed (1 invitation)\nbob@northwind.example: suppressed\n"
    );
    let (ada, bob) = (invitation(&workplace, ADA), invitation(&workplace, BOB));
    assert_eq!(
        (&ada["state"], &ada["suppressed"]),
        (&"suppressed".into(), &true.into())
    );
    assert_eq!(ada["note"], "by phone");
    // What was accepted stays so.
    assert_eq!(
        (&bob["state"], &bob["suppressed"]),
        (&"accepted".into(), &true.into())
    );
    run(&workplace, &["send"], 0);
    let again = run(&workplace, &["suppress", ADA], 0);
    assert_eq!(
        again.stdout,
        "ada@fabrikam.example: was suppressed already\n"
    );

    let removed = run(&workplace, &["suppress", "--remove", ADA], 0);

    assert_eq!(
        removed.stdout,
        "ada@fabrikam.example: no longer suppressed (1 invitation)\n"
    );
    assert_eq!(invitation(&workplace, ADA)["suppressed"], false);
    assert_eq!(states(&workplace)[ADA], "pending");
    // It is due at once.
    run(&workplace, &["send"], 75);
    assert_eq!(states(&workplace)[ADA], "deferred");
    let history = run(&workplace, &["status", BOB], 0);
    assert!(history.stdout.contains("not mailed since"), "{history:?}");
    assert!(history.stdout.contains("(person)  by phone"), "{history:?}");
}

#[test]
fn a_domain_is_suppressed_in_all_campaigns() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, BOB, EVE, "joe@sub.northwind.example"]);
    run(&workplace, &["suppress", "@NorthWind.example", EVE], 0);

    // A preview shows it and records nothing.
    run(&workplace, &["preview"], 0);
    assert!(states(&workplace).is_empty());
    run(&workplace, &["send"], 0);

    assert_eq!(recipients(&server), [ADA, "joe@sub.northwind.example"]);
    let now = states(&workplace);
    assert_eq!(
        (now[BOB].as_str(), now[EVE].as_str()),
        ("suppressed", "suppressed")
    );
    oracle::check(&workplace, &server, 4, 0);

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("summer.toml", &config.replace("\"spring\"", "\"summer\""));
    run(
        &workplace,
        &["send", "--config", "summer.toml", "--new-campaign"],
        0,
    );
    assert_eq!(server.accepted().len(), 4);

    // Another entry still covers the address.
    let removed = run(
        &workplace,
        &["suppress", "--remove", "@northwind.example"],
        0,
    );
    assert_eq!(
        removed.stdout,
        "@northwind.example: no longer suppressed (2 invitations)\n"
    );
    let now = states(&workplace);
    assert_eq!(
        (now[BOB].as_str(), now[EVE].as_str()),
        ("pending", "suppressed")
    );
    run(&workplace, &["send"], 0);
    assert_eq!(states(&workplace)[BOB], "accepted");
    assert_eq!(states(&workplace)[EVE], "suppressed");
}

#[test]
fn the_list_is_read_from_a_file_and_printed() {
    let workplace = Workplace::english(1);
    workplace.partners(&[ADA]);
    workplace.write(
        "list.txt",
        "\u{feff}# asked in spring\n\nAda@Fabrikam.example\r\n  @northwind.example  # a comment\na#b@x.example\n",
    );
    run(
        &workplace,
        &["suppress", "--file", "list.txt", "--note", "=spring"],
        0,
    );

    let list = run(&workplace, &["suppress", "--list"], 0).stdout;

    let lines: Vec<_> = list
        .lines()
        .map(|it| it.split(" # ").next().unwrap())
        .collect();
    assert_eq!(lines, ["@northwind.example", "a#b@x.example", ADA]);
    assert!(
        list.lines().all(|it| it.ends_with(", person: =spring")),
        "{list}"
    );
    let json = run(&workplace, &["suppress", "--list", "--format", "json"], 0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[2]["address"], ADA);
    assert_eq!(
        (&json[2]["source"], &json[2]["note"]),
        (&"person".into(), &"=spring".into())
    );
    // What it prints can be read again.
    workplace.write("again.txt", &list);
    let again = run(&workplace, &["suppress", "--file", "again.txt"], 0);
    assert_eq!(
        again.stdout.matches("was suppressed already").count(),
        3,
        "{again:?}"
    );
}

#[test]
fn bad_input_changes_nothing() {
    let workplace = Workplace::english(1);
    workplace.partners(&[ADA]);
    workplace.write("list.txt", "ok@x.example\nnobody\nb@c@d.example\n");
    let output = run(&workplace, &["suppress", "--file", "list.txt"], 65);
    for part in [
        "list.txt:2: nobody: ",
        "list.txt:3: ",
        "2 lines cannot be read",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    workplace.write("latin.txt", "x");
    std::fs::write(workplace.file("latin.txt"), b"j\xf6rg@x.example\n").unwrap();
    run(&workplace, &["suppress", "--file", "latin.txt"], 65);
    run(&workplace, &["suppress", "--file", "missing.txt"], 65);
    for usage in [
        &["suppress"][..],
        &["suppress", "nobody"],
        &["suppress", ADA, "--list"],
        &["suppress", ADA, "--remove", BOB],
    ] {
        run(&workplace, usage, 2);
    }
    assert_eq!(run(&workplace, &["suppress", "--list"], 0).stdout, "");

    // Of two that are to be removed, one is missing: both stay as they are.
    run(&workplace, &["suppress", ADA], 0);
    let output = run(&workplace, &["suppress", "--remove", ADA, BOB], 65);
    assert!(
        output
            .stderr
            .contains("bob@northwind.example is not on the suppression list"),
        "{output:?}"
    );
    assert!(
        run(&workplace, &["suppress", "--list"], 0)
            .stdout
            .contains(ADA)
    );
}

#[test]
fn a_suppressed_address_is_not_sent_to_again() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt => reply("550 5.1.1 unknown user"),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, BOB]);
    run(&workplace, &["send"], 1);
    run(&workplace, &["suppress", ADA], 0);

    let resend = ["--as", "resend", "--note", "x", "--yes"];
    let one = run(&workplace, &[&["resolve", ADA], &resend[..4]].concat(), 65);
    assert!(one.stderr.contains("is suppressed since"), "{one:?}");
    let all = run(
        &workplace,
        &[&["resolve", "--state", "rejected"], &resend[..]].concat(),
        0,
    );

    assert!(
        all.stdout.contains("ada@fabrikam.example: stays rejected"),
        "{all:?}"
    );
    let now = states(&workplace);
    assert_eq!(
        (now[ADA].as_str(), now[BOB].as_str()),
        ("rejected", "pending")
    );
}

#[test]
fn a_message_whose_address_is_suppressed_before_its_final_dot_is_not_sent() {
    for stage in [Stage::Rcpt, Stage::Data] {
        let held = Held::at(stage, 0, |it| it.partners(&[ADA, BOB, EVE]));

        run(&held.workplace, &["suppress", ADA, "@northwind.example"], 0);
        run(
            &held.workplace,
            &["suppress", "--remove", "@northwind.example"],
            0,
        );

        let (server, workplace, ended) = held.finish();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(ended.stderr, "", "{ended:?}");
        assert_eq!(recipients(&server), [BOB, EVE], "{stage:?}");
        assert_eq!(states(&workplace)[ADA], "suppressed");
        oracle::check(&workplace, &server, 3, 0);
        let attempts = &invitation(&workplace, ADA)["attempts"];
        assert_eq!(attempts, 0, "it was never armed");
    }
}

#[test]
fn a_message_that_is_being_sent_is_recorded_and_not_repeated() {
    let (server, keeper) = Server::holding(Stage::Dot, 0);
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.partners(&[ADA]);
    let sending = workplace.start(&["send"]);
    keeper.wait();
    run(&workplace, &["suppress", ADA], 0);
    assert_eq!(states(&workplace)[ADA], "armed");
    keeper.release();
    assert_eq!(sending.wait().code, 0);
    let ada = invitation(&workplace, ADA);
    assert_eq!(
        (&ada["state"], &ada["suppressed"]),
        (&"accepted".into(), &true.into())
    );
}

#[test]
fn a_message_that_the_relay_defers_after_its_address_was_suppressed_is_not_tried_again() {
    let (gate, keeper) = gate();
    let server = Server::start(move |call: &Call| match call.stage {
        Stage::Dot => Action::Hold(gate.clone(), Box::new(reply("451 4.3.0 try again later"))),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA]);
    let sending = workplace.start(&["send"]);
    keeper.wait();
    run(&workplace, &["suppress", ADA], 0);
    keeper.release();
    let ended = sending.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(states(&workplace)[ADA], "suppressed");
    run(&workplace, &["send"], 0);
    assert_eq!(server.count("DATA"), 1);
}

/// A report of `tests/fixtures/reports/` about the invitation to an address.
fn write_report(workplace: &Workplace, name: &str, address: &str, file: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let text = std::fs::read_to_string(folder.join(format!("{name}.eml"))).unwrap();
    let id = invitation(workplace, address)["message_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = id.trim_matches(['<', '>']);
    let invite = invite_id(id);
    let values = [
        ("{to}", address),
        ("{message_id}", id),
        ("{invite_id}", &invite),
        ("{envelope_id}", &invite),
        ("report-1@", name),
    ];
    let text = values
        .iter()
        .fold(text, |text, (name, value)| text.replace(name, value));
    workplace.write(file, &text);
}

#[test]
fn a_bounce_of_an_unknown_mailbox_suppresses_the_address() {
    const CASES: [(&str, bool); 9] = [
        ("postfix-unknown-user", true),
        ("exchange-online-en", true),
        ("exim-remote", true),
        ("postfix-disabled", true),
        ("qmail-unknown", true),
        ("postfix-full-mailbox", false),
        ("exchange-online-full", false),
        ("postfix-sender-refused", false),
        ("postfix-expired", false),
    ];
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    let addresses = CASES.map(|it| format!("{}@fabrikam.example", it.0));
    let listed: Vec<_> = addresses.iter().map(String::as_str).collect();
    workplace.partners(&listed);
    run(&workplace, &["send"], 0);
    for ((name, _), address) in CASES.iter().zip(&listed) {
        write_report(&workplace, name, address, &format!("{name}.eml"));
    }
    let files: Vec<_> = CASES.iter().map(|it| format!("{}.eml", it.0)).collect();
    let mut sync = vec!["sync", "--bounces"];
    sync.extend(files.iter().map(String::as_str));

    // Unless it is configured, nobody is suppressed.
    let copy = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();
    let witness = std::fs::read(workplace.file("ledger.sqlite3.witness")).unwrap();
    run(&workplace, &sync, 1);
    assert_eq!(run(&workplace, &["suppress", "--list"], 0).stdout, "");
    std::fs::write(workplace.file("ledger.sqlite3"), copy).unwrap();
    std::fs::write(workplace.file("ledger.sqlite3.witness"), witness).unwrap();
    workplace.extra = "[bounces]\nsuppress = true\n".into();
    workplace.configure();

    let output = run(&workplace, &sync, 1);

    assert!(
        output.stdout.contains("9 bounced, 5 suppressed"),
        "{output:?}"
    );
    for ((name, suppressed), address) in CASES.iter().zip(&listed) {
        let found = invitation(&workplace, address);
        assert_eq!(found["state"], "bounced", "{name}");
        assert_eq!(found["suppressed"], *suppressed, "{name}");
    }
    // A second reading changes nothing, even after a person has removed an entry.
    let unknown = listed[0];
    run(&workplace, &["suppress", "--remove", unknown], 0);
    run(&workplace, &sync, 0);
    assert_eq!(invitation(&workplace, unknown)["suppressed"], false);

    // A later campaign leaves the others out.
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("summer.toml", &config.replace("\"spring\"", "\"summer\""));
    run(
        &workplace,
        &["send", "--config", "summer.toml", "--new-campaign"],
        0,
    );
    assert_eq!(server.accepted().len(), listed.len() + 5);
}

#[test]
fn a_mail_with_the_id_as_its_subject_suppresses() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, BOB]);
    run(&workplace, &["send"], 0);
    let id = invitation(&workplace, ADA)["message_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = invite_id(id.trim_matches(['<', '>']));
    let mail = |subject: &str| {
        format!(
            "From: x@y.example\r\nTo: z@a.example\r\nMessage-ID: <u@y.example>\r\nSubject: {subject}\r\n\r\n\r\n"
        )
    };
    for other in ["unsubscribe", &format!("{id} {id}"), &"0".repeat(32)] {
        workplace.write("mail.eml", &mail(other));
        run(&workplace, &["sync", "--bounces", "mail.eml"], 0);
        assert_eq!(invitation(&workplace, ADA)["suppressed"], false, "{other}");
    }

    workplace.write("mail.eml", &mail(&id.to_uppercase()));
    let output = run(&workplace, &["sync", "--bounces", "mail.eml"], 0);

    assert!(output.stdout.contains("1 suppressed"), "{output:?}");
    let list = run(&workplace, &["suppress", "--list"], 0).stdout;
    assert!(
        list.contains("ada@fabrikam.example # ")
            && list.contains(", unsubscribe: mail u@y.example"),
        "{list}"
    );
    // The same mail is not applied twice.
    run(&workplace, &["suppress", "--remove", ADA], 0);
    run(&workplace, &["sync", "--bounces", "mail.eml"], 0);
    assert_eq!(invitation(&workplace, ADA)["suppressed"], false);
}

#[test]
fn bounced_invitations_become_a_list_that_can_be_sent_to() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.write(
        "partners.csv",
        "email,name,organization,locale,package\nada@fabrikam.example,\"=Ada, Countess\",Fabrikam,fr,project\nbob@northwind.example,Bob,,,project\n",
    );
    run(&workplace, &["send"], 0);
    write_report(&workplace, "postfix-unknown-user", ADA, "back.eml");
    run(&workplace, &["sync", "--bounces", "back.eml"], 1);

    let usage = run(&workplace, &["status", "--as-list"], 2);
    assert!(usage.stderr.contains("--format csv"), "{usage:?}");
    let list = run(
        &workplace,
        &[
            "status",
            "--state",
            "bounced",
            "--format",
            "csv",
            "--as-list",
        ],
        0,
    );

    assert_eq!(
        list.stdout
            .trim_start_matches('\u{feff}')
            .lines()
            .next()
            .unwrap(),
        "email,name,organization,locale,package,invitation_state,invitation_reply"
    );
    assert_eq!(list.stdout.lines().count(), 2, "{list:?}");
    // The address is corrected, and the list sent to.
    workplace.write(
        "partners.csv",
        &list.stdout.replacen(ADA, "ada.l@fabrikam.example", 1),
    );
    run(&workplace, &["send"], 0);
    let mails = server.accepted();
    assert_eq!(mails.len(), 3);
    let mail = String::from_utf8_lossy(&mails[2].data).into_owned();
    assert!(mail.contains("ada.l@fabrikam.example"), "{mail}");
    let resent = invitation(&workplace, "ada.l@fabrikam.example");
    assert_eq!(
        (&resent["name"], &resent["locale"]),
        (&"=Ada, Countess".into(), &"fr".into())
    );
}
