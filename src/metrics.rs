//! The text file for Prometheus, as `node_exporter`'s textfile collector reads it.
//!
//! It has the text format of Prometheus, no address, and one value for each series. It is replaced as a whole. The
//! values of other verbs come from the file as it was.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;

use crate::atomic_file::AtomicFile;
use crate::files;
use crate::invitation::State;

/// The largest file that is read; a full one has 10 KiB.
const LIMIT: u64 = 1024 * 1024;

/// The metrics, with what they measure, in the order of the file.
const METRICS: [(&str, &str); 13] = [
    (
        "build_info",
        "Version of access-invite that wrote this file.",
    ),
    (
        "run_start_timestamp_seconds",
        "Start of the last run of a verb.",
    ),
    (
        "run_end_timestamp_seconds",
        "End of the last run of a verb.",
    ),
    (
        "run_duration_seconds",
        "Duration of the last run of a verb.",
    ),
    ("run_exit_code", "Exit code of the last run of a verb."),
    (
        "run_success_timestamp_seconds",
        "End of the last run of a verb that ended with 0 or 75.",
    ),
    (
        "ledger_readable",
        "Whether the last run could read the ledger; without it, the following are missing.",
    ),
    (
        "invitations",
        "Invitations of the campaign by state, without reminders.",
    ),
    (
        "decisions_pending",
        "Invitations and reminders that wait for a decision, by state.",
    ),
    (
        "oldest_due_timestamp_seconds",
        "When the oldest invitation or reminder that is still pending or deferred was recorded.",
    ),
    (
        "send_messages",
        "Messages of the last send on record, by outcome.",
    ),
    (
        "access",
        "Invitations of the campaign by access in Microsoft Entra, from the requests that sync has read.",
    ),
    (
        "requests_read_timestamp_seconds",
        "When the requests for access were read.",
    ),
];

/// What the file has about a run.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredRun {
    /// The verb.
    pub verb: &'static str,
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// The exit code.
    pub exit_code: u8,
    /// Whether the exit code means success.
    pub succeeded: bool,
}

/// What the ledger has about the campaign.
#[derive(Clone, Debug, Default)]
pub struct CampaignFigures {
    /// The invitations by state.
    pub invitations: Vec<(State, u64)>,
    /// How many wait for a decision, by state.
    pub decisions: Vec<(State, u64)>,
    /// When the oldest that is due was recorded.
    pub oldest_due: Option<Timestamp>,
    /// The messages of the last `send` by outcome.
    pub last_send: Vec<(String, u64)>,
    /// The invitations by access.
    pub access: Vec<(String, u64)>,
    /// When the requests were read.
    pub requests_read: Option<Timestamp>,
}

