//! Real mail servers of Debian: two hundred partners with every login mechanism, the delivered
//! mail read by two parsers, and real refusals with the right messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::exim::Exim;
use crate::support::peers::{PASSWORD, Peers, USER, make_private, read_twice};
use crate::support::pki::Pki;
use crate::support::{LINK, Output, Workplace};

pub const PARTNERS: usize = 200;
/// Lifetime of a token in seconds.
const LIFE: u32 = 4;

/// A job that sends to `localhost` with the password from a file.
fn job(pki: &Pki, port: u16, lines: &str) -> Workplace {
    let mut workplace = Workplace::new(port);
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.write("password", &format!("{PASSWORD}\n"));
    make_private(&workplace.file("password"));
    workplace.smtp = format!("host = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\n{lines}");
    workplace.retry = "first_after = \"1s\"".into();
    workplace.configure();
    workplace
}

fn by_password(tls: &str) -> String {
    format!("tls = \"{tls}\"\nusername = \"{USER}\"\npassword_file = \"password\"")
}

fn by_token(command: &[String]) -> String {
    format!(
        "tls = \"starttls\"\nconnections = 1\nusername = \"{USER}\"\ntoken_command = {command:?}"
    )
}

/// Two hundred partners in three languages, with names that need encoding.
pub fn two_hundred(workplace: &Workplace) -> BTreeSet<String> {
    let languages = ["en", "fr", "ar"];
    let names = ["Ada", "Élodie Çağlar", "ليلى", "\"Müller, \"\"Mo\"\"\""];
    let mut addresses = BTreeSet::new();
    let mut rows = "email,name,locale\n".to_owned();
    for number in 0..PARTNERS {
        let address = format!("partner.{number}@d{}.example", number % 50);
        let (name, language) = (names[number % 4], languages[number % 3]);
        rows = rows + &address + "," + name + "," + language + "\n";
        addresses.insert(address);
    }
    workplace.write("partners.csv", &rows);
    addresses
}

/// Checks that everybody has the message once, with the link in both parts.
pub fn everybody_has_it(folder: &Path, addresses: &BTreeSet<String>) {
    let messages = read_twice(folder);
    assert_eq!(messages.len(), addresses.len());
    let to: BTreeSet<_> = messages.iter().map(|it| it.to.clone()).collect();
    assert_eq!(&to, addresses);
    let ids: BTreeSet<_> = messages.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), addresses.len());
    for message in &messages {
        assert!(message.text.lines().any(|it| it == LINK), "{message:?}");
        assert!(message.html.contains(LINK), "{message:?}");
    }
    for name in ["Ada", "Élodie Çağlar", "ليلى", "Müller, \"Mo\""] {
        let count = messages.iter().filter(|it| it.name == name).count();
        assert_eq!(count, addresses.len() / 4, "{name}");
    }
}

/// The number of rows in each state.
pub fn count(workplace: &Workplace) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for (_, state) in workplace.states() {
        *count.entry(state).or_default() += 1;
    }
    count
}

pub fn states(table: &[(&str, usize)]) -> BTreeMap<String, usize> {
    table.iter().map(|(it, n)| ((*it).into(), *n)).collect()
}

