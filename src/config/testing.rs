//! A configuration for the tests of several modules.

/// A valid configuration with all required keys.
pub const GOOD: &str = r#"
campaign = "spring"
[sender]
from = "Partner Access <access@contoso.example>"
organization = "Contoso"
[packages.project]
link = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11"
name = { en = "Project space", fr = "Espace projet" }
[partners]
file = "partners.csv"
[smtp]
host = "smtp.example.com"
[ledger]
file = "ledger.sqlite3"
"#;
