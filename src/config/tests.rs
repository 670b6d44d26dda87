use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::testing::GOOD;
use super::*;
use crate::address::Address;
use crate::locale::Locale;
use crate::outcome::Phase;

fn load(source: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, source).unwrap();
    Config::load(&path).map_err(|failure| {
        let expected = matches!(
            failure,
            ConfigError::Invalid(_) | ConfigError::NotFilledIn(..)
        );
        assert!(expected, "{failure}");
        failure
            .to_string()
            .replace(&*folder.path().to_string_lossy(), "")
    })
}

/// `GOOD` with `line` right below the header of `table`.
fn with(table: &str, line: &str) -> String {
    if GOOD.contains(&format!("[{table}]")) {
        GOOD.replace(&format!("[{table}]"), &format!("[{table}]\n{line}"))
    } else {
        format!("{GOOD}[{table}]\n{line}\n")
    }
}

#[test]
fn required_keys_suffice_and_others_have_defaults() {
    let config = load(GOOD).unwrap();

    assert_eq!(config.smtp.port, 465);
    assert_eq!(config.smtp.tls, Tls::Implicit);
    assert_eq!(config.smtp.connections, 2);
    assert_eq!(config.limits.per_minute, 30);
    assert_eq!(config.limits.per_day, 10_000);
    assert_eq!(config.limits.new_per_run, 500);
    assert!(config.limits.only_to.is_none());
    assert_eq!(
        config.retry.first_after,
        jiff::SignedDuration::from_mins(30)
    );
    assert_eq!(config.partners.bad_rows, BadRows::Refuse);
    assert_eq!(config.smtp.deadlines.of(Phase::Dot).as_secs(), 600);
    assert!(config.templates.directory.ends_with("templates"));
    assert_eq!(
        config.sender.reply_address().as_written(),
        "access@contoso.example"
    );
}

#[test]
fn localized_text_falls_back_to_the_default_locale() {
    let config = load(GOOD).unwrap();
    let en = Locale::parse("en").unwrap();
    let name = |tag: &str| {
        let locale = Locale::parse(tag).unwrap();
        config.packages[0]
            .name
            .in_locale(&locale, &en)
            .map(str::to_owned)
    };

    assert_eq!(name("fr-CA").as_deref(), Some("Espace projet"));
    assert_eq!(name("ja").as_deref(), Some("Project space"));
}

#[test]
fn all_errors_are_reported_with_line_and_nearest_key() {
    let source = GOOD
        .replace("organization", "organisation")
        .replace("host =", "port = \"465\"\nhots =");

    let error = load(&source).unwrap_err();

    for part in [
        "/config.toml:5:1: unknown key `sender.organisation`",
        "did you mean `organization`?",
        "`sender.organization` is missing",
        "/config.toml:12:8: `smtp.port` must be a whole number from 1 to 65535, not \"465\"",
        "^^^^^",
        "unknown key `smtp.hots`",
        "did you mean `host`?",
        "`smtp.host` is missing",
    ] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
}

#[test]
fn impossible_values_are_refused_each_with_its_reason() {
    let table = [
        (
            "smtp",
            "tls = \"ssl\"",
            "must be \"implicit\" or \"starttls\" or \"none\", not \"ssl\"",
        ),
        ("smtp", "tls = \"none\"", "for a relay on this machine only"),
        ("smtp", "connections = 0", "from 1 to 100"),
        ("smtp", "deadlines = { dot = \"5s\" }", "at least \"60s\""),
        (
            "smtp",
            "deadlines = { dots = \"5m\" }",
            "did you mean `dot`?",
        ),
        ("limits", "per_minute = -1", "from 1 to 1000000"),
        ("limits", "only_to = [\"contoso\"]", "it has no `@`"),
        ("retry", "first_after = \"soon\"", "a time span such as"),
        ("retry", "first_after = \"9h\"", "must not be shorter than"),
        (
            "templates",
            "default_locale = \"klingon language\"",
            "must be a locale",
        ),
        ("partners", "delimiter = \"|\"", "must be \"auto\" or"),
        (
            "partners",
            "encoding = \"ansi\"",
            "must be \"auto\" or the name of an encoding such as \"utf-8\"",
        ),
        ("partners", "encoding = \"hz-gb-2312\"", "must be \"auto\""),
        ("partners", "encoding = 1252", "a text, not 1252"),
        ("partners", "bad_rows = true", "not true"),
        (
            "packages.project",
            "respond_by = \"31.12.2099\"",
            "a date such as",
        ),
        ("sender", "reply_to = \"nobody\"", "must be a mailbox"),
        ("sender", "contact = \"a\\nb\"", "must be one line"),
        (
            "sender",
            "dkim_selectors = [\"s1\", \"s 2\"]",
            "must be a DKIM selector such as \"selector1\", not \"s 2\"",
        ),
    ];

    for (table, line, reason) in table {
        let error = load(&with(table, line)).expect_err(line);
        assert!(
            error.contains(reason),
            "{line}: {reason:?} is not in\n{error}"
        );
    }
}

