//! DNS queries, and what `check --connect` says about SPF, DKIM and DMARC of the sender's domain.

#![allow(
    clippy::too_many_lines,
    reason = "a table or a story stays in one place"
)]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::dns::{Dns, Trouble, Zone};
use crate::support::ports::free_ports;
use access_invite::dns::{DnsError, RecordType, Resolver};
use access_invite::finding::{Finding, Severity};
use access_invite::sender_domain::SenderDomain;

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
pub fn in_order() -> Zone {
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
    without_dmarc().txt("_dmarc.contoso.com", text)
}

fn without_dmarc() -> Zone {
    let key = format!("v=DKIM1; p={RSA_2048}");
    outlook()
        .txt(
            "contoso.com",
            "v=spf1 include:spf.protection.outlook.com -all",
        )
        .txt("selector1._domainkey.contoso.com", &key)
}

/// The check, a name, the records, the provider, the configured selectors.
type Case<'c> = (&'c str, &'c str, Zone, Option<&'c str>, &'c [&'c str]);

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
    let cases: Vec<Case> = vec![
        ("spf", "in order", in_order(), MICROSOFT, &[]),
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
        ("dkim", "in order", in_order(), MICROSOFT, &[]),
        ("dkim", "unknown selector", in_order(), None, &[]),
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
            in_order(),
            MICROSOFT,
            &["s1", "s2"],
        ),
        ("dkim", "revoked", dkim("v=DKIM1; p="), None, &["s1"]),
        ("dkim", "1024 bits", key(RSA_1024, ""), None, &["s1"]),
        ("dkim", "test mode", key(RSA_2048, "t=y; "), None, &["s1"]),
        (
            "dkim",
            "two records",
            key(RSA_2048, "").txt("s1._domainkey.contoso.com", "other=1"),
            None,
            &["s1"],
        ),
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
        ("dmarc", "in order", in_order(), MICROSOFT, &[]),
        ("dmarc", "none", without_dmarc(), MICROSOFT, &[]),
        (
            "dmarc",
            "policy none",
            dmarc("v=DMARC1; p=none; adkim=s; aspf=s"),
            MICROSOFT,
            &[],
        ),
        (
            "dmarc",
            "SPF may end in an error",
            spf("v=spf1 include:spf.protection.outlook.com include:gone.net -all")
                .txt("_dmarc.contoso.com", "v=DMARC1; p=reject"),
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
            "no key, and a replaced return path",
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
        writeln!(sheet, "{check}, {case}").unwrap();
        for finding in of_check {
            assert!(finding.severity < Severity::Error);
            let text = finding.text().replace('\n', "\n  ");
            writeln!(sheet, "  {text}").unwrap();
        }
    }
    insta::assert_snapshot!(sheet);
}

#[tokio::test]
async fn a_policy_of_the_organizational_domain_applies_to_its_subdomains() {
    const TOP: (&str, &str) = ("_dmarc.contoso.com", "v=DMARC1; p=reject; sp=quarantine");
    const OWN: (&str, &str) = ("_dmarc.mail.eu.contoso.com", "v=DMARC1; p=none");
    let middle = |text| ("_dmarc.eu.contoso.com", text);
    for (records, expected) in [
        (
            vec![TOP, (TOP.0, "other")],
            "policy `quarantine` at `_dmarc.contoso.com`",
        ),
        (
            vec![TOP, OWN],
            "policy `none` at `_dmarc.mail.eu.contoso.com`",
        ),
        // The parent with the fewest labels, unless another one says that it is the organizational domain.
        (
            vec![TOP, middle("v=DMARC1; p=none")],
            "policy `quarantine` at `_dmarc.contoso.com`",
        ),
        (
            vec![TOP, middle("v=DMARC1; p=none; psd=n")],
            "policy `none` at `_dmarc.eu.contoso.com`",
        ),
        // The record of a public suffix is not that of an organization.
        (
            vec![(TOP.0, "v=DMARC1; p=reject; psd=y")],
            "`mail.eu.contoso.com` has no DMARC record",
        ),
        (
            vec![
                (TOP.0, "v=DMARC1; p=reject; psd=y"),
                middle("v=DMARC1; p=none"),
            ],
            "policy `none` at `_dmarc.eu.contoso.com`",
        ),
    ] {
        let zone = records
            .iter()
            .fold(outlook(), |it, (name, text)| it.txt(name, text));
        let dns = Dns::start(zone);
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
        assert!(dmarc.what.contains(expected), "{expected}: {dmarc}");
    }
}

