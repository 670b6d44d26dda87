//! The text of a cell, as close as the stored value allows to what a spreadsheet shows.
//!
//! Number formats are not applied, because they depend on the language of the program: a number is
//! written in plain digits, a date or a time in ISO 8601.

use calamine::{Data, ExcelDateTime};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

/// The first day number that no spreadsheet shows as a date, 10000-01-01 (ECMA-376 part 1, §18.17.4.1).
const END_OF_DATES: f64 = 2_958_466.0;

/// The text of a cell.
pub fn cell_text(cell: Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) => text,
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number_text(number),
        Data::Bool(true) => "TRUE".into(),
        Data::Bool(false) => "FALSE".into(),
        Data::Error(error) => error.to_string(),
        Data::DateTime(moment) => moment_text(moment),
        Data::DateTimeIso(text) => iso_moment_text(text),
        Data::DurationIso(text) => match text.parse::<SignedDuration>() {
            Ok(duration) => clock_text(duration.as_secs_f64()),
            Err(_) => text,
        },
    }
}

/// A number with the 15 significant digits that spreadsheets keep, without exponent.
fn number_text(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    // `0.0` in place of `-0.0`.
    (rounded + 0.0).to_string()
}

/// Days since the epoch of the workbook; less than one day is a time of day.
fn moment_text(moment: ExcelDateTime) -> String {
    let days = moment.as_f64();
    if moment.is_duration() || (0.0..1.0).contains(&days) && days > 0.0 {
        return clock_text(days * 86_400.0);
    }
    if !(0.0..END_OF_DATES).contains(&days) {
        return number_text(days);
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    // Not by way of `jiff`: Excel has a 29 February 1900.
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second) {
        (0, 0, 0) => date,
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
    }
}

/// Hours, minutes and seconds of a time of day or of a duration, which may be longer than a day.
fn clock_text(seconds: f64) -> String {
    if !seconds.is_finite() || seconds.abs() > 1e12 {
        return number_text(seconds / 86_400.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "its size has been checked")]
    let whole = seconds.round() as i64;
    let sign = if whole < 0 { "-" } else { "" };
    let whole = whole.abs();
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    format!("{sign}{hours:02}:{minutes:02}:{seconds:02}")
}

/// A date as OpenDocument writes it, without a time of midnight.
fn iso_moment_text(text: String) -> String {
    match text.parse::<DateTime>() {
        Ok(moment) if moment.time() == Time::midnight() => moment.date().to_string(),
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        Err(_) => match text.parse::<Date>() {
            Ok(date) => date.to_string(),
            Err(_) => text,
        },
    }
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, Data, ExcelDateTime, ExcelDateTimeType};
    use proptest::prelude::*;

    use super::cell_text;

    #[test]
    fn cells_are_written_as_people_see_them() {
        let moment = |days, kind| Data::DateTime(ExcelDateTime::new(days, kind, false));
        let date = |days| moment(days, ExcelDateTimeType::DateTime);
        let duration = |days| moment(days, ExcelDateTimeType::TimeDelta);
        let since_1904 = ExcelDateTime::new(44_893.0, ExcelDateTimeType::DateTime, true);
        let iso = |text: &str| Data::DateTimeIso(text.into());
        let table = [
            (Data::Empty, ""),
            (Data::String(" 007 ".into()), " 007 "),
            (Data::Float(12.0), "12"),
            (Data::Float(-0.0), "0"),
            (Data::Float(0.1 + 0.2), "0.3"),
            (Data::Float(33_612_345_678.0), "33612345678"),
            (Data::Float(1e21), "1000000000000000000000"),
            (Data::Float(-1.5e-7), "-0.00000015"),
            (Data::Int(i64::MIN), "-9223372036854775808"),
            (Data::Bool(true), "TRUE"),
            (Data::Bool(false), "FALSE"),
            (Data::Error(CellErrorType::NA), "#N/A"),
            (Data::Error(CellErrorType::Div0), "#DIV/0!"),
            (date(46_355.0), "2026-11-29"),
            (Data::DateTime(since_1904), "2026-11-29"),
            (date(46_355.604_166_666_664), "2026-11-29T14:30:00"),
            (date(46_355.999_999_999), "2026-11-30"),
            (date(0.604_166_666_666_666_6), "14:30:00"),
            (date(60.0), "1900-02-29"),
            (date(-1.0), "-1"),
            (date(1e12), "1000000000000"),
            (duration(1.5625), "37:30:00"),
            (duration(-0.5), "-12:00:00"),
            (iso("2026-11-29"), "2026-11-29"),
            (iso("2026-11-29T00:00:00"), "2026-11-29"),
            (iso("2026-11-29T14:30:00.000000000"), "2026-11-29T14:30:00"),
            (iso("in spring"), "in spring"),
            (Data::DurationIso("PT14H30M00S".into()), "14:30:00"),
            (Data::DurationIso("PT37H30M".into()), "37:30:00"),
            (Data::DurationIso("long".into()), "long"),
        ];

        for (cell, text) in table {
            assert_eq!(cell_text(cell.clone()), text, "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written_in_plain_digits(number: f64, days: f64, is_1904: bool) {
            let text = cell_text(Data::Float(number));
            prop_assert!(!number.is_finite() || text.bytes().all(|it| b"-.0123456789".contains(&it)), "{}", text);
            for kind in [ExcelDateTimeType::DateTime, ExcelDateTimeType::TimeDelta] {
                cell_text(Data::DateTime(ExcelDateTime::new(days, kind, is_1904)));
            }
        }
    }
}
