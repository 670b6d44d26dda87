//! The events file: each change of the ledger once, whatever interrupts a run, and nothing of an erased partner.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::chance::{Random, number};
use crate::support::held::Held;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::traces::files_with;
use crate::support::{Output, Workplace};

const EVENTS: &str = "events.jsonl";
const POSITION: &str = "events.jsonl.position";
const ADA: &str = "ada.lovelace@a.example";
const NOTE: &str = "told by phone";

#[track_caller]
fn runs(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{arguments:?}: {output:?}");
    output
}

fn with_events(workplace: &mut Workplace, more: &str) {
    workplace.extra = format!("[events]\nfile = \"{EVENTS}\"\n{more}");
    workplace.configure();
}

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    with_events(&mut workplace, "");
    workplace
}

/// The lines of files, each of which must be complete.
#[track_caller]
fn lines_of(workplace: &Workplace, names: &[&str]) -> Vec<Value> {
    let text = names
        .iter()
        .map(|it| std::fs::read_to_string(workplace.file(it)).unwrap());
    let text: String = text.collect();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

fn lines(workplace: &Workplace) -> Vec<Value> {
    lines_of(workplace, &[EVENTS])
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|it| it["event"] == event).collect()
}

/// Fails unless the lines have every change that the ledger has, once, in order and with the same content.
#[track_caller]
fn assert_complete(workplace: &Workplace, lines: &[Value]) {
    let mut written: BTreeMap<(String, String), Vec<(i64, Value)>> = BTreeMap::new();
    let mut last = 0;
    for line in of(lines, "change") {
        let number = line["change"].as_i64().unwrap();
        assert!(number > last, "change {number} after {last}");
        last = number;
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        written
            .entry((text("address"), text("occasion")))
            .or_default()
            .push((number, line.clone()));
    }
    let mut recorded = 0;
    for invitation in workplace.status()["invitations"].as_array().unwrap() {
        let email = invitation["email"].as_str().unwrap();
        let history = runs(workplace, &["status", email, "--format", "json"], 0);
        let history: Value = serde_json::from_str(&history.stdout).unwrap();
        for invitation in history["invitations"].as_array().unwrap() {
            let occasion = invitation["occasion"].as_str().unwrap_or("invitation");
            let key = (email.to_lowercase(), occasion.to_owned());
            let found = written.get(&key).map(Vec::as_slice).unwrap_or_default();
            let events = invitation["history"].as_array().unwrap();
            assert_eq!(found.len(), events.len(), "{key:?}: {found:#?} {events:#?}");
            for ((_, line), event) in found.iter().zip(events) {
                for name in ["from", "to", "phase", "smtp_code", "reply", "relay", "note"] {
                    assert_eq!(line[name], event[name], "{name}: {line} {event}");
                }
                recorded += 1;
            }
        }
    }
    assert_eq!(recorded, of(lines, "change").len());
}

/// A relay that defers Bob and closes the connection instead of a reply about Cyd.
fn relay() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => reply("450 4.2.0 later"),
        (Stage::Dot, Some(it)) if it.starts_with("cyd") => Action::Close,
        (Stage::Dot, Some(it)) => reply(&format!("250 2.6.0 <{it}> queued")),
        _ => Action::Normal,
    })
}

fn resolve<'a>(address: &'a str, decision: &'a str) -> [&'a str; 6] {
    ["resolve", address, "--as", decision, "--note", NOTE]
}

