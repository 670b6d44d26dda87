//! A refusal rejects a partner only with direct evidence, by the ids of docs/RELIABILITY.md:
//! refusals about the sender, unknown texts, the circuit breaker, the order of a run, and
//! open decisions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Workplace, oracle, parallel};
use access_invite::commands::{resolve, send};
use access_invite::console::{Console, Messages, Screen};
use access_invite::exit::{self, Exit};
use access_invite::invitation::{Decision, State};
use jiff::Timestamp;

/// A relay that gives this reply to recipients that are `refused`, until it is healed.
fn refusing(
    stage: Stage,
    text: impl Fn(&str) -> String + Send + Sync + 'static,
    refused: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Server, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let well = healed.clone();
    let server = Server::start(move |call: &Call| match call.recipient {
        Some(who) if call.stage == stage && !well.load(Ordering::SeqCst) && refused(who) => {
            reply(&text(who))
        }
        _ => Action::Normal,
    });
    (server, healed)
}

/// A relay that gives this reply to everybody, until it is healed.
fn refusing_all(stage: Stage, text: &'static str) -> (Server, Arc<AtomicBool>) {
    refusing(stage, move |_| text.to_owned(), |_| true)
}

/// A job with short templates over one connection, which retries after a second.
fn job(server: &Server, partners: &[String]) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"1s\"\nmax_after = \"1s\"".into();
    workplace.smtp("connections = 1");
    workplace.short_templates();
    workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
    workplace
}

fn at_one_company(partners: usize) -> Vec<String> {
    (0..partners).map(|it| format!("p{it}@a.example")).collect()
}

fn at_own_domains(partners: usize) -> Vec<String> {
    (0..partners).map(|it| format!("p@a{it}.example")).collect()
}

/// The states in the order of the list.
fn states(workplace: &Workplace) -> Vec<String> {
    workplace.states().into_iter().map(|(_, it)| it).collect()
}

/// Waits until deferred rows are due again.
fn until_due() {
    std::thread::sleep(Duration::from_millis(1_200));
}

/// Heals the relay and checks that every partner is mailed once.
#[track_caller]
fn heal(workplace: &Workplace, server: &Server, healed: &AtomicBool, partners: usize) {
    healed.store(true, Ordering::SeqCst);
    until_due();
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 0, "{output:?}");
    oracle::check_settled(workplace, server, partners, 0);
    assert_eq!(server.accepted().len(), partners);
}

#[test]
fn r1_and_r2_a_refused_sender_or_quota_stops_at_the_first_reply() {
    let table = [
        (
            Stage::Rcpt,
            "550 5.1.8 <access@contoso.example>: Sender address rejected: Domain not found",
            "`sender.from`",
        ),
        (
            Stage::Dot,
            "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
            "quota is used up",
        ),
        (
            Stage::Rcpt,
            "550 5.7.64 TenantAttribution; Relay Access Denied",
            "does not forward mail",
        ),
        (
            Stage::Dot,
            "550 5.7.236 external recipients",
            "quota is used up",
        ),
    ];
    for (stage, text, remedy) in table {
        let (server, healed) = refusing_all(stage, text);
        let workplace = job(&server, &at_own_domains(6));

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{output:?}");
        assert!(output.stderr.contains(remedy), "{output:?}");
        assert_eq!(
            server.count("RCPT"),
            1 + usize::from(stage == Stage::Dot),
            "{text}"
        );
        workplace.all_are("pending");
        heal(&workplace, &server, &healed, 6);
    }
}

/// Texts that were reported for whole companies.
const REPORTED: [&str; 15] = [
    "504 5.5.2 <mailer>: Helo command rejected: need fully-qualified hostname",
    "553 5.7.1 <access@contoso.example>: Sender address rejected: not owned by user ada",
    "554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied",
    "550 Sender verify failed",
    "554 5.7.1 <RCPT>: Relay access denied",
    "550 5.7.1 <DATA>: Data command rejected: limit of 400 rcpts per 24 hours",
    "550 5.4.5 Daily user sending quota exceeded",
    "550 access@contoso.example has exceeded its 24-hour sending limit",
    "550 The from address does not match a verified Sender Identity",
    "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",
    "550 Domain contoso.example has exceeded the max emails per hour",
    "550 5.7.232 trial",
    "550 5.1.1 <access@contoso.example>: User unknown",
    "550 5.7.1 rejected",
    "554 no",
];

