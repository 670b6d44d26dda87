//! Charts as inline SVG, each with its numbers as text.
//!
//! The drawings stretch with the page, so they contain no text: labels stand around them in HTML.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strum::VariantArray;

use super::super::formats::local;
use super::markup::{figure, time};
use super::steps::Group;
use super::tally::{GroupCounts, Milestone, Point, Tally};
use crate::html::escape;

/// The size of the drawing; the page stretches it.
const WIDTH: i64 = 1_000;
const HEIGHT: i64 = 300;
/// The most rows of the table of numbers.
const ROWS: i64 = 31;
/// Times that a row may stand for, in minutes: 5 minutes to 90 days.
const UNITS: [i64; 9] = [
    5,
    15,
    60,
    6 * 60,
    24 * 60,
    7 * 24 * 60,
    30 * 24 * 60,
    60 * 24 * 60,
    90 * 24 * 60,
];
/// The shortest time that is drawn.
const SHORTEST: SignedDuration = SignedDuration::from_mins(30);
/// The labels below the drawing.
const TICKS: i32 = 4;

/// Writes the progress of the campaign in the course of time.
pub fn progress(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    let Some((first, span)) = tally.span() else {
        return Ok(());
    };
    // A campaign of a minute would be a vertical line.
    let last = first + span;
    let span = span.max(SHORTEST);
    let begin = last - span;
    let highest = round_up(tally.total());
    let sums = tally.milestones();
    let shown: Vec<Milestone> = Milestone::VARIANTS
        .iter()
        .copied()
        .filter(|it| sums[*it as usize] > 0)
        .collect();
    let mut said = String::new();
    for milestone in &shown {
        let sum = figure(sums[*milestone as usize]);
        let _ = write!(said, " {sum} {};", milestone.label());
    }
    writeln!(
        out,
        "<figure class=\"progress\"><ul class=\"legend\" aria-hidden=\"true\">"
    )?;
    for milestone in &shown {
        writeln!(
            out,
            "<li><span class=\"swatch line-{}\"></span>{} <b>{}</b></li>",
            milestone.name(),
            milestone.label(),
            figure(sums[*milestone as usize])
        )?;
    }
    writeln!(
        out,
        "</ul>\n<div class=\"plot\"><div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>0</span></div>",
        figure(highest),
        figure(highest / 2)
    )?;
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"progress-what progress-said\"><title id=\"progress-what\">Progress of the campaign</title><desc id=\"progress-said\">From {} to {}:{said} all numbers are in the table below.</desc>",
        escape(&local(begin)),
        escape(&local(last)),
    )?;
    for grid in [0, HEIGHT / 2, HEIGHT] {
        writeln!(out, "<path class=\"grid\" d=\"M0 {grid}H{WIDTH}\"/>")?;
    }
    let points = tally.points(1, 0);
    for milestone in &shown {
        let line = line(&points, *milestone, (begin, span), highest);
        let name = milestone.name();
        if *milestone == Milestone::Accepted {
            writeln!(
                out,
                "<path class=\"area-{name}\" d=\"{line}V{HEIGHT}H0Z\"/>"
            )?;
        }
        writeln!(out, "<path class=\"line-{name}\" d=\"{line}\"/>")?;
    }
    write!(
        out,
        "</svg>\n<div class=\"times\" aria-hidden=\"true\"><span></span>"
    )?;
    let pattern = match span.as_hours() {
        ..48 => "%-d %b %H:%M",
        48..7_000 => "%-d %b",
        _ => "%b %Y",
    };
    for tick in 0..TICKS {
        let at = begin + span / (TICKS - 1) * tick;
        let at = at.to_zoned_datetime(TimeZone::system());
        write!(out, "<span>{}</span>", at.strftime(pattern))?;
    }
    writeln!(out, "</div></div>")?;
    numbers(out, tally, &shown, span)?;
    writeln!(out, "</figure>")
}

