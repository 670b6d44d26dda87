//! EHLO (RFC 5321 §4.1.1.1): the name that the client gives, and the extensions that the relay offers.

use std::net::IpAddr;

/// Top-level labels that do not exist in public DNS (RFC 6761, RFC 6762, and defaults of installers and
/// routers).
const LOCAL_ONLY: &str =
    "localhost localdomain localdomain4 localdomain6 local lan home internal invalid test";

/// The name for EHLO: the host name if others can resolve it, otherwise the connection's local address
/// as a literal (§4.1.3).
pub fn client_name(host_name: &str, local: IpAddr) -> String {
    if is_resolvable(host_name) {
        return host_name.to_owned();
    }
    match local.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Whether a name is fully qualified and may be known beyond this machine and its network.
fn is_resolvable(name: &str) -> bool {
    let (Some((first, _)), Some((_, last))) = (name.split_once('.'), name.rsplit_once('.')) else {
        return false;
    };
    let numeric = last.bytes().all(|it| it.is_ascii_digit());
    let local = first == "localhost"
        || LOCAL_ONLY
            .split(' ')
            .any(|it| it.eq_ignore_ascii_case(last));
    !numeric && !local && idna::domain_to_ascii_strict(name).is_ok_and(|it| it == name)
}

/// The extensions that this program uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EhloExtensions {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// The largest message in octets (SIZE, RFC 1870), if the relay gives one.
    pub size: Option<usize>,
    /// The mechanisms of AUTH (RFC 4954), in upper case.
    pub auth: Vec<String>,
    /// Those of 8BITMIME, SMTPUTF8 and DSN that are offered.
    pub others: Vec<&'static str>,
}

/// Extensions that are reported, although this program does not depend on them.
pub const FOR_PEOPLE: [&str; 3] = ["8BITMIME", "SMTPUTF8", "DSN"];

impl EhloExtensions {
    /// Reads the lines of the reply to EHLO; the first is a greeting. Keywords are case-insensitive.
    #[must_use]
    pub fn read(lines: &[String]) -> Self {
        let mut extensions = Self::default();
        for line in lines.iter().skip(1) {
            // Old servers send `AUTH=LOGIN` in addition to, or instead of, `AUTH LOGIN`.
            let line = line.to_ascii_uppercase().replace(['=', ','], " ");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => extensions.starttls = true,
                Some("PIPELINING") => extensions.pipelining = true,
                // Zero means that there is no limit.
                Some("SIZE") => {
                    let size = words.next().and_then(|it| it.parse().ok());
                    extensions.size = size.filter(|it| *it > 0);
                }
                Some("AUTH") => {
                    for mechanism in words {
                        if !extensions.offers_auth(mechanism) {
                            extensions.auth.push(mechanism.to_owned());
                        }
                    }
                }
                Some(word) => {
                    extensions.dsn |= word == "DSN";
                    let known = FOR_PEOPLE.into_iter().filter(|it| *it == word);
                    extensions.others.extend(known);
                }
                None => {}
            }
        }
        extensions
    }

    /// Whether AUTH is offered with this mechanism.
    #[must_use]
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|it| it == mechanism)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> EhloExtensions {
        let lines: Vec<String> = lines.iter().map(|it| (*it).to_owned()).collect();
        EhloExtensions::read(&lines)
    }

    #[test]
    fn extensions_are_read_in_any_case_and_in_the_old_spelling() {
        let extensions = read(&[
            "AUTH STARTTLS greets",
            "starttls",
            "auth login PLAIN",
            "AUTH=LOGIN",
            "size 35882577",
            "Pipelining",
            "8bitMIME",
            "DSN",
        ]);

        assert!(extensions.starttls && extensions.pipelining && extensions.dsn);
        assert_eq!(extensions.size, Some(35_882_577));
        assert_eq!(extensions.auth, ["LOGIN", "PLAIN"]);
        assert_eq!(extensions.others, ["8BITMIME", "DSN"]);
        assert!(extensions.offers_auth("PLAIN") && !extensions.offers_auth("XOAUTH2"));
    }

    #[test]
    fn the_greeting_and_unknown_lines_offer_nothing() {
        assert_eq!(read(&["STARTTLS"]), EhloExtensions::default());
        assert_eq!(
            read(&["x", "", "STARTTLSX", "PIPELININGS", "XAUTH PLAIN", "AUTH"]),
            EhloExtensions::default()
        );
        for no_limit in ["SIZE", "SIZE 0", "SIZE many"] {
            assert_eq!(read(&["x", no_limit]), EhloExtensions::default());
        }
    }

    #[test]
    fn r16_an_unresolvable_host_name_becomes_an_address_literal() {
        let table = [
            ("mail.contoso.example", "mail.contoso.example"),
            ("a.b.c.fabrikam.com", "a.b.c.fabrikam.com"),
            ("localhost.localdomain", "[192.0.2.7]"),
            ("localhost.contoso.com", "[192.0.2.7]"),
            ("localhost6.localdomain6", "[192.0.2.7]"),
            ("box.localdomain", "[192.0.2.7]"),
            ("macbook.local", "[192.0.2.7]"),
            ("MacBook.LOCAL", "[192.0.2.7]"),
            ("nas.lan", "[192.0.2.7]"),
            ("ip-10-0-0-1.ec2.internal", "[192.0.2.7]"),
            ("localhost", "[192.0.2.7]"),
            ("web01", "[192.0.2.7]"),
            ("", "[192.0.2.7]"),
            ("10.0.0.1", "[192.0.2.7]"),
            ("under_score.contoso.com", "[192.0.2.7]"),
            ("trailing.contoso.com.", "[192.0.2.7]"),
            ("bücher.example", "[192.0.2.7]"),
        ];
        for (name, expected) in table {
            assert_eq!(
                client_name(name, "192.0.2.7".parse().unwrap()),
                expected,
                "{name}"
            );
        }
        for (local, expected) in [
            ("127.0.0.1", "[127.0.0.1]"),
            ("::1", "[IPv6:::1]"),
            ("2001:db8::7", "[IPv6:2001:db8::7]"),
            ("::ffff:192.0.2.7", "[192.0.2.7]"),
        ] {
            assert_eq!(client_name("web01", local.parse().unwrap()), expected);
        }
    }
}
