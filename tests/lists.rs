//! Lists as people have them, through the binary: workbooks, exports of usual programs, columns and values in
//! their own words.

use std::path::{Path, PathBuf};

use crate::support::mail;
use crate::support::smtp::Server;
use crate::support::{Output, Workplace};

/// The people in every list of `tests/fixtures/lists`.
const PEOPLE: [&str; 4] = [
    "siobhan.obrien@harbour.example",
    "j.mueller-luedenscheidt@werften.example",
    "francois.lefevre@chantier.example",
    "lucia.ibanez@astillero.example",
];

fn fixture(name: &str) -> PathBuf {
    let lists = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lists");
    PathBuf::from(lists).join(name)
}

/// Uses a file as the list of a workplace, under the name `partners.csv` whatever it is.
fn use_list(workplace: &Workplace, name: &str) {
    std::fs::copy(fixture(name), workplace.file("partners.csv")).unwrap();
}

/// A workbook with these cells, each at its row and column from 0.
fn workbook(workplace: &Workplace, name: &str, cells: &[(u32, u16, &str)]) {
    let mut book = rust_xlsxwriter::Workbook::new();
    book.add_worksheet().set_name("Cover").unwrap();
    let sheet = book.add_worksheet().set_name("People").unwrap();
    for (row, column, text) in cells {
        sheet.write_string(*row, *column, *text).unwrap();
    }
    book.save(workplace.file(name)).unwrap();
}

/// Adds lines under `[partners]`.
fn set_partners(workplace: &Workplace, lines: &str) {
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let config = config.replace("[partners]\n", &format!("[partners]\n{lines}\n"));
    workplace.write("config.toml", &config);
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn exports_of_usual_programs_need_no_mapping() {
    let workplace = Workplace::new(1);
    for (name, columns) in [
        ("excel-fr.csv", "email from"),
        ("excel-de.csv", "email from"),
        ("excel-en.txt", "email from"),
        ("excel-en.csv", "email from"),
        ("libreoffice.csv", "email from"),
        ("numbers.csv", "email from"),
        ("google-sheets.csv", "email from"),
        (
            "google-contacts.csv",
            "email from `E-mail 1 - Value`, name from `{First Name} {Last Name}`",
        ),
        (
            "outlook-en.csv",
            "email from `E-mail Address`, name from `{First Name} {Last Name}`",
        ),
        ("outlook-fr.csv", "email from `Adresse de messagerie`"),
        ("outlook-de.csv", "email from `E-Mail-Adresse`"),
        (
            "outlook-es.csv",
            "email from `Dirección de correo electrónico`",
        ),
        ("outlook-it.csv", "email from `Indirizzo posta elettronica`"),
        (
            "entra-bulk-invite.csv",
            "email from `Email address to invite [inviteeEmail] Required`; no name",
        ),
        (
            "entra-guests.csv",
            "email from `mail`, name from `displayName`",
        ),
        (
            "hubspot.csv",
            "email from `Email`, name from `{First Name} {Last Name}`",
        ),
        ("salesforce.csv", "email from"),
    ] {
        use_list(&workplace, name);

        let output = workplace.run(&["check"]);

        assert_eq!(output.code, 0, "{name}: {output:?}");
        assert!(
            output.stdout.contains(&format!("columns: {columns}")),
            "{name}: {output:?}"
        );
        assert_eq!(
            output.stdout.matches("\nexample: ").count(),
            3,
            "{name}: {output:?}"
        );
        assert!(
            output.stdout.contains("is good: 4 partners"),
            "{name}: {output:?}"
        );
    }
}

#[test]
fn exports_of_usual_programs_are_mailed() {
    for name in [
        "outlook-fr.csv",
        "entra-bulk-invite.csv",
        "excel-en.txt",
        "google-contacts.csv",
    ] {
        let server = Server::accepting();
        let workplace = Workplace::new(server.port());
        use_list(&workplace, name);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 0, "{name}: {output:?}");
        let reached = server
            .accepted()
            .into_iter()
            .flat_map(|it| it.recipients)
            .collect();
        assert_eq!(
            sorted(reached),
            sorted(PEOPLE.map(str::to_owned).to_vec()),
            "{name}"
        );
    }
}

