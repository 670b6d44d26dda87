use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::config::testing::GOOD;
use crate::config::{BadRows, Config};
use crate::finding::Severity;
use crate::invitation::Identity;
use crate::locale::Locale;

mod columns;
mod encodings;
mod inviters;
mod list_fixtures;
mod quoting;

/// A second package.
const ARCHIVE: &str = r#"
[packages.archive]
link = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b12"
name = "Archive"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(csv: impl AsRef<[u8]>) -> Self {
        Self::configured("", csv)
    }

    /// With a line more in `[partners]`.
    fn configured(line: &str, csv: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = GOOD.replace("[partners]", &format!("{ARCHIVE}[partners]\n{line}"));
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        std::fs::write(folder.path().join("partners.csv"), csv).unwrap();
        Self(folder)
    }

    fn read(&self) -> Result<Arc<Partners>, ListError> {
        let config = Config::load(&self.0.path().join("config.toml")).unwrap();
        Partners::read(
            &config,
            &[Locale::parse("en").unwrap()],
            true,
            self.0.path(),
        )
        .map(Arc::new)
    }
}

fn read(csv: impl AsRef<[u8]>) -> Result<Arc<Partners>, ListError> {
    Folder::with(csv).read()
}

/// The good rows as `line address name`.
fn good(partners: &Arc<Partners>) -> Vec<String> {
    partners
        .iter()
        .map(|it| {
            let it = it.unwrap();
            format!("{} {} {}", it.line, it.address, it.name.unwrap_or_default())
        })
        .collect()
}

#[test]
fn list_with_any_delimiter_line_end_and_bom_is_read() {
    let expected = ["2 ada@a.example Ada", "3 bob@b.example Bob"];
    let plain = "email,name,package\nada@a.example,Ada,project\nbob@b.example,Bob,project\n";

    for delimiter in [",", ";", "\t"] {
        for end in ["\n", "\r\n", "\r"] {
            for mark in ["", "\u{feff}"] {
                let csv = plain.replace(',', delimiter).replace('\n', end);
                let csv = format!("{mark}{csv}");
                assert_eq!(good(&read(&csv).unwrap()), expected, "{csv:?}");
                let unended = csv.trim_end();
                assert_eq!(good(&read(unended).unwrap()), expected, "{unended:?}");
            }
        }
    }
}

#[test]
fn line_numbers_match_an_editor() {
    let csv = "sep=;\r\n\r\n Email ;NAME;package;note\r\n\r\nada@a.example;Ada;project;\"two\r\nlines\"\r\n;;;\r\n\r\nbob@b.example;Bob;project\r\nnobody;;project;\r\n";

    let partners = read(csv).unwrap();

    assert_eq!(
        good(&partners),
        ["5 ada@a.example Ada", "9 bob@b.example Bob"]
    );
    assert!(
        partners
            .describe_bad_rows()
            .contains("partners.csv:10, column Email, \"nobody\"")
    );
    let note = partners.iter().next().unwrap().unwrap().extra;
    assert_eq!(note, ["two\nlines"]);
}

#[test]
fn other_columns_have_normalized_names_in_templates() {
    let partners =
        read("email,package,Project Lead,Kosten-Stelle,\na@a.example,project, Eva ,7,\n").unwrap();

    assert_eq!(
        **partners.extra_columns(),
        ["project_lead", "kosten_stelle"]
    );
    let partner = partners.iter().next().unwrap().unwrap();
    assert_eq!(partner.extra, ["Eva", "7"]);
}

