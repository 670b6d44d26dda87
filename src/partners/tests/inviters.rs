//! The columns `inviter_name`, `inviter_email` and `note`.

use super::*;

fn described(csv: &str) -> String {
    let folder = Folder::with(csv);
    let partners = folder.read().unwrap();
    let described = partners.describe_bad_rows();
    described.replace(&format!("{}/", folder.0.path().display()), "")
}

#[test]
fn inviter_and_note_are_read_and_stay_extra_columns() {
    let csv = "email,package,Inviter E-Mail,inviter_name,NOTE\na@a.example,project,Grace <grace@g.example>,,\" As  discussed\n\nin our call. \"\nb@b.example,project,,,\n";
    let folder = Folder::with(csv);
    let partners = folder.read().unwrap();
    let partners: Vec<Partner> = partners.iter().map(Result::unwrap).collect();

    let [ada, bob] = partners.as_slice() else {
        panic!("{partners:?}");
    };
    assert_eq!(ada.inviter_name.as_deref(), Some("Grace"));
    let email = ada.inviter_email.as_ref().unwrap();
    assert_eq!(email.as_written(), "grace@g.example");
    assert_eq!(ada.note.as_deref(), Some("As discussed in our call."));
    // Templates of the first edition find the cells where they always were.
    assert_eq!(
        *ada.extra_columns,
        ["inviter_e_mail", "inviter_name", "note"]
    );
    assert_eq!(ada.extra[2], "As  discussed\n\nin our call.");
    assert_eq!(bob.inviter(), (None, None));
    assert_eq!(bob.note, None);
}

#[test]
fn a_configured_column_is_the_note_and_no_extra_column() {
    let csv = "email,package,Remark,note\na@a.example,project,Hello,internal\n";
    let folder = Folder::configured("columns = { note = \"Remark\" }", csv);
    let partner = folder.read().unwrap().iter().next().unwrap().unwrap();

    assert_eq!(partner.note.as_deref(), Some("Hello"));
    assert_eq!(*partner.extra_columns, ["note".to_owned()]);
    assert_eq!(partner.extra, ["internal"]);
}

#[test]
fn an_inviter_or_note_that_cannot_be_mailed_makes_the_row_bad() {
    let long = "n".repeat(501);
    let name = "N".repeat(257);
    for (cells, reason) in [
        (
            ",nobody,",
            "column inviter_email, \"nobody\": it is not an address, because it has no `@`",
        ),
        (
            ",a@b.example;c@d.example,",
            "column inviter_email, \"a@b.example;c@d.example\": it looks like several addresses",
        ),
        (
            "https://evil.example,,",
            "column inviter_name, \"https://evil.example\": it contains a link, `https://evil.example`; remove it",
        ),
        (
            &format!("{name},,"),
            "it has more than 256 characters; shorten it",
        ),
        (
            &format!(",,{long}"),
            "the note has 501 characters, and 500 are allowed; shorten it, or rename the column if it is not meant for the partner",
        ),
        (
            ",,see www.evil.example",
            "column note, \"see www.evil.example\": the note contains a link, `www.evil.example`, and the only link in a mail is that of the access package; remove it, or rename the column if it is not meant for the partner",
        ),
        (
            ",,a\u{202e}b",
            "column note, \"a\\u{202e}b\": it contains an invisible character that changes the direction of text (U+202E); remove it",
        ),
    ] {
        let described = described(&format!(
            "email,package,inviter_name,inviter_email,note\na@a.example,project,{cells}\n"
        ));
        assert!(
            described.starts_with("partners.csv:2, column ") && described.contains(reason),
            "{described}"
        );
    }
}
