//! Reports in the forms of many generators, and mail that is none. `tests/fixtures/reports/` has them with
//! placeholders for what a real one would name.

use super::*;

const TO: &str = "ada@fabrikam.example";
const MESSAGE_ID: &str = "0123456789abcdef0123456789abcdef@contoso.example";
const INVITE_ID: &str = "fedcba9876543210fedcba9876543210";

/// A fixture, completed.
fn fixture(name: &str) -> String {
    let path = format!("tests/fixtures/reports/{name}.eml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    [
        ("{to}", TO),
        ("{message_id}", MESSAGE_ID),
        ("{invite_id}", INVITE_ID),
        ("{envelope_id}", INVITE_ID),
        ("{queue_id}", "0102018f3c-000000"),
        ("{earlier_message_id}", "earlier@contoso.example"),
        ("{earlier_invite_id}", "earlier"),
    ]
    .iter()
    .fold(text, |text, (name, value)| text.replace(name, value))
}

fn report(name: &str) -> Report {
    match read(fixture(name).as_bytes()) {
        Inbound::Report(report) => report,
        other => panic!("{name}: {other:?}"),
    }
}

/// What the report says about the partner.
fn about_partner(name: &str) -> RecipientReport {
    let report = report(name);
    let partner =
        |it: &&RecipientReport| it.address.as_ref().is_some_and(|it| it.canonical() == TO);
    let found = report.recipients.iter().find(partner);
    found
        .unwrap_or_else(|| panic!("{name}: {report:?}"))
        .clone()
}

/// Whether the report names the message, by any of its ids.
fn names_message(report: &Report) -> bool {
    let original = &report.original;
    original.message_ids.iter().any(|it| it == MESSAGE_ID)
        || original.invite_id.as_deref() == Some(INVITE_ID)
        || original.envelope_id.as_deref() == Some(INVITE_ID)
}

#[test]
fn failures_of_every_generator_are_recognized() {
    let cases = [
        ("postfix-unknown-user", "5.1.1", "User unknown"),
        ("postfix-full-mailbox", "5.2.2", "Mailbox full"),
        ("postfix-expired", "4.4.1", "Connection timed out"),
        ("postfix-headers-only", "5.1.1", "User unknown"),
        ("postfix-sender-refused", "5.7.1", "sender address rejected"),
        ("postfix-disabled", "5.2.1", "disabled"),
        ("exchange-online-en", "5.1.10", "RecipientNotFound"),
        ("exchange-online-de", "5.1.10", "RecipientNotFound"),
        ("exchange-online-fr", "5.1.10", "RecipientNotFound"),
        ("exchange-online-es", "5.1.10", "RecipientNotFound"),
        ("exchange-online-it", "5.1.10", "RecipientNotFound"),
        ("exchange-online-pt", "5.1.10", "RecipientNotFound"),
        ("exchange-online-ja", "5.1.10", "RecipientNotFound"),
        ("exchange-online-zh", "5.1.10", "RecipientNotFound"),
        ("exchange-online-ar", "5.1.10", "RecipientNotFound"),
        ("exchange-online-pl", "5.1.10", "RecipientNotFound"),
        ("exchange-online-full", "5.2.2", "mailbox full"),
        ("exchange-online-blocked", "5.4.1", "Access denied"),
        (
            "exchange-online-no-references",
            "5.1.10",
            "RecipientNotFound",
        ),
        ("exchange-on-premises", "5.1.1", "RecipNotFound"),
        ("exchange-ndr-mark-only", "5.1.1", "RecipNotFound"),
        ("google-unknown", "5.1.1", "does not exist"),
        ("google-unknown-bare", "5.1.1", "does not exist"),
        ("google-over-quota", "5.2.2", "out of storage"),
        ("gmail-old", "5.1.1", "User unknown"),
        ("exim-unknown-user", "", "Unrouteable address"),
        ("exim-remote", "5.1.1", "User unknown"),
        ("exim-full", "", "mailbox is full"),
        ("exim-without-header", "", "Unknown user"),
        ("sendmail-unknown", "5.1.1", "User unknown"),
        ("sendmail-old", "", "User unknown"),
        ("qmail-unknown", "5.1.1", "no mailbox here"),
        ("qmail-full", "5.2.2", "over the allowed quota"),
        ("qmail-without-copy", "5.1.1", "no mailbox here"),
        ("ses-bounce", "5.1.1", "user unknown"),
        ("yahoo", "", "doesn't have a yahoo.com account"),
        ("gmx", "5.1.1", "User unknown"),
        ("mail-ru", "", "user is terminated"),
        ("oracle-messaging-server", "5.1.1", "illegal alias"),
        ("domino", "5.1.1", "not listed in Domino Directory"),
        ("internationalized", "5.1.1", "пользователь неизвестен"),
        (
            "several-recipients",
            "5.2.1",
            "mailbox disabled for this user",
        ),
        ("lower-case-fields", "5.1.1", ""),
        ("truncated-original", "5.1.1", ""),
        ("truncated-before-original", "5.1.1", ""),
        ("forwarded-by-a-person", "5.1.1", "User unknown"),
    ];
    for (name, status, words) in cases {
        let partner = about_partner(name);
        assert_eq!(partner.action, Action::Failed, "{name}: {partner:?}");
        let found = partner.status.as_deref().unwrap_or_default();
        assert_eq!(found, status, "{name}: {partner:?}");
        assert!(partner.diagnostic.contains(words), "{name}: {partner:?}");
        assert!(names_message(&report(name)), "{name}: {:?}", report(name));
    }
}

