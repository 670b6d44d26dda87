//! The runs that wrote into the ledger and the approvals, for `status` and the report of a campaign.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::formats::{local, utc};
use super::harmless::one_line;
use super::layout::fitted;
use crate::invitation::to_the_second;

/// The width of the longest verb.
const VERB: usize = 8;

/// A run. The names are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    /// Its number. `status` does not show it.
    #[serde(skip)]
    pub number: i64,
    /// The verb of the command line.
    pub verb: String,
    /// The campaign of its configuration.
    pub campaign: String,
    /// Its start.
    #[serde(serialize_with = "to_the_second")]
    pub started_at: Timestamp,
    /// Its end; none while it runs, or if it was killed.
    #[serde(serialize_with = "as_optional_utc")]
    pub ended_at: Option<Timestamp>,
    /// Its exit code; none while it runs, or if it was killed.
    pub exit_code: Option<u8>,
    /// How many invitations ended in each state, for `send`.
    pub counts: Option<Value>,
    /// The version of the program.
    pub version: String,
    /// The machine.
    pub host: String,
    /// The user of the operating system.
    pub os_user: String,
    /// The digest of the inputs, if they were read.
    pub digest: Option<String>,
    /// The approval on record that covers these inputs.
    pub approval: Option<ApprovalRow>,
}

/// An approval. The names are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalRow {
    /// The digest of the approved inputs. A run has its own.
    #[serde(skip)]
    pub digest: String,
    /// Who approved.
    pub by: String,
    /// When.
    #[serde(serialize_with = "to_the_second")]
    pub at: Timestamp,
    /// A note of that person.
    pub note: Option<String>,
}

#[expect(clippy::ref_option, reason = "the signature that serde expects")]
fn as_optional_utc<S: serde::Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(utc).serialize(serializer)
}

/// Writes the last runs, a line for each.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_runs(out: &mut dyn Write, runs: &[RunRow]) -> io::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nlast runs:")?;
    for run in runs {
        writeln!(out, "  {}", line(run))?;
    }
    Ok(())
}

fn line(run: &RunRow) -> String {
    let mut parts = vec![
        local(run.started_at),
        fitted(&one_line(&run.verb), VERB),
        match run.exit_code {
            Some(code) => format!("exit {code:<2}"),
            None => "no end ".to_owned(),
        },
    ];
    parts.extend(run.counts.as_ref().map(|it| match counts_text(it) {
        text if text.is_empty() => "nothing sent".to_owned(),
        text => one_line(&text),
    }));
    if let Some(ApprovalRow { by, at, .. }) = &run.approval {
        parts.push(format!("approved by {}, {}", one_line(by), local(*at)));
    }
    let line = parts.join("  ");
    line.trim_end().to_owned()
}

/// The counts of a run: `5 accepted, 1 deferred; reminders among them: 3 accepted`; empty if all are zero.
pub fn counts_text(counts: &Value) -> String {
    let (mut numbers, mut parts) = (Vec::new(), Vec::new());
    for (name, value) in counts.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => match counts_text(value) {
                part if part.is_empty() => {}
                part => parts.push(format!("{name} among them: {part}")),
            },
            number if number.as_u64() == Some(0) => {}
            number => numbers.push(format!("{number} {name}")),
        }
    }
    if !numbers.is_empty() {
        parts.insert(0, numbers.join(", "));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(exit_code: Option<u8>, counts: Option<&str>, by: Option<&str>) -> RunRow {
        let at = Timestamp::UNIX_EPOCH;
        RunRow {
            number: 1,
            verb: "send".into(),
            campaign: "spring".into(),
            started_at: at,
            ended_at: exit_code.map(|_| at),
            exit_code,
            counts: counts.map(|it| serde_json::from_str(it).unwrap()),
            version: "1".into(),
            host: "a".into(),
            os_user: "root".into(),
            digest: None,
            approval: by.map(|by| ApprovalRow {
                digest: String::new(),
                by: by.into(),
                at,
                note: None,
            }),
        }
    }

    #[test]
    fn a_run_is_a_line_with_its_result_and_its_approval() {
        let start = local(Timestamp::UNIX_EPOCH);
        for (run, expected) in [
            (run(Some(0), None, None), "exit 0"),
            (run(None, None, None), "no end"),
            (
                run(
                    Some(75),
                    Some(r#"{"accepted":2,"deferred":1,"unknown":0}"#),
                    None,
                ),
                "exit 75  2 accepted, 1 deferred",
            ),
            (
                run(
                    Some(0),
                    Some(r#"{"accepted":0,"reminders":{"accepted":3,"deferred":0}}"#),
                    None,
                ),
                "exit 0   reminders among them: 3 accepted",
            ),
            (
                run(Some(0), Some(r#"{"accepted":0}"#), Some("Ada\nB")),
                "exit 0   nothing sent  approved by Ada B, ",
            ),
        ] {
            let expected = format!("{start}  send      {expected}");
            let line = line(&run);
            assert!(line.starts_with(&expected), "{line}");
        }
    }

    #[test]
    fn counts_of_a_run_are_a_sentence() {
        for (json, expected) in [
            (None, ""),
            (Some("not JSON"), ""),
            (Some("{\"accepted\":2,\"deferred\":0}"), "2 accepted"),
            (
                Some("{\"expired\":5,\"reminders\":{\"accepted\":74}}"),
                "5 expired; reminders among them: 74 accepted",
            ),
        ] {
            assert_eq!(
                json.map_or_else(String::new, |it| counts_text(
                    &serde_json::from_str(it).unwrap_or_default()
                )),
                expected
            );
        }
    }
}
