//! The configuration that `init` writes: what a person must fill in, with empty texts, which `check` lists. All
//! other keys keep their defaults.

use crate::config::{Provider, ProviderLogin};

/// The list that `init` writes: a header without rows.
pub const PARTNERS: &str = "email,name,organization,locale,package\n";

const BEFORE_RELAY: &str = r#"# The configuration of access-invite. Fill in every empty text (""); `access-invite check` lists those
# that are left. All other keys have defaults: docs/configuration.md describes them, and
# `access-invite init DIR --example` writes a file that shows every key.

# A name for this round of invitations. A partner is invited once per campaign and access package.
campaign = ""

[sender]
# Who sends the mails, such as "Woodgrove Partner Access <partner-access@woodgrove.example>".
from = ""
# Your organisation, as the mails name it.
organization = ""
# Where replies go, if not to `from`, and whom a partner can ask whether the mail is genuine:
# reply_to = ""
# contact = ""

# One table for each access package. The column `package` of the list contains its name, here `main`.
[packages.main]
# "My Access portal link" of the package, from its overview in the Microsoft Entra admin center.
link = ""
# The package's name, as the mails show it.
name = ""

[partners]
# The list, CSV or a workbook (.xlsx, .xls, .ods).
file = "partners.csv"

"#;

const LEDGER: &str = r#"
[ledger]
# Who was invited, and with what result. Never delete it.
file = "ledger.sqlite3"
"#;

const OWN_RELAY: &str = r#"[smtp]
# Your relay, named as in its certificate, with TLS on port 465; for port 587, add: tls = "starttls"
host = ""
"#;

const USERNAME: &str = "# The user name of the login.\nusername = \"\"\n";

const PASSWORD: &str = r#"# A file whose only line is the password.
password_file = "smtp-password"
"#;

const OPTIONAL_LOGIN: &str = r##"# If the relay requires a login, remove both "# ": the user name, and a file whose only line is the password.
# username = ""
# password_file = "smtp-password"
"##;

const MAILBOX: &str = "# The mailbox that sends.\nusername = \"\"\n";

const MICROSOFT: &str = r#"
# The app registration that gets access tokens; docs/microsoft365.md shows how to set it up.
[microsoft]
# A domain of your tenant, such as "contoso.onmicrosoft.com", or the tenant's id.
tenant = ""
# The application (client) id.
client_id = ""
# A file whose only line is the client secret.
client_secret_file = "client-secret"
"#;

const ENTRA: &str = r"
# Before each send, verifies in Microsoft Entra that partners can request the packages; docs/entra.md.
[entra]
";

/// The configuration of a new job, for the relay of this provider if one is given.
pub fn configuration(provider: Option<&Provider>) -> String {
    let relay = provider.map_or_else(|| OWN_RELAY.to_owned() + OPTIONAL_LOGIN, relay_of);
    [BEFORE_RELAY, &relay, LEDGER].concat()
}

/// The tables about the relay of a provider.
fn relay_of(provider: &Provider) -> String {
    let required = provider.required_keys();
    let value_of = |name| {
        let key = required.iter().find(|it| it.name == name)?;
        Some(key.value.unwrap_or_default())
    };
    let region = value_of("region").map(|example| {
        format!("# The region of your account, such as \"{example}\".\nregion = \"\"\n")
    });
    let username = value_of("username").map(|_| match provider.login {
        ProviderLogin::Microsoft => MAILBOX,
        _ => USERNAME,
    });
    let cloud = value_of("cloud").map(|it| format!("# Or \"us-gov-dod\".\ncloud = \"{it}\"\n"));
    let login = match provider.login {
        ProviderLogin::Optional => OPTIONAL_LOGIN.to_owned(),
        ProviderLogin::Required => PASSWORD.to_owned(),
        ProviderLogin::Microsoft => [MICROSOFT, &cloud.unwrap_or_default(), ENTRA].concat(),
    };
    let table = format!("[smtp]\nprovider = \"{}\"\n", provider.name);
    [
        &table,
        region.as_deref().unwrap_or_default(),
        username.unwrap_or_default(),
        &login,
    ]
    .concat()
}

/// The file for the secret that this configuration names, if a relay of this provider needs one.
fn secret_file(provider: Option<&Provider>) -> Option<&'static str> {
    match provider?.login {
        ProviderLogin::Optional => None,
        ProviderLogin::Required => Some("smtp-password"),
        ProviderLogin::Microsoft => Some("client-secret"),
    }
}

/// What to do next, in the folder of the new job.
pub fn next_steps(provider: Option<&Provider>) -> Vec<String> {
    let mut steps = vec!["fill in config.toml".to_owned()];
    if provider.is_some_and(|it| it.login == ProviderLogin::Microsoft) {
        steps.push("set up the app registration: docs/microsoft365.md".into());
    }
    if let Some(file) = secret_file(provider) {
        steps.push(format!("write the secret into {file} (chmod 600)"));
    }
    steps.push("add your partners to partners.csv, a row for each".into());
    let commands = [
        ("check", "find what is left"),
        ("preview", "see every message"),
        ("check --connect", "try the relay"),
        ("send --test-to YOU@…", "mail it to yourself"),
        ("send", "mail the partners"),
    ];
    let commands = commands.map(|(verb, what)| format!("access-invite {verb:<20}  {what}"));
    steps.extend(commands);
    steps
}