#[test]
fn encoding_is_found_by_any_label() {
    let encoding = |name: &str| {
        let line = format!("encoding = \"{name}\"");
        let config = load(&with("partners", &line)).expect(name);
        config.partners.encoding.map(encoding_rs::Encoding::name)
    };

    assert_eq!(encoding("auto"), None);
    for (label, name) in [
        ("UTF8", "UTF-8"),
        ("utf-16le", "UTF-16LE"),
        ("latin1", "windows-1252"),
        ("cp1252", "windows-1252"),
        ("Shift_JIS", "Shift_JIS"),
        ("gbk", "GBK"),
    ] {
        assert_eq!(encoding(label), Some(name), "{label}");
    }
}

#[test]
fn line_that_may_contain_a_secret_is_not_printed() {
    let sources = [
        with("smtp", "password = \"hunter2\""),
        with("smtp", "passwort = \"hunter2\""),
        with("smtp", "password = hunter2"),
        with("smtp", "token_command = \"hunter2"),
        with("smtp", "password = \"\"\"\nhunter2\\q\n\"\"\""),
        with("smtp", "api_key = 'hunter2'"),
    ];

    for source in sources {
        let error = load(&source).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn two_packages_with_one_id_are_refused() {
    let twin = "[packages.twin]\nname = \"Twin\"\nlink = \"https://myaccess.microsoft.com/@other.example#/access-packages/8E1F8F5A-2F0B-4F0E-9A67-3C6C1D9C0B11\"\n";

    let error = load(&format!("{GOOD}{twin}")).unwrap_err();

    assert!(
        error.contains("same access package id as `packages.project`"),
        "{error}"
    );
}

#[test]
fn f7_two_columns_under_one_header_are_refused() {
    for (columns, error) in [
        (
            "name = \"Contact\", organization = \"CONTACT\"",
            "`partners.columns.name` and `partners.columns.organization` are the same header, `CONTACT`; set each to a header of its own",
        ),
        (
            "email = \"Mail\", package = \"mail\"",
            "`partners.columns.email` and `partners.columns.package` are the same header, `mail`;",
        ),
        // The header of the addresses, although nobody names it.
        (
            "name = \"Email\"",
            "`partners.columns.email` and `partners.columns.name` are the same header, `Email`;",
        ),
    ] {
        let told = load(&with("partners", &format!("columns = {{ {columns} }}"))).unwrap_err();
        assert!(told.contains(error), "{told}");
    }

    let moved = load(&with(
        "partners",
        "columns = { email = \"name\", name = \"email\" }",
    ));
    assert!(moved.is_ok(), "{moved:?}");
}

#[test]
fn dkim_selectors_are_labels_of_a_dns_name() {
    let load = |selector: &str| load(&with("sender", &format!("dkim_selectors = [{selector:?}]")));
    for good in ["selector1", "s1.eu", "20230601", "a-b_c", &"a".repeat(63)] {
        assert_eq!(load(good).unwrap().sender.dkim_selectors, [good]);
    }
    for wrong in [
        "",
        ".",
        "a..b",
        "a b",
        "ä",
        "s1._domainkey.contoso.com",
        &"a".repeat(64),
    ] {
        let error = load(wrong).unwrap_err();
        assert!(error.contains("sender.dkim_selectors"), "{wrong}: {error}");
    }
}

#[test]
fn only_to_allows_domains_and_addresses_in_any_case() {
    let config = load(&with(
        "limits",
        "only_to = [\"@Contoso.example\", \"Ada@fabrikam.example\"]",
    ))
    .unwrap();
    let allowed = |text: &str| config.limits.allow(&Address::parse(text).unwrap());

    assert!(allowed("bob@contoso.EXAMPLE"));
    assert!(allowed("ada@fabrikam.example"));
    assert!(!allowed("bob@fabrikam.example"));
    assert!(!allowed("bob@x.contoso.example"));

    let nobody = load(&with("limits", "only_to = []")).unwrap();
    assert!(
        !nobody
            .limits
            .allow(&Address::parse("bob@contoso.example").unwrap())
    );
}

#[test]
fn a_login_is_a_name_and_one_credential_over_tls() {
    let password = |key: &str, place| {
        let key = format!("smtp.{key}");
        CredentialSource::Password(SecretSource { key, place })
    };
    let credentials = [
        (
            "password_env = \"E\"",
            password("password_env", SecretPlace::Env("E".into())),
        ),
        (
            "password_credential = \"c\"",
            password("password_credential", SecretPlace::Credential("c".into())),
        ),
        (
            "token_command = \"t\"",
            CredentialSource::TokenCommand(vec!["t".into()]),
        ),
        (
            "token_command = [\"t\", \"-x\"]",
            CredentialSource::TokenCommand(vec!["t".into(), "-x".into()]),
        ),
    ];
    for (line, expected) in credentials {
        let config = load(&with("smtp", &format!("username = \"ada\"\n{line}"))).unwrap();
        let login = config.smtp.login.unwrap();
        assert_eq!(login.username, "ada");
        assert_eq!(login.credential, expected);
    }
    let credential = |line: &str| {
        let config = load(&with("smtp", &format!("username = \"ada\"\n{line}"))).unwrap();
        config.smtp.login.unwrap().credential
    };
    match credential("password_file = \"f\"") {
        CredentialSource::Password(source) => assert!(source.file().unwrap().ends_with("f")),
        other => panic!("{other:?}"),
    }
    // A program's path is relative to the configuration, like every path.
    match credential("token_command = [\"bin/t\", \"bin/x\"]") {
        CredentialSource::TokenCommand(words) => {
            assert!(
                words[0].starts_with('/') && words[0].ends_with("/bin/t"),
                "{words:?}"
            );
            assert_eq!(words[1], "bin/x");
        }
        other => panic!("{other:?}"),
    }
    let table = [
        ("username = \"ada\"", "needs one of"),
        ("password_env = \"E\"", "needs `smtp.username`"),
        (
            "username = \"ada\"\npassword_env = \"E\"\ntoken_command = \"t\"",
            "needs only one of",
        ),
        (
            "username = \"ada\"\ntoken_command = []",
            "must name a program",
        ),
    ];
    for (lines, reason) in table {
        let error = load(&with("smtp", lines)).expect_err(lines);
        assert!(error.contains(reason), "{lines}: {error}");
    }
    let clear = with(
        "smtp",
        "tls = \"none\"\nusername = \"ada\"\npassword_env = \"E\"",
    )
    .replace("smtp.example.com", "127.0.0.1");
    assert!(
        load(&clear)
            .unwrap_err()
            .contains("a login needs an encrypted connection")
    );
    assert_eq!(
        load(&with("smtp", "tls = \"starttls\"")).unwrap().smtp.port,
        587
    );
}

#[test]
fn a_secret_key_is_declared_and_its_lines_are_hidden() {
    let keys = declared_keys();
    let secret = keys.iter().filter(|it| it.secret);
    let secret: Vec<_> = secret.map(|it| it.path.as_str()).collect();

    assert_eq!(
        secret,
        [
            "microsoft.client_secret_file",
            "microsoft.client_secret_env",
            "microsoft.client_secret_credential",
            "microsoft.certificate_file",
            "smtp.oauth.client_secret_file",
            "smtp.oauth.client_secret_env",
            "smtp.oauth.client_secret_credential",
            "smtp.password_file",
            "smtp.password_env",
            "smtp.password_credential",
            "smtp.token_command",
            "ledger.password_file",
            "ledger.password_env",
            "ledger.password_credential",
            "bounces.imap.password_file",
            "bounces.imap.password_env",
            "bounces.imap.password_credential",
            "notify.command",
            "notify.heartbeat_url",
            "notify.heartbeat_url_file",
            "notify.heartbeat_url_env",
            "notify.heartbeat_url_credential",
        ]
    );
    for path in secret {
        assert!(super::secrets::names_a_secret(path), "{path}");
        let (table, key) = path.rsplit_once('.').unwrap();
        let others = match table {
            "smtp" => "username = \"ada\"",
            "smtp.oauth" => "token_url = \"https://login.example/\"\nclient_id = \"a\"",
            "bounces.imap" => "host = \"imap.example\"\nusername = \"ada\"",
            "ledger" => "url = \"postgres://ada@db.example/x\"",
            "notify" => "",
            _ => "tenant = \"a.example\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"",
        };
        let load = |value: &str| {
            let url = format!("https://hc.example/{value}");
            let value = if key == "heartbeat_url" { &url } else { value };
            let source = with(table, &format!("{others}\n{key} = \"{value}\""));
            let login = match table {
                "smtp.oauth" => "[smtp]\nusername = \"ada\"",
                _ => "[smtp]",
            };
            let source = match table {
                "ledger" => source.replace("file = \"ledger.sqlite3\"\n", ""),
                _ => source.replace("[smtp]", login),
            };
            load(&source).unwrap()
        };
        assert_eq!(load("one").keys, load("two").keys, "{path}");
        assert_eq!(load("one").keys[path], "given");
    }
}

#[test]
fn a_time_span_is_at_least_a_second() {
    let load = |span: &str| load(&with("limits", &format!("max_runtime = \"{span}\"")));
    let table = [
        ("1s", 1),
        ("90s", 90),
        ("30m", 1_800),
        ("2h", 7_200),
        ("5d", 432_000),
        ("1h 30m", 5_400),
        ("90 s", 90),
    ];
    for (span, seconds) in table {
        let limit = load(span).expect(span).limits.max_runtime;
        assert_eq!(limit.unwrap().as_secs(), seconds, "{span}");
    }
    for span in [
        "0s",
        "-1s",
        "500ms",
        "1mo",
        "1y",
        "5",
        "s",
        "99999999999999999h",
    ] {
        let error = load(span).expect_err(span);
        assert!(
            error.contains("`limits.max_runtime` must "),
            "{span}: {error}"
        );
    }
}

#[test]
fn a_ledger_is_in_a_file_or_in_a_database() {
    let server = |lines: &str| {
        let source = GOOD.replace("file = \"ledger.sqlite3\"", lines);
        load(&source)
    };
    let config = server("url = \"postgres://ada@db.example/x?connect_timeout=3\"").unwrap();
    let LedgerLocation::Server(ledger) = &config.ledger else {
        panic!("{:?}", config.ledger);
    };
    assert_eq!(ledger.name(), "postgres://ada@db.example/x");
    assert_eq!(ledger.lease.as_secs(), 30);
    assert!(!ledger.accept_failover_loss);
    assert!(ledger.witness.ends_with("config.toml.witness"));
    let config = server(
        "url = \"postgres://?service=inv\"\nlease = \"2s\"\naccept_failover_loss = true\nwitness = \"w\"\nca_file = \"ca.pem\"\npassword_env = \"E\"",
    )
    .unwrap();
    let LedgerLocation::Server(ledger) = &config.ledger else {
        panic!("{:?}", config.ledger);
    };
    assert_eq!(ledger.name(), "postgres://?service=inv");
    assert_eq!(ledger.lease.as_secs(), 2);
    assert!(ledger.accept_failover_loss && ledger.witness.ends_with("w"));
    assert_eq!(ledger.password.as_ref().unwrap().key, "ledger.password_env");

    let url = "url = \"postgres://ada@db.example/x\"";
    for (lines, reason) in [
        (
            String::new(),
            "`ledger.file` is missing, or `ledger.url` in its place",
        ),
        (
            format!("file = \"l\"\n{url}"),
            "`[ledger]` needs only one of `file` and `url`",
        ),
        (
            "file = \"l\"\nlease = \"30s\"".into(),
            "config.toml:15:9: `ledger.lease` needs a ledger in a database",
        ),
        (
            "file = \"l\"\npassword_env = \"E\"".into(),
            "`ledger.password_env` needs a ledger in a database",
        ),
        (
            format!("{url}\nlease = \"1s\""),
            "must be a time span from \"2s\" to \"10m\", not \"1s\"",
        ),
        (format!("{url}\nlease = \"11m\""), "to \"10m\""),
        (
            format!("{url}\npassword_env = \"E\"\npassword_file = \"f\""),
            "needs only one of `password_file`",
        ),
        (
            "url = \"postgres://h/x?sslrootcert=a\"\nca_file = \"b\"".into(),
            "both name certificates",
        ),
        (
            "url = \"postgres://h/x?sslmode=disable\"".into(),
            "config.toml:14:7: `ledger.url` must not have `sslmode=disable` for `h`",
        ),
        ("url = 5432".into(), "must be the URL of a database"),
        (
            format!(
                "{url}\nwitness = \"config.toml.witness.entra\"\nca_file = \"config.toml.witness.entra\""
            ),
            "`ledger.witness` would overwrite",
        ),
    ] {
        let error = server(&lines).expect_err(&lines);
        assert!(error.contains(reason), "{lines}: {error}");
    }
}

#[test]
fn a_password_in_the_url_of_a_ledger_is_not_printed() {
    for url in [
        "postgres://ada:hunter2@db.example/x",
        "postgres://ada:hunter2/y@db.example/x",
        "postgresql://ada@db.example/x?password=hunter2",
        "postgres://ada@db.example/x?pasword=hunter2",
        "postgre://ada:hunter2@db.example/x",
        "host=db.example password=hunter2",
        "postgres://ada:hunter2@db.example/x\\n",
    ] {
        for quote in ['"', '\''] {
            let line = format!("url = {quote}{url}{quote}");
            let error = load(&GOOD.replace("file = \"ledger.sqlite3\"", &line));
            let error = error.expect_err(url);
            assert!(!error.contains("hunter2"), "{url}: {error}");
            assert!(error.contains("`ledger.url` "), "{url}: {error}");
        }
    }
}

/// A piece of a configuration, or of anything.
fn scrap() -> impl Strategy<Value = String> {
    let pieces = [
        "[smtp]",
        "[packages.x]",
        "[[partners]]",
        "link = ",
        "port = 1e9",
        "port = -1",
        "\"",
        "\"\"\"",
        "'",
        "{",
        "}",
        "=",
        "\n",
        "\r",
        "\0",
        "#",
        "campaign",
        "password = \"x\"",
        "999999999999999999999",
        "1979-05-27T07:32:00Z",
        "inf",
        "nan",
        "\\u{0}",
        "\\x",
        "[",
        "]",
        ",",
        "true",
        "0.1m",
        "\"-1s\"",
        "\"99999999999999999h\"",
        "\u{feff}",
        "\u{2028}",
        "respond_by = 0000-00-00",
        ".",
    ];
    prop_oneof![
        4 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// A quotation mark too many turns texts into keys and back.
#[test]
fn g1_a_value_that_reaches_into_a_secret_is_not_quoted() {
    let wrong = GOOD
        .replacen("fr = \"Espace", "fr \"\"\"= \"Espace", 1)
        .replacen(
            "[smtp]\n",
            "[smtp]\npassword_env = \"\"\"\nS3CR3T\nhost = S3CR3T\n\"\"\"\n",
            1,
        );
    assert_ne!(wrong.matches("S3CR3T").count(), 0);
    let error = load(&wrong).unwrap_err();
    assert!(
        error.contains("missing assignment between key-value pairs"),
        "{error}"
    );
    assert!(!error.contains("S3CR3T"), "{error}");
}

#[test]
fn g1_quoted_locale_with_a_secret_is_not_shown() {
    let wrong = GOOD.replacen(
        "[smtp]",
        "[packages.other]\nlink = \"x\"\nname = { 'password = \"x\"' = \"A\" }\n[smtp]",
        1,
    );
    let error = load(&wrong).unwrap_err();
    assert!(error.contains("by locale: a key in quotes"), "{error}");
    assert!(!error.contains("password = \"x"), "{error}");
}

#[test]
fn g1_quoted_key_with_a_secret_is_not_shown() {
    let error = load(&format!("'password = \"x\"' = 1\n{GOOD}")).unwrap_err();
    assert!(error.contains("unknown key in quotes"), "{error}");
    assert!(!error.contains("password = "), "{error}");
    // Of several lines, which TOML does not allow.
    let error = load(&format!("\"\"\"password = \"x\"{GOOD}\"\"\" = 1\n")).unwrap_err();
    assert!(!error.contains("password = "), "{error}");
}

proptest! {
    #[test]
    fn g1_any_text_is_a_configuration_or_an_error_with_a_line(
        scraps in prop::collection::vec((any::<prop::sample::Index>(), 0..60_usize, scrap()), 0..6),
    ) {
        let mut source: Vec<char> = GOOD.chars().collect();
        for (place, cut, scrap) in scraps {
            let start = place.index(source.len() + 1);
            let end = (start + cut).min(source.len());
            source.splice(start..end, scrap.chars());
        }
        let source: String = source.into_iter().collect();

        // That the failure is of the right kind, `load` asserts.
        if let Err(error) = load(&source) {
            let placed = error.split("/config.toml:").skip(1).any(|it| {
                let line = it.split(':').next().and_then(|it| it.parse::<usize>().ok());
                line.is_some_and(|it| (1..=source.split('\n').count() + 1).contains(&it))
            });
            prop_assert!(placed || error.contains("is missing"), "{}", error);
            prop_assert!(!error.contains("password = \"x\""), "{}", error);
        }
    }

    #[test]
    fn f9_no_error_in_any_file_shows_a_secret_value(
        form in 0..SECRETS.len(),
        key in prop::sample::select(vec![
            "password", "password_env", "password_file", "password_credential", "token_command",
            "\"password_env\"", "'token_command'", "client_secret", "\"p\\u0061ssword_env\"",
        ]),
        cut in prop::option::of((any::<prop::sample::Index>(), 1..12_usize)),
        scrap in prop::option::of((any::<prop::sample::Index>(), scrap())),
    ) {
        let secret = SECRETS[form].replace("KEY", key);
        let mut source = GOOD.replace("[smtp]\n", &format!("{}[smtp]\n{}", "", secret));
        // A mistake outside of the secret itself, so that no piece of it is left without its key.
        let start = source.find(&secret).unwrap();
        let outside = |it: prop::sample::Index, length: usize| {
            let place = it.index(source.len() - secret.len() - length);
            if place + length > start { place + secret.len() + length } else { place }
        };
        if let Some((place, length)) = cut {
            let place = outside(place, length);
            let end = (place + length).min(source.len());
            if source.is_char_boundary(place) && source.is_char_boundary(end) {
                source.replace_range(place..end, "");
            }
        }
        if let Some((place, scrap)) = scrap {
            let place = place.index(source.len() + 1);
            let within = source.find(&secret).is_some_and(|it| it < place && place < it + secret.len());
            if !within && source.is_char_boundary(place) {
                source.insert_str(place, &scrap);
            }
        }
        if let Err(error) = load(&source) {
            prop_assert!(!error.contains("S3CR3T"), "{}\n{}", source, error);
            prop_assert!(!error.contains("86753090123"), "{}\n{}", source, error);
        }
    }
}

/// Forms in which a secret may stand in the file, right and wrong.
const SECRETS: [&str; 21] = [
    "KEY = 86753090123\n",
    "KEY = \"S3CR3T\"\n",
    "KEY = \"S3CR3T\n",
    "KEY = S3CR3T\n",
    "KEY = 'S3CR3T' x\n",
    "KEY = [\n  \"sh\",\n  \"S3CR3T\",\n]\n",
    "KEY = [\n  \"sh\" \"S3CR3T\",\n  ?S3CR3T\n]\n",
    "KEY = [\n  \"sh\",\n  \"S3CR3T\n]\n",
    "KEY = [\n  \"sh\",\n  86753090123,\n",
    "KEY = \"\"\"\nS3CR3T\nhost = S3CR3T\n\"\"\"\n",
    "KEY = '''\nS3CR3T\n[S3CR3T]\n''' x\n",
    "KEY = \"\"\"\nS3CR3T \\q\n\"\"\"\n",
    "KEY = { value = \"S3CR3T\" }\n",
    "KEY = { value = \"S3CR3T\"\n",
    "KEY.value = \"S3CR3T\"\n",
    "KEY = \"a\"\nKEY = \"S3CR3T\"\n",
    "KEY = 2026-11-29T00:00:00S3CR3T\n",
    "KEY = [[\"S3CR3T\"],\n[\"S3CR3T\", 1 2]]\n",
    "KEY = true S3CR3T\n",
    "KEY = 86753090123.5e\n",
    "port = { KEY = \"S3CR3T\" }\n",
];

#[test]
fn f9_the_value_of_a_secret_key_is_in_no_message() {
    let secret = |line: &str| load(&with("smtp", line)).unwrap_err();

    let error = secret("username = \"ada\"\npassword_env = 86753090123");
    assert!(
        error.contains("`smtp.password_env` must be a text (the line is not shown"),
        "{error}"
    );
    assert!(!error.contains("8675"), "{error}");
    let error = secret("token_command = [\n \"sh\",\n \"hunter2\" \"x\"\n]");
    assert!(error.contains("the line is not shown"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    for table in [
        "[smtp.password_env]\nvalue = hunter2\n",
        "[smtp.token_command]\nx = [\n\"hunter2\" 1]\n",
    ] {
        let error = load(&format!("{GOOD}{table}")).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = load(&format!("{GOOD}[packages]\ntoken = \"hunter2\"\n")).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    // The lines after it are shown as ever.
    let error = secret("password_env = 1\nconnections = 0");
    assert!(error.contains("connections = 0"), "{error}");
}

#[test]
fn f15_first_errors_are_shown_in_order_and_others_counted() {
    let keys: Vec<_> = (0..1_000).map(|it| format!("wrong{it} = 1\n")).collect();
    let keys = keys.concat();
    let error = load(&format!("{keys}{GOOD}")).unwrap_err();

    let shown: Vec<_> = error.match_indices("unknown key `wrong").collect();
    assert_eq!(shown.len(), 200);
    for number in [0, 1, 199] {
        assert!(
            error.contains(&format!("unknown key `wrong{number}`")),
            "{number}"
        );
    }
    assert!(!error.contains("`wrong200`"));
    assert!(
        error.ends_with("/config.toml: and 800 more errors"),
        "{error}"
    );
}

#[test]
fn f23_ip_addresses_are_hosts_and_invalid_hosts_are_explained() {
    let with_host = |host: &str| GOOD.replace("smtp.example.com", host);
    for (host, read) in [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[2001:DB8:0:0::25]", "2001:db8::25"),
        ("127.0.0.1", "127.0.0.1"),
        ("smtp.example.com", "smtp.example.com"),
        ("LOCALHOST", "LOCALHOST"),
        ("relay", "relay"),
    ] {
        assert_eq!(load(&with_host(host)).expect(host).smtp.host, read);
    }
    // Loopback by each of its names: only there mail may go in clear.
    for (host, loopback) in [
        ("::1", true),
        ("[::1]", true),
        ("[0::0:1]", true),
        ("::ffff:127.0.0.1", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("localhost", true),
        ("Localhost", true),
        ("::2", false),
        ("[::]", false),
        ("2001:db8::25", false),
        ("192.0.2.1", false),
    ] {
        let source = with_host(host).replace("[smtp]", "[smtp]\ntls = \"none\"");
        assert_eq!(load(&source).is_ok(), loopback, "{host}");
    }
    let in_brackets = "only an IPv6 address may be in brackets";
    for (host, reason) in [
        ("[::1", in_brackets),
        ("::1]", in_brackets),
        ("[127.0.0.1]", in_brackets),
        ("[smtp.example.com]", in_brackets),
        ("[::1]:25", in_brackets),
        ("[]", in_brackets),
        ("fe80::1%eth0", "without a zone (`%eth0`)"),
        ("[fe80::1%eth0]", "without a zone (`%eth0`)"),
        (":::1", "a host name or an IP address, not"),
        ("1::2::3", "a host name or an IP address, not"),
        ("127.1", "a host name or an IP address, not"),
        ("256.1.1.1", "a host name or an IP address, not"),
        ("0x7f.0.0.1", "a host name or an IP address, not"),
        ("a b", "a host name or an IP address, not"),
        (
            "smtp.example.com:587",
            "write `host = \"smtp.example.com\"` and `port = 587`",
        ),
        ("smtp://smtp.example.com", "without `smtp://`"),
    ] {
        let error = load(&with_host(host)).expect_err(host);
        assert!(error.contains(reason), "{host}: {error}");
    }
}

const APP: &str = "[microsoft]\ntenant = \"contoso.example\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\ncertificate_file = \"c.pem\"\n";

/// A job whose `[smtp]` has these lines and no host.
fn with_provider(lines: &str) -> String {
    GOOD.replace("host = \"smtp.example.com\"", lines)
}

#[test]
fn a_provider_sets_the_keys_that_are_unset() {
    let source = with_provider("provider = \"microsoft365\"\nusername = \"ada\"") + APP;
    let config = load(&source).unwrap();
    let smtp = &config.smtp;
    assert_eq!((smtp.host.as_str(), smtp.port), ("smtp.office365.com", 587));
    assert_eq!((smtp.tls, smtp.connections), (Tls::StartTls, 3));
    let limits = &config.limits;
    assert_eq!((limits.per_minute, limits.per_day), (30, 10_000));
    let login = smtp.login.as_ref().unwrap();
    let microsoft = config.microsoft.clone().unwrap();
    assert_eq!(
        login.credential,
        CredentialSource::Microsoft(Box::new(microsoft))
    );

    let explicit = "provider = \"microsoft365\"\nusername = \"ada\"\nhost = \"127.0.0.1\"\nport = 2525\nconnections = 1\npassword_env = \"E\"";
    let source = with_provider(explicit) + APP + "[limits]\nper_minute = 5\n";
    let config = load(&source).unwrap();
    let smtp = &config.smtp;
    assert_eq!((smtp.host.as_str(), smtp.port), ("127.0.0.1", 2525));
    assert_eq!((smtp.tls, smtp.connections), (Tls::StartTls, 1));
    assert_eq!(config.limits.per_minute, 5);
    let credential = &smtp.login.as_ref().unwrap().credential;
    assert!(matches!(credential, CredentialSource::Password(_)));

    let implicit = "provider = \"google-workspace-relay\"\ntls = \"implicit\"";
    let config = load(&with_provider(implicit)).unwrap();
    assert_eq!(config.smtp.port, 465, "587 is for STARTTLS");
    assert!(config.smtp.login.is_none());
}

#[test]
fn the_host_of_a_provider_depends_on_region_and_cloud() {
    let login = "username = \"ada\"\npassword_env = \"E\"\n";
    let cloud = |cloud: &str| format!("{APP}cloud = \"{cloud}\"\n");
    for (lines, below, host) in [
        (
            "provider = \"amazon-ses\"\nregion = \"eu-west-3\"",
            "",
            "email-smtp.eu-west-3.amazonaws.com",
        ),
        (
            "provider = \"amazon-ses\"\nhost = \"ses.example\"",
            "",
            "ses.example",
        ),
        ("provider = \"mailgun\"", "", "smtp.mailgun.org"),
        (
            "provider = \"mailgun\"\nregion = \"eu\"",
            "",
            "smtp.eu.mailgun.org",
        ),
        ("provider = \"microsoft365\"", APP, "smtp.office365.com"),
        (
            "provider = \"microsoft365-gov\"",
            &cloud("us-gov"),
            "outlook.office365.us",
        ),
        (
            "provider = \"microsoft365-gov\"",
            &cloud("us-gov-dod"),
            "outlook-dod.office365.us",
        ),
        (
            "provider = \"microsoft365-gov\"",
            "",
            "outlook.office365.us",
        ),
        (
            "provider = \"microsoft365\"\nhost = \"partner.outlook.example\"",
            &cloud("china"),
            "partner.outlook.example",
        ),
    ] {
        let config = load(&(with_provider(&format!("{lines}\n{login}")) + below));
        let config = config.unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert_eq!(config.smtp.host, host, "{lines}");
    }
    for (lines, below, reason) in [
        (
            "provider = \"amazon-ses\"",
            "",
            "needs `smtp.region`, such as \"eu-central-1\"",
        ),
        (
            "provider = \"amazon-ses\"\nregion = \"EU (Paris)\"",
            "",
            "`smtp.region` must be a region such as",
        ),
        (
            "provider = \"mailgun\"\nregion = \"us\"",
            "",
            "`smtp.region` must be \"eu\" for `smtp.provider` = \"mailgun\", or unset",
        ),
        (
            "provider = \"gmail\"\nregion = \"eu\"",
            "",
            "\"gmail\" has no regions",
        ),
        (
            "host = \"a.example\"\nregion = \"eu\"",
            "",
            "`smtp.region` needs `smtp.provider`",
        ),
        (
            "provider = \"microsoft365\"",
            &cloud("us-gov"),
            "use `provider = \"microsoft365-gov\"`",
        ),
        (
            "provider = \"microsoft365-gov\"",
            APP,
            "use `provider = \"microsoft365\"`, or set `microsoft.cloud`",
        ),
        (
            "provider = \"microsoft365\"",
            &cloud("china"),
            "set `smtp.host` to the host that your operator names",
        ),
    ] {
        let error = load(&(with_provider(&format!("{lines}\n{login}")) + below)).expect_err(lines);
        assert!(error.contains(reason), "{lines}: {error}");
        assert!(
            !error.contains("`smtp.host` is missing"),
            "{lines}: {error}"
        );
    }
}

#[test]
fn a_provider_can_have_a_fixed_user_name_or_need_no_login() {
    let sendgrid = "provider = \"sendgrid\"\npassword_env = \"E\"";
    let login = load(&with_provider(sendgrid)).unwrap().smtp.login.unwrap();
    assert_eq!(login.username, "apikey");

    let postfix = load(&with_provider("provider = \"postfix\"")).unwrap().smtp;
    assert_eq!((postfix.host.as_str(), postfix.port), ("localhost", 25));
    assert_eq!((postfix.tls, postfix.login), (Tls::None, None));
    let elsewhere = "provider = \"postfix\"\nhost = \"mail.example\"";
    let error = load(&with_provider(elsewhere)).unwrap_err();
    assert!(
        error.contains("for a relay on this machine only"),
        "{error}"
    );
}

#[test]
fn a_provider_without_its_login_is_refused() {
    let issuer = "[smtp.oauth]\ntoken_url = \"https://a.example/\"\nclient_id = \"a\"\nclient_secret_env = \"S\"\n";
    for (lines, below, reason) in [
        ("provider = \"microsoft365\"", APP, "needs `smtp.username`"),
        (
            "provider = \"microsoft365\"\nusername = \"ada\"",
            "",
            "needs the table `[microsoft]`",
        ),
        (
            "provider = \"azure-communication-services\"\nusername = \"ada\"",
            "",
            "or the table `[smtp.oauth]`",
        ),
        (
            "provider = \"sendgrid\"",
            "",
            "`smtp.provider` = \"sendgrid\" needs one of `password_file`",
        ),
        (
            "host = \"a.example\"",
            issuer,
            "`smtp.oauth` needs `smtp.username`",
        ),
        (
            "host = \"a.example\"\nusername = \"ada\"\npassword_env = \"E\"",
            issuer,
            "needs only `smtp.password_env` or `[smtp.oauth]`",
        ),
        (
            "host = \"smtp.hve.mx.microsoft\"",
            "",
            "High Volume Email delivers to recipients in your own tenant only",
        ),
        ("provider = \"contoso\"", "", "must be \"microsoft365\" or"),
    ] {
        let error = load(&(with_provider(lines) + below)).expect_err(lines);
        assert!(error.contains(reason), "{lines}: {error}");
    }
}

#[test]
fn keys_that_are_not_filled_in_are_one_error_that_names_them_all() {
    let source = with("smtp", "hello = \"\"\nca_file = \" \"")
        .replace("campaign = \"", "campaign = \"\" # \"");
    let line = |key: &str| {
        let before = source.split(key).next().unwrap();
        before.lines().count() + 1
    };
    let expected = format!(
        "/config.toml is not filled in yet:\n  line {}: campaign\n  line {}: smtp.hello\n  line {}: smtp.ca_file\n3 keys are empty; set them as the comments in the file explain",
        line("campaign = "),
        line("hello = "),
        line("ca_file = ")
    );
    assert_eq!(load(&source).unwrap_err(), expected);

    let wrong_too = with("limits", "max_runtime = \"\"\nper_day = \"many\"");
    let error = load(&wrong_too).unwrap_err();
    assert!(error.contains("`limits.per_day` must be"), "{error}");
    assert!(
        error.ends_with("1 key is empty; set it as the comments in the file explain"),
        "{error}"
    );
}

#[test]
fn a_file_of_certificates_that_everyone_can_change_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("ca.pem");
    std::fs::write(&certificates, "").unwrap();
    std::fs::set_permissions(&certificates, PermissionsExt::from_mode(0o666)).unwrap();
    let path = folder.path().join("config.toml");
    let imap = "[bounces.imap]\nhost = \"imap.example\"\nusername = \"a\"\npassword_env = \"P\"\n";
    std::fs::write(&path, format!("{GOOD}{imap}ca_file = \"ca.pem\"\n")).unwrap();

    let config = Config::load(&path).unwrap();

    let mut warnings = config.warnings.iter();
    let warned = warnings.any(|it| it.what.contains("the file of `bounces.imap.ca_file`"));
    assert!(warned, "{:?}", config.warnings);
}

#[test]
fn an_output_does_not_overwrite_the_url_of_the_heartbeat() {
    let tables = "[notify]\nheartbeat_url_file = \"url\"\n[results]\ncsv = \"url\"\n";

    let error = load(&format!("{GOOD}{tables}")).unwrap_err();

    let reason = "`results.csv` would overwrite the file of `notify.heartbeat_url_file`";
    assert!(error.contains(reason), "{error}");
}