/// The series of each metric: labels and value.
#[derive(Debug, Default)]
struct Series(BTreeMap<&'static str, BTreeMap<String, String>>);

impl Series {
    fn set(&mut self, metric: &'static str, labels: &[(&str, &str)], value: &impl ToString) {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let series = self.0.entry(metric).or_default();
        series.insert(labels, value.to_string());
    }
}

/// A label's value in quotes.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

/// Seconds since 1970, with three decimals at most.
fn seconds(at: Timestamp) -> String {
    let milliseconds = at.as_millisecond();
    format!(
        "{}.{:03}",
        milliseconds.div_euclid(1000),
        milliseconds.rem_euclid(1000)
    )
}

/// The text of the file, with the values of other verbs from `before`, its text so far.
#[must_use]
pub fn text(
    campaign: &str,
    run: MeasuredRun,
    figures: Option<&CampaignFigures>,
    before: &str,
) -> String {
    let mut all = Series::default();
    keep_other_runs(campaign, run, before, &mut all);
    let of_campaign = ("campaign", campaign);
    let of_run = [of_campaign, ("verb", run.verb)];
    all.set("build_info", &[("version", env!("CARGO_PKG_VERSION"))], &1);
    all.set("run_start_timestamp_seconds", &of_run, &seconds(run.start));
    all.set("run_end_timestamp_seconds", &of_run, &seconds(run.end));
    let took = run.end.duration_since(run.start).as_secs_f64().max(0.0);
    all.set("run_duration_seconds", &of_run, &format!("{took:.3}"));
    all.set("run_exit_code", &of_run, &run.exit_code);
    if run.succeeded {
        all.set("run_success_timestamp_seconds", &of_run, &seconds(run.end));
    }
    let readable = u8::from(figures.is_some());
    all.set("ledger_readable", &[of_campaign], &readable);
    if let Some(figures) = figures {
        add_figures(campaign, figures, &mut all);
    }
    let mut text = String::new();
    for (metric, help) in METRICS {
        let Some(series) = all.0.get(metric) else {
            continue;
        };
        let name = format!("access_invite_{metric}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in series {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }
    text
}

fn add_figures(campaign: &str, figures: &CampaignFigures, all: &mut Series) {
    let of_campaign = ("campaign", campaign);
    for (metric, counts) in [
        ("invitations", &figures.invitations),
        ("decisions_pending", &figures.decisions),
    ] {
        for (state, number) in counts {
            all.set(metric, &[of_campaign, ("state", state.as_str())], number);
        }
    }
    for (metric, label, counts) in [
        ("send_messages", "outcome", &figures.last_send),
        ("access", "access", &figures.access),
    ] {
        for (name, number) in counts {
            all.set(metric, &[of_campaign, (label, name)], number);
        }
    }
    for (metric, at) in [
        ("oldest_due_timestamp_seconds", figures.oldest_due),
        ("requests_read_timestamp_seconds", figures.requests_read),
    ] {
        if let Some(at) = at {
            all.set(metric, &[of_campaign], &seconds(at));
        }
    }
}

/// Keeps the values of this campaign about runs of other verbs, and the last success of this one.
fn keep_other_runs(campaign: &str, run: MeasuredRun, before: &str, all: &mut Series) {
    let of_campaign = format!("campaign=\"{}\",verb=\"", escaped(campaign));
    for line in before.lines() {
        let kept = || {
            let line = line.strip_prefix("access_invite_")?;
            let (name, rest) = line.split_once('{')?;
            let (labels, value) = rest.rsplit_once("} ")?;
            let verb = labels.strip_prefix(&of_campaign)?.strip_suffix('"')?;
            let is_verb = !verb.is_empty() && verb.bytes().all(|it| it.is_ascii_lowercase());
            let is_other = verb != run.verb || name == "run_success_timestamp_seconds";
            let metric = METRICS.iter().find(|it| it.0 == name)?.0;
            let value = value.parse::<f64>().is_ok().then_some(value)?;
            (is_verb && is_other).then_some((metric, labels, value))
        };
        if let Some((metric, labels, value)) = kept() {
            let series = all.0.entry(metric).or_default();
            series.insert(labels.to_owned(), value.to_owned());
        }
    }
}

/// Writes the file, readable by everyone, because `node_exporter` has a user of its own.
///
/// # Errors
/// If it cannot be written, or another program's file has this name.
pub fn write(
    path: &Path,
    campaign: &str,
    run: MeasuredRun,
    figures: Option<&CampaignFigures>,
) -> io::Result<()> {
    let before = match files::read(path, LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        before => before?,
    };
    let before = String::from_utf8_lossy(&before);
    if !before.is_empty() && !before.contains("access_invite_") {
        let why = "it has no metrics of access-invite; remove it, or name another file";
        return Err(io::Error::other(why));
    }
    let text = text(campaign, run, figures, &before);
    let file = AtomicFile::begin(path)?;
    io::Write::write_all(&mut file.file(), text.as_bytes())?;
    file.file().set_permissions(Permissions::from_mode(0o644))?;
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(verb: &'static str, end: i64, exit_code: u8) -> MeasuredRun {
        MeasuredRun {
            verb,
            start: Timestamp::from_second(end - 2).unwrap(),
            end: Timestamp::from_millisecond(end * 1000 + 5).unwrap(),
            exit_code,
            succeeded: exit_code == 0,
        }
    }

    #[test]
    fn values_of_other_verbs_and_the_last_success_are_kept() {
        let campaign = "spring \"2027\" \\ north";
        let first = text(campaign, run("send", 100, 0), None, "");
        let second = text(campaign, run("sync", 200, 75), None, &first);
        let third = text(campaign, run("send", 300, 69), None, &second);
        let other = text("autumn", run("send", 400, 0), None, &third);

        let labels = "campaign=\"spring \\\"2027\\\" \\\\ north\"";
        for line in [
            format!("access_invite_run_exit_code{{{labels},verb=\"send\"}} 69"),
            format!("access_invite_run_exit_code{{{labels},verb=\"sync\"}} 75"),
            format!("access_invite_run_end_timestamp_seconds{{{labels},verb=\"sync\"}} 200.005"),
            format!(
                "access_invite_run_success_timestamp_seconds{{{labels},verb=\"send\"}} 100.005"
            ),
            format!("access_invite_run_duration_seconds{{{labels},verb=\"send\"}} 2.005"),
            format!("access_invite_ledger_readable{{{labels}}} 0"),
        ] {
            let count = third.lines().filter(|it| **it == line).count();
            assert_eq!(count, 1, "{line}:\n{third}");
        }
        assert!(!other.contains("spring"), "{other}");
    }

    #[test]
    fn nothing_but_its_own_numbers_is_taken_from_the_file_before() {
        let before = "access_invite_run_exit_code{campaign=\"a\",verb=\"sync\"} x\n\
            access_invite_run_exit_code{campaign=\"a\",verb=\"sync\",verb=\"send\"} 1\n\
            access_invite_other{campaign=\"a\",verb=\"sync\"} 1\n\
            other_run_exit_code{campaign=\"a\",verb=\"sync\"} 1\n";
        let text = text("a", run("send", 100, 0), None, before);

        assert!(!text.contains("sync"), "{text}");
    }
}
