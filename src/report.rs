//! Output for people and scripts: tables, JSON, CSV, and text that is safe to print.

mod check;
mod formats;
mod harmless;
mod packages;
mod status;
mod sync;
mod wrap;

pub use self::check::{CheckFormat, LanguageRow, Languages, write_check};
pub use self::formats::{count, reply_text, utc};
pub use self::harmless::{generated_cell, one_line, printable};
pub use self::packages::{PackageList, PackageRow, PackagesFormat};
pub use self::status::{StatusFormat, StatusRow, StatusWriter};
pub use self::sync::{SourceRow, StateChange, SyncFormat, SyncReport};
pub use self::wrap::wrapped;