/// Sends until the greylisted partner is accepted; the unknown one stays rejected.
fn send_until_accepted(workplace: &Workplace) {
    let end = Instant::now() + Duration::from_secs(30);
    while workplace.run(&["send"]).code != 0 {
        assert!(Instant::now() < end, "{:?}", workplace.status());
        std::thread::sleep(Duration::from_millis(500));
    }
    let settled = [("accepted", 2), ("rejected", 1)];
    assert_eq!(count(workplace), states(&settled));
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn postfix_with_dovecot_auth_delivers_to_200_partners() {
    let table = [
        ("STARTTLS", "starttls", "sasl_method=PLAIN"),
        ("IMPLICIT", "implicit", "sasl_method=LOGIN"),
        ("SUBMISSION", "starttls", " method=PLAIN"),
        ("SUBMISSIONS", "implicit", " method=PLAIN"),
    ];
    let peers = Peers::start();
    for (service, tls, method) in table {
        let workplace = job(&peers.pki, peers.port(service), &by_password(tls));
        let addresses = two_hundred(&workplace);
        let logins = peers.log().matches(method).count();

        let output = workplace.run(&["send"]);

        let said = (output.code, output.stderr.as_str());
        assert_eq!(said, (0, ""), "{service}: {output:?}");
        let folder = peers.mail(PARTNERS);
        everybody_has_it(&folder, &addresses);
        assert_eq!(count(&workplace), states(&[("accepted", PARTNERS)]));
        assert!(peers.log().matches(method).count() > logins, "{service}");

        let again = workplace.run(&["send"]);
        assert_eq!(again.code, 0, "{service}: {again:?}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), PARTNERS);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// At the hundredth recipient the relay closes the connection, after the token has expired.
fn hang_up_halfway(peers: &Peers) {
    let mut asked = 0;
    peers.policy.answers(move |_| {
        asked += 1;
        if asked != PARTNERS / 2 {
            return "DUNNO".into();
        }
        std::thread::sleep(Duration::from_secs(u64::from(LIFE) + 1));
        "421 4.3.2 come again".into()
    });
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn an_expired_token_is_fetched_again_for_postfix() {
    let peers = Peers::start();
    let lines = by_token(&peers.token_command(LIFE));
    let workplace = job(&peers.pki, peers.port("STARTTLS"), &lines);
    let addresses = two_hundred(&workplace);
    hang_up_halfway(&peers);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    everybody_has_it(&peers.mail(PARTNERS), &addresses);
    assert_eq!(count(&workplace), states(&[("accepted", PARTNERS)]));
    let runs = std::fs::read_to_string(workplace.file("runs")).unwrap();
    let ends: Vec<u64> = runs.lines().map(|it| it.parse().unwrap()).collect();
    assert_eq!(ends.len(), 2, "a token a connection");
    assert!(ends[1] > ends[0] + u64::from(LIFE), "not expired: {ends:?}");
    let log = peers.log();
    assert_eq!(log.matches("sasl_method=XOAUTH2").count(), PARTNERS);
    assert_eq!(log.matches("authentication failed").count(), 0);
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_permanently_expired_token_ends_after_one_attempt() {
    let peers = Peers::start();
    // A program that wrongly keeps its first token.
    let fresh = peers.token_command(LIFE).join(" ");
    let keeps = format!("test -f kept || {fresh} >kept; cat kept");
    let lines = by_token(&["sh".into(), "-c".into(), keeps]);
    let workplace = job(&peers.pki, peers.port("STARTTLS"), &lines);
    two_hundred(&workplace);
    hang_up_halfway(&peers);
    let refused = |output: &Output, attempts: usize| {
        assert_eq!(output.code, 69, "{output:?}");
        for word in ["about the token", "status 401", "schemes bearer"] {
            assert!(output.stderr.contains(word), "{word}: {output:?}");
        }
        let log = peers.log();
        let failed = log.matches("SASL XOAUTH2 authentication failed").count();
        assert_eq!(failed, attempts, "one attempt a run");
        assert!(log.contains("Token has expired"), "{log}");
        let half = [("accepted", 99), ("pending", 101)];
        assert_eq!(count(&workplace), states(&half));
    };

    refused(&workplace.run(&["send"]), 1);
    refused(&workplace.run(&["send"]), 2);

    peers.mail(PARTNERS / 2 - 1);
    // The token of that program, which no other file may contain.
    std::fs::remove_file(workplace.file("kept")).unwrap();
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_postfix_550_is_rejected_and_a_greylist_ends_accepted() {
    let peers = Peers::start();
    let workplace = job(&peers.pki, peers.port("STARTTLS"), &by_password("starttls"));
    workplace.partners(&["ada@a.example", "gone@b.example", "grey@c.example"]);
    let mut seen: Option<Instant> = None;
    peers.policy.answers(move |recipient| {
        let grey = recipient.starts_with("grey");
        if grey && seen.get_or_insert_with(Instant::now).elapsed() < Duration::from_secs(3) {
            return "450 4.2.0 Greylisted, see http://postgrey.example/".into();
        }
        "DUNNO".into()
    });

    let first = workplace.run(&["send"]);

    assert_eq!(first.code, 1, "{first:?}");
    for word in ["gone@b.example", "550 5.1.1", "User unknown"] {
        assert!(first.stderr.contains(word), "{word}: {first:?}");
    }
    let mixed = [("accepted", 1), ("deferred", 1), ("rejected", 1)];
    assert_eq!(count(&workplace), states(&mixed));
    let grey = workplace.run(&["status", "grey@c.example"]).stdout;
    assert!(
        grey.contains("450 4.2.0") && grey.contains("Greylisted"),
        "{grey}"
    );

    let early = workplace.run(&["send"]);
    let said = (early.code, early.stdout.as_str(), early.stderr.as_str());
    assert_eq!(said, (75, "", ""), "not due, or grey still");

    send_until_accepted(&workplace);
    let messages = read_twice(&peers.mail(2));
    let to: Vec<_> = messages.iter().map(|it| it.to.as_str()).collect();
    assert_eq!(to, ["ada@a.example", "grey@c.example"]);
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_message_above_the_postfix_size_limit_is_not_sent() {
    let peers = Peers::start();
    // If the limit is announced, no larger message is offered.
    let workplace = job(&peers.pki, peers.port("SMALL"), &by_password("starttls"));
    workplace.partners(&["ada@a.example"]);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    let words = "accepts messages of at most 1500 bytes";
    assert!(output.stderr.contains(words), "{output:?}");
    assert_eq!(workplace.state(), "pending");

    // If it is not, the relay refuses the message after the body.
    let workplace = job(&peers.pki, peers.port("QUIET"), &by_password("starttls"));
    workplace.partners(&["ada@a.example"]);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 75, "{output:?}");
    assert!(output.stderr.contains("552 5.3.4"), "{output:?}");
    assert_eq!(workplace.state(), "deferred");

    // The same refusal for everybody concerns the message.
    workplace.partners(&["bob@b.example", "eva@e.example", "joe@j.example"]);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(output.stderr.contains("552 5.3.4"), "{output:?}");
    assert_eq!(count(&workplace), states(&[("deferred", 4)]));
    assert!(!peers.file("mail/all").exists());
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn dovecot_submission_accepts_login_and_renewed_tokens() {
    let peers = Peers::with("login xoauth2", "Dovecot (Debian) ready.");
    let workplace = job(
        &peers.pki,
        peers.port("SUBMISSIONS"),
        &by_password("implicit"),
    );
    let addresses = two_hundred(&workplace);
    let output = workplace.run(&["send"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let folder = peers.mail(PARTNERS);
    everybody_has_it(&folder, &addresses);
    assert!(peers.log().contains(" method=LOGIN"));
    std::fs::remove_dir_all(&folder).unwrap();

    let lines = by_token(&peers.token_command(LIFE));
    let workplace = job(&peers.pki, peers.port("SUBMISSION"), &lines);
    let addresses = two_hundred(&workplace);
    hang_up_halfway(&peers);
    let output = workplace.run(&["send"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    everybody_has_it(&peers.mail(PARTNERS), &addresses);
    let log = peers.log();
    assert_eq!(log.matches(" method=XOAUTH2").count(), 2);
}

/// Dovecot 2.3 crashes on an envelope that is pipelined behind a final dot, and the reply is lost.
#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_relay_that_crashes_on_pipelining_costs_one_unknown() {
    let peers = Peers::with("plain", "ready");
    let workplace = job(
        &peers.pki,
        peers.port("SUBMISSION"),
        &by_password("starttls"),
    );
    two_hundred(&workplace);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 3, "{output:?}");
    let undecided = [("accepted", PARTNERS - 1), ("unknown", 1)];
    assert_eq!(count(&workplace), states(&undecided));
    assert_eq!(peers.log().matches("Panic: ").count(), 1);
    peers.mail(PARTNERS);
}

/// A certificate of an unknown issuer, which gets no password, then a wrong password: one
/// attempt, an error with `words`, and nobody marked.
fn check_refused_login(
    workplace: &Workplace,
    pki: &Pki,
    attempts: impl Fn() -> usize,
    words: &str,
) {
    let before = attempts();

    workplace.write("ca.pem", &Pki::new().ca_pem);
    let untrusted = workplace.run(&["send"]);
    assert_eq!(untrusted.code, 69, "{untrusted:?}");
    let issuer = "an issuer that this machine does not trust";
    assert!(untrusted.stderr.contains(issuer), "{untrusted:?}");
    assert_eq!(attempts(), before, "no login: {untrusted:?}");

    workplace.write("ca.pem", &pki.ca_pem);
    workplace.write("password", "wrong-p4ssword\n");
    let refused = workplace.run(&["send"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.stderr.contains(words), "{refused:?}");
    assert_eq!(attempts(), before + 1, "one attempt: {refused:?}");
    assert_eq!(count(workplace), states(&[("pending", 3)]));
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_wrong_password_or_unknown_issuer_is_69_on_real_relays() {
    let peers = Peers::start();
    let table = [
        ("STARTTLS", "starttls"),
        ("IMPLICIT", "implicit"),
        ("SUBMISSION", "starttls"),
        ("SUBMISSIONS", "implicit"),
    ];
    for (service, tls) in table {
        let workplace = job(&peers.pki, peers.port(service), &by_password(tls));
        workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
        let attempts = || {
            peers
                .log()
                .to_lowercase()
                .matches("password mismatch")
                .count()
        };
        check_refused_login(&workplace, &peers.pki, attempts, "535 5.7.8");
    }
    assert!(!peers.file("mail/all").exists());
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn exim_delivers_to_200_partners_by_plain_and_login() {
    let exim = Exim::start();
    let table = [
        ("STARTTLS", "starttls", "A=plain:"),
        ("IMPLICIT", "implicit", "A=login:"),
    ];
    for (service, tls, method) in table {
        let workplace = job(&exim.pki, exim.port(service), &by_password(tls));
        let addresses = two_hundred(&workplace);

        let output = workplace.run(&["send"]);

        let said = (output.code, output.stderr.as_str());
        assert_eq!(said, (0, ""), "{service}: {output:?}");
        let folder = exim.mail(PARTNERS);
        everybody_has_it(&folder, &addresses);
        assert_eq!(count(&workplace), states(&[("accepted", PARTNERS)]));
        let arrived = exim.log();
        let arrived = arrived.lines().filter(|it| it.contains(" <= "));
        let arrived = arrived.filter(|it| it.contains(method) && it.contains("X=TLS1.3"));
        assert_eq!(arrived.count(), PARTNERS, "{service}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn refusals_of_exim_have_the_right_state_and_message() {
    let exim = Exim::start();
    let to = |service: &str, tls: &str| job(&exim.pki, exim.port(service), &by_password(tls));

    // An unknown address, and a greylisted one.
    let workplace = to("STARTTLS", "starttls");
    workplace.partners(&["ada@a.example", "gone@b.example", "grey@c.example"]);
    let first = workplace.run(&["send"]);
    assert_eq!(first.code, 1, "{first:?}");
    for words in [
        "rejected: gone@b.example: 550",
        "deferred: grey@c.example: 451",
    ] {
        assert!(first.stderr.contains(words), "{words}: {first:?}");
    }
    let mixed = [("accepted", 1), ("deferred", 1), ("rejected", 1)];
    assert_eq!(count(&workplace), states(&mixed));
    send_until_accepted(&workplace);
    let messages = read_twice(&exim.mail(2));
    let arrived: Vec<_> = messages.iter().map(|it| it.to.as_str()).collect();
    assert_eq!(arrived, ["ada@a.example", "grey@c.example"]);

    // A message above an announced limit is not offered; above another limit it is refused.
    let workplace = to("SMALL", "starttls");
    workplace.partners(&["ada@a.example"]);
    let large = workplace.run(&["send"]);
    assert_eq!((large.code, workplace.state().as_str()), (69, "pending"));
    let words = "accepts messages of at most 1500 bytes";
    assert!(large.stderr.contains(words), "{large:?}");
    let workplace = to("QUIET", "starttls");
    workplace.partners(&["ada@a.example"]);
    let large = workplace.run(&["send"]);
    assert_eq!((large.code, workplace.state().as_str()), (75, "deferred"));
    assert!(large.stderr.contains("552 5.3.4"), "{large:?}");

    // A certificate of an unknown issuer, and a wrong password: one attempt, nobody marked.
    for (service, tls) in [("STARTTLS", "starttls"), ("IMPLICIT", "implicit")] {
        let workplace = to(service, tls);
        workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
        let attempts = || exim.log().matches("Incorrect authentication data").count();
        let words = "it replied \"535 Incorrect authentication data\"; the relay requires a login";
        check_refused_login(&workplace, &exim.pki, attempts, words);
    }
}
