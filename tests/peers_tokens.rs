//! Access tokens between programs that this project did not write: `oidc-provider` issues them, and
//! Dovecot's submission server validates them before it passes the mail on to Postfix.

#![allow(
    clippy::too_many_lines,
    reason = "a table of cases belongs to its test"
)]

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers::{PARTNERS, count, everybody_has_it, states, two_hundred};
use crate::support::Workplace;
use crate::support::node::{CLIENT, SCOPE, TOKEN_PATH};
use crate::support::oracle::check_accepted;
use crate::support::parallel;
use crate::support::peers::{
    PASSWORD, Peers, USER, make_private, read_twice, recipients, wait_until,
};
use crate::support::token_endpoint::{self as endpoint, Action, TokenEndpoint};

const GREETING: &str = "Dovecot (Debian) ready.";
/// The clients of the issuer: one with a secret, one with a certificate.
const BY_SECRET: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";
const BY_CERTIFICATE: &str = "00001111-aaaa-2222-bbbb-3333cccc5555";

/// A job that sends through these servers with tokens, with this further table.
fn job(peers: &Peers, lines: &str, table: &str) -> Workplace {
    let port = peers.port("SUBMISSION");
    let mut workplace = Workplace::new(port);
    workplace.write("ca.pem", &peers.pki.ca_pem);
    for (name, text) in [("client-secret", PASSWORD), ("client.pem", CLIENT)] {
        workplace.write(name, text);
        make_private(&workplace.file(name));
    }
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\nusername = \"{USER}\"\n{lines}"
    );
    table.clone_into(&mut workplace.extra);
    workplace.configure();
    workplace
}

/// A job as for Microsoft 365, whose token endpoint is this one.
fn microsoft(peers: &Peers, endpoint: &TokenEndpoint, client: &str) -> Workplace {
    let credential = match client {
        BY_SECRET => "client_secret_file = \"client-secret\"",
        _ => "certificate_file = \"client.pem\"",
    };
    let table = format!(
        "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"{client}\"\n{credential}\nlogin_url = \"{}\"\n",
        endpoint.url()
    );
    job(peers, "provider = \"microsoft365\"", &table)
}

/// Both clients, whose tokens live this many seconds by a clock that is `ahead`.
fn clients(lifetime: u32, ahead: i32) -> [Value; 2] {
    [
        (BY_SECRET, "client_secret_post"),
        (BY_CERTIFICATE, "private_key_jwt"),
    ]
    .map(|(id, method)| json!({"id": id, "method": method, "lifetime": lifetime, "ahead": ahead}))
}

#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn dovecot_accepts_a_good_token_and_refuses_all_others() {
    let table = [
        ("good", 0, json!({})),
        ("expired", -600, json!({})),
        ("issued in the future", 600, json!({})),
        (
            "for another audience",
            0,
            json!({"aud": "https://graph.example"}),
        ),
        (
            "for another scope",
            0,
            json!({"scope": "https://graph.example/.default"}),
        ),
        ("for another user", 0, json!({"sub": "eva@good.example"})),
        (
            "of another issuer",
            0,
            json!({"iss": "https://else.example"}),
        ),
    ];
    let clients: Vec<_> = table
        .iter()
        .map(|(title, ahead, claims)| {
            json!({
                "id": title, "method": "client_secret_post", "lifetime": 60, "ahead": ahead, "claims": claims,
            })
        })
        .collect();
    let mut texts = String::new();
    for mechanism in ["xoauth2", "oauthbearer"] {
        let peers = Peers::with(mechanism, GREETING);
        let issuer = peers.issuer(&clients);
        for (title, ..) in &table {
            let table = format!(
                "[smtp.oauth]\ntoken_url = \"http://127.0.0.1:{}{TOKEN_PATH}\"\nclient_id = \"{title}\"\nclient_secret_file = \"client-secret\"\nscope = \"{SCOPE}\"\n",
                issuer.port()
            );
            let workplace = job(&peers, "tls = \"starttls\"", &table);
            workplace.partners(&["ada@a.example", "bob@b.example"]);

            let output = workplace.run(&["send"]);

            if *title == "good" {
                assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
                let method = format!(" method={}", mechanism.to_uppercase());
                assert!(peers.log().contains(&method), "{}", peers.log());
                assert_eq!(read_twice(&peers.mail(2)).len(), 2);
                workplace.all_are("accepted");
            } else {
                assert_eq!(output.code, 69, "{title}: {output:?}");
                workplace.all_are("pending");
                let text = output
                    .stderr
                    .replace(&format!(":{}", peers.port("SUBMISSION")), ":PORT");
                writeln!(texts, "{mechanism}, a token {title}\n{text}").unwrap();
            }
        }
        assert_eq!(
            read_twice(&peers.mail(2)).len(),
            2,
            "nobody else was mailed"
        );
    }
    insta::assert_snapshot!(texts);
}

