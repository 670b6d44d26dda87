//! `status`: the state of every invitation, or the whole history of one address.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::Path;

use clap::Args;
use tempfile::SpooledTempFile;

use super::monitoring::WAITING;
use super::records::{Selection, label, package_name};
use super::{job, runs};
use crate::address::Address;
use crate::config::{Config, nearest};
use crate::console::{Console, Size};
use crate::exit::{CommandError, Exit, Result};
use crate::finding::Finding;
use crate::invitation::{Occasion, Record, State, Suppression};
use crate::ledger::{Ledger, Reader, RecordFilter};
use crate::partners::Partners;
use crate::report::{
    BY_URGENCY, DataFormat, ListWriter, StatusFormat, StatusRow, StatusSummary, StatusTable,
    StatusWriter, not_mailed_since, one_line, wrapped, write_runs,
};

/// How many bytes of a report are kept in memory.
const IN_MEMORY: usize = 1 << 20;
/// The fewest invitations that are shown on a small screen.
const FEWEST_SHOWN: usize = 5;
/// How many runs are shown of each campaign, and how many are in JSON.
const RUNS_SHOWN: u32 = 3;
const RUNS_IN_JSON: u32 = 20;
/// What `--campaign` is given to select every campaign.
const ALL_CAMPAIGNS: &str = "all";

/// The arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusOptions {
    /// Show the history of this address
    #[arg(value_parser = Address::parse)]
    pub address: Option<Address>,
    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: StatusFormat,
    /// Show only invitations in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Write only what a list of partners needs, to be corrected and sent to again
    #[arg(long)]
    pub as_list: bool,
    /// Show only invitations to this package, by its name in the configuration or its id
    #[arg(long, value_name = "NAME|ID")]
    pub package: Option<String>,
    /// Show another campaign, or all of the ledger
    #[arg(long, value_name = "NAME|all")]
    pub campaign: Option<String>,
    /// Show all invitations on a terminal, not only as many as fit on the screen
    #[arg(long)]
    pub all: bool,
}

/// Writes the state of the campaign to stdout.
///
/// # Errors
/// If there is no ledger (78), or the address, package or campaign is not in it (65).
pub async fn run(path: &Path, options: &StatusOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Config::load(path)?;
    if options.as_list && options.format != StatusFormat::Csv {
        let message = "`--as-list` writes CSV; add `--format csv`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    Ledger::check(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    let files = &config.ledger;
    if let Some(doubt) = reader.doubt(files) {
        console.report([&Finding::warning("ledger", files, doubt)]);
    }
    let suppression = match &options.address {
        Some(address) => {
            let suppressions = reader.suppressions_of(vec![address.canonical()]).await?;
            suppressions.into_iter().next().flatten()
        }
        None => None,
    };
    let list = job::current_list(&config);
    // Written to a temporary file first, so that a slow reader of stdout does not hold the snapshot.
    let mut written = SpooledTempFile::new(IN_MEMORY);
    let screen = console.screen.out;
    reader.begin_snapshot().await?;
    let report = StatusReport {
        config: &config,
        options,
        reader: &reader,
        list,
        suppression,
        screen,
    };
    report.write(&mut written).await?;
    reader.end_snapshot().await?;
    written.rewind().map_err(no_room)?;
    if screen.is_some() && options.format == StatusFormat::Text {
        for line in BufReader::new(written).lines() {
            console.print(&line.map_err(no_room)?);
        }
    } else {
        // A closed pipe is not an error, see `Output`.
        let _ = std::io::copy(&mut written, console.out);
    }
    Ok(Exit::Done)
}

fn no_room(error: impl Display) -> CommandError {
    let message = format!(
        "cannot write the report to a temporary file: {error}; make room in the folder for temporary files, or set TMPDIR"
    );
    CommandError::new(Exit::CannotWrite, message)
}

/// A report from one snapshot of the ledger.
struct StatusReport<'a> {
    config: &'a Config,
    options: &'a StatusOptions,
    reader: &'a Reader,
    list: Option<Partners>,
    /// Why the address that was asked for is not mailed.
    suppression: Option<Suppression>,
    /// The terminal that will show it.
    screen: Option<Size>,
}

