//! Malformed quoting (RFC 4180): no row of a list disappears without an error that names its line.

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::RangeInclusive;

use super::*;

/// `line address` of the good rows, and the bad rows without the path of the file.
fn outcome(csv: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    let partners = read(csv).unwrap();
    let good = partners.iter().map(|it| it.unwrap());
    let good = good.map(|it| format!("{} {}", it.line, it.address));
    let bad = partners.describe_bad_rows();
    let bad = bad.lines().map(|it| {
        let (_, finding) = it.split_once("partners.csv:").unwrap();
        finding.to_owned()
    });
    (good.collect(), bad.collect())
}

/// The lines that the errors about rows name.
fn lines_in_errors(partners: &Arc<Partners>) -> Vec<RangeInclusive<u64>> {
    let rows = partners.source_rows().map(|it| it.unwrap().kind);
    let faults = rows.filter_map(|it| match it {
        RowKind::Bad(faults) => Some(faults),
        RowKind::Empty | RowKind::Good(_) => None,
    });
    faults.flatten().map(|it| it.line..=it.last_line).collect()
}

#[test]
fn stray_quotes_in_two_rows_make_one_bad_row_of_all_lines() {
    let csv = "email,name,package,note\n\
        ada@a.example,Ada,project,\"19 inch screen\n\
        bob@b.example,Bob,project,\n\
        eva@e.example,Eva,project,\n\
        dee@d.example,Dee,project,\"21 inch screen\n\
        zoe@z.example,Zoe,project,\n";

    let (good, bad) = outcome(csv);

    assert_eq!(good, ["6 zoe@z.example"], "{bad:?}");
    assert_eq!(
        bad,
        [
            "2-5: the quoted cell that begins on line 2 ends on line 5, but text follows its closing quote (\"); remove a stray quote, or put the whole cell in quotes and write each quote in it twice (\"\")"
        ]
    );
}

#[test]
fn f2_one_stray_quote_in_each_of_400_rows_names_every_line() {
    let rows: Vec<_> = (0..400)
        .map(|it| format!("p{it}@a.example,P,project,\"19 inch\n"))
        .collect();
    let partners = read(format!("email,name,package,note\n{}", rows.concat())).unwrap();

    let named = lines_in_errors(&partners);

    assert_eq!((partners.good(), partners.bad()), (0, 200));
    for line in 2..402 {
        assert!(named.iter().any(|it| it.contains(&line)), "line {line}");
    }
    assert!(partners.refuse_bad_rows(BadRows::Refuse).is_err());
}

#[test]
fn f2_text_after_a_closing_quote_is_malformed_in_any_format() {
    let plain = "email,name,package,note\nada@a.example,\"Ada\"x,project,\nbob@b.example,Bob,project,\"19 inch\neva@e.example,Eva,project,\ndee@d.example,Dee,project,\"21 inch\nzoe@z.example,Zoe,project,\n";
    for delimiter in [",", ";", "\t"] {
        for end in ["\n", "\r\n", "\r"] {
            let csv = plain.replace(',', delimiter).replace('\n', end);
            let utf_16: Vec<u8> = format!("\u{feff}{csv}")
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            for bytes in [csv.clone().into_bytes(), utf_16] {
                let (good, bad) = outcome(bytes);
                assert_eq!(good, ["6 zoe@z.example"], "{csv:?} {bad:?}");
                assert_eq!(bad.len(), 2, "{csv:?} {bad:?}");
                assert!(
                    bad[0].starts_with(
                        "2: the quoted cell that begins on line 2 ends on line 2, but text follows"
                    ),
                    "{bad:?}"
                );
                assert!(
                    bad[1].starts_with("3-5: the quoted cell that begins on line 3 ends on line 5, but text follows"),
                    "{bad:?}"
                );
            }
        }
    }
}