/// One recipient in twelve costs its connection, and all take a while.
fn close_often(peers: &Peers) {
    let asked = AtomicUsize::new(0);
    peers.policy.answers_at_once(move |_| {
        std::thread::sleep(Duration::from_millis(150));
        match asked.fetch_add(1, Ordering::SeqCst) % 12 {
            6 => "421 4.3.2 come again".into(),
            _ => "DUNNO".into(),
        }
    });
}

/// Two hundred partners over three connections, with tokens that live five seconds.
fn two_hundred_with_short_tokens(client: &str) {
    let peers = Peers::with("xoauth2", GREETING);
    let issuer = peers.issuer(&clients(5, 0));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (kept, port) = (requests.clone(), issuer.port());
    let endpoint = TokenEndpoint::start(move |_| {
        kept.lock().unwrap().push(Instant::now());
        Action::Forward(port)
    });
    let workplace = microsoft(&peers, &endpoint, client);
    let addresses = two_hundred(&workplace);
    close_often(&peers);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let folder = peers.mail(PARTNERS);
    everybody_has_it(&folder, &addresses);
    assert_eq!(count(&workplace), states(&[("accepted", PARTNERS)]));
    let requests = requests.lock().unwrap();
    assert!(
        requests.len() > 2,
        "at least two tokens expired: {requests:?}"
    );
    for pair in requests.windows(2) {
        // A token of five seconds is renewed after four.
        let pause = pair[1] - pair[0];
        assert!(pause >= Duration::from_millis(3_900), "{pause:?}");
    }
    let log = peers.log();
    let logins = log.matches(" method=XOAUTH2").count();
    assert!(logins > 2 * requests.len(), "{logins} logins share tokens");
    assert!(!log.contains("Token has expired"), "{log}");
}

#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn dovecot_and_postfix_deliver_to_200_partners_with_short_tokens_by_secret() {
    two_hundred_with_short_tokens(BY_SECRET);
}

#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn dovecot_and_postfix_deliver_to_200_partners_with_short_tokens_by_certificate() {
    two_hundred_with_short_tokens(BY_CERTIFICATE);
}

/// How many partners a run with a fault has, and the number of the recipient at which its first token expires.
const FEW: usize = 12;
const EXPIRES_AT: usize = 6;
/// How long the tokens of such a run live, in seconds.
const SHORT: u32 = 5;
/// How many such runs there are at the same time.
const AT_ONCE: usize = 4;

/// A fault at the endpoint from the second request on; it gets the number of the request and the ports of
/// an issuer and of one whose clock is ten minutes ahead.
type Fault = fn(usize, u16, u16) -> Action;

fn html() -> Action {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    Action::Answer(200, "Content-Type: text/html\r\n".into(), page.into())
}

fn busy(wait: u32) -> Action {
    let headers = format!("Content-Type: application/json\r\nRetry-After: {wait}\r\n");
    Action::Answer(429, headers, "{}".into())
}

fn redirect() -> Action {
    let target = "Location: https://elsewhere.example/\r\n";
    Action::Answer(302, target.into(), String::new())
}

