//! `docs/RELIABILITY.md` names only existing tests, lists all scenarios, and names all tests that are
//! named after one. `docs/SECURITY.md` names an existing test for each threat.

use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = include_str!("../docs/RELIABILITY.md");

/// How many scenarios each group has.
const GROUPS: [(char, usize); 14] = [
    ('A', 19),
    ('B', 14),
    ('C', 8),
    ('D', 36),
    ('E', 12),
    ('F', 18),
    ('G', 11),
    ('H', 6),
    ('J', 6),
    ('K', 10),
    ('L', 11),
    ('M', 14),
    ('P', 6),
    ('Q', 28),
];

/// Every function in `tests` and `src`.
fn functions() -> BTreeSet<String> {
    let mut folders = ["tests", "src"]
        .map(|it| Path::new(env!("CARGO_MANIFEST_DIR")).join(it))
        .to_vec();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let source = std::fs::read_to_string(path).unwrap();
                let names = source.split("fn ").skip(1);
                found.extend(names.filter_map(|it| Some(it.split_once('(')?.0.to_owned())));
            }
        }
    }
    found
}

/// The rows of scenarios: their ids and cells.
fn rows() -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let rows = PAGE.lines().filter(|it| it.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .map(|cells: Vec<_>| (cells[0].split(", ").collect(), cells))
        .filter(|(ids, _): &(Vec<&str>, _)| ids.iter().all(|it| is_scenario(it)))
        .collect()
}

fn is_scenario(id: &str) -> bool {
    let number = id.get(1..).and_then(|it| it.parse().ok());
    let group = GROUPS.iter().find(|(letter, _)| id.starts_with(*letter));
    matches!((group, number), (Some((_, last)), Some(number)) if (1..=*last).contains(&number))
}

fn named(cell: &str) -> Vec<&str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|it| it.matches('_').count() > 2).collect()
}

#[test]
fn every_scenario_has_a_row_with_a_test_or_a_reason() {
    let rows = rows();
    let told: BTreeSet<_> = rows.iter().flat_map(|(ids, _)| ids).copied().collect();
    for (letter, last) in GROUPS {
        for number in 1..=last {
            let id = format!("{letter}{number}");
            assert!(told.contains(id.as_str()), "{id} has no row");
        }
    }
    for (ids, cells) in &rows {
        let tests = cells.get(3).map_or(0, |it| named(it).len());
        let reason = cells[2].starts_with('—');
        assert!(
            (tests > 0) != reason,
            "{ids:?} has {tests} tests: {cells:?}"
        );
    }
}

#[test]
fn tests_and_page_name_each_other() {
    let functions = functions();
    let on_page: BTreeSet<&str> = named(PAGE).into_iter().collect();
    let missing: Vec<_> = on_page
        .iter()
        .filter(|it| !functions.contains(**it))
        .collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
    let untold: Vec<_> = functions
        .iter()
        .filter(|it| is_scenario(&it.split('_').next().unwrap().to_uppercase()))
        .filter(|it| !on_page.contains(it.as_str()))
        .collect();
    assert!(untold.is_empty(), "not on the page: {untold:#?}");
}

#[test]
fn every_threat_names_a_test_that_exists() {
    const THREATS: &str = include_str!("../docs/SECURITY.md");
    let functions = functions();
    let rows = THREATS.lines().filter(|it| it.starts_with("| S"));
    let mut number = 0;
    for row in rows {
        number += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert_eq!(cells[0], format!("S{number}"));
        let tests = named(cells[3]);
        assert!(!tests.is_empty(), "S{number} names no test");
        for test in tests {
            assert!(
                functions.contains(test),
                "S{number}: there is no test `{test}`"
            );
        }
    }
    assert!(number > 20, "{number} threats");
}

#[test]
fn every_variable_of_the_tests_is_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(folder.join("src/delivery/simulation.rs")).unwrap();
    for entry in std::fs::read_dir(folder.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    for rest in text.split("ACCESS_INVITE_").skip(1) {
        let end = rest.find(|it: char| !it.is_ascii_uppercase() && it != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        let monitoring = include_str!("../docs/monitoring.md");
        let of_the_program = ["CONFIG", ""].contains(&name)
            || monitoring.contains(&format!("ACCESS_INVITE_{name}`"))
            || monitoring.contains(&format!("…_{name}`"));
        let told = PAGE.contains(&format!("`ACCESS_INVITE_{name}`"));
        assert!(
            of_the_program || told,
            "ACCESS_INVITE_{name} is not documented"
        );
    }
}

#[test]
fn every_file_of_tests_is_a_module_of_the_binary() {
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|it| *it != "main") {
            let declared = main.lines().any(|it| it == format!("mod {module};"));
            assert!(
                declared,
                "tests/{name} is not in tests/main.rs, so it is not run"
            );
        }
    }
}
