//! The My Access portal link.
//!
//! A link is validated once and then used byte for byte; no code normalises, shortens or encodes it.
//! Each common copying error is reported with its own fix, because otherwise only the partner would notice.
//!
//! The form is that of Microsoft Learn, "Share link to request an access package":
//! `https://myaccess.microsoft.com/@<directory_hint>#/access-packages/<access_package_id>`.

use std::fmt;
use std::ops::Range;

use url::Url;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The hosts of the My Access portal: the public cloud and US Government.
const HOSTS: [&str; 2] = ["myaccess.microsoft.com", "myaccess.microsoft.us"];

/// The hint that Microsoft's documentation prints in its examples.
const DOCUMENTATION_HINT: &str = "contoso.onmicrosoft.com";

/// The fragment, up to the id of the access package.
const ROUTE: &str = "/access-packages/";

/// A complete My Access portal link, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPackageLink {
    text: String,
    hint: String,
    package_id: PackageId,
}

impl AccessPackageLink {
    /// Parses a link to one of Microsoft's hosts or of `allowed_hosts`; also returns warnings.
    ///
    /// # Errors
    /// The first reason why this is not a complete link, with a fix.
    pub fn parse(
        text: &str,
        allowed_hosts: &[String],
    ) -> Result<(Self, Vec<LinkWarning>), LinkError> {
        refuse_stray_characters(text)?;
        refuse_placeholders(text)?;
        let url = Url::parse(text).map_err(|_| LinkError::NotAUrl)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if let Some(wrapper) = wrapper(&host) {
            return Err(LinkError::Wrapped(wrapper));
        }
        if url.scheme() != "https" {
            return Err(LinkError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LinkError::UserInfo(host));
        }
        if !HOSTS.contains(&host.as_str()) && !allowed_hosts.contains(&host) {
            return Err(LinkError::Host(host));
        }
        if authority(text).contains(':') {
            return Err(LinkError::Port);
        }
        let (hint, escaped) = directory_hint(&url)?;
        if url.query().is_some() {
            return Err(LinkError::Query);
        }
        let package_id = package_id(url.fragment())?;

        let at = if escaped { "%40" } else { "@" };
        let id = &text[text.len().saturating_sub(PackageId::LENGTH)..];
        if text != format!("https://{host}/{at}{hint}#{ROUTE}{id}") {
            return Err(LinkError::NotVerbatim);
        }

        let warnings = warnings(&host, &hint, escaped);
        let link = Self {
            text: text.to_owned(),
            hint,
            package_id,
        };
        Ok((link, warnings))
    }

    /// The link to an access package of the tenant with this domain.
    ///
    /// # Errors
    /// If host or domain cannot be part of a link.
    pub fn compose(host: &str, hint: &str, package_id: PackageId) -> Result<Self, LinkError> {
        let text = format!("https://{host}/@{hint}#{ROUTE}{package_id}");
        Ok(Self::parse(&text, &[])?.0)
    }

    /// The link, byte for byte as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the access package that the link opens.
    #[must_use]
    pub fn package_id(&self) -> PackageId {
        self.package_id
    }

    /// The inviting tenant's domain.
    #[must_use]
    pub fn directory_hint(&self) -> &str {
        &self.hint
    }

    /// The host of the portal, one for each cloud.
    #[must_use]
    pub fn host(&self) -> &str {
        authority(&self.text)
    }
}

