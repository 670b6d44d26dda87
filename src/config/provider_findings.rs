//! What `check` says about the provider: a sender that it does not accept, and what it changes in a message.

use super::load::Config;
use super::providers::{Provider, SenderRule};
use crate::address::Address;
use crate::finding::{Finding, Severity};

/// The check that reports these findings.
pub const CHECK: &str = "provider";

impl Config {
    /// The findings about the provider; none without one.
    #[must_use]
    pub fn provider_findings(&self) -> Vec<Finding> {
        let Some(provider) = self.smtp.provider else {
            return Vec::new();
        };
        let login = self.smtp.login.as_ref().map(|it| it.username.as_str());
        let sender = about_sender(provider, &self.sender.address, login);
        let sets_limits = ["limits.per_minute", "limits.per_day"];
        let sets_limits = sets_limits.iter().any(|it| self.keys.contains_key(*it));
        let limits = about_limits(provider).filter(|_| !sets_limits);
        let findings = [sender, limits, about_id(provider), about_links(provider)];
        findings.into_iter().flatten().collect()
    }
}

/// Whether the provider accepts the sender from this login.
fn about_sender(provider: &Provider, sender: &Address, login: Option<&str>) -> Option<Finding> {
    let from = sender.as_written();
    let (what, fix) = match provider.sender {
        SenderRule::Operator => return None,
        SenderRule::Verified(place) => {
            let what = format!(
                "{} accepts mail from `{from}` only after this address or its domain was verified",
                provider.name
            );
            let fix = format!("verify it {place}");
            return Some(finding(Severity::Note, "sender.from", what, &fix));
        }
        SenderRule::Login(what, fix) => (what, fix),
        SenderRule::LoginDomain(what) => (what, "set it to an address at that domain"),
    };
    let login = Address::parse(login?).ok()?;
    let fits = match provider.sender {
        SenderRule::LoginDomain(_) => login.domain() == sender.domain(),
        _ => login.canonical() == sender.canonical(),
    };
    let what = format!(
        "`sender.from` is `{from}`, but the login is `{}`: {what}",
        login.as_written()
    );
    (!fits).then(|| finding(Severity::Warning, "sender.from", what, fix))
}

/// That the limits depend on the account.
fn about_limits(provider: &Provider) -> Option<Finding> {
    let what = provider.limits_by_account?.to_owned();
    let fix = "set `limits.per_minute` and `limits.per_day`";
    Some(finding(Severity::Note, "limits", what, fix))
}

/// That replies and bounces do not contain the Message-ID of the ledger.
fn about_id(provider: &Provider) -> Option<Finding> {
    let what = format!(
        "{} replaces the Message-ID, so replies and bounces name its own id",
        provider.name
    );
    let fix = "compare it with the relay's reply to each message (`status --format json`)";
    let replaces = provider.replaces_message_id;
    replaces.then(|| finding(Severity::Note, "smtp.provider", what, fix))
}

/// That click tracking would replace the link.
fn about_links(provider: &Provider) -> Option<Finding> {
    let fix = provider.link_tracking?;
    let what = format!(
        "with click tracking, {} sends another link than the configured one",
        provider.name
    );
    Some(finding(Severity::Note, "smtp.provider", what, fix))
}

fn finding(severity: Severity, at: &str, what: String, fix: &str) -> Finding {
    Finding {
        check: CHECK,
        severity,
        at: at.to_owned(),
        what,
        fix: fix.to_owned(),
    }
}
