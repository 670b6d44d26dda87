//! `schema`: the JSON Schema accepts what the program accepts, and refuses wrong configurations as the program does. The
//! validator is one that this project did not write.

use access_invite::config::{Config, Kind, Provider, declared_keys};
use jsonschema::Validator;
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::documents::examples::merge;
use crate::init::{filled_in, unfilled};
use crate::support::Workplace;

const EXAMPLE: &str = include_str!("../config.example.toml");

/// A configuration that is complete.
const COMPLETE: &str = r#"
    campaign = "spring"
    sender = { from = "Woodgrove <access@woodgrove.example>", organization = "Woodgrove" }
    partners = { file = "partners.csv" }
    smtp = { host = "smtp.woodgrove.example" }
    ledger = { file = "ledger.sqlite3" }
    packages.main = { link = "https://myaccess.microsoft.com/@woodgrove.onmicrosoft.com#/access-packages/3f2c6a1e-8d4b-4c55-9a0e-6b1d7f24e890", name = "Plans" }
"#;

/// Wrong configurations, each by what is set in the complete one.
const WRONG: [&str; 66] = [
    // Keys that do not exist.
    "campain = 'spring'",
    "sender.form = 'a@woodgrove.example'",
    "packages.main.url = 'https://myaccess.microsoft.com/'",
    "packages.main.Name = 'Plans'",
    "partner.file = 'partners.csv'",
    "partners.columns.mail = 'E-mail'",
    "partners.values.email = { a = 'b' }",
    "smtp.user = 'ada'",
    "smtp.password = 'x'",
    "smtp.deadlines.quit = '1m'",
    "smtp.oauth.url = 'https://login.example'",
    "microsoft.client_secret = 'x'",
    "entra.after_send = 'warn'",
    "limits.per_hour = 3",
    "retry.after = '1h'",
    "reminders.until = '30d'",
    "bounces.imap.password = 'x'",
    "privacy.keep = '1d'",
    "results.file = 'results.csv'",
    // Values of another type.
    "campaign = 2026",
    "campaign = ['spring']",
    "sender = 'ada@woodgrove.example'",
    "sender.organization = true",
    "sender.dkim_selectors = 'selector1'",
    "sender.unsubscribe = 'yes'",
    "packages = 'plans'",
    "packages.main = 'https://myaccess.microsoft.com/'",
    "packages.main.link = ['https://myaccess.microsoft.com/']",
    "packages.main.name = 5",
    "packages.main.description = ['Plans']",
    "packages.main.justification.en = 5",
    "packages.main.sharing = 1",
    "packages.main.allow_host = [5]",
    "partners.file = ['a.csv', 'b.csv']",
    "partners.columns = ['email']",
    "partners.values.locale = { 'FRA-2' = 5 }",
    "smtp.port = '587'",
    "smtp.connections = 2.5",
    "smtp.token_command = [['get-token']]",
    "smtp.deadlines.dot = 600",
    "limits.per_minute = '30'",
    "limits.only_to = '@woodgrove.example'",
    "limits.max_runtime = 2",
    "approval.required = 'true'",
    "ledger.file = 3",
    // Values out of range, and words that are no choice.
    "smtp.port = 0",
    "smtp.port = 65536",
    "smtp.connections = 101",
    "limits.per_minute = 0",
    "limits.new_per_run = -1",
    "reminders.at_most = 21",
    "smtp.tls = 'ssl'",
    "smtp.provider = 'office365'",
    "smtp.pipelining = 'on'",
    "smtp.oauth.client_auth = 'basic'",
    "partners.delimiter = '|'",
    "partners.bad_rows = 'ignore'",
    "templates.missing_locale = 'skip'",
    "reminders.unless = 'domain'",
    // Texts of a wrong form.
    "campaign = ''",
    "sender.organization = ' '",
    "packages.main.name = { en = '' }",
    "packages.main.respond_by = '31.3.2027'",
    "packages.main.respond_by = 2027-03-31T12:00:00",
    "retry.first_after = '30'",
    "limits.max_runtime = 'two hours'",
];

/// Wrong configurations that a schema for editors does not find.
const ONLY_BY_THE_PROGRAM: [&str; 13] = [
    // For a validator, a date is a text, and 2.0 a whole number.
    "ledger.file = 2027-03-31",
    "smtp.connections = 2.0",
    "sender.from = 'Ada'",
    "packages.main.link = 'https://myaccess.microsoft.com/'",
    "packages.main.name = { de = 'Plans' }",
    "packages.main.respond_by = '2027-02-30'",
    "partners.encoding = 'utf-9'",
    "partners.columns.name = '{First name'",
    "smtp.host = 'smtp.woodgrove.example:587'",
    "smtp.username = 'ada'",
    "smtp.tls = 'none'",
    "retry.first_after = '0s'",
    "entra = {}",
];