impl fmt::Display for AccessPackageLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The GUID of an access package, which Graph calls `accessPackage.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId(Uuid);

impl PackageId {
    /// The length of a hyphenated GUID.
    const LENGTH: usize = Hyphenated::LENGTH;

    /// Parses the hyphenated form, in upper or lower case, and no other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        (text.len() == Self::LENGTH).then_some(Self(id))
    }

    /// The sixteen bytes of the id.
    #[must_use]
    pub fn as_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An unusual form of a link that may still work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkWarning {
    /// `%40` for `@`.
    #[error(
        "the `@` before the directory hint is written `%40`, which is mailed as it is; write `@`, as in the documented form"
    )]
    EscapedAt,
    /// The hint is a tenant id.
    #[error("the directory hint is a GUID; use a domain of your tenant, as in the documented form")]
    GuidHint,
    /// Government host, commercial tenant.
    #[error(
        "the host is that of the US Government cloud, but the directory hint ends with `.com`; compare the link with that in the portal"
    )]
    GovernmentHostCommercialHint,
    /// The documentation's tenant.
    #[error(
        "`{DOCUMENTATION_HINT}` is the tenant of Microsoft's documentation, which invites nobody; copy the link of your own access package"
    )]
    Documentation,
}

/// Why a text is not a complete My Access portal link, with a fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The text is empty.
    #[error("the link is empty; {COPY}")]
    Empty,
    /// A blank, control or look-alike character.
    #[error(
        "character {position} of the link is {name} (U+{:04X}), probably from copying; remove it",
        u32::from(*character)
    )]
    StrayCharacter {
        /// Counted from 1.
        position: usize,
        /// The character itself.
        character: char,
        /// Its name.
        name: &'static str,
    },
    /// Punctuation of the sentence around it.
    #[error(
        "the link ends with `{0}`, probably punctuation of the text around it; end the link with the access package id"
    )]
    TrailingPunctuation(char),
    /// A placeholder that was not replaced.
    #[error("the link still has the placeholder `{0}`; {COPY}")]
    Placeholder(String),
    /// Not parsed at all.
    #[error("the text is not a URL; {COPY}")]
    NotAUrl,
    /// A link rewritten by a mail scanner.
    #[error("the link was rewritten by {0}, because it was copied from a mail; {COPY}")]
    Wrapped(&'static str),
    /// Not https.
    #[error("the link begins with `{0}:`; it must begin with `https://`")]
    Scheme(String),
    /// `https://myaccess.microsoft.com@evil.example`.
    #[error(
        "the text before the `@` is read as a user name, so the link leads to `{0}`; write `/@` after the host"
    )]
    UserInfo(String),
    /// Some other host.
    #[error(
        "the host `{0}` is not the My Access portal, which is `myaccess.microsoft.com` or `myaccess.microsoft.us`; {COPY}, or name the host in `allow_host` if it is right"
    )]
    Host(String),
    /// A port.
    #[error("the link names a port after the host; remove it")]
    Port,
    /// `%23` for `#`.
    #[error("the `#` is written `%23`, so the portal does not show the access package; write `#`")]
    EncodedHash,
    /// No directory hint.
    #[error(
        "the directory hint is missing: `/@` and your tenant's domain must follow the host, or partners sign in to their own tenant; {COPY}"
    )]
    HintMissing,
    /// A path that is not `/@domain`.
    #[error(
        "`{0}` is not a directory hint; after the host, write `/@` and a domain of your tenant, such as `/@contoso.onmicrosoft.com`, then `#`"
    )]
    Hint(String),
    /// A query.
    #[error("the link has a query (`?…`), which the portal does not document; {COPY}")]
    Query,
    /// Nothing after `#`.
    #[error(
        "the part after the directory hint, from `#` on, is missing, so the portal does not show the access package; copy the link up to its last character"
    )]
    FragmentMissing,
    /// `#/access-packages/active/…`.
    #[error(
        "`active` is from the address bar of the portal, where the link opens only packages that you already have; {COPY}"
    )]
    ActiveTab,
    /// Some other page of the portal.
    #[error("`#{0}` is another page of the portal; {COPY}")]
    OtherPage(String),
    /// No id.
    #[error(
        "the access package id is missing after `#/access-packages/`; copy the link up to its last character"
    )]
    IdMissing,
    /// Not a GUID.
    #[error(
        "`{0}` is not an access package id, which has the form `8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11`; copy the link up to its last character"
    )]
    Id(String),
    /// A valid id with something after it.
    #[error("`{0}` follows the access package id; end the link with the id")]
    AfterId(String),
    /// The id of zeros.
    #[error("the access package id consists of zeros only; {COPY}")]
    NilId,
    /// Valid once a browser has normalised it, but not as written.
    #[error(
        "the link is not written as `https://myaccess.microsoft.com/@<domain>#/access-packages/<id>`; check capitals, doubled slashes and escapes, or copy it again"
    )]
    NotVerbatim,
}