#[test]
fn text_after_a_closing_quote_is_malformed_blanks_are_not() {
    for cell in [
        "\"abc\"def",
        "\"abc\" \"def\"",
        "\"\"abc\"\"",
        "\"abc\"def\"",
    ] {
        let (good, bad) = outcome(format!(
            "email,package,note\nada@a.example,project,{cell}\nbob@b.example,project,x\n"
        ));
        assert_eq!(good, ["3 bob@b.example"], "{cell} {bad:?}");
        assert_eq!(bad.len(), 1, "{cell}");
        assert!(
            bad[0].starts_with("2: the quoted cell that begins on line 2"),
            "{bad:?}"
        );
    }

    let blanks = read("email,note,package\nada@a.example,\"a, b\" \t,project\n").unwrap();
    assert_eq!(blanks.bad(), 0);
    assert_eq!(blanks.iter().next().unwrap().unwrap().extra, ["a, b"]);
}

#[test]
fn f2_quote_inside_an_unquoted_cell_is_kept() {
    let partners = read(
        "email,name,package,note\nada@a.example,Ada,project,19\" screen\nbob@b.example,Bob \"Bo\" B,project,a \"quoted\" word\neva@e.example,Eva,project,21\"\n",
    )
    .unwrap();

    let notes: Vec<_> = partners
        .iter()
        .map(|it| it.unwrap().extra[0].clone())
        .collect();

    assert_eq!(notes, ["19\" screen", "a \"quoted\" word", "21\""]);
    assert_eq!(partners.bad(), 0);
}

#[test]
fn f2_unclosed_quote_names_its_line_and_all_lines_after_it() {
    let (good, bad) = outcome(
        "email,package,note\nada@a.example,project,\"two\nlines\"\nbob@b.example,project,\"a\n\nb\"\nbob@c.example,\"proj\neva@e.example,project,\n",
    );

    assert_eq!(good, ["2 ada@a.example", "4 bob@b.example"]);
    assert_eq!(
        bad,
        [
            "7-8: the quote (\") opened on line 7 is never closed; remove a stray quote, or put the whole cell in quotes and write each quote in it twice (\"\")"
        ]
    );

    // The row begins before the quote.
    let (_, bad) = outcome(
        "email,package,a,b\nada@a.example,project,\"two\nlines\",\"open\nbob@b.example,project,,\n",
    );
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0].starts_with("2-4: the quote (\") opened on line 3 is never closed"),
        "{bad:?}"
    );
}

#[test]
fn f2_a_quoted_cell_whose_lines_look_like_rows_is_an_error() {
    // Both quotes stand where quotes may stand, so only the lines tell.
    let table = [
        (
            "email,name,package,note\nada@a.example,Ada,project,\"19 inch\nbob@b.example,Bob,project,\neva@e.example,Eva,project,21 inch\"\n",
            "2-4: the quoted cell that begins on line 2 and ends on line 4 contains 2 lines that look like rows of this list, the first is line 3;",
        ),
        // The first cell, so that the first line is the one that is lost.
        (
            "note,email,package\n\"19 inch,ada@a.example,project\n21 inch\",bob@b.example,project\n",
            "2-3: the quoted cell that begins on line 2 and ends on line 3 contains a line that looks like a row of this list, line 2;",
        ),
        // Fewer cells than the header, as where empty ones at the end are left out.
        (
            "email,name,package,note,x\nada@a.example,Ada,project,\"19 inch\nbob@b.example,Bob,project\neva@e.example,Eva,project\"\n",
            "2-4: the quoted cell that begins on line 2 and ends on line 4 contains 2 lines that look like rows of this list, the first is line 3;",
        ),
        // A row that ends in the cell and began in another one, whose closing quote became doubled.
        (
            "name,note,package,email\nAda,\"two\nlines\"\",project,ada@a.example\n,end\",project,bob@b.example\n",
            "2-4: the quoted cell that begins on line 2 and ends on line 4 contains a line that looks like a row of this list, line 3;",
        ),
        // Quoted cells with the delimiter, and a quote behind an address.
        (
            "email,name,package,note\nada@a.example,Ada,project,\"19 inch\neva@e.example\",Eva,\"project\",\"a, b\"\n",
            "2-3: the quoted cell that begins on line 2 and ends on line 3 contains a line that looks like a row of this list, line 3;",
        ),
        // Fewer cells, one of them with the delimiter and a blank.
        (
            "email,package,note,a,b\nada@a.example,project,\"19 inch\neva@e.example\",\"a, b\"\n",
            "2-3: the quoted cell that begins on line 2 and ends on line 3 contains a line that looks like a row of this list, line 3;",
        ),
        // A cell with the delimiter, and one that is a quote, with a stray one behind.
        (
            "name,note,package,email\n\"a,b\",\"\"\"\"\",project,ada@a.example\nBob,\"\"\"\"\",project,bob@b.example\n",
            "2-3: the quoted cell that begins on line 2 and ends on line 3 contains a line that looks like a row of this list, line 2;",
        ),
        // Not the first cell of several lines.
        (
            "email,package,a,b\nada@a.example,project,\"one\ntwo\",\"three\nbob@b.example,project,x,y\"\n",
            "2-4: the quoted cell that begins on line 3 and ends on line 4 contains a line that looks like a row of this list, line 4;",
        ),
    ];
    for (csv, start) in table {
        let (good, bad) = outcome(csv);
        assert!(good.is_empty(), "{csv:?} {good:?}");
        assert_eq!(bad.len(), 1, "{csv:?} {bad:?}");
        assert!(bad[0].starts_with(start), "{bad:?}");
    }
}

