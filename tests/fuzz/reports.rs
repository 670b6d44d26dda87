//! Mail that came back, of any content.

use std::panic::Location;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use access_invite::address::Address;
use access_invite::inbox::{Inbound, MAIL_LIMIT, Mails, Report, read};
use access_invite::panics::catches_panics;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::fuzz;
use crate::support::folder_in_memory;

/// The limits of `src/inbox/`.
const CHARACTERS: usize = 500;
const RECIPIENTS: usize = 100;
const IDS: usize = 50;

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\r\n ",
    "--b",
    "--b--",
    "\0",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{85}",
    "é",
    "From x Mon Nov 30 09:01:00 2026\n",
    ">From ",
    "Content-Type: multipart/report; boundary=b\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    "Content-Type: message/delivery-status\r\n\r\n",
    "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "Content-Type: message/disposition-notification\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: text/rfc822-headers\r\n\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "charset=utf-16",
    "Final-Recipient: rfc822; ada@fabrikam.example\r\n",
    "Action: failed\r\n",
    "Status: 5.1.1\r\n",
    "Diagnostic-Code: smtp; 550 5.1.1 no\r\n",
    "Original-Envelope-Id: ",
    "X-Access-Invite-Id: 0123456789abcdef0123456789abcdef\r\n",
    "Message-ID: <0123456789abcdef0123456789abcdef@contoso.example>\r\n",
    "References: <a@b> <c@d>\r\n",
    "In-Reply-To: ",
    "X-Failed-Recipients: ada@fabrikam.example, bob@fabrikam.example\r\n",
    "X-MS-Exchange-Message-Is-Ndr:\r\n",
    "From: MAILER-DAEMON@a.example\r\n",
    "Return-Path: <>\r\n",
    "Auto-Submitted: auto-replied\r\n",
    "<ada@fabrikam.example>: 550",
    "------ This is a copy of the message ------\n",
    "=?utf-8?B?",
    "?=",
    "<",
    ">",
    "(",
    "\"",
];

/// How many panics of this crate's own code were caught with those of the parser.
static OWN_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts caught panics of this crate, and keeps those of the parser from being printed.
fn count_caught_panics() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !catches_panics() {
            return previous(panic);
        }
        let file = panic.location().map(Location::file);
        if file.is_some_and(|it| it.starts_with("src/inbox")) {
            OWN_PANICS.fetch_add(1, Ordering::SeqCst);
        }
    }));
}

#[test]
fn fuzzed_reports_are_read_within_their_limits() {
    let values = [
        ("{to}", "ada@fabrikam.example"),
        (
            "{message_id}",
            "0123456789abcdef0123456789abcdef@contoso.example",
        ),
        ("{invite_id}", "fedcba9876543210fedcba9876543210"),
        ("{envelope_id}", "fedcba9876543210fedcba9876543210"),
        ("{queue_id}", "0102018f3c7a-5a1b2c-000000"),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let text = values
            .iter()
            .fold(text, |text, (name, value)| text.replace(name, value));
        seeds.push(text.into_bytes());
    }
    assert!(seeds.len() >= 76, "{}", seeds.len());
    // Several in one mbox file.
    let separator = b"\nFrom x Mon Nov 30 09:01:00 2026\n";
    seeds.push([separator[1..].to_vec(), seeds[..5].join(&separator[..])].concat());
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    count_caught_panics();
    let scratch = folder_in_memory();
    let file = scratch.path().join("mails");
    fuzz(1_500, &seeds, WORDS, |input| {
        if let Inbound::Report(report) = read(input) {
            within_limits(&report)?;
        }
        std::fs::write(&file, input).unwrap();
        let mut bytes = 0;
        for mail in Mails::open(&file).unwrap() {
            let mail = mail.unwrap();
            prop_assert!(mail.bytes.len() <= MAIL_LIMIT);
            bytes += mail.bytes.len();
            if let Inbound::Report(report) = read(&mail.bytes) {
                within_limits(&report)?;
            }
        }
        prop_assert!(bytes <= input.len(), "{} bytes of {}", bytes, input.len());
        prop_assert_eq!(OWN_PANICS.swap(0, Ordering::SeqCst), 0);
        Ok(())
    });
}

fn within_limits(report: &Report) -> TestCaseResult {
    prop_assert!(!report.id.is_empty());
    let original = &report.original;
    prop_assert!(original.message_ids.len() <= IDS);
    prop_assert!(report.recipients.len() <= RECIPIENTS);
    let ids = original.message_ids.iter().chain(&original.envelope_id);
    let ids = ids.chain(&original.invite_id).chain(&original.queue_id);
    for text in ids.chain([&report.id]) {
        printable(text)?;
    }
    for recipient in &report.recipients {
        printable(&recipient.diagnostic)?;
        if let Some(address) = &recipient.address {
            let again = Address::parse(address.as_written());
            prop_assert_eq!(again.as_ref(), Ok(address));
        }
        if let Some(status) = &recipient.status {
            let numbers: Vec<_> = status.split('.').map(str::parse::<u16>).collect();
            prop_assert!(
                numbers.len() == 3 && numbers.iter().all(Result::is_ok),
                "{}",
                status
            );
        }
    }
    Ok(())
}

/// One line, bounded, without control characters and marks of direction.
fn printable(text: &str) -> TestCaseResult {
    prop_assert!(
        text.chars().count() <= CHARACTERS,
        "{} characters",
        text.len()
    );
    let hidden = |it: char| {
        it.is_control()
            || matches!(it, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    prop_assert!(!text.contains(hidden), "{:?}", text);
    Ok(())
}
