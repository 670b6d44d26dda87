//! Readers of untrusted input, fed with arbitrary bytes and mutated valid inputs: replies, lists, links,
//! messages, configurations and, in `reports.rs`, mail that came back.
//!
//! No input may cause a panic or take long, and each value must be within its limits. Each target has a fixed
//! number of inputs, times `ACCESS_INVITE_FUZZ`. A failing input is shrunk and printed.

mod reports;

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access_invite::address::Address;
use access_invite::config::Config;
use access_invite::link::AccessPackageLink;
use access_invite::message::Composer;
use access_invite::outcome::Reply;
use access_invite::partners::Partners;
use access_invite::relay::{MalformedReply, ReplyReader};
use access_invite::templates::Templates;
use mail_parser::MessageParser;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config as Trials, TestCaseResult, TestRunner};
use sha2::{Digest, Sha256};

use crate::support::chance::number;
use crate::support::page::Page;
use crate::support::{LINK, Workplace, folder_in_memory};

/// Time limit for one input, on a loaded machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(10);

/// The largest input.
const LARGEST: usize = 256 * 1024;

/// Runs a reader with this many inputs.
fn fuzz(
    inputs: u32,
    seeds: &[&[u8]],
    words: &'static [&'static str],
    reads: impl Fn(&[u8]) -> TestCaseResult,
) {
    let times = number("ACCESS_INVITE_FUZZ").map_or(1, |it| u32::try_from(it).unwrap());
    let mut runner = TestRunner::new(Trials {
        cases: inputs * times,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        // In milliseconds; a slow input is slow every time.
        max_shrink_time: 30_000,
        ..Trials::default()
    });
    for seed in seeds {
        reads(seed).unwrap();
    }
    let seeds = seeds.iter().map(|it| it.to_vec()).collect();
    let tried = runner.run(&inputs_like(seeds, words), |input| {
        let start = Instant::now();
        reads(&input.0)?;
        prop_assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

/// An input, which is printed as text.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Mutated seeds, words in any order, and arbitrary bytes.
fn inputs_like(
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static str],
) -> impl Strategy<Value = Input> {
    let changes = prop_oneof![
        prop::collection::vec(change(words), 1),
        prop::collection::vec(change(words), 2..6),
    ];
    prop_oneof![
        6 => (select(seeds), changes).prop_map(|(mut bytes, changes)| {
            for change in &changes {
                change.apply(&mut bytes);
                bytes.truncate(LARGEST);
            }
            bytes
        }),
        2 => prop::collection::vec(select(words), 0..40).prop_map(|it| it.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
    .prop_map(Input)
}

/// A mutation of an input, at an offset or of a number of bytes from there on.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Copy(Index, usize, Index),
    End(Index),
}

fn change(words: &'static [&'static str]) -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    let length = || prop_oneof![3 => 0..24_usize, 1 => 0..20_000_usize];
    prop_oneof![
        3 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        6 => (place(), select(words)).prop_map(|(at, word)| Change::Insert(at, word)),
        2 => (place(), length()).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (place(), length(), 2..200_usize)
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        2 => (place(), length(), place()).prop_map(|(from, length, to)| Change::Copy(from, length, to)),
        1 => place().prop_map(Change::End),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let size = bytes.len();
        let place = |at: &Index| at.index(size + 1);
        let part = |at: &Index, length: &usize| place(at)..(place(at) + length).min(size);
        match self {
            Self::Set(at, byte) => {
                if let Some(found) = bytes.get_mut(place(at)) {
                    *found = *byte;
                }
            }
            Self::Insert(at, word) => {
                bytes.splice(place(at)..place(at), word.bytes());
            }
            Self::Remove(at, length) => {
                bytes.drain(part(at, length));
            }
            Self::Repeat(at, length, times) => {
                let repeated = bytes[part(at, length)].repeat(*times);
                bytes.splice(part(at, length), repeated);
            }
            Self::Copy(from, length, to) => {
                let copied = bytes[part(from, length)].to_vec();
                bytes.splice(place(to)..place(to), copied);
            }
            Self::End(at) => bytes.truncate(place(at)),
        }
    }
}

#[test]
fn fuzzed_replies_are_read_within_their_limits_or_refused() {
    let seeds: [&[u8]; 4] = [
        b"250 2.0.0 Ok: queued as 4X\r\n",
        b"550-5.1.1 no\r\n550 5.1.1 such user\r\n354 go\r\n",
        b"250-relay.example\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n221 bye\r\n",
        b"451 4.7.500 Server busy f\xfcr Ada\r\n",
    ];
    let words = &[
        "\r\n",
        "\n",
        "\r",
        "250",
        "250-",
        "250 ",
        "550-",
        "421 ",
        "354",
        "2.0.0",
        " 5.7.1 ",
        "-",
        " ",
        "\0",
        "\u{1b}[31m",
        "\u{15}\u{3}\u{3}",
        "\u{a0}",
        "999",
        "HTTP/1.1 400",
    ];
    fuzz(3_000, &seeds, words, |input| {
        let (whole, error) = replies(input, input.len().max(1));
        let (pieces, piecewise) = replies(input, 3);
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(error.is_some(), piecewise.is_some());
        if error.is_none() {
            let rest = input.len()
                - input
                    .iter()
                    .rposition(|it| *it == b'\n')
                    .map_or(0, |it| it + 1);
            prop_assert!(rest < 2_048, "{} bytes without an end of line", rest);
        }
        for reply in whole {
            prop_assert!((200..600).contains(&reply.code));
            prop_assert!(reply.text.chars().count() <= 500);
            prop_assert!(!reply.text.contains(char::is_control));
            if let Some(enhanced) = &reply.enhanced {
                let class = enhanced.split('.').next().unwrap();
                prop_assert_eq!(class, reply.class().to_string());
                prop_assert!(enhanced.len() <= 9, "{}", enhanced);
            }
            // The recorded text reads as the same reply, except for blanks.
            let written = reply.to_string();
            let (again, error) = replies(format!("{written}\r\n").as_bytes(), 2_048);
            prop_assert_eq!((again.len(), error), (1, None));
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&again[0].to_string()), words(&written));
        }
        Ok(())
    });
}