#[test]
fn every_verb_s_changes_and_runs_are_written_once() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&[
        "Ada.Lovelace@a.example",
        "bob@b.example",
        "cyd@c.example",
        "dan@d.example",
    ]);
    let verbs: [(&[&str], i32); 9] = [
        (&["send", "--limit", "3"], 3),
        (&["send"], 3),
        (&resolve("cyd@c.example", "accepted"), 0),
        (&resolve("cyd@c.example", "bounced"), 0),
        (&["suppress", "bob@b.example"], 0),
        (&["suppress", "--remove", "bob@b.example"], 0),
        (&resolve("bob@b.example", "abandoned"), 0),
        (&resolve("bob@b.example", "resend"), 0),
        (&resolve("nobody@x.example", "abandoned"), 65),
    ];
    for (verb, code) in verbs {
        runs(&workplace, verb, code);
    }
    let written = lines(&workplace);

    assert_complete(&workplace, &written);
    assert!(
        written
            .iter()
            .all(|it| it["version"] == 1 && it["at"].is_string())
    );
    let causes: Vec<_> = of(&written, "change")
        .iter()
        .map(|it| it["cause"].as_str().unwrap().to_owned())
        .collect();
    for cause in [
        "enrolment",
        "arm",
        "reply",
        "person",
        "suppress",
        "unsuppress",
    ] {
        assert!(causes.iter().any(|it| it == cause), "{cause}: {causes:?}");
    }
    let (begun, ended) = (of(&written, "run_started"), of(&written, "run_ended"));
    assert_eq!((begun.len(), ended.len()), (9, 9), "{written:#?}");
    for ((begun, ended), (verb, code)) in begun.iter().zip(&ended).zip(verbs) {
        assert_eq!(
            (&begun["run"], &begun["verb"]),
            (&ended["run"], &ended["verb"])
        );
        assert_eq!(
            (&ended["verb"], &ended["exit_code"]),
            (&verb[0].into(), &code.into())
        );
        // Between both are the changes of that run.
        let place = |line: &Value| written.iter().position(|it| it == line).unwrap();
        let of_run = written
            .iter()
            .filter(|it| it["event"] == "change" && it["run"] == begun["run"]);
        for change in of_run {
            assert!(
                (place(begun)..place(ended)).contains(&place(change)),
                "{change}"
            );
        }
    }
    assert_eq!(ended[0]["counts"]["accepted"], 1);
    for name in [EVENTS, POSITION] {
        let mode = std::fs::metadata(workplace.file(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // Reading adds nothing.
    for verb in ["status", "check", "preview"] {
        runs(&workplace, &[verb], 0);
    }
    assert_eq!(lines(&workplace), written);
}

#[test]
fn a_recovery_and_a_report_are_written() {
    let held = Held::at(Stage::Dot, 1, |it| {
        with_events(it, "[bounces]\nmbox = \"bounces.mbox\"");
        it.many_partners(3);
    });
    held.run.kill();
    let (server, workplace) = (held.server, held.workplace);
    drop(held.keeper);
    let before = lines(&workplace);
    assert!(of(&before, "run_ended").is_empty());

    runs(&workplace, &["send"], 3);

    let written = lines(&workplace);
    assert_complete(&workplace, &written);
    let causes = of(&written, "change")
        .iter()
        .filter(|it| it["cause"] == "recovery")
        .count();
    assert_eq!(causes, 1);
    assert_eq!(of(&written, "run_started").len(), 2);
    assert_eq!(of(&written, "run_ended").len(), 1);
    let id = crate::sync::message_id(&workplace, "p0@a0.example");
    let mail = crate::sync::report("postfix-unknown-user", "p0@a0.example", &id);
    workplace.write(
        "bounces.mbox",
        &format!("From x Mon Nov 30 09:01:00 2026\n{mail}\n"),
    );
    runs(&workplace, &["sync"], 1);
    let written = lines(&workplace);
    assert_complete(&workplace, &written);
    let last = of(&written, "change").pop().unwrap();
    assert_eq!(
        (&last["cause"], &last["to"]),
        (&"notification".into(), &"bounced".into())
    );
    drop(server);
}

#[test]
fn a_kill_at_any_moment_loses_and_doubles_no_line() {
    const PARTNERS: usize = 30;
    let trials = number("ACCESS_INVITE_KILLS").unwrap_or(4);
    let mut random = Random::seeded();
    let delay = |millis| Action::Delay(Duration::from_millis(millis), Box::new(Action::Normal));
    let server = Server::start(move |call: &Call| match call.stage {
        Stage::Rcpt | Stage::Dot => delay(30),
        _ => Action::Normal,
    });
    let job = || {
        let workplace = job(&server);
        workplace.many_partners(PARTNERS);
        workplace
    };
    let whole = job();
    let begun = Instant::now();
    runs(&whole, &["send"], 0);
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let mut interrupted = 0;
    for trial in 0..trials {
        let workplace = job();
        let moment = Duration::from_micros(random.below(took));
        let run = workplace.start(&["send"]);
        std::thread::sleep(moment);
        let killed = run.kill();
        interrupted += u64::from(killed.code == -1);
        let clean = workplace.run(&["send"]);
        assert!(
            matches!(clean.code, 0 | 3),
            "trial {trial} after {moment:?}: {clean:?}"
        );
        assert_complete(&workplace, &lines(&workplace));
    }
    assert!(interrupted > 0);
}

#[test]
fn what_a_kill_has_cut_off_or_kept_back_is_written_by_the_next_run() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&[ADA]);
    runs(&workplace, &["send"], 0);
    let whole = std::fs::read(workplace.file(EVENTS)).unwrap();
    let position = std::fs::read(workplace.file(POSITION)).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    // The file and the position as they are at the beginning of the run, after each of its lines.
    let first = text.lines().next().unwrap().len() + 1;
    for cut in [
        first,
        first + 20,
        text.len() - 30,
        text.len() - 1,
        text.len(),
    ] {
        let complete = text[..cut].rfind('\n').map_or(0, |it| it + 1);
        let kept: Vec<Value> = text[..complete]
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        let last = of(&kept, "change")
            .last()
            .map_or(0, |it| it["change"].as_i64().unwrap());
        let mut known: Value = serde_json::from_slice(&position).unwrap();
        known["open"] = vec![1].into();
        // The position may be older than the lines.
        for change in [0, last] {
            known["change"] = change.into();
            workplace.write(POSITION, &known.to_string());
            std::fs::write(workplace.file(EVENTS), &whole[..cut]).unwrap();
            runs(&workplace, &["suppress", "x@y.example"], 0);
            let written = lines(&workplace);
            assert_complete(&workplace, &written);
            assert!(!of(&written, "run_ended").is_empty(), "{written:#?}");
        }
    }
}

