//! The file for Prometheus: right numbers, valid text, no address, also after a run that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use crate::support::graph::Graph;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace};

pub const FILE: &str = "access_invite.prom";

#[track_caller]
fn runs(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{arguments:?}: {output:?}");
    output
}

pub fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.extra = format!("[metrics]\ntextfile = \"{FILE}\"");
    workplace.configure();
    workplace
}

/// A relay that refuses Bob for good and Cyd for now, and closes the connection instead of a reply about Dan.
pub fn relay() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => reply("550 5.1.1 unknown user"),
        (Stage::Rcpt, Some(it)) if it.starts_with("cyd") => reply("450 4.2.0 later"),
        (Stage::Dot, Some(it)) if it.starts_with("dan") => Action::Close,
        _ => Action::Normal,
    })
}

pub const PARTNERS: [&str; 4] = [
    "ada@a.example",
    "bob@b.example",
    "cyd@c.example",
    "dan@d.example",
];

/// The labels of a series, in their order.
type Labels = Vec<(String, String)>;

/// The series of a text in Prometheus' format (its "Exposition formats"), each with its value. Fails at
/// what is not valid: a name, a label or a value, a series without HELP and TYPE, a metric in two places, a series
/// that is there twice.
#[track_caller]
pub fn parsed(text: &str) -> BTreeMap<String, BTreeMap<Labels, f64>> {
    assert!(text.ends_with('\n'), "{text}");
    let is_name = |it: &str| {
        it.starts_with(|first: char| first.is_ascii_lowercase())
            && it
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
    };
    let mut metrics: BTreeMap<String, BTreeMap<Labels, f64>> = BTreeMap::new();
    let (mut help, mut current) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap();
            assert!(
                is_name(name) && words.ends_with('.') && !words.contains('\\'),
                "{line}"
            );
            assert!(!metrics.contains_key(name), "{name} is in two places");
            name.clone_into(&mut help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{help} gauge"));
            current.clone_from(&help);
            metrics.insert(current.clone(), BTreeMap::new());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            assert_eq!(name, current, "{line}");
            let labels = labels_of(labels.strip_suffix('}').unwrap());
            assert!(labels.iter().all(|it| is_name(&it.0)), "{line}");
            let names: BTreeSet<_> = labels.iter().map(|it| &it.0).collect();
            assert_eq!(names.len(), labels.len(), "{line}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            let before = metrics.get_mut(name).unwrap().insert(labels, value);
            assert_eq!(before, None, "twice: {line}");
        }
    }
    assert!(metrics.values().all(|it| !it.is_empty()), "{text}");
    metrics
}

