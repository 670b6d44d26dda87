//! The headers that are known, by the program or the language that they come from.
//!
//! Only names of the field itself: `E-mail 2 Address`, `userPrincipalName` (the sign-in name of a guest,
//! not an address) and `E-mail Display Name` are left out, so that they make nothing ambiguous.

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamePart {
    Email,
    /// Certainly the whole name.
    FullName,
    /// The whole name, or the part of it that the list does not name otherwise.
    Name,
    GivenName,
    FamilyName,
    Organization,
    Locale,
    Package,
}

use NamePart::{Email, FamilyName, FullName, GivenName, Locale, Name, Organization, Package};

/// Headers, with `;` between them; compared as `header_match::fold` makes them.
pub const HEADERS: &[(NamePart, &str)] = &[
    // Outlook, "Export to a file", comma separated values; the English, French, German, Spanish and Italian program.
    (Email, "E-mail Address;Adresse de messagerie;E-Mail-Adresse"),
    (
        Email,
        "Dirección de correo electrónico;Indirizzo posta elettronica",
    ),
    (GivenName, "First Name;Prénom;Vorname"),
    (FamilyName, "Last Name;Nachname;Apellidos;Cognome"),
    (
        Organization,
        "Company;Société;Firma;Organización;Compañía;Società",
    ),
    (Locale, "Language;Langue;Sprache;Idioma;Lingua"),
    // Google Contacts, "Google CSV", as of 2024 and before.
    (Email, "E-mail 1 - Value"),
    (GivenName, "Given Name"),
    (FamilyName, "Family Name"),
    (Organization, "Organization Name;Organization 1 - Name"),
    // Microsoft Entra, bulk invite (Learn: external-id/tutorial-bulk-invite) and "Download users".
    (
        Email,
        "Email address to invite [inviteeEmail] Required;inviteeEmail;mail",
    ),
    (FullName, "displayName"),
    (FamilyName, "surname"),
    (Organization, "companyName"),
    (Locale, "preferredLanguage"),
    // HubSpot, export of contacts.
    (
        Organization,
        "Company name;Associated Company;Primary Associated Company",
    ),
    (Locale, "Preferred language"),
    // Salesforce, report and data export of contacts.
    (FullName, "Contact: Full Name;Full Name"),
    (Email, "Contact: Email"),
    (
        Organization,
        "Account Name;Account: Account Name;Contact: Account Name",
    ),
    (GivenName, "Contact: First Name"),
    (FamilyName, "Contact: Last Name"),
    // Plain lists. English.
    (
        Email,
        "Email;Mail;Email ID;Mail address;Email addresses;Contact email",
    ),
    (FullName, "Contact name;Name and surname"),
    (Name, "Name;Contact"),
    (GivenName, "Forename"),
    (FamilyName, "Lastname"),
    (
        Organization,
        "Organization;Organisation;Partner;Partner organisation",
    ),
    (Locale, "Locale;Lang;Language code"),
    (Package, "Package;Access package"),
    // French.
    (
        Email,
        "Adresse de courriel;Courriel;Adresse électronique;Adresse e-mail;Adresse mail;Mél",
    ),
    (
        FullName,
        "Nom complet;Prénom et nom;Nom et prénom;Prénom Nom;Nom Prénom",
    ),
    (Name, "Nom"),
    (FamilyName, "Nom de famille"),
    (
        Organization,
        "Entreprise;Partenaire;Raison sociale;Nom de l'entreprise",
    ),
    (Locale, "Langue de correspondance;Code langue"),
    (Package, "Package d'accès;Paquet;Paquet d'accès"),
    // German.
    (
        Email,
        "E-Mail Adresse;Mailadresse;Mail-Adresse;Email Adresse",
    ),
    (
        FullName,
        "Vollständiger Name;Vor- und Nachname;Name, Vorname;Vorname Nachname",
    ),
    (FamilyName, "Familienname;Zuname"),
    (Organization, "Unternehmen;Firmenname;Partnerfirma"),
    (Locale, "Korrespondenzsprache;Sprachcode"),
    (Package, "Zugriffspaket;Zugangspaket;Paket"),
    // Spanish.
    (
        Email,
        "Correo electrónico;Correo;Dirección de correo;Correo-e;Dirección de email",
    ),
    (FullName, "Nombre completo;Nombre y apellidos"),
    (Name, "Nombre"),
    (FamilyName, "Apellido"),
    (Organization, "Empresa;Organismo;Socio"),
    (Package, "Paquete;Paquete de acceso"),
    // Italian.
    (
        Email,
        "Indirizzo e-mail;Posta elettronica;Indirizzo di posta elettronica",
    ),
    (FullName, "Nome completo;Nome e cognome;Cognome e nome"),
    (Name, "Nome"),
    (Organization, "Azienda;Organizzazione;Ragione sociale"),
    (Package, "Pacchetto;Pacchetto di accesso"),
    // Portuguese.
    (
        Email,
        "Endereço de e-mail;Correio eletrônico;Correio eletrónico;Endereço eletrônico",
    ),
    (FamilyName, "Sobrenome;Apelido"),
    (Organization, "Organização;Companhia;Parceiro"),
    (Package, "Pacote;Pacote de acesso"),
    // Dutch.
    (Email, "E-mailadres;Mailadres"),
    (FullName, "Volledige naam;Voor- en achternaam"),
    (Name, "Naam"),
    (GivenName, "Voornaam"),
    (FamilyName, "Achternaam;Familienaam"),
    (Organization, "Bedrijf;Bedrijfsnaam;Organisatie"),
    (Locale, "Taal"),
    (Package, "Toegangspakket;Pakket"),
    // Polish.
    (
        Email,
        "Adres e-mail;Poczta elektroniczna;Adres poczty elektronicznej",
    ),
    (FullName, "Imię i nazwisko"),
    (GivenName, "Imię"),
    (FamilyName, "Nazwisko"),
    (Organization, "Organizacja;Przedsiębiorstwo;Nazwa firmy"),
    (Locale, "Język"),
    (Package, "Pakiet;Pakiet dostępu"),
    // Swedish.
    (Email, "E-post;E-postadress;Epostadress;Mejl;Mejladress"),
    (FullName, "Fullständigt namn;För- och efternamn"),
    (Name, "Namn"),
    (GivenName, "Förnamn"),
    (FamilyName, "Efternamn"),
    (Organization, "Företag;Företagsnamn"),
    (Locale, "Språk"),
    (Package, "Åtkomstpaket"),
    // Czech.
    (Email, "E-mailová adresa;Emailová adresa"),
    (FullName, "Celé jméno;Jméno a příjmení"),
    (Name, "Jméno"),
    (GivenName, "Křestní jméno"),
    (FamilyName, "Příjmení"),
    (Organization, "Společnost;Organizace"),
    (Locale, "Jazyk"),
    (Package, "Balíček;Přístupový balíček"),
    // Turkish.
    (Email, "E-posta;E-posta adresi;Eposta adresi"),
    (FullName, "Ad Soyad;Adı Soyadı;Ad ve soyad;Tam ad"),
    (Name, "Ad;Adı;İsim"),
    (FamilyName, "Soyad;Soyadı"),
    (Organization, "Şirket;Kurum;Kuruluş"),
    (Locale, "Dil"),
    (Package, "Erişim paketi"),
    // Japanese.
    (
        Email,
        "メールアドレス;Eメール;Eメールアドレス;電子メール;電子メールアドレス;電子メール アドレス;メール",
    ),
    (FullName, "氏名"),
    (Name, "名前;お名前"),
    (GivenName, "名"),
    (FamilyName, "姓"),
    (Organization, "会社;会社名;組織;組織名;所属"),
    (Locale, "言語"),
    (Package, "パッケージ;アクセスパッケージ"),
    // Korean.
    (Email, "이메일;이메일 주소;전자 메일;전자 메일 주소;메일"),
    (FullName, "성명;전체 이름"),
    (Name, "이름"),
    (FamilyName, "성"),
    (Organization, "회사;회사명;조직;기관"),
    (Locale, "언어"),
    (Package, "패키지;액세스 패키지"),
    // Chinese, simplified and traditional; the names of people as in Japanese.
    (
        Email,
        "电子邮件;电子邮件地址;邮箱;电子邮箱;邮件地址;電子郵件;電子郵件地址;電子信箱;信箱",
    ),
    (FullName, "姓名"),
    (Organization, "公司;公司名称;单位;组织;公司名稱;單位;組織"),
    (Locale, "语言;語言"),
    (Package, "访问包;存取套件"),
    // Arabic.
    (Email, "البريد الإلكتروني;عنوان البريد الإلكتروني;الإيميل"),
    (FullName, "الاسم الكامل"),
    (Name, "الاسم"),
    (GivenName, "الاسم الأول"),
    (FamilyName, "اسم العائلة"),
    (Organization, "الشركة;المؤسسة;المنظمة"),
    (Locale, "اللغة"),
    (Package, "حزمة الوصول;الحزمة"),
    // Hebrew.
    (
        Email,
        "דואר אלקטרוני;דוא״ל;דוא\"ל;כתובת דוא״ל;אימייל;מייל;כתובת אימייל",
    ),
    (FullName, "שם מלא"),
    (Name, "שם"),
    (GivenName, "שם פרטי"),
    (FamilyName, "שם משפחה"),
    (Organization, "חברה;ארגון"),
    (Locale, "שפה"),
    (Package, "חבילת גישה;חבילה"),
];