#[test]
fn r3_a_refusal_of_a_whole_company_rejects_nobody() {
    parallel::for_each(8, &REPORTED, |&text: &&'static str| {
        for part in [
            &["send"][..],
            &["send", "--limit", "2"],
            &["send", "--only", "p1@a.example"],
        ] {
            let name = move |who: &str| text.replace("RCPT", who);
            let (server, healed) = refusing(Stage::Rcpt, name, |_| true);
            let workplace = job(&server, &at_one_company(4));

            let output = workplace.run(part);

            assert!(matches!(output.code, 69 | 75), "{text}: {output:?}");
            assert!(
                !states(&workplace).contains(&"rejected".to_owned()),
                "{text}"
            );
            assert!(!output.stderr.is_empty(), "{text}");
            healed.store(true, Ordering::SeqCst);
            if part == ["send"] {
                heal(&workplace, &server, &healed, 4);
            }
        }
    });
}

#[test]
fn r4_three_dead_domains_do_not_delay_the_others() {
    let dead = |who: &str| {
        ["a0", "a1", "a2"]
            .iter()
            .any(|it| who.contains(&format!("@{it}.")))
    };
    let (server, _) = refusing(Stage::Rcpt, |_| "550 Unrouteable address".into(), dead);
    let workplace = job(&server, &at_own_domains(8));

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    assert_eq!(states(&workplace)[..3], ["deferred"; 3]);
    assert_eq!(states(&workplace)[3..], ["accepted"; 5]);
    let said = "deferred: p@a0.example: 550 Unrouteable address";
    assert!(output.stderr.contains(said), "{output:?}");
}

#[test]
fn f16_rows_always_refused_do_not_block_the_others() {
    // More refused rows than the breaker allows, at the head of the list.
    let bad = |who: &str| who < "p@a3";
    let partners: Vec<_> = (10..60).map(|it| format!("p@a{it}.example")).collect();
    let (server, healed) = refusing(Stage::Rcpt, |_| "550 5.7.1 no".into(), bad);
    let workplace = job(&server, &partners);

    // The breaker opens at the tenth of twenty refused rows; the next run starts with untried rows.
    let first = workplace.run(&["send"]);
    assert_eq!(first.code, 69, "{first:?}");
    let mut runs = 1;
    while server.accepted().len() < 30 {
        runs += 1;
        assert!(runs < 9, "{:?}", workplace.states());
        workplace.run(&["send", "--limit", "40"]);
        assert!(!states(&workplace).contains(&"rejected".to_owned()));
    }
    heal(&workplace, &server, &healed, 50);
}

#[test]
fn refused_rows_go_last_and_take_turns_under_a_limit() {
    let (server, healed) = refusing(Stage::Rcpt, |_| "550 5.7.1 no".into(), |who| who < "p2");
    let workplace = job(&server, &at_one_company(4));

    workplace.run(&["send", "--limit", "3"]);
    assert_eq!(states(&workplace), ["deferred", "deferred", "accepted"]);
    until_due();
    workplace.run(&["send", "--limit", "1"]);
    assert_eq!(states(&workplace)[3], "accepted");
    // Rows that are always refused take turns.
    let before = server.commands().len();
    for _ in 0..4 {
        workplace.run(&["send", "--limit", "1"]);
        until_due();
    }
    let commands = server.commands();
    let tried = commands[before..].iter().map(|it| it.1.as_str());
    let tried: Vec<_> = tried.filter(|it| it.starts_with("RCPT")).collect();
    let (p0, p1) = ("RCPT TO:<p0@a.example>", "RCPT TO:<p1@a.example>");
    assert_eq!(tried, [p0, p1, p0, p1]);
    // A preview shows the same order.
    workplace.partners(&["p0@a.example", "p1@a.example", "new@a.example"]);
    assert_eq!(workplace.run(&["preview", "--out", "review"]).code, 0);
    let first = std::fs::read_to_string(workplace.file("review/messages/0001.eml")).unwrap();
    assert!(first.contains("new@a.example"), "{first}");
    workplace.partners(&[
        "p0@a.example",
        "p1@a.example",
        "p2@a.example",
        "p3@a.example",
    ]);
    heal(&workplace, &server, &healed, 4);
}

