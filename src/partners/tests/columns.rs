//! Columns that the configuration names: they must be in the file.

use super::*;

fn refusal(columns: &str, csv: &str) -> String {
    let failure = Folder::configured(&format!("columns = {{ {columns} }}"), csv)
        .read()
        .unwrap_err();
    assert!(matches!(failure, ListError::NotAList(_)), "{failure}");
    let text = failure.to_string();
    text.split_once("partners.csv").unwrap().1.to_owned()
}

#[test]
fn f7_missing_configured_column_is_reported_with_nearest_header() {
    for (key, wanted) in [
        ("email", "E-mails"),
        ("name", "Full names"),
        ("organization", "Companies"),
        ("locale", "Languages"),
        ("package", "Packages"),
    ] {
        let csv = "email,E-mail,Full name,Company,Language,Package\n";
        let told = refusal(&format!("{key} = \"{wanted}\""), csv);
        let (start, rest) = told.split_once("; did you mean").unwrap();
        assert_eq!(
            start,
            format!(":1: there is no column `{wanted}`, which `partners.columns.{key}` names")
        );
        let nearest = wanted.replace("Companies", "Company");
        let nearest = nearest.trim_end_matches('s');
        assert_eq!(
            rest,
            format!(
                " `{nearest}`? The file has `email`, `E-mail`, `Full name`, `Company`, `Language`, `Package`; correct `partners.columns` or the header"
            )
        );
    }
}

#[test]
fn all_missing_columns_are_reported_together() {
    let told = refusal(
        "name = \"First name\", locale = \"Language\", organization = \"Firm\"",
        "\n\nemail,Firm,First nme,x\nada@a.example,F,Ada,y\n",
    );

    assert_eq!(
        told,
        ":3: there is no column `First name`, which `partners.columns.name` names; did you mean `First nme`? There is no column `Language`, which `partners.columns.locale` names. The file has `email`, `Firm`, `First nme`, `x`; correct `partners.columns` or the header"
    );
}

#[test]
fn missing_email_is_reported_beside_configured_columns() {
    let told = refusal("locale = \"Language\"", "post,package\n");

    assert!(
        told.contains("there is no column `email`. There is no column `Language`"),
        "{told}"
    );
    assert!(told.contains("`partners.columns.locale`"), "{told}");
}

#[test]
fn long_lists_of_headers_say_how_many_are_left_out() {
    let headers: Vec<_> = (0..120).map(|it| format!("h{it}")).collect();

    for told in [
        refusal(
            "locale = \"Language\"",
            &format!("email,{}\n", headers.join(",")),
        ),
        refusal(
            "email = \"email\"",
            &format!("mail,{}\n", headers.join(",")),
        ),
    ] {
        assert!(told.contains("`h48` and 71 more"), "{told}");
        assert!(!told.contains("`h49`"), "{told}");
    }
}

#[test]
fn headers_are_shown_short_and_without_control_characters() {
    let told = refusal(
        "locale = \"Language\"",
        &format!("email,\"a\nb\u{202e}\",{}\n", "x".repeat(1_000)),
    );

    assert!(told.contains("`a\\nb\\u{202e}`"), "{told}");
    assert!(told.len() < 500, "{told}");
}

#[test]
fn a_wrong_delimiter_is_recognised_from_configured_columns_too() {
    let folder = Folder::configured(
        "delimiter = \",\"\ncolumns = { email = \"E-mail\" }",
        "E-mail;package\nada@a.example;project\n",
    );

    let failure = folder.read().unwrap_err();

    assert!(
        failure
            .to_string()
            .contains("the cells seem to be separated by \";\": set `partners.delimiter`"),
        "{failure}"
    );
}

#[test]
fn headers_match_in_any_case_and_most_are_optional() {
    assert_eq!(
        read("email,package\nada@a.example,project\n")
            .unwrap()
            .good(),
        1
    );

    let folder = Folder::configured(
        "columns = { email = \"E-Mail\", name = \"CONTACT\", package = \"package\" }",
        " e-mail ,Contact,Package\nada@a.example,Ada,project\n",
    );
    assert_eq!(good(&folder.read().unwrap()), ["2 ada@a.example Ada"]);
}

#[test]
fn f7_a_configured_header_belongs_to_its_key_alone() {
    // The column `name` holds companies here: it must not be taken for people's names as well.
    let folder = Folder::configured(
        "columns = { organization = \"Name\" }",
        "email,name,package\nada@a.example,Fabrikam,project\n",
    );
    let partner = folder.read().unwrap().iter().next().unwrap().unwrap();

    assert_eq!(partner.organization.as_deref(), Some("Fabrikam"));
    assert_eq!(partner.name, None);
}
