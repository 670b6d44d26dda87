//! What was read from Microsoft Entra, remembered for a day in a file beside the ledger.
//!
//! It serves look-ups of domains and previews, and keeps warnings of runs without a terminal to once a day.
//! `send` and `check --entra` never take access packages or policies from it. A file that is damaged, of
//! another version or about another tenant counts as empty.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::wording::CHECK;
use crate::atomic_file::AtomicFile;
use crate::config::{Config, Package};
use crate::digest;
use crate::files;
use crate::finding::{Finding, Severity};

const VERSION: u32 = 2;
/// How long an entry is used, in seconds.
const A_DAY: i64 = 24 * 60 * 60;
/// The largest file; a hundred thousand domains take a tenth of it.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The file and its content.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    /// Which tenant it is about, and where that was asked.
    tenant: String,
    domains: BTreeMap<String, CachedDomain>,
    /// By link.
    packages: BTreeMap<String, CachedPackage>,
    /// When each warning was printed, in seconds since 1970, by a digest.
    warned: BTreeMap<String, i64>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CachedDomain {
    /// In seconds since 1970.
    at: i64,
    tenant: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CachedPackage {
    /// In seconds since 1970.
    at: i64,
    findings: Vec<CachedFinding>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CachedFinding {
    is_error: bool,
    what: String,
    fix: String,
}

impl Cache {
    /// Reads the file of this job.
    #[must_use]
    pub fn read(config: &Config, now: Timestamp) -> Self {
        let path = config.ledger.entra_cache();
        let microsoft = config.microsoft.as_ref();
        let tenant = microsoft.map_or_else(String::new, |it| {
            format!("{} {} {}", it.tenant, it.client_id, it.graph_url)
        });
        Self::open(path, tenant, now)
    }

    fn open(path: PathBuf, tenant: String, now: Timestamp) -> Self {
        let content = read(&path).filter(|it| it.version == VERSION && it.tenant == tenant);
        let mut content = content.unwrap_or(Content {
            version: VERSION,
            tenant,
            ..Content::default()
        });
        // An entry from the future is from a clock that was wrong.
        let is_fresh = |at: i64| (0..A_DAY).contains(&now.as_second().saturating_sub(at));
        content.domains.retain(|_, it| is_fresh(it.at));
        content.packages.retain(|_, it| is_fresh(it.at));
        content.warned.retain(|_, at| is_fresh(*at));
        Self { path, content }
    }

    /// The tenants of domains that were looked up within a day.
    #[must_use]
    pub fn domains(&self) -> BTreeMap<String, Option<String>> {
        let domains = self.content.domains.iter();
        domains
            .map(|(name, it)| (name.clone(), it.tenant.clone()))
            .collect()
    }

    /// Adds domains that were looked up now.
    pub fn add_domains(&mut self, tenants: &BTreeMap<String, Option<String>>, now: Timestamp) {
        for (name, tenant) in tenants {
            let found = CachedDomain {
                at: now.as_second(),
                tenant: tenant.clone(),
            };
            // Those that it has keep their age.
            self.content.domains.entry(name.clone()).or_insert(found);
        }
    }

    /// Replaces the findings about a package.
    pub fn set_package(&mut self, package: &Package, findings: &[Finding], now: Timestamp) {
        let serious = findings
            .iter()
            .filter(|it| it.severity >= Severity::Warning);
        let findings = serious
            .map(|it| CachedFinding {
                is_error: it.severity == Severity::Error,
                what: it.what.clone(),
                fix: it.fix.clone(),
            })
            .collect();
        let found = CachedPackage {
            at: now.as_second(),
            findings,
        };
        self.content
            .packages
            .insert(package.link.to_string(), found);
    }

    /// The errors and warnings about a package that were found within a day, all as warnings with their time.
    /// `errors_stop`: whether errors stop a `send`.
    #[must_use]
    pub fn package_findings(&self, package: &Package, errors_stop: bool) -> Vec<Finding> {
        let Some(cached) = self.content.packages.get(package.link.as_str()) else {
            return Vec::new();
        };
        let at = Timestamp::from_second(cached.at).unwrap_or_default();
        let at = at.strftime("%Y-%m-%d %H:%M UTC");
        let finding = |it: &CachedFinding| {
            let stops = if it.is_error && errors_stop {
                "a real send would stop: "
            } else {
                ""
            };
            Finding {
                check: CHECK,
                severity: Severity::Warning,
                at: format!("packages.{}.link", package.key),
                what: format!("{stops}{} (read from Microsoft Entra on {at})", it.what),
                fix: it.fix.clone(),
            }
        };
        cached.findings.iter().map(finding).collect()
    }

    /// Whether this warning was not printed within a day; remembers it if so.
    pub fn is_warning_due(&mut self, warning: &Finding, now: Timestamp) -> bool {
        let place = format!("{}\0", warning.at);
        let text = without_numbers(&warning.text());
        let digest = digest::short([place, text]);
        let digest = format!("{:x}", u64::from_be_bytes(digest));
        let is_new = !self.content.warned.contains_key(&digest);
        if is_new {
            self.content.warned.insert(digest, now.as_second());
        }
        is_new
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> io::Result<()> {
        let file = AtomicFile::begin(&self.path)?;
        let mut out = io::BufWriter::new(file.file());
        serde_json::to_writer(&mut out, &self.content)?;
        out.flush()?;
        drop(out);
        file.commit()
    }
}

/// A text without the words that have a digit: ids of requests, times and pauses differ each time.
fn without_numbers(text: &str) -> String {
    let has_digit = |it: &&str| it.bytes().any(|it| it.is_ascii_digit());
    let words = text.split_whitespace().filter(|it| !has_digit(it));
    words.collect::<Vec<_>>().join(" ")
}

fn read(path: &Path) -> Option<Content> {
    serde_json::from_slice(&files::read(path, LIMIT).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn domains() -> BTreeMap<String, Option<String>> {
        [
            ("a.example".to_owned(), Some("1b2c".to_owned())),
            ("b.example".to_owned(), None),
        ]
        .into()
    }

    #[test]
    fn domains_are_known_for_a_day_and_only_for_the_same_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite3.entra");
        let open = |tenant: &str, now| Cache::open(path.clone(), tenant.into(), at(now));
        let mut cache = open("contoso", NOON);
        cache.add_domains(&domains(), at(NOON));
        cache.write().unwrap();

        for (tenant, now, known) in [
            ("contoso", NOON, true),
            ("contoso", NOON + A_DAY - 1, true),
            ("contoso", NOON + A_DAY, false),
            ("contoso", NOON - 1, false),
            ("fabrikam", NOON, false),
        ] {
            let expected = if known { domains() } else { BTreeMap::new() };
            assert_eq!(open(tenant, now).domains(), expected, "{tenant} {now}");
        }
        // Repeated use does not make an entry younger.
        let mut cache = open("contoso", NOON + 100);
        cache.add_domains(&domains(), at(NOON + 100));
        cache.write().unwrap();
        assert!(open("contoso", NOON + A_DAY).domains().is_empty());
    }

    #[test]
    fn a_damaged_file_and_one_of_another_version_count_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite3.entra");
        let open = || Cache::open(path.clone(), "contoso".into(), at(NOON));
        let mut cache = open();
        cache.add_domains(&domains(), at(NOON));
        cache.write().unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        assert_eq!(open().domains(), domains());

        for bad in [
            String::new(),
            good[..good.len() / 2].to_owned(),
            good.replace("\"version\":2", "\"version\":1"),
            good.replace("\"warned\"", "\"later\""),
            "[]".into(),
        ] {
            assert_ne!(bad, good);
            std::fs::write(&path, &bad).unwrap();
            assert!(open().domains().is_empty(), "{bad}");
        }
    }

    #[test]
    fn the_same_warnings_are_due_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite3.entra");
        let open = |now| Cache::open(path.clone(), "contoso".into(), at(now));
        let due = |now, text| {
            let mut cache = open(now);
            let due = cache.is_warning_due(&Finding::warning(CHECK, "", text), at(now));
            cache.write().unwrap();
            due
        };

        assert!(due(NOON, "a"));
        assert!(!due(NOON + 3600, "a"));
        assert!(due(NOON + 7200, "b"));
        // Another warning in between changes nothing.
        assert!(!due(NOON + 7300, "a"));
        assert!(!due(NOON + 7200 + A_DAY - 1, "b"));
        assert!(due(NOON + 7200 + A_DAY, "b"));
        assert!(due(NOON, "try again in 30 s (request 1b2c)"));
        assert!(!due(NOON, "try again in 31.5 s (request 3d4e)"));
    }
}
