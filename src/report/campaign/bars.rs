//! Bars as inline SVG, in a table that has their numbers.

use std::fmt::Write as _;
use std::io::{self, Write};

use strum::VariantArray;

use super::markup::figure;
use super::steps::Group;
use super::tally::GroupCounts;
use crate::html::escape;

/// The length of the longest bar; the page stretches it.
const WIDTH: u64 = 1_000;
/// The least width of a part of a bar, so that it can be seen.
const LEAST: u64 = 6;

/// A part of a bar.
pub struct Part {
    /// Its colour.
    pub group: Group,
    /// What it counts.
    pub label: &'static str,
    /// How many.
    pub count: u64,
}

/// The parts of a bar of groups.
pub fn parts(counts: GroupCounts) -> Vec<Part> {
    let groups = Group::VARIANTS.iter().zip(counts);
    let part = |(group, count): (&Group, u64)| Part {
        group: *group,
        label: group.label(),
        count,
    };
    groups.map(part).collect()
}

/// Writes a bar for each name, the longest one first, with its numbers.
pub fn write<'a>(
    out: &mut dyn Write,
    what: &str,
    rows: impl Iterator<Item = (&'a str, Vec<Part>)>,
) -> io::Result<()> {
    let total = |parts: &[Part]| parts.iter().map(|it| it.count).sum::<u64>();
    let mut rows: Vec<_> = rows.filter(|it| total(&it.1) > 0).collect();
    rows.sort_by_key(|it| std::cmp::Reverse(total(&it.1)));
    let longest = rows.first().map_or(0, |it| total(&it.1));
    writeln!(
        out,
        "<table class=\"bars\"><caption>{what}</caption><thead class=\"unseen\"><tr><th scope=\"col\">{what}</th><th scope=\"col\">of these</th><th scope=\"col\">invitations</th></tr></thead><tbody>"
    )?;
    for (name, parts) in rows {
        let some = parts.iter().filter(|it| it.count > 0 && it.label != name);
        let numbers: Vec<String> = some
            .map(|it| format!("<span>{} {}</span>", figure(it.count), it.label))
            .collect();
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{}<span class=\"quiet\">{}</span></td><td class=\"number\">{}</td></tr>",
            escape(name),
            bar(&parts, longest),
            numbers.join(" "),
            figure(total(&parts))
        )?;
    }
    writeln!(out, "</tbody></table>")
}

/// A bar, as long as its part of `longest`.
fn bar(parts: &[Part], longest: u64) -> String {
    let longest = longest.max(1);
    let place = |sum: u64| sum * WIDTH / longest;
    let mut bar = format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"rest\" width=\"{WIDTH}\" height=\"10\"/>"
    );
    let mut sum = 0;
    for Part { group, count, .. } in parts {
        let (begin, end) = (place(sum), place(sum + count));
        sum += count;
        if *count > 0 {
            let begin = begin.min(WIDTH - LEAST);
            let _ = write!(
                bar,
                "<rect class=\"{}\" x=\"{begin}\" width=\"{}\" height=\"10\"/>",
                group.class(),
                (end - begin).max(LEAST)
            );
        }
    }
    bar + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_a_part_for_each_group_and_no_more_than_its_length() {
        let bar = bar(&parts([2, 0, 0, 1, 0]), 4);
        assert!(
            bar.contains("class=\"reached\" x=\"0\" width=\"500\""),
            "{bar}"
        );
        assert!(
            bar.contains("class=\"failed\" x=\"500\" width=\"250\""),
            "{bar}"
        );
        assert_eq!(bar.matches("<rect").count(), 3, "{bar}");
    }
}
