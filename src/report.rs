//! What people and scripts read: tables, JSON, CSV, and sentences with numbers.

mod formats;
mod harmless;
mod languages;
mod status;
mod table;

pub use self::formats::{count, utc};
pub use self::harmless::{generated_cell, may_be_formula, one_line, printable};
pub use self::languages::{LanguageRow, Languages, LanguagesFormat};
pub use self::status::{Format, StatusRow, StatusWriter};
