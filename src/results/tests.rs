use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use jiff::civil::date;
use proptest::prelude::*;

use super::encoding_writer::EncodingWriter;
use super::*;
use crate::config::Config;
use crate::config::testing::GOOD;
use crate::partners::{is_guarded_in_results, may_be_formula};

/// A list and a place for its results.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn results(&self) -> std::path::PathBuf {
        self.0.path().join("results.csv")
    }

    /// Writes the list again as a ledger that knows nobody sees it.
    fn written(&self, encoding: &str, list: &[u8]) -> anyhow::Result<(Vec<u8>, Option<Finding>)> {
        let config = GOOD
            .replace("[partners]", "respond_by = 2027-03-31\n[partners]")
            .replace("[smtp]", &format!("encoding = \"{encoding}\"\n[smtp]"));
        let config = format!("{config}[results]\ncsv = \"results.csv\"\n");
        std::fs::write(self.0.path().join("config.toml"), config).unwrap();
        std::fs::write(self.0.path().join("partners.csv"), list).unwrap();
        let config = Config::load(&self.0.path().join("config.toml")).unwrap();
        let partners = Arc::new(Partners::read(&config, &[], true, self.0.path()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let reader = Reader::empty()?;
        let today = date(2027, 3, 31);
        let results = Results {
            partners: &partners,
            campaign: "spring",
            reader: &reader,
            today,
        };
        let warning = runtime.block_on(results.write(&self.results()))?;
        Ok((std::fs::read(self.results()).unwrap(), warning))
    }
}

fn written(encoding: &str, list: impl AsRef<[u8]>) -> Vec<u8> {
    Place::new().written(encoding, list.as_ref()).unwrap().0
}

/// The bytes of a list in an encoding, with a byte-order mark where it is UTF-16.
fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
    if encoding == UTF_16LE {
        units().flat_map(u16::to_le_bytes).collect()
    } else if encoding == UTF_16BE {
        units().flat_map(u16::to_be_bytes).collect()
    } else {
        let (bytes, _, unmappable) = encoding.encode(text);
        assert!(!unmappable, "{text}");
        bytes.into_owned()
    }
}

/// The result columns of a row, behind a delimiter each.
fn write_generated(delimiter: &str, state: &str, note: &str) -> String {
    let mut cells = [""; COLUMNS.len()];
    cells[0] = state;
    cells[4] = note;
    cells.map(|it| format!("{delimiter}{it}")).concat()
}

fn header(delimiter: &str) -> String {
    COLUMNS.map(|it| format!("{delimiter}{it}")).concat()
}

#[test]
fn every_byte_of_the_list_is_kept_in_every_encoding() {
    let plain = [
        "email,name,city",
        "ada@a.example,René,\"Zü, \"\"rich\"\"\"",
        "",
        "bob@b.example,Bob",
        ",,",
        "eva@e.example , Eva ,\"two\nlines\"",
    ];
    let said = |row: usize| match row {
        0 => header(","),
        1 | 5 => write_generated(",", "not_invited", ""),
        // A missing cell is filled in, so that the outcome is in its columns.
        3 => write_generated(",", "not_invited", "").replacen(',', ",,", 1),
        4 => write_generated(",", "", ""),
        _ => String::new(),
    };

    for encoding in [
        "utf-8",
        "utf-16le",
        "utf-16be",
        "windows-1252",
        "windows-1250",
        "macintosh",
        "iso-8859-15",
        "gb18030",
    ] {
        for delimiter in [",", ";", "\t"] {
            for end in ["\n", "\r\n", "\r"] {
                for last in ["", end] {
                    let dress = |rows: Vec<String>| {
                        let text = rows.join(end) + last;
                        let text = text.replace(',', delimiter);
                        encoded(Encoding::for_label(encoding.as_bytes()).unwrap(), &text)
                    };
                    let list = dress(plain.iter().map(|it| (*it).to_owned()).collect());
                    let expected = plain.iter().enumerate();
                    let expected =
                        dress(expected.map(|(n, it)| format!("{it}{}", said(n))).collect());

                    assert_eq!(
                        String::from_utf8_lossy(&written(encoding, &list)),
                        String::from_utf8_lossy(&expected),
                        "{encoding} {delimiter:?} {end:?}"
                    );
                }
            }
        }
    }
    let marked = "\u{feff}sep=;\r\n\r\nemail;name\r\nada@a.example;Ada\r\n\r\n";
    let expected = format!(
        "\u{feff}sep=;\r\n\r\nemail;name{}\r\nada@a.example;Ada{}\r\n\r\n",
        header(";"),
        write_generated(";", "not_invited", "")
    );
    assert_eq!(
        String::from_utf8(written("auto", marked)).unwrap(),
        expected
    );
}