#[test]
fn bad_row_is_reported_with_line_column_value_and_reason() {
    let long = "n".repeat(257);
    let cell = "c".repeat(8 * 1024 + 1);
    let rows = [
        (
            "nobody,,,project,",
            "3, column email, \"nobody\": it is not an address, because it has no `@`",
        ),
        (",,,project,x", "3, column email: the address is missing"),
        (
            "a@a.example,,french please,project,",
            "3, column locale, \"french please\": it is neither a language tag such as `fr`, `pt-BR` or `zh-Hans` nor the name of a language that is shipped",
        ),
        (
            "b@a.example,,,nothing,",
            "3, column package, \"nothing\": no such package is configured (configured: project, archive); correct the cell, or map it in `partners.values.package`",
        ),
        (
            "c@a.example,,,,",
            "3, column package: it must name one of the configured packages: project, archive",
        ),
        (
            "d@a.example,\"A\nB\",,project,",
            "3-4, column name, \"A\\nB\": it contains a line break (U+000A); remove it",
        ),
        (
            "e@a.example,A\u{202e}B,,project,",
            "3, column name, \"A\\u{202e}B\": it contains an invisible character that changes the direction of text (U+202E); remove it",
        ),
        (
            "f@a.example,A\u{7}B,,project,",
            "3, column name, \"A\\u{7}B\": it contains a control character (U+0007); remove it",
        ),
        (
            "g\u{200b}@a.example,,,project,",
            "3, column email, \"g\\u{200b}@a.example\": it contains an invisible zero-width character (U+200B); remove it\npartners.csv:3, column email, \"g\\u{200b}@a.example\": the part before the `@` contains `\\u{200b}`; only ASCII letters, digits and some signs work in all mail systems",
        ),
        (
            "h@a.example,,,project,,too,many",
            "3: the row has 7 cells, the header 5; put a cell that contains the delimiter in quotes",
        ),
        (
            &format!("i@a.example,{long},,project,"),
            &format!(
                "3, column name, \"{}…\": it has more than 256 characters; shorten it",
                "n".repeat(60)
            ),
        ),
        (
            &format!("j@a.example,,,project,{cell}"),
            &format!(
                "3, column note, \"{}…\": it is longer than 8 KiB; shorten it",
                "c".repeat(60)
            ),
        ),
        (
            "k@a.example,,,project,a\u{2028}b",
            "3, column note, \"a\\u{2028}b\": it contains a control character (U+2028); remove it",
        ),
    ];

    for (row, reason) in rows {
        let csv = format!("email,name,locale,package,note\nz@z.example,,,project,\n{row}\n");
        let folder = Folder::with(&csv);
        let partners = folder.read().unwrap();
        let described = partners.describe_bad_rows();
        let described = described.replace(&format!("{}/", folder.0.path().display()), "");
        assert_eq!(described, format!("partners.csv:{reason}"));
        assert_eq!((partners.good(), partners.bad()), (1, 1), "{row}");
    }
}

#[test]
fn without_a_column_of_packages_the_message_names_the_key_that_maps_one() {
    let partners = Folder::with("email,dossier\na@a.example,project\n")
        .read()
        .unwrap();
    let described = partners.describe_bad_rows();

    assert!(
        described.ends_with(":2, column package: the list has no such column; add it, or name the column that says which package in `partners.columns.package` (configured: project, archive)"),
        "{described}"
    );
}

#[test]
fn f13_control_and_direction_characters_make_a_row_bad() {
    let row = ["ada@a.example", "Ada", "fr", "project", "note"];
    let everywhere = [
        '\u{7}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}',
    ];
    let but_in_notes = ['\n', '\r'];
    let but_in_words = ['\u{200b}', '\u{200f}', '\u{2060}', '\u{feff}', '\u{ad}'];

    for (column, value) in row.iter().enumerate() {
        let words = column == 1 || column == 4;
        let notes = column == 4;
        let bad = everywhere
            .into_iter()
            .chain(but_in_notes.into_iter().filter(|_| !notes))
            .chain(but_in_words.into_iter().filter(|_| !words));
        for character in bad {
            let (before, after) = value.split_at(1);
            let mut cells = row.map(str::to_owned);
            cells[column] = format!("\"{before}{character}{after}\"");
            let csv = format!("email,name,locale,package,note\n{}\n", cells.join(","));
            let partners = read(&csv).unwrap();
            assert_eq!((partners.good(), partners.bad()), (0, 1), "{csv:?}");
            let described = partners.describe_bad_rows();
            assert!(
                !described.contains(character) || character == '\n',
                "{described:?}"
            );
        }
        let mut cells = row.map(str::to_owned);
        cells[column].push('\0');
        let csv = format!("email,name,locale,package,note\n{}\n", cells.join(","));
        assert!(matches!(read(&csv), Err(ListError::NotAList(_))), "{csv:?}");
    }
}

#[test]
fn second_row_with_an_address_and_package_is_bad() {
    let partners = read(
        "email,package\nAda@A.example,project\nada@a.EXAMPLE,project\nada@a.example,archive\nada@xn--bcher-kva.example,project\nada@BÜCHER.example,project\n",
    )
    .unwrap();

    let lines: Vec<_> = partners.iter().map(|it| it.unwrap().line).collect();
    assert_eq!(lines, [2, 4, 5]);
    let described = partners.describe_bad_rows();
    assert!(
        described.contains(":3, column email: line 2 has the same address"),
        "{described}"
    );
    assert!(
        described.contains(":6, column email: line 5 has the same address"),
        "{described}"
    );
    let ada = partners.iter().next().unwrap().unwrap().identity("spring");
    assert!(partners.contains(&ada));
    let other = Address::parse("eva@a.example").unwrap();
    assert!(!partners.contains(&Identity::new("spring", ada.package_id, &other)));
}

