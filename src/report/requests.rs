//! What `sync` has read about requests for access, as text and as JSON.

use serde::Serialize;

use super::formats::{count, joined_counts};
use super::harmless::one_line;
use crate::invitation::AccessState;

/// What was read and what it changed. The names are an interface.
#[derive(Debug, Default, Serialize)]
pub struct RequestsReport {
    /// Each package.
    pub packages: Vec<ReadPackage>,
    /// The invited partners whose access has changed.
    pub changes: Vec<AccessRow>,
}

/// One package.
#[derive(Debug, Serialize)]
pub struct ReadPackage {
    /// Its name in the configuration.
    pub package: String,
    /// Its id.
    pub package_id: String,
    /// How many requests were read.
    pub requests: u64,
    /// Why they were not all read; what was read before stays then.
    pub error: Option<String>,
}

/// The access of one invited partner.
#[derive(Debug, Serialize)]
pub struct AccessRow {
    /// The campaign of the invitation.
    pub campaign: String,
    /// The partner's address.
    pub email: String,
    /// The access package.
    pub package_id: String,
    /// The access before.
    pub from: AccessState,
    /// The access now.
    pub to: AccessState,
}

impl AccessRow {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            email,
            campaign,
            from,
            to,
            ..
        } = self;
        one_line(&format!("{email} ({campaign}): access {from} → {to}"))
    }
}

impl RequestsReport {
    /// Each error, with the packages that it is about.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let mut errors: Vec<(&str, Vec<&str>)> = Vec::new();
        for package in &self.packages {
            let Some(error) = &package.error else {
                continue;
            };
            match errors.iter_mut().find(|it| it.0 == error) {
                Some((_, names)) => names.push(&package.package),
                None => errors.push((error, vec![&package.package])),
            }
        }
        let describe = |(error, names): (&str, Vec<&str>)| {
            let plural = if names.len() == 1 { "" } else { "s" };
            format!("package{plural} {}: {error}", names.join(", "))
        };
        errors.into_iter().map(describe).collect()
    }

    /// The last line for people; `None` if no package was to be read.
    #[must_use]
    pub fn conclusion(&self) -> Option<String> {
        let read = self.packages.iter().filter(|it| it.error.is_none());
        let packages = count(read.clone().count() as u64, "package");
        let requests = count(read.map(|it| it.requests).sum(), "request");
        let numbers = AccessState::ALL.iter().map(|state| {
            let changed = self.changes.iter().filter(|it| it.to == *state);
            (state, changed.count())
        });
        let changes = match joined_counts(numbers.filter(|it| it.1 > 0)) {
            numbers if numbers.is_empty() => "no change for invited partners".to_owned(),
            numbers => format!("new for invited partners: {numbers}"),
        };
        let line = format!("{requests} for {packages} read: {changes}");
        (!self.packages.is_empty()).then_some(line)
    }
}