#[test]
fn rows_in_a_cell_are_found_wherever_the_reader_s_buffer_ends() {
    const BUFFER: usize = 64 * 1024;
    for before in 0..100 {
        let mut csv = "email,name,package,memo\n".to_owned();
        // The record to be found begins `before` bytes in front of the buffer's end.
        for nth in 0..10 {
            let row = format!("p{nth}@a.example,P,project,");
            let rest = BUFFER - before - csv.len() - row.len() - 1;
            let length = if nth == 9 { rest } else { 7_000 };
            writeln!(csv, "{row}{}", "x".repeat(length)).unwrap();
        }
        assert_eq!(csv.len(), BUFFER - before);
        csv += "ada@a.example,Ada,project,\"19 inch\nbob@b.example,Bob,project,\neva@e.example,Eva,project,21 inch\"\n";
        csv += "dee@d.example,Dee,project,\"two\nlines\"\n";

        let partners = read(csv).unwrap();

        assert_eq!((partners.good(), partners.bad()), (11, 1));
        let bad = partners.describe_bad_rows();
        assert!(
            bad.contains("partners.csv:12-14: the quoted cell that begins on line 12"),
            "{bad}"
        );
        assert!(
            bad.contains("contains 2 lines that look like rows"),
            "{bad}"
        );
    }
}

#[test]
fn quote_inside_a_cell_after_a_quoted_line_break_is_malformed() {
    let (good, bad) = outcome(
        "email,package,a,b,c\nada@a.example,project,\"19 inch\nnobody here\",x\",\nbob@b.example,project,,,\n",
    );

    assert_eq!(good, ["4 bob@b.example"]);
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0].starts_with("2-3: the quoted cell that begins on line 2 has several lines, and line 3 has a quote (\") inside an unquoted cell"),
        "{bad:?}"
    );
}