#[test]
fn file_that_is_no_list_is_refused() {
    let table: [(&[u8], &str); 9] = [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (
            b"name,package\nAda,project\n",
            "there is no column `email`. The file has `name`, `package`",
        ),
        (
            b"ada@a.example,project\n",
            "the first line must name the columns",
        ),
        (b"email|name\n", "there is no column `email`"),
        (b"email,name,Email\n", "two columns have the header `email`"),
        (b"email,a-b,a b\n", "would both be `partner.extra.a_b`"),
        (b"\xff\xfe", "the file is empty"),
        (
            b"email\nada\0@a.example\n",
            "partners.csv:2: the file contains a NUL character",
        ),
    ];

    for (csv, reason) in table {
        let failure = read(csv).unwrap_err();
        assert!(matches!(failure, ListError::NotAList(_)), "{failure}");
        assert!(failure.to_string().contains(reason), "{failure}");
    }
}

#[test]
fn a_wrong_delimiter_in_the_configuration_is_recognised() {
    let folder = Folder::configured(
        "delimiter = \",\"",
        "email;package\nada@a.example;project\n",
    );

    let failure = folder.read().unwrap_err();

    assert!(
        failure
            .to_string()
            .contains("the cells seem to be separated by \";\""),
        "{failure}"
    );
}

#[test]
fn file_that_cannot_be_opened_is_refused() {
    let folder = Folder::with("");
    let csv = folder.0.path().join("partners.csv");
    std::fs::remove_file(&csv).unwrap();
    assert!(matches!(folder.read(), Err(ListError::Unreadable { .. })));

    std::fs::create_dir(&csv).unwrap();
    let failure = folder.read().unwrap_err();
    assert!(
        failure.to_string().contains("not a regular file"),
        "{failure}"
    );

    std::fs::remove_dir(&csv).unwrap();
    std::os::unix::fs::symlink(PathBuf::from("/dev/zero"), &csv).unwrap();
    assert!(
        folder
            .read()
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
}

#[test]
fn unclosed_quote_is_reported_with_its_line() {
    let short =
        read("email,package\na@a.example,project\n\"b@a.example,project\nc@a.example,project\n")
            .unwrap();
    assert!(
        short
            .describe_bad_rows()
            .contains("partners.csv:3-4: the quote (\") opened on line 3"),
        "{}",
        short.describe_bad_rows()
    );
    assert_eq!(short.good(), 1);

    let rest = "c@a.example,project\n".repeat(10_000);
    let long = read(format!(
        "email,package\na@a.example,project\n\"b@a.example,project\n{rest}"
    ))
    .unwrap();
    assert!(
        long.describe_bad_rows()
            .contains("partners.csv:3-10003: the quote (\") opened on line 3")
    );
    assert_eq!(long.good(), 1);
}

#[test]
fn row_that_begins_with_u_feff_reads_the_same_alone() {
    let partners =
        read("name,email,package\nAda,ada@a.example,project\n\u{feff}Bob,bob@b.example,project\n")
            .unwrap();

    let listed = partners.iter().nth(1).unwrap().unwrap();
    let alone = RowReader::new(&partners)
        .partner_at(listed.line, listed.offset)
        .unwrap();

    assert_eq!(alone.name.as_deref(), Some("Bob"));
    assert_eq!((alone.name, alone.doubts), (listed.name, listed.doubts));
}

#[test]
fn first_20_faults_are_shown_and_200_kept() {
    let rows: Vec<_> = (0..1_000)
        .map(|it| format!("nobody{it},project\n"))
        .collect();
    let partners = read(format!("email,package\n{}", rows.concat())).unwrap();

    let failure = partners.refuse_bad_rows(BadRows::Refuse).unwrap_err();

    let text = failure.to_string();
    assert_eq!(text.matches("it is not an address").count(), 20);
    assert!(text.contains("and 980 more"), "{text}");
    assert!(text.contains("1000 of 1000 rows are bad"), "{text}");
    assert_eq!(partners.bad_row_findings(Severity::Error).len(), 200);
}

#[test]
fn equal_faults_are_reported_once_with_count_and_first_lines() {
    let rows = "a@a.example,klingon!\nb@b.example,fr\n".repeat(40);
    let folder = Folder::configured("", format!("email,locale\n{rows}"));
    let partners = folder.read().unwrap();

    let described = partners.describe_bad_rows();

    let first = described.lines().next().unwrap();
    assert!(
        first.contains("partners.csv:2, column locale, \"klingon!\" in 40 rows, first lines 2, 4, 6, 8, 10: it is"),
        "{described}"
    );
    assert_eq!(described.matches("klingon").count(), 1, "{described}");
}

#[test]
fn warnings_are_grouped_by_kind_with_their_rows() {
    let partners = read(
        "email,name,package,city\n\
         ada@gmail.com,RenÃ©,project,MalmÃ¶\n\
         bob@cоntoso.example,Bob,project,\n\
         eva@contoso.example,Eva,project,\n\
         eve@Fabrikam.onmicrosoft.com,Eve,project,\n\
         zoe@a.example,Zoé,project,Malmö\n",
    )
    .unwrap();

    let warnings = partners.warnings();

    assert_eq!((partners.good(), partners.bad(), warnings.len()), (5, 0, 4));
    let lines: Vec<_> = warnings
        .iter()
        .flat_map(|it| it.what.lines().skip(1))
        .map(|it| it.split_once("partners.csv:").unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "3, column email, \"bob@cоntoso.example\": `cоntoso` looks like `contoso`, but it has \"о\" (U+043E)",
            "2, column name, \"RenÃ©\": it probably was \"René\"",
            "2, column city, \"MalmÃ¶\": it probably was \"Malmö\"",
            "4, column email, \"eva@contoso.example\": `contoso.example` is the domain of `sender.from`",
            "5, column email, \"eve@Fabrikam.onmicrosoft.com\": `fabrikam.onmicrosoft.com` is the tenant of the link",
            "2, column email, \"ada@gmail.com\": `gmail.com` is open to everyone",
        ]
    );
}

