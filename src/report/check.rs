//! The result of `check` as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::harmless::harmless_json;
use super::languages::Languages;
use crate::finding::{Finding, Severity};

/// How `check` writes its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    /// Human-readable
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// The names are an interface.
#[derive(Serialize)]
struct CheckJson<'a> {
    #[serde(flatten)]
    languages: Option<&'a Languages>,
    ok: bool,
    findings: &'a [Finding],
}

/// Writes findings, and languages if they were asked for, as one object.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_check(
    out: &mut dyn Write,
    languages: Option<&Languages>,
    findings: &[Finding],
) -> io::Result<()> {
    let json = serde_json::to_string_pretty(&CheckJson {
        languages,
        ok: findings.iter().all(|it| it.severity != Severity::Error),
        findings,
    })?;
    writeln!(out, "{}", harmless_json(&json))
}