/// The steps of a milestone as a path, at most one corner for each unit of the drawing's width.
fn line(
    points: &[Point],
    milestone: Milestone,
    (begin, span): (Timestamp, SignedDuration),
    highest: u64,
) -> String {
    let highest = i64::try_from(highest).unwrap_or(i64::MAX).max(1);
    let mut path = format!("M0 {HEIGHT}");
    let mut at = (0, HEIGHT);
    for point in points {
        let passed = point.at.duration_since(begin).as_secs();
        let x = passed * WIDTH / span.as_secs().max(1);
        let sum = i64::try_from(point.sums[milestone as usize]).unwrap_or(i64::MAX);
        let y = HEIGHT - sum.saturating_mul(HEIGHT) / highest;
        if y != at.1 {
            let _ = if x == at.0 {
                write!(path, "V{y}")
            } else {
                write!(path, "H{x}V{y}")
            };
            at = (x, y);
        }
    }
    path + &format!("H{WIDTH}")
}

/// The numbers behind the drawing.
fn numbers(
    out: &mut dyn Write,
    tally: &Tally,
    shown: &[Milestone],
    span: SignedDuration,
) -> io::Result<()> {
    let minutes = span.as_mins();
    let unit = UNITS.into_iter().find(|it| minutes / it < ROWS);
    let unit = unit.unwrap_or_else(|| minutes / ROWS + 1);
    write!(
        out,
        "<details class=\"numbers\"><summary>Numbers of this chart</summary><table><thead><tr><th scope=\"col\">until</th>"
    )?;
    for milestone in shown {
        write!(
            out,
            "<th scope=\"col\" class=\"number\">{}</th>",
            milestone.label()
        )?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    let now = Timestamp::now();
    let shift = TimeZone::system().to_offset(now).seconds() / 60;
    for point in tally.points(unit, shift.into()) {
        write!(out, "<tr><th scope=\"row\">{}</th>", time(point.at))?;
        for milestone in shown {
            let sum = figure(point.sums[*milestone as usize]);
            write!(out, "<td class=\"number\">{sum}</td>")?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></details>")
}

/// The next number that is good for the top of a scale.
fn round_up(number: u64) -> u64 {
    let mut unit = 1;
    while unit * 10 < number {
        unit *= 10;
    }
    let steps = [2, 4, 6, 8, 10].into_iter().map(|it| it * unit);
    steps.into_iter().find(|it| *it >= number).unwrap_or(number)
}

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
pub fn bars<'a>(
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
    let place = |sum: u64| sum * WIDTH.unsigned_abs() / longest;
    let mut bar = format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"rest\" width=\"{WIDTH}\" height=\"10\"/>"
    );
    let mut sum = 0;
    for Part { group, count, .. } in parts {
        let (begin, end) = (place(sum), place(sum + count));
        sum += count;
        if end > begin {
            let _ = write!(
                bar,
                "<rect class=\"{}\" x=\"{begin}\" width=\"{}\" height=\"10\"/>",
                group.class(),
                end - begin
            );
        }
    }
    bar + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_scale_is_a_round_number() {
        for (number, top) in [
            (0, 2),
            (1, 2),
            (10, 10),
            (11, 20),
            (163, 200),
            (4_001, 6_000),
        ] {
            assert_eq!(round_up(number), top, "{number}");
        }
    }

    #[test]
    fn a_line_rises_where_something_happened_and_ends_at_the_end() {
        let begin = Timestamp::UNIX_EPOCH;
        let at = |minutes| begin + SignedDuration::from_mins(minutes);
        let point = |minutes, accepted| Point {
            at: at(minutes),
            sums: [10, accepted, 0, 0, 0],
        };
        let points = [point(0, 0), point(5, 5), point(6, 5), point(10, 10)];

        let line = line(
            &points,
            Milestone::Accepted,
            (begin, SignedDuration::from_mins(10)),
            10,
        );

        assert_eq!(line, "M0 300H500V150H1000V0H1000");
    }

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
