//! Access tokens from a token endpoint that misbehaves, over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access_invite::config::{ClientAuth, Config, CredentialSource, SecretPlace, SecretSource};
use access_invite::http::Proxies;
use access_invite::oauth::{Credential, MicrosoftApi, OAuthError, Settings, TokenSource};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use jiff::Timestamp;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use tokio::time::{Instant, advance};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::node::{self, CLIENT};
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::PASSWORD;
use crate::support::token_endpoint::{Action, ConnectProxy, TokenEndpoint, aadsts, json, token};

const SECRET: &str = "s3cr3t~Value+with/a blank&more";
const DOCUMENT: &str = include_str!("../docs/microsoft365.md");
const THUMBPRINT: &str = "n5H-VSZmM4zxHrwsPKw097gAKY3Ex4W83ZbqYjftiiU";

/// Within the validity of the certificate in the fixtures.
fn clock() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

fn private(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

/// A client of an endpoint, with its secret in a file of its own.
struct Client {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Client {
    fn of(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = SecretSource {
            key: "smtp.oauth.client_secret_file".into(),
            place: SecretPlace::File(private(folder.path(), "secret", SECRET)),
        };
        let settings = Settings {
            endpoint: format!("{url}/token").parse().unwrap(),
            client_id: "the client".into(),
            credential: Credential::Secret(secret, ClientAuth::Post),
            scope: Some("smtp".into()),
            ca_file: None,
            table: "smtp.oauth",
            url_key: "smtp.oauth.token_url",
        };
        Self { folder, settings }
    }

    fn trusting(mut self, pki: &Pki) -> Self {
        self.settings.ca_file = Some(private(self.folder.path(), "ca.pem", &pki.ca_pem));
        self
    }

    fn source(&self) -> TokenSource {
        self.source_through(&[])
    }

    fn source_through(&self, variables: &[(&str, String)]) -> TokenSource {
        let proxies = Proxies::new(|name| {
            let found = variables.iter().find(|it| it.0 == name);
            found.map(|it| it.1.clone())
        });
        TokenSource::new(self.settings.clone(), proxies, clock).unwrap()
    }
}

/// A configuration with this table, whose secret or certificate stands beside it.
fn configured(table: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    private(folder.path(), "secret", SECRET);
    private(folder.path(), "client.pem", CLIENT);
    let path = folder.path().join("config.toml");
    let common = "campaign = \"spring\"\n[sender]\nfrom = \"access@contoso.example\"\norganization = \"Contoso\"\n[packages.p]\nlink = \"https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11\"\nname = \"Project\"\n[partners]\nfile = \"partners.csv\"\n[ledger]\nfile = \"ledger.sqlite3\"\n[smtp]\nhost = \"smtp.example.com\"\n";
    std::fs::write(&path, format!("{common}{table}")).unwrap();
    let config = Config::load(&path).unwrap();
    (folder, config)
}

fn microsoft(url: &str, credential: &str) -> (tempfile::TempDir, Config) {
    configured(&format!(
        "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"00001111-AAAA-2222-bbbb-3333cccc4444\"\n{credential}\nlogin_url = \"{url}\"\ngraph_url = \"{url}\"\n"
    ))
}

fn form(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_secret_is_sent_as_microsoft_and_other_issuers_expect() {
    let endpoint = TokenEndpoint::start(|_| token("t0ken", 3599));
    let url = endpoint.url();
    let (_folder, config) = microsoft(&url, "client_secret_file = \"secret\"");
    let app = config.microsoft.unwrap();
    for api in [MicrosoftApi::Smtp, MicrosoftApi::Graph] {
        let settings = Settings::microsoft(&app, api);
        let source = TokenSource::new(settings, Proxies::default(), clock).unwrap();
        assert_eq!(source.token().await.unwrap().expose(), "t0ken");
    }
    for auth in ["", "client_auth = \"client_secret_basic\""] {
        let (_folder, config) = configured(&format!(
            "username = \"ada\"\n[smtp.oauth]\ntoken_url = \"{url}/issue?x=1\"\nclient_id = \"the client\"\nclient_secret_file = \"secret\"\nscope = \"mail send\"\n{auth}\n"
        ));
        let Some(CredentialSource::Issuer(issuer)) = config.smtp.login.map(|it| it.credential)
        else {
            panic!("the login has no issuer");
        };
        let settings = Settings::issuer(&issuer);
        let source = TokenSource::new(settings, Proxies::default(), clock).unwrap();
        assert_eq!(source.token().await.unwrap().expose(), "t0ken");
    }

    let requests = endpoint.requests();
    let [smtp, graph, post, basic] = &requests[..] else {
        panic!("{requests:?}")
    };
    let microsoft = |scope| {
        form(&[
            ("grant_type", "client_credentials"),
            ("client_id", "00001111-aaaa-2222-bbbb-3333cccc4444"),
            ("client_secret", SECRET),
            ("scope", scope),
        ])
    };
    let line = "POST /contoso.onmicrosoft.com/oauth2/v2.0/token HTTP/1.1\r\n";
    assert!(smtp.head.starts_with(line), "{}", smtp.head);
    assert_eq!(
        smtp.form,
        microsoft("https://outlook.office365.com/.default")
    );
    assert_eq!(graph.form, microsoft(&format!("{url}/.default")));
    assert_eq!(
        smtp.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(post.head.starts_with("POST /issue?x=1 HTTP/1.1\r\n"));
    let fields = [("grant_type", "client_credentials"), ("scope", "mail send")];
    let sent = [("client_id", "the client"), ("client_secret", SECRET)];
    assert_eq!(post.form, form(&[&fields[..], &sent[..]].concat()));
    assert_eq!(post.header("authorization"), None);
    assert_eq!(basic.form, form(&fields));
    // RFC 6749 §2.3.1: both parts are URL-encoded first.
    let login = BASE64.encode("the+client:s3cr3t%7EValue%2Bwith%2Fa+blank%26more");
    assert_eq!(
        basic.header("authorization"),
        Some(&*format!("Basic {login}"))
    );
}

/// The header, the claims and the signed part of an assertion, whose signature is verified with
/// the certificate.
fn verified(assertion: &str) -> (Value, Value) {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let pem = x509_parser::pem::Pem::iter_from_buffer(CLIENT.as_bytes()).next();
    let der = pem.unwrap().unwrap().contents;
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let key = certificate.public_key().subject_public_key.data.clone();
    let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key);
    let signature = BASE64URL.decode(signature).unwrap();
    key.verify(signed.as_bytes(), &signature).unwrap();
    let decode = |part: &str| serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap();
    (decode(header), decode(claims))
}

#[tokio::test]
async fn a_certificate_signs_an_assertion_that_its_public_key_verifies() {
    let endpoint = TokenEndpoint::start(|_| token("t0ken", 0x7fff));
    let url = endpoint.url();
    let (_folder, config) = microsoft(&url, "certificate_file = \"client.pem\"");
    let settings = Settings::microsoft(&config.microsoft.unwrap(), MicrosoftApi::Smtp);
    for _ in 0..2 {
        let source = TokenSource::new(settings.clone(), Proxies::default(), clock).unwrap();
        source.token().await.unwrap();
    }

    let mut ids = Vec::new();
    for request in endpoint.requests() {
        let mut fields = request.form;
        let assertion = fields.remove("client_assertion").unwrap();
        let id = "00001111-aaaa-2222-bbbb-3333cccc4444";
        let expected = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", "https://outlook.office365.com/.default"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ]);
        assert_eq!(fields, expected);
        let (header, mut claims) = verified(&assertion);
        let expected = serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": THUMBPRINT});
        assert_eq!(header, expected);
        ids.push(claims["jti"].take().as_str().unwrap().to_owned());
        let begin = clock().as_second() - 60;
        let expected = serde_json::json!({
            "aud": format!("{url}/contoso.onmicrosoft.com/oauth2/v2.0/token"),
            "iss": id, "sub": id, "jti": null,
            "nbf": begin, "iat": begin, "exp": begin + 600,
        });
        assert_eq!(claims, expected);
    }
    assert!(ids[0] != ids[1] && ids[0].len() >= 22, "{ids:?}");
}

#[test]
#[ignore = "needs OpenSSL; .ci/run calls it"]
fn openssl_verifies_an_assertion() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = TokenEndpoint::start(|_| token("t0ken", 3599));
    let (folder, config) = microsoft(&endpoint.url(), "certificate_file = \"client.pem\"");
    let settings = Settings::microsoft(&config.microsoft.unwrap(), MicrosoftApi::Smtp);
    let source = TokenSource::new(settings, Proxies::default(), clock).unwrap();
    runtime.block_on(source.token()).unwrap();
    let assertion = endpoint.requests()[0].form["client_assertion"].clone();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("signed"), signed).unwrap();
    std::fs::write(folder.join("sig"), BASE64URL.decode(signature).unwrap()).unwrap();

    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    openssl("x509 -in client.pem -pubkey -noout -out public.pem");
    let verified = openssl(
        "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -verify public.pem -signature sig signed",
    );
    assert_eq!(verified.trim(), "Verified OK");
    let fingerprint = openssl("x509 -in client.pem -noout -fingerprint -sha256");
    let digits = fingerprint.trim().split_once('=').unwrap().1.split(':');
    let bytes: Vec<_> = digits
        .map(|it| u8::from_str_radix(it, 16).unwrap())
        .collect();
    assert_eq!(BASE64URL.encode(bytes), THUMBPRINT);
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_refused_with_the_fix() {
    let certificate = &CLIENT[..CLIENT.find("-----BEGIN PRIVATE").unwrap()];
    let key = &CLIENT[certificate.len()..];
    let pkcs1 = include_str!("fixtures/oauth/pkcs1.pem");
    let encrypted = include_str!("fixtures/oauth/encrypted.pem");
    let encrypted_pkcs1 = include_str!("fixtures/oauth/encrypted-pkcs1.pem");
    let short = include_str!("fixtures/oauth/short.pem");
    let ec = include_str!("fixtures/oauth/ec.pem");
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other = Pki::new().ca_pem;
    let folder = tempfile::tempdir().unwrap();
    let usable = |content: &str, now: fn() -> Timestamp| {
        let path = private(folder.path(), "client.pem", content);
        let settings = Settings {
            credential: Credential::Certificate(path),
            ..Client::of("http://127.0.0.1:1").settings
        };
        TokenSource::new(settings, Proxies::default(), now).map(|_| ())
    };

    for content in [
        CLIENT,
        &format!("{key}{certificate}"),
        &format!("{other}Bag Attributes\n{certificate}{other}{pkcs1}"),
    ] {
        assert_eq!(usable(content, clock), Ok(()));
    }
    let mut texts = String::new();
    let mut note = |title: &str, result: Result<(), OAuthError>| {
        let text = match result {
            Err(OAuthError::Configuration(text) | OAuthError::Permissions(text)) => text,
            other => panic!("{title}: {other:?}"),
        };
        let text = text.replace(&*folder.path().to_string_lossy(), "/job");
        writeln!(texts, "{title}\n  {text}\n").unwrap();
    };
    for (title, content) in [
        ("not PEM", "0\u{1}\u{2}"),
        ("no key", certificate),
        ("no certificate", key),
        ("encrypted", &format!("{certificate}{encrypted}")),
        (
            "encrypted, traditional",
            &format!("{certificate}{encrypted_pkcs1}"),
        ),
        ("1,024 bits", short),
        ("EC", &format!("{certificate}{ec}")),
        (
            "Ed25519",
            &format!("{certificate}{}", ed25519.serialize_pem()),
        ),
        ("of another key", &format!("{other}{key}")),
        (
            "damaged key",
            &CLIENT.replace("\n-----END PRIVATE", "AAAA\n-----END PRIVATE"),
        ),
        ("cut key", &CLIENT[..CLIENT.len() - 40]),
    ] {
        note(title, usable(content, clock));
    }
    note(
        "expired",
        usable(CLIENT, || "2200-01-01T00:00:00Z".parse().unwrap()),
    );
    note(
        "not yet valid",
        usable(CLIENT, || "2020-01-01T00:00:00Z".parse().unwrap()),
    );
    let path = private(folder.path(), "client.pem", CLIENT);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let settings = Settings {
        credential: Credential::Certificate(path),
        ..Client::of("http://127.0.0.1:1").settings
    };
    let open = TokenSource::new(settings, Proxies::default(), clock);
    assert!(matches!(open, Err(OAuthError::Permissions(_))), "{open:?}");
    note("readable by everyone", open.map(|_| ()));
    insta::assert_snapshot!(texts);
}

/// Counts requests and gives each token its number.
fn counting(lifetime: u64) -> (Arc<AtomicUsize>, TokenEndpoint) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let endpoint = TokenEndpoint::start(move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = token(&format!("token-{number}"), lifetime);
        Action::Delay(Duration::from_millis(100), Box::new(answer))
    });
    (count, endpoint)
}

