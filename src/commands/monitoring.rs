//! The end of a run as others see it: the metrics, and the notifications. They change neither the run nor its exit code.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::requests;
use crate::config::{Config, Monitoring};
use crate::console::Console;
use crate::delivery::Signals;
use crate::exit::{Exit, Result, without_os_code};
use crate::invitation::State;
use crate::ledger::{Reader, RecordFilter};
use crate::log::name_recipients;
use crate::metrics::{self, CampaignFigures, MeasuredRun};
use crate::notify::{RunReport, notify};

/// How many runs are examined for the last `send`.
const RUNS: u32 = 100;
/// The states that wait for a decision.
pub const WAITING: [State; 2] = [State::Unknown, State::Expired];

/// A run that others may learn of.
pub struct MonitoredRun {
    /// The verb, if it writes records.
    verb: &'static str,
    config: PathBuf,
    start: Timestamp,
    monitoring: Monitoring,
    campaign: Option<String>,
}

impl MonitoredRun {
    /// Begins to watch a run; none if the configuration names nobody who learns of it. It is enough if the tables
    /// about this can be read, so that others also learn of a configuration that is wrong otherwise.
    #[must_use]
    pub fn begin(verb: Option<&'static str>, config: &Path, now: Timestamp) -> Option<Self> {
        let (monitoring, campaign) = Monitoring::load(config)?;
        name_recipients(monitoring.names_recipients);
        Some(Self {
            verb: verb?,
            config: config.to_owned(),
            start: now,
            monitoring,
            campaign,
        })
    }

    /// Writes the metrics and notifies.
    pub async fn end(self, exit: Exit, console: &mut Console<'_>) {
        let notifies = matches!(self.verb, "send" | "sync");
        let textfile = self.monitoring.textfile.as_deref();
        let needs_counts = notifies && self.monitoring.notify.command.is_some();
        let mut figures = None;
        if textfile.is_some() || needs_counts {
            figures = figures_of(&self.config).await.ok();
        }
        if let Some(path) = textfile {
            let run = MeasuredRun {
                verb: self.verb,
                start: self.start,
                end: console.now(),
                exit_code: exit as u8,
                succeeded: matches!(exit, Exit::Done | Exit::TryLater),
            };
            let campaign = self.campaign.as_deref().unwrap_or_default();
            if let Err(error) = metrics::write(path, campaign, run, figures.as_ref()) {
                let (shown, why) = (path.display(), without_os_code(error));
                let message = format!("warning: cannot write the metrics `{shown}`: {why}");
                console.eprint(&message);
            }
        }
        if notifies {
            self.notify(exit, figures.unwrap_or_default(), console)
                .await;
        }
    }

    /// Notifies, unless a signal ends that.
    async fn notify(self, exit: Exit, figures: CampaignFigures, console: &mut Console<'_>) {
        let report = RunReport {
            exit_code: exit as u8,
            verb: self.verb,
            campaign: self.campaign,
            counts: figures.last_send,
            messages: console.messages.kept(),
        };
        let mut signals = Signals::listen();
        let failures = tokio::select! {
            failures = notify(&self.monitoring.notify, &self.config, &report) => failures,
            name = signals.next() => vec![format!("the notification was cut short by {name}")],
        };
        for failure in failures {
            console.eprint(&format!("warning: {failure}"));
        }
    }
}

/// What the ledger has about the campaign.
async fn figures_of(path: &Path) -> Result<CampaignFigures> {
    let config = Config::load(path)?;
    let reader = Reader::open(&config.ledger, None)?;
    let campaign = config.campaign.as_str();
    let (decisions, oldest_due) = pending(&reader, campaign).await?;
    let runs = reader.runs(Some(campaign), RUNS).await?;
    let last_send = runs.into_iter().find(|it| it.verb == "send");
    let packages = requests::configured(&config).into_iter().collect();
    let access = reader.access_counts(campaign, None).await?;
    let access = access.into_iter().flat_map(|it| it.states);
    Ok(CampaignFigures {
        invitations: reader.counts(campaign).await?,
        decisions,
        oldest_due,
        last_send: counts_of(last_send.and_then(|it| it.counts)),
        access: access.map(|it| (it.0.to_string(), it.1)).collect(),
        requests_read: reader.requests_read_at(packages).await?,
    })
}

/// How many invitations and reminders wait for a decision, and when the oldest that is due was recorded.
async fn pending(
    reader: &Reader,
    campaign: &str,
) -> Result<(Vec<(State, u64)>, Option<Timestamp>)> {
    let mut decisions = Vec::new();
    for state in WAITING {
        let (mut number, mut after) = (0, 0);
        loop {
            let page = reader
                .page(campaign, &RecordFilter::in_state(state), after)
                .await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            number += page.len() as u64;
        }
        decisions.push((state, number));
    }
    let mut oldest: Option<Timestamp> = None;
    for state in [State::Pending, State::Deferred] {
        let page = reader
            .page(campaign, &RecordFilter::in_state(state), 0)
            .await?;
        let first = page.iter().map(|it| it.created_at).min();
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok((decisions, oldest))
}

/// The counts of a run, from their JSON.
fn counts_of(json: Option<String>) -> Vec<(String, u64)> {
    let counts = json.and_then(|it| serde_json::from_str::<Map<String, Value>>(&it).ok());
    let counts = counts.unwrap_or_default().into_iter();
    counts
        .filter_map(|(name, number)| Some((name, number.as_u64()?)))
        .collect()
}
