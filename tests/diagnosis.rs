//! `check --connect`: DNS, the sender's domain, and the steps of the connection.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::Workplace;
use crate::support::dns::{Dns, Trouble, Zone};
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::PASSWORD;
use crate::support::sheet::normalized;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use crate::support::terminal::Terminal;
use crate::support::token_endpoint::{self, TokenEndpoint};
use access_invite::config::{self, Config, Provider};
use access_invite::dns::{DnsError, RecordType, Resolver};
use access_invite::finding::{Finding, Severity};
use access_invite::relay::{Connector, Step};
use access_invite::sender_domain::SenderDomain;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);
const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";
const RSA_2048: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApzQTqf9cOuAvSzQj5WNMi07FJ5Zp2ITsRJ8Tt4dcO3y8Q9Uj45Gx+YQ79oo2vRRb3tglv4axeq0GubeTLjBcVWAYU8nZy+/TPRTo5ugpsofz8Bob0ZEixBGH4XPjpRQpuuGozNcnSm+qFx0H3uPldykVPaM4GRhYrnrtuijrK2ig5sKdUTVF/qpg3SdHczZ2R+eY8GcZEwFzih5dekPNWwrBGKUpwDCh/DU73abbbYOfQMLmYfcQ8EE8BoZvn8BGS1iLBtrEReXInsUyH5ou3b/05kV5mWOkfdcOm2gs5TbUoUxPTPuqro1fsF09JYZwE4ZmYCfHhTwZP/lrdwALMwIDAQAB";

fn resolver(dns: &Dns) -> Resolver {
    Resolver::with_servers(vec![dns.address()], LONG)
}

#[tokio::test]
async fn dns_answers_are_read_over_udp_and_tcp() {
    let long = "x".repeat(3_000);
    let mut zone = Zone::default()
        .txt("contoso.com", "v=spf1 -all")
        .txt("contoso.com", &"0123456789".repeat(25))
        .txt("long.contoso.com", &long)
        .txt("target.net", "found")
        .alias("alias.contoso.com", "target.net")
        .bare_alias("bare.contoso.com", "target.net")
        .alias("dead.contoso.com", "nowhere.net")
        .bare_alias("loop.contoso.com", "loop.net")
        .bare_alias("loop.net", "LOOP.contoso.com")
        .a("host.contoso.com")
        .mx("contoso.com")
        .txt("forged.contoso.com", "genuine")
        .trouble("forged.contoso.com", Trouble::Forge)
        .txt("old.contoso.com", "old")
        .trouble("old.contoso.com", Trouble::OldServer);
    for number in 0..60 {
        let text = format!("{number} {}", "y".repeat(240));
        zone = zone.txt("many.contoso.com", &text);
    }
    let dns = Dns::start(zone);
    let resolver = resolver(&dns);
    let txt = async |name: &str| resolver.txt(name).await;

    // Strings of 100 bytes are joined.
    let expected = vec!["v=spf1 -all".to_owned(), "0123456789".repeat(25)];
    assert_eq!(txt("contoso.com").await, Ok(expected.clone()));
    assert_eq!(txt("CONTOSO.com.").await, Ok(expected));
    assert_eq!(dns.queries(), (2, 0));
    assert_eq!(txt("long.contoso.com").await, Ok(vec![long]));
    assert_eq!(txt("many.contoso.com").await.unwrap().len(), 60);
    assert_eq!(
        dns.queries(),
        (4, 2),
        "a truncated answer is asked for by TCP"
    );

    let found = Ok(vec!["found".to_owned()]);
    assert_eq!(txt("alias.contoso.com").await, found);
    assert_eq!(txt("bare.contoso.com").await, found);
    assert_eq!(txt("dead.contoso.com").await, Err(DnsError::NoSuchName));
    assert_eq!(txt("nowhere.contoso.com").await, Err(DnsError::NoSuchName));
    assert_eq!(txt("loop.contoso.com").await, Err(DnsError::AliasLoop));
    assert_eq!(txt("host.contoso.com").await, Ok(vec![]));
    for (name, kind, expected) in [
        ("host.contoso.com", RecordType::A, true),
        ("host.contoso.com", RecordType::Aaaa, false),
        ("contoso.com", RecordType::Mx, true),
    ] {
        assert_eq!(resolver.has(name, kind).await, Ok(expected), "{name}");
    }
    assert_eq!(txt("forged.contoso.com").await, Ok(vec!["genuine".into()]));
    assert_eq!(txt("old.contoso.com").await, Ok(vec!["old".into()]));
    let not_a_name = DnsError::NotAName("a..b".into());
    assert_eq!(txt("a..b").await, Err(not_a_name));
}

