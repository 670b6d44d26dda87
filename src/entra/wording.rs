//! Findings about Microsoft Entra: names from Graph in messages, and what was not checked.

use super::error::GraphError;
use crate::config::Package;
use crate::finding::{Finding, Severity};
use crate::os_error::without_os_code;

/// The check that these findings are of.
pub const CHECK: &str = "entra";
/// A page of the Microsoft Entra admin center.
pub const COLLABORATION: &str = "External Identities > External collaboration settings";
/// A page of the Microsoft Entra admin center.
pub const CROSS_TENANT: &str = "External Identities > Cross-tenant access settings";
/// How many characters of a name are shown.
const SHOWN: usize = 100;

/// Collects findings about one place.
pub struct Findings {
    at: String,
    /// The findings so far.
    pub list: Vec<Finding>,
}

impl Findings {
    /// About the link of a package.
    pub fn about(package: &Package) -> Self {
        Self::at(format!("packages.{}.link", package.key))
    }

    /// About something else.
    pub fn at(at: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            list: Vec::new(),
        }
    }

    /// Adds that something is as it should be.
    pub fn ok(&mut self, what: impl Into<String>) {
        self.add(Severity::Ok, what, "");
    }

    /// Adds an error.
    pub fn error(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, what, fix);
    }

    /// Adds a warning.
    pub fn warning(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, what, fix);
    }

    /// Adds information.
    pub fn note(&mut self, what: impl Into<String>) {
        self.add(Severity::Note, what, "");
    }

    /// Adds the warning that something could not be read.
    pub fn not_checked(&mut self, what: &str, error: &GraphError) {
        let message = without_os_code(format!("not checked: {what}: {error}"));
        let mut finding = Finding::warning(CHECK, "", message);
        finding.at.clone_from(&self.at);
        self.list.push(finding);
    }

    /// Adds information about something that could not be read, if only an optional permission is missing;
    /// otherwise a warning.
    pub fn not_checked_optionally(&mut self, what: &str, error: &GraphError) {
        self.not_checked(what, error);
        if error.missing_permission().is_some()
            && let Some(finding) = self.list.last_mut()
        {
            finding.severity = Severity::Note;
        }
    }

    fn add(&mut self, severity: Severity, what: impl Into<String>, fix: impl Into<String>) {
        self.list.push(Finding {
            check: CHECK,
            severity,
            at: self.at.clone(),
            what: what.into(),
            fix: fix.into(),
        });
    }
}

/// A name from Graph on one line, without control characters, and not too long.
pub fn shown(name: &str) -> String {
    let words = name.split(|it: char| it.is_whitespace() || it.is_control());
    let words: Vec<_> = words.filter(|it| !it.is_empty()).collect();
    let name = words.join(" ");
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}
