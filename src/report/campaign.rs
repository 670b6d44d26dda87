//! The report of a campaign: one page for people and auditors, and the same as JSON and CSV.
//!
//! Invitations are added one after another and written to a temporary file, because the page begins with their
//! sums; memory does not grow with them. [`CampaignReport::finish`] puts all parts together. The page has all its
//! content without a script, loads nothing, and shows values of the list and of relays as text only.

mod bars;
mod chart;
mod data;
mod markup;
mod model;
mod page;
mod rows;
mod sections;
mod steps;
mod summary;
mod tally;

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

pub use self::model::{AboutReport, InvitationRow, MailRow, MessageSample, MessageText, Parts};
use self::tally::Tally;

/// The formats of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CampaignFormat {
    /// A page to open in a browser and to print
    #[default]
    Html,
    /// One JSON object
    Json,
    /// One line per invitation
    Csv,
}

impl CampaignFormat {
    /// The ending of its files.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// Whether a file that begins with these bytes is a report, in any format and of any version.
#[must_use]
pub fn is_report(beginning: &[u8]) -> bool {
    let marks = [page::MARK, data::JSON_MARK, data::CSV_MARK];
    marks.iter().any(|it| beginning.starts_with(it.as_bytes()))
}

/// A report while it is written.
pub struct CampaignReport {
    format: CampaignFormat,
    campaign: String,
    rows: BufWriter<File>,
    tally: Tally,
}

impl CampaignReport {
    /// Begins a report; `scratch` is an empty file without a name.
    #[must_use]
    pub fn begin(format: CampaignFormat, campaign: &str, scratch: File) -> Self {
        Self {
            format,
            campaign: campaign.to_owned(),
            rows: BufWriter::new(scratch),
            tally: Tally::default(),
        }
    }

    /// Adds an invitation.
    ///
    /// # Errors
    /// If the scratch file cannot be written.
    pub fn add(&mut self, row: &InvitationRow) -> io::Result<()> {
        let number = self.tally.total();
        self.tally.add(row);
        match self.format {
            CampaignFormat::Html => rows::write(&mut self.rows, number, row),
            CampaignFormat::Json => data::write_json(&mut self.rows, number, row),
            CampaignFormat::Csv => data::write_csv(&mut self.rows, &self.campaign, row),
        }
    }

    /// How many invitations were added.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tally.total()
    }

    /// Writes the whole report.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self, parts: &Parts, out: &File) -> io::Result<()> {
        if self.format == CampaignFormat::Html {
            rows::close(&mut self.rows, self.tally.total())?;
        }
        let mut rows = self.rows.into_inner().map_err(io::Error::other)?;
        rows.seek(SeekFrom::Start(0))?;
        let mut out = BufWriter::new(out);
        match self.format {
            CampaignFormat::Html => page::write(&mut out, parts, &self.tally, &mut rows)?,
            CampaignFormat::Json => data::write_object(&mut out, parts, &self.tally, &mut rows)?,
            CampaignFormat::Csv => data::write_table(&mut out, &mut rows)?,
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests;
