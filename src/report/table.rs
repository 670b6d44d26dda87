//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without lines, as wide as the terminal where there is one.
pub fn empty_table(header: &[&str], terminal: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(if terminal {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(header.to_vec());
    table
}