/// A campaign of the ledger, and which of its records are wanted.
struct SelectedCampaign {
    name: String,
    filter: RecordFilter,
}

impl StatusReport<'_> {
    async fn write(&self, out: &mut dyn Write) -> Result<()> {
        let others = self.reader.campaign(&self.config.campaign).await?.others;
        let campaigns = self.select(&others).await?;
        match self.options.format {
            StatusFormat::Json => self.write_data(out, DataFormat::Json, &campaigns).await,
            StatusFormat::Csv if self.options.as_list => {
                let mut list = ListWriter::begin(out).map_err(no_room)?;
                for campaign in &campaigns {
                    let mut after = 0;
                    while let Some(rows) = self.page(campaign, None, &mut after).await? {
                        list.page(&rows).map_err(no_room)?;
                    }
                }
                Ok(())
            }
            StatusFormat::Csv => self.write_data(out, DataFormat::Csv, &campaigns).await,
            StatusFormat::Text => {
                if let (Some(address), Some(entry)) = (&self.options.address, &self.suppression)
                    && campaigns.is_empty()
                {
                    let since = not_mailed_since(entry);
                    let note = entry.note.as_ref();
                    let note = note.map_or_else(String::new, |it| format!(": {}", one_line(it)));
                    writeln!(out, "{address}: {since}{note}").map_err(no_room)?;
                }
                for (nth, campaign) in campaigns.iter().enumerate() {
                    if nth > 0 {
                        writeln!(out).map_err(no_room)?;
                    }
                    let others = match self.options.campaign {
                        None => &others[..],
                        Some(_) => &[],
                    };
                    self.write_text(out, campaign, others, campaigns.len())
                        .await?;
                }
                Ok(())
            }
        }
    }

    /// The campaigns that are asked for, the configured one first. Of several, only those that have the package
    /// and the address.
    async fn select(&self, others: &[String]) -> Result<Vec<SelectedCampaign>> {
        let configured = &self.config.campaign;
        let names = match self.options.campaign.as_deref() {
            None => vec![configured.as_str()],
            Some(ALL_CAMPAIGNS) => {
                let mut others: Vec<_> = others.iter().map(String::as_str).collect();
                others.sort_unstable();
                [&[configured.as_str()], others.as_slice()].concat()
            }
            Some(name) if name == configured || others.iter().any(|it| it == name) => vec![name],
            Some(name) => return Err(unknown_campaign(name, configured, others)),
        };
        let mut campaigns = Vec::new();
        let mut first_error = None;
        for name in names {
            match self.filter(name).await {
                Ok(filter) => campaigns.push(SelectedCampaign {
                    name: name.to_owned(),
                    filter,
                }),
                Err(error) if error.exit == Exit::BadInput => {
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            // Nothing else is recorded about an address that was forgotten.
            Some(error) if campaigns.is_empty() && self.suppression.is_none() => Err(error),
            _ => Ok(campaigns),
        }
    }

    async fn filter(&self, campaign: &str) -> Result<RecordFilter> {
        let selection = Selection {
            campaign,
            address: self.options.address.as_ref(),
            state: self.options.state,
            package: self.options.package.as_deref(),
            occasion: Occasion::Invitation,
        };
        let filter = selection.filter(self.config, self.reader).await?;
        if let Some(address) = selection.address
            && self.reader.page(campaign, &filter, 0).await?.is_empty()
        {
            let error = selection.not_recorded(address, self.config, self.reader);
            return Err(error.await?);
        }
        Ok(filter)
    }

    async fn write_data(
        &self,
        out: &mut dyn Write,
        format: DataFormat,
        campaigns: &[SelectedCampaign],
    ) -> Result<()> {
        let mut counts: Vec<(State, u64)> = State::ALL.iter().map(|it| (*it, 0)).collect();
        for campaign in campaigns {
            let more = self.reader.counts(&campaign.name).await?;
            let sums = counts.iter_mut().zip(more);
            sums.for_each(|(sum, (_, more))| sum.1 += more);
        }
        let all = self.options.campaign.as_deref() == Some(ALL_CAMPAIGNS);
        let name = campaigns.first().filter(|_| !all);
        let name = name.map(|it| it.name.as_str());
        let with_campaign = self.options.campaign.is_some();
        let writer = StatusWriter::begin(out, format, name, with_campaign, &counts);
        let mut writer = writer.map_err(no_room)?;
        if self.options.address.is_none() && format == DataFormat::Json {
            let runs = runs::last(self.reader, name, RUNS_IN_JSON).await?;
            writer.add("runs", &runs).map_err(no_room)?;
        }
        if self.options.address.is_some() {
            let suppression = &self.suppression;
            writer.add("suppression", suppression).map_err(no_room)?;
        }
        for campaign in campaigns {
            let mut after = 0;
            while let Some(rows) = self.page(campaign, None, &mut after).await? {
                writer.page(&rows).map_err(no_room)?;
            }
        }
        writer.finish().map_err(no_room)
    }

    async fn write_text(
        &self,
        out: &mut dyn Write,
        campaign: &SelectedCampaign,
        others: &[String],
        campaigns: usize,
    ) -> Result<()> {
        let width = self.screen.map(|it| it.columns);
        if self.options.address.is_some() {
            writeln!(out, "campaign {}", one_line(&campaign.name)).map_err(no_room)?;
            return self.write_histories(out, campaign, width).await;
        }
        let package = campaign.filter.package_id;
        let counts = self.reader.counts_of(&campaign.name, package).await?;
        let access = self.reader.access_counts(&campaign.name, package).await?;
        let with_advice = self.options.state.is_none() && campaign.name == self.config.campaign;
        let reminders = if with_advice {
            waiting_reminders(self.reader, campaign).await?
        } else {
            Vec::new()
        };
        let summary = StatusSummary {
            campaign: &campaign.name,
            counts: &counts,
            access,
            others,
            reminders: &reminders,
            with_advice,
        };
        let mut head = Vec::new();
        summary.write(&mut head).map_err(no_room)?;
        if self.options.state.is_none() && package.is_none() {
            let runs = runs::last(self.reader, Some(&campaign.name), RUNS_SHOWN).await?;
            write_runs(&mut head, &runs).map_err(no_room)?;
        }
        out.write_all(&head).map_err(no_room)?;
        let mut table = StatusTable::new(out, width);
        let Some(screen) = self.screen else {
            let mut after = 0;
            while let Some(rows) = self.page(campaign, None, &mut after).await? {
                table.page(&rows).map_err(no_room)?;
            }
            return Ok(());
        };
        // The header and the line about what is left out, with an empty line each; the prompt.
        let head = wrapped(&String::from_utf8_lossy(&head), screen.columns);
        let used = head.lines().count() + 4;
        let fits = (screen.rows / campaigns).saturating_sub(used);
        let mut room = if self.options.all {
            usize::MAX
        } else {
            fits.max(FEWEST_SHOWN)
        };
        let wanted = |state: &State| campaign.filter.state.is_none_or(|it| it == *state);
        let mut rest: u64 = counts
            .iter()
            .filter(|it| wanted(&it.0))
            .map(|it| it.1)
            .sum();
        let mut shown = Vec::new();
        for state in BY_URGENCY.into_iter().filter(wanted) {
            let mut after = 0;
            while room > 0
                && !counts.contains(&(state, 0))
                && let Some(mut rows) = self.page(campaign, Some(state), &mut after).await?
            {
                rows.truncate(room);
                room -= rows.len();
                rest -= rows.len() as u64;
                shown.append(&mut rows);
                if self.options.all {
                    table.page(&shown).map_err(no_room)?;
                    shown.clear();
                }
            }
        }
        table.page(&shown).map_err(no_room)?;
        if rest > 0 {
            table.left_out(rest).map_err(no_room)?;
        }
        Ok(())
    }

    async fn write_histories(
        &self,
        out: &mut dyn Write,
        campaign: &SelectedCampaign,
        width: Option<usize>,
    ) -> Result<()> {
        let mut table = StatusTable::new(out, width);
        let mut after = 0;
        while let Some(rows) = self.page(campaign, None, &mut after).await? {
            for row in &rows {
                table.history(row).map_err(no_room)?;
            }
        }
        Ok(())
    }

    /// The next rows of a campaign after the record `after`, in `state` if one is given; `None` at the end.
    async fn page(
        &self,
        campaign: &SelectedCampaign,
        state: Option<State>,
        after: &mut i64,
    ) -> Result<Option<Vec<StatusRow>>> {
        let mut filter = campaign.filter.clone();
        filter.state = state.or(filter.state);
        let records = self.reader.page(&campaign.name, &filter, *after).await?;
        let Some(last) = records.last() else {
            return Ok(None);
        };
        *after = last.id;
        let identities: Vec<_> = records.iter().map(|it| it.identity.clone()).collect();
        let mut reminders = vec![Vec::new(); records.len()];
        if self.options.format == StatusFormat::Json || self.options.address.is_some() {
            reminders = self.reader.with_reminders(identities.clone()).await?;
        }
        let access = self.reader.access_of(identities).await?;
        let addresses = records.iter().map(|it| it.identity.address.clone());
        let suppressions = self.reader.suppressions_of(addresses.collect()).await?;
        let mut rows = Vec::with_capacity(records.len());
        let found = records
            .into_iter()
            .zip(reminders)
            .zip(access)
            .zip(suppressions);
        for (((record, with_reminders), access), suppression) in found {
            let mut row = self.row(record).await?;
            row.access = access;
            row.suppression = suppression;
            for reminder in with_reminders.into_iter().skip(1) {
                row.reminders.push(self.row(reminder).await?);
            }
            rows.push(row);
        }
        Ok(Some(rows))
    }

    async fn row(&self, mut record: Record) -> Result<StatusRow> {
        record.invitee.package = match self.options.format {
            StatusFormat::Text => label(self.config, &record),
            StatusFormat::Json | StatusFormat::Csv => package_name(self.config, &record).to_owned(),
        };
        let history = match self.options.address {
            Some(_) => Some(self.reader.history(record.id).await?),
            None => None,
        };
        let listed = self.list.as_ref().map(|it| it.contains(&record.identity));
        Ok(StatusRow {
            record,
            listed,
            access: None,
            history,
            suppression: None,
            reminders: Vec::new(),
        })
    }
}

/// The reminders of a campaign that wait for a decision.
async fn waiting_reminders(reader: &Reader, campaign: &SelectedCampaign) -> Result<Vec<Record>> {
    let mut reminders = Vec::new();
    for state in WAITING {
        let filter = RecordFilter {
            package_id: campaign.filter.package_id,
            ..RecordFilter::in_state(state)
        };
        let mut after = 0;
        loop {
            let page = reader.page(&campaign.name, &filter, after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            reminders.extend(
                page.into_iter()
                    .filter(|it| it.identity.occasion.is_reminder()),
            );
        }
    }
    Ok(reminders)
}

fn unknown_campaign(name: &str, configured: &str, others: &[String]) -> CommandError {
    let known = || std::iter::once(configured).chain(others.iter().map(String::as_str));
    let names: Vec<_> = known().map(|it| format!("`{it}`")).collect();
    let fix = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("pass one of them, or `{ALL_CAMPAIGNS}`"),
    };
    let message = format!(
        "the ledger has no campaign `{name}`, only {}; {fix}",
        names.join(", ")
    );
    CommandError::new(Exit::BadInput, message)
}
