//! The tables of states, exit codes, keys, columns, fields, variables and locales name what the program has,
//! all of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::markdown::{code_spans, section, tables_of};
use super::{ROOT, page};
use crate::support::Workplace;
use crate::support::smtp::Server;
use access_invite::config::{Presence, declared_keys};
use access_invite::invitation::State;
use access_invite::report::PackageRow;
use access_invite::templates::{
    BrandScope, InviterScope, PackageScope, PartnerScope, Scope, SenderScope,
};

/// The names of both sides, to be compared.
fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.into_iter().collect()
}

/// The keys of all tables with this first header.
pub fn documented(text: &str, header: &str) -> Vec<String> {
    let tables = tables_of(text, header);
    let keys = tables.iter().flat_map(|it| it.keys());
    keys.map(str::to_owned).collect()
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let source = include_str!("../../src/exit.rs");
    let (_, codes) = source.split_once("pub enum Exit {").unwrap();
    let (codes, _) = codes.split_once("\n}").unwrap();
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|it| it.split_once(" = ")?.1.strip_suffix(','))
        .collect();
    let table = tables_of(page("states-and-exit-codes.md"), "code").remove(0);
    let shown: Vec<&str> = table.rows.iter().map(|it| it[0].as_str()).collect();

    assert!(codes.len() > 8, "{codes:?}");
    assert_eq!(shown, codes);
}

#[test]
fn the_states_are_those_of_the_program() {
    let shown = documented(page("states-and-exit-codes.md"), "state");
    let states: Vec<&str> = State::ALL.iter().map(|it| it.as_str()).collect();

    assert_eq!(
        set(shown.iter().map(String::as_str)),
        set(states.iter().copied())
    );
    assert_eq!(shown.len(), states.len());
}

#[test]
fn the_configuration_keys_and_defaults_are_those_of_the_program() {
    let mut shown = BTreeMap::new();
    let pages = [
        "configuration.md",
        "follow-up.md",
        "monitoring.md",
        "reminders.md",
        "templates.md",
    ]
    .into_iter();
    for table in pages.flat_map(|it| tables_of(page(it), "key")) {
        for row in &table.rows {
            let key = code_spans(&row[0])[0].to_owned();
            let before = shown.insert(key, row[1].clone());
            assert_eq!(before, None, "{} is listed twice", row[0]);
        }
    }
    for key in declared_keys() {
        let default = match key.presence {
            Presence::Required | Presence::RequiredWithout(_) => "required".to_owned(),
            Presence::Optional => "unset".to_owned(),
            Presence::Default(value) => format!("`{value}`"),
        };
        assert_eq!(shown.remove(&key.path), Some(default), "{}", key.path);
    }
    assert!(shown.is_empty(), "the program has no {shown:?}");
}

#[test]
fn the_columns_of_the_list_are_those_of_the_program() {
    let shown = documented(page("list.md"), "column");
    let keys = declared_keys();
    let known = keys
        .iter()
        .filter_map(|it| it.path.strip_prefix("partners.columns."));

    assert_eq!(set(shown.iter().map(String::as_str)), set(known));
}

/// The names of the fields of a JSON object.
fn fields(object: &Value) -> BTreeSet<&str> {
    set(object.as_object().unwrap().keys().map(String::as_str))
}