#[test]
fn r10_a_relay_that_requires_starttls_gets_that_fix() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Mail => reply("530 5.7.0 Must issue a STARTTLS command first"),
        _ => Action::Normal,
    });
    let workplace = job(&server, &at_one_company(2));

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output.stderr.contains("set `tls = \"starttls\"`"),
        "{output:?}"
    );
    assert!(!output.stderr.contains("requires a login"), "{output:?}");
    workplace.all_are("pending");
}

#[test]
fn r16_throttling_at_mail_rcpt_or_dot_pauses_and_marks_nobody() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Dot] {
        for text in [
            "450 4.7.1 Error: too many requests from 127.0.0.1",
            "454 4.7.0 Too many login attempts",
            "451 4.7.1 message rate limit exceeded",
        ] {
            let server = Server::start(move |call: &Call| {
                if call.stage == stage {
                    reply(text)
                } else {
                    Action::Normal
                }
            });
            let workplace = job(&server, &at_one_company(40));

            let run = workplace.start(&["send"]);
            while server.count("MAIL") == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(300));
            run.signal("TERM");
            let output = run.wait();

            assert_eq!(output.code, 75, "{output:?}");
            let tried = server.count("MAIL");
            assert!(
                tried <= 2,
                "{stage:?}, {text}: {tried} tries, the next envelope included"
            );
            workplace.all_are("pending");
        }
    }
}

#[test]
fn a_lone_unknown_user_is_rejected_at_once() {
    for text in ["550 5.1.1 gone", "550 No such user here"] {
        let (server, _) = refusing(
            Stage::Rcpt,
            move |_| text.into(),
            |who| who == "p1@a.example",
        );
        let workplace = job(&server, &at_one_company(3));

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 1, "{output:?}");
        assert_eq!(states(&workplace), ["accepted", "rejected", "accepted"]);

        let (server, _) = refusing(Stage::Rcpt, move |_| text.into(), |_| true);
        let workplace = job(&server, &at_one_company(1));
        assert_eq!(workplace.run(&["send"]).code, 1);
        assert_eq!(workplace.state(), "rejected");
    }
}

#[test]
fn two_refusals_and_no_acceptance_end_with_69() {
    let (server, healed) = refusing_all(Stage::Rcpt, "550 5.7.1 rejected");
    let workplace = job(&server, &at_one_company(2));
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(output.stderr.contains("accepted no message"), "{output:?}");
    assert!(output.stderr.contains("550 5.7.1 rejected"), "{output:?}");
    workplace.all_are("deferred");
    let note = workplace.status()["invitations"][0]["note"].to_string();
    assert!(note.contains("550 5.7.1 rejected"), "{note}");
    heal(&workplace, &server, &healed, 2);

    // A single refusal may concern the partner only; it is reported too.
    let (server, healed) = refusing_all(Stage::Dot, "554 5.7.1 rejected");
    let workplace = job(&server, &at_one_company(1));
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 75, "{output:?}");
    let said = "deferred: p0@a.example: 554 5.7.1 rejected";
    assert!(output.stderr.contains(said), "{output:?}");
    heal(&workplace, &server, &healed, 1);

    // Rows rejected in a run that ends with 69 are retried too.
    let text = |who: &str| {
        if who == "p0@a.example" {
            "550 5.1.1 gone"
        } else {
            "550 5.7.1 no"
        }
        .to_owned()
    };
    let (server, healed) = refusing(Stage::Rcpt, text, |_| true);
    let workplace = job(&server, &at_one_company(3));
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output.stderr.contains("3 messages: 0 accepted, 3 deferred"),
        "{output:?}"
    );
    workplace.all_are("deferred");
    heal(&workplace, &server, &healed, 3);
}