/// Keys without which the configuration is not complete.
const REQUIRED: [&str; 12] = [
    "campaign",
    "sender",
    "sender.from",
    "sender.organization",
    "packages",
    "packages.main",
    "packages.main.link",
    "packages.main.name",
    "partners",
    "smtp",
    "smtp.host",
    "ledger",
];

fn validator() -> Validator {
    let printed = Workplace::new(1).run(&["schema"]);
    let schema: Json = serde_json::from_str(&printed.stdout).unwrap();
    jsonschema::draft7::meta::validate(&schema).unwrap();
    jsonschema::draft7::new(&schema).unwrap()
}

/// As an editor for TOML passes a file on to a validator: dates become texts.
fn json(value: &Value) -> Json {
    match value {
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(list) => list.iter().map(json).collect(),
        Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| (key.clone(), json(value)));
            Json::Object(entries.collect())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

/// Where the schema refuses the configuration, as `/smtp/port`.
fn refused_by(validator: &Validator, configuration: Table) -> Vec<String> {
    let configuration = json(&configuration.into());
    let errors = validator.iter_errors(&configuration);
    errors.map(|it| it.instance_path().to_string()).collect()
}

/// The error of the program.
fn error_of(configuration: &Table) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, configuration.to_string()).unwrap();
    Config::load(&path).err().map(|it| it.to_string())
}

/// The complete configuration with a change.
fn changed(change: &str) -> Table {
    let mut configuration: Table = COMPLETE.parse().unwrap();
    merge(&mut configuration, change.parse().unwrap());
    configuration
}

/// Fails unless both the schema and the program refuse the configuration.
fn both_refuse(validator: &Validator, configuration: Table, what: &str) {
    let error = error_of(&configuration);
    assert!(error.is_some(), "the program accepts: {what}");
    let places = refused_by(validator, configuration);
    assert!(!places.is_empty(), "the schema accepts: {what}");
}

#[test]
fn the_schema_refuses_wrong_configurations_as_the_program_does() {
    let validator = validator();
    let complete: Table = COMPLETE.parse().unwrap();
    assert_eq!(error_of(&complete), None);
    assert_eq!(refused_by(&validator, complete), [""; 0]);

    for change in WRONG {
        both_refuse(&validator, changed(change), change);
    }
    for change in ONLY_BY_THE_PROGRAM {
        let configuration = changed(change);
        assert!(error_of(&configuration).is_some(), "{change}");
        assert_eq!(refused_by(&validator, configuration), [""; 0], "{change}");
    }
}

#[test]
fn the_schema_requires_what_the_program_requires() {
    let validator = validator();
    for path in REQUIRED {
        let mut configuration: Table = COMPLETE.parse().unwrap();
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut at = &mut configuration;
        for table in tables.split('.').filter(|it| !it.is_empty()) {
            at = at[table].as_table_mut().unwrap();
        }
        assert!(at.remove(key).is_some(), "{path}");
        both_refuse(&validator, configuration, path);
    }
    // A provider names the host.
    let mut configuration: Table = COMPLETE.parse().unwrap();
    configuration["smtp"] = Value::Table("provider = 'postfix'".parse().unwrap());
    assert_eq!(refused_by(&validator, configuration), [""; 0]);
}

/// A value that no key of this kind has.
fn of_another_type(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(_) | Kind::Path | Kind::TimeSpan | Kind::Choice(_) | Kind::Date => "5",
        Kind::Number(_) | Kind::Switch => "'x'",
        Kind::List(_) | Kind::TextOrList | Kind::Texts | Kind::TextTable => "true",
    }
}