#[test]
fn the_fields_and_columns_of_results_are_those_of_the_program() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace.partners(&["ada@fabrikam.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let text = section(
        page("states-and-exit-codes.md"),
        "## JSON and CSV of `status`",
    );
    let [invitation, event, run] = &tables_of(text, "field")[..] else {
        panic!("three tables of fields are expected");
    };

    let json = workplace.run(&["status", "ada@fabrikam.example", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        fields(&json),
        set(["campaign", "counts", "invitations", "suppression"]),
        "{text}"
    );
    let history = &json["invitations"][0]["history"];
    assert_eq!(set(event.keys()), fields(&history[0]));
    let status = workplace.status();
    assert_eq!(
        fields(&status),
        set(["campaign", "counts", "invitations", "runs"])
    );
    assert_eq!(set(run.keys()), fields(&status["runs"][0]));
    let with_history = set(invitation
        .keys()
        .into_iter()
        .chain(["history", "reminders"]));
    assert_eq!(with_history, fields(&json["invitations"][0]));

    let csv = workplace.run(&["status", "--format", "csv"]).stdout;
    let header = csv.lines().next().unwrap().trim_start_matches('\u{feff}');
    let only_in_json = ["suppressed"];
    let columns = invitation.keys().into_iter();
    let columns = columns.filter(|it| !only_in_json.contains(it));
    assert_eq!(set(columns), set(header.split(',')));

    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let added = results.lines().next().unwrap().split(',').skip(3);
    let text = section(page("states-and-exit-codes.md"), "## Results file");
    let shown: Vec<String> = documented(text, "column");
    assert_eq!(
        shown.iter().map(String::as_str).collect::<Vec<_>>(),
        added.collect::<Vec<_>>()
    );
}

#[test]
fn the_columns_and_fields_of_reports_are_those_of_the_program() {
    let workplace = Workplace::new(1);
    for format in ["csv", "json"] {
        let report = workplace.run(&["report", "--format", format]);
        assert_eq!(report.code, 0, "{report:?}");
    }
    let read = |name: &str| std::fs::read_to_string(workplace.file(name)).unwrap();
    let text = section(
        page("states-and-exit-codes.md"),
        "## JSON and CSV of `report`",
    );

    let shown = documented(text, "column");
    let csv = read("report.csv");
    let header = csv.lines().next().unwrap().trim_start_matches('\u{feff}');
    assert_eq!(shown, header.split(',').collect::<Vec<_>>());

    let json: Value = serde_json::from_str(&read("report.json")).unwrap();
    let mut shown = documented(text, "field");
    shown.push("invitations".into());
    assert_eq!(set(shown.iter().map(String::as_str)), fields(&json));
}

#[test]
fn the_fields_of_packages_are_those_of_the_program() {
    let row = PackageRow::default();
    let row = serde_json::to_value(row).unwrap();

    let shown = documented(section(page("commands.md"), "## packages"), "field");
    assert_eq!(set(shown.iter().map(String::as_str)), fields(&row));
}

#[test]
fn the_template_variables_are_those_of_the_program() {
    fn add(path: &str, value: &Value, names: &mut BTreeSet<String>) {
        match value.as_object() {
            Some(object) => {
                for (key, value) in object {
                    add(&format!("{path}.{key}"), value, names);
                }
            }
            None => {
                names.insert(path.trim_start_matches('.').to_owned());
            }
        }
    }
    let scope = Scope {
        link: "",
        portal_host: "",
        package: &PackageScope::default(),
        partner: PartnerScope {
            email: "",
            name: "",
            organization: "",
            note: "",
            extra: [("<column>", "")].into(),
        },
        inviter: InviterScope::default(),
        sender: &SenderScope::default(),
        brand: &BrandScope::default(),
        campaign: "",
        locale: "",
        direction: "",
        unsubscribe: "",
        invited_on: Some(String::new()),
    };
    let mut names = BTreeSet::new();
    add("", &serde_json::to_value(scope).unwrap(), &mut names);

    let shown = documented(page("templates.md"), "variable");
    assert_eq!(BTreeSet::from_iter(shown), names);
}

#[test]
fn the_shipped_locales_are_those_of_the_program() {
    let folder = std::fs::read_dir(Path::new(ROOT).join("templates")).unwrap();
    let folders = folder.map(|it| it.unwrap().path()).filter(|it| it.is_dir());
    let names: BTreeSet<String> = folders
        .map(|it| it.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();

    let shown = documented(page("templates.md"), "locale");
    assert_eq!(BTreeSet::from_iter(shown), names);
}

#[test]
fn check_locales_steps_and_fields_match_the_program() {
    let table = tables_of(page("templates.md"), "step").remove(0);
    // Wanted tag, template and step; the last two steps find none.
    let mut expected = Vec::new();
    for row in &table.rows {
        let names = code_spans(&row[1]);
        let step = code_spans(&row[0])[0];
        if !matches!(step, "default" | "refused") {
            expected.extend(names.chunks(2).map(|it| (it[0], it[1], step)));
        }
    }
    expected.extend([("nb", "en", "default"), ("ar-Latn", "en", "default")]);
    let workplace = Workplace::new(1);
    let check = |wanted: &[(&str, &str, &str)]| {
        let rows = wanted.iter().enumerate();
        let rows: Vec<_> = rows
            .map(|(nth, it)| format!("p{nth}@a.example,,{}\n", it.0))
            .collect();
        workplace.write(
            "partners.csv",
            &format!("email,name,locale\n{}", rows.concat()),
        );
        let output = workplace.run(&["check", "--locales", "--format", "json"]);
        serde_json::from_str::<Value>(&output.stdout).unwrap()
    };

    let shown = check(&expected);

    let rows = shown["locales"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    for (asked, template, step) in expected {
        let row = rows.iter().find(|it| it["asked"] == asked).unwrap();
        assert_eq!(
            (&row["template"], &row["step"]),
            (&template.into(), &step.into()),
            "{asked}"
        );
    }
    let keys = documented(page("templates.md"), "field");
    let inner = keys.iter().filter_map(|it| it.strip_prefix("locales[]."));
    assert_eq!(set(inner), fields(&rows[0]));
    let outer = keys.iter().filter(|it| !it.contains('.'));
    assert_eq!(set(outer.map(String::as_str)), fields(&shown));
}

#[test]
fn the_metrics_of_monitoring_are_those_of_the_program() {
    let source = include_str!("../../src/metrics.rs");
    let (_, table) = source.split_once("const METRICS").unwrap();
    let (table, _) = table.split_once("];").unwrap();
    // Of each pair, the first text is the name.
    let texts: Vec<&str> = table.split('"').skip(1).step_by(2).collect();
    let names = texts.chunks(2).map(|it| format!("access_invite_{}", it[0]));

    let shown = documented(page("monitoring.md"), "metric");
    assert_eq!(shown, names.collect::<Vec<_>>());
}
