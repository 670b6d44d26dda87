//! Bytes to text: the exports of real programs, every encoding by name, and what is refused.

use encoding_rs::{
    Encoding, GB18030, MACINTOSH, SHIFT_JIS, UTF_8, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
};

use super::*;

/// `email,name,package` and one partner of this name.
fn named(name: &str, encoding: &'static Encoding) -> Vec<u8> {
    let text = format!("email,name,package\na@a.example,{name},project\n");
    encoding.encode(&text).0.into_owned()
}

/// How a unit of UTF-16 is written.
type Unit = fn(u16) -> [u8; 2];

/// What `encoding_rs` does not write.
fn utf_16(text: &str, bytes: Unit) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn names(partners: &Arc<Partners>) -> Vec<String> {
    partners
        .iter()
        .map(|it| it.unwrap().name.unwrap_or_default())
        .collect()
}

fn refusal(line: &str, csv: impl AsRef<[u8]>) -> String {
    let failure = Folder::configured(line, csv).read().unwrap_err();
    assert!(matches!(failure, ListError::NotAList(_)), "{failure}");
    failure.to_string()
}

#[test]
fn exports_as_programs_write_them_all_hold_the_same_partners() {
    let western = [
        "f.lefevre@chantiers.example|François Lefèvre|L'Atelier du Port|fr|Quai n° 5; accès à 8 h",
        "k.lange@bücher.example|Käthe \"Kätchen\" Groß|Bücher, Lang & Söhne|de|Büro 2\nHaus B",
        "joao@cais.example|João Gonçalves||pt|",
    ];
    let japanese = [
        "taro@minato.example|山田 太郎|港湾設計株式会社|ja|第一ドック; 八時",
        "hanako@minato.example|鈴木 \"ハナコ\" 花子|港湾設計, ドック部|ja|二号館\n三階",
        "joao@cais.example|ジョアン||pt|",
    ];
    // Name, encoding, whether that is a guess, the partners, and the lines they begin on.
    let exports = [
        ("excel-fr", "auto", true, western, [2, 3, 5]),
        ("excel-fr", "windows-1252", false, western, [2, 3, 5]),
        ("excel-sep", "auto", true, western, [3, 4, 6]),
        ("excel-de", "auto", false, western, [2, 3, 5]),
        ("excel-mac", "macintosh", false, western, [2, 3, 5]),
        ("libreoffice", "auto", false, western, [2, 3, 5]),
        ("google-sheets", "auto", false, western, [2, 3, 5]),
        ("hand", "auto", false, western, [4, 7, 10]),
        ("excel-ja", "auto", false, japanese, [2, 3, 5]),
        ("excel-ja", "utf-16le", false, japanese, [2, 3, 5]),
        (
            "excel-ja-shift-jis",
            "shift_jis",
            false,
            japanese,
            [2, 3, 5],
        ),
    ];

    for (name, encoding, guessed, expected, lines) in exports {
        let path = format!("{}/tests/fixtures/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let folder = Folder::configured(
            &format!("encoding = \"{encoding}\"\ncolumns = {{ name = \"contact\" }}"),
            std::fs::read(path).unwrap(),
        );

        let partners = folder.read().unwrap();

        let read: Vec<_> = partners.iter().map(|it| it.unwrap()).collect();
        let cells: Vec<_> = read
            .iter()
            .map(|it| {
                let text = |it: &Option<String>| it.clone().unwrap_or_default();
                let locale = it.locale.as_ref().map(ToString::to_string);
                let (name, organization) = (text(&it.name), text(&it.organization));
                let cells = [
                    it.address.as_written(),
                    &name,
                    &organization,
                    &text(&locale),
                ];
                format!("{}|{}", cells.join("|"), it.extra.join("|"))
            })
            .collect();
        assert_eq!(cells, expected, "{name}");
        assert_eq!(
            read.iter().map(|it| it.line).collect::<Vec<_>>(),
            lines,
            "{name}"
        );
        assert_eq!(partners.bad(), 0, "{name}");
        let warnings = partners.warnings();
        assert_eq!(!warnings.is_empty(), guessed, "{name}: {warnings:?}");
    }
}