impl LinkError {
    /// The range of the link that is wrong; none if the whole link is.
    #[must_use]
    pub fn span(&self, link: &str) -> Option<Range<usize>> {
        let found = |part: &str| link.rfind(part).map(|at| at..at + part.len());
        let end = link.len().saturating_sub(1)..link.len();
        let host = link.find("://").map_or(0, |at| at + 3);
        let host = host..host + authority(link).len();
        let fragment = link.find('#').unwrap_or(link.len());
        match self {
            Self::Empty | Self::NotAUrl | Self::NotVerbatim => None,
            Self::StrayCharacter { position, .. } => {
                let (at, it) = link.char_indices().nth(position - 1)?;
                Some(at..at + it.len_utf8())
            }
            Self::TrailingPunctuation(_) | Self::FragmentMissing | Self::IdMissing => Some(end),
            Self::Placeholder(part) | Self::Hint(part) | Self::Id(part) | Self::AfterId(part) => {
                found(part)
            }
            Self::Wrapped(_) | Self::Host(_) | Self::UserInfo(_) => Some(host),
            Self::Scheme(scheme) => Some(0..scheme.len()),
            Self::Port => Some(host.start + authority(link).find(':')?..host.end),
            Self::EncodedHash => found("%23"),
            Self::HintMissing => Some(host.end.min(end.start)..(host.end + 1).min(end.end)),
            Self::Query => Some(link.find('?')?..fragment),
            Self::ActiveTab => found("active"),
            Self::OtherPage(_) => Some(fragment..link.len()),
            Self::NilId => Some(link.len() - PackageId::LENGTH..link.len()),
        }
    }
}

const COPY: &str = "copy \"My Access portal link\" from the access package's overview in the Microsoft Entra admin center";

/// Refuses characters that copying adds to a link.
fn refuse_stray_characters(text: &str) -> Result<(), LinkError> {
    if text.is_empty() {
        return Err(LinkError::Empty);
    }
    for (index, character) in text.chars().enumerate() {
        let name = match character {
            '!'..='~' if !matches!(character, '\\' | '"' | '`' | '^' | '|') => continue,
            ' ' => "a blank",
            '\t' => "a tab",
            '\r' | '\n' => "a line break",
            '\u{a0}' => "a no-break space",
            '\u{ad}' => "a soft hyphen",
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {
                "an invisible zero-width character"
            }
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                "an invisible direction mark"
            }
            '\u{ff01}'..='\u{ff5e}' => "a full-width character",
            '\u{2010}'..='\u{2015}' | '\u{2212}' => "a dash in place of a hyphen",
            '\u{2026}' => "an ellipsis, where the link was cut off for display",
            _ if character.is_control() => "a control character",
            _ if character.is_alphabetic() => "a letter that only looks like a Latin one",
            _ => "a character that is in no My Access link",
        };
        return Err(LinkError::StrayCharacter {
            position: index + 1,
            character,
            name,
        });
    }
    match text.chars().last() {
        Some(last @ ('.' | ',' | ';' | ':' | ')' | ']' | '!' | '\'' | '*')) => {
            Err(LinkError::TrailingPunctuation(last))
        }
        Some(last @ '>') if !text.contains('<') => Err(LinkError::TrailingPunctuation(last)),
        _ => Ok(()),
    }
}

/// Refuses `<directory_hint>`, `{id}` and the like.
fn refuse_placeholders(text: &str) -> Result<(), LinkError> {
    for (open, close) in [('<', '>'), ('{', '}'), ('[', ']')] {
        if let Some(start) = text.find(open) {
            let rest = &text[start..];
            let end = rest.rfind(close).map_or(rest.len(), |end| end + 1);
            return Err(LinkError::Placeholder(rest[..end].to_owned()));
        }
    }
    if let Some(start) = text.find("...") {
        return Err(LinkError::Placeholder(text[start..].to_owned()));
    }
    Ok(())
}

