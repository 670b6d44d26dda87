//! The pages about relays agree with the table of providers, with the classification of refusals, and with the
//! messages of the program.

use std::path::Path;

use super::examples::{load, merge, smallest_configuration};
use super::markdown::{code_blocks, code_spans, section, tables_of};
use super::{ROOT, page};
use access_invite::address::Address;
use access_invite::config::{Provider, Tls};
use access_invite::outcome::{Phase, Reply};
use access_invite::refusal::{Refusal, SenderIdentity, classify};

/// A number as the page writes it: `10,000`, or nothing.
fn figure(number: Option<u32>) -> String {
    match number {
        None => String::new(),
        Some(it) if it < 1_000 => it.to_string(),
        Some(it) => format!("{},{:03}", it / 1_000, it % 1_000),
    }
}

#[test]
fn the_providers_and_their_figures_are_those_of_the_program() {
    let table = tables_of(page("relays.md"), "provider").remove(0);
    let expected: Vec<Vec<String>> = Provider::all()
        .iter()
        .map(|it| {
            let tls = match it.tls {
                Tls::StartTls => "STARTTLS",
                Tls::Implicit => "implicit",
                Tls::None => "none",
            };
            vec![
                format!("`{}`", it.name),
                format!("`{}`", it.host),
                it.port.to_string(),
                tls.to_owned(),
                figure(it.connections),
                figure(it.per_minute),
                figure(it.per_day),
                figure(it.max_megabytes),
                if it.replaces_message_id {
                    "replaced"
                } else {
                    ""
                }
                .to_owned(),
            ]
        })
        .collect();

    assert_eq!(table.rows, expected);
}

#[test]
fn each_provider_has_a_section_whose_lines_load() {
    for provider in Provider::all() {
        let text = section(page("relays.md"), &format!("## {}", provider.name));
        let blocks = code_blocks(text);
        let [block] = &blocks[..] else {
            panic!("{} needs one code block", provider.name);
        };
        let mut configuration = smallest_configuration();
        // Without the relay of the example, only the provider names a host.
        configuration.remove("smtp");
        merge(&mut configuration, block.text.parse().unwrap());

        let config = load(&configuration).unwrap_or_else(|error| panic!("{error}"));

        assert_eq!(config.smtp.provider, Some(provider));
        let lines = block.text.lines().filter(|it| it.contains(" = "));
        let keys: Vec<_> = lines.map(|it| it.split(" = ").next().unwrap()).collect();
        for required in provider.required_keys() {
            let there = keys.contains(&required.name);
            assert!(there, "{}: {}", provider.name, required.name);
        }
        let warns = text.contains("tracking") || text.contains("tracks");
        assert!(
            provider.link_tracking.is_none() || warns,
            "{}",
            provider.name
        );
    }
}

/// Parses a reply of one line.
fn reply(line: &str) -> Reply {
    let (code, text) = line.split_once(' ').unwrap_or((line, ""));
    let first = text.split(' ').next().unwrap_or_default();
    let is_enhanced = first.split('.').count() == 3 && first.starts_with(&code[..1]);
    let enhanced = is_enhanced.then(|| first.to_owned());
    let rest = if is_enhanced {
        &text[first.len()..]
    } else {
        text
    };
    Reply {
        code: code.parse().unwrap(),
        enhanced,
        text: rest.trim().to_owned(),
    }
}

#[test]
fn each_refusal_has_the_consequence_that_the_page_says() {
    let recipient = Address::parse("ada@fabrikam.example").unwrap();
    let table = tables_of(page("relays.md"), "reply text").remove(0);
    let mut providers = Vec::new();

    for row in &table.rows {
        let reply = reply(code_spans(&row[0])[0]);
        let refusal = classify(Phase::Dot, &reply, &SenderIdentity::default(), &recipient);
        let expected = match refusal {
            Refusal::Throttle => "pauses all connections, then sends the rest",
            Refusal::SenderSide(remedy) => remedy,
            Refusal::Undetermined => "defers the invitation and tries it again",
            Refusal::Recipient => panic!("{row:?} rejects a partner"),
        };
        assert_eq!(row[2], expected, "{row:?}");
        providers.push(code_spans(&row[1])[0]);
    }
    let names = Provider::names();
    assert!(
        providers.iter().all(|it| names.contains(it)),
        "{providers:?}"
    );
    assert!(table.rows.len() >= 20, "{}", table.rows.len());
}

/// A text with one blank between words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text contains these parts in this order.
fn contains_in_order(text: &str, parts: &str) -> bool {
    let mut rest = text;
    parts.split('…').all(|part| match rest.find(part) {
        Some(start) => {
            rest = &rest[start + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn what_a_missing_step_looks_like_is_what_the_program_prints() {
    let folder = std::fs::read_dir(Path::new(ROOT).join("tests/snapshots")).unwrap();
    let snapshots: Vec<String> = folder
        .map(|it| words(&std::fs::read_to_string(it.unwrap().path()).unwrap()))
        .collect();
    let table = tables_of(page("microsoft365.md"), "missing step").remove(0);

    assert!(table.rows.len() > 15, "{}", table.rows.len());
    for row in &table.rows {
        let sentence = words(&row[1]);
        let is_printed = |it: &String| contains_in_order(it, &sentence);
        assert!(
            snapshots.iter().any(is_printed),
            "nothing prints: {sentence}"
        );
    }
}