#[test]
fn windows_1252_is_guessed_with_a_warning_until_configured() {
    for name in [
        "René",
        "Jürgen Müller",
        "João",
        "L’Atelier",
        "„Büro“ Größe",
        "Straße",
        "Søren Ærø",
        "Ö",
    ] {
        let csv = named(name, WINDOWS_1252);

        let guessed = Folder::with(&csv).read().unwrap();
        assert_eq!(names(&guessed), [name]);
        let [warning] = guessed.warnings().try_into().unwrap();
        let said = format!("looks like windows-1252, so it is read as that: line 2 has \"{name}\"");
        assert!(warning.to_string().contains(&said), "{warning}");

        let confirmed = Folder::configured("encoding = \"windows-1252\"", &csv);
        let confirmed = confirmed.read().unwrap();
        assert_eq!(names(&confirmed), [name]);
        assert!(confirmed.warnings().is_empty());
    }
}

#[test]
fn unclear_encoding_is_refused_with_possible_readings() {
    let table: [(&str, &Encoding, &str); 8] = [
        ("山田", SHIFT_JIS, "\"山田\" in shift_jis"),
        ("Małgorzata", WINDOWS_1250, "\"Małgorzata\" in windows-1250"),
        ("Иван", WINDOWS_1251, "\"Иван\" in windows-1251"),
        ("Jürgen Müller", MACINTOSH, "\"Jürgen Müller\" in macintosh"),
        ("René", MACINTOSH, "\"René\" in macintosh"),
        ("山田 太郎", SHIFT_JIS, "\"山田 太郎\" in shift_jis"),
        ("港湾設計", SHIFT_JIS, "\"港湾設計\" in shift_jis"),
        ("王小明", GB18030, "\"王小明\" in gb"),
    ];

    for (name, encoding, reading) in table {
        let error = refusal("", named(name, encoding));

        assert!(error.contains("partners.csv:2: byte 0x"), "{error}");
        assert!(error.contains(reading), "{error}");
        assert!(error.contains("set `partners.encoding`"), "{error}");
    }
}

#[test]
fn utf_8_with_another_encoding_in_it_is_never_guessed() {
    let joined = [
        named("René", UTF_8),
        b"b@a.example,Ren\xe9,project\n".to_vec(),
    ]
    .concat();

    let error = refusal("", &joined);
    assert!(
        error.contains(
            "partners.csv:3: byte 0xE9 at offset 60 is not UTF-8, but other parts of the file are"
        ),
        "{error}"
    );

    let marked = [b"\xef\xbb\xbf".to_vec(), named("René", WINDOWS_1252)].concat();
    let error = refusal("", &marked);
    assert!(
        error.contains("partners.csv:2: byte 0xE9 at offset 37: not valid utf-8, although the file begins with the byte-order mark of utf-8"),
        "{error}"
    );
}

#[test]
fn bytes_invalid_in_the_configured_encoding_are_refused() {
    let table: [(&str, &[u8], &str); 7] = [
        (
            "utf-8",
            b"email,package\r\na@a.example,pro\xe9ject\r\n",
            "partners.csv:2: byte 0xE9 at offset 30: not valid utf-8, which `partners.encoding` names",
        ),
        (
            "shift_jis",
            b"email,package\ra@a.example,\x81\x20\r",
            "partners.csv:2: byte 0x81 at offset 26",
        ),
        (
            "gb18030",
            b"email,package\na@a.example,\x81\x30\x81,\n",
            "partners.csv:2: byte 0x81 at offset 26",
        ),
        (
            "utf-16le",
            b"e\0m\0a\0i\0l\0\n\0\x00\xd8x\0",
            "partners.csv:2: bytes 0x00 0xD8 at offset 12",
        ),
        (
            "utf-16be",
            b"\0e\0m\0a\0i\0l\0\n\0",
            "partners.csv:2: byte 0x00 at offset 12",
        ),
        (
            "windows-1252",
            b"\xff\xfee\0m\0a\0i\0l\0",
            "begins with the byte-order mark of utf-16le, but `partners.encoding` is windows-1252; set it to \"auto\"",
        ),
        (
            "windows-1252",
            b"email\na@\0a.example\n",
            "partners.csv:2: the file contains a NUL character here when it is read as windows-1252",
        ),
    ];

    for (encoding, csv, reason) in table {
        let error = refusal(&format!("encoding = \"{encoding}\""), csv);
        assert!(error.contains(reason), "{reason:?} is not in\n{error}");
    }
}

