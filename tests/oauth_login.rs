//! Logins with access tokens through the binary: tokens come from a token endpoint on a real socket, and
//! the relay validates each token that it is given.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::pki::Pki;
use crate::support::scanner::{PASSWORD, TOKEN};
use crate::support::smtp::{self, Call, Login, Server, Setup, Stage, Tls, Tokens};
use crate::support::token_endpoint::{self as endpoint, TokenEndpoint, aadsts, json};
use crate::support::{Workplace, oracle};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

const CLIENT: &str = include_str!("fixtures/oauth/client.pem");
const SECRET: &str = "client_secret_file = \"client-secret\"";

/// A relay that accepts these tokens by one of these mechanisms.
fn relay(
    pki: &Pki,
    mechanisms: &'static str,
    tokens: &Tokens,
    script: impl Fn(&Call) -> smtp::Action + Send + Sync + 'static,
) -> Server {
    let setup = Setup {
        tls: Some((Tls::StartTls, pki.server("localhost"))),
        login: Some(Login {
            mechanisms,
            challenge: BASE64.encode(r#"{"status":"401","schemes":"bearer"}"#),
            tokens: tokens.clone(),
            ..Login::default()
        }),
        ..Setup::default()
    };
    Server::set_up(setup, script)
}

fn private(workplace: &Workplace, name: &str, text: &str) {
    workplace.write(name, text);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(workplace.file(name), private).unwrap();
}

/// A job with these keys of `[smtp]` and this further table.
fn job(port: u16, pki: &Pki, lines: &str, table: &str) -> Workplace {
    let mut workplace = Workplace::english(port);
    workplace.write("ca.pem", &pki.ca_pem);
    private(&workplace, "client-secret", &format!("{PASSWORD}\n"));
    private(&workplace, "client.pem", CLIENT);
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\nusername = \"ada\"\n{lines}"
    );
    table.clone_into(&mut workplace.extra);
    workplace.configure();
    workplace.partners(&["eva@e.example", "bob@b.example"]);
    workplace
}

/// A job that sends through Microsoft 365, played by these two.
fn microsoft(port: u16, pki: &Pki, endpoint: &TokenEndpoint, credential: &str) -> Workplace {
    let url = endpoint.url();
    job(
        port,
        pki,
        "provider = \"microsoft365\"",
        &format!(
            "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\n{credential}\nlogin_url = \"{url}\"\n"
        ),
    )
}

/// Issues a new token to each request, and keeps when.
fn issue(tokens: &Tokens, lifetime: u64) -> (TokenEndpoint, Arc<Mutex<Vec<Instant>>>) {
    let issued = Arc::new(Mutex::new(Vec::new()));
    let (kept, tokens) = (issued.clone(), tokens.clone());
    let endpoint = TokenEndpoint::start(move |_| {
        let mut issued = kept.lock().unwrap();
        issued.push(Instant::now());
        let token = format!("{TOKEN}.{}", issued.len());
        tokens.issue(&token, Duration::from_secs(lifetime));
        endpoint::token(&token, lifetime)
    });
    (endpoint, issued)
}

/// Sixty partners, three connections, tokens that live five seconds.
fn sixty_partners_with_short_tokens(credential: &str) {
    let pki = Pki::new();
    let tokens = Tokens::default();
    let (endpoint, issued) = issue(&tokens, 5);
    let relay = relay(&pki, "XOAUTH2 PLAIN", &tokens, |call: &Call| {
        let answer = match call.stage {
            Stage::Dot if call.nth % 4 == 3 => {
                smtp::Action::ReplyThenClose(b"250 2.0.0 taken\r\n".to_vec())
            }
            _ => smtp::Action::Normal,
        };
        match call.stage {
            Stage::Dot => smtp::Action::Delay(Duration::from_millis(500), Box::new(answer)),
            _ => answer,
        }
    });
    let workplace = microsoft(relay.port(), &pki, &endpoint, credential);
    workplace.many_partners(60);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let accepted = relay.accepted();
    let recipients: BTreeSet<_> = accepted.iter().map(|it| it.recipients.clone()).collect();
    assert_eq!((accepted.len(), recipients.len()), (60, 60), "each once");
    workplace.all_are("accepted");
    let issued = issued.lock().unwrap();
    assert!(issued.len() >= 2, "no token expired");
    for pair in issued.windows(2) {
        // A token of five seconds is renewed after four.
        let pause = pair[1] - pair[0];
        assert!(pause >= Duration::from_millis(3_900), "{pause:?}");
    }
    assert!(
        relay.count("AUTH") > issued.len(),
        "connections share tokens"
    );
    assert!(relay.violations().is_empty(), "{:?}", relay.violations());
    oracle::nothing_in_clear(&relay);
}