/// The id is the last line of the returned header, and the boundary follows its line break.
#[test]
fn an_id_on_the_last_line_of_the_returned_header_is_read() {
    for kind in ["text/rfc822-headers", "message/rfc822"] {
        for header in [
            "Message-ID: ",
            "Subject: hello\nMessage-ID: ",
            "Message-ID:\n ",
        ] {
            let id = format!("{header}<{MESSAGE_ID}>");
            let mail = format!(
                "From: mailer-daemon@relay.example\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n\
                 --B\n\nNot delivered.\n--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\n\n\
                 Final-Recipient: rfc822; {TO}\nAction: failed\nStatus: 5.1.1\n\n--B\nContent-Type: {kind}\n\n{id}\n--B--\n"
            );
            for mail in [mail.replace('\n', "\r\n"), mail] {
                let Inbound::Report(report) = read(mail.as_bytes()) else {
                    panic!("{mail}");
                };
                assert_eq!(report.original.message_ids, [MESSAGE_ID], "{mail}");
            }
        }
    }
}

#[test]
fn other_actions_are_no_failures() {
    for (name, action) in [
        ("postfix-delayed", Action::Delayed),
        ("postfix-delivered", Action::Delivered),
        ("postfix-relayed", Action::Relayed),
        ("postfix-expanded", Action::Expanded),
        ("exchange-online-delayed", Action::Delayed),
        ("exchange-receipt-delivered", Action::Delivered),
        ("exchange-receipt-without-notification", Action::Relayed),
        ("google-delayed", Action::Delayed),
        ("gmail-old-delay", Action::Delayed),
        ("exim-delayed", Action::Delayed),
        ("sendmail-warning", Action::Delayed),
        ("read-receipt", Action::Read),
    ] {
        let partner = about_partner(name);
        assert_eq!(partner.action, action, "{name}: {partner:?}");
        assert!(names_message(&report(name)), "{name}: {:?}", report(name));
    }
}

#[test]
fn reports_about_other_addresses_do_not_name_the_partner() {
    for name in [
        "postfix-forwarded-mailbox",
        "exim-other-recipient",
        "exim-forwarding-parent",
        "double-bounce",
    ] {
        let report = report(name);
        assert!(!report.recipients.is_empty(), "{name}");
        for recipient in report.recipients {
            let address = recipient.address.unwrap();
            assert_ne!(address.canonical(), TO, "{name}");
        }
    }
}

#[test]
fn reports_that_lack_our_ids_do_not_name_the_message() {
    for name in [
        "postfix-other-message",
        "forged-id",
        "id-in-the-diagnostic-only",
        "earlier-generation",
        "double-bounce",
    ] {
        let mut report = report(name);
        // The report of this fixture carries the envelope id, which is ours.
        if name == "postfix-other-message" {
            report.original.envelope_id = None;
        }
        assert!(!names_message(&report), "{name}: {report:?}");
    }
}

#[test]
fn a_relay_s_own_id_is_kept() {
    let ses = report("ses-without-our-header").original;
    assert_eq!(
        ses.message_ids[0],
        "0102018f3c-000000@eu-west-1.amazonses.com"
    );
    assert_eq!(ses.invite_id, None);
    let zimbra = report("zimbra").original;
    assert_eq!(zimbra.queue_id.as_deref(), Some("0102018f3c-000000"));
}

#[test]
fn automatic_replies_and_other_mail_are_no_reports() {
    for name in [
        "out-of-office-exchange",
        "out-of-office-german",
        "out-of-office-vacation",
        "out-of-office-apple",
    ] {
        assert_eq!(
            read(fixture(name).as_bytes()),
            Inbound::AutomaticReply,
            "{name}"
        );
    }
    for name in ["reply-by-a-person", "our-id-in-a-newsletter", "complaint"] {
        assert_eq!(read(fixture(name).as_bytes()), Inbound::Other, "{name}");
    }
    for bytes in [b"".as_slice(), b"\0\xff\xfe", b"From ", b"\r\n\r\n"] {
        assert_eq!(read(bytes), Inbound::Other, "{bytes:?}");
    }
}

