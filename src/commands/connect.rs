//! `check --connect`: a diagnosis of the relay, of this campaign on it, and of the sender's domain, printed
//! finding by finding. No message is begun.

use std::time::Duration;

use super::checks::Report;
use super::connect_steps::{RELAY, finding_of};
use super::job::{Job, PartnerFilter};
use crate::config::{Config, CredentialSource};
use crate::console::Console;
use crate::delivery::Rates;
use crate::dns::Resolver;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::{Finding, Severity};
use crate::ledger::Reader;
use crate::relay::{Connector, EhloExtensions};
use crate::report::{count, one_line, shortest_duration};
use crate::sender_domain::SenderDomain;

/// The check of the largest message against the relay's limit.
const SIZE: &str = "size";
/// The check of how long the campaign takes.
const DURATION: &str = "duration";
/// The most characters of a text that is shown.
const LONGEST: usize = 1_000;

/// Adds findings to the report, and prints them.
struct Diagnosis<'o, 'c> {
    report: &'o mut Report,
    /// Whether to print text; otherwise only progress is printed, to stderr.
    text: bool,
    console: &'o mut Console<'c>,
}

impl Diagnosis<'_, '_> {
    /// Adds a finding, which may quote the relay or DNS: on one line, and not without end.
    fn add(&mut self, finding: Finding) {
        self.report.findings.push(Finding {
            what: bounded(&finding.what),
            fix: bounded(&finding.fix),
            ..finding
        });
        self.print();
    }

    fn fail(&mut self, check: &'static str, at: &str, error: impl Into<CommandError>) {
        self.report.fail(check, at, error);
        self.print();
    }

    /// Prints the last finding. Warnings and errors go to stderr.
    fn print(&mut self) {
        let Some(finding) = self.report.findings.last() else {
            return;
        };
        self.report.printed.end = self.report.findings.len();
        let Finding {
            check,
            severity,
            what,
            ..
        } = finding;
        let line = format!("{severity}: {check}: {what}{}", finding.fix_line());
        if self.text && *severity < Severity::Warning {
            self.console.print(&line);
        } else {
            self.console.eprint(&line);
        }
    }
}

/// Connects to the relay, logs in and examines the sender's domain; prints each finding as soon as it is
/// known, as `text` or to stderr.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn diagnose(
    job: &Job,
    connector: &Connector,
    reader: &Reader,
    report: &mut Report,
    text: bool,
    console: &mut Console<'_>,
) -> Result<()> {
    let now = console.now();
    let plan = job.plan(&PartnerFilter::default(), now);
    let Some(verified) = report.keep("messages", "", job.verify(&plan, reader, now).await) else {
        return Ok(());
    };
    let config = &job.config;
    let relay = connector.relay();
    let printed = report.findings.len();
    report.printed = printed..printed;
    let mut diagnosis = Diagnosis {
        report,
        text,
        console,
    };
    let microsoft = by_microsoft(config);
    let mut step = |step| diagnosis.add(finding_of(step, &relay, microsoft, now));
    match connector.diagnose(&mut step).await {
        Ok(offered) => {
            if config.smtp.login.is_none() {
                let what =
                    "no login is configured, so the relay must know this machine by its address";
                diagnosis.add(Finding::without_fix("login", Severity::Note, &relay, what));
            }
            let what = "ready to accept mail; none was sent";
            diagnosis.add(Finding::without_fix(RELAY, Severity::Ok, &relay, what));
            match size(verified.largest, &offered) {
                Ok((severity, what)) => {
                    diagnosis.add(Finding::without_fix(SIZE, severity, &relay, what));
                }
                Err(message) => {
                    let error = CommandError::new(Exit::Unavailable, message);
                    diagnosis.fail(SIZE, &relay, error);
                }
            }
        }
        Err(error) => diagnosis.fail(RELAY, &relay, error),
    }
    let rates = job.rates(reader, now).await?;
    diagnosis.add(duration(config, verified.sends.len() as u64, &rates));
    let domain = SenderDomain {
        domain: config.sender.address.domain(),
        selectors: &config.sender.dkim_selectors,
        provider: config.smtp.provider.map(|it| it.name),
    };
    let mut found = |finding| diagnosis.add(finding);
    domain.check(&Resolver::system(), &mut found).await;
    Ok(())
}