#[test]
fn a_lost_position_is_found_at_the_end_of_the_file() {
    let server = relay();
    let workplace = job(&server);
    for (nth, damaged) in ["", "{", "\0\0\0\0"].into_iter().enumerate() {
        let partners: Vec<String> = (0..=nth).map(|it| format!("p{it}@a.example")).collect();
        workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
        runs(&workplace, &["send"], 0);
        assert_complete(&workplace, &lines(&workplace));
        workplace.write(POSITION, damaged);
    }
    runs(&workplace, &resolve("p0@a.example", "delivered"), 0);
    assert_complete(&workplace, &lines(&workplace));
}

#[test]
fn both_ways_of_logrotate_lose_and_double_nothing() {
    let server = relay();
    let workplace = job(&server);
    for (nth, copy) in [true, false, true, false].into_iter().enumerate() {
        let partners: Vec<String> = (0..=nth).map(|it| format!("p{it}@a.example")).collect();
        workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
        runs(&workplace, &["send"], 0);
        let rotated = workplace.file(&format!("rotated.{nth}"));
        if copy {
            std::fs::copy(workplace.file(EVENTS), rotated).unwrap();
            std::fs::File::options()
                .write(true)
                .open(workplace.file(EVENTS))
                .unwrap()
                .set_len(0)
                .unwrap();
        } else {
            std::fs::rename(workplace.file(EVENTS), rotated).unwrap();
        }
    }
    runs(&workplace, &resolve("p0@a.example", "delivered"), 0);

    let all = lines_of(
        &workplace,
        &["rotated.0", "rotated.1", "rotated.2", "rotated.3", EVENTS],
    );
    assert_complete(&workplace, &all);
    assert_eq!(of(&all, "run_started").len(), 5);
    assert_eq!(of(&all, "run_ended").len(), 5);
}