#[test]
fn sixty_partners_are_mailed_once_with_short_tokens_by_secret() {
    sixty_partners_with_short_tokens(SECRET);
}

#[test]
fn sixty_partners_are_mailed_once_with_short_tokens_by_certificate() {
    sixty_partners_with_short_tokens("certificate_file = \"client.pem\"");
}

#[test]
fn any_issuer_s_token_is_sent_by_the_mechanism_that_is_offered() {
    for (mechanisms, used) in [
        ("OAUTHBEARER PLAIN", "AUTH OAUTHBEARER"),
        ("OAUTHBEARER XOAUTH2", "AUTH XOAUTH2"),
    ] {
        let pki = Pki::new();
        let tokens = Tokens::default();
        let (endpoint, issued) = issue(&tokens, 3600);
        let relay = relay(&pki, mechanisms, &tokens, |_: &Call| smtp::Action::Normal);
        let table = format!(
            "[smtp.oauth]\ntoken_url = \"{}/token\"\nclient_id = \"invite\"\n{SECRET}\n",
            endpoint.url()
        );
        let workplace = job(relay.port(), &pki, "tls = \"starttls\"", &table);

        let check = workplace.run(&["check", "--connect"]);
        let output = workplace.run(&["send"]);

        assert_eq!((check.code, output.code), (0, 0), "{check:?} {output:?}");
        let step = format!(
            "ok: token: access token received from {}/token, valid for 59 min\n",
            endpoint.url()
        );
        assert!(check.stdout.contains(&step), "{check:?}");
        assert_eq!(relay.accepted().len(), 2);
        assert!(relay.count(used) >= 2, "{:?}", relay.commands());
        assert_eq!(issued.lock().unwrap().len(), 2, "one for each run");
        assert!(relay.violations().is_empty(), "{:?}", relay.violations());
    }
}

/// RFC 4954 §4: AUTH with the first response must not be longer than a command may be.
#[test]
fn a_long_token_is_sent_on_a_line_of_its_own() {
    let pki = Pki::new();
    for (mechanism, end) in [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")] {
        let tokens = Tokens::default();
        let valid = tokens.clone();
        let issued = AtomicUsize::new(0);
        let endpoint = TokenEndpoint::start(move |_| {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            let token = format!("{}.{number}", TOKEN.repeat(60));
            // The second is refused.
            if number == 0 {
                valid.issue(&token, Duration::from_hours(1));
            }
            endpoint::token(&token, 3600)
        });
        let relay = relay(&pki, mechanism, &tokens, |_: &Call| smtp::Action::Normal);
        let mut workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);
        workplace.smtp("connections = 1");

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, relay.accepted().len()), (0, 2), "{output:?}");
        workplace.partners(&["joe@j.example"]);
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 69, "{output:?}");
        assert!(output.stderr.contains("status 401"), "{output:?}");
        let login = format!("AUTH {mechanism}");
        let commands = relay.commands();
        assert_eq!(commands.iter().filter(|it| it.1 == login).count(), 2);
        assert_eq!(commands.iter().filter(|it| it.1 == end).count(), 1);
        assert!(relay.violations().is_empty(), "{:?}", relay.violations());
    }
}