/// A text on one line, cut if a server made it endless.
fn bounded(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether the login uses access tokens of Microsoft Entra.
fn by_microsoft(config: &Config) -> bool {
    let credential = config.smtp.login.as_ref().map(|it| &it.credential);
    matches!(credential, Some(CredentialSource::Microsoft(_)))
}

/// The largest message of the campaign against the limit of the relay; the error is that it is too large.
fn size(
    largest: usize,
    offered: &EhloExtensions,
) -> std::result::Result<(Severity, String), String> {
    let mine = match largest {
        0 => "no message is due".to_owned(),
        bytes => format!("the largest message has {}", size_of(bytes)),
    };
    match offered.size {
        Some(limit) if limit < largest => Err(format!(
            "{mine}, but the relay accepts only {}; shorten the templates or remove images, or ask its operator for a higher limit",
            size_of(limit)
        )),
        Some(limit) => {
            let what = format!("{mine}; the relay accepts {}", size_of(limit));
            Ok((Severity::Ok, what))
        }
        None => Ok((Severity::Note, format!("{mine}; the relay states no limit"))),
    }
}

/// `12 KB`, `35.9 MB`.
fn size_of(bytes: usize) -> String {
    match bytes {
        0..1_000 => count(bytes as u64, "byte"),
        1_000..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => {
            let tenths = bytes / 100_000;
            format!("{}.{} MB", tenths / 10, tenths % 10)
        }
    }
}

/// How long the campaign takes.
fn duration(config: &Config, due: u64, rates: &Rates) -> Finding {
    let limits = &config.limits;
    let at = "limits";
    if due == 0 {
        let what = "no message is due";
        return Finding::without_fix(DURATION, Severity::Note, at, what);
    }
    let forecast = rates.forecast(due);
    let provider = config.smtp.provider;
    let provider = provider.map_or_else(String::new, |it| format!(" (provider {})", it.name));
    let recent = match rates.day().dots {
        0 => String::new(),
        sent => {
            let sent = count(sent as u64, "message");
            format!("; {sent} sent in the last 24 hours")
        }
    };
    let longest = limits.max_runtime.unwrap_or(Duration::MAX);
    let later = if forecast.next_in.is_some() || forecast.in_all > longest {
        "; one run cannot send them all, so later runs continue"
    } else {
        ""
    };
    let what = format!(
        "{}: {} over {}; limits {} a minute and {} a day{provider}{recent}{later}",
        count(due, "message"),
        shortest_duration(forecast.in_all),
        count(config.smtp.connections.into(), "connection"),
        limits.per_minute,
        limits.per_day
    );
    Finding::without_fix(DURATION, Severity::Note, at, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_servers_is_one_line_and_bounded() {
        assert_eq!(bounded("a\nok: relay: b\u{1b}"), "a ok: relay: b\u{fffd}");
        let long = bounded(&"ä".repeat(100_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with("ä…"));
    }

    #[test]
    fn a_message_above_the_size_limit_is_an_error() {
        let offered = |size| EhloExtensions {
            size,
            ..EhloExtensions::default()
        };
        for (largest, limit, severity, words) in [
            (
                12_345,
                Some(12_345),
                Severity::Ok,
                "has 13 KB; the relay accepts 13 KB",
            ),
            (12_345, Some(35_882_577), Severity::Ok, "accepts 35.8 MB"),
            (12_345, None, Severity::Note, "states no limit"),
            (
                0,
                Some(900),
                Severity::Ok,
                "no message is due; the relay accepts 900 bytes",
            ),
        ] {
            let (found, what) = size(largest, &offered(limit)).unwrap();
            assert_eq!(found, severity, "{what}");
            assert!(what.contains(words), "{what}");
        }
        let error = size(12_345, &offered(Some(9_999))).unwrap_err();
        assert!(
            error.contains("has 13 KB, but the relay accepts only 10 KB; "),
            "{error}"
        );
        assert!(size(12_345, &offered(Some(12_344))).is_err());
    }
}
