//! TLS under every fault that can be injected, by the ids of docs/RELIABILITY.md (E1–E12): no credential and
//! no byte of mail is sent before a verified session, as captured on the wire; nobody is marked; 69.

use std::sync::Arc;
use std::time::Duration;

use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use crate::support::{Workplace, oracle, parallel};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ServerConfig;

const BOTH: [Tls; 2] = [Tls::Implicit, Tls::StartTls];

/// A relay that requires a login over TLS.
fn setup(tls: Tls, certificate: Arc<ServerConfig>) -> Setup {
    Setup {
        tls: Some((tls, certificate)),
        login: Some(Login {
            mechanisms: "PLAIN LOGIN",
            takes: BASE64.encode(format!("\0ada\0{PASSWORD}")),
            ..Default::default()
        }),
        ..Setup::default()
    }
}

/// A job that logs in over TLS at `port`.
fn job(tls: Tls, port: u16, pki: &Pki) -> Workplace {
    let mut workplace = Workplace::english(port);
    point(&mut workplace, tls, port, pki);
    workplace.short_templates();
    workplace.partners(&["a@a.example", "b@b.example"]);
    workplace
}

fn point(workplace: &mut Workplace, tls: Tls, port: u16, pki: &Pki) {
    let tls = match tls {
        Tls::Implicit => "implicit",
        Tls::StartTls => "starttls",
    };
    workplace.log_in(
        port,
        &pki.ca_pem,
        &format!(
            "tls = \"{tls}\"\ndeadlines = {{ tls = \"2s\", starttls = \"2s\", dot = \"2s\" }}"
        ),
    );
}

/// An untrusted relay: its setup, its action at a stage, the words of the expected error, and the
/// expected number of connections.
struct UntrustedRelay {
    setup: Setup,
    stage: Stage,
    action: Action,
    word: &'static str,
    connections: usize,
}

impl UntrustedRelay {
    /// One with a bad certificate.
    fn showing(tls: Tls, certificate: Arc<ServerConfig>, word: &'static str) -> Self {
        Self {
            setup: setup(tls, certificate),
            stage: Stage::Rset,
            action: Action::Normal,
            word,
            connections: 1,
        }
    }

    /// Checks that the relay gets neither login nor mail and nobody is marked, and that a good relay then gets all.
    fn check_gets_nothing(self, pki: &Pki) {
        let tls = match &self.setup.tls {
            Some((tls, _)) => *tls,
            None => Tls::StartTls,
        };
        let (stage, action) = (self.stage, self.action);
        let server = Server::set_up(self.setup, move |call: &Call| {
            if call.stage == stage {
                action.clone()
            } else {
                Action::Normal
            }
        });
        let mut workplace = job(tls, server.port(), pki);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{}: {output:?}", self.word);
        assert!(
            output.stderr.contains(self.word),
            "{}: {output:?}",
            self.word
        );
        assert_eq!(server.connections(), self.connections, "{}", self.word);
        assert_eq!(
            (server.count("AUTH"), server.count("MAIL")),
            (0, 0),
            "{}",
            self.word
        );
        oracle::nothing_in_clear(&server);
        workplace.all_are("pending");
        oracle::check(&workplace, &server, 2, 0);

        let good = Server::set_up(setup(tls, pki.server("localhost")), |_: &Call| {
            Action::Normal
        });
        point(&mut workplace, tls, good.port(), pki);
        assert_eq!(workplace.run(&["send"]).code, 0);
        oracle::nothing_in_clear(&good);
        oracle::check_settled(&workplace, &good, 2, 0);
        assert!(good.violations().is_empty(), "{:?}", good.violations());
    }
}

fn check_all_get_nothing(pki: &Pki, untrusted: Vec<UntrustedRelay>) {
    std::thread::scope(|scope| {
        for relay in untrusted {
            scope.spawn(|| relay.check_gets_nothing(pki));
        }
    });
}

#[test]
fn e1_to_e5_an_untrusted_certificate_gets_no_login_or_mail() {
    let pki = Pki::new();
    let unknown = "from an issuer that this machine does not trust";
    let untrusted = BOTH.into_iter().flat_map(|tls| {
        [
            UntrustedRelay::showing(tls, pki.expired("localhost"), "expired on"),
            UntrustedRelay::showing(tls, pki.not_yet("localhost"), "is not valid before"),
            UntrustedRelay::showing(tls, pki.server("other.example"), "not for `localhost`"),
            UntrustedRelay::showing(tls, Pki::self_signed("localhost", false), unknown),
            // As created by `openssl req -x509`.
            UntrustedRelay::showing(
                tls,
                Pki::self_signed("localhost", true),
                "for a certificate authority, as `openssl req -x509` makes it, not for a server",
            ),
            UntrustedRelay::showing(tls, Pki::new().server("localhost"), unknown),
            UntrustedRelay::showing(tls, Pki::rekeyed().server("localhost"), unknown),
        ]
    });
    check_all_get_nothing(&pki, untrusted.collect());
}

