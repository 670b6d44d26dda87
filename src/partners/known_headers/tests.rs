#![expect(clippy::too_many_lines, reason = "a table is read line by line")]

use super::{Field, Recognized, fold, is_version_line, known, recognize};

fn headers(line: &str) -> Vec<String> {
    line.split(',').map(str::to_owned).collect()
}

/// What is taken for the first five fields; `?` where several columns could be meant.
fn recognized(line: &str) -> Vec<String> {
    let headers = headers(line);
    Field::ALL.map(|field| match recognize(&headers, field) {
        Recognized::Missing => String::new(),
        Recognized::Source(source) => source.describe(&headers),
        Recognized::Ambiguous(places) => {
            let names: Vec<_> = places.iter().map(|it| headers[*it].as_str()).collect();
            format!("? {}", names.join(" | "))
        }
    })[..5]
        .to_vec()
}

#[test]
fn exports_and_plain_lists_are_recognised() {
    let table = [
        // Programs.
        (
            "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,E-mail Address,E-mail Type,E-mail Display Name,E-mail 2 Address,Language",
            [
                "E-mail Address",
                "{First Name} {Last Name}",
                "Company",
                "Language",
                "",
            ],
        ),
        (
            "Titre,Prénom,Deuxième prénom,Nom,Suffixe,Société,Service,Adresse de messagerie,Type de messagerie,Nom complet de l'adresse de messagerie,Adresse de messagerie 2,Langue",
            [
                "Adresse de messagerie",
                "{Prénom} {Nom}",
                "Société",
                "Langue",
                "",
            ],
        ),
        (
            "Anrede,Vorname,Weitere Vornamen,Nachname,Suffix,Firma,Abteilung,E-Mail-Adresse,E-Mail-Typ,E-Mail: Angezeigter Name,E-Mail 2: Adresse,Sprache",
            [
                "E-Mail-Adresse",
                "{Vorname} {Nachname}",
                "Firma",
                "Sprache",
                "",
            ],
        ),
        (
            "Tratamiento,Nombre,Segundo nombre,Apellidos,Sufijo,Organización,Departamento,Dirección de correo electrónico,Dirección del correo electrónico 2,Idioma",
            [
                "Dirección de correo electrónico",
                "{Nombre} {Apellidos}",
                "Organización",
                "Idioma",
                "",
            ],
        ),
        (
            "Titolo,Nome,Secondo nome,Cognome,Società,Reparto,Indirizzo posta elettronica,Indirizzo posta elettronica 2,Lingua",
            [
                "Indirizzo posta elettronica",
                "{Nome} {Cognome}",
                "Società",
                "Lingua",
                "",
            ],
        ),
        (
            "First Name,Middle Name,Last Name,Phonetic First Name,Nickname,File As,Organization Name,Organization Title,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value",
            [
                "E-mail 1 - Value",
                "{First Name} {Last Name}",
                "Organization Name",
                "",
                "",
            ],
        ),
        (
            "Name,Given Name,Additional Name,Family Name,Organization 1 - Name,E-mail 1 - Type,E-mail 1 - Value",
            ["E-mail 1 - Value", "Name", "Organization 1 - Name", "", ""],
        ),
        (
            "Email address to invite [inviteeEmail] Required,Redirection url [inviteRedirectURL] Required,Send invitation message (true or false) [sendEmail],Customized invitation message [customizedMessageBody]",
            [
                "Email address to invite [inviteeEmail] Required",
                "",
                "",
                "",
                "",
            ],
        ),
        (
            "userPrincipalName,displayName,surname,mail,givenName,id,userType,companyName,preferredLanguage",
            [
                "mail",
                "displayName",
                "companyName",
                "preferredLanguage",
                "",
            ],
        ),
        (
            "Record ID,First Name,Last Name,Email,Email Domain,Associated Company,Preferred language",
            [
                "Email",
                "{First Name} {Last Name}",
                "Associated Company",
                "Preferred language",
                "",
            ],
        ),
        (
            "Salutation,First Name,Last Name,Title,Account Name,Mailing Street,Email",
            ["Email", "{First Name} {Last Name}", "Account Name", "", ""],
        ),
        // Plain lists in the shipped languages.
        (
            "E_mail,NAME,organisation,lang,access-package",
            ["E_mail", "NAME", "organisation", "lang", "access-package"],
        ),
        (
            "Adresse de courriel,Nom complet,Entreprise,Langue,Package d’accès",
            [
                "Adresse de courriel",
                "Nom complet",
                "Entreprise",
                "Langue",
                "Package d’accès",
            ],
        ),
        (
            "E-Mail,Name,Vorname,Unternehmen,Sprache,Zugriffspaket",
            [
                "E-Mail",
                "{Vorname} {Name}",
                "Unternehmen",
                "Sprache",
                "Zugriffspaket",
            ],
        ),
        (
            "Correo,Nombre y apellidos,Empresa,Idioma,Paquete",
            [
                "Correo",
                "Nombre y apellidos",
                "Empresa",
                "Idioma",
                "Paquete",
            ],
        ),
        (
            "Posta elettronica,Nome,Azienda,Lingua,Pacchetto",
            [
                "Posta elettronica",
                "Nome",
                "Azienda",
                "Lingua",
                "Pacchetto",
            ],
        ),
        (
            "Endereço de e-mail,Nome,Sobrenome,Empresa,Idioma,Pacote",
            [
                "Endereço de e-mail",
                "{Nome} {Sobrenome}",
                "Empresa",
                "Idioma",
                "Pacote",
            ],
        ),
        (
            "E-mailadres,Voornaam,Achternaam,Bedrijf,Taal,Pakket",
            [
                "E-mailadres",
                "{Voornaam} {Achternaam}",
                "Bedrijf",
                "Taal",
                "Pakket",
            ],
        ),
        (
            "Adres e-mail,Imię i nazwisko,Firma,Język,Pakiet",
            [
                "Adres e-mail",
                "Imię i nazwisko",
                "Firma",
                "Język",
                "Pakiet",
            ],
        ),
        (
            "E-post,Namn,Företag,Språk,Paket",
            ["E-post", "Namn", "Företag", "Språk", "Paket"],
        ),
        (
            "E-mail,Jméno,Příjmení,Společnost,Jazyk,Balíček",
            [
                "E-mail",
                "{Jméno} {Příjmení}",
                "Společnost",
                "Jazyk",
                "Balíček",
            ],
        ),
        (
            "E-posta,Ad Soyad,Şirket,Dil,Erişim paketi",
            ["E-posta", "Ad Soyad", "Şirket", "Dil", "Erişim paketi"],
        ),
        (
            "メールアドレス,姓,名,会社名,言語,パッケージ",
            [
                "メールアドレス",
                "{姓} {名}",
                "会社名",
                "言語",
                "パッケージ",
            ],
        ),
        (
            "이메일,성,이름,회사,언어,패키지",
            ["이메일", "{성} {이름}", "회사", "언어", "패키지"],
        ),
        (
            "邮箱,姓名,公司,语言,访问包",
            ["邮箱", "姓名", "公司", "语言", "访问包"],
        ),
        (
            "電子郵件,姓名,公司,語言,存取套件",
            ["電子郵件", "姓名", "公司", "語言", "存取套件"],
        ),
        (
            "البريد الإلكتروني,الاسم,الشركة,اللغة,حزمة الوصول",
            ["البريد الإلكتروني", "الاسم", "الشركة", "اللغة", "حزمة الوصول"],
        ),
        (
            "דוא״ל,שם פרטי,שם משפחה,חברה,שפה,חבילת גישה",
            ["דוא״ל", "{שם פרטי} {שם משפחה}", "חברה", "שפה", "חבילת גישה"],
        ),
    ];

    for (line, expected) in table {
        assert_eq!(recognized(line), expected, "{line}");
    }
}

