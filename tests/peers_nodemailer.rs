//! nodemailer's `smtp-server` as a relay that this project did not write: its logins, its refusals at each stage,
//! and connections that it closes; after each run, what it accepted is compared with the ledger.

#![allow(
    clippy::too_many_lines,
    reason = "a table of cases belongs to its test"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Workplace;
use crate::support::node::{NodeProgram, SCOPE, TOKEN_PATH};
use crate::support::oracle::check_accepted;
use crate::support::parallel;
use crate::support::peers::{PASSWORD, USER, make_private};
use crate::support::pki::Pki;
use crate::support::scanner::TOKEN;
use crate::support::token_endpoint::{self as endpoint, TokenEndpoint};

/// The relay and a job that sends through it.
struct Nodemailer {
    workplace: Workplace,
    partners: usize,
    _program: NodeProgram,
    _endpoint: TokenEndpoint,
}

impl Nodemailer {
    /// `tls` is the mode, `options` those of smtp-server beside the certificate.
    fn start(tls: &str, options: &Value, faults: &Value, credential: &str) -> Self {
        let pki = Pki::new();
        let (certificate, key) = pki.pem("localhost");
        // As long as those of Microsoft Entra.
        let token = TOKEN.repeat(60);
        let mut all = json!({
            "secure": tls == "implicit", "cert": certificate, "key": key, "disableReverseLookup": true,
            "hideENHANCEDSTATUSCODES": false,
        });
        all.as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let mut workplace = Workplace::new(1);
        let settings = json!({
            "options": all, "user": USER, "password": PASSWORD, "token": token,
            "journal": workplace.file("journal"), "faults": faults,
        });
        let program = NodeProgram::start("relay.mjs", &settings);
        let endpoint = TokenEndpoint::start(move |_| endpoint::token(&token, 3600));

        let port = program.port();
        workplace.write("ca.pem", &pki.ca_pem);
        workplace.write("password", PASSWORD);
        make_private(&workplace.file("password"));
        workplace.smtp = format!(
            "host = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\ntls = \"{tls}\"\nconnections = 1\nusername = \"{USER}\""
        );
        if credential == "token" {
            workplace.extra = format!(
                "[smtp.oauth]\ntoken_url = \"{}{TOKEN_PATH}\"\nclient_id = \"invite\"\nscope = \"{SCOPE}\"\nclient_secret_file = \"password\"\n",
                endpoint.url()
            );
        } else {
            workplace.smtp += "\npassword_file = \"password\"";
        }
        workplace.retry = "first_after = \"1s\"".into();
        workplace.configure();
        let mut relay = Self {
            workplace,
            partners: 0,
            _program: program,
            _endpoint: endpoint,
        };
        relay.invite(&["ada@a.example", "bob@b.example", "eva@e.example"]);
        relay
    }

    fn invite(&mut self, partners: &[&str]) {
        self.workplace.partners(partners);
        self.partners = partners.len();
    }

    /// The number of partners in each state, after a comparison with what the relay accepted.
    #[track_caller]
    fn states(&self) -> BTreeMap<String, usize> {
        let journal = std::fs::read_to_string(self.workplace.file("journal")).unwrap();
        let accepted = journal.lines().map(str::to_owned);
        let mut count = BTreeMap::new();
        for state in check_accepted(&self.workplace, accepted, self.partners, 1).into_values() {
            *count.entry(state).or_default() += 1;
        }
        count
    }
}

fn states(table: &[(&str, usize)]) -> BTreeMap<String, usize> {
    table
        .iter()
        .map(|(it, count)| ((*it).to_owned(), *count))
        .collect()
}

#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn nodemailer_accepts_each_login_over_each_kind_of_tls() {
    let logins = [
        ("PLAIN", "password"),
        ("LOGIN", "password"),
        ("XOAUTH2", "token"),
    ];
    let table = ["starttls", "implicit"].map(|tls| logins.map(|it| (tls, it)));
    parallel::for_each(
        AT_ONCE,
        &table.concat(),
        |&(tls, (mechanism, credential))| {
            let options = json!({"authMethods": [mechanism]});
            let mut relay = Nodemailer::start(tls, &options, &json!([]), credential);
            let smtp = &mut relay.workplace.smtp;
            *smtp = smtp.replace("connections = 1", "connections = 3");
            relay.workplace.configure();
            let partners: Vec<_> = (0..30)
                .map(|it| format!("p{it}@a{}.example", it % 7))
                .collect();
            relay.invite(&partners.iter().map(String::as_str).collect::<Vec<_>>());

            let output = relay.workplace.run(&["send"]);

            let said = (output.code, output.stderr.as_str());
            assert_eq!(said, (0, ""), "{tls}, {mechanism}");
            assert_eq!(
                relay.states(),
                states(&[("accepted", 30)]),
                "{tls}, {mechanism}"
            );
        },
    );
}

/// How many relays run at the same time.
const AT_ONCE: usize = 4;

/// A fault of the relay, the exit code of the run, words of its error, and the states after it.
type Case = (
    &'static str,
    Value,
    i32,
    &'static str,
    &'static [(&'static str, usize)],
);