#[test]
fn a_report_without_message_id_is_known_by_its_bytes() {
    let named = report("postfix-unknown-user");
    assert_eq!(named.id, "report-1@mail.fabrikam.example");
    let text =
        fixture("postfix-unknown-user").replacen("Message-ID: <report-1@", "X-Id: <report-1@", 1);
    let Inbound::Report(unnamed) = read(text.as_bytes()) else {
        panic!("{text}");
    };
    assert!(
        unnamed.id.starts_with("sha256:") && unnamed.id.len() > 30,
        "{unnamed:?}"
    );
    assert_eq!(read(text.as_bytes()), Inbound::Report(unnamed));
}

#[test]
fn texts_are_bounded_and_without_control_characters() {
    let partner = about_partner("hostile-text");
    assert!(partner.diagnostic.chars().count() <= 500);
    let forbidden = |it: char| it.is_control() || it == '\u{202e}';
    assert!(!partner.diagnostic.contains(forbidden), "{partner:?}");
    assert!(partner.diagnostic.contains("[31mred"), "{partner:?}");
}

#[test]
fn every_fixture_is_in_a_test() {
    let tests = include_str!("tests.rs");
    for entry in std::fs::read_dir("tests/fixtures/reports").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("\"{name}\"")), "{name}");
    }
}

/// Writes a file into a folder.
fn write(folder: &std::path::Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn all(path: &std::path::Path) -> Vec<Mail> {
    Mails::open(path).unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_mbox_file_is_read_mail_by_mail() {
    let folder = tempfile::tempdir().unwrap();
    let first = fixture("postfix-unknown-user");
    let mbox = format!(
        "From MAILER-DAEMON Mon Nov 30 09:01:00 2026\n{first}\nFrom now on, no mail starts here.\n>From the quotation\n\nFrom x@y.example Mon Nov 30 09:02 2026\nSubject: second\n\nbody\n"
    );
    let path = write(folder.path(), "bounces.mbox", mbox.as_bytes());

    let mails = all(&path);

    assert_eq!(mails.len(), 2);
    assert!(
        mails[0].origin.ends_with("bounces.mbox, mail 1"),
        "{}",
        mails[0].origin
    );
    assert!(matches!(read(&mails[0].bytes), Inbound::Report(_)));
    let text = String::from_utf8(mails[0].bytes.clone()).unwrap();
    assert!(
        text.contains("\nFrom now on, no mail starts here.\nFrom the quotation\n"),
        "{text}"
    );
    assert_eq!(mails[1].bytes, b"Subject: second\n\nbody\n");
}

#[test]
fn a_maildir_is_read_without_hidden_files_and_other_folders() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("cur/1.eml:2,S", "Subject: one\n\n"),
        ("new/2", "Subject: two\n\n"),
        ("new/.hidden", "Subject: hidden\n\n"),
        ("new/folder/3", "Subject: three\n\n"),
        ("tmp/4", "Subject: four\n\n"),
    ] {
        write(folder.path(), name, text.as_bytes());
    }

    let mut mails: Vec<_> = all(folder.path()).into_iter().map(|it| it.bytes).collect();

    mails.sort();
    assert_eq!(mails, [b"Subject: one\n\n", b"Subject: two\n\n"]);
}

#[test]
fn long_mail_is_cut_and_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = fixture("truncated-before-original") + &"x".repeat(3 << 20);
    let single = write(folder.path(), "long.eml", long.as_bytes());
    let mbox = format!(
        "From a Mon Nov 30 09:01:00 2026\n{long}\n\nFrom b Mon Nov 30 09:01:00 2026\nSubject: x\n\n"
    );
    let mbox = write(folder.path(), "long.mbox", mbox.as_bytes());

    for (path, count) in [(single, 1), (mbox, 2)] {
        let mails = all(&path);
        assert_eq!(mails.len(), count);
        assert_eq!(mails[0].bytes.len(), MAIL_LIMIT);
        assert!(matches!(read(&mails[0].bytes), Inbound::Report(_)));
    }
}

#[test]
fn a_missing_file_and_a_folder_without_mail_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (path, reason) in [
        (folder.path().to_owned(), "it is a folder, but no Maildir"),
        (folder.path().join("none.eml"), "No such file"),
    ] {
        let error = Mails::open(&path).err().unwrap().to_string();
        let expected = format!("cannot read mail from `{}`: {reason}", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn a_mail_with_very_many_addresses_is_read_quickly() {
    let header = "From: mailer-daemon@a.example\nReturn-Path: <>\n\n".to_owned();
    let line = |number| format!("p{number}@fabrikam.example: 550 5.1.1 unknown\n");
    let lines: Vec<String> = (0..30_000).map(line).collect();
    let mail = header + &lines.concat();
    let begun = std::time::Instant::now();

    let Inbound::Report(report) = read(mail.as_bytes()) else {
        panic!("no report");
    };

    assert_eq!(report.recipients.len(), 100);
    // Without the limit, it takes minutes.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn an_empty_file_has_no_mail() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "emptied.mbox", b"");
    assert_eq!(all(&path), []);
}
