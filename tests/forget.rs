//! `forget` and `[privacy] retain`: nothing of an erased address is left in any file, and nobody is invited twice.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::held::Held;
use crate::support::smtp::{Action, Server, Stage, reply};
use crate::support::traces::files_with;
use crate::support::{Output, Workplace};
use access_invite::invitation::invite_id;

const ADA: &str = "ada.lovelace@a.example";
const NAME: &str = "Augusta King";
const FORGET: [&str; 2] = ["forget", ADA];
const AUTUMN: [&str; 2] = ["--config", "autumn.toml"];

#[track_caller]
fn runs(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{output:?}");
    output
}

/// A relay that names the recipient in its reply, as Postfix and Exchange do; one recipient is refused.
fn relay() -> Server {
    Server::start(|call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => reply("450 4.2.0 later"),
        (Stage::Dot, Some(it)) => reply(&format!("250 2.6.0 <{it}> queued")),
        _ => Action::Normal,
    })
}

fn list(with_ada: bool) -> String {
    let ada = if with_ada {
        format!("Ada.Lovelace@A.example,{NAME},en\n")
    } else {
        String::new()
    };
    format!("email,name,locale\n{ada}bob@b.example,Bob,fr\ncyd@c.example,Cyd,ja\n")
}

/// A job whose partner Ada was invited in two campaigns, reviewed twice, resolved and mentioned in a note.
fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("autumn.toml", &config.replace("\"spring\"", "\"autumn\""));
    workplace.write("partners.csv", &list(true));
    runs(&workplace, &["send"], 75);
    runs(
        &workplace,
        &[&["send", "--new-campaign"][..], &AUTUMN].concat(),
        75,
    );
    let note = format!("moved here from ADA.lovelace@a.example, {ADA}");
    let resend = [
        "resolve",
        "cyd@c.example",
        "--as",
        "resend",
        "--note",
        &note,
    ];
    runs(&workplace, &resend, 0);
    runs(&workplace, &["preview"], 0);
    runs(&workplace, &["send", "--sandbox"], 0);
    for format in ["html", "json", "csv"] {
        runs(&workplace, &["report", "--format", format], 0);
    }
    workplace
}

fn invitations(workplace: &Workplace) -> usize {
    workplace.status()["invitations"].as_array().unwrap().len()
}

fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |it: &PathBuf| it.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(name).collect()
}

#[test]
fn nothing_of_a_forgotten_address_is_left_in_any_file() {
    let server = relay();
    let workplace = job(&server);
    // The search finds it where it is.
    let before = names(&files_with(&workplace, ADA));
    for file in [
        "ledger.sqlite3",
        "results.csv",
        "partners.csv",
        "list.html",
        "report.html",
    ] {
        assert!(before.iter().any(|it| it == file), "{file}: {before:?}");
    }
    assert!(before.len() > 8, "{before:?}");
    workplace.write("partners.csv", &list(false));

    let output = runs(&workplace, &FORGET, 0);

    let told = format!(
        "{ADA}: 2 invitations erased, replaced in 1 other text of the ledger; no run mails it any more\nresults.csv was written again\nthe review in preview/ was removed; `access-invite preview` writes it again\nthe review in sandbox/ was removed; `access-invite send --sandbox` writes it again\nreport.html was removed; `access-invite report` writes it again\nreport.json was removed; `access-invite report` writes it again\nreport.csv was removed; `access-invite report` writes it again\n"
    );
    assert_eq!(output.stdout, told);
    assert!(
        output
            .stderr
            .contains("note: not touched, so erase it there by hand: the list; reports"),
        "{output:?}"
    );
    for text in [ADA, NAME] {
        let found = files_with(&workplace, text);
        assert!(found.is_empty(), "{text}: {found:?}");
    }
    assert_eq!(invitations(&workplace), 2);
    let cyd = runs(&workplace, &["status", "cyd@c.example"], 0);
    assert!(
        cyd.stdout
            .contains("moved here from (forgotten), (forgotten)"),
        "{cyd:?}"
    );
    assert!(workplace.file("results.csv").exists());
    runs(&workplace, &["preview"], 0);

    let again = runs(&workplace, &FORGET, 0);
    let told = format!("{ADA}: it was forgotten before; no run mails it any more\n");
    assert!(again.stdout.starts_with(&told), "{again:?}");
    let other = runs(&workplace, &["forget", "nobody@n.example"], 0);
    assert!(
        other.stdout.contains("no invitation was recorded"),
        "{other:?}"
    );
}

