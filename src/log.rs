//! What is written to stderr: messages for the operator, and with `-v` diagnostic lines of what the program does.
//!
//! In JSON, every line is one object. Diagnostic lines and JSON mask the addresses of partners, because they are
//! collected and kept, unless the configuration allows to name them.

use std::fmt::{self, Write as _};
use std::io::{Write as _, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::masking::masked;
use crate::report::printable;

/// How lines on stderr are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// What the program does.
    Debug,
    /// What a person may want to know.
    Note,
    /// What needs attention.
    Warning,
    /// Why the exit code is not 0, or what waits for a decision.
    Error,
}

/// The fields of a line, in their order.
pub type Fields = Vec<(&'static str, Value)>;

impl Level {
    /// The level of a message, by the severity or the state that it begins with.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let end = text.find(|it: char| !it.is_ascii_alphabetic());
        match &text[..end.unwrap_or(text.len())] {
            "error" | "unknown" | "expired" | "rejected" | "bounced" | "refused" => Self::Error,
            "warning" | "deferred" | "armed" => Self::Warning,
            _ => Self::Note,
        }
    }
}

/// Whether lines that mask addresses name them instead.
static NAMES_RECIPIENTS: AtomicBool = AtomicBool::new(false);
/// Whether messages that pass no console are written as JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// Lets diagnostic lines and JSON name partners, as the configuration says.
pub fn name_recipients(allowed: bool) {
    NAMES_RECIPIENTS.store(allowed, Ordering::Relaxed);
}

/// The text with its addresses masked, unless they may be named.
#[must_use]
pub fn without_names(text: &str) -> String {
    if NAMES_RECIPIENTS.load(Ordering::Relaxed) {
        text.to_owned()
    } else {
        masked(text).into_owned()
    }
}

/// A line as a JSON object. Its fields follow time, level and message.
#[must_use]
pub fn json_line(at: Timestamp, level: Level, message: &str, fields: Fields) -> String {
    let text = |it: &str| Value::String(printable(&without_names(it)));
    let mut line = vec![
        ("time", format!("{at:.3}").into()),
        ("level", level.to_string().into()),
        ("message", text(message)),
    ];
    line.extend(fields.into_iter().map(|(name, value)| {
        let value = value.as_str().map(text).unwrap_or(value);
        (name, value)
    }));
    serde_json::to_string(&Line(line)).expect("a map of texts is JSON")
}

/// A JSON object whose members stay in their order.
struct Line(Fields);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Writes a message that passes no console: a usage error, a panic, or a failure of stdout.
pub fn write_error(message: &str, exit_code: Option<u8>) {
    let _ = if JSON.load(Ordering::Relaxed) {
        let exit_code = exit_code.map(|it| ("exit_code", it.into()));
        let fields = exit_code.into_iter().collect();
        let message = message.trim_end();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let line = json_line(Timestamp::now(), Level::Error, message, fields);
        writeln!(stderr(), "{line}")
    } else {
        writeln!(stderr(), "{}", printable(message.trim_end()))
    };
}

/// Makes [`write_error`] write this format, and with `verbose` begins to write diagnostic lines.
pub fn start(format: LogFormat, verbose: bool) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    if verbose {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_writer(stderr)
            .event_format(Lines { format })
            .finish();
        // It fails if there is one, which then stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// Writes the events of this program as lines.
struct Lines {
    format: LogFormat,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !event
            .metadata()
            .target()
            .starts_with(env!("CARGO_CRATE_NAME"))
        {
            return Ok(());
        }
        let mut values = Values::default();
        event.record(&mut values);
        let Values { message, fields } = values;
        let now = Timestamp::now();
        match self.format {
            LogFormat::Json => {
                writeln!(writer, "{}", json_line(now, Level::Debug, &message, fields))
            }
            LogFormat::Text => writeln!(writer, "{}", text_line(now, &message, &fields)),
        }
    }
}

/// `07:15:03.120 message name=value`, in local time.
fn text_line(at: Timestamp, message: &str, fields: &Fields) -> String {
    let time = at.to_zoned_datetime(TimeZone::system());
    let mut line = format!(
        "{} {}",
        time.strftime("%H:%M:%S.%3f"),
        without_names(message)
    );
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => without_names(text),
            value => value.to_string(),
        };
        let _ = if value.contains([' ', '"']) || value.is_empty() {
            write!(line, " {name}={value:?}")
        } else {
            write!(line, " {name}={value}")
        };
    }
    printable(&line).replace(['\n', '\t'], " ")
}

/// The message and the fields of an event.
#[derive(Default)]
struct Values {
    message: String,
    fields: Fields,
}

impl Values {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_follows_from_the_first_word() {
        for (text, expected) in [
            ("error: no", Level::Error),
            ("unknown: ada@a.example", Level::Error),
            ("refused (rcpt): ada@a.example", Level::Error),
            ("deferred: ada@a.example", Level::Warning),
            ("warning: x", Level::Warning),
            ("errors: x", Level::Note),
            ("5 messages: 3 accepted", Level::Note),
        ] {
            assert_eq!(Level::of(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_mask_addresses_and_controls_in_both_formats() {
        let at: Timestamp = "2026-11-30T07:15:03.12Z".parse().unwrap();
        let fields: Fields = vec![
            ("recipient", "ada@a.example".into()),
            ("ms", 12.into()),
            ("reply", "250 \u{1b}[31m ok\nerror: x".into()),
        ];

        let json = json_line(at, Level::Debug, "sent to bob@b.example", fields.clone());
        let text = text_line(at, "sent to bob@b.example", &fields);

        assert_eq!(
            json,
            "{\"time\":\"2026-11-30T07:15:03.120Z\",\"level\":\"debug\",\"message\":\"sent to b…@b.example\",\"recipient\":\"a…@a.example\",\"ms\":12,\"reply\":\"250 \u{fffd}[31m ok\\nerror: x\"}"
        );
        assert!(
            text.ends_with(" sent to b…@b.example recipient=a…@a.example ms=12 reply=\"250 \\u{1b}[31m ok\\nerror: x\""),
            "{text}"
        );
    }
}
