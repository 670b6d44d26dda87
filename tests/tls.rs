//! TLS under every fault that can be staged, by the ids of the test plan (E1–E12): no credential and
//! no byte of mail leaves before a verified session, as read from the wire; nobody is marked; 69.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use crate::support::{Workplace, oracle};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ServerConfig;

const BOTH: [Tls; 2] = [Tls::Implicit, Tls::StartTls];

/// A relay that wants a login over TLS.
fn setup(tls: Tls, certificate: Arc<ServerConfig>) -> Setup {
    Setup {
        tls: Some((tls, certificate)),
        login: Some(Login {
            mechanisms: "PLAIN LOGIN",
            takes: BASE64.encode(format!("\0ada\0{PASSWORD}")),
            challenge: String::new(),
        }),
        ..Setup::default()
    }
}

/// A job that logs in over TLS at `port`.
fn job(tls: Tls, port: u16, pki: &Pki) -> Workplace {
    let mut workplace = Workplace::new(port);
    point(&mut workplace, tls, port, pki);
    workplace.few_words();
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

/// A relay that cannot be trusted: how it is set up, what it does at its stage, the word that must
/// be said of it, and how often it is asked.
struct Stranger {
    setup: Setup,
    stage: Stage,
    action: Action,
    word: &'static str,
    connections: usize,
}

impl Stranger {
    /// One whose fault is its certificate.
    fn showing(tls: Tls, certificate: Arc<ServerConfig>, word: &'static str) -> Self {
        Self {
            setup: setup(tls, certificate),
            stage: Stage::Rset,
            action: Action::Normal,
            word,
            connections: 1,
        }
    }

    /// Asked once, told nothing, and nobody is marked for it; a relay as it should be then gets all.
    fn gets_nothing(self, pki: &Pki) {
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
        assert!(workplace.states().iter().all(|(_, it)| it == "pending"));
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

fn all_get_nothing(pki: &Pki, strangers: Vec<Stranger>) {
    std::thread::scope(|scope| {
        for stranger in strangers {
            scope.spawn(|| stranger.gets_nothing(pki));
        }
    });
}

#[test]
fn e1_to_e5_a_certificate_that_cannot_be_trusted_gets_no_credential_and_no_mail() {
    let pki = Pki::new();
    let unknown = "from an issuer that this machine does not trust";
    let strangers = BOTH.into_iter().flat_map(|tls| {
        [
            Stranger::showing(tls, pki.expired("localhost"), "expired on"),
            Stranger::showing(tls, pki.not_yet("localhost"), "is not valid before"),
            Stranger::showing(tls, pki.server("other.example"), "not for `localhost`"),
            Stranger::showing(tls, Pki::self_signed("localhost", false), unknown),
            // As `openssl req -x509` makes them.
            Stranger::showing(
                tls,
                Pki::self_signed("localhost", true),
                "that of an authority, as `openssl req -x509` makes them, not of a server",
            ),
            Stranger::showing(tls, Pki::new().server("localhost"), unknown),
            Stranger::showing(tls, Pki::rekeyed().server("localhost"), unknown),
        ]
    });
    all_get_nothing(&pki, strangers.collect());
}

#[test]
fn e6_a_relay_whose_newest_tls_is_1_1_is_left() {
    // What such a server answers: the alert `protocol_version`, or a hello of its own version.
    let alert = b"\x15\x03\x01\x00\x02\x02\x46".to_vec();
    let mut hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x2f\x00");
    let pki = Pki::new();
    let mut strangers = Vec::new();
    for tls in BOTH {
        for answer in [&alert, &hello] {
            let answer = Action::ReplyThen(answer.clone(), Box::new(Action::Stall));
            let (stage, action) = match tls {
                Tls::Implicit => (Stage::Connect, answer),
                Tls::StartTls => (Stage::StartTls, after_the_220(answer)),
            };
            strangers.push(Stranger {
                setup: setup(tls, pki.server("localhost")),
                stage,
                action,
                word: "must enable TLS 1.2 or 1.3",
                connections: 1,
            });
        }
    }
    all_get_nothing(&pki, strangers);
}

/// 220 to STARTTLS and, once the client has begun with TLS, this.
fn after_the_220(then: Action) -> Action {
    let moment = Action::Delay(Duration::from_millis(200), Box::new(then));
    Action::ReplyThen(b"220 go\r\n".to_vec(), Box::new(moment))
}

#[test]
fn e7_where_starttls_is_stripped_refused_or_not_meant_nothing_is_sent_in_clear() {
    let pki = Pki::new();
    let good = || setup(Tls::StartTls, pki.server("localhost"));
    let say = |text: &[u8]| Action::Reply(text.to_vec());
    let stranger = |action, word| Stranger {
        setup: good(),
        stage: Stage::StartTls,
        action,
        word,
        connections: 1,
    };
    let clear = Action::ReplyThen(b"250 AUTH PLAIN\r\n".to_vec(), Box::new(Action::Stall));
    all_get_nothing(
        &pki,
        vec![
            // The offer is taken out, and a login offered in clear.
            Stranger {
                setup: Setup {
                    tls: None,
                    ..good()
                },
                ..stranger(Action::Normal, "does not offer STARTTLS")
            },
            // What is refused for now is asked for again, and gets no more than before.
            Stranger {
                connections: 5,
                ..stranger(say(b"454 4.7.0 not now\r\n"), "454 4.7.0 not now")
            },
            stranger(say(b"501 5.5.4 no\r\n"), "501 5.5.4 no"),
            stranger(after_the_220(clear), "does not speak TLS on this port"),
        ],
    );
}

#[test]
fn e8_what_is_slipped_in_behind_the_220_is_never_believed() {
    let pki = Pki::new();
    let slipped = [
        "250 ok\r\n",
        "250-localhost\r\n250 AUTH PLAIN LOGIN\r\n",
        "250-localhost\r\n250-a\r\n250-b\r\n250-c\r\n250-d\r\n250 AUTH LOGIN\r\n",
        "250",
        "\r\n",
        "x",
    ];
    let strangers = slipped.into_iter().map(|slipped| Stranger {
        setup: setup(Tls::StartTls, pki.server("localhost")),
        stage: Stage::StartTls,
        action: Action::Reply(format!("220 go\r\n{slipped}").into_bytes()),
        word: "data that no command asked for",
        connections: 1,
    });
    all_get_nothing(&pki, strangers.collect());
}

#[test]
fn e9_clear_text_where_tls_comes_first_is_no_relay() {
    let pki = Pki::new();
    let texts = [
        "220 localhost ESMTP\r\n",
        "554 5.7.1 go away\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    let strangers = texts.into_iter().map(|text| Stranger {
        setup: setup(Tls::Implicit, pki.server("localhost")),
        stage: Stage::Connect,
        action: Action::ReplyThen(text.into(), Box::new(Action::Stall)),
        word: "does not speak TLS on this port",
        connections: 1,
    });
    all_get_nothing(&pki, strangers.collect());
}

#[test]
fn e10_a_session_cut_without_a_farewell_inside_the_answer_to_the_dot_is_a_doubt() {
    let pki = Pki::new();
    let table = [
        ("", "unknown"),
        ("250 2.0.0 o", "unknown"),
        ("250 2.0.0 ok\r", "unknown"),
        ("250 2.0.0 ok\r\n", "accepted"),
    ];
    for tls in BOTH {
        for (said, state) in table {
            for end in [
                Action::Close,
                Action::Reset,
                Action::ReplyThenClose(Vec::new()),
            ] {
                let answer = Action::ReplyThen(said.into(), Box::new(end));
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
            }
        }
    }
}

/// How long a run takes, and how much memory at most, in KiB.
fn cost(workplace: &Workplace, code: i32, word: &str) -> (Duration, u64) {
    let start = Instant::now();
    let mut run = workplace.start(&["send"]);
    let mut highest = 0;
    while run.goes_on() {
        highest = highest.max(run.peak().unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = start.elapsed();
    let output = run.wait();
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr.contains(word), "{output:?}");
    (took, highest)
}

#[test]
fn e11_a_chain_of_a_hundred_certificates_and_one_of_a_megabyte_cost_neither_time_nor_memory() {
    let pki = Pki::new();
    let run = |certificate, code, word| {
        let server = Server::set_up(setup(Tls::Implicit, certificate), |_: &Call| Action::Normal);
        let workplace = job(Tls::Implicit, server.port(), &pki);
        let cost = cost(&workplace, code, word);
        assert_eq!(server.count("AUTH") > 0, code == 0);
        oracle::nothing_in_clear(&server);
        cost
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
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(peak <= usual + 2 * 1024, "{peak} KiB, else {usual} KiB");
    }
}

#[test]
fn e12_a_relay_that_moves_is_verified_anew_and_the_rest_goes_on() {
    let pki = Pki::new();
    for tls in BOTH {
        let first = Server::set_up(setup(tls, pki.server("localhost")), |_: &Call| {
            Action::Normal
        });
        let mut workplace = job(tls, first.port(), &pki);
        assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0);

        // The name leads elsewhere now, where somebody else answers to it.
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
fn r9_a_certificate_is_named_for_what_is_wrong_with_it() {
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
            "is that of an authority",
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
                    assert!(workplace.states().iter().all(|(_, it)| it == "pending"));
                    oracle::nothing_in_clear(&server);
                });
            }
        }
    });
}

/// The sentence about a relay that answers the first bytes of TLS like this.
fn sentence_about(answer: Vec<u8>) -> String {
    let pki = Pki::new();
    let stranger = Setup {
        tls: None,
        ..setup(Tls::Implicit, pki.server("localhost"))
    };
    let server = Server::set_up(stranger, move |call: &Call| match call.stage {
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
fn r16_without_a_cipher_suite_in_common_the_offered_ones_are_listed() {
    // A server with RSA key exchange only sends the alert `handshake_failure`, or chooses its
    // own suite all the same, here TLS_RSA_WITH_AES_128_GCM_SHA256.
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
fn r12_a_plain_server_where_tls_comes_first_is_quoted_with_the_fix() {
    let sentence = sentence_about(b"220 mail.contoso.example ESMTP\r\n".to_vec());
    assert!(
        sentence.contains(
            "in plain text (\"220 mail.contoso.example ESMTP\"); set `smtp.tls = \"starttls\"`"
        ),
        "{sentence}"
    );
}

#[test]
fn r12_a_tls_server_where_plain_text_comes_first_is_told_by_its_silence_or_its_alert() {
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