/// What `check` reads in the shipped example with another list.
fn check_example(list: &PathBuf) -> String {
    let workplace = Workplace::new(1);
    assert_eq!(workplace.run(&["init", "example", "--example"]).code, 0);
    std::fs::copy(list, workplace.file("example/partners.csv")).unwrap();
    let preview = workplace.run(&["preview", "-c", "example/config.toml"]);
    let check = workplace.run(&["check", "-c", "example/config.toml", "--locales"]);
    assert_eq!((preview.code, check.code), (0, 0), "{preview:?} {check:?}");
    let at = workplace.path().display().to_string();
    let text = (preview.stdout + &check.stdout).replace(&at, "");
    // The digest is that of the file.
    let lines = text
        .lines()
        .filter(|it| !it.contains("digest") && !it.contains("--approved"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_read_alike_as_csv_and_as_workbook() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let csv = check_example(&root.join("partners.example.csv"));
    assert!(csv.contains("26 partners"), "{csv}");

    for name in ["partners.xls", "partners.ods"] {
        assert_eq!(check_example(&fixture(name)), csv, "{name}");
    }
}

/// A workbook whose rows are not those of a file: a gap, and line breaks in a cell.
fn gaps(workplace: &Workplace) {
    workbook(
        workplace,
        "people.xlsx",
        &[
            (2, 0, "Courriel"),
            (2, 1, "Nom complet"),
            (2, 2, "Note"),
            (4, 0, "ada@a.example"),
            (4, 1, "Ada Lovelace"),
            (4, 2, "one\ntwo\r\nthree"),
            (8, 0, "nobody"),
            (9, 0, "bob@b.example"),
            (9, 1, "Bob"),
        ],
    );
    set_partners(workplace, "sheet = \"People\"\nbad_rows = \"skip\"");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let config = config.replace("\"partners.csv\"", "\"people.xlsx\"");
    workplace.write(
        "config.toml",
        &format!("{config}\n[results]\ncsv = \"results.csv\"\n"),
    );
}

#[test]
fn rows_of_a_workbook_have_the_numbers_of_the_spreadsheet() {
    let workplace = Workplace::new(1);
    gaps(&workplace);

    let output = workplace.run(&["check"]);

    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output
            .stderr
            .contains("people.xlsx:9, column Courriel, \"nobody\""),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .contains("people.xlsx:5: Ada Lovelace <ada@a.example>"),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .contains("people.xlsx:10: Bob <bob@b.example>"),
        "{output:?}"
    );
}

#[test]
fn results_of_a_workbook_are_csv_in_utf_8_with_byte_order_mark() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    gaps(&workplace);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 1, "{output:?}");
    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let rows = results.strip_prefix("\u{feff}").unwrap();
    assert!(
        rows.contains("\nCourriel,Nom complet,Note,invitation_state,"),
        "{rows}"
    );
    assert!(
        rows.contains("ada@a.example,Ada Lovelace,\"one\ntwo\nthree\",accepted,"),
        "{rows}"
    );
    assert!(rows.contains("\nnobody,,,bad_row,"), "{rows}");
    assert_eq!(server.accepted().len(), 2);
}

fn refused(workplace: &Workplace, message: &str) -> Output {
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 65, "{output:?}");
    assert!(output.stderr.contains(message), "{message}: {output:?}");
    assert!(!output.stderr.contains("internal error"), "{output:?}");
    output
}

#[test]
fn a_workbook_that_cannot_be_read_is_refused_with_a_fix() {
    let workplace = Workplace::new(1);

    use_list(&workplace, "encrypted.xlsx");
    refused(
        &workplace,
        "partners.csv: the workbook is encrypted with a password; save a copy without one",
    );

    let bytes = std::fs::read(fixture("cells.xlsx")).unwrap();
    std::fs::write(workplace.file("partners.csv"), &bytes[..bytes.len() / 2]).unwrap();
    refused(&workplace, "partners.csv: the workbook is damaged");

    use_list(&workplace, "partners.ods");
    set_partners(&workplace, "sheet = \"Nowhere\"");
    refused(
        &workplace,
        "partners.csv: there is no sheet `Nowhere`; the workbook has `",
    );

    workplace.partners(&["ada@a.example"]);
    refused(&workplace, "remove `partners.sheet`");
}