#[test]
fn d25_the_breaker_opens_after_ten_domains_or_25_recipients() {
    // A reply that everybody gets is no evidence, not even an unknown user.
    let texts = [
        "550 5.7.1 rejected",
        "550 5.1.1 User unknown",
        "550 no such user",
    ];
    parallel::for_each(3, &texts, |&text: &&'static str| {
        for (partners, tried) in [(at_own_domains(30), 10), (at_one_company(30), 25)] {
            let (server, healed) = refusing_all(Stage::Rcpt, text);
            let mut workplace = job(&server, &partners);

            let output = workplace.run(&["send"]);

            assert_eq!(output.code, 69, "{text}: {output:?}");
            assert!(
                output.stderr.contains("in the same way (rcpt)"),
                "{output:?}"
            );
            assert!(output.stderr.contains(text), "{output:?}");
            assert_eq!(server.count("RCPT"), tried, "{text}");
            let now = states(&workplace);
            let count = |state: &str| now.iter().filter(|it| *it == state).count();
            assert_eq!((count("deferred"), count("pending")), (tried, 30 - tried));

            // Until the next acceptance: one connection, and a stop after three refusals.
            workplace.smtp = workplace.smtp.replace("connections = 1", "connections = 4");
            workplace.configure();
            let before = (server.count("RCPT"), server.connections());
            let careful = workplace.run(&["send"]);
            assert_eq!(careful.code, 69, "{careful:?}");
            let after = (server.count("RCPT"), server.connections());
            assert_eq!(after, (before.0 + 3, before.1 + 1), "{text}");
            assert!(!states(&workplace).contains(&"rejected".to_owned()));

            // The run with the acceptance still uses one connection, the next one all.
            let before = server.connections();
            heal(&workplace, &server, &healed, 30);
            assert_eq!(server.connections(), before + 1);
            let more: Vec<_> = (0..8).map(|it| format!("q{it}@b.example")).collect();
            workplace.partners(&more.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(workplace.run(&["send"]).code, 0);
            assert!(server.connections() > before + 2, "{text}");
        }
    });
}

