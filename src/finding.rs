//! Findings: the results of checks, guards and warnings.
//!
//! Independent checks produce them; `commands` renders them, as text or as JSON.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// Checked, without a problem.
    Ok,
    /// Information.
    Note,
    /// Works, but needs attention.
    Warning,
    /// Prevents sending.
    Error,
}

/// One result of a check. The field names in JSON are an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that reports it, such as `templates`.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// A file, a line or a configuration key; empty if `what` contains it.
    #[serde(rename = "where")]
    pub at: String,
    /// What was found, and why it matters.
    pub what: String,
    /// How to fix it; empty if there is nothing to fix.
    pub fix: String,
}

impl Finding {
    /// A finding from a message that reads `what; fix`, as all messages of this program do. The fix is
    /// what follows the last semicolon of the last line.
    pub fn new(
        check: &'static str,
        severity: Severity,
        at: impl fmt::Display,
        message: impl fmt::Display,
    ) -> Self {
        let message = message.to_string();
        let (what, fix) = match message.rsplit_once("; ") {
            Some((what, fix)) if !fix.contains('\n') => (what, fix),
            _ => (message.as_str(), ""),
        };
        Self {
            check,
            severity,
            at: at.to_string(),
            what: what.to_owned(),
            fix: fix.to_owned(),
        }
    }

    /// A finding about which there is nothing to do.
    pub fn without_fix(
        check: &'static str,
        severity: Severity,
        at: impl fmt::Display,
        what: impl Into<String>,
    ) -> Self {
        Self {
            check,
            severity,
            at: at.to_string(),
            what: what.into(),
            fix: String::new(),
        }
    }

    /// A finding that needs attention but does not prevent sending.
    pub fn warning(check: &'static str, at: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(check, Severity::Warning, at, message)
    }

    /// A finding that prevents sending.
    pub fn error(check: &'static str, at: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(check, Severity::Error, at, message)
    }

    /// The finding as text: severity, place and reason, and the fix on a separate line. All lines after the
    /// first are indented.
    #[must_use]
    pub fn text(&self) -> String {
        let reason = self.reason().replace('\n', "\n  ");
        format!("{}: {reason}{}", self.severity, self.fix_line())
    }

    /// The fix on a line of its own; empty if there is none.
    #[must_use]
    pub fn fix_line(&self) -> String {
        match self.fix.as_str() {
            "" => String::new(),
            fix => format!("\n  fix: {fix}"),
        }
    }

    /// The place and the reason, without repeating the place.
    fn reason(&self) -> String {
        if self.at.is_empty() || self.what.contains(&self.at) {
            self.what.clone()
        } else {
            format!("{}: {}", self.at, self.what)
        }
    }
}

/// The finding as one message, `where: what; fix`. If the reason has several lines, the fix is on the next line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        match self.fix.as_str() {
            "" => Ok(()),
            fix if self.what.contains('\n') => write!(f, "\n{fix}"),
            fix => write!(f, "; {fix}"),
        }
    }
}

/// What happened, of a message that reads `what; fix`.
#[must_use]
pub fn cause_of(message: &str) -> &str {
    message.split("; ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_into_what_and_fix_and_joins_again() {
        for (message, what, fix) in [
            ("a; b; c", "a; b", "c"),
            ("a", "a", ""),
            (
                "rows:\na; b\n2 are bad; correct them",
                "rows:\na; b\n2 are bad",
                "correct them",
            ),
            ("rows:\na; b", "rows:\na", "b"),
            ("a; b\nrows", "a; b\nrows", ""),
        ] {
            let finding = Finding::warning("partners", "", message);
            assert_eq!((finding.what.as_str(), finding.fix.as_str()), (what, fix));
            let joined = finding.to_string();
            assert_eq!(joined.replace('\n', "; "), message.replace('\n', "; "));
        }
    }

    #[test]
    fn a_place_is_shown_once() {
        let finding = |what: &str| Finding::error("ledger", "a.sqlite3", what).text();

        assert_eq!(
            finding("is empty; restore it"),
            "error: a.sqlite3: is empty\n  fix: restore it"
        );
        assert_eq!(
            finding("the ledger `a.sqlite3` is empty"),
            "error: the ledger `a.sqlite3` is empty"
        );
        assert_eq!(finding("a.sqlite3:\n1"), "error: a.sqlite3:\n  1");
    }

    #[test]
    fn the_names_in_json_are_an_interface() {
        let finding = Finding::error("list", "a.csv:2", "no address; add one");

        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"check":"list","severity":"error","where":"a.csv:2","what":"no address","fix":"add one"}"#
        );
    }
}