#[test]
fn a_token_that_is_refused_after_a_success_is_replaced_once() {
    let pki = Pki::new();
    let tokens = Tokens::default();
    let (endpoint, issued) = issue(&tokens, 3600);
    let revoked = tokens.clone();
    let relay = relay(&pki, "OAUTHBEARER", &tokens, move |call: &Call| {
        match (call.stage, call.nth) {
            (Stage::Dot, 0) => {
                revoked.revoke_all();
                smtp::Action::ReplyThenClose(b"250 2.0.0 taken\r\n".to_vec())
            }
            _ => smtp::Action::Normal,
        }
    });
    let mut workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);
    workplace.smtp("connections = 1");

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, relay.accepted().len()), (0, 2), "{output:?}");
    assert_eq!(issued.lock().unwrap().len(), 2);
    // The refused login has a challenge, which is answered.
    assert_eq!(relay.count("AUTH"), 3);
    assert_eq!(relay.count("AQ=="), 1, "{:?}", relay.commands());
}

/// Three connections are closed, and the token that all of them still have is refused from then on.
#[test]
fn a_token_that_is_refused_on_all_connections_is_replaced_once() {
    let pki = Pki::new();
    let tokens = Tokens::default();
    let (endpoint, issued) = issue(&tokens, 3600);
    let revoked = tokens.clone();
    let relay = relay(&pki, "XOAUTH2", &tokens, move |call: &Call| {
        match (call.stage, call.nth) {
            (Stage::Dot, 0..3) => {
                if call.nth == 2 {
                    revoked.revoke_all();
                }
                let reply = smtp::Action::ReplyThenClose(b"250 2.0.0 taken\r\n".to_vec());
                smtp::Action::Delay(Duration::from_millis(500), Box::new(reply))
            }
            // The other connections wait for their turn meanwhile.
            (Stage::Auth, 3..) => {
                smtp::Action::Delay(Duration::from_millis(300), Box::new(smtp::Action::Normal))
            }
            _ => smtp::Action::Normal,
        }
    });
    let mut workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);
    workplace.smtp("connections = 3");
    workplace.many_partners(12);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, relay.accepted().len()), (0, 12), "{output:?}");
    assert_eq!(issued.lock().unwrap().len(), 2);
    oracle::check_settled(&workplace, &relay, 12, 0);
}

/// The error is the refusal, also if another connection ends the run.
#[test]
fn a_login_that_is_refused_in_mid_run_is_explained() {
    let pki = Pki::new();
    let tokens = Tokens::default();
    let (endpoint, _issued) = issue(&tokens, 3600);
    let relay = relay(&pki, "XOAUTH2", &tokens, |call: &Call| {
        match (call.stage, call.nth) {
            (Stage::Dot, 0..3) => {
                let reply = smtp::Action::ReplyThenClose(b"250 2.0.0 taken\r\n".to_vec());
                smtp::Action::Delay(Duration::from_millis(500), Box::new(reply))
            }
            (Stage::Auth, 3..) => {
                smtp::reply("535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.")
            }
            _ => smtp::Action::Normal,
        }
    });
    let mut workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);
    workplace.smtp("connections = 3");
    workplace.many_partners(12);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, relay.accepted().len()), (69, 3), "{output:?}");
    assert!(output.stderr.contains("Set-CASMailbox"), "{output:?}");
    oracle::check(&workplace, &relay, 12, 0);
}