#[test]
fn f2_well_formed_cells_of_several_lines_are_good() {
    let notes = [
        "two\nlines",
        "Speak to bob@b.example,\nor to eva@e.example, who knows",
        "Ask one of these:\nbob@b.example, he knows\nbob@b.example",
        "Ask\nbob@b.example,\neva@e.example;\n\tdee@d.example",
        "Cc:\nbob@b.example,eva@e.example",
        "Dear Bob,\nyes, no, perhaps, all of it,\nAda",
        "a \"quoted\" word,\nand an empty line\n\n19\" screen",
        "\n",
    ];
    for delimiter in [b',', b';', b'\t'] {
        for order in [[0, 1, 2, 3], [3, 0, 1, 2], [1, 3, 2, 0]] {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(delimiter)
                .from_writer(Vec::new());
            let mut write =
                |cells: [&str; 4]| writer.write_record(order.map(|it| cells[it])).unwrap();
            write(["email", "name", "package", "note"]);
            for (nth, note) in notes.iter().enumerate() {
                write([&format!("ada{nth}@a.example"), "Ada", "project", note]);
            }
            let partners = read(writer.into_inner().unwrap()).unwrap();
            assert_eq!(
                (partners.good(), partners.bad()),
                (notes.len() as u64, 0),
                "{}",
                partners.describe_bad_rows()
            );
            let read: Vec<_> = partners
                .iter()
                .map(|it| it.unwrap().extra[0].clone())
                .collect();
            assert_eq!(read, notes.map(str::trim));
        }
    }
}

#[test]
fn bad_row_of_several_lines_names_them() {
    let (good, bad) = outcome(
        "email,name,package\n\"ada@a.example,Ada\nbob@b.example\",Bob,project\neva@e.example,\"Eva\nE\",nothing\n",
    );

    assert!(good.is_empty());
    assert!(
        bad.iter().all(|it| it.starts_with("2-3, column email")
            || it.starts_with("2-3:")
            || it.starts_with("4-5, column")),
        "{bad:?}"
    );
    assert!(
        bad.iter()
            .any(|it| it.starts_with("4-5, column package, \"nothing\"")),
        "{bad:?}"
    );
}

#[test]
fn a_row_that_is_too_long_names_its_lines_and_the_quote() {
    let rest = "c@a.example,project,x\n".repeat(5_000);
    let partners = read(format!(
        "email,package,note\na@a.example,project,x\nb@a.example,project,\"19 inch\n{rest}d@a.example,project,21 inch\"\nz@a.example,project,\n"
    ))
    .unwrap();

    assert_eq!(partners.good(), 2);
    let bad = partners.describe_bad_rows();
    assert!(
        bad.contains("partners.csv:3-5004: the row is longer than 64 KiB; perhaps the quote (\") opened on line 3 is a stray one"),
        "{bad}"
    );
}

#[test]
fn f2_header_that_swallows_a_row_is_refused() {
    for csv in [
        "email,package,\"note\nada@a.example,project,x\"\nbob@b.example,project,y\n",
        "email,package,\"note\nada@a.example\",project,x\nbob@b.example,project,y\n",
    ] {
        let failure = read(csv).unwrap_err();
        assert!(matches!(failure, ListError::NotAList(_)), "{failure}");
        assert!(
            failure.to_string().contains(
                "partners.csv:1: the header extends to line 2 and contains an address, `ada@a.example`"
            ),
            "{failure}"
        );
    }
    let failure = read("email,package,\"note\"x\nada@a.example,project,x\n").unwrap_err();
    assert!(
        failure.to_string().contains(
            "partners.csv:1: the quoted cell that begins on line 1 ends on line 1, but text follows"
        ),
        "{failure}"
    );
    let failure = read("email,package,\"note\nada@a.example,project,x\n").unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("partners.csv:1: the quote (\") opened on line 1 is never closed"),
        "{failure}"
    );

    let honest = read("email,package,\"note\nfor us\"\nada@a.example,project,x\n").unwrap();
    assert_eq!((honest.good(), honest.bad()), (1, 0));
}

/// One row of a list that is to be damaged.
#[derive(Clone, Debug)]
struct Honest {
    name: &'static str,
    note: &'static str,
    archive: bool,
    empty_end_left_out: bool,
}

