//! The progress of a campaign as inline SVG, with its numbers as a table.
//!
//! The drawing stretches with the page, so it contains no text: labels stand around it in HTML.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strum::VariantArray;

use super::super::formats::local;
use super::markup::{figure, time};
use super::tally::{Milestone, Point, Tally};
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
}