#[test]
fn a_forgotten_address_is_not_mailed_in_any_campaign_while_the_list_names_it() {
    let server = relay();
    let workplace = job(&server);

    let output = runs(&workplace, &FORGET, 0);

    let warning = "warning: the list still names the address (partners.csv:2), and so would results and reviews of it\n  fix: remove it there";
    assert!(output.stderr.contains(warning), "{output:?}");
    // Results are the list with outcomes, so they would name it.
    assert!(
        output.stdout.contains("results.csv was removed"),
        "{output:?}"
    );
    assert_eq!(names(&files_with(&workplace, ADA)), ["partners.csv"]);
    let mailed = server.accepted().len();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("winter.toml", &config.replace("\"spring\"", "\"winter\""));
    for (config, code) in [
        ("config.toml", 75),
        ("autumn.toml", 75),
        ("winter.toml", 75),
    ] {
        let send = ["send", "--new-campaign", "--config", config];
        let output = runs(&workplace, &send, code);
        assert!(!output.stderr.contains(ADA), "{output:?}");
    }
    let accepted = server.accepted();
    let recipients: Vec<_> = accepted[mailed..]
        .iter()
        .map(|it| it.recipients[0].as_str())
        .collect();
    // Cyd was to be sent again, and is new in the third campaign.
    assert_eq!(recipients, ["cyd@c.example", "cyd@c.example"]);
    for file in ["ledger.sqlite3", "ledger.sqlite3.witness"] {
        let found = names(&files_with(&workplace, ADA));
        assert!(!found.iter().any(|it| it == file), "{found:?}");
    }
    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let row = results.lines().nth(1).unwrap();
    assert!(row.contains(",forgotten,"), "{row}");
    let hint = "1 row names an address that was forgotten, which no run mails (partners.csv:2)";
    for verb in ["check", "preview"] {
        let output = runs(&workplace, &[verb], 0);
        assert!(output.stderr.contains(hint), "{output:?}");
    }
}

/// Only `forget` knows the address, so nobody could notice that its entry is gone.
#[test]
fn the_entry_of_a_forgotten_address_cannot_be_removed_or_decided_about() {
    let server = relay();
    let workplace = job(&server);
    runs(&workplace, &["suppress", ADA], 0);
    runs(&workplace, &FORGET, 0);
    let mailed = server.accepted().len();
    for arguments in [
        &["suppress", "--remove", ADA][..],
        &["resolve", ADA, "--as", "accepted", "--note", "x"],
        &["resolve", ADA, "--as", "abandoned", "--note", "x"],
        &["resolve", ADA, "--as", "resend", "--note", "x"],
    ] {
        let refused = runs(&workplace, arguments, 65);
        let why = format!("{ADA} was erased with `access-invite forget`");
        assert!(refused.stderr.contains(&why), "{refused:?}");
    }
    // It is on the list already, and stays what it is.
    let again = runs(&workplace, &["suppress", ADA], 0);
    assert!(again.stdout.contains("was suppressed already"), "{again:?}");
    runs(&workplace, &["suppress", "--remove", ADA], 65);
    runs(&workplace, &["send"], 75);
    let accepted = server.accepted();
    let later: Vec<_> = accepted[mailed..]
        .iter()
        .map(|it| it.recipients[0].as_str())
        .collect();
    assert_eq!(later, ["cyd@c.example"]);
}

/// What `status ADDRESS --campaign all --format json` gives.
fn recorded(workplace: &Workplace, address: &str) -> Value {
    let status = ["status", address, "--campaign", "all", "--format", "json"];
    serde_json::from_str(&runs(workplace, &status, 0).stdout).unwrap()
}

