//! Output for people and scripts: tables, JSON, CSV, and text that is safe to print.

pub mod campaign;
mod check;
mod csv_rows;
mod formats;
mod harmless;
mod layout;
mod packages;
mod partner_list;
mod requests;
mod runs;
mod status;
mod status_text;
mod suppression;
mod sync;

pub use self::check::{LanguageRow, Languages, write_check};
pub use self::formats::{
    ReportFormat, count, joined_counts, local, reply_text, rough_duration, shortest_duration, utc,
};
pub use self::harmless::{generated_cell, one_line, printable};
pub use self::layout::{columns, fitted, truncated, wrapped};
pub use self::packages::{PackageList, PackageRow, PackagesFormat};
pub use self::partner_list::ListWriter;
pub use self::requests::{AccessRow, ReadPackage, RequestsReport};
pub use self::runs::{ApprovalRow, RunRow, write_runs};
pub use self::status::{DataFormat, StatusFormat, StatusRow, StatusWriter};
pub use self::status_text::{BY_URGENCY, StatusSummary, StatusTable, decision};
pub use self::suppression::{not_mailed_since, write_suppressions};
pub use self::sync::{SourceRow, StateChange, SyncReport};
