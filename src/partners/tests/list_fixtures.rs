//! Lists as usual programs write them: from their headers and cells to addresses, names and languages.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::super::address_cell::AddressCell;
use super::super::known_headers::{Recognized, is_version_line, recognize};
use super::super::language_names::LanguageCell;
use crate::config::Field;

/// What every list holds; the organisation and the language only if it has such columns.
const PARTNERS: [[&str; 4]; 4] = [
    [
        "siobhan.obrien@harbour.example",
        "Siobhán O'Brien",
        "Harbour Works Ltd",
        "en",
    ],
    [
        "j.mueller-luedenscheidt@werften.example",
        "Jürgen Müller-Lüdenscheidt",
        "Werft Müller-Lüdenscheidt GmbH & Co. KG",
        "de",
    ],
    [
        "francois.lefevre@chantier.example",
        "François Lefèvre",
        "L'Atelier du Port",
        "fr",
    ],
    [
        "lucia.ibanez@astillero.example",
        "Lucía Ibáñez",
        "Astilleros Ibáñez, S. A.",
        "es",
    ],
];

/// The records of a list, by the delimiter that its header has most often.
fn records(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/fixtures/lists/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let is_utf8 = Encoding::for_bom(&bytes).is_some() || std::str::from_utf8(&bytes).is_ok();
    let encoding = if is_utf8 {
        encoding_rs::UTF_8
    } else {
        WINDOWS_1252
    };
    let (text, _, failed) = encoding.decode(&bytes);
    assert!(!failed);
    let begin: String = text.lines().take(2).collect();
    let count = |it: &u8| begin.bytes().filter(|byte| byte == it).count();
    let delimiter = *b",;\t".iter().max_by_key(|it| count(it)).unwrap();
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
        .records()
        .map(|it| it.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn lists_of_usual_programs_need_no_mapping() {
    for (name, has_name, has_organization, has_language) in [
        ("excel-fr.csv", true, true, true),
        ("excel-de.csv", true, true, true),
        ("excel-en.txt", true, true, true),
        ("excel-en.csv", true, true, true),
        ("libreoffice.csv", true, true, true),
        ("numbers.csv", true, true, true),
        ("google-sheets.csv", true, true, true),
        ("google-contacts.csv", true, true, false),
        ("outlook-en.csv", true, true, false),
        ("outlook-fr.csv", true, true, false),
        ("outlook-de.csv", true, true, false),
        ("outlook-es.csv", true, true, false),
        ("outlook-it.csv", true, true, false),
        ("entra-bulk-invite.csv", false, false, false),
        ("entra-guests.csv", true, true, false),
        ("hubspot.csv", true, true, true),
        ("salesforce.csv", true, true, false),
    ] {
        let records = records(name);
        let skipped = usize::from(is_version_line(&records[0]));
        let headers = &records[skipped];
        let [email, full_name, organization, locale, package, ..] =
            Field::ALL.map(|field| match recognize(headers, field) {
                Recognized::Source(source) => Some(source),
                Recognized::Missing => None,
                Recognized::Ambiguous(places) => panic!("{name}: {field:?} {places:?}"),
            });
        assert_eq!(package, None, "{name}");

        let mut read = Vec::new();
        for record in &records[skipped + 1..] {
            let value = |source: &Option<super::super::patterns::CellSource>| {
                let source = source.as_ref();
                source.map_or_else(String::new, |it| it.value(record).into_owned())
            };
            let address = AddressCell::read(&value(&email)).unwrap();
            let mut person = value(&full_name);
            if let (true, Some(name)) = (person.is_empty(), address.name) {
                person = name;
            }
            let language = match value(&locale).as_str() {
                "" => String::new(),
                cell => LanguageCell::read(cell).unwrap().locale.to_string()[..2].to_owned(),
            };
            let address = address.address.as_written().to_owned();
            read.push([address, person, value(&organization), language]);
        }

        let expected = PARTNERS.map(|[email, person, organization, language]| {
            let if_there = |it: bool, text: &str| if it { text.to_owned() } else { String::new() };
            [
                email.to_owned(),
                if_there(has_name, person),
                if_there(has_organization, organization),
                if_there(has_language, language),
            ]
        });
        assert_eq!(read, expected, "{name}");
    }
}