#[test]
fn a_workbook_above_64_mib_is_refused() {
    let workplace = Workplace::new(1);
    let mut large = std::fs::read(fixture("cells.xlsx")).unwrap();
    large.resize(64 * 1024 * 1024 + 1, 0);
    std::fs::write(workplace.file("partners.csv"), large).unwrap();

    refused(
        &workplace,
        "the workbook has more than 64 MiB; export the sheet as CSV UTF-8",
    );
}

#[test]
fn patterns_and_value_maps_are_applied() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.write(
        "partners.csv",
        "Given,Surname,Reach,Tongue,Which\nAda,Lovelace,mailto:ada@a.example,FRA-2,Harbour plans\n,Bobson,Bob B <bob@b.example>,Deutsch,project\n",
    );
    set_partners(
        &workplace,
        "columns = { email = \"Reach\", name = \"{Given} {Surname}\", locale = \"Tongue\", package = \"Which\" }\nvalues = { locale = { \"FRA-2\" = \"fr\" }, package = { \"Harbour plans\" = \"project\" } }",
    );

    let output = workplace.run(&["check"]);
    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "columns: email from `Reach`, name from `{Given} {Surname}`, locale from `Tongue`, package from `Which`; no organization\n",
        "Ada Lovelace <ada@a.example>: in `fr`, package `project`\n",
        "Bobson <bob@b.example>: in `de`, package `project`\n",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }

    assert_eq!(workplace.run(&["send"]).code, 0);
    let messages = server.accepted();
    let to = |who: &str| {
        messages
            .iter()
            .find(|it| it.recipients[0].contains(who))
            .unwrap()
    };
    let ada = String::from_utf8_lossy(&to("ada@").data).into_owned();
    assert!(ada.contains("Content-Language: fr"), "{ada}");
    assert!(
        ada.contains("To: \"Ada Lovelace\" <ada@a.example>"),
        "{ada}"
    );
}

#[test]
fn a_header_that_the_list_lacks_is_refused_with_the_nearest() {
    let workplace = Workplace::new(1);
    workplace.write(
        "partners.csv",
        "email,First name,Last name\nada@a.example,Ada,L\n",
    );
    set_partners(
        &workplace,
        "columns = { name = \"{First name} {Lastname 2}\" }",
    );

    refused(
        &workplace,
        "there is no column `Lastname 2`, which `partners.columns.name` names; did you mean `Last name`?",
    );
}

#[test]
fn cells_as_people_write_them_are_read_as_intended() {
    let workplace = Workplace::new(1);
    workplace.write(
        "partners.csv",
        "\u{200b}E-Mail_Address,Nom,Langue,Langue 2\n\u{200b}ada@a.example\u{200b},Ada,Français,x,,\nEva <eva@a.example>,,fr_FR.UTF-8,\nbob@b.example,#N/A,tw,\n",
    );

    let output = workplace.run(&["check"]);

    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "Ada <ada@a.example>: in `fr`",
        "Eva <eva@a.example>: in `fr` for `fr-FR`",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    for warning in [
        "the header `E-Mail_Address` has invisible characters at its ends",
        "partners.csv:2, column E-Mail_Address, \"ada@a.example\": invisible characters at its ends are left out",
        "partners.csv:4, column Nom, \"#N/A\": it is the error of a formula, not a value",
        "did you mean `zh-TW`?",
    ] {
        assert!(output.stderr.contains(warning), "{warning}: {output:?}");
    }
}

#[test]
fn cells_that_nobody_can_guess_are_bad_rows() {
    let workplace = Workplace::new(1);
    workplace.write(
        "partners.csv",
        "email,locale\nada@a.example; eva@a.example,fr\nbob@b.example,jp\ndan@d.example,fr,surplus\n",
    );

    let output = refused(&workplace, "did you mean `ja`?");

    assert!(
        output.stderr.contains("partners.csv:2, column email"),
        "{output:?}"
    );
    assert!(
        output
            .stderr
            .contains("partners.csv:4: the row has 3 cells, the header 2"),
        "{output:?}"
    );
}