#[test]
fn an_access_request_is_answered_with_everything_that_is_recorded() {
    let server = relay();
    let workplace = job(&server);

    let ada = recorded(&workplace, ADA);
    let invitations = ada["invitations"].as_array().unwrap();
    let campaigns: Vec<_> = invitations.iter().map(|it| &it["campaign"]).collect();
    assert_eq!(campaigns, ["spring", "autumn"]);
    for invitation in invitations {
        assert_eq!(invitation["name"], NAME);
        let history = invitation["history"].as_array().unwrap();
        let reply = history.last().unwrap()["reply"].as_str().unwrap();
        assert_eq!(reply.to_lowercase(), format!("<{ADA}> queued"));
    }
    assert_eq!(ada["suppression"], Value::Null);

    runs(&workplace, &FORGET, 0);
    let ada = recorded(&workplace, ADA);
    assert_eq!(ada["invitations"], Value::Array(Vec::new()));
    assert_eq!(ada["suppression"]["source"], "forgotten", "{ada}");
    assert!(ada["suppression"]["at"].is_string(), "{ada}");
    let text = runs(&workplace, &["status", ADA], 0).stdout;
    assert!(
        text.starts_with(&format!("{ADA}: not mailed since ")),
        "{text}"
    );
    runs(&workplace, &["status", "nobody@n.example"], 65);
}

#[test]
fn a_late_report_does_not_restore_a_forgotten_address() {
    let server = relay();
    let workplace = job(&server);
    let id = recorded(&workplace, ADA)["invitations"][0]["message_id"].clone();
    let id = id.as_str().unwrap().trim_matches(['<', '>']).to_owned();
    runs(&workplace, &FORGET, 0);
    workplace.write("partners.csv", &list(false));
    let report = include_str!("fixtures/reports/postfix-unknown-user.eml");
    let report = [
        ("{to}", ADA),
        ("{message_id}", &id),
        ("{invite_id}", &invite_id(&id)),
    ]
    .iter()
    .fold(report.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.eml");
    std::fs::write(&file, report).unwrap();

    let sync = runs(
        &workplace,
        &["sync", "--bounces", file.to_str().unwrap()],
        0,
    );

    assert!(sync.stdout.contains("1 about other messages"), "{sync:?}");
    let found = files_with(&workplace, ADA);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn forget_waits_for_no_run_and_settles_what_a_killed_one_left() {
    let held = Held::at(Stage::Dot, 0, |it| it.partners(&[ADA]));
    let busy = held.workplace.run(&FORGET);
    assert_eq!(busy.code, 75, "{busy:?}");
    let (_, workplace, _) = held.finish();
    assert_eq!(workplace.state(), "accepted");

    let (server, gate) = Server::holding(Stage::Dot, 0);
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&[ADA]);
    let run = workplace.start(&["send"]);
    gate.wait();
    run.kill();
    assert_eq!(workplace.state(), "armed");
    runs(&workplace, &FORGET, 0);
    gate.release();
    assert_eq!(invitations(&workplace), 0);
    runs(&workplace, &["send"], 0);
    assert!(server.accepted().len() <= 1);
}

#[test]
fn closed_invitations_are_erased_after_their_time_and_nobody_is_invited_again() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.extra = "[privacy]\nretain = \"1s\"\n[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace.write("partners.csv", &list(true));
    runs(&workplace, &["send"], 75);
    assert_eq!(invitations(&workplace), 3);
    std::thread::sleep(std::time::Duration::from_millis(1100));

    runs(&workplace, &["send"], 75);

    // Bob is deferred, so his invitation is not closed.
    let states = workplace.states();
    assert_eq!(
        states,
        [("bob@b.example".to_owned(), "deferred".to_owned())]
    );
    let counts = &workplace.status()["runs"][0]["counts"];
    assert_eq!(counts["erased"], 2, "{counts}");
    let found = names(&files_with(&workplace, ADA));
    assert_eq!(found, ["partners.csv", "results.csv"]);
    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    assert!(
        results.lines().nth(1).unwrap().contains(",erased,"),
        "{results}"
    );
    runs(&workplace, &["send"], 75);
    assert_eq!(server.accepted().len(), 2);
    // Another campaign may invite them.
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("\"spring\"", "\"autumn\""));
    runs(&workplace, &["send", "--new-campaign"], 75);
    assert_eq!(server.accepted().len(), 4);
}
