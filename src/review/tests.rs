use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::folder::{DATA, LIST};
use super::*;
use crate::address::Address;
use crate::config::{LocalizedText, Package};
use crate::link::AccessPackageLink;

const LINK: &str = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
const HOSTILE: &str = "</script><img src=x onerror=alert(1)> \u{2028}]]>--><b>\u{5e9}";

fn about() -> About {
    About {
        title: "Preview & more".into(),
        lead: "lead".into(),
        campaign: "spring".into(),
        made: Timestamp::now(),
        packages: vec![AboutPackage {
            key: "project".into(),
            name: HOSTILE.into(),
            link: LINK.into(),
            unicode: String::new(),
        }],
        warnings: vec![HOSTILE.into()],
        partial: false,
        digest: "0".into(),
        approval: None,
    }
}

fn partner(address: &str, name: &str) -> Partner {
    Partner {
        line: 2,
        offset: 0,
        address: Address::parse(address).unwrap(),
        name: Some(name.into()),
        organization: Some(HOSTILE.into()),
        locale: None,
        package: Arc::new(Package {
            key: "project".into(),
            link: AccessPackageLink::parse(LINK, &[]).unwrap().0,
            name: LocalizedText::Same("Project".into()),
            description: None,
            justification: None,
            respond_by: None,
            sharing: true,
            approval_time: None,
            access_duration: None,
            inviter: None,
        }),
        inviter_name: None,
        inviter_email: None,
        note: None,
        extra_columns: Arc::new([]),
        extra: Vec::new(),
        doubts: Vec::new(),
    }
}

fn message(to: &str, text: &str) -> String {
    format!(
        "From: a@a.example\r\nTo: \"<b>Ada</b> & Co\" <{to}>\r\nSubject: <script>alert(1)</script>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nContent-Language: fr\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>{text}</p>\r\n--x--\r\n"
    )
}

/// A review of these messages, each an address and a text, in `out`.
fn review(out: &Path, messages: &[(&str, &str)]) {
    let mut review = Review::begin(Folder::prepare(out, Access::Owner).unwrap(), about()).unwrap();
    for (address, text) in messages {
        review
            .add(
                &partner(address, HOSTILE),
                &ReviewedMessage {
                    bytes: message(address, text).as_bytes().to_vec(),
                    verification: Verification {
                        headers: 7,
                        lines: 20,
                        longest_line: 60,
                    },
                    notes: vec![Note {
                        kind: "odd",
                        text: HOSTILE.into(),
                    }],
                    earlier: None,
                },
            )
            .unwrap();
    }
    let skipped = Skipped {
        name: HOSTILE,
        address: "eva@xn--bcher-kva.example",
        kind: "accepted",
        why: HOSTILE,
        ..Skipped::default()
    };
    review.skip(&skipped).unwrap();
    let (index, shown) = review.finish().unwrap();
    assert_eq!(index, out.join("index.html"));
    assert_eq!(shown, messages.len() as u64);
}

fn read(out: &Path, name: &str) -> String {
    std::fs::read_to_string(out.join(name)).unwrap()
}

/// The value that a data file hands to the page.
fn data(out: &Path, name: &str) -> serde_json::Value {
    let text = read(out, &format!("data/{name}.js"));
    let arguments = text.strip_prefix("review(").unwrap();
    let arguments = arguments.strip_suffix(");\n").unwrap();
    let call: serde_json::Value = serde_json::from_str(&format!("[{arguments}]")).unwrap();
    call[3].clone()
}

#[test]
fn a_review_is_private_and_replaces_only_a_review() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/preview");
    for _ in 0..2 {
        review(&out, &[("ada@b.example", "Hello")]);
    }

    let eml = std::fs::read(out.join("messages/0001.eml")).unwrap();
    assert_eq!(eml, message("ada@b.example", "Hello").as_bytes());
    assert_eq!(read(&out, "messages/0001.txt").trim(), "\u{feff}Hello");
    let html = read(&out, "messages/0001.html");
    assert_eq!(html.strip_prefix(GUARD).unwrap().trim(), "<p>Hello</p>");
    let mut folders = vec![out.clone()];
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{folder:?}");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{path:?}");
            }
        }
    }

    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("thesis.txt"), "years of work").unwrap();
    let error = Folder::prepare(&own, Access::Owner).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("files that are not from a preview"),
        "{error}"
    );
    assert!(own.join("thesis.txt").exists());
}

#[test]
fn values_are_never_markup_or_script() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("preview");

    review(&out, &[("ada@b.example", "Hello")]);

    let mut files = 0;
    for entry in std::fs::read_dir(out.join(DATA)).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(['<', '\u{2028}']), "{text}");
        files += 1;
    }
    assert_eq!(files, 4);
    assert_eq!(data(&out, "list-0001")[0][4], HOSTILE);
    assert_eq!(data(&out, "skipped-0001")[0][6], HOSTILE);
    assert_eq!(data(&out, "skipped-0001")[0][2], "eva@bücher.example");
    assert_eq!(data(&out, "messages-0001")[0][5][0], HOSTILE);
    assert_eq!(data(&out, "summary")["about"]["warnings"][0], HOSTILE);
    let list = read(&out, LIST);
    assert!(!list.contains("<script") && !list.contains("<img") && !list.contains("<b>"));
    assert!(list.contains("&lt;b&gt;Ada&lt;/b&gt; &amp; Co"));
    assert!(list.contains("Not mailed: 1"));
    // The page itself is the same, whatever is shown.
    assert_eq!(read(&out, INDEX), INDEX_PAGE);
    for line in [
        "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'",
        "<script src=\"kinds.js\" defer></script>",
        "<script src=\"print.js\" defer></script>",
        "<script src=\"review.js\" defer></script>",
    ] {
        assert!(INDEX_PAGE.contains(line), "{line}");
    }
    assert_eq!(INDEX_PAGE.matches("<script").count(), 3);
}