#[test]
fn e6_a_relay_with_tls_1_1_at_most_is_69() {
    // Such a server sends the alert `protocol_version`, or a hello of its own version.
    let alert = b"\x15\x03\x01\x00\x02\x02\x46".to_vec();
    let mut hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x2f\x00");
    let pki = Pki::new();
    let mut untrusted = Vec::new();
    for tls in BOTH {
        for answer in [&alert, &hello] {
            let answer = Action::ReplyThen(answer.clone(), Box::new(Action::Stall));
            let (stage, action) = match tls {
                Tls::Implicit => (Stage::Connect, answer),
                Tls::StartTls => (Stage::StartTls, after_the_220(answer)),
            };
            untrusted.push(UntrustedRelay {
                setup: setup(tls, pki.server("localhost")),
                stage,
                action,
                word: "must enable TLS 1.2 or 1.3",
                connections: 1,
            });
        }
    }
    check_all_get_nothing(&pki, untrusted);
}

/// 220 to STARTTLS and, once the client has started TLS, this.
fn after_the_220(then: Action) -> Action {
    let moment = Action::Delay(Duration::from_millis(200), Box::new(then));
    Action::ReplyThen(b"220 go\r\n".to_vec(), Box::new(moment))
}

#[test]
fn e7_a_missing_or_failed_starttls_sends_nothing_in_clear() {
    let pki = Pki::new();
    let good = || setup(Tls::StartTls, pki.server("localhost"));
    let say = |text: &[u8]| Action::Reply(text.to_vec());
    let relay = |action, word| UntrustedRelay {
        setup: good(),
        stage: Stage::StartTls,
        action,
        word,
        connections: 1,
    };
    let clear = Action::ReplyThen(b"250 AUTH PLAIN\r\n".to_vec(), Box::new(Action::Stall));
    check_all_get_nothing(
        &pki,
        vec![
            // The offer is removed, and AUTH offered in clear.
            UntrustedRelay {
                setup: Setup {
                    tls: None,
                    ..good()
                },
                ..relay(Action::Normal, "does not offer STARTTLS")
            },
            // A temporary refusal is retried, and nothing is sent.
            UntrustedRelay {
                connections: 5,
                ..relay(say(b"454 4.7.0 not now\r\n"), "454 4.7.0 not now")
            },
            relay(say(b"501 5.5.4 no\r\n"), "501 5.5.4 no"),
            relay(after_the_220(clear), "does not use TLS on this port"),
        ],
    );
}

#[test]
fn e8_bytes_injected_after_the_220_are_ignored() {
    let pki = Pki::new();
    let slipped = [
        "250 ok\r\n",
        "250-localhost\r\n250 AUTH PLAIN LOGIN\r\n",
        "250-localhost\r\n250-a\r\n250-b\r\n250-c\r\n250-d\r\n250 AUTH LOGIN\r\n",
        "250",
        "\r\n",
        "x",
    ];
    let untrusted = slipped.into_iter().map(|slipped| UntrustedRelay {
        setup: setup(Tls::StartTls, pki.server("localhost")),
        stage: Stage::StartTls,
        action: Action::Reply(format!("220 go\r\n{slipped}").into_bytes()),
        word: "data that no command asked for",
        connections: 1,
    });
    check_all_get_nothing(&pki, untrusted.collect());
}

#[test]
fn e9_clear_text_instead_of_tls_is_69() {
    let pki = Pki::new();
    let texts = [
        "220 localhost ESMTP\r\n",
        "554 5.7.1 go away\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    let untrusted = texts.into_iter().map(|text| UntrustedRelay {
        setup: setup(Tls::Implicit, pki.server("localhost")),
        stage: Stage::Connect,
        action: Action::ReplyThen(text.into(), Box::new(Action::Stall)),
        word: "does not use TLS on this port",
        connections: 1,
    });
    check_all_get_nothing(&pki, untrusted.collect());
}