/// `name="value",other="value"`, with `\\`, `\"` and `\n` in the values.
fn labels_of(mut text: &str) -> Labels {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let end = loop {
            match letters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => value.push(match letters.next().unwrap().1 {
                    'n' => '\n',
                    it @ ('\\' | '"') => it,
                    other => panic!("\\{other} in {text}"),
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        text = rest[end + 1..]
            .strip_prefix(',')
            .unwrap_or(&rest[end + 1..]);
    }
    labels
}

pub fn text(workplace: &Workplace) -> String {
    std::fs::read_to_string(workplace.file(FILE)).unwrap()
}

/// The value of a series with these labels, besides the campaign.
#[track_caller]
fn value(workplace: &Workplace, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut all = vec![("campaign".to_owned(), "spring".to_owned())];
    all.extend(labels.iter().map(|it| (it.0.to_owned(), it.1.to_owned())));
    let text = text(workplace);
    parsed(&text)
        .get(&format!("access_invite_{metric}"))?
        .get(&all)
        .copied()
}

fn now() -> f64 {
    jiff::Timestamp::now()
        .duration_since(jiff::Timestamp::UNIX_EPOCH)
        .as_secs_f64()
}

#[test]
fn the_numbers_are_those_of_the_ledger_and_of_the_run() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&PARTNERS);
    let begun = now();
    runs(&workplace, &["send"], 3);
    let ended = now();

    for (state, number) in [
        ("accepted", 1),
        ("rejected", 1),
        ("deferred", 1),
        ("unknown", 1),
        ("pending", 0),
    ] {
        let found = value(&workplace, "invitations", &[("state", state)]);
        assert_eq!(found, Some(f64::from(number)), "{state}");
    }
    for (outcome, number) in [
        ("accepted", 1),
        ("rejected", 1),
        ("deferred", 1),
        ("unknown", 1),
        ("expired", 0),
    ] {
        let found = value(&workplace, "send_messages", &[("outcome", outcome)]);
        assert_eq!(found, Some(f64::from(number)), "{outcome}");
    }
    assert_eq!(
        value(&workplace, "decisions_pending", &[("state", "unknown")]),
        Some(1.0)
    );
    assert_eq!(
        value(&workplace, "decisions_pending", &[("state", "expired")]),
        Some(0.0)
    );
    assert_eq!(value(&workplace, "ledger_readable", &[]), Some(1.0));
    let send = [("verb", "send")];
    assert_eq!(value(&workplace, "run_exit_code", &send), Some(3.0));
    assert_eq!(
        value(&workplace, "run_success_timestamp_seconds", &send),
        None
    );
    for (metric, labels) in [
        ("run_start_timestamp_seconds", &send[..]),
        ("run_end_timestamp_seconds", &send),
        ("oldest_due_timestamp_seconds", &[]),
    ] {
        let at = value(&workplace, metric, labels).unwrap();
        assert!(
            (begun - 0.1..=ended + 0.1).contains(&at),
            "{metric}: {begun} {at} {ended}"
        );
    }
    let took = value(&workplace, "run_duration_seconds", &send).unwrap();
    assert!((0.0..=ended - begun + 0.1).contains(&took), "{took}");
    let text = text(&workplace);
    assert!(!text.contains('@') && !text.contains("a.example"), "{text}");
    let mode = std::fs::metadata(workplace.file(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn each_writing_verb_writes_its_run_and_keeps_those_of_others() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&PARTNERS);
    runs(&workplace, &["preview"], 0);
    runs(&workplace, &["check"], 0);
    runs(&workplace, &["send", "--dry-run"], 0);
    runs(&workplace, &["suppress", "--list"], 0);
    assert!(!workplace.file(FILE).exists());
    workplace.write("returned.eml", "Subject: x\n\n");
    for (verb, code) in [
        (&["send"][..], 3),
        (
            &[
                "resolve",
                "dan@d.example",
                "--as",
                "accepted",
                "--note",
                "x",
            ],
            0,
        ),
        (&["suppress", "x@y.example"], 0),
        (&["sync", "--bounces", "returned.eml"], 0),
        (&["approve"], 0),
        (&["forget", "eve@e.example"], 0),
    ] {
        runs(&workplace, verb, code);
    }
    for (verb, code) in [
        ("send", 3),
        ("resolve", 0),
        ("suppress", 0),
        ("sync", 0),
        ("approve", 0),
        ("forget", 0),
    ] {
        let labels = [("verb", verb)];
        assert_eq!(
            value(&workplace, "run_exit_code", &labels),
            Some(f64::from(code)),
            "{verb}"
        );
        let succeeded = value(&workplace, "run_success_timestamp_seconds", &labels);
        assert_eq!(succeeded.is_some(), code == 0, "{verb}");
    }
    assert_eq!(
        value(&workplace, "decisions_pending", &[("state", "unknown")]),
        Some(0.0)
    );
    // What the last send did stays known.
    assert_eq!(
        value(&workplace, "send_messages", &[("outcome", "rejected")]),
        Some(1.0)
    );
    // 75 means that nothing is wrong.
    runs(&workplace, &["send"], 75);
    assert!(
        value(
            &workplace,
            "run_success_timestamp_seconds",
            &[("verb", "send")]
        )
        .is_some()
    );
}

#[test]
fn a_run_that_fails_early_is_measured() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&PARTNERS[..1]);
    runs(&workplace, &["send"], 0);
    let success = value(
        &workplace,
        "run_success_timestamp_seconds",
        &[("verb", "send")],
    );
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();

    // A wrong table elsewhere: the ledger is not known.
    workplace.write(
        "config.toml",
        &config.replace("per_minute = 1000000", "per_minute = \"x\""),
    );
    runs(&workplace, &["send"], 78);
    assert_eq!(
        value(&workplace, "run_exit_code", &[("verb", "send")]),
        Some(78.0)
    );
    assert_eq!(value(&workplace, "ledger_readable", &[]), Some(0.0));
    assert_eq!(
        value(&workplace, "invitations", &[("state", "accepted")]),
        None
    );
    assert_eq!(
        value(
            &workplace,
            "run_success_timestamp_seconds",
            &[("verb", "send")]
        ),
        success
    );
    workplace.write("config.toml", &config);

    // A wrong list: the ledger is known.
    workplace.write("partners.csv", "email\nnobody\n");
    runs(&workplace, &["send"], 65);
    assert_eq!(
        value(&workplace, "run_exit_code", &[("verb", "send")]),
        Some(65.0)
    );
    assert_eq!(
        value(&workplace, "invitations", &[("state", "accepted")]),
        Some(1.0)
    );

    // No ledger.
    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();
    runs(&workplace, &["send"], 78);
    assert_eq!(value(&workplace, "ledger_readable", &[]), Some(0.0));
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning_and_another_s_file_stays() {
    let server = relay();
    let mut workplace = job(&server);
    workplace.partners(&PARTNERS[..1]);
    workplace.write(FILE, "node_other 1\n");
    let output = runs(&workplace, &["send"], 0);
    assert!(
        output.stderr.starts_with("warning: cannot write the metrics `access_invite.prom`: it has no metrics of access-invite; "),
        "{output:?}"
    );
    assert_eq!(text(&workplace), "node_other 1\n");
    workplace.extra = "[metrics]\ntextfile = \"missing/x.prom\"".into();
    workplace.configure();
    let output = runs(&workplace, &["send"], 0);
    assert!(
        output.stderr.contains("there is no such folder"),
        "{output:?}"
    );
    workplace.extra = "[metrics]\ntextfile = \"partners.csv\"".into();
    workplace.configure();
    let output = runs(&workplace, &["send"], 78);
    assert!(
        output
            .stderr
            .contains("`metrics.textfile` would overwrite the partner file"),
        "{output:?}"
    );
}