#[test]
fn bad_rows_have_a_reason_and_unsplittable_ones_one_cell() {
    let list = "email,name\nnobody,Ada\nada@a.example,Ada\nbob@b.example,Bob,\"Lo\"\nADA@a.example,Eva\n\"eva@e.example,Eva\n";

    let text = String::from_utf8(written("auto", list)).unwrap();

    let rows: Vec<Vec<String>> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes())
        .records()
        .map(|it| it.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let seen: Vec<_> = rows[1..]
        .iter()
        .map(|it| [0, 1, 2, 6].map(|column| it[column].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            [
                "nobody",
                "Ada",
                "bad_row",
                "column email: it is not an address, because it has no `@`"
            ],
            ["ada@a.example", "Ada", "not_invited", ""],
            [
                "bob@b.example,Bob,\"Lo\"",
                "",
                "bad_row",
                "the row has 3 cells, the header 2; put a cell that contains the delimiter in quotes"
            ],
            [
                "ADA@a.example",
                "Eva",
                "bad_row",
                "column email: line 3 has the same address for this package; remove one of the rows"
            ],
            [
                "\"eva@e.example,Eva\n",
                "",
                "bad_row",
                "the quote (\") opened on line 6 is never closed; remove a stray quote, or put the whole cell in quotes and write each quote in it twice (\"\")"
            ],
        ]
    );
}

#[test]
fn a_row_of_any_length_is_kept_to_its_last_letter() {
    let endless = format!("\"é{}", "ééé,\"\"\n".repeat(40_000));
    let rows = format!("email,name\nada@a.example,Ada\n{endless}");

    let text = String::from_utf8(written("auto", rows)).unwrap();

    let last = csv::Reader::from_reader(text.as_bytes())
        .records()
        .last()
        .unwrap()
        .unwrap();
    assert!(last[0] == endless, "something is missing");
    assert_eq!(&last[2], "bad_row");
}

#[test]
fn no_cell_is_a_formula_and_no_other_is_touched() {
    let list = "email,name,phone,balance\na@a.example,=1+cmd|' /C calc'!A0,+33 1 23 45,-12.50\nb@b.example,\"@SUM(1,2)\",+cmd|'x'!A0,-A1\nc@c.example,Ada - Lovelace,0,'=1\n";

    let text = String::from_utf8(written("auto", list)).unwrap();

    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[1].starts_with("a@a.example,'=1+cmd|' /C calc'!A0,+33 1 23 45,-12.50,not_invited")
    );
    assert!(lines[2].starts_with("b@b.example,\"'@SUM(1,2)\",'+cmd|'x'!A0,'-A1,not_invited"));
    assert!(lines[3].starts_with("c@c.example,Ada - Lovelace,0,'=1,not_invited"));
}

#[test]
fn results_used_as_a_list_get_new_outcome_columns() {
    let place = Place::new();
    let list = b"email,name\nada@a.example,Ada\nnobody,Bob\n";
    let (once, _) = place.written("auto", list).unwrap();

    let (twice, _) = place.written("auto", &once).unwrap();

    assert_eq!(twice, once);
}

#[test]
fn unmappable_characters_are_written_in_utf_8_with_a_warning() {
    // A character of JIS X 0212, which the standard decodes from EUC-JP and never encodes.
    let list = b"email,name\nada@a.example,\x8f\xb0\xa1\n";

    let (bytes, warning) = Place::new().written("euc-jp", list).unwrap();

    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("\u{feff}email,name,invitation_state,"),
        "{text}"
    );
    assert!(
        text.contains("ada@a.example,\u{4e02},not_invited"),
        "{text}"
    );
    assert!(warning.unwrap().what.contains("written in UTF-8"));
}

#[test]
fn generated_text_gets_question_marks_for_unmappable() {
    let folder = tempfile::tempdir().unwrap();
    let file = tempfile::tempfile_in(folder.path()).unwrap();
    let mut out = EncodingWriter::begin(&file, encoding_rs::WINDOWS_1252, false).unwrap();

    out.write_generated("é → 日本").unwrap();
    let error = out.write_original("→").unwrap_err();
    assert!(error.get_ref().unwrap().is::<Unmappable>());
    out.finish().unwrap();

    let mut bytes = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"\xe9 ? ??");
}