#[tokio::test(start_paused = true)]
async fn one_request_serves_all_callers_until_the_token_is_due() {
    let (count, endpoint) = counting(3600);
    let client = Client::of(&endpoint.url());
    let source = Arc::new(client.source());
    let all = async || {
        let callers = (0..20).map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.unwrap().expose().to_owned() })
        });
        let mut tokens = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            tokens.push(caller.await.unwrap());
        }
        tokens
    };

    assert_eq!(all().await, ["token-1"; 20]);
    advance(Duration::from_secs(3600 - 301)).await;
    assert_eq!(all().await, ["token-1"; 20]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // Five minutes before its end it is renewed, once; nobody else waits for that.
    advance(Duration::from_secs(1)).await;
    let renewed = all().await;
    assert_eq!(
        renewed.iter().filter(|it| *it == "token-2").count(),
        1,
        "{renewed:?}"
    );
    assert_eq!(all().await, ["token-2"; 20]);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_renewed_after_four_fifths_of_its_life() {
    let (count, endpoint) = counting(5);
    let client = Client::of(&endpoint.url());
    let source = client.source();

    for (after, number) in [(0, 1), (3_999, 1), (1, 2), (3_999, 2), (1, 3), (60_000, 4)] {
        advance(Duration::from_millis(after)).await;
        let expected = format!("token-{number}");
        assert_eq!(source.token().await.unwrap().expose(), expected);
    }
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_token_is_replaced_and_an_older_one_changes_nothing() {
    let (count, endpoint) = counting(3600);
    let client = Client::of(&endpoint.url());
    let source = client.source();
    let first = source.token().await.unwrap();

    source.invalidate(&first);
    assert_eq!(source.token().await.unwrap().expose(), "token-2");
    source.invalidate(&first);
    assert_eq!(source.token().await.unwrap().expose(), "token-2");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_leaves_the_token_in_use_until_it_expires() {
    let (count, script) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counter = count.clone();
    let endpoint = TokenEndpoint::start(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => token("first", 3600),
        _ if script.fetch_add(1, Ordering::SeqCst) < 7 => json(503, ""),
        _ => token("second", 3600),
    });
    let client = Client::of(&endpoint.url());
    let source = client.source();
    let requests = || count.load(Ordering::SeqCst);
    source.token().await.unwrap();

    // One request, and the next only half a minute later.
    advance(Duration::from_mins(55)).await;
    for _ in 0..3 {
        assert_eq!(source.token().await.unwrap().expose(), "first");
        assert_eq!(requests(), 2);
    }
    advance(Duration::from_secs(30)).await;
    assert_eq!(source.token().await.unwrap().expose(), "first");
    assert_eq!(requests(), 3);
    // Once it has expired, the outage is an error, after four requests.
    advance(Duration::from_secs(270)).await;
    let error = source.token().await.unwrap_err();
    assert!(matches!(error, OAuthError::Unreachable { .. }), "{error}");
    assert_eq!(requests(), 7);
    assert_eq!(source.token().await.unwrap().expose(), "second");
}

/// The pause after a failed renewal ends with the token at the latest.
#[tokio::test(start_paused = true)]
async fn a_short_lived_token_that_could_not_be_renewed_is_replaced_when_it_expires() {
    let mut answers = vec![token("first", 5), json(503, "")].into_iter();
    let endpoint =
        TokenEndpoint::start(move |_| answers.next().unwrap_or_else(|| token("second", 5)));
    let client = Client::of(&endpoint.url());
    let source = client.source();

    for (after, expected) in [(0, "first"), (4_000, "first"), (1_000, "second")] {
        advance(Duration::from_millis(after)).await;
        assert_eq!(source.token().await.unwrap().expose(), expected);
    }
    assert_eq!(endpoint.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_share_the_failure_of_one_request() {
    let endpoint = TokenEndpoint::start(|_| {
        let refusal = json(401, r#"{"error":"invalid_client"}"#);
        Action::Delay(Duration::from_millis(100), Box::new(refusal))
    });
    let client = Client::of(&endpoint.url());
    let source = Arc::new(client.source());
    let callers = (0..20).map(|_| {
        let source = source.clone();
        tokio::spawn(async move { source.token().await.unwrap_err() })
    });
    for caller in callers.collect::<Vec<_>>() {
        let error = caller.await.unwrap();
        assert!(matches!(error, OAuthError::Configuration(_)), "{error}");
    }
    assert_eq!(endpoint.requests().len(), 1);
    // A caller that comes later makes a request of its own.
    source.token().await.unwrap_err();
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_pause_before_the_next_request_is_what_the_endpoint_asks_for() {
    let busy = |headers: &str| Action::Answer(429, headers.into(), "{}".into());
    let date = "Date: Fri, 01 Jan 2027 00:10:00 GMT\r\n";
    for (answers, expected, succeeds) in [
        // Seconds, a fraction of them, a date by the clock of the endpoint.
        (vec![busy("Retry-After: 7\r\n")], 7_000, true),
        (vec![busy("Retry-After: 2.128\r\n")], 2_128, true),
        (
            vec![busy(&format!(
                "{date}Retry-After: Fri, 01 Jan 2027 00:10:09 GMT\r\n"
            ))],
            9_000,
            true,
        ),
        // Without it the pause doubles.
        (
            vec![busy(""), busy("Retry-After: soon\r\n"), json(500, "")],
            7_000,
            true,
        ),
        (vec![busy(""), busy(""), busy(""), busy("")], 7_000, false),
        (vec![busy("Retry-After: 0\r\n")], 1_000, true),
        // Longer than a caller waits.
        (vec![busy("Retry-After: 121\r\n")], 0, false),
        (
            vec![busy("Retry-After: 100\r\n"), busy("Retry-After: 100\r\n")],
            100_000,
            false,
        ),
    ] {
        let sent = answers.len();
        let mut script = answers.clone().into_iter();
        let endpoint =
            TokenEndpoint::start(move |_| script.next().unwrap_or_else(|| token("t", 3600)));
        let client = Client::of(&endpoint.url());
        let begun = Instant::now();

        let result = client.source().token().await;

        assert_eq!(result.is_ok(), succeeds, "{answers:?}: {result:?}");
        let waited = begun.elapsed().as_millis();
        assert!(
            (expected..expected + 20).contains(&waited),
            "{answers:?}: {waited}"
        );
        assert_eq!(
            endpoint.requests().len(),
            sent + usize::from(succeeds),
            "{answers:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_made_before_the_endpoint_allows_it() {
    let mut script = vec![Action::Answer(
        429,
        "Retry-After: 600\r\n".into(),
        String::new(),
    )]
    .into_iter();
    let endpoint = TokenEndpoint::start(move |_| script.next().unwrap_or_else(|| token("t", 3600)));
    let client = Client::of(&endpoint.url());
    let source = client.source();

    for _ in 0..3 {
        match source.token().await.unwrap_err() {
            OAuthError::Unreachable { retry_after, .. } => {
                assert_eq!(retry_after, Some(Duration::from_mins(10)));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(endpoint.requests().len(), 1);
    advance(Duration::from_mins(10)).await;
    source.token().await.unwrap();
}

/// The error of one request, without what differs from run to run.
async fn error_of(endpoint: &TokenEndpoint, client: &Client) -> (OAuthError, String) {
    let source = client.source().with_deadline(Duration::from_millis(400));
    let error = source.token().await.unwrap_err();
    let text = error
        .to_string()
        .replace(&endpoint.url(), "http://endpoint");
    let kind = match &error {
        OAuthError::Unreachable { .. } => "unreachable",
        OAuthError::Untrusted(_) => "untrusted",
        OAuthError::Configuration(_) => "configuration",
        OAuthError::Permissions(_) => "permissions",
    };
    (error, format!("{kind}: {text}"))
}

fn html(status: u16) -> Action {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    Action::Answer(status, "Content-Type: text/html\r\n".into(), page.into())
}

#[tokio::test]
async fn every_answer_that_is_no_token_has_its_own_error() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let raw = |text: &str| Action::Raw(text.replace("HEAD", head).into_bytes());
    let issue = |fields: &str| json(200, &format!(r#"{{"access_token":"t",{fields}}}"#));
    let refuse = |error: &str| json(400, &format!(r#"{{"error":"{error}"}}"#));
    let moved = "Location: https://elsewhere.example/\r\n";
    let mut texts = String::new();
    for (title, action) in [
        ("it never answers", Action::Stall),
        ("it answers a blank at a time", Action::Drip(format!("{head}X: ").into())),
        ("it answers without end", Action::Drip(format!("{head}Content-Length: 9999\r\n\r\n{{").into())),
        ("it closes the connection", raw("")),
        ("it closes within the headers", raw("HEAD")),
        ("it closes within the body", raw("HEADContent-Length: 99\r\n\r\n{\"access_token\":\"t")),
        ("it cuts JSON", json(200, r#"{"access_token":"t"#)),
        ("it answers nothing", json(200, "")),
        ("it does not speak HTTP", raw("220 smtp.example.com ESMTP\r\n")),
        ("it sends a huge body", json(200, &"x".repeat(300_000))),
        ("it sends huge headers", raw(&format!("HEADX: {}\r\n\r\n", "x".repeat(100_000)))),
        ("it sends other JSON", json(200, r#"{"token":"t"}"#)),
        ("it sends a list", json(200, "[]")),
        ("it sends a web page", html(200)),
        ("it sends a web page with 403", html(403)),
        ("it sends a web page with 502", html(502)),
        ("it sends a page as JSON", json(200, "\n <html>")),
        ("it redirects", Action::Answer(302, moved.into(), String::new())),
        ("it redirects a POST", Action::Answer(307, moved.into(), String::new())),
        ("404", json(404, "")),
        ("403 without a reason", json(403, "")),
        ("429", json(429, "")),
        ("500", json(500, "")),
        ("503 with a reason", json(503, r#"{"error":"temporarily_unavailable","error_description":"maintenance"}"#)),
        ("a refusal with 200", json(200, r#"{"error":"incorrect_client_credentials","error_description":"No."}"#)),
        ("another kind of token", issue(r#""token_type":"mac""#)),
        ("an expired token", issue(r#""expires_in":0"#)),
        ("a wrong lifetime", issue(r#""expires_in":"soon""#)),
        ("a token with a line end", json(200, r#"{"access_token":"t\r\nQUIT"}"#)),
        ("an empty token", json(200, r#"{"access_token":""}"#)),
        ("invalid_client", refuse("invalid_client")),
        ("unauthorized_client", refuse("unauthorized_client")),
        ("unsupported_grant_type", refuse("unsupported_grant_type")),
        ("invalid_scope", refuse("invalid_scope")),
        ("invalid_request", refuse("invalid_request")),
        ("server_error", refuse("server_error")),
        (
            "text for a terminal",
            json(400, &serde_json::json!({"error": "a\u{1b}[31m", "error_description": format!("x\r\n\u{7}y\u{202e} {}", "z".repeat(400))}).to_string()),
        ),
    ] {
        // Two requests would make the test slow; the pause is real here.
        let action = match action {
            Action::Answer(status, headers, body) => {
                Action::Answer(status, format!("{headers}Retry-After: 999\r\n"), body)
            }
            other => other,
        };
        let endpoint = TokenEndpoint::start(move |_| action.clone());
        let client = Client::of(&endpoint.url());
        tokio::time::pause();
        let (_, text) = error_of(&endpoint, &client).await;
        tokio::time::resume();
        assert!(!text.contains(SECRET), "{text}");
        writeln!(texts, "{title}\n  {text}\n").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn each_error_of_microsoft_entra_has_its_own_sentence_and_fix() {
    let known = [
        (
            401,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
        ),
        (
            401,
            "invalid_client",
            7_000_222,
            "The provided client secret keys for app are expired.",
        ),
        (
            401,
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        ),
        (
            400,
            "unauthorized_client",
            700_016,
            "Application with identifier was not found in the directory.",
        ),
        (
            401,
            "unauthorized_client",
            7_000_112,
            "Application is disabled.",
        ),
        (
            401,
            "invalid_client",
            700_027,
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]",
        ),
        (
            401,
            "invalid_client",
            700_027,
            "Client assertion failed signature validation. [Reason - The key used is expired.]",
        ),
        (
            401,
            "invalid_client",
            700_027,
            "Client assertion failed signature validation.",
        ),
        (
            401,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range.",
        ),
        (400, "invalid_request", 90_002, "Tenant not found."),
        (
            400,
            "invalid_request",
            900_023,
            "Specified tenant identifier is neither a valid DNS name, nor a valid external domain.",
        ),
        (
            400,
            "invalid_request",
            90_038,
            "Tenant in another national cloud.",
        ),
        (
            400,
            "invalid_request",
            900_382,
            "Confidential Client is not supported in Cross Cloud request.",
        ),
        (
            400,
            "invalid_request",
            900_432,
            "Confidential Client is not supported in Cross Cloud request.",
        ),
        (
            400,
            "invalid_resource",
            500_011,
            "The resource principal was not found in the tenant.",
        ),
        (
            400,
            "invalid_scope",
            70_011,
            "The provided value for the input parameter 'scope' is not valid.",
        ),
        (400, "invalid_request", 700_022, "More than one resource."),
        (
            400,
            "access_denied",
            53_003,
            "Access has been blocked by Conditional Access policies.",
        ),
        (
            400,
            "invalid_grant",
            50_196,
            "The server terminated an operation because it encountered a client request loop.",
        ),
        (
            503,
            "temporarily_unavailable",
            90_033,
            "A transient error has occurred. Please try again.",
        ),
        (
            400,
            "invalid_request",
            90_024,
            "A transient error has occurred. Please try again.",
        ),
        (
            400,
            "invalid_request",
            90_055,
            "Too many incoming requests.",
        ),
        (
            400,
            "invalid_grant",
            65_001,
            "The user or administrator has not consented.",
        ),
        (
            400,
            "invalid_grant",
            50_034,
            "The user account does not exist in the directory.",
        ),
        (
            400,
            "invalid_grant",
            50_020,
            "User account from identity provider does not exist in tenant.",
        ),
        (
            400,
            "invalid_grant",
            90_072,
            "External user account does not exist in tenant.",
        ),
        (400, "invalid_grant", 500_212, "Outbound policy."),
        (400, "invalid_grant", 500_213, "Inbound policy."),
        (
            400,
            "invalid_request",
            900_144,
            "The request body must contain a parameter.",
        ),
    ];
    let mut texts = String::new();
    for (status, error, code, text) in known {
        let action = match aadsts(status, error, code, text) {
            Action::Answer(status, headers, body) => {
                // Ten minutes behind this machine's clock.
                let headers =
                    format!("{headers}Date: Thu, 31 Dec 2026 23:50:00 GMT\r\nRetry-After: 999\r\n");
                Action::Answer(status, headers, body)
            }
            other => other,
        };
        let endpoint = TokenEndpoint::start(move |_| action.clone());
        let (_folder, config) = microsoft(&endpoint.url(), "certificate_file = \"client.pem\"");
        let settings = Settings::microsoft(&config.microsoft.unwrap(), MicrosoftApi::Smtp);
        let source = TokenSource::new(settings, Proxies::default(), clock).unwrap();
        let error = source.token().await.unwrap_err();
        let documented = DOCUMENT.contains(&format!("AADSTS{code}")) || code == 900_144;
        assert!(documented, "docs/microsoft365.md does not explain {code}");
        let transient = matches!(error, OAuthError::Unreachable { .. });
        assert_eq!(
            transient,
            matches!(code, 90_024 | 90_033 | 90_055),
            "{error}"
        );
        let message = error.to_string();
        let url = format!(
            "{}/contoso.onmicrosoft.com/oauth2/v2.0/token",
            endpoint.url()
        );
        let message = message.replace(&url, "ENDPOINT");
        writeln!(texts, "{code} {text}\n  {message}\n").unwrap();
    }
    insta::assert_snapshot!(texts);
}

/// Every form in which a secret could be shown.
fn assert_hidden(shown: &str, secrets: &[&str]) {
    for secret in secrets {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for form in [(*secret).to_owned(), encoded, BASE64.encode(secret)] {
            assert!(!shown.contains(&form), "{form} is in {shown}");
        }
    }
}

#[tokio::test]
async fn no_error_and_no_debug_output_contains_a_secret_an_assertion_or_a_token() {
    // The endpoint repeats the request in its error.
    let echo = TokenEndpoint::start(|request| {
        let login = request.header("authorization").unwrap_or_default();
        let description = match request.form.get("client_assertion") {
            Some(assertion) => format!("the assertion {assertion}"),
            None => format!("{login} {} {:?}", request.body, request.form),
        };
        let body =
            serde_json::json!({"error": "invalid_request", "error_description": description});
        json(400, &body.to_string())
    });
    let mut client = Client::of(&echo.url());
    let (_, text) = error_of(&echo, &client).await;
    assert_hidden(&text, &[SECRET]);
    assert!(
        text.contains("grant_type=client_credentials") && text.contains('…'),
        "{text}"
    );
    if let Credential::Secret(_, auth) = &mut client.settings.credential {
        *auth = ClientAuth::Basic;
    }
    let (_, text) = error_of(&echo, &client).await;
    let login = "the+client:s3cr3t%7EValue%2Bwith%2Fa+blank%26more";
    assert_hidden(&text, &[SECRET, login]);
    client.settings.credential =
        Credential::Certificate(private(client.folder.path(), "c.pem", CLIENT));
    let (_, text) = error_of(&echo, &client).await;
    let assertion = echo.requests().pop().unwrap().form["client_assertion"].clone();
    assert_hidden(&text, &[&assertion, &assertion[..40]]);

    let endpoint = TokenEndpoint::start(|_| token("the-t0ken", 3600));
    let client = Client::of(&endpoint.url());
    let source = client.source();
    let token = source.token().await.unwrap();
    let shown = format!("{token:?} {source:?} {:?}", client.settings);
    assert_hidden(&shown, &[SECRET, "the-t0ken"]);
}

#[tokio::test]
async fn a_secret_that_is_replaced_is_read_again() {
    let endpoint = TokenEndpoint::start(|_| token("t", 3600));
    let client = Client::of(&endpoint.url());
    let source = client.source();
    let first = source.token().await.unwrap();
    private(client.folder.path(), "secret", "another\n");
    source.invalidate(&first);
    source.token().await.unwrap();

    let sent: Vec<_> = endpoint
        .requests()
        .into_iter()
        .map(|it| it.form["client_secret"].clone())
        .collect();
    assert_eq!(sent, [SECRET, "another"]);
}

#[tokio::test]
async fn tls_is_verified_with_the_roots_of_the_system_and_of_the_file() {
    let pki = Pki::new();
    let mut texts = String::new();
    for (title, tls, trusted, good) in [
        ("trusted", pki.server("127.0.0.1"), true, true),
        ("unknown issuer", pki.server("127.0.0.1"), false, false),
        ("expired", pki.expired("127.0.0.1"), true, false),
        ("not yet valid", pki.not_yet("127.0.0.1"), true, false),
        ("another name", pki.server("login.example"), true, false),
    ] {
        let endpoint = TokenEndpoint::start_with(Some(tls), |_| token("t", 3600));
        let mut client = Client::of(&endpoint.url());
        if trusted {
            client = client.trusting(&pki);
        }
        if good {
            client.source().token().await.unwrap();
            continue;
        }
        let (error, text) = error_of(&endpoint, &client).await;
        assert!(matches!(error, OAuthError::Untrusted(_)), "{error}");
        assert!(endpoint.requests().is_empty());
        let text = text.replace(
            &endpoint.url().replace("http:", "https:"),
            "https://endpoint",
        );
        writeln!(texts, "{title}\n  {text}\n").unwrap();
    }
    // TLS to a server without it.
    let endpoint = TokenEndpoint::start(|_| token("t", 3600));
    let mut client = Client::of(&endpoint.url());
    client.settings.endpoint = format!("{}/token", endpoint.url().replace("http:", "https:"))
        .parse()
        .unwrap();
    tokio::time::pause();
    let (_, text) = error_of(&endpoint, &client).await;
    let text = text.replace(
        &endpoint.url().replace("http:", "https:"),
        "http://endpoint",
    );
    writeln!(texts, "without TLS\n  {text}\n").unwrap();
    insta::assert_snapshot!(texts);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_used_with_its_login_and_its_refusals_are_explained() {
    let pki = Pki::new();
    let tls = pki.server("login.example");
    let endpoint = TokenEndpoint::start_with(Some(tls), |_| token("t", 3600));
    let mut client = Client::of(&endpoint.url()).trusting(&pki);
    let url = endpoint.url().replace("127.0.0.1", "login.example");
    client.settings.endpoint = format!("{url}/token").parse().unwrap();
    let host = url.strip_prefix("https://").unwrap();
    let through = |proxy: &ConnectProxy| {
        let value = format!("http://ada:hunter%40@127.0.0.1:{}", proxy.port());
        client.source_through(&[
            ("HTTPS_PROXY", value),
            ("NO_PROXY", "127.0.0.1, example.org".into()),
        ])
    };

    let proxy = ConnectProxy::start(None);
    through(&proxy).token().await.unwrap();
    let request = proxy.requests().remove(0);
    assert!(
        request
            .head
            .starts_with(&format!("CONNECT {host} HTTP/1.1")),
        "{}",
        request.head
    );
    let login = format!("Basic {}", BASE64.encode("ada:hunter@"));
    assert_eq!(request.header("proxy-authorization"), Some(&*login));
    assert_eq!(endpoint.requests().len(), 1);
    assert_eq!(endpoint.requests()[0].header("proxy-authorization"), None);

    let mut texts = String::new();
    for status in [407, 403, 502] {
        let proxy = ConnectProxy::start(Some(status));
        let error = through(&proxy).token().await.unwrap_err();
        let text = error.to_string();
        assert!(!text.contains("hunter"), "{text}");
        let text = text
            .replace(host, "HOST")
            .replace(&proxy.port().to_string(), "PORT");
        writeln!(texts, "{status}\n  {text}\n").unwrap();
    }
    assert_eq!(endpoint.requests().len(), 1);
    insta::assert_snapshot!(texts);
}

#[tokio::test]
async fn a_host_that_no_proxy_exempts_is_reached_directly() {
    let pki = Pki::new();
    let tls = pki.server("127.0.0.1");
    let endpoint = TokenEndpoint::start_with(Some(tls), |_| token("t", 3600));
    let client = Client::of(&endpoint.url()).trusting(&pki);
    let proxy = ConnectProxy::start(Some(403));
    let proxied = ("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()));

    let exempt = ("NO_PROXY", "127.0.0.0/8".to_owned());
    client
        .source_through(&[proxied.clone(), exempt])
        .token()
        .await
        .unwrap();
    assert!(proxy.requests().is_empty());
    client.source_through(&[proxied]).token().await.unwrap_err();
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_take_the_token_from_the_others() {
    let mut script = vec![Action::Stall].into_iter();
    let endpoint = TokenEndpoint::start(move |_| script.next().unwrap_or_else(|| token("t", 3600)));
    let client = Client::of(&endpoint.url());
    let source = Arc::new(client.source());
    let call = || {
        let source = source.clone();
        tokio::spawn(async move { source.token().await })
    };

    let first = call();
    while endpoint.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = call();
    first.abort();
    assert_eq!(second.await.unwrap().unwrap().expose(), "t");
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_listen_is_unreachable() {
    let closed = ClosedPort::reserve();
    let url = format!("http://127.0.0.1:{}", closed.port());
    let mut client = Client::of(&url);
    client.settings.endpoint.set_query(Some("key=hunter2"));
    let error = client.source().token().await.unwrap_err();

    assert!(matches!(error, OAuthError::Unreachable { .. }), "{error}");
    let expected =
        format!("cannot get an access token from {url}/token: connection refused; check the URL");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn dropping_the_future_ends_the_request() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = TokenEndpoint::start(|_| Action::Stall);
    let client = Client::of(&endpoint.url());
    let source = client.source();
    let begun = std::time::Instant::now();
    runtime.block_on(async {
        let waiting = tokio::time::timeout(Duration::from_millis(300), source.token());
        waiting.await.unwrap_err();
    });
    // It waits for its threads.
    drop(runtime);
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn what_cannot_be_used_is_reported_before_the_first_connection() {
    let refused = |change: fn(&mut Settings), variables: &[(&str, &str)]| {
        let mut settings = Client::of("https://login.example").settings;
        let folder = tempfile::tempdir().unwrap();
        if let Credential::Secret(source, _) = &mut settings.credential {
            source.place = SecretPlace::File(private(folder.path(), "secret", SECRET));
        }
        settings.ca_file = Some(private(folder.path(), "ca.pem", &Pki::new().ca_pem));
        change(&mut settings);
        let proxies = Proxies::new(|name| {
            let found = variables.iter().find(|it| it.0 == name);
            found.map(|it| it.1.to_owned())
        });
        let source = TokenSource::new(settings, proxies, clock).map(|_| ());
        source.map_err(|error| match error {
            OAuthError::Configuration(text) => {
                text.replace(&*folder.path().to_string_lossy(), "/job")
            }
            other => panic!("{other:?}"),
        })
    };

    assert_eq!(refused(|_| {}, &[]), Ok(()));
    let mut texts = String::new();
    let missing: fn(&mut Settings) = |settings| {
        if let Credential::Secret(source, _) = &mut settings.credential {
            source.place = SecretPlace::File("/nowhere/secret".into());
        }
    };
    let unset: fn(&mut Settings) = |settings| {
        if let Credential::Secret(source, _) = &mut settings.credential {
            source.place = SecretPlace::Env("NO_SUCH_VARIABLE".into());
        }
    };
    let no_roots: fn(&mut Settings) = |settings| {
        std::fs::write(settings.ca_file.as_ref().unwrap(), "x").unwrap();
    };
    let damaged: fn(&mut Settings) = |settings| {
        let path = settings.ca_file.as_ref().unwrap();
        let pem = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, pem.replace("-----END", "AAAA-----END")).unwrap();
    };
    let no_file: fn(&mut Settings) = |settings| settings.ca_file = Some("/nowhere/ca.pem".into());
    for (title, change, variables) in [
        ("no secret file", missing, &[][..]),
        ("no secret in the environment", unset, &[]),
        ("no certificates", no_roots, &[]),
        ("a damaged certificate", damaged, &[]),
        ("no file of certificates", no_file, &[]),
        (
            "a SOCKS proxy",
            |_| {},
            &[("ALL_PROXY", "socks5h://127.0.0.1:1080")],
        ),
    ] {
        let text = refused(change, variables).unwrap_err();
        writeln!(texts, "{title}\n  {text}\n").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn tables_that_are_incomplete_or_wrong_are_refused_with_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let good = include_str!("../config.example.toml");
    let id = "client_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\n";
    let microsoft = |lines: &str| ("[microsoft]", format!("[microsoft]\n{lines}"));
    let oauth = |lines: &str| ("[smtp.oauth]", format!("[smtp.oauth]\n{lines}"));
    let mut texts = String::new();
    for (table, lines) in [
        microsoft("tenant = \"contoso.onmicrosoft.com\"\n"),
        microsoft("cloud = \"us\"\n"),
        microsoft(&format!(
            "tenant = \"common\"\n{id}certificate_file = \"c.pem\"\n"
        )),
        microsoft(&format!(
            "tenant = \"contoso\"\n{id}certificate_file = \"c.pem\"\n"
        )),
        microsoft(
            "tenant = \"contoso.example\"\nclient_id = \"access-invite\"\ncertificate_file = \"c.pem\"\n",
        ),
        microsoft(&format!(
            "tenant = \"contoso.example\"\n{id}certificate_file = \"c.pem\"\nclient_secret_env = \"S\"\n"
        )),
        microsoft(&format!(
            "tenant = \"contoso.example\"\n{id}client_secret = \"hunter2\"\n"
        )),
        microsoft(&format!(
            "tenant = \"contoso.example\"\n{id}certificate_file = \"c.pem\"\nlogin_url = \"http://login.example\"\n"
        )),
        microsoft(&format!(
            "tenant = \"contoso.example\"\n{id}certificate_file = \"c.pem\"\ngraph_url = \"https://ada:hunter2@graph.example\"\n"
        )),
        oauth("scope = \"smtp\"\n"),
        oauth(
            "token_url = \"https://a.example/\"\nclient_id = \"a\"\nclient_secret_file = \"a\"\nclient_secret_env = \"b\"\n",
        ),
        oauth(
            "token_url = \"https://a.example/\"\nclient_id = \"a\"\nclient_secret_file = \"a\"\nclient_auth = \"basic\"\n",
        ),
        oauth("token_url = \"http://a.example/\"\nclient_id = \"a\"\nclient_secret_file = \"a\"\n"),
    ] {
        std::fs::write(
            &path,
            good.replacen(&format!("\n{table}\n"), &format!("\n{lines}"), 1),
        )
        .unwrap();
        let text = Config::load(&path).unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let text = text.replace(&*folder.path().to_string_lossy(), "/job");
        writeln!(texts, "{lines}\n{text}\n").unwrap();
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn each_cloud_has_its_own_hosts() {
    for (cloud, login, smtp, graph) in [
        (
            "global",
            "login.microsoftonline.com",
            "outlook.office365.com",
            "graph.microsoft.com",
        ),
        (
            "us-gov",
            "login.microsoftonline.us",
            "outlook.office365.us",
            "graph.microsoft.us",
        ),
        (
            "us-gov-dod",
            "login.microsoftonline.us",
            "outlook-dod.office365.us",
            "dod-graph.microsoft.us",
        ),
        (
            "china",
            "login.partner.microsoftonline.cn",
            "partner.outlook.cn",
            "microsoftgraph.chinacloudapi.cn",
        ),
    ] {
        let (_folder, config) = configured(&format!(
            "[microsoft]\ntenant = \"0000AAAA-1111-2222-3333-444455556666\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\nclient_secret_env = \"S\"\ncloud = \"{cloud}\"\n"
        ));
        let app = config.microsoft.unwrap();
        let token_url =
            format!("https://{login}/0000aaaa-1111-2222-3333-444455556666/oauth2/v2.0/token");
        assert_eq!(app.token_url().as_str(), token_url);
        assert_eq!(app.smtp_scope(), format!("https://{smtp}/.default"));
        assert_eq!(app.graph_scope(), format!("https://{graph}/.default"));
    }
}

#[test]
fn the_tables_that_the_document_shows_are_accepted() {
    let blocks = DOCUMENT.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|it| it.split("```").next());
    let blocks: Vec<_> = blocks.filter(|it| it.contains("[microsoft]")).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let table = &block[block.find("[microsoft]").unwrap()..];
        let (_folder, config) = configured(table);
        assert_eq!(config.microsoft.unwrap().tenant, "contoso.onmicrosoft.com");
    }
}

#[tokio::test]
#[ignore = "needs oidc-provider; .ci/run calls it"]
async fn oidc_provider_accepts_secrets_and_assertions_and_refuses_wrong_ones() {
    let folder = tempfile::tempdir().unwrap();
    let client =
        |id: &str, method: &str| serde_json::json!({"id": id, "method": method, "lifetime": 5});
    let provider = node::issuer(
        None,
        &[
            client("post", "client_secret_post"),
            client("basic", "client_secret_basic"),
            client("certificate", "private_key_jwt"),
        ],
    );
    let url = format!("http://127.0.0.1:{}", provider.port());
    let source = |id: &str, credential: Credential, clock| {
        let mut settings = Client::of(&url).settings;
        settings.endpoint.set_path(node::TOKEN_PATH);
        settings.client_id = id.into();
        settings.credential = credential;
        settings.scope = Some(node::SCOPE.into());
        TokenSource::new(settings, Proxies::default(), clock).unwrap()
    };
    let secret = |text: &str, auth| {
        let name = format!("secret-{}", text.len());
        let place = SecretPlace::File(private(folder.path(), &name, text));
        let key = "smtp.oauth.client_secret_file".into();
        Credential::Secret(SecretSource { key, place }, auth)
    };
    let certificate = || Credential::Certificate(private(folder.path(), "client.pem", CLIENT));
    let late = || Timestamp::now() + jiff::SignedDuration::from_mins(10);

    for (id, credential) in [
        ("post", secret(PASSWORD, ClientAuth::Post)),
        ("basic", secret(PASSWORD, ClientAuth::Basic)),
        ("certificate", certificate()),
    ] {
        let source = source(id, credential, Timestamp::now);
        let first = source.token().await.unwrap();
        assert_eq!(first.expose().split('.').count(), 3, "{id}");
        // It lives for five seconds, and is renewed after four.
        assert_eq!(source.token().await.unwrap().expose(), first.expose());
        tokio::time::sleep(Duration::from_millis(4_100)).await;
        assert_ne!(source.token().await.unwrap().expose(), first.expose());
    }
    for (id, credential, clock) in [
        (
            "post",
            secret("wrong", ClientAuth::Post),
            Timestamp::now as fn() -> Timestamp,
        ),
        (
            "certificate",
            secret(PASSWORD, ClientAuth::Post),
            Timestamp::now,
        ),
        ("certificate", certificate(), late),
        ("nobody", certificate(), Timestamp::now),
    ] {
        let error = source(id, credential, clock).token().await.unwrap_err();
        assert!(
            matches!(error, OAuthError::Configuration(_)),
            "{id}: {error}"
        );
        assert!(
            error.to_string().contains("`invalid_client`"),
            "{id}: {error}"
        );
    }
}