#[tokio::test]
async fn without_dns_nothing_is_checked_and_nothing_is_waited_for_twice() {
    let dns = Dns::start(Zone::default().trouble("contoso.com", Trouble::Ignore));
    let patience = Duration::from_millis(2_500);
    let resolver = Resolver::with_servers(vec![dns.address()], patience);
    let domain = SenderDomain {
        domain: "contoso.com",
        selectors: &["s1".to_owned(), "s2".to_owned()],
        provider: None,
    };
    let mut found = Vec::new();
    let begun = Instant::now();

    domain.check(&resolver, &mut |it| found.push(it)).await;

    assert!(begun.elapsed() < 2 * patience, "{:?}", begun.elapsed());
    assert_eq!(dns.queries(), (1, 0));
    let checks: Vec<_> = found.iter().map(|it| it.check).collect();
    assert_eq!(checks, ["sender", "spf", "dkim", "dmarc"]);
    assert_eq!(found[0].what, "waiting for DNS about `contoso.com`");
    for finding in &found[1..] {
        let expected = format!(
            "not checked: the DNS server {} did not answer within 2.5 s",
            dns.address()
        );
        assert_eq!(finding.what, expected);
    }
}

/// Ends a program.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "needs dnsmasq; .ci/run calls it"]
async fn a_dns_server_that_this_project_did_not_write_is_understood() {
    let port = free_ports(1)[0];
    let key = format!("v=DKIM1; k=rsa; p={RSA_2048}");
    let (first, second) = key.split_at(200);
    let many =
        (0..60).map(|it| format!("txt-record=many.contoso.com,\"{it} {}\"\n", "y".repeat(240)));
    let settings = format!(
        "no-resolv\nno-hosts\nlisten-address=127.0.0.1\nbind-interfaces\nport={port}\nlocal=/com/\n\
         txt-record=contoso.com,\"MS=ms1\"\n\
         txt-record=contoso.com,\"v=spf1 mx include:spf.contoso.com -all\"\n\
         txt-record=spf.contoso.com,\"v=spf1 ip4:192.0.2.1 -all\"\n\
         txt-record=_dmarc.contoso.com,\"v=DMARC1; p=reject\"\n\
         txt-record=s1._domainkey.contoso.com,\"{first}\",\"{second}\"\n\
         cname=s2._domainkey.contoso.com,s1._domainkey.contoso.com\n\
         mx-host=contoso.com,mx.contoso.com,10\n{}",
        many.collect::<String>()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsmasq.conf");
    std::fs::write(&file, settings).unwrap();
    let server = Command::new("dnsmasq")
        .args(["--keep-in-foreground", "--user=", "--pid-file="])
        .arg(format!("--conf-file={}", file.display()))
        .stderr(Stdio::null())
        .spawn();
    let _server = Stopped(server.unwrap());
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let resolver = Resolver::with_servers(vec![address], Duration::from_secs(5));
    let begun = Instant::now();
    while resolver.txt("contoso.com").await.is_err() {
        assert!(begun.elapsed() < LONG, "dnsmasq does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    assert_eq!(
        resolver.txt("s2._domainkey.contoso.com").await,
        Ok(vec![key])
    );
    assert_eq!(resolver.txt("many.contoso.com").await.unwrap().len(), 60);
    assert_eq!(
        resolver.txt("gone.contoso.com").await,
        Err(DnsError::NoSuchName)
    );
    assert_eq!(resolver.has("contoso.com", RecordType::A).await, Ok(false));
    let domain = SenderDomain {
        domain: "contoso.com",
        selectors: &["s1".to_owned(), "s2".to_owned()],
        provider: None,
    };
    let mut found = Vec::new();
    domain.check(&resolver, &mut |it| found.push(it)).await;
    let found: Vec<_> = found.iter().map(|it| (it.check, it.severity)).collect();
    let ok = ["spf", "dkim", "dkim", "dmarc"].map(|it| (it, Severity::Ok));
    assert_eq!(found, ok);
}