#[tokio::test]
async fn a_dns_server_that_fails_is_named_and_the_next_one_is_asked() {
    let broken = Zone::default()
        .trouble("contoso.com", Trouble::Fail)
        .trouble("refused.com", Trouble::Refuse)
        .trouble("silent.com", Trouble::Ignore)
        .trouble("garbage.com", Trouble::Garbage);
    let broken = Dns::start(broken);
    let good = Dns::start(
        Zone::default()
            .txt("contoso.com", "x")
            .txt("silent.com", "y"),
    );
    let both = vec![broken.address(), good.address()];
    let both = Resolver::with_servers(both, SHORT);
    assert_eq!(both.txt("contoso.com").await, Ok(vec!["x".into()]));
    assert_eq!(both.txt("silent.com").await, Ok(vec!["y".into()]));

    let only = Resolver::with_servers(vec![broken.address()], SHORT);
    for (name, why) in [
        ("contoso.com", "failed (SERVFAIL)"),
        ("refused.com", "refused the query (REFUSED)"),
        ("silent.com", "did not answer within 0.3 s"),
        ("garbage.com", "sent a malformed answer"),
    ] {
        let error = only.txt(name).await.unwrap_err();
        let expected = format!("the DNS server {} {why}", broken.address());
        assert_eq!(error.to_string(), expected);
    }
}

/// All findings about `contoso.com`.
async fn findings(zone: Zone, provider: Option<&str>, selectors: &[&str]) -> Vec<Finding> {
    let dns = Dns::start(zone);
    let selectors: Vec<String> = selectors.iter().map(|it| (*it).to_owned()).collect();
    let domain = SenderDomain {
        domain: "contoso.com",
        selectors: &selectors,
        provider,
    };
    let mut found = Vec::new();
    domain
        .check(&resolver(&dns), &mut |it| found.push(it))
        .await;
    found
}

/// A domain of Microsoft 365 with everything in order.
fn good() -> Zone {
    let key = format!("v=DKIM1; k=rsa; p={RSA_2048}");
    outlook()
        .txt("contoso.com", "MS=ms12345678")
        .txt(
            "contoso.com",
            "v=spf1 include:spf.protection.outlook.com -all",
        )
        .alias(
            "selector1._domainkey.contoso.com",
            "selector1-contoso-com._domainkey.contoso.onmicrosoft.com",
        )
        .txt(
            "selector1-contoso-com._domainkey.contoso.onmicrosoft.com",
            &key,
        )
        .txt(
            "_dmarc.contoso.com",
            "v=DMARC1; p=reject; rua=mailto:dmarc@contoso.com",
        )
}

/// The records of Microsoft.
fn outlook() -> Zone {
    Zone::default().txt(
        "spf.protection.outlook.com",
        "v=spf1 ip4:40.92.0.0/15 ip6:2a01:111:f400::/48 -all",
    )
}

fn spf(text: &str) -> Zone {
    outlook().txt("contoso.com", text)
}

fn dkim(text: &str) -> Zone {
    Zone::default().txt("s1._domainkey.contoso.com", text)
}

fn dmarc(text: &str) -> Zone {
    good_without_dmarc().txt("_dmarc.contoso.com", text)
}

fn good_without_dmarc() -> Zone {
    let key = format!("v=DKIM1; p={RSA_2048}");
    outlook()
        .txt(
            "contoso.com",
            "v=spf1 include:spf.protection.outlook.com -all",
        )
        .txt("selector1._domainkey.contoso.com", &key)
}