#[test]
fn verbs_beside_a_run_double_nothing_and_lines_appear_while_it_runs() {
    let held = Held::at(Stage::Dot, 3, |it| {
        with_events(it, "");
        it.many_partners(6);
    });
    // What the run has recorded so far appears within seconds.
    let accepted = || {
        of(&lines(&held.workplace), "change")
            .iter()
            .filter(|it| it["to"] == "accepted")
            .count()
    };
    for _ in 0..500 {
        if accepted() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(accepted(), 3);
    std::thread::scope(|scope| {
        for nth in 0..4 {
            let workplace = &held.workplace;
            scope.spawn(move || {
                for round in 0..3 {
                    let address = format!("x{nth}-{round}@y.example");
                    runs(workplace, &["suppress", &address], 0);
                }
            });
        }
    });
    let (_server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");

    let written = lines(&workplace);
    assert_complete(&workplace, &written);
    let mut runs: Vec<_> = of(&written, "run_started")
        .iter()
        .map(|it| it["run"].as_i64().unwrap())
        .collect();
    runs.sort_unstable();
    assert_eq!(runs, (1..=13).collect::<Vec<_>>());
    assert_eq!(of(&written, "run_ended").len(), 13);
}

#[test]
fn an_events_file_that_cannot_be_written_stops_a_run_before_it_sends() {
    let server = relay();
    let mut workplace = job(&server);
    workplace.partners(&[ADA]);
    std::fs::create_dir(workplace.file(EVENTS)).unwrap();
    let output = runs(&workplace, &["send"], 74);
    assert!(
        output
            .stderr
            .contains("cannot write the events `events.jsonl`"),
        "{output:?}"
    );
    runs(&workplace, &["suppress", "x@y.example"], 74);
    assert!(server.accepted().is_empty());
    std::fs::remove_dir(workplace.file(EVENTS)).unwrap();
    std::os::unix::fs::symlink("/dev/null", workplace.file(EVENTS)).unwrap();
    // A link to a device is followed when the configuration is read.
    runs(&workplace, &["send"], 74);
    std::fs::remove_file(workplace.file(EVENTS)).unwrap();
    for file in ["partners.csv", "ledger.sqlite3", "config.toml"] {
        workplace.extra = format!("[events]\nfile = \"{file}\"");
        workplace.configure();
        let output = runs(&workplace, &["send"], 78);
        assert!(
            output.stderr.contains("`events.file` would overwrite"),
            "{output:?}"
        );
    }
    with_events(&mut workplace, "");
    runs(&workplace, &["send"], 0);
    assert_complete(&workplace, &lines(&workplace));
}

#[test]
fn the_file_begins_with_the_first_run_and_goes_on_after_an_older_ledger() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.smtp("connections = 1");
    workplace.partners(&[ADA]);
    runs(&workplace, &["send"], 0);
    let copy = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();
    with_events(&mut workplace, "");
    workplace.partners(&[ADA, "dan@d.example", "eve@e.example"]);
    runs(&workplace, &["send"], 0);
    let first = lines(&workplace);
    assert!(
        of(&first, "change").iter().all(|it| it["address"] != ADA),
        "{first:#?}"
    );
    assert_eq!(of(&first, "change").len(), 6);

    // Runs without the key: what they record is written later.
    workplace.extra.clear();
    workplace.configure();
    runs(&workplace, &resolve("dan@d.example", "delivered"), 0);
    with_events(&mut workplace, "");
    runs(&workplace, &["send"], 0);
    let second = lines(&workplace);
    assert_eq!(of(&second, "change").len(), 7);
    assert_eq!(of(&second, "run_started").len(), 3);

    std::fs::write(workplace.file("ledger.sqlite3"), copy).unwrap();
    runs(
        &workplace,
        &["resolve", "--accept-older-ledger", "--note", NOTE, "--yes"],
        0,
    );
    runs(&workplace, &["send", "--new-campaign"], 0);
    let third = lines(&workplace);
    let again = &third[second.len()..];
    let changed: Vec<_> = of(again, "change")
        .iter()
        .map(|it| it["to"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        changed,
        [
            "pending", "pending", "armed", "accepted", "armed", "accepted"
        ],
        "{again:#?}"
    );
}

#[test]
fn a_forgotten_address_is_erased_from_the_file_and_from_rotated_ones() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&[ADA, "dan@d.example"]);
    runs(&workplace, &["send"], 0);
    std::fs::rename(workplace.file(EVENTS), workplace.file("events.jsonl.1")).unwrap();
    let note = format!("in place of {ADA}");
    runs(
        &workplace,
        &[
            "resolve",
            "dan@d.example",
            "--as",
            "resend",
            "--note",
            &note,
        ],
        0,
    );
    std::fs::copy(
        workplace.file(EVENTS),
        workplace.file("events.jsonl-20261130"),
    )
    .unwrap();
    std::fs::write(
        workplace.file("events.jsonl.2.gz"),
        b"\x1f\x8b\x08not really",
    )
    .unwrap();
    workplace.partners(&["dan@d.example"]);
    let before = lines_of(&workplace, &["events.jsonl.1"]);
    assert!(!files_with(&workplace, ADA).is_empty());

    let output = runs(&workplace, &["forget", ADA], 0);

    let found: Vec<PathBuf> = files_with(&workplace, ADA);
    assert!(found.is_empty(), "{found:?}");
    assert!(
        output
            .stdout
            .contains("events.jsonl.2.gz: not read, so erase the address there by hand"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("events.jsonl: erased from"),
        "{output:?}"
    );
    let after = lines_of(&workplace, &["events.jsonl.1"]);
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        if before["address"] == ADA {
            for field in ["address", "message_id", "reply", "note"] {
                assert!(after[field].is_null(), "{after}");
            }
            assert_eq!(after["to"], before["to"]);
        } else {
            assert_eq!(before, after);
        }
    }
    let now = lines(&workplace);
    let erased = of(&now, "erased");
    assert_eq!(
        (&erased[0]["cause"], &erased[0]["invitations"]),
        (&"forget".into(), &1.into())
    );
    assert!(
        now.iter().any(|it| it["note"] == "in place of (forgotten)"),
        "{now:#?}"
    );
    // The numbers of its changes are given again.
    runs(&workplace, &["send"], 0);
    let later = lines(&workplace);
    let sent = of(&later[now.len()..], "change");
    assert_eq!(sent.last().unwrap()["to"], "accepted", "{later:#?}");
    for name in [EVENTS, "events.jsonl.1"] {
        let mode = std::fs::metadata(workplace.file(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn retention_erases_whom_old_lines_are_about() {
    let server = relay();
    let mut workplace = job(&server);
    workplace.partners(&[ADA]);
    runs(&workplace, &["send"], 0);
    // If nothing is old enough, the file is not written again.
    let inode = |it: &Workplace| std::fs::metadata(it.file(EVENTS)).unwrap().ino();
    let before = inode(&workplace);
    with_events(&mut workplace, "[privacy]\nretain = \"400d\"");
    runs(&workplace, &["send"], 0);
    assert_eq!(inode(&workplace), before);
    with_events(&mut workplace, "[privacy]\nretain = \"1s\"");
    std::thread::sleep(Duration::from_millis(1100));
    workplace.partners(&["dan@d.example"]);

    runs(&workplace, &["send"], 0);

    let events = std::fs::read_to_string(workplace.file(EVENTS)).unwrap();
    assert!(!events.contains(ADA), "{events}");
    assert!(events.contains("dan@d.example"), "{events}");
    let written = lines(&workplace);
    let erased = of(&written, "erased");
    assert_eq!(
        (&erased[0]["cause"], &erased[0]["invitations"]),
        (&"retention".into(), &1.into())
    );
    let of_dan = of(&written, "change")
        .iter()
        .filter(|it| it["address"] == "dan@d.example")
        .count();
    assert_eq!(of_dan, 3);
}

/// The names of the fields of a line.
fn fields(line: &Value) -> Vec<String> {
    let mut names: Vec<String> = line.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn the_table_and_the_example_of_the_documents_have_the_fields_of_the_lines() {
    let server = relay();
    let workplace = job(&server);
    workplace.partners(&[ADA]);
    runs(&workplace, &["send"], 0);
    runs(&workplace, &["forget", ADA], 0);
    let written = lines(&workplace);
    let page = include_str!("../docs/monitoring.md");
    let example = page
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split('\n')
        .next()
        .unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    let change = of(&written, "change")[2];
    assert_eq!(fields(&example), fields(change));
    for (name, value) in example.as_object().unwrap() {
        let (shown, real) = (value, &change[name.as_str()]);
        let same = shown.is_number() == real.is_number() && shown.is_string() == real.is_string();
        assert!(same || real.is_null(), "{name}: {shown} {real}");
    }
    for event in ["change", "run_started", "run_ended", "erased"] {
        let row = page
            .lines()
            .find(|it| it.starts_with(&format!("| `{event}`")))
            .unwrap();
        let listed = row.rsplit('|').nth(1).unwrap();
        let mut shown: Vec<String> = listed
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        shown.extend(["version", "event", "at", "campaign"].map(str::to_owned));
        shown.sort();
        assert_eq!(shown, fields(of(&written, event)[0]), "{event}");
    }
    // In this order, so that people can read them.
    let raw = std::fs::read_to_string(workplace.file(EVENTS)).unwrap();
    assert!(
        raw.lines()
            .all(|it| it.starts_with("{\"version\":1,\"event\":\"")),
        "{raw}"
    );
}