/// The replies in `bytes`, fed in pieces of `size`, and what ended the reading.
fn replies(bytes: &[u8], size: usize) -> (Vec<Reply>, Option<MalformedReply>) {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    let mut waiting = 0;
    for piece in bytes.chunks(size) {
        reader.push(piece);
        waiting += piece.len();
        loop {
            match reader.take() {
                Ok(Some(reply)) => {
                    replies.push(reply);
                    waiting = piece.len();
                }
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
        assert!(
            waiting < 64 * 1024 + 2_048 + size,
            "{waiting} bytes are kept"
        );
    }
    (replies, None)
}

#[test]
fn fuzzed_links_are_kept_byte_for_byte_or_refused() {
    let guid = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
    let seeds = [
        LINK.to_owned(),
        format!("https://myaccess.microsoft.us/%40fabrikam.us#/access-packages/{guid}"),
        format!("https://portal.example/@{guid}#/access-packages/{guid}"),
        format!("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2F{guid}"),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
    let words = &[
        "https://",
        "myaccess.microsoft.com",
        "portal.example",
        "/",
        "@",
        "%40",
        "#",
        "%23",
        "?",
        ":443",
        "user:pw@",
        "#/access-packages/",
        "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
        ".",
        "…",
        "<",
        "\u{200b}",
        "\u{a0}",
        "і",
        " ",
        "\t",
        "\n",
        "%",
        "xn--",
        "[::1]",
        "{{",
        "＃",
        "–",
    ];
    let hosts = ["portal.example".to_owned()];
    fuzz(6_000, &seeds, words, |input| {
        let text = String::from_utf8_lossy(input);
        match AccessPackageLink::parse(&text, &hosts) {
            Ok((link, _)) => {
                prop_assert_eq!(link.as_str(), &text);
                prop_assert_eq!(link.to_string(), &*text);
                prop_assert!(text.bytes().all(|it| it.is_ascii_graphic()));
                let end = text.len() - 36;
                let id = link.package_id().to_string();
                prop_assert_eq!(&id, &text[end..].to_ascii_lowercase());
                let rest = text[..end].strip_suffix("#/access-packages/");
                let rest = rest.and_then(|it| it.strip_suffix(link.directory_hint()));
                let host = rest.and_then(|it| it.strip_prefix("https://"));
                let host = host.and_then(|it| it.strip_suffix("/@").or(it.strip_suffix("/%40")));
                let known = [
                    "myaccess.microsoft.com",
                    "myaccess.microsoft.us",
                    "portal.example",
                ];
                prop_assert!(known.contains(&host.unwrap_or_default()), "{}", text);
            }
            Err(error) => {
                let place = error.span(&text).unwrap_or(0..0);
                prop_assert!(text.get(place).is_some(), "{}", error);
                prop_assert!(error.to_string().len() < 10 * text.len() + 1_000);
            }
        }
        Ok(())
    });
}

#[test]
fn fuzzed_lists_give_valid_rows_or_errors() {
    let workplace = Workplace::new(1);
    let config = Config::load(&workplace.file("config.toml")).unwrap();
    let templates = Templates::load(&config.templates).unwrap();
    let scratch = folder_in_memory();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut seeds = vec![
        b"email,name,organization,locale,package,note\nada@a.example,Ada,Fabrikam,fr,project,x\n\"bob@b.example\",\"Bob \"\"B\"\"\",,,,\"two\nlines\"\n".to_vec(),
        b"email;name\r\nada@a.example;Ada\r\nADA@a.example;Ada\r\n".to_vec(),
        b"sep=;\nemail;name\nada@a.example;Ada\n".to_vec(),
    ];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.as_os_str().as_bytes().ends_with(b".csv") {
            seeds.push(std::fs::read(path).unwrap());
        }
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let words = &[
        "\"",
        "\"\"",
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "email",
        "name",
        "locale",
        "package",
        "sep=;\n",
        "ada@a.example",
        "project",
        "fr",
        "\u{feff}",
        "\0",
        "@",
        "é",
        "Ã©",
        "\u{202e}",
        "\u{1b}",
        "\u{85}",
        "PK\u{3}\u{4}",
    ];
    let path = &config.partners.path;
    fuzz(600, &seeds, words, |input| {
        std::fs::write(path, input).unwrap();
        let partners = match Partners::read(&config, &templates.locales, true, scratch.path()) {
            Ok(partners) => Arc::new(partners),
            Err(failure) => {
                let message = failure.to_string();
                prop_assert!(
                    !message.is_empty() && message.len() < 64 * 1024,
                    "{}",
                    message
                );
                return Ok(());
            }
        };
        prop_assert_eq!(
            partners.digest()[..].to_vec(),
            Sha256::digest(input)[..].to_vec()
        );
        let good: Vec<_> = partners.iter().map(|it| it.unwrap()).collect();
        prop_assert_eq!(good.len() as u64, partners.good());
        let lines = input.len() as u64 + 1;
        let mut last = 0;
        for partner in &good {
            prop_assert!(partner.line > last && partner.line <= lines);
            last = partner.line;
            let address = Address::parse(partner.address.as_written());
            prop_assert_eq!(address.as_ref(), Ok(&partner.address));
            prop_assert!(partners.contains(&partner.identity(&config.campaign)));
            for text in [&partner.name, &partner.organization].into_iter().flatten() {
                prop_assert!(text.chars().count() <= 256);
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
            prop_assert_eq!(partner.extra.len(), partners.extra_columns().len());
            prop_assert!(partner.extra.iter().all(|it| it.len() <= 8 * 1024));
        }
        let described = partners.describe_bad_rows();
        prop_assert_eq!(described.is_empty(), partners.bad() == 0);
        prop_assert!(described.len() < 256 * 1024, "{} bytes", described.len());
        let refused = partners.refuse_bad_rows(config.partners.bad_rows);
        prop_assert_eq!(refused.is_err(), partners.bad() > 0);
        Ok(())
    });
}

#[test]
fn fuzzed_messages_pass_only_with_the_link_in_both_parts() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let config = Arc::new(Config::load(&workplace.file("config.toml")).unwrap());
    let templates = Arc::new(Templates::load(&config.templates).unwrap());
    let partners = Partners::read(&config, &templates.locales, true, workplace.path()).unwrap();
    let mut partner = Arc::new(partners).iter().next().unwrap().unwrap();
    let composer = Composer::new(&config, &templates);
    let id = "0123456789abcdef0123456789abcdef@contoso.example";
    let date = "2026-11-23T08:30:00Z".parse().unwrap();
    let (message, _) = composer
        .draft(&partner, id, None)
        .compose_and_verify(date)
        .unwrap();
    let words = &[
        "\r\n",
        "\n",
        "\r",
        "--",
        "=\r\n",
        "=3D",
        "=",
        " ",
        "<a href=\"https://x.example\">",
        "<a href=3D\"https://x.example\">",
        "<img src=\"x\">",
        "</a>",
        "<!--",
        "-->",
        "<script>",
        "https://myaccess.microsoft.com/",
        LINK,
        "Bcc: eve@x.example\r\n",
        "To: eve@x.example\r\n",
        "Content-Type: text/plain\r\n",
        "charset=utf-7",
        "base64",
        "é",
        "\0",
        "\r\n.\r\n",
        "boundary=",
        ";",
        "<style>",
        "<base>",
        "&#x",
        "x",
    ];
    fuzz(400, &[&message.bytes], words, |input| {
        if composer.verify_again(&partner, id, input).is_err() {
            return Ok(());
        }
        prop_assert!(input.is_ascii() && input.ends_with(b"\r\n"));
        prop_assert!(input.split(|it| *it == b'\n').all(|it| it.len() <= 999));
        let parsed = MessageParser::default().parse(input).unwrap();
        let text = parsed.body_text(0).unwrap();
        prop_assert_eq!(text.lines().filter(|it| *it == LINK).count(), 1);
        let html = parsed.body_html(0).unwrap();
        let page = Page::read(&html);
        prop_assert!(page.words.contains(LINK));
        for element in &page.elements {
            for (name, value) in &element.attributes {
                let leads = matches!(name.as_str(), "href" | "src" | "action" | "background");
                let known = value == LINK || value == "mailto:desk@contoso.example";
                prop_assert!(!leads || known, "{} leads to {}", element.name, value);
            }
        }
        Ok(())
    });
    partner.name = Some("Eve".into());
    assert!(composer.verify_again(&partner, id, &message.bytes).is_err());
}

#[test]
fn fuzzed_configurations_are_read_or_refused_with_a_line() {
    let workplace = Workplace::new(1);
    let path = workplace.file("config.toml");
    let plain = std::fs::read(&path).unwrap();
    let example = include_bytes!("../config.example.toml");
    let uncommented = String::from_utf8_lossy(example).replace("\n# ", "\n");
    let words = &[
        "\n",
        "[",
        "]",
        "[[",
        "=",
        "\"",
        "\"\"\"",
        "'",
        "{",
        "}",
        ".",
        ",",
        "#",
        "\\u0000",
        "\\u200b",
        "[smtp]",
        "[sender]",
        "[packages.x]",
        "[packages.\"\"]",
        "host",
        "port = ",
        "link = ",
        "99999999999",
        "-1",
        "1e400",
        "nan",
        "2026-02-30",
        "true",
        "\"1h\"",
        "[1, 2]",
        "é",
        "\0",
        "\u{202e}",
        "campaign",
        "password = \"x\"",
        "only_to = ",
        "0x",
        "tls = \"none\"",
    ];
    fuzz(500, &[&plain, example], words, |input| {
        read_configuration(&path, input)
    });
    // A configuration with every key contradicts itself and is refused before any mutation.
    assert!(Config::load(&write(&path, uncommented.as_bytes())).is_err());
    fuzz(100, &[uncommented.as_bytes()], words, |input| {
        read_configuration(&path, input)
    });
    workplace.configure();
}

fn write(path: &Path, input: &[u8]) -> std::path::PathBuf {
    std::fs::write(path, input).unwrap();
    path.to_owned()
}

fn read_configuration(path: &Path, input: &[u8]) -> TestCaseResult {
    match Config::load(&write(path, input)) {
        Ok(config) => {
            prop_assert!(!config.packages.is_empty() && config.smtp.connections > 0);
            let source = String::from_utf8(input.to_vec()).unwrap();
            for package in &config.packages {
                let link = package.link.as_str();
                prop_assert!(source.contains(link) || source.contains('\\'), "{}", link);
            }
        }
        Err(failure) => {
            let message = failure.to_string();
            let lines = input.split(|it| *it == b'\n').count();
            let start = format!("{}:", path.display());
            for place in message.split(start.as_str()).skip(1) {
                let digits = place.split(|it: char| !it.is_ascii_digit()).next().unwrap();
                let Ok(line) = digits.parse::<usize>() else {
                    prop_assert!(place.starts_with(" and "), "{}", place);
                    continue;
                };
                prop_assert!((1..=lines).contains(&line), "line {} of {}", line, lines);
            }
            prop_assert!(!message.is_empty());
            prop_assert!(message.len() < 1024 * 1024, "{} bytes", message.len());
        }
    }
    Ok(())
}
