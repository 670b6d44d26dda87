//! What DNS says about the sender's domain: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489, RFC 9989),
//! by which receivers decide whether a message is genuine.
//!
//! The records are parsed by pure functions; [`SenderDomain::check`] looks them up. Nothing here prevents
//! sending: the findings are warnings and notes, and what cannot be looked up is "not checked".

mod dkim;
mod dkim_check;
mod dmarc;
mod dmarc_check;
mod known;
mod lookups;
mod spf;
mod spf_check;
mod spf_walk;
mod tags;

use std::time::Duration;

use tokio::time::timeout;

use crate::dns::Resolver;
use crate::finding::{Finding, Severity};

pub use self::known::Known;

use self::lookups::Lookups;

/// How long DNS may take before it is reported that it is waited for.
const LONG: Duration = Duration::from_secs(2);

/// The domain of the From address, and what is known about how its mail is sent.
#[derive(Clone, Copy, Debug)]
pub struct SenderDomain<'c> {
    /// The domain, in ASCII.
    pub domain: &'c str,
    /// The configured DKIM selectors.
    pub selectors: &'c [String],
    /// The name of the provider of the relay, if one is configured.
    pub provider: Option<&'c str>,
}

impl SenderDomain<'_> {
    /// Checks the domain; `found` receives each finding as soon as it is known.
    pub async fn check(&self, resolver: &Resolver, found: &mut impl FnMut(Finding)) {
        let domain = self.domain;
        if let Some(label) = reserved_label(domain) {
            let what = format!(
                "not checked: `{domain}` is not in public DNS, because `.{label}` is reserved"
            );
            found(Finding::new("sender", Severity::Note, domain, what));
            return;
        }
        let known = Known::of(self.provider);
        let mut lookups = Lookups::new(resolver);
        let check = spf_check::check(domain, &known, &mut lookups);
        let spf = self.patiently(found, check).await;
        found(spf.finding);
        let check = dkim_check::check(domain, self.selectors, &known, &mut lookups);
        let (dkim, signed) = self.patiently(found, check).await;
        dkim.into_iter().for_each(&mut *found);
        let aligned = dmarc_check::Aligned {
            spf: spf.admits_relay.filter(|_| !known.replaces_return_path),
            dkim: signed,
            return_path_replaced: known.replaces_return_path,
        };
        let check = dmarc_check::check(domain, aligned, &mut lookups);
        let dmarc = self.patiently(found, check).await;
        found(dmarc);
    }

    /// Waits for a check; reports that DNS is waited for if it takes long.
    async fn patiently<T>(
        &self,
        found: &mut impl FnMut(Finding),
        check: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(check);
        if let Ok(done) = timeout(LONG, &mut check).await {
            return done;
        }
        let domain = self.domain;
        let what = format!("waiting for DNS about `{domain}`");
        found(Finding::without_fix("sender", Severity::Note, domain, what));
        check.await
    }
}

/// The top-level label of a name that public DNS does not have (RFC 6761, RFC 6762, RFC 9476, ICANN 2024).
fn reserved_label(domain: &str) -> Option<&str> {
    let last = domain.rsplit('.').next()?;
    let reserved = [
        "example",
        "test",
        "invalid",
        "localhost",
        "local",
        "alt",
        "internal",
    ];
    reserved
        .iter()
        .any(|it| it.eq_ignore_ascii_case(last))
        .then_some(last)
}

#[cfg(test)]
mod tests {
    use super::reserved_label;

    #[test]
    fn reserved_names_are_not_looked_up() {
        for (domain, expected) in [
            ("contoso.example", Some("example")),
            ("mail.contoso.TEST", Some("TEST")),
            ("contoso.com", None),
            ("example.com", None),
            ("contoso.examples", None),
        ] {
            assert_eq!(reserved_label(domain), expected, "{domain}");
        }
    }
}