#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn a_token_endpoint_that_fails_in_mid_run_costs_nobody_the_mail() {
    // The outcome of the run, and words of its error.
    let table: [(&str, Fault, i32, &str); 11] = [
        ("nothing", |_, good, _| Action::Forward(good), 0, ""),
        (
            "slow",
            |_, good, _| Action::Delay(Duration::from_secs(3), Box::new(Action::Forward(good))),
            0,
            "",
        ),
        (
            "down for three requests",
            |number, good, _| match number {
                1..=3 => Action::Raw(Vec::new()),
                _ => Action::Forward(good),
            },
            0,
            "",
        ),
        (
            "down",
            |_, _, _| Action::Raw(Vec::new()),
            69,
            "closed before the answer",
        ),
        (
            "busy for a second",
            |number, good, _| match number {
                1 => busy(1),
                _ => Action::Forward(good),
            },
            0,
            "",
        ),
        ("busy", |_, _, _| busy(600), 69, "asks to wait 600 s"),
        (
            "wrong JSON",
            |_, _, _| endpoint::json(200, r#"{"token":"x"}"#),
            78,
            "not that of a token endpoint",
        ),
        (
            "a web page",
            |_, _, _| html(),
            78,
            "answered with a web page",
        ),
        (
            "a redirect",
            |_, _, _| redirect(),
            78,
            "redirects to \"https://elsewhere.example/\"",
        ),
        (
            "a huge body",
            |_, _, _| endpoint::json(200, &"x".repeat(1_000_000)),
            78,
            "larger than any token",
        ),
        (
            "an issuer whose clock is ahead",
            |_, _, ahead| Action::Forward(ahead),
            69,
            "535 5.7.8",
        ),
    ];
    let peers = Peers::with("xoauth2", GREETING);
    let issuer = peers.issuer(&clients(SHORT, 0));
    let ahead = peers.issuer(&clients(SHORT, 600));
    let asked: Vec<_> = table.iter().map(|_| AtomicUsize::new(0)).collect();
    let expired: Arc<Vec<_>> = Arc::new(table.iter().map(|_| Mutex::new(None)).collect());
    let expiries = expired.clone();
    // From one recipient on, each connection waits until the token has expired, and is closed.
    peers.policy.answers_at_once(move |recipient| {
        let (_, domain) = recipient.split_once('@').unwrap();
        let case: usize = domain
            .trim_matches(|it: char| !it.is_ascii_digit())
            .parse()
            .unwrap();
        let number = asked[case].fetch_add(1, Ordering::SeqCst);
        if !(EXPIRES_AT..EXPIRES_AT + 3).contains(&number) {
            return "DUNNO".into();
        }
        let end = expiries[case].lock().unwrap().expect("a token was issued");
        std::thread::sleep(Instant::saturating_duration_since(&end, Instant::now()));
        "421 4.3.2 come again".into()
    });
    let case_of = |&(case, (title, fault, code, words)): &(usize, (&str, Fault, i32, &str))| {
        let requests = Arc::new(AtomicUsize::new(0));
        let is_repaired = Arc::new(AtomicBool::new(false));
        let (counted, repaired, expired) = (requests.clone(), is_repaired.clone(), expired.clone());
        let (good, ahead) = (issuer.port(), ahead.port());
        let endpoint = TokenEndpoint::start(move |_| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                let life = Duration::from_secs(SHORT.into()) + Duration::from_millis(200);
                *expired[case].lock().unwrap() = Some(Instant::now() + life);
            }
            match number {
                0 => Action::Forward(good),
                _ if repaired.load(Ordering::SeqCst) => Action::Forward(good),
                _ => fault(number, good, ahead),
            }
        });
        let workplace = microsoft(&peers, &endpoint, BY_CERTIFICATE);
        let partners: Vec<_> = (0..FEW)
            .map(|it| format!("p{it}@c{case}.example"))
            .collect();
        workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, code, "{title}: {output:?}");
        assert!(output.stderr.contains(words), "{title}: {output:?}");
        assert!(
            requests.load(Ordering::SeqCst) > 1,
            "{title}: no token expired"
        );
        let sent = if code == 0 { FEW } else { EXPIRES_AT };
        check(&peers, &workplace, case, sent);

        is_repaired.store(true, Ordering::SeqCst);
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 0, "{title}: {output:?}");
        check(&peers, &workplace, case, FEW);
    };
    let cases: Vec<_> = table.into_iter().enumerate().collect();
    parallel::for_each(AT_ONCE, &cases, case_of);
    let total = FEW * cases.len();
    assert_eq!(recipients(&peers.mail(total)).len(), total);
}

/// Compares ledger and mailbox: this many partners have the mail once, and the others are pending.
fn check(peers: &Peers, workplace: &Workplace, case: usize, sent: usize) {
    let domain = format!("@c{case}.example");
    let arrived = || {
        let all = recipients(&peers.file("mail/all/new")).into_iter();
        all.filter(|it| it.ends_with(&domain)).collect::<Vec<_>>()
    };
    wait_until(&format!("{sent} messages for {domain} have landed"), || {
        arrived().len() >= sent
    });
    let states = check_accepted(workplace, arrived(), FEW, 0);
    let count = |state: &str| states.values().filter(|it| *it == state).count();
    assert_eq!(
        (count("accepted"), count("pending")),
        (sent, FEW - sent),
        "{states:?}"
    );
}

/// The clock of this machine is wrong by ten minutes, in both directions.
#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn a_wrong_clock_matters_for_an_assertion_only() {
    let peers = Peers::with("xoauth2", GREETING);
    let issuer = peers.issuer(&clients(60, 0));
    let port = issuer.port();
    let endpoint = TokenEndpoint::start(move |_| Action::Forward(port));
    let mut texts = String::new();
    let mut partners = 0;
    for (client, title) in [(BY_SECRET, "secret"), (BY_CERTIFICATE, "certificate")] {
        for offset in ["+10m", "-10m"] {
            let workplace = microsoft(&peers, &endpoint, client);
            workplace.partners(&[&format!("p{partners}@a.example")]);
            let faketime = [
                "env",
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
                "faketime",
                "-f",
                offset,
            ];

            let output = workplace.run_under(&faketime, &["send"]);

            if client == BY_SECRET {
                assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
            } else {
                assert_eq!(output.code, 78, "{offset}: {output:?}");
                workplace.all_are("pending");
                let text = output.stderr.replace(&endpoint.url(), "http://endpoint");
                let text = text.replace(&format!(":{}", peers.port("SUBMISSION")), ":PORT");
                writeln!(texts, "{title}, {offset}\n{text}").unwrap();
                let output = workplace.run(&["send"]);
                assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
            }
            workplace.all_are("accepted");
            partners += 1;
            assert_eq!(read_twice(&peers.mail(partners)).len(), partners);
        }
    }
    insta::assert_snapshot!(texts);
}
