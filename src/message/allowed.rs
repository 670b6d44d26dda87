//! Which links a mail may have, in both parts alike, and which images.
//!
//! In the text part, every URL is a link, because mail programs make one of it. A URL in a value of the list or of the
//! configuration is that value's text: templates show values, and only what a template itself says is its doing.

use anyhow::{Result, bail};
use memchr::memchr_iter;

use crate::address::Address;

/// What may be linked.
#[derive(Clone, Copy, Debug)]
pub struct AllowedLinks<'a> {
    /// The link of the access package.
    pub link: &'a str,
    /// Whom the partner may write to: the reply address, and the inviter if there is one.
    pub addresses: [Option<&'a Address>; 2],
    /// The mail by which the partner refuses further mail.
    pub unsubscribe: Option<&'a str>,
    /// The contact, whose telephone numbers may be called.
    pub contact: Option<&'a str>,
    /// The privacy statement.
    pub privacy_url: Option<&'a str>,
    /// Values of the list and the configuration, which may contain any text.
    pub values: &'a [&'a str],
}

impl AllowedLinks<'_> {
    /// Requires that each of these targets of links is allowed.
    ///
    /// # Errors
    /// The first that is not, with what to do instead.
    pub fn verify_targets(&self, targets: &[String]) -> Result<()> {
        match targets.iter().find(|it| !self.is_target(it)) {
            Some(other) => self.refuse(other, "linked"),
            None => Ok(()),
        }
    }

    /// Requires that each URL in a text is allowed.
    ///
    /// # Errors
    /// The first that is not, with what to do instead.
    pub fn verify_text(&self, text: &str) -> Result<()> {
        for colon in memchr_iter(b':', text.as_bytes()) {
            let Some(start) = start_of_url(text, colon) else {
                continue;
            };
            let url = &text[start..];
            if !self.begins_allowed(url) && !self.is_of_a_value(url) {
                let end = url.find(|it: char| it.is_whitespace() || "<>\"".contains(it));
                return self.refuse(&url[..end.unwrap_or(url.len())], "in the text");
            }
        }
        Ok(())
    }

    fn is_target(&self, target: &str) -> bool {
        target == self.link
            || Some(target) == self.privacy_url
            || Some(target) == self.unsubscribe
            || target
                .strip_prefix("mailto:")
                .is_some_and(|it| self.is_address(it))
            || target
                .strip_prefix("tel:")
                .is_some_and(|it| self.is_number(it))
    }

    fn is_address(&self, address: &str) -> bool {
        let mut addresses = self.addresses.iter().flatten();
        addresses.any(|it| it.wire() == address)
    }

    /// Whether this is a telephone number of the contact, however it is grouped.
    fn is_number(&self, number: &str) -> bool {
        let number = ungrouped(number);
        number.len() > 3 && numbers_in(self.contact.unwrap_or_default()).contains(&number)
    }

    /// Whether a text begins with a link that is allowed, as a whole.
    fn begins_allowed(&self, text: &str) -> bool {
        let begins = |url: &str| {
            let rest = text.strip_prefix(url);
            let goes_on = |it: char| it.is_ascii_alphanumeric() || "/?#%&=_~+@-".contains(it);
            rest.is_some_and(|it| !it.starts_with(goes_on))
        };
        let urls = [Some(self.link), self.privacy_url, self.unsubscribe];
        let mut addresses = self.addresses.iter().flatten();
        urls.into_iter().flatten().any(begins)
            || addresses.any(|it| begins(&format!("mailto:{}", it.wire())))
    }

    /// Whether a URL stands in a value. Templates may shorten values, so only its beginning counts.
    fn is_of_a_value(&self, url: &str) -> bool {
        let scheme = url.find(':').map_or(0, |it| it + 1);
        let host = &url[scheme..];
        let is_host = |it: char| it.is_ascii_alphanumeric() || "/-:@_.".contains(it);
        let end = host.find(|it| !is_host(it)).unwrap_or(host.len());
        let url = url[..scheme + end].trim_end_matches(['.', ':', '/']);
        self.values.iter().any(|it| it.contains(url))
    }

    /// The error for a link that is not allowed, and what to do instead.
    fn refuse(&self, link: &str, place: &str) -> Result<()> {
        let reply = self.addresses[0].map(|it| format!("mailto:{}", it.wire()));
        let others = [reply.as_deref(), self.privacy_url];
        let allowed: Vec<&str> = others.into_iter().flatten().collect();
        let instead = match link.split_once(':') {
            Some(("tel", _)) => ", or write the number into `sender.contact`, too",
            Some(("http" | "https", rest)) if self.is_portal(rest) => {
                ", or write `{{ portal_host }}` to name the portal"
            }
            Some(("https", _)) => ", or set `brand.privacy_url` if it is your privacy statement",
            _ => "",
        };
        bail!(
            "`{}` is {place}, but only the access package link and `{}` may be; remove it{instead}",
            link.escape_debug(),
            allowed.join("`, `")
        )
    }

    /// Whether what follows a scheme is the portal of the link.
    fn is_portal(&self, rest: &str) -> bool {
        let link = self.link.split_once(':');
        link.is_some_and(|(_, it)| host_in(it) == host_in(rest))
    }
}

/// The host in what follows a scheme.
fn host_in(rest: &str) -> &str {
    let authority = rest.trim_start_matches('/');
    authority.split('/').next().unwrap_or_default()
}

