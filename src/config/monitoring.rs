//! `[log]`, `[events]`, `[metrics]` and `[notify]`: how others learn what runs do.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::client_secret::{SecretKeys, SecretSource};
use super::endpoint::endpoint;
use super::login::command;
use super::overlap::behind_link;
use super::reader::Section;
use super::values::{choice, list, number, path, switch};

/// The keys for the URL of the heartbeat, which is a secret.
const HEARTBEAT_URL: SecretKeys = [
    (
        "heartbeat_url_file",
        "a file whose only line is the URL of the heartbeat",
    ),
    (
        "heartbeat_url_env",
        "an environment variable with the URL of the heartbeat",
    ),
    (
        "heartbeat_url_credential",
        "a credential of a systemd unit with the URL of the heartbeat",
    ),
];

/// How others learn what runs do.
#[derive(Clone, Debug, Default)]
pub struct Monitoring {
    /// Whether diagnostic lines, JSON on stderr and notifications name partners.
    pub names_recipients: bool,
    /// Every change and every run as JSON lines.
    pub events: Option<PathBuf>,
    /// Measurements for Prometheus.
    pub textfile: Option<PathBuf>,
    /// Notifications at the end of a run.
    pub notify: Notify,
}

/// Notifications at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// The program to run after a failure, with its arguments.
    pub command: Option<Vec<String>>,
    /// The URL to request at each end.
    pub heartbeat: Option<HeartbeatUrl>,
    /// Whether a failure requests the URL with the exit code; otherwise nothing is requested.
    pub reports_failures: bool,
    /// The exit codes that are no failure.
    pub ignored: Vec<u32>,
}

/// Where the URL of the heartbeat is. It is a secret, because anyone who has it can report a run that did not happen.
#[derive(Clone, Debug)]
pub enum HeartbeatUrl {
    /// In the configuration.
    Written(SecretString),
    /// Outside of it.
    Kept(SecretSource),
}

impl Monitoring {
    pub(super) fn read(root: &mut Section<'_>, folder: &Path) -> Self {
        let output = || path(folder).map(behind_link);
        Self {
            names_recipients: root.read("log", |it| {
                it.key(
                    "recipients",
                    "JSON on stderr, diagnostic lines and notifications name partners",
                )
                .or("false", switch())
            }),
            events: root.read("events", |it| {
                it.key(
                    "file",
                    "every change of an invitation and every run, as JSON lines",
                )
                .optional(output())
            }),
            textfile: root.read("metrics", |it| {
                it.key(
                    "textfile",
                    "measurements for Prometheus, written after each run",
                )
                .optional(output())
            }),
            notify: root.read("notify", |it| Notify::read(it, folder)),
        }
    }
}

impl Notify {
    fn read(section: &mut Section<'_>, folder: &Path) -> Self {
        let command = section
            .key(
                "command",
                "a program to run after a failed `send` or `sync`",
            )
            .secret(command(folder));
        let written = section
            .key(
                "heartbeat_url",
                "requested at the end of each `send` and `sync`; a secret",
            )
            .secret(endpoint().map(|it| SecretString::from(String::from(it))));
        let written = written.map(|it| ("heartbeat_url", HeartbeatUrl::Written(it)));
        let kept = SecretSource::read(section, &HEARTBEAT_URL, folder).into_iter();
        let kept = kept.map(|(key, it)| (key, HeartbeatUrl::Kept(it)));
        let given = written.into_iter().chain(kept).collect();
        let several = "there is only one heartbeat: set only one of `heartbeat_url`, `heartbeat_url_file`, `heartbeat_url_env` and `heartbeat_url_credential`";
        let heartbeat = section.only_one(given, several).map(|it| it.1);
        let reports_failures = section
            .key(
                "heartbeat_failures",
                "whether a failure requests the URL with / and the exit code",
            )
            .or(
                "\"exit-code\"",
                choice(&[("exit-code", true), ("none", false)]),
            );
        let ignored = section
            .key("ignore", "exit codes that are no failure here")
            .or("[]", list(number(1..=255)));
        Self {
            command,
            heartbeat,
            reports_failures,
            ignored,
        }
    }

    /// The file with the URL of the heartbeat, if it is kept in one.
    pub(super) fn heartbeat_file(&self) -> Option<&Path> {
        match self.heartbeat.as_ref()? {
            HeartbeatUrl::Written(_) => None,
            HeartbeatUrl::Kept(source) => source.file(),
        }
    }

    /// Whether this exit code is a failure.
    #[must_use]
    pub fn is_failure(&self, exit_code: u8) -> bool {
        exit_code != 0 && !self.ignored.contains(&exit_code.into())
    }
}