#[test]
fn the_first_refusal_of_each_kind_is_printed() {
    // First twenty-five greylisted rows, then three refusals of two kinds.
    let text = |who: &str| {
        match who {
            "p25@a.example" | "p26@a.example" => "550 5.7.1 by rule 17",
            "p27@a.example" => "554 another one",
            _ => "451 4.7.1 Greylisted",
        }
        .to_owned()
    };
    let (server, _) = refusing(Stage::Rcpt, text, |who| who != "p28@a.example");
    let workplace = job(&server, &at_one_company(29));

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    let lines: Vec<_> = output
        .stderr
        .lines()
        .filter(|it| it.starts_with("refused"))
        .collect();
    let expected = [
        "refused (rcpt): p25@a.example: 550 5.7.1 by rule 17",
        "refused (rcpt): p27@a.example: 554 another one",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_acceptance_keeps_the_breaker_closed() {
    let (server, _) = refusing(
        Stage::Rcpt,
        |_| "550 5.7.1 no".into(),
        |who| !who.starts_with("p@a9"),
    );
    let mut partners = at_own_domains(18);
    // Nine refused rows, one accepted, eight refused.
    assert!(partners[9].starts_with("p@a9"));
    partners.push("p@a9z.example".into());
    let workplace = job(&server, &partners);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn a_relay_for_internal_mail_only_rejects_no_partner() {
    for (text, at_once) in [
        ("554 5.7.1 <RCPT>: Relay access denied", false),
        ("550 5.7.1 <RCPT>: no mail for others through here", true),
    ] {
        let name = move |who: &str| text.replace("RCPT", who);
        let (server, healed) =
            refusing(Stage::Rcpt, name, |who| !who.ends_with("@contoso.example"));
        let partners = [
            "ada@a.example",
            "eve@contoso.example",
            "bob@b.example",
            "joe@contoso.example",
        ];
        let workplace = job(&server, &partners.map(str::to_owned));

        // A known sender-side refusal ends each run, at a different row each time.
        let runs = if at_once { 1 } else { 3 };
        for _ in 0..runs {
            let output = workplace.run(&["send"]);
            assert_eq!(output.code, if at_once { 75 } else { 69 }, "{output:?}");
        }

        let outside = if at_once { "deferred" } else { "pending" };
        let expected = [outside, "accepted", outside, "accepted"];
        assert_eq!(states(&workplace), expected, "{text}");
        heal(&workplace, &server, &healed, 4);
    }
}

#[test]
fn a_deferred_row_expires_and_waits_for_a_decision() {
    let (server, healed) = refusing_all(Stage::Rcpt, "550 5.7.1 rejected");
    let mut workplace = job(&server, &at_own_domains(12));
    workplace.retry = "first_after = \"1s\"\nmax_after = \"1s\"\ngive_up_after = \"2s\"".into();
    workplace.configure();

    let mut runs = 0;
    while states(&workplace).iter().any(|it| it != "expired") || runs == 0 {
        runs += 1;
        assert!(runs < 30, "{:?}", workplace.states());
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 69, "{output:?}");
        until_due();
    }
    let tried = server.count("RCPT");

    // Each run ends with 1, but prints the rows only once.
    let output = workplace.run(&["send"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, ""));
    assert_eq!(server.count("RCPT"), tried);
    workplace.all_are("expired");

    // Decisions about one row and about all.
    let note = ["--note", "asked the operator"];
    let resolve = |arguments: &[&str]| {
        let all: Vec<&str> = ["resolve"]
            .iter()
            .chain(arguments)
            .chain(&note)
            .copied()
            .collect();
        workplace.run(&all)
    };
    let one = resolve(&["p@a0.example", "--as", "abandoned"]);
    assert_eq!(one.code, 0, "{one:?}");
    assert!(one.stdout.contains("expired → abandoned"), "{one:?}");
    let unasked = resolve(&["--state", "expired", "--as", "resend"]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.stderr.contains("`--yes`"), "{unasked:?}");
    let accepted = resolve(&["--state", "expired", "--as", "accepted", "--yes"]);
    assert_eq!(accepted.code, 2, "{accepted:?}");
    assert_eq!(
        resolve(&["--state", "accepted", "--as", "resend", "--yes"]).code,
        2
    );
    assert_eq!(states(&workplace)[1..], ["expired"; 11]);
    let all = resolve(&["--state", "expired", "--as", "resend", "--yes"]);
    assert_eq!(all.code, 0, "{all:?}");
    assert_eq!(
        all.stdout.matches("expired → pending").count(),
        11,
        "{all:?}"
    );
    let nothing_left = resolve(&["--state", "expired", "--as", "abandoned", "--yes"]);
    assert_eq!(
        (nothing_left.code, nothing_left.stdout.as_str()),
        (0, "nothing is expired\n")
    );

    healed.store(true, Ordering::SeqCst);
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled_but(&workplace, &server, 12, 0, &["abandoned"]);
}

#[test]
fn resolve_abandons_all_rejected_of_one_package() {
    let (server, _) = refusing_all(Stage::Rcpt, "550 5.1.1 gone");
    let workplace = job(&server, &at_one_company(3));
    assert_eq!(workplace.run(&["send"]).code, 1);
    workplace.all_are("rejected");

    let arguments = [
        "resolve",
        "--state",
        "rejected",
        "--as",
        "abandoned",
        "--note",
        "they left",
    ];
    let with = |more: &[&'static str]| [&arguments[..], more].concat();
    assert_eq!(
        workplace.run(&with(&["--yes", "--package", "other"])).code,
        65
    );
    let output = workplace.run(&with(&["--yes", "--package", "project"]));

    assert_eq!(output.code, 0, "{output:?}");
    workplace.all_are("abandoned");
    assert_eq!(workplace.run(&["send"]).code, 0);
}

#[test]
fn unknown_deliveries_are_printed_once_and_the_exit_code_stays() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot => reply("what?"),
        _ => Action::Normal,
    });
    let workplace = job(&server, &at_one_company(1));

    let first = workplace.run(&["send"]);
    let second = workplace.run(&["send"]);

    assert_eq!(first.code, 3);
    assert!(first.stderr.contains("unknown: p0@a.example"), "{first:?}");
    assert_eq!((second.code, second.stderr.as_str()), (3, ""));
    // A new one is printed at once, before the others.
    workplace.partners(&["p0@a.example", "p1@a.example"]);
    let third = workplace.run(&["send"]);
    assert_eq!(third.code, 3);
    let named: Vec<_> = third
        .stderr
        .lines()
        .filter(|it| it.starts_with("unknown: "))
        .collect();
    assert_eq!(named.len(), 2, "{third:?}");
    assert!(named[0].contains("p1@a.example"), "{third:?}");
    assert_eq!(workplace.run(&["send"]).stderr, "");
}

/// Runs a verb on a terminal with these answers, and returns its output.
async fn at_a_terminal(
    workplace: &Workplace,
    answers: &str,
    verb: impl AsyncFnOnce(&Path, &mut Console<'_>) -> exit::Result<Exit>,
) -> (Exit, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut answers.as_bytes(),
        interactive: true,
        screen: Screen::default(),
        clock: Timestamp::now,
        messages: Messages::default(),
    };
    let exit = verb(&workplace.file("config.toml"), &mut console)
        .await
        .unwrap();
    let said = [out, err].map(|it| String::from_utf8(it).unwrap()).concat();
    (exit, said)
}