#[test]
fn equal_faults_are_one_line_and_the_list_is_named_not_the_configuration() {
    let workplace = Workplace::new(1);
    let rows: Vec<_> = (0..41)
        .map(|it| format!("p{it}@a.example,Klingon!\n"))
        .collect();
    workplace.write("partners.csv", &format!("email,locale\n{}", rows.concat()));

    let output = workplace.run(&["check"]);

    assert_eq!(output.code, 65, "{output:?}");
    assert!(
        output
            .stderr
            .contains("\"Klingon!\" in 41 rows, first lines 2, 3, 4, 5, 6: "),
        "{output:?}"
    );
    assert_eq!(output.stderr.matches("Klingon").count(), 1, "{output:?}");
    assert!(
        !output.stdout.contains("config.toml is not good"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("partners.csv has errors; "),
        "{output:?}"
    );
}

#[test]
fn different_faults_are_a_screen_of_text_and_all_in_json() {
    let workplace = Workplace::new(1);
    let rows: Vec<_> = (0..60).map(|it| format!("nobody{it}\n")).collect();
    workplace.write("partners.csv", &format!("email\n{}", rows.concat()));

    let text = workplace.run(&["check"]);
    let json = workplace.run(&["check", "--format", "json"]);

    assert!(text.stderr.lines().count() <= 24, "{text:?}");
    assert!(text.stderr.contains("and 40 more like these"), "{text:?}");
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let rows = findings
        .iter()
        .filter(|it| it["what"].as_str().unwrap().contains("\"nobody"));
    assert!(rows.count() >= 60, "{json:?}");
}

#[test]
fn results_of_an_earlier_run_are_read_as_a_list() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.write("partners.csv", "email,name\n+ada@a.example,=Ada\n");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &format!("{config}\n[results]\ncsv = \"results.csv\"\n"),
    );
    assert_eq!(workplace.run(&["send"]).code, 0);
    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    assert!(
        results.contains("\n'+ada@a.example,'=Ada,accepted"),
        "{results}"
    );

    std::fs::rename(
        workplace.file("results.csv"),
        workplace.file("partners.csv"),
    )
    .unwrap();
    let again = workplace.run(&["send"]);

    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(server.accepted().len(), 1);
    assert_eq!(
        std::fs::read_to_string(workplace.file("results.csv")).unwrap(),
        results
    );
}

#[test]
fn byte_order_marks_of_templates_do_not_reach_the_mail() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.short_templates();
    workplace.partners(&["ada@a.example"]);
    let mark = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("\u{feff}{text}")).unwrap();
    };
    let templates = std::fs::read_dir(workplace.file("words/en")).unwrap();
    templates.for_each(|it| mark(it.unwrap().path()));

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 0, "{output:?}");
    let message = server.accepted().remove(0).data;
    let text = String::from_utf8_lossy(&message);
    assert!(
        !text.contains('\u{feff}') && !text.contains("=EF=BB=BF") && !text.contains("77u/"),
        "{text}"
    );
}

/// The messages of a preview with `config` and this list, without their dates.
fn messages(workplace: &Workplace, config: &str, list: &Path) -> Vec<String> {
    let folder = Path::new(config).parent().unwrap();
    let place = workplace.file(folder.join("partners.csv").to_str().unwrap());
    std::fs::copy(list, place).unwrap();
    let preview = workplace.run(&["preview", "-c", config, "--out", "review"]);
    assert_eq!(preview.code, 0, "{}: {preview:?}", list.display());
    let undated = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.split_inclusive("\r\n");
        lines.filter(|it| !it.starts_with("Date: ")).collect()
    };
    let mails = mail::read(&workplace.file("review")).into_iter();
    mails.map(|it| undated(it.bytes)).collect()
}

/// The cells of a CSV file as a workbook of text cells.
fn as_workbook(workplace: &Workplace, csv: &Path) -> PathBuf {
    let text = std::fs::read_to_string(csv).unwrap();
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap();
    let delimiter = if header.contains(';') { b';' } else { b',' };
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, record) in rows.records().enumerate() {
        for (column, cell) in record.unwrap().iter().enumerate() {
            let place = (u32::try_from(row).unwrap(), u16::try_from(column).unwrap());
            sheet.write_string(place.0, place.1, cell).unwrap();
        }
    }
    let path = workplace.file("list.xlsx");
    book.save(&path).unwrap();
    path
}