#[test]
fn first_20_rows_of_a_warning_are_shown_and_the_rest_counted() {
    let rows: Vec<_> = (0..100)
        .map(|it| format!("p{it}@gmail.com,RenÃ© {it},project\n"))
        .collect();

    let warnings = read(format!("email,name,package\n{}", rows.concat()))
        .unwrap()
        .warnings();

    assert_eq!(warnings.len(), 2);
    for warning in warnings {
        assert_eq!(warning.what.lines().count(), 22, "{warning}");
        assert!(
            warning.what.ends_with("and 80 more like these"),
            "{warning}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_alike_twice_without_panic(
        body in proptest::collection::vec(prop_oneof![
            Just("a@a.example".to_owned()), Just(",".to_owned()), Just("\n".to_owned()),
            Just("\r\n".to_owned()), Just("\"".to_owned()), Just("project".to_owned()), "\\PC{0,8}",
        ], 0..60),
    ) {
        let csv = format!("email,package\n{}", body.concat());
        if let Ok(partners) = read(&csv) {
            let first: Vec<_> = partners.iter().map(|it| it.unwrap().line).collect();
            let again: Vec<_> = partners.iter().map(|it| it.unwrap().line).collect();
            prop_assert_eq!(first.len() as u64, partners.good());
            prop_assert_eq!(&first, &again);
        }
    }

    #[test]
    fn cells_survive_quoting(name in "[^\\p{C}\\p{Zl}\\p{Zp}]{0,40}", note in "[^\\p{C}\\p{Zl}\\p{Zp}]{0,40}") {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["email", "name", "package", "memo"]).unwrap();
        writer.write_record(["a@a.example", &name, "project", &note]).unwrap();

        let partners = read(writer.into_inner().unwrap()).unwrap();

        let partner = partners.iter().next().unwrap().unwrap();
        prop_assert_eq!(partner.name.as_deref().unwrap_or_default(), name.trim());
        prop_assert_eq!(&partner.extra[0], note.trim());
    }
    #[test]
    fn any_table_is_read_back_as_written(
        rows in proptest::collection::vec(
            ("[a-z]{1,8}", "[^\\p{C}\\p{Zl}\\p{Zp}]{0,20}", "([^\\p{C}\\p{Zl}\\p{Zp}]|\n){0,20}", any::<bool>()),
            0..20,
        ),
        delimiter in proptest::sample::select(vec![b',', b';', b'\t']),
        always in any::<bool>(),
        windows in any::<bool>(),
        mark in any::<bool>(),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .terminator(if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(if mark { "\u{feff}".into() } else { Vec::new() });
        writer.write_record(["email", "name", "package", "memo"]).unwrap();
        for (nth, (local, name, note, archive)) in rows.iter().enumerate() {
            let package = if *archive { "archive" } else { "project" };
            let address = format!("{local}.{nth}@a.example");
            writer.write_record([&address, name, package, note]).unwrap();
        }

        let partners = read(writer.into_inner().unwrap()).unwrap();

        prop_assert_eq!((partners.good(), partners.bad()), (rows.len() as u64, 0), "{}", partners.describe_bad_rows());
        for (nth, (partner, (local, name, note, archive))) in partners.iter().zip(&rows).enumerate() {
            let partner = partner.unwrap();
            prop_assert_eq!(partner.address.to_string(), format!("{local}.{nth}@a.example"));
            prop_assert_eq!(partner.name.as_deref().unwrap_or_default(), name.trim());
            prop_assert_eq!(&partner.extra[0], note.trim());
            prop_assert_eq!(&*partner.package.key, if *archive { "archive" } else { "project" });
        }
    }
}