#[tokio::test]
async fn each_record_of_the_sender_s_domain_has_its_finding() {
    const MICROSOFT: Option<&str> = Some("microsoft365");
    let chain = |length: usize| {
        let terms: Vec<_> = (0..length).map(|it| format!("include:i{it}.net")).collect();
        let zone = spf(&format!("v=spf1 {} -all", terms.join(" ")));
        (0..length).fold(zone, |zone, it| {
            zone.txt(&format!("i{it}.net"), "v=spf1 ip4:192.0.2.1 -all")
        })
    };
    let key = |bits: &str, flags: &str| dkim(&format!("v=DKIM1; {flags}p={bits}"));
    let cases: Vec<(&str, &str, Zone, Option<&str>, &[&str])> = vec![
        ("spf", "in order", good(), MICROSOFT, &[]),
        ("spf", "no domain", Zone::default(), MICROSOFT, &[]),
        ("spf", "no record", spf("MS=x"), None, &[]),
        (
            "spf",
            "no record, SES",
            spf("MS=x"),
            Some("amazon-ses"),
            &[],
        ),
        (
            "spf",
            "two",
            spf("v=spf1 -all").txt("contoso.com", "v=spf1 mx -all"),
            None,
            &[],
        ),
        ("spf", "syntax", spf("v=spf1 inclde:a.net -all"), None, &[]),
        ("spf", "ten lookups", chain(10), None, &[]),
        ("spf", "eleven lookups", chain(11), None, &[]),
        ("spf", "endless lookups", chain(60), None, &[]),
        (
            "spf",
            "an include of itself",
            spf("v=spf1 include:contoso.com -all"),
            None,
            &[],
        ),
        (
            "spf",
            "an include without record",
            spf("v=spf1 include:gone.net -all"),
            None,
            &[],
        ),
        (
            "spf",
            "an include with a bad record",
            spf("v=spf1 include:bad.net -all").txt("bad.net", "v=spf1 what -all"),
            None,
            &[],
        ),
        (
            "spf",
            "hosts that do not exist",
            spf("v=spf1 a:a.net a:b.net mx:c.net -all"),
            None,
            &[],
        ),
        (
            "spf",
            "hosts that exist",
            spf("v=spf1 a mx a:%{i}.net ?all")
                .a("contoso.com")
                .mx("contoso.com"),
            None,
            &[],
        ),
        (
            "spf",
            "another provider",
            spf("v=spf1 mx -all").mx("contoso.com"),
            MICROSOFT,
            &[],
        ),
        (
            "spf",
            "nested",
            spf("v=spf1 redirect=all.net")
                .txt("all.net", "v=spf1 include:spf.protection.outlook.com ~all"),
            MICROSOFT,
            &[],
        ),
        ("spf", "everyone", spf("v=spf1 +all"), None, &[]),
        ("spf", "nobody", spf("v=spf1 -all"), None, &[]),
        ("spf", "without all", spf("v=spf1 ip4:192.0.2.1"), None, &[]),
        ("dkim", "in order", good(), MICROSOFT, &[]),
        ("dkim", "unknown selector", good(), None, &[]),
        (
            "dkim",
            "none of the usual",
            spf("v=spf1 -all"),
            MICROSOFT,
            &[],
        ),
        (
            "dkim",
            "none of the configured",
            good(),
            MICROSOFT,
            &["s1", "s2"],
        ),
        ("dkim", "revoked", dkim("v=DKIM1; p="), None, &["s1"]),
        ("dkim", "1024 bits", key(RSA_1024, ""), None, &["s1"]),
        ("dkim", "test mode", key(RSA_2048, "t=y; "), None, &["s1"]),
        ("dkim", "damaged", dkim("v=DKIM1; p=MIGf"), None, &["s1"]),
        (
            "dkim",
            "Ed25519",
            key(
                "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                "k=ed25519; ",
            ),
            None,
            &["s1"],
        ),
        ("dmarc", "in order", good(), MICROSOFT, &[]),
        ("dmarc", "none", good_without_dmarc(), MICROSOFT, &[]),
        (
            "dmarc",
            "policy none",
            dmarc("v=DMARC1; p=none; adkim=s; aspf=s"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "syntax",
            dmarc("v=DMARC1; p=block"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "two",
            dmarc("v=DMARC1; p=none").txt("_dmarc.contoso.com", "v=DMARC1; p=reject"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "only SPF",
            spf("v=spf1 include:spf.protection.outlook.com -all")
                .txt("_dmarc.contoso.com", "v=DMARC1; p=quarantine"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "neither",
            spf("v=spf1 -all").txt("_dmarc.contoso.com", "v=DMARC1; p=reject"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "not known",
            spf("v=spf1 ip4:192.0.2.1 -all").txt("_dmarc.contoso.com", "v=DMARC1; p=reject"),
            None,
            &[],
        ),
        (
            "dmarc",
            "SPF of a provider with its own return path",
            spf("v=spf1 include:amazonses.com -all")
                .txt("amazonses.com", "v=spf1 ip4:192.0.2.1 -all")
                .txt("_dmarc.contoso.com", "v=DMARC1; p=quarantine"),
            Some("amazon-ses"),
            &["s1"],
        ),
    ];
    let mut sheet = String::new();
    for (check, case, zone, provider, selectors) in cases {
        let all = findings(zone, provider, selectors).await;
        let of_check: Vec<_> = all.iter().filter(|it| it.check == check).collect();
        assert!(!of_check.is_empty(), "{check}, {case}: {all:?}");
        sheet += &format!("{check}, {case}\n");
        for finding in of_check {
            assert!(finding.severity < Severity::Error);
            sheet += &format!("  {}\n", finding.text().replace('\n', "\n  "));
        }
    }
    insta::assert_snapshot!(sheet);
}

#[tokio::test]
async fn a_policy_of_the_organizational_domain_applies_to_its_subdomains() {
    let dns = Dns::start(good().txt("_dmarc.contoso.com", "other"));
    let domain = SenderDomain {
        domain: "mail.eu.contoso.com",
        selectors: &[],
        provider: None,
    };
    let mut found = Vec::new();
    domain
        .check(&resolver(&dns), &mut |it| found.push(it))
        .await;
    let dmarc = found.iter().find(|it| it.check == "dmarc").unwrap();
    assert!(dmarc.what.contains("at `_dmarc.contoso.com`"), "{dmarc}");
}

#[tokio::test]
async fn without_dns_nothing_is_checked_and_nothing_is_waited_for_twice() {
    let dns = Dns::start(Zone::default().trouble("contoso.com", Trouble::Ignore));
    let resolver = Resolver::with_servers(vec![dns.address()], SHORT);
    let domain = SenderDomain {
        domain: "contoso.com",
        selectors: &["s1".to_owned(), "s2".to_owned()],
        provider: None,
    };
    let mut found = Vec::new();
    let begun = Instant::now();

    domain.check(&resolver, &mut |it| found.push(it)).await;

    assert!(begun.elapsed() < 10 * SHORT, "{:?}", begun.elapsed());
    assert_eq!(dns.queries(), (1, 0));
    let checks: Vec<_> = found.iter().map(|it| it.check).collect();
    assert_eq!(checks, ["spf", "dkim", "dmarc"]);
    for finding in &found {
        let expected = format!(
            "not checked: the DNS server {} did not answer within 0.3 s",
            dns.address()
        );
        assert_eq!(finding.what, expected);
    }
}

#[test]
fn a_size_limit_below_the_largest_message_is_an_error() {
    let setup = Setup {
        offers: vec!["SIZE 2000", "SMTPUTF8"],
        ..Setup::default()
    };
    let relay = Server::set_up(setup, |_: &Call| Action::Normal);
    let mut workplace = Workplace::new(relay.port());
    workplace.limits = "per_minute = 10\nper_day = 15".into();
    workplace.configure();
    workplace.many_partners(20);

    let output = workplace.run(&["check", "--connect"]);

    assert_eq!(output.code, 69, "{output:?}");
    let error = "error: size: the largest message has 10 KB, but the relay accepts only 2 KB\n  fix: shorten";
    assert_eq!(output.stderr.matches(error).count(), 1, "{output:?}");
    for line in [
        "; the relay offers SIZE 2000, SMTPUTF8\n",
        "note: duration: 20 messages: about 25 hours over 2 connections; limits 10 a minute and 15 a day; one run cannot send them all, so later runs continue\n",
        "config.toml is not good: 1 error\n",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert_eq!(relay.count("MAIL"), 0);

    let json = workplace.run(&["check", "--connect", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let size = findings.iter().find(|it| it["check"] == "size").unwrap();
    assert_eq!(
        (&json["ok"], &size["severity"]),
        (&false.into(), &"error".into())
    );
}

#[tokio::test]
async fn every_address_is_tried_as_far_as_the_greeting() {
    let closed = [ClosedPort::reserve(), ClosedPort::reserve()];
    let relays = [Server::accepting(), Server::accepting()];
    let refusing = Server::replying(Stage::Banner, "554 5.7.1 not you");
    let workplace = Workplace::new(relays[0].port());
    let config = Config::load(&workplace.file("config.toml")).unwrap();
    let ports = [
        closed[0].port(),
        relays[0].port(),
        closed[1].port(),
        relays[1].port(),
        refusing.port(),
    ];
    let addresses = ports.map(|it| (Ipv4Addr::LOCALHOST, it).into()).to_vec();
    let connector = Connector::new(&config.smtp, None).unwrap();
    let connector = connector.with_addresses(addresses);
    let mut steps = Vec::new();

    let offered = connector.diagnose(&mut |it| steps.push(it)).await.unwrap();

    assert!(offered.pipelining);
    let steps: Vec<_> = steps
        .iter()
        .map(|it| match it {
            Step::AddressFailed { address, error } => {
                assert!(!error.why.is_empty());
                format!("failed {}", address.port())
            }
            Step::Greeted { address, .. } => format!("greeted {}", address.port()),
            Step::Extensions { .. } => "extensions".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    let [first, second, third, fourth, fifth] = ports;
    assert_eq!(
        steps,
        [
            format!("failed {first}"),
            format!("greeted {second}"),
            "extensions".to_owned(),
            format!("failed {third}"),
            format!("greeted {fourth}"),
            format!("failed {fifth}"),
        ]
    );
    assert_eq!((relays[0].count("EHLO"), relays[1].count("EHLO")), (1, 0));
    assert_eq!((relays[0].count("QUIT"), relays[1].count("QUIT")), (1, 1));
}

/// A script that runs the program where these names and this DNS server are known.
fn in_namespace(workplace: &Workplace, hosts: &str, dns: &Dns) -> [&'static str; 4] {
    workplace.write("hosts", hosts);
    let server = dns.address().ip();
    let options = "options timeout:2 attempts:1";
    workplace.write("resolv.conf", &format!("nameserver {server}\n{options}\n"));
    let mounted =
        "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
    workplace.write("mounted.sh", mounted);
    ["unshare", "--mount", "sh", "mounted.sh"]
}

#[test]
#[ignore = "needs root, for other mounts and port 53; .ci/run calls it"]
fn a_relay_that_dns_does_not_find_is_explained() {
    let zone = Zone::default()
        .txt("empty.contoso.com", "no address")
        .trouble("silent.contoso.com", Trouble::Ignore);
    let dns = Dns::start_at(zone, Ipv4Addr::new(127, 0, 53, 2));
    for (host, words) in [
        (
            "nobody.contoso.com",
            "no such name in DNS (failed to lookup",
        ),
        (
            "empty.contoso.com",
            "the name exists in DNS, but has no address (failed to lookup",
        ),
        (
            "silent.contoso.com",
            "the DNS server failed or did not answer (failed to lookup",
        ),
    ] {
        let mut workplace = Workplace::new(465);
        workplace.smtp = format!("host = \"{host}\"");
        workplace.configure();
        let program = in_namespace(&workplace, "127.0.0.1 localhost\n", &dns);

        let output = workplace.run_under(&program, &["check", "--connect"]);

        assert_eq!(output.code, 69, "{output:?}");
        let expected = format!("error: relay: cannot find the relay `{host}`: {words}");
        assert!(output.stderr.contains(&expected), "{output:?}");
    }
}

/// What a provider's relay offers, as far as its documents or public transcripts show it.
fn offers(provider: &str) -> (Vec<&'static str>, &'static str) {
    match provider {
        "microsoft365" | "microsoft365-gov" => (
            vec![
                "SIZE 157286400",
                "PIPELINING",
                "DSN",
                "ENHANCEDSTATUSCODES",
                "8BITMIME",
                "BINARYMIME",
                "CHUNKING",
                "SMTPUTF8",
            ],
            "LOGIN XOAUTH2",
        ),
        "google-workspace-relay" | "gmail" => (
            vec![
                "SIZE 35882577",
                "8BITMIME",
                "ENHANCEDSTATUSCODES",
                "PIPELINING",
                "CHUNKING",
                "SMTPUTF8",
            ],
            "LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        ),
        _ => (
            vec!["PIPELINING", "8BITMIME", "SIZE 10485760"],
            "PLAIN LOGIN",
        ),
    }
}

/// A token as Microsoft Entra issues it, without a signature that anybody could use.
fn entra_token() -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"typ":"JWT","alg":"RS256"}"#);
    let claims = encode(
        r#"{"aud":"https://outlook.office365.com","appid":"11111111-2222-3333-4444-555555555555","roles":["SMTP.SendAsApp"],"exp":4000000000}"#,
    );
    format!("{header}.{claims}.{}", encode("signature"))
}

#[test]
#[ignore = "needs tmux, and root for other mounts and port 53; .ci/run calls it"]
fn check_connect_of_each_provider_on_a_terminal() {
    let dns = Dns::start_at(good(), Ipv4Addr::new(127, 0, 53, 1));
    let mut sheet = String::new();
    for name in Provider::names() {
        let pki = Pki::new();
        let issuer = TokenEndpoint::start(|_| token_endpoint::token(&entra_token(), 3_599));
        let mut workplace = Workplace::new(1);
        workplace.write("ca.pem", &pki.ca_pem);
        for file in ["password", "client-secret"] {
            workplace.write(file, PASSWORD);
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(workplace.file(file), private).unwrap();
        }
        let login = match name {
            "microsoft365" | "microsoft365-gov" => {
                workplace.extra = format!(
                    "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret_file = \"client-secret\"\nlogin_url = \"{}\"\n",
                    issuer.url()
                );
                "username = \"access@contoso.com\""
            }
            "postfix" => "",
            "amazon-ses" => {
                "region = \"eu-west-1\"\nusername = \"ada\"\npassword_file = \"password\""
            }
            _ => "username = \"ada\"\npassword_file = \"password\"",
        };
        workplace.limits = String::new();
        workplace.smtp = format!("provider = \"{name}\"\nca_file = \"ca.pem\"\n{login}");
        // The host and the TLS mode of the provider, for its double.
        let smtp = configure(&workplace);
        let (offers, mechanisms) = offers(name);
        let tls = match smtp.tls {
            config::Tls::Implicit => Some(Tls::Implicit),
            config::Tls::StartTls => Some(Tls::StartTls),
            config::Tls::None => None,
        };
        let by_token = format!(
            "user=access@contoso.com\x01auth=Bearer {}\x01\x01",
            entra_token()
        );
        let takes = match name {
            "microsoft365" | "microsoft365-gov" => STANDARD.encode(by_token),
            _ => STANDARD.encode(format!("\0ada\0{PASSWORD}")),
        };
        let setup = Setup {
            offers,
            tls: tls.map(|it| (it, pki.server(&smtp.host))),
            login: smtp.login.as_ref().map(|_| Login {
                mechanisms,
                takes,
                ..Login::default()
            }),
            ..Setup::default()
        };
        let relay = Server::set_up(setup, |_: &Call| Action::Normal);
        workplace.smtp = format!(
            "{}\nhello = \"mail.contoso.com\"\nport = {}",
            workplace.smtp,
            relay.port()
        );
        configure(&workplace);
        workplace.many_partners(180);
        let hosts = format!("127.0.0.1 localhost {}\n", smtp.host);
        let program = in_namespace(&workplace, &hosts, &dns).join(" ");
        let command = format!("{program} access-invite check --connect\n");
        workplace.write("diagnose.sh", &command);
        let terminal = Terminal::open(&workplace, 80, 60);

        let screen = terminal.run("sh diagnose.sh");

        let screen = normalized(&workplace, &screen);
        let (_, screen) = screen.split_once('\n').unwrap();
        sheet += &format!("{}\n{name}\n\n{screen}\n\n", "~".repeat(80));
        assert!(
            screen.contains("ok: relay: ready to accept mail"),
            "{screen}"
        );
        assert!(!screen.contains("eyJ"), "a token is shown: {screen}");
        assert_eq!(relay.count("MAIL"), 0);
        assert!(relay.violations().is_empty(), "{:?}", relay.violations());
    }
    insta::assert_snapshot!(sheet);
}

/// Writes the configuration with a sender in public DNS; returns its relay.
fn configure(workplace: &Workplace) -> config::Smtp {
    workplace.configure();
    let path = workplace.file("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("contoso.example", "contoso.com");
    workplace.write("config.toml", &text);
    Config::load(&path).unwrap().smtp
}