#[test]
fn two_candidates_for_a_field_are_named_and_none_is_taken() {
    let table = [
        ("Email,Mail,Name", "? Email | Mail", "Name"),
        ("Email,Nom,Nome", "Email", "? Nom | Nome"),
        (
            "Email,First Name,Vorname,Last Name",
            "Email",
            "? First Name | Vorname | Last Name",
        ),
        (
            "Email,Full Name,Nom complet",
            "Email",
            "? Full Name | Nom complet",
        ),
        ("Email,First Name", "Email", "First Name"),
        ("Email,Last Name", "Email", ""),
        ("Phone,City", "", ""),
    ];

    for (line, email, name) in table {
        assert_eq!(recognized(line)[..2], [email, name], "{line}");
    }
    let both = headers("Email,Company,Account Name");
    let expected = Recognized::Ambiguous(vec![1, 2]);
    assert_eq!(recognize(&both, Field::Organization), expected);
}

#[test]
fn no_header_stands_for_two_things() {
    let mut seen = std::collections::HashMap::new();
    for (part, header) in known() {
        let other = seen.insert(fold(header), part);
        assert!(other.is_none_or(|it| it == part), "{header}");
    }
    assert!(seen.len() > 200, "{}", seen.len());
}

#[test]
fn the_version_line_of_a_bulk_file_is_known() {
    assert!(is_version_line(&headers("version:v1.0")));
    assert!(is_version_line(&headers("version:v1.0,,,")));
    assert!(!is_version_line(&headers("version:v1.0,email")));
    assert!(!is_version_line(&headers("email,name")));
    assert!(!is_version_line(&[]));
}