/// Domains of mail scanners that rewrite links.
const WRAPPERS: [(&str, &str); 8] = [
    ("safelinks.protection.outlook.com", SAFE_LINKS),
    ("safelinks.protection.office365.us", SAFE_LINKS),
    ("urldefense.com", URL_DEFENSE),
    ("urldefense.proofpoint.com", URL_DEFENSE),
    ("urldefense.us", URL_DEFENSE),
    ("linkprotect.cudasvc.com", "Barracuda Link Protection"),
    ("mimecast.com", "Mimecast URL Protect"),
    ("mimecastprotect.com", "Mimecast URL Protect"),
];
const SAFE_LINKS: &str = "Microsoft Safe Links";
const URL_DEFENSE: &str = "Proofpoint URL Defense";

/// The scanner that rewrote a link, by the link's host.
fn wrapper(host: &str) -> Option<&'static str> {
    let under = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let found = WRAPPERS.iter().find(|(domain, _)| under(domain));
    found.map(|(_, name)| *name)
}

/// The part between `https://` and the path, as written.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The tenant's domain after `/@`, and whether the `@` is escaped.
fn directory_hint(url: &Url) -> Result<(String, bool), LinkError> {
    let path = url.path();
    if path.to_ascii_lowercase().contains("%23") {
        return Err(LinkError::EncodedHash);
    }
    let (hint, escaped) = if let Some(hint) = path.strip_prefix("/@") {
        (hint, false)
    } else if let Some(hint) = path.strip_prefix("/%40") {
        (hint, true)
    } else if path == "/" {
        return Err(LinkError::HintMissing);
    } else {
        return Err(LinkError::Hint(path.to_owned()));
    };
    if hint.is_empty() {
        return Err(LinkError::HintMissing);
    }
    if is_domain(hint) || PackageId::parse(hint).is_some() {
        Ok((hint.to_owned(), escaped))
    } else {
        Err(LinkError::Hint(path.to_owned()))
    }
}

/// A domain name in ASCII with at least two labels.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// The id after `#/access-packages/`.
fn package_id(fragment: Option<&str>) -> Result<PackageId, LinkError> {
    let fragment = fragment.unwrap_or_default();
    if fragment.is_empty() {
        return Err(LinkError::FragmentMissing);
    }
    let Some(id) = fragment.strip_prefix(ROUTE) else {
        return Err(match fragment {
            "/access-packages" => LinkError::IdMissing,
            _ => LinkError::OtherPage(fragment.to_owned()),
        });
    };
    if id.is_empty() {
        return Err(LinkError::IdMissing);
    }
    if id == "active" || id.starts_with("active/") {
        return Err(LinkError::ActiveTab);
    }
    match PackageId::parse(id) {
        Some(id) if id.0.is_nil() => Err(LinkError::NilId),
        Some(id) => Ok(id),
        None => match id.split_at_checked(PackageId::LENGTH) {
            Some((head, tail)) if PackageId::parse(head).is_some() => {
                Err(LinkError::AfterId(tail.to_owned()))
            }
            _ => Err(LinkError::Id(id.to_owned())),
        },
    }
}

fn warnings(host: &str, hint: &str, escaped: bool) -> Vec<LinkWarning> {
    let mut warnings = Vec::new();
    let lower = hint.to_ascii_lowercase();
    if escaped {
        warnings.push(LinkWarning::EscapedAt);
    }
    if PackageId::parse(hint).is_some() {
        warnings.push(LinkWarning::GuidHint);
    }
    if host == HOSTS[1] && lower.ends_with(".com") {
        warnings.push(LinkWarning::GovernmentHostCommercialHint);
    }
    if lower == DOCUMENTATION_HINT {
        warnings.push(LinkWarning::Documentation);
    }
    warnings
}

#[cfg(test)]
mod tests;