#[test]
fn requests_for_access_are_counted() {
    let graph = Graph::start();
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    graph.configure(&mut workplace, Some("before_send = \"off\""));
    workplace.extra = format!("{}[metrics]\ntextfile = \"{FILE}\"", workplace.extra);
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@a.example"]);
    runs(&workplace, &["send"], 0);
    let begun = now();
    runs(&workplace, &["sync"], 0);

    assert_eq!(
        value(&workplace, "access", &[("access", "none")]),
        Some(2.0),
        "{}",
        text(&workplace)
    );
    let read = value(&workplace, "requests_read_timestamp_seconds", &[]).unwrap();
    assert!(read >= begun - 0.1, "{read} {begun}");
}

#[test]
fn the_alerts_use_only_metrics_and_labels_that_the_file_has() {
    let rules = include_str!("../packaging/alerts.yml");
    let source = include_str!("../src/metrics.rs");
    let words = rules.split(|it: char| !(it.is_alphanumeric() || it == '_'));
    let used: BTreeSet<&str> = words
        .filter_map(|it| it.strip_prefix("access_invite_"))
        .collect();
    assert!(used.len() >= 6, "{used:?}");
    for metric in used {
        assert!(source.contains(&format!("\"{metric}\"")), "{metric}");
    }
}

#[test]
fn the_reader_of_the_tests_refuses_what_prometheus_does() {
    let head = "# HELP a_b Help.\n# TYPE a_b gauge\n";
    for wrong in [
        "a_b{x=\"1\"} 1\na_b{x=\"1\"} 2\n",
        "a_b{x=\"1\",x=\"2\"} 1\n",
        "a_b{x=\"1\"} one\n",
        "a_b{X=\"1\"} 1\n",
        "other{x=\"1\"} 1\n",
        "a_b{x=\"\\t\"} 1\n",
        "a_b{x=\"1\"} 1\n# HELP a_b Help.\n# TYPE a_b gauge\na_b{x=\"2\"} 1\n",
    ] {
        let text = format!("{head}{wrong}");
        let read = std::panic::catch_unwind(|| parsed(&text));
        assert!(read.is_err(), "{wrong}");
    }
    assert_eq!(parsed(&format!("{head}a_b{{x=\"\\\\\\\"\"}} 1\n")).len(), 1);
}