#[test]
fn csv_and_workbook_give_the_same_messages_byte_for_byte() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("partners.example.csv");
    let workplace = Workplace::new(1);
    assert_eq!(workplace.run(&["init", "example", "--example"]).code, 0);
    let from_csv = messages(&workplace, "example/config.toml", &example);
    assert_eq!(from_csv.len(), 26);
    let xlsx = as_workbook(&workplace, &example);
    for workbook in [xlsx, fixture("partners.xls"), fixture("partners.ods")] {
        let from_workbook = messages(&workplace, "example/config.toml", &workbook);
        assert_eq!(from_workbook, from_csv, "{}", workbook.display());
    }

    for name in ["excel-fr.csv", "google-contacts.csv", "hubspot.csv"] {
        let from_csv = messages(&workplace, "./config.toml", &fixture(name));
        assert_eq!(from_csv.len(), PEOPLE.len(), "{name}");
        let workbook = as_workbook(&workplace, &fixture(name));
        let from_workbook = messages(&workplace, "./config.toml", &workbook);
        assert_eq!(from_workbook, from_csv, "{name}");
    }
}

#[test]
fn a_list_of_five_without_names_or_languages_is_doubted() {
    let mut workplace = Workplace::new(1);
    let warnings = |workplace: &Workplace| {
        let output = workplace.run(&["check"]);
        assert_eq!(output.code, 0, "{output:?}");
        ["no row has a name", "no row has a language"].map(|it| output.stderr.contains(it))
    };
    let rows = |count: usize, rest: &str| {
        let rows = (0..count).map(|it| format!("p{it}@a.example{rest}\n"));
        format!("email,name,locale\n{}", rows.collect::<String>())
    };

    for (list, expected) in [
        (rows(4, ",,"), [false, false]),
        (rows(5, ",,"), [true, true]),
        (rows(5, ",Ada,"), [false, true]),
        (rows(5, ",,fr"), [true, false]),
        // One row with both is enough.
        (rows(5, ",,") + "eva@e.example,Eva,de\n", [false, false]),
    ] {
        workplace.write("partners.csv", &list);
        assert_eq!(warnings(&workplace), expected, "{list}");
    }
    // With templates in one language, no other one can be asked for.
    workplace.short_templates();
    workplace.write("partners.csv", &rows(5, ",,"));
    assert_eq!(warnings(&workplace), [true, false]);
}