const NONE_SENT: &[(&str, usize)] = &[("pending", 3)];
const ALL_SENT: &[(&str, usize)] = &[("accepted", 3)];
const ONE_DEFERRED: &[(&str, usize)] = &[("accepted", 2), ("deferred", 1)];
const ONE_UNKNOWN: &[(&str, usize)] = &[("accepted", 2), ("unknown", 1)];

/// Starts a relay with each fault, sends, and sends again until nothing is left.
fn check_cases(table: &[Case]) {
    parallel::for_each(AT_ONCE, table, |(title, fault, code, words, expected)| {
        let relay = Nodemailer::start("starttls", &json!({}), &json!([fault]), "password");

        let output = relay.workplace.run(&["send"]);

        assert_eq!(output.code, *code, "{title}: {output:?}");
        assert!(output.stderr.contains(*words), "{title}: {output:?}");
        assert_eq!(relay.states(), states(expected), "{title}");
        let settled = match *expected {
            NONE_SENT | ALL_SENT | ONE_DEFERRED => states(ALL_SENT),
            other => states(other),
        };
        let end = Instant::now() + Duration::from_secs(30);
        while relay.states() != settled {
            assert!(Instant::now() < end, "{title}: {:?}", relay.states());
            relay.workplace.run(&["send"]);
            std::thread::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn refusals_of_nodemailer_at_each_stage_have_the_right_outcome() {
    let fault =
        |stage: &str, code: u32, text: &str| json!({"stage": stage, "code": code, "text": text});
    let for_bob = |mut fault: Value| {
        fault["recipient"] = "bob@b.example".into();
        fault
    };
    let often = |mut fault: Value, times: u32| {
        fault["times"] = times.into();
        fault
    };
    let table: Vec<Case> = vec![
        (
            "connection, for good",
            fault("connect", 554, "no access from here"),
            69,
            "no access from here",
            NONE_SENT,
        ),
        (
            "connection, once",
            fault("connect", 421, "come again"),
            0,
            "",
            ALL_SENT,
        ),
        (
            "login",
            fault("auth", 535, "wrong password"),
            69,
            "535 5.7.8 wrong password",
            NONE_SENT,
        ),
        (
            "login, for now",
            fault("auth", 451, "directory is down"),
            0,
            "",
            ALL_SENT,
        ),
        (
            "sender",
            fault("mail", 553, "not your address"),
            69,
            "not your address",
            NONE_SENT,
        ),
        (
            "sender, once",
            fault("mail", 451, "try later"),
            0,
            "",
            ALL_SENT,
        ),
        (
            "unknown recipient",
            for_bob(fault("rcpt", 550, "no such user")),
            1,
            "rejected: bob@b.example",
            &[("accepted", 2), ("rejected", 1)],
        ),
        (
            "recipient, for now",
            for_bob(fault("rcpt", 450, "greylisted")),
            75,
            "",
            ONE_DEFERRED,
        ),
        (
            "recipient, with 421",
            for_bob(fault("rcpt", 421, "come again")),
            0,
            "",
            ALL_SENT,
        ),
        (
            "message",
            for_bob(fault("dot", 554, "looks like spam")),
            75,
            "looks like spam",
            ONE_DEFERRED,
        ),
        (
            "message, for now",
            for_bob(fault("dot", 452, "no space")),
            75,
            "",
            ONE_DEFERRED,
        ),
        (
            "message, with 421",
            for_bob(fault("dot", 421, "restarting")),
            75,
            "",
            ONE_DEFERRED,
        ),
        (
            "connection, five times",
            often(fault("connect", 421, "come again"), 5),
            69,
            "come again",
            NONE_SENT,
        ),
    ];
    check_cases(&table);
}

#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn connections_that_nodemailer_closes_cost_nobody_the_mail() {
    let closes = |stage: &str| json!({"stage": stage});
    let table: Vec<Case> = vec![
        ("before its greeting", closes("connect"), 0, "", ALL_SENT),
        ("at the login", closes("auth"), 0, "", ALL_SENT),
        ("at MAIL", closes("mail"), 0, "", ALL_SENT),
        ("at RCPT", closes("rcpt"), 0, "", ALL_SENT),
        ("at DATA", closes("data"), 0, "", ALL_SENT),
        (
            "instead of a reply",
            closes("dot"),
            3,
            "unknown",
            ONE_UNKNOWN,
        ),
        (
            "after it accepted the message",
            closes("accepted"),
            3,
            "unknown",
            ONE_UNKNOWN,
        ),
    ];
    check_cases(&table);
}

#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn a_message_above_the_size_limit_of_nodemailer_is_not_sent() {
    for (options, code, words, state) in [
        (
            json!({"size": 1500}),
            69,
            "accepts messages of at most 1500 bytes",
            "pending",
        ),
        (
            json!({"size": 1500, "hideSize": true, "rejectOversized": true}),
            69,
            "552 5.3.4",
            "deferred",
        ),
    ] {
        let relay = Nodemailer::start("starttls", &options, &json!([]), "password");

        let output = relay.workplace.run(&["send"]);

        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
        assert_eq!(relay.states(), states(&[(state, 3)]));
    }
}