fn honest_rows() -> impl Strategy<Value = Vec<Honest>> {
    let texts = || {
        proptest::sample::select(vec![
            "",
            "",
            "Ada",
            "19 inch",
            "19\" screen",
            "a, b",
            ",x",
            "x,",
            "\"",
            "\"Ada\" A.",
            "two\nlines",
            "a;b",
            "see bob@b.example, or me",
            "\n",
            "end\"",
            "a\tb",
        ])
    };
    let row = (texts(), texts(), any::<bool>(), any::<bool>()).prop_map(
        |(name, note, archive, empty_end_left_out)| Honest {
            // A name has no line breaks.
            name: if name.contains(['\n', '\t']) {
                "Eva"
            } else {
                name
            },
            note,
            archive,
            empty_end_left_out,
        },
    );
    proptest::collection::vec(row, 1..10)
}

/// The list as text, and the line on which each address stands.
fn written(
    rows: &[Honest],
    order: [usize; 4],
    delimiter: char,
    end: &str,
    style: u8,
) -> (String, Vec<(String, u64)>) {
    let mut text = String::new();
    let mut addresses = Vec::new();
    let quoted = |cell: &str, bare: bool| {
        let must = cell.contains([delimiter, '\n']) || cell.starts_with('"') || cell.trim() != cell;
        // As programs write it, all cells, all texts that are not empty, or bare quotes as by hand.
        match style {
            0 => must || cell.contains('"'),
            1 => true,
            2 => !cell.is_empty(),
            _ => must || (cell.contains('"') && !bare),
        }
    };
    let write = |text: &mut String, cells: [&str; 4], leave_out: bool| {
        // Behind a line break, a bare quote is an error already.
        let bare = cells.iter().all(|it| !it.contains('\n'));
        let mut cells: Vec<_> = order.iter().map(|it| cells[*it]).collect();
        while leave_out && cells.last().is_some_and(|it| it.is_empty()) {
            cells.pop();
        }
        for (nth, cell) in cells.iter().enumerate() {
            if nth > 0 {
                text.push(delimiter);
            }
            if quoted(cell, bare) {
                write!(text, "\"{}\"", cell.replace('"', "\"\"")).unwrap();
            } else {
                text.push_str(cell);
            }
        }
        text.push('\n');
    };
    write(&mut text, ["email", "name", "package", "note"], false);
    for (nth, row) in rows.iter().enumerate() {
        let address = format!("p{nth}@a.example");
        let package = if row.archive { "archive" } else { "project" };
        let start = text.len();
        write(
            &mut text,
            [&address, row.name, package, row.note],
            row.empty_end_left_out,
        );
        let place = start + text[start..].find(&address).unwrap();
        let line = 1 + text[..place].matches('\n').count() as u64;
        addresses.push((address, line));
    }
    (text.replace('\n', end), addresses)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn f2_stray_quote_anywhere_hides_no_address(
        rows in honest_rows(),
        order in proptest::sample::select(vec![[0, 1, 2, 3], [3, 0, 1, 2], [1, 3, 2, 0], [2, 0, 3, 1]]),
        delimiter in proptest::sample::select(vec![',', ';', '\t']),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        style in 0_u8..4,
        strays in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4),
    ) {
        let (text, addresses) = written(&rows, order, delimiter, end, style);
        let sound = read(&text).unwrap();
        prop_assert_eq!((sound.good(), sound.bad()), (rows.len() as u64, 0), "{}\n{}", text, sound.describe_bad_rows());

        let mut damaged = text;
        for stray in &strays {
            let place = stray.index(damaged.len() + 1);
            // Between CR and LF it would add a line.
            let within_line_end = damaged[..place].ends_with('\r') && damaged[place..].starts_with('\n');
            damaged.insert(place + usize::from(within_line_end), '"');
        }
        match read(&damaged) {
            Err(failure) => prop_assert!(matches!(failure, ListError::NotAList(_))),
            Ok(partners) => {
                let good: HashSet<_> = partners.iter().map(|it| it.unwrap().address.to_string()).collect();
                let named = lines_in_errors(&partners);
                for (address, line) in &addresses {
                    prop_assert!(
                        good.contains(address) || named.iter().any(|it| it.contains(line)),
                        "{} of line {} is lost:\n{}\n{}", address, line, damaged, partners.describe_bad_rows()
                    );
                }
            }
        }
    }
}