#[test]
fn each_key_has_its_type_and_each_table_only_its_keys() {
    let validator = validator();
    let mut tried = 0;
    for key in declared_keys() {
        let path = key.path.replace("NAME", "main");
        let pointer = format!("/{}", path.replace('.', "/"));
        let wrong = format!("{path} = {}", of_another_type(&key.kind));
        let configuration = changed(&wrong);
        let error = error_of(&configuration).unwrap_or_default();
        assert!(
            error.contains(&format!("`{path}` must be ")),
            "{wrong}: {error}"
        );
        let places = refused_by(&validator, configuration);
        assert!(places.contains(&pointer), "{wrong}: {places:?}");

        let table = path.rsplit_once('.').map_or("", |it| it.0);
        let separator = if table.is_empty() { "" } else { "." };
        let unknown = format!("{table}{separator}unknown = 5");
        let configuration = changed(&unknown);
        let error = error_of(&configuration).unwrap_or_default();
        assert!(error.contains("unknown key"), "{unknown}: {error}");
        let places = refused_by(&validator, configuration);
        let table = pointer.rsplit_once('/').unwrap().0.to_owned();
        assert!(places.contains(&table), "{unknown}: {places:?}");
        tried += 1;
    }
    assert!(tried > 100, "only {tried} keys were tried");
}

#[test]
fn every_time_span_of_the_program_fits_the_schema() {
    let validator = validator();
    for span in [
        "90s",
        "30m",
        "8h",
        "5d",
        "1h 30m",
        "1h30m",
        "+2 hours, 3 minutes",
        "1.5h",
        "0,5 h",
        "PT5M",
        "p1dt2h",
        "1:30:00",
        "2000 ms",
        "3000000µs",
    ] {
        let configuration = changed(&format!("limits.max_runtime = '{span}'"));
        assert_eq!(error_of(&configuration), None, "{span}");
        assert_eq!(refused_by(&validator, configuration), [""; 0], "{span}");
    }
}

/// The example with every key that is commented out, and the lines that set one.
fn with_every_key(example: &str) -> (Table, usize) {
    let mut configuration: Table = example.parse().unwrap();
    let (mut table, mut added) = (String::new(), 0);
    for line in example.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = bare.strip_prefix('[').and_then(|it| it.split_once(']')) {
            table = format!("[{}]\n", header.0);
        } else if let (Some(bare), true) = (line.strip_prefix("# "), bare.contains(" = "))
            && let Ok(part) = format!("{table}{bare}").parse::<Table>()
        {
            merge(&mut configuration, part);
            added += 1;
        }
    }
    (configuration, added)
}

#[test]
fn the_example_is_valid_also_with_every_optional_key() {
    let validator = validator();
    assert_eq!(refused_by(&validator, EXAMPLE.parse().unwrap()), [""; 0]);

    let (configuration, added) = with_every_key(EXAMPLE);

    assert!(added > 80, "{added} keys were added");
    for key in declared_keys() {
        let mut at = &Value::Table(configuration.clone());
        for name in key.path.replace("NAME", "project-space").split('.') {
            at = at.get(name).unwrap_or_else(|| panic!("{}", key.path));
        }
    }
    assert_eq!(refused_by(&validator, configuration), [""; 0]);
}

#[test]
fn what_init_writes_is_valid_once_it_is_filled_in() {
    let validator = validator();
    let providers = Provider::names().into_iter().map(Some);
    for provider in std::iter::once(None).chain(providers) {
        let workplace = Workplace::new(1);
        let option = provider.map(|it| format!("--provider={it}"));
        let arguments: Vec<&str> = ["init", "job"]
            .into_iter()
            .chain(option.as_deref())
            .collect();
        assert_eq!(workplace.run(&arguments).code, 0);
        let written = std::fs::read_to_string(workplace.file("job/config.toml")).unwrap();
        let check = workplace.run(&["check", "-c", "job/config.toml"]);

        let mut places = refused_by(&validator, written.parse().unwrap());

        places.sort();
        let mut empty: Vec<String> = unfilled(&check, &written)
            .iter()
            .map(|it| format!("/{}", it.replace('.', "/")))
            .collect();
        empty.sort();
        assert_eq!(places, empty, "{provider:?}");
        let filled = filled_in(&workplace, "job/config.toml");
        let places = refused_by(&validator, filled.parse().unwrap());
        assert_eq!(places, [""; 0], "{provider:?}");
    }
    let workplace = Workplace::new(1);
    assert_eq!(workplace.run(&["init", "job", "--example"]).code, 0);
    let written = std::fs::read_to_string(workplace.file("job/config.toml")).unwrap();
    assert_eq!(refused_by(&validator, written.parse().unwrap()), [""; 0]);
}

#[test]
fn the_configuration_of_version_0_1_0_stays_valid() {
    let configuration: Table = include_str!("fixtures/config-0.1.0.toml").parse().unwrap();
    assert_eq!(error_of(&configuration), None);
    assert_eq!(refused_by(&validator(), configuration), [""; 0]);
}