#[test]
fn utf_16_needs_a_bom_or_configuration() {
    let csv = "email,name,package\na@a.example,Zoë 山,project\n";
    let table: [(Unit, &str); 2] = [
        (u16::to_le_bytes, "utf-16le"),
        (u16::to_be_bytes, "utf-16be"),
    ];

    for (bytes, name) in table {
        let bare = utf_16(csv, bytes);
        let error = refusal("", &bare);
        assert!(
            error.contains(&format!("set `partners.encoding = \"{name}\"`")),
            "{error}"
        );

        let line = format!("encoding = \"{name}\"");
        for marked in [bare, utf_16(&format!("\u{feff}{csv}"), bytes)] {
            let partners = Folder::configured(&line, marked).read().unwrap();
            assert_eq!(names(&partners), ["Zoë 山"]);
        }
    }
}

#[test]
fn sep_line_after_a_bom_is_found() {
    let csv = "\u{feff}sep=;\r\nemail;name;package\r\na@a.example;Zoë, 山;project\r\n";

    for bytes in [
        csv.as_bytes().to_vec(),
        utf_16(csv, u16::to_le_bytes),
        utf_16(csv, u16::to_be_bytes),
    ] {
        let partners = read(bytes).unwrap();
        assert_eq!(good(&partners), ["3 a@a.example Zoë, 山"]);
    }
}

#[test]
fn other_file_types_are_recognised_by_first_bytes() {
    let table: [(&[u8], &str); 12] = [
        (b"PK\x03\x04\x14\0", "the workbook is damaged"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "the workbook is damaged",
        ),
        (b"%PDF-1.7", "a PDF document"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"\x1f\x8b\x08", "a packed archive"),
        (b"\x89PNG\r\n", "a picture"),
        (b"BEGIN:VCARD\r\n", "an address book"),
        (b"\r\n <!doctype html>", "a web page"),
        (b"\xef\xbb\xbf<HTML>", "a web page"),
        (b"<?xml version=\"1.0\"?>", "an XML document"),
        (b"[{\"email\":", "JSON"),
        (b"\xff\xfe\0\0e\0\0\0", "UTF-32"),
    ];

    for (bytes, what) in table {
        let error = refusal("", bytes);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn characters_are_whole_wherever_a_piece_of_the_file_ends() {
    for padding in 0..4 {
        let name = "山é".repeat(30);
        let row = format!("@a.example,{name},project,{}\n", "x".repeat(padding));
        let rows: Vec<_> = (0..600).map(|it| format!("p{it}{row}")).collect();
        let csv = format!("\u{feff}email,name,package,x\n{}", rows.concat());

        for bytes in [
            csv.clone().into_bytes(),
            utf_16(&csv, u16::to_le_bytes),
            utf_16(&csv, u16::to_be_bytes),
        ] {
            let partners = read(bytes).unwrap();
            assert_eq!((partners.good(), partners.bad()), (600, 0));
            assert!(names(&partners).iter().all(|it| *it == name));
        }
    }
}

/// Texts that are lists, more or less.
fn texts() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("a@a.example".to_owned()),
        Just(",".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("project".to_owned()),
        "\\PC{0,8}",
    ];
    proptest::collection::vec(parts, 0..40)
        .prop_map(|it| format!("email,name,package\n{}", it.concat()))
}

proptest! {
    #[test]
    fn any_text_reads_the_same_in_utf_8_and_in_utf_16(text in texts()) {
        let outcome = |bytes: Vec<u8>| {
            let partners = read(bytes).unwrap();
            // The offset counts the byte-order mark.
            let whole = |it: Partner| format!("{:?}", Partner { offset: 0, ..it });
            let rows: Vec<_> = partners.iter().map(|it| whole(it.unwrap())).collect();
            let bad = partners.describe_bad_rows();
            (rows, bad.rsplit('/').next().map(str::to_owned), partners.warnings().len())
        };
        let marked = format!("\u{feff}{text}");

        let utf_8 = outcome(text.into_bytes());
        prop_assert_eq!(&outcome(marked.clone().into_bytes()), &utf_8);
        prop_assert_eq!(&outcome(utf_16(&marked, u16::to_le_bytes)), &utf_8);
        prop_assert_eq!(&outcome(utf_16(&marked, u16::to_be_bytes)), &utf_8);
    }

    #[test]
    fn any_bytes_in_any_encoding_are_read_or_refused(
        head in proptest::sample::select(vec![&b""[..], b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"email,package\n"]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        name in proptest::sample::select(vec!["auto", "utf-8", "utf-16be", "shift_jis", "gb18030", "iso-2022-jp", "windows-1252"]),
    ) {
        let csv = [head, bytes.as_slice()].concat();
        if let Err(failure) = Folder::configured(&format!("encoding = \"{name}\""), csv).read() {
            prop_assert!(matches!(failure, ListError::NotAList(_)));
        }
    }
}