#[test]
fn ambiguous_headers_are_reported_and_none_is_taken() {
    let workplace = Workplace::new(1);
    let check = |list: &str| {
        workplace.write("partners.csv", list);
        workplace.run(&["check"])
    };

    // Without an address nobody can be mailed, so these are errors.
    for (header, message) in [
        (
            "E-Mail,Courriel",
            "partners.csv:1: several columns could be `email` (`E-Mail`, `Courriel`); set `partners.columns.email` to one of them",
        ),
        (
            "email,Email",
            "partners.csv:1: two columns have the header `email`; rename or remove one",
        ),
        (
            "email,Project-Lead,project lead",
            "partners.csv:1: two columns would both be `partner.extra.project_lead` in templates; rename one of them",
        ),
    ] {
        let output = check(&format!("{header}\nada@a.example,ada@b.example,x\n"));
        assert_eq!(output.code, 65, "{output:?}");
        for part in message.split("; ") {
            assert!(output.stderr.contains(part), "{part}: {output:?}");
        }
    }

    for (header, key, columns) in [
        (
            "Nom complet,Full name",
            "name",
            "`Nom complet`, `Full name`",
        ),
        (
            "Vorname,First Name,Nachname",
            "name",
            "`Vorname`, `First Name`, `Nachname`",
        ),
        ("Firma,Entreprise", "organization", "`Firma`, `Entreprise`"),
        ("Langue,Sprache", "locale", "`Langue`, `Sprache`"),
    ] {
        let cells = ",fr".repeat(header.split(',').count());
        let output = check(&format!("email,{header}\nada@a.example{cells}\n"));
        assert_eq!(output.code, 0, "{output:?}");
        let what = format!("none is read, because several columns could be `{key}` ({columns})");
        let fix = format!("set `partners.columns.{key}` to one of them");
        for part in [what, fix] {
            assert!(output.stderr.contains(&part), "{part}: {output:?}");
        }
        assert!(
            !output.stdout.contains(&format!("{key} from")),
            "{output:?}"
        );
    }

    // A configured header that names two columns.
    set_partners(&workplace, "columns = { name = \"Full-Name\" }");
    let output = check("email,Full Name,full_name\nada@a.example,Ada,Ada\n");
    assert_eq!(output.code, 65, "{output:?}");
    for part in [
        "two columns have the header `Full-Name`",
        "rename or remove one",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
}

#[test]
fn unusual_first_lines_and_spellings_of_email_are_read() {
    let workplace = Workplace::new(1);
    for list in [
        "\u{200b}email,name\nada@a.example,Ada\n",
        "\u{feff}\u{feff}email,name\nada@a.example,Ada\n",
        "\temail\tname\n\tada@a.example\tAda\n",
        "\n\n  \n,,\nemail,name\nada@a.example,Ada\n",
        "E mail,name\nada@a.example,Ada\n",
        "e_mail,name\nada@a.example,Ada\n",
        "EMAIL ADDRESS,name\nada@a.example,Ada\n",
        "version:v1.0,,\nEmail address to invite [inviteeEmail] Required,Redirection url [inviteRedirectURL] Required,\nada@a.example,https://myaccess.microsoft.com,\n",
        "email,name\n\u{200b}ada@a.example\u{200b},Ada\n",
    ] {
        workplace.write("partners.csv", list);
        let output = workplace.run(&["check"]);
        assert_eq!(output.code, 0, "{list:?}: {output:?}");
        assert!(
            output.stdout.contains("ada@a.example>: in")
                || output.stdout.contains("ada@a.example: in"),
            "{list:?}: {output:?}"
        );
    }
}

#[test]
fn languages_as_people_write_them_are_understood_or_doubted() {
    let workplace = Workplace::new(1);
    let check = |locale: &str| {
        workplace.write(
            "partners.csv",
            &format!("email,name,locale\nada@a.example,Ada,{locale}\n"),
        );
        workplace.run(&["check"])
    };
    for (cell, read_as) in [
        ("French", "in `fr`"),
        ("fr_FR.UTF-8", "in `fr` for `fr-FR`"),
        ("zh-CHS", "in `zh-Hans`"),
        ("Português (Brasil)", "in `pt-BR`"),
    ] {
        let output = check(cell);
        assert_eq!(output.code, 0, "{cell}: {output:?}");
        assert!(output.stdout.contains(read_as), "{cell}: {output:?}");
    }
    for (cell, meant) in [("jp", "ja"), ("cz", "cs"), ("kr", "ko")] {
        let output = check(cell);
        assert_eq!(output.code, 65, "{cell}: {output:?}");
        let message = format!("did you mean `{meant}`?");
        assert!(output.stderr.contains(&message), "{cell}: {output:?}");
    }
    for (cell, meant) in [("cn", "zh-CN"), ("dk", "da"), ("tw", "zh-TW")] {
        let output = check(cell);
        let message = format!("did you mean `{meant}`?");
        assert!(output.stderr.contains(&message), "{cell}: {output:?}");
    }
}

#[test]
fn placeholders_in_place_of_values_are_a_warning() {
    let workplace = Workplace::new(1);
    for cell in ["#N/A", "nan", "None", "(null)", "{{name}}", "O&#39;Brien"] {
        workplace.write(
            "partners.csv",
            &format!("email,name,locale\nada@a.example,{cell},en\n"),
        );
        let output = workplace.run(&["check"]);
        assert_eq!(output.code, 0, "{cell}: {output:?}");
        let place = format!("partners.csv:2, column name, \"{cell}\": ");
        assert!(output.stderr.contains(&place), "{cell}: {output:?}");
    }
}

#[test]
fn a_missing_package_and_long_headers_are_reported_once() {
    let workplace = Workplace::new(1);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let second = crate::support::LINK.replace("8e1f8f5a", "9e1f8f5a");
    let plans = format!("[packages.plans]\nlink = \"{second}\"\nname = \"Plans\"\n[partners]\n");
    workplace.write("config.toml", &config.replace("[partners]\n", &plans));
    workplace.many_partners(180);

    let output = refused(&workplace, "in 180 rows, first lines 2, 3, 4, 5, 6: ");
    assert!(output.stderr.lines().count() <= 6, "{output:?}");

    let columns: Vec<_> = (0..60).map(|it| format!("Column {it}")).collect();
    workplace.write("partners.csv", &format!("{}\n", columns.join(",")));
    let output = refused(&workplace, "there is no column `email`");
    assert!(output.stderr.contains("and 10 more"), "{output:?}");
}