/// The start of the URL whose scheme ends at this colon; none if there is none.
fn start_of_url(text: &str, colon: usize) -> Option<usize> {
    let (before, after) = (&text[..colon], &text[colon + 1..]);
    let is_scheme = |it: char| it.is_ascii_alphanumeric() || "+-.".contains(it);
    let start = before.trim_end_matches(is_scheme).len();
    let scheme = &before[start..];
    let is_url = after.starts_with("//") && !scheme.is_empty();
    let is_mail = scheme.eq_ignore_ascii_case("mailto") && !after.starts_with(char::is_whitespace);
    (is_url || is_mail).then_some(start)
}

/// The telephone numbers in a text, each as its digits, with and without a zero in parentheses.
fn numbers_in(text: &str) -> Vec<String> {
    let is_part = |it: char| it.is_ascii_digit() || is_grouping(it) || it == '+';
    let parts = text
        .split(|it| !is_part(it))
        .filter(|it| !it.trim().is_empty());
    parts
        .flat_map(|it| [ungrouped(it), ungrouped(&it.replace("(0)", ""))])
        .collect()
}

fn ungrouped(number: &str) -> String {
    number.chars().filter(|it| !is_grouping(*it)).collect()
}

fn is_grouping(it: char) -> bool {
    it.is_whitespace() || "-.()/\u{2011}\u{2013}".contains(it)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://myaccess.microsoft.com/@a.example#/access-packages/8e1f8f5a";
    const UNSUBSCRIBE: &str = "mailto:access@contoso.example?subject=0123456789abcdef";
    const PRIVACY: &str = "https://contoso.example/privacy";

    fn with<T>(read: impl Fn(&AllowedLinks<'_>) -> T) -> T {
        let reply = Address::parse("partners@bücher.example").unwrap();
        let inviter = Address::parse("ada@contoso.example").unwrap();
        read(&AllowedLinks {
            link: LINK,
            addresses: [Some(&reply), Some(&inviter)],
            unsubscribe: Some(UNSUBSCRIBE),
            contact: Some("Desk, +33 (0)1 23-45.67/89 or (030) 1234567 (ext. 12)"),
            privacy_url: Some(PRIVACY),
            values: &["Ada https://evil.example/ of http://x.example/a"],
        })
    }

    #[test]
    fn each_allowed_target_is_accepted_and_no_other() {
        for (target, is_allowed) in [
            (LINK, true),
            (PRIVACY, true),
            (UNSUBSCRIBE, true),
            ("mailto:partners@xn--bcher-kva.example", true),
            ("mailto:ada@contoso.example", true),
            ("tel:+33123456789", true),
            ("tel:+330123456789", true),
            ("tel:+33-1-23-45-67-89", true),
            ("tel:0301234567", true),
            ("", false),
            ("#", false),
            ("https://contoso.example/privacy/", false),
            ("https://contoso.example", false),
            ("https://myaccess.microsoft.com/", false),
            ("https://evil.example/", false),
            ("mailto:ada@contoso.example?subject=x", false),
            ("mailto:eva@contoso.example", false),
            ("MAILTO:ada@contoso.example", false),
            ("mailto:access@contoso.example", false),
            ("tel:", false),
            ("tel:12", false),
            ("tel:+3312345678", false),
            ("tel:+331234567890", false),
            ("sms:+33123456789", false),
            ("cid:logo@contoso.example", false),
        ] {
            assert_eq!(with(|it| it.is_target(target)), is_allowed, "{target}");
        }
    }

    #[test]
    fn a_url_in_a_text_is_allowed_or_that_of_a_value() {
        for (text, is_allowed) in [
            (LINK, true),
            ("Privacy: https://contoso.example/privacy.", true),
            ("(https://contoso.example/privacy)", true),
            ("隐私：https://contoso.example/privacy。", true),
            (UNSUBSCRIBE, true),
            ("mailto:ada@contoso.example", true),
            (
                "It begins with myaccess.microsoft.com; at 10:30 mailto: x ://",
                true,
            ),
            ("Hello Ada https://evil.example/ of x,", true),
            ("Hello Ada https://evil.exam…", true),
            ("Hello http://x.example.", true),
            ("https://contoso.example/privacy2", false),
            ("https://contoso.example/privacy/x", false),
            ("https://contoso.example", false),
            ("https://evil.example.org/", false),
            ("https://other.example", false),
            ("HTTPS://other.example", false),
            ("x ftp://other.example x", false),
            ("漢字https://other.example", false),
            ("mailto:eva@contoso.example", false),
            ("MailTo:eva@contoso.example", false),
        ] {
            let verified = with(|it| it.verify_text(&format!("a\n{text}\nb")));
            assert_eq!(verified.is_ok(), is_allowed, "{text}: {verified:?}");
        }
    }

    #[test]
    fn the_error_says_what_to_do_instead() {
        for (link, instead) in [
            (
                "https://myaccess.microsoft.com/",
                "write `{{ portal_host }}` to name the portal",
            ),
            (
                "https://other.example/p",
                "set `brand.privacy_url` if it is your privacy statement",
            ),
            ("tel:+49", "write the number into `sender.contact`, too"),
        ] {
            let error = with(|it| it.verify_targets(&[LINK.into(), link.into()]));
            let error = error.unwrap_err().to_string();
            let begins = format!(
                "`{link}` is linked, but only the access package link and `mailto:partners@xn--bcher-kva.example`, `{PRIVACY}` may be; remove it, or "
            );
            assert!(
                error.starts_with(&begins) && error.ends_with(instead),
                "{error}"
            );
        }
    }
}