#[test]
fn an_incomplete_review_has_no_page_and_is_not_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("preview");
    review(
        &out,
        &[("ada@b.example", "Hello"), ("bob@b.example", "Hello")],
    );

    let mut half = Review::begin(Folder::prepare(&out, Access::Owner).unwrap(), about()).unwrap();
    let other = message("ada@b.example", "Other");
    let shown = ReviewedMessage {
        bytes: other.into_bytes(),
        verification: Verification {
            headers: 7,
            lines: 20,
            longest_line: 60,
        },
        notes: Vec::new(),
        earlier: None,
    };
    half.add(&partner("ada@b.example", "Ada"), &shown).unwrap();
    drop(half);
    // Where it was killed, scratch files would stay.
    std::fs::create_dir(out.join(".tmpKilled")).unwrap();
    std::fs::write(out.join(".tmpKilled/caught"), "ada@b.example").unwrap();
    assert!(!out.join(INDEX).exists());
    assert!(!out.join("messages/0002.eml").exists(), "it is the old one");

    review(
        &out,
        &[("ada@b.example", "Other"), ("eva@b.example", "Hello")],
    );
    let summary = data(&out, "summary");
    assert_eq!(
        (&summary["added"], &summary["changed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["gone"], 1);
    let marks: Vec<u64> = (0..2)
        .map(|it| data(&out, "list-0001")[it][9].as_u64().unwrap())
        .collect();
    assert_eq!(marks, [Mark::Changed as u64, Mark::Added as u64]);

    review(
        &out,
        &[("ada@b.example", "Other"), ("eva@b.example", "Hello")],
    );
    let summary = data(&out, "summary");
    assert_eq!(
        (&summary["added"], &summary["changed"]),
        (&0.into(), &0.into())
    );
    assert!(!out.join(".tmpKilled").exists());
    let kept = std::fs::read(out.join(".reviewed")).unwrap();
    assert!(!kept.windows(3).any(|it| it == b"ada"));
}

#[test]
fn another_date_or_message_id_is_no_change() {
    let digest = |it: &str| ParsedMessage::of(it.as_bytes()).unwrap().digest();
    let first = message("ada@b.example", "Hello");
    let later = first.replace(
        "Date: Thu, 1 Jan 1970",
        "Message-ID: <x@y.example>\r\nDate: Fri, 2 Jan 1970",
    );

    assert_ne!(first, later.replace("Message-ID: <x@y.example>\r\n", ""));
    assert_eq!(digest(&first), digest(&later));
    assert_ne!(
        digest(&first),
        digest(&first.replace("<p>Hello", "<p>Hullo"))
    );
    assert_ne!(
        digest(&first),
        digest(&first.replace("Language: fr", "Language: de"))
    );
}

#[test]
fn only_one_run_at_a_time_writes_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("preview");

    let first = Folder::prepare(&out, Access::Owner).unwrap();
    let error = Folder::prepare(&out, Access::Owner).unwrap_err();

    assert!(
        error.to_string().contains("another run is writing there"),
        "{error}"
    );
    drop(first);
    assert!(Folder::prepare(&out, Access::Owner).is_ok());
}

#[test]
fn messages_of_one_kind_differ_only_in_the_values_of_the_list() {
    let kind = |address: &str, name: &str, text: &str| {
        let bytes = message(address, &text.replace("NAME", name));
        kind::of(
            &partner(address, name),
            &ParsedMessage::of(bytes.as_bytes()).unwrap(),
        )
    };
    let ada = kind("ada@a.example", "Ada", "Hello NAME,");

    assert_eq!(ada, kind("bob@b.example", "Robert Hayes", "Hello NAME,"));
    assert_eq!(
        ada,
        kind("b@xn--bcher-kva.example", "O'Brien", "Hello NAME,")
    );
    // A condition, on a name or on a value that is not shown, makes another kind.
    assert_ne!(ada, kind("bob@b.example", "Bob", "Hello,"));
    assert_ne!(
        ada,
        kind("bob@b.example", "Bob", "Hello NAME, welcome back,")
    );
}

#[test]
fn only_the_script_that_reports_the_height_runs_in_a_mail() {
    let (policy, script) = GUARD.split_once("<script>").unwrap();
    let script = script.strip_suffix("</script>\n").unwrap();
    let hash = STANDARD.encode(Sha256::digest(script));

    let allowed = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'\""
    );
    assert!(policy.contains(&allowed), "{policy}");
}