#[test]
fn a_token_endpoint_that_fails_in_mid_run_ends_it_and_the_next_run_sends_the_rest() {
    use endpoint::Action;
    let busy = || {
        let headers = "Content-Type: application/json\r\nRetry-After: 600\r\n";
        Action::Answer(429, headers.into(), "{}".into())
    };
    let table: [(&str, Action, i32, &str); 6] = [
        (
            "down",
            Action::Raw(Vec::new()),
            69,
            "closed before the answer",
        ),
        ("busy", busy(), 69, "asks to wait 600 s"),
        (
            "wrong client",
            json(401, r#"{"error":"invalid_client"}"#),
            78,
            "the client or its secret is wrong",
        ),
        (
            "expired secret",
            aadsts(
                401,
                "invalid_client",
                7_000_222,
                "The provided client secret keys are expired.",
            ),
            78,
            "AADSTS7000222",
        ),
        (
            "unknown tenant",
            aadsts(400, "invalid_tenant", 90_002, "Tenant not found."),
            78,
            "AADSTS90002",
        ),
        (
            "slow",
            Action::Delay(
                Duration::from_secs(3),
                Box::new(endpoint::token(&format!("{TOKEN}.slow"), 3600)),
            ),
            0,
            "",
        ),
    ];
    let pki = Pki::new();
    std::thread::scope(|scope| {
        for (title, failure, code, words) in table {
            let pki = &pki;
            scope.spawn(move || {
                let tokens = Tokens::default();
                tokens.issue(&format!("{TOKEN}.slow"), Duration::from_hours(1));
                let valid = tokens.clone();
                let is_repaired = Arc::new(Mutex::new(false));
                let repaired = is_repaired.clone();
                let mut requests = 0;
                let endpoint = TokenEndpoint::start(move |_| {
                    requests += 1;
                    if requests > 1 && !*repaired.lock().unwrap() {
                        return failure.clone();
                    }
                    let token = format!("{TOKEN}.{requests}");
                    valid.issue(&token, Duration::from_secs(2));
                    endpoint::token(&token, 2)
                });
                // The first token has expired when the second connection is opened.
                let relay = relay(pki, "XOAUTH2", &tokens, |call: &Call| {
                    match (call.stage, call.nth) {
                        (Stage::Dot, 0) => smtp::Action::Delay(
                            Duration::from_millis(2_500),
                            Box::new(smtp::Action::ReplyThenClose(
                                b"250 2.0.0 taken\r\n".to_vec(),
                            )),
                        ),
                        _ => smtp::Action::Normal,
                    }
                });
                let mut workplace = microsoft(relay.port(), pki, &endpoint, SECRET);
                workplace.smtp("connections = 1");

                let output = workplace.run(&["send"]);

                assert_eq!(output.code, code, "{title}: {output:?}");
                assert!(output.stderr.contains(words), "{title}: {output:?}");
                let sent = if code == 0 { 2 } else { 1 };
                assert_eq!(relay.accepted().len(), sent, "{title}");
                *is_repaired.lock().unwrap() = true;
                let output = workplace.run(&["send"]);
                assert_eq!(output.code, 0, "{title}: {output:?}");
                let accepted = relay.accepted();
                let recipients: BTreeSet<_> =
                    accepted.iter().map(|it| it.recipients.clone()).collect();
                assert_eq!((accepted.len(), recipients.len()), (2, 2), "{title}");
            });
        }
    });
}

#[test]
fn a_missing_step_at_microsoft_has_its_own_remedy() {
    let pki = Pki::new();
    let mut texts = String::new();
    for text in [
        "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        "535 5.7.139 Authentication unsuccessful, the federated STS returned an error.",
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        // A relay that repeats what it received.
        "535 5.7.8 bad token t0ken-f0r-4da-tr0ub4dor-and-3.1",
    ] {
        let tokens = Tokens::default();
        let (endpoint, issued) = issue(&tokens, 3600);
        let relay = relay(
            &pki,
            "LOGIN XOAUTH2",
            &tokens,
            move |call: &Call| match call.stage {
                Stage::Auth => smtp::reply(text),
                _ => smtp::Action::Normal,
            },
        );
        let workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{output:?}");
        workplace.all_are("pending");
        assert_eq!((relay.count("AUTH"), issued.lock().unwrap().len()), (1, 1));
        let lines: Vec<_> = output.stderr.lines().collect();
        assert!(lines.len() <= 20, "{output:?}");
        assert!(lines.iter().skip(2).all(|it| it.len() <= 100), "{output:?}");
        let port = format!(":{}", relay.port());
        writeln!(texts, "{}", output.stderr.replace(&port, ":PORT")).unwrap();
    }
    insta::assert_snapshot!(texts);
}

/// The refusals that Microsoft documents for submission after a successful login.
#[test]
fn a_refusal_of_exchange_after_the_login_has_its_own_remedy() {
    let pki = Pki::new();
    let mut texts = String::new();
    for (stage, text) in [
        (
            Stage::Mail,
            "530 5.7.57 Client not authenticated to send mail.",
        ),
        (
            Stage::Mail,
            "550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
        ),
        (
            Stage::Mail,
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        ),
        (
            Stage::Dot,
            "554 5.2.252 SendAsDenied; ada@contoso.example not allowed to send as access@contoso.example; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
        ),
        (
            Stage::Dot,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        ),
        (
            Stage::Dot,
            "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
        ),
        (
            Stage::Rcpt,
            "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        ),
        (
            Stage::Rcpt,
            "550 5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit",
        ),
        (
            Stage::Rcpt,
            "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients",
        ),
    ] {
        let tokens = Tokens::default();
        let (endpoint, _issued) = issue(&tokens, 3600);
        let relay = relay(&pki, "LOGIN XOAUTH2", &tokens, move |call: &Call| {
            if call.stage == stage {
                smtp::reply(text)
            } else {
                smtp::Action::Normal
            }
        });
        let workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{output:?}");
        workplace.all_are("pending");
        let error = output.stderr.lines().filter(|it| it.starts_with("error: "));
        let port = format!(":{}", relay.port());
        for error in error {
            writeln!(texts, "{text}\n  {}\n", error.replace(&port, ":PORT")).unwrap();
        }
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn a_token_of_a_program_that_exchange_refuses_has_its_own_remedy() {
    let pki = Pki::new();
    let mut texts = String::new();
    for text in [
        "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
    ] {
        let relay = relay(
            &pki,
            "XOAUTH2",
            &Tokens::default(),
            move |call: &Call| match call.stage {
                Stage::Auth => smtp::reply(text),
                _ => smtp::Action::Normal,
            },
        );
        let lines = "provider = \"microsoft365\"\ntoken_command = [\"cat\", \"token\"]";
        let workplace = job(relay.port(), &pki, lines, "");
        workplace.write("token", TOKEN);

        let output = workplace.run(&["check", "--connect"]);

        assert_eq!(output.code, 69, "{output:?}");
        let errors = output.stderr.split_once("error: ").unwrap().1;
        let port = format!(":{}", relay.port());
        writeln!(texts, "{}", errors.replace(&port, ":PORT")).unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn a_credential_that_cannot_be_used_is_refused_before_a_connection() {
    let pki = Pki::new();
    let tokens = Tokens::default();
    let (endpoint, issued) = issue(&tokens, 3600);
    let relay = relay(&pki, "XOAUTH2", &tokens, |_: &Call| smtp::Action::Normal);
    let workplace = microsoft(relay.port(), &pki, &endpoint, SECRET);
    let refused = |code: i32, words: &str| {
        for verb in ["send", "check"] {
            let output = workplace.run(&[verb]);
            assert_eq!(output.code, code, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
        }
    };

    let file = workplace.file("client-secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(77, "readable by everyone");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "").unwrap();
    refused(78, "is empty");
    std::fs::remove_file(&file).unwrap();
    refused(78, "microsoft.client_secret_file");

    assert!(issued.lock().unwrap().is_empty());
    assert_eq!(relay.commands().len(), 0);
    // Neither a preview nor a sandbox run needs it.
    assert_eq!(workplace.run(&["preview"]).code, 0);
    assert_eq!(workplace.run(&["send", "--sandbox"]).code, 0);
}