#[test]
fn e10_a_truncated_tls_session_in_the_final_reply_is_unknown() {
    let pki = Pki::new();
    let table = [
        ("", "unknown"),
        ("250 2.0.0 o", "unknown"),
        ("250 2.0.0 ok\r", "unknown"),
        ("250 2.0.0 ok\r\n", "accepted"),
    ];
    let mut cases = Vec::new();
    for tls in BOTH {
        for (said, state) in table {
            for end in [
                Action::Close,
                Action::Reset,
                Action::ReplyThenClose(Vec::new()),
            ] {
                cases.push((tls, said, state, end));
            }
        }
    }
    parallel::for_each(6, &cases, |(tls, said, state, end)| {
        let (tls, said, state) = (*tls, *said, *state);
        let answer = Action::ReplyThen(said.into(), Box::new(end.clone()));
        let answer = Action::AcceptThen(Box::new(answer));
        let server = Server::set_up(
            setup(tls, pki.server("localhost")),
            move |call: &Call| match (call.stage, call.recipient) {
                (Stage::Dot, Some("a@a.example")) => answer.clone(),
                _ => Action::Normal,
            },
        );
        let workplace = job(tls, server.port(), &pki);

        let output = workplace.run(&["send"]);

        assert_eq!(
            output.code,
            if state == "unknown" { 3 } else { 0 },
            "{output:?}"
        );
        let states = workplace.states();
        assert_eq!(
            (states[0].1.as_str(), states[1].1.as_str()),
            (state, "accepted")
        );
        oracle::nothing_in_clear(&server);
        oracle::check_settled(&workplace, &server, 2, 1);
    });
}

#[test]
fn e11_an_oversized_certificate_chain_is_bounded() {
    let pki = Pki::new();
    let run = |certificate, code, word| {
        let server = Server::set_up(setup(Tls::Implicit, certificate), |_: &Call| Action::Normal);
        let workplace = job(Tls::Implicit, server.port(), &pki);
        let (output, took, peak) = workplace.send_watched();
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(word), "{output:?}");
        assert_eq!(server.count("AUTH") > 0, code == 0);
        oracle::nothing_in_clear(&server);
        (took, peak)
    };
    let (_, usual) = run(pki.server("localhost"), 0, "");
    run(pki.chained("localhost", 3), 0, "");
    for (certificate, word) in [
        (
            pki.chained("localhost", 99),
            "malformed or not for a server",
        ),
        (pki.bloated("localhost", 50_000), ""),
        (
            pki.bloated("localhost", 1 << 20),
            "certificate chain is too large",
        ),
    ] {
        let code = if word.is_empty() { 0 } else { 69 };
        let (took, peak) = run(certificate, code, word);
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert!(peak <= usual + 2 * 1024, "{peak} KiB, else {usual} KiB");
    }
}

#[test]
fn e12_a_relay_that_moves_is_verified_again() {
    let pki = Pki::new();
    for tls in BOTH {
        let first = Server::set_up(setup(tls, pki.server("localhost")), |_: &Call| {
            Action::Normal
        });
        let mut workplace = job(tls, first.port(), &pki);
        assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0);

        // The name now leads to another server.
        let elsewhere = setup(tls, Pki::new().server("localhost"));
        let impostor = Server::set_up(elsewhere, |_: &Call| Action::Normal);
        point(&mut workplace, tls, impostor.port(), &pki);
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 69, "{output:?}");
        assert_eq!((impostor.count("AUTH"), impostor.count("MAIL")), (0, 0));
        oracle::nothing_in_clear(&impostor);
        let states: Vec<_> = workplace.states().into_iter().map(|it| it.1).collect();
        assert_eq!(states, ["accepted", "pending"]);

        let second = Server::set_up(setup(tls, pki.server("localhost")), |_: &Call| {
            Action::Normal
        });
        point(&mut workplace, tls, second.port(), &pki);
        assert_eq!(workplace.run(&["send"]).code, 0);
        let taken = [first.accepted().len(), second.accepted().len()];
        assert_eq!(taken, [1, 1]);
        assert!(workplace.states().iter().all(|it| it.1 == "accepted"));
    }
}