#[test]
fn the_file_is_private_and_replaced_atomically() {
    let place = Place::new();
    let names = || -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(place.0.path())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    place.written("auto", b"email\nada@a.example\n").unwrap();
    let mode = std::fs::metadata(place.results()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    // One that is not finished leaves what was there, and goes with the next.
    let before = std::fs::read(place.results()).unwrap();
    let left = AtomicFile::begin(&place.results()).unwrap();
    std::io::Write::write_all(&mut left.file(), b"half").unwrap();
    std::mem::forget(left);
    assert_eq!(std::fs::read(place.results()).unwrap(), before);
    assert_eq!(names().len(), 4, "{:?}", names());

    drop(AtomicFile::begin(&place.results()).unwrap());
    assert_eq!(names(), ["config.toml", "partners.csv", "results.csv"]);
}

#[test]
fn a_file_that_is_not_results_is_never_overwritten() {
    let place = Place::new();
    assert!(prepare(&place.results()).is_ok());
    for content in [&b""[..], &written("auto", "email\na@a.example\n")] {
        std::fs::write(place.results(), content).unwrap();
        assert!(prepare(&place.results()).is_ok());
    }
    let utf_16 = written("utf-16le", encoded(UTF_16LE, "email\na@a.example\n"));
    std::fs::write(place.results(), utf_16).unwrap();
    assert!(prepare(&place.results()).is_ok());

    std::fs::write(place.results(), "email,name\nada@a.example,Ada\n").unwrap();
    let failure = prepare(&place.results()).unwrap_err();
    assert!(
        failure.to_string().contains("is not overwritten"),
        "{failure}"
    );

    std::fs::remove_file(place.results()).unwrap();
    std::fs::create_dir(place.results()).unwrap();
    let failure = prepare(&place.results()).unwrap_err();
    assert!(failure.to_string().contains("regular file"), "{failure}");
    let nowhere = place.0.path().join("nowhere/results.csv");
    let failure = prepare(&nowhere).unwrap_err();
    assert!(failure.to_string().contains("no such folder"), "{failure}");
}

/// A cell as people have them.
fn cells() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("ada@a.example".to_owned()),
        Just("=1+1".to_owned()),
        Just("\n".to_owned()),
        "[a-zé日\",;= +-]{0,6}",
    ]
}

proptest! {
    #[test]
    fn any_list_has_results_that_read_back_to_its_cells(
        rows in proptest::collection::vec(proptest::collection::vec((cells(), any::<bool>()), 1..=3), 0..12),
        blank in any::<bool>(),
        end in proptest::sample::select(vec!["\n", "\r\n"]),
        encoding in proptest::sample::select(vec!["utf-8", "utf-16le", "gb18030"]),
    ) {
        let quoted = |(cell, always): &(String, bool)| {
            if *always || cell.contains([',', '"', '\r', '\n']) || cell.is_empty() {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        };
        let mut list = String::from("email,name,city");
        for row in &rows {
            let row: Vec<_> = row.iter().map(quoted).collect();
            list += end;
            if blank { list += end; }
            list += &row.join(",");
        }
        let which = Encoding::for_label(encoding.as_bytes()).unwrap();

        let bytes = written(encoding, encoded(which, &list));

        let (text, _, malformed) = which.decode(&bytes);
        prop_assert!(!malformed);
        let read: Vec<Vec<String>> = csv::ReaderBuilder::new()
            .has_headers(true)
            .from_reader(text.as_bytes())
            .records()
            .map(|it| it.unwrap().iter().map(str::to_owned).collect())
            .collect();
        prop_assert_eq!(read.len(), rows.len());
        for (row, read) in rows.iter().zip(&read) {
            for (column, after) in read.iter().enumerate().take(3) {
                let cell = row.get(column).map_or("", |(cell, _)| cell.as_str());
                let kept = after == cell || (*after == format!("'{cell}") && may_be_formula(cell));
                prop_assert!(kept, "{:?} became {:?}", cell, after);
                prop_assert!(!is_guarded_in_results(after));
            }
            let empty = row.iter().all(|(cell, _)| cell.trim().is_empty());
            let states: BTreeMap<&str, bool> = BTreeMap::from([("", empty), ("bad_row", !empty), ("not_invited", !empty)]);
            prop_assert_eq!(states.get(read[3].as_str()), Some(&true));
        }
    }
}