#[tokio::test]
async fn a_terminal_always_lists_open_decisions_and_asks_for_bulk() {
    let (server, _) = refusing_all(Stage::Rcpt, "450 4.2.1 later");
    let mut workplace = job(&server, &at_one_company(3));
    workplace.retry = "first_after = \"1s\"\nmax_after = \"1s\"\ngive_up_after = \"1s\"".into();
    workplace.configure();
    workplace.run(&["send"]);
    until_due();
    assert_eq!(workplace.run(&["send"]).code, 1);
    workplace.all_are("expired");

    for _ in 0..2 {
        let options = send::SendOptions::default();
        let send =
            async |path: &Path, console: &mut Console<'_>| send::run(path, &options, console).await;
        let (exit, said) = at_a_terminal(&workplace, "", send).await;
        assert_eq!(exit, Exit::Refused);
        assert!(
            said.contains("expired: p2@a.example: 450 4.2.1 later"),
            "{said}"
        );
        assert!(
            said.contains("resolve --state expired --as resend|abandoned"),
            "{said}"
        );
    }
    assert_eq!(workplace.run(&["send"]).stderr, "", "not twice a day");

    for (answer, state) in [("\n", "expired"), ("no\n", "expired"), ("y\n", "abandoned")] {
        let options = resolve::ResolveOptions {
            state: Some(State::Expired),
            decision: Some(Decision::Abandoned),
            note: "they left".into(),
            ..resolve::ResolveOptions::default()
        };
        let resolve = async |path: &Path, console: &mut Console<'_>| {
            resolve::run(path, &options, console).await
        };
        let (exit, said) = at_a_terminal(&workplace, answer, resolve).await;
        assert_eq!(exit, Exit::Done);
        assert!(
            said.contains("Abandon 3 expired invitations? [y/N]"),
            "{said}"
        );
        assert_eq!(
            said.contains("nothing was changed"),
            state == "expired",
            "{said}"
        );
        workplace.all_are(state);
    }
}

/// Invented refusals, without the code or the words of an unknown user.
fn invented(number: usize) -> String {
    const CODES: [&str; 7] = ["550", "551", "552", "553", "554", "571", "521"];
    const ENHANCED: [&str; 12] = [
        "", "", "", "5.7.1 ", "5.0.0 ", "5.3.0 ", "5.7.0 ", "5.4.0 ", "5.6.0 ", "5.1.0 ", "5.1.2 ",
        "5.7.999 ",
    ];
    const SUBJECTS: [&str; 11] = [
        "Message",
        "Mail",
        "Transaction",
        "Your message",
        "This session",
        "Delivery",
        "The request",
        "Traffic",
        "Content",
        "Command",
        "Access",
    ];
    const VERBS: [&str; 9] = [
        "refused",
        "rejected",
        "denied",
        "not allowed",
        "not accepted",
        "failed",
        "violates our rules",
        "turned down",
        "cannot be handled",
    ];
    const REASONS: [&str; 13] = [
        "",
        " by rule 17",
        " for now",
        " (B-204)",
        ", see https://relay.example/why",
        " because of its score",
        " due to its content",
        " by the administrator",
        ", user over limit",
        ", unknown client",
        ", account on hold",
        ": account suspended",
        " für diesen Kunden",
    ];
    let text = |list: &[&'static str], step: usize| list[number * step % list.len()];
    format!(
        "{} {}{} {}{}",
        text(&CODES, 3),
        text(&ENHANCED, 5),
        text(&SUBJECTS, 1),
        text(&VERBS, 2),
        text(&REASONS, 4)
    )
}

#[test]
fn three_hundred_invented_refusals_reject_nobody() {
    const TEXTS: usize = 300;
    const TOGETHER: usize = 20;
    let distinct: std::collections::BTreeSet<_> = (0..TEXTS).map(invented).collect();
    assert_eq!(distinct.len(), TEXTS);
    let batches: Vec<_> = [Stage::Rcpt, Stage::Dot]
        .into_iter()
        .flat_map(|stage| {
            (0..TEXTS)
                .step_by(TOGETHER)
                .map(move |first| (stage, first))
        })
        .collect();
    parallel::for_each(10, &batches, |&(stage, first)| {
        let text = move |who: &str| {
            let number: usize = who[1..].split('@').next().unwrap().parse().unwrap();
            invented(first + number)
        };
        let (server, healed) = refusing(stage, text, |_| true);
        let workplace = job(&server, &at_one_company(TOGETHER));
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 69, "{stage:?}, {first}: {output:?}");
        workplace.all_are("deferred");
        heal(&workplace, &server, &healed, TOGETHER);
    });
}