#[test]
fn r9_each_certificate_error_is_named() {
    let mut pki = Pki::new();
    let issuer = "`CN=access-invite test authority`";
    pki.ca_pem += include_str!("fixtures/certificates/sha1-ca.pem");
    let (short_root, root) = pki.short_root("localhost");
    pki.ca_pem += &root;
    let sha1 = include_bytes!("fixtures/certificates/sha1.pem");
    let unknown = "from an issuer that this machine does not trust";
    let table = [
        (
            pki.common_name_only("localhost"),
            "names no host: it has no subjectAltName, only a common name (`localhost`)",
            "issue one with `subjectAltName = DNS:localhost`",
        ),
        (
            pki.short_key("localhost"),
            "has an RSA key of 1024 bits, which is too short",
            "2,048 to 8,192 bits",
        ),
        (
            pki.short_intermediate("localhost"),
            "the certificate of its issuer has an RSA key of 1024 bits",
            "replace the issuer",
        ),
        (
            short_root,
            "the certificate of its issuer has an RSA key of 1024 bits",
            "replace the issuer",
        ),
        (
            Pki::from_file(sha1),
            "its certificate is signed with SHA-1, which is insecure",
            "reissued with SHA-256",
        ),
        (
            pki.server("mail.contoso.example"),
            "not for `localhost`, but for `mail.contoso.example`",
            "set `smtp.host` to one of its names",
        ),
        (
            pki.server("127.0.0.1"),
            "not for `localhost`, but for `127.0.0.1`",
            "set `smtp.host`",
        ),
        (
            pki.expired("localhost"),
            "expired on 2000-12-31",
            "must renew it",
        ),
        (
            pki.not_yet("localhost"),
            "is not valid before 2100-01-01",
            "this machine's clock",
        ),
        (
            pki.for_clients("localhost"),
            "is not for a server",
            "`extendedKeyUsage = serverAuth`",
        ),
        (
            Pki::self_signed("localhost", true),
            "is for a certificate authority",
            "`basicConstraints = CA:FALSE`",
        ),
        (
            Pki::self_signed("localhost", false),
            unknown,
            "(it is self-signed); set `smtp.ca_file`",
        ),
        (Pki::new().server("localhost"), unknown, issuer),
        (Pki::rekeyed().server("localhost"), unknown, issuer),
    ];
    std::thread::scope(|scope| {
        for tls in BOTH {
            for (certificate, what, fix) in &table {
                let pki = &pki;
                scope.spawn(move || {
                    let server =
                        Server::set_up(setup(tls, certificate.clone()), |_: &Call| Action::Normal);
                    let workplace = job(tls, server.port(), pki);

                    let output = workplace.run(&["send"]);

                    assert_eq!(output.code, 69, "{what}: {output:?}");
                    for part in [what, fix] {
                        assert!(output.stderr.contains(part), "{part}: {output:?}");
                    }
                    assert_eq!((server.count("AUTH"), server.connections()), (0, 1));
                    workplace.all_are("pending");
                    oracle::nothing_in_clear(&server);
                });
            }
        }
    });
}

/// The error for a relay that answers a TLS hello like this.
fn sentence_about(answer: Vec<u8>) -> String {
    let pki = Pki::new();
    let relay = Setup {
        tls: None,
        ..setup(Tls::Implicit, pki.server("localhost"))
    };
    let server = Server::set_up(relay, move |call: &Call| match call.stage {
        Stage::Connect => Action::ReplyThen(answer.clone(), Box::new(Action::Stall)),
        _ => Action::Normal,
    });
    let workplace = job(Tls::Implicit, server.port(), &pki);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert_eq!(server.connections(), 1);
    output.stderr
}

#[test]
fn r16_without_a_common_cipher_suite_the_offers_are_listed() {
    // A server with only RSA key exchange sends the alert `handshake_failure`, or chooses its
    // own suite, here TLS_RSA_WITH_AES_128_GCM_SHA256.
    let alert = b"\x15\x03\x03\x00\x02\x02\x28".to_vec();
    let mut hello = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x9c\x00");
    for answer in [alert, hello] {
        let sentence = sentence_about(answer);
        for part in [
            "no cipher suite in common",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "RSA key exchange and CBC",
        ] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        assert!(!sentence.contains("must enable TLS 1.2"), "{sentence}");
    }
    // Any other alert is named.
    let sentence = sentence_about(b"\x15\x03\x03\x00\x02\x02\x74".to_vec());
    assert!(
        sentence.contains("requires a client certificate"),
        "{sentence}"
    );
    let sentence = sentence_about(b"\x15\x03\x03\x00\x02\x02\x50".to_vec());
    assert!(
        sentence.contains("the alert internal_error (80)"),
        "{sentence}"
    );
}

#[test]
fn r12_plain_text_instead_of_tls_is_quoted_with_the_fix() {
    let sentence = sentence_about(b"220 mail.contoso.example ESMTP\r\n".to_vec());
    assert!(
        sentence.contains(
            "in plain text (\"220 mail.contoso.example ESMTP\"); set `smtp.tls = \"starttls\"`"
        ),
        "{sentence}"
    );
}

#[test]
fn r12_tls_instead_of_plain_text_is_recognised() {
    let pki = Pki::new();
    let alert = b"\x15\x03\x03\x00\x02\x02\x28".to_vec();
    for (action, what) in [
        (Action::Stall, "did not answer within 1 s"),
        (
            Action::ReplyThen(alert, Box::new(Action::Stall)),
            "this port begins with TLS",
        ),
    ] {
        let server = Server::start(move |call: &Call| match call.stage {
            Stage::Banner => action.clone(),
            _ => Action::Normal,
        });
        let mut workplace = job(Tls::StartTls, server.port(), &pki);
        workplace.smtp = workplace
            .smtp
            .replace("{ tls = \"2s\"", "{ banner = \"1s\"");
        workplace.configure();

        let output = workplace.run(&["check", "--connect"]);

        assert_eq!(output.code, 69, "{output:?}");
        for part in [what, "set `smtp.tls = \"implicit\"`"] {
            assert!(output.stderr.contains(part), "{part}: {output:?}");
        }
    }
}
