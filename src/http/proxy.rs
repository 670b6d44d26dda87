//! Proxies from the environment, by curl's rules (curl(1), "ENVIRONMENT").
//!
//! `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` in this order; `no_proxy`, `NO_PROXY`
//! exempt hosts. A URL without a port means 1080, as for curl.

use std::net::IpAddr;

use ureq::{Proxy, ProxyProtocol};
use url::{Host, Url};

use super::error::HttpError;

/// The proxies that the environment names.
#[derive(Clone, Default)]
pub struct Proxies {
    /// The variable and its value, which may contain a password.
    proxy: Option<(&'static str, String)>,
    exempt: String,
}

/// A proxy to use.
pub(super) struct Chosen {
    pub proxy: Proxy,
    /// The proxy for messages, without its password.
    pub shown: String,
}

impl Proxies {
    /// Reads the variables; one that is empty counts as unset.
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|it| !it.is_empty());
        let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        Self {
            proxy: names
                .into_iter()
                .find_map(|name| Some((name, value(name)?))),
            exempt: ["no_proxy", "NO_PROXY"]
                .into_iter()
                .find_map(value)
                .unwrap_or_default(),
        }
    }

    /// Checks that the proxy for a URL can be used.
    ///
    /// # Errors
    /// If the variable does not name a proxy that is supported.
    pub fn check(&self, url: &Url) -> Result<(), HttpError> {
        self.proxy_for(url).map(|_| ())
    }

    /// The proxy for a URL. One without TLS leads to this machine, where no proxy is used.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<Chosen>, HttpError> {
        let Some((variable, value)) = &self.proxy else {
            return Ok(None);
        };
        match url.host() {
            Some(host) if url.scheme() == "https" && !is_exempt(&host, &self.exempt) => {}
            _ => return Ok(None),
        }
        let proxy = parse(value).ok_or_else(|| {
            HttpError::Configuration(format!(
                "the value of `{variable}` is not the URL of a proxy, such as http://proxy.example:3128; SOCKS proxies are not supported"
            ))
        })?;
        let shown = format!("{}:{} (`{variable}`)", proxy.host(), proxy.port());
        Ok(Some(Chosen { proxy, shown }))
    }
}

fn parse(value: &str) -> Option<Proxy> {
    let proxy = Proxy::new(value).ok()?;
    match proxy.protocol() {
        ProxyProtocol::Http => {}
        ProxyProtocol::Https => return Some(proxy),
        _ => return None,
    }
    let authority = proxy.uri().authority()?;
    if authority.port_u16().is_some() {
        return Some(proxy);
    }
    Proxy::new(&format!("http://{authority}:1080")).ok()
}

/// Whether a list of `NO_PROXY` contains a host: `*` is all; a domain includes its subdomains, with
/// or without a dot before it; an IP address matches only itself, with `/BITS` for a network.
fn is_exempt(host: &Host<&str>, list: &str) -> bool {
    if list == "*" {
        return true;
    }
    let mut entries = list.split([',', ' ', '\t']).filter(|it| !it.is_empty());
    match host {
        Host::Domain(name) => entries.any(|it| includes(it, name)),
        Host::Ipv4(address) => entries.any(|it| covers(it, IpAddr::V4(*address))),
        Host::Ipv6(address) => entries.any(|it| covers(it, IpAddr::V6(*address))),
    }
}

fn includes(entry: &str, name: &str) -> bool {
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let entry = entry.strip_suffix('.').unwrap_or(entry).to_lowercase();
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    let above = name.strip_suffix(&entry);
    !entry.is_empty() && above.is_some_and(|it| it.is_empty() || it.ends_with('.'))
}

fn covers(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(if address.is_ipv4() { 32 } else { 128 })),
    };
    // How many bits are equal, of how many.
    let (equal, length) = match (network.trim_matches(['[', ']']).parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            ((network.to_bits() ^ address.to_bits()).leading_zeros(), 32)
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) => {
            ((network.to_bits() ^ address.to_bits()).leading_zeros(), 128)
        }
        _ => return false,
    };
    bits.is_some_and(|it| it <= length && it <= equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], url: &str) -> Result<Option<String>, HttpError> {
        let proxies = Proxies::new(|name| {
            let found = variables.iter().find(|it| it.0 == name);
            found.map(|it| it.1.to_owned())
        });
        let chosen = proxies.proxy_for(&url.parse().unwrap())?;
        Ok(chosen.map(|it| it.shown))
    }

    #[test]
    fn the_variables_count_in_the_order_of_curl() {
        let url = "https://login.example/token";
        for (variables, expected) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", "")], None),
            (&[("HTTP_PROXY", "http://p:1")], None),
            (
                &[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://q:2")],
                Some("q:2 (`https_proxy`)"),
            ),
            (
                &[("ALL_PROXY", "http://p:1"), ("HTTPS_PROXY", "q:2")],
                Some("q:2 (`HTTPS_PROXY`)"),
            ),
            (
                &[("ALL_PROXY", "http://p:1"), ("HTTPS_PROXY", "")],
                Some("p:1 (`ALL_PROXY`)"),
            ),
            (
                &[("HTTPS_PROXY", "http://ada:hunter2@p:80")],
                Some("p:80 (`HTTPS_PROXY`)"),
            ),
            (
                &[("HTTPS_PROXY", "http://ada:hunter2@p")],
                Some("p:1080 (`HTTPS_PROXY`)"),
            ),
            (
                &[("HTTPS_PROXY", "https://p")],
                Some("p:443 (`HTTPS_PROXY`)"),
            ),
            (&[("HTTPS_PROXY", "p"), ("NO_PROXY", "login.example")], None),
        ] {
            assert_eq!(
                chosen(variables, url).unwrap().as_deref(),
                expected,
                "{variables:?}"
            );
        }
        // A request without TLS stays on this machine.
        let variables = [("HTTPS_PROXY", "http://p:1"), ("http_proxy", "http://p:1")];
        assert_eq!(chosen(&variables, "http://127.0.0.1:8080/").unwrap(), None);
    }

    #[test]
    fn a_proxy_that_is_not_supported_is_refused_without_its_value() {
        for value in [
            "socks5://ada:hunter2@p:1080",
            "http://ada:hunter2@",
            "ftp://hunter2",
            "a b",
        ] {
            let error = chosen(&[("ALL_PROXY", value)], "https://login.example").unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("`ALL_PROXY`") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }

    #[test]
    fn hosts_are_exempt_by_the_rules_of_curl() {
        for (list, host, exempt) in [
            ("", "login.example", false),
            ("*", "login.example", true),
            (" *", "login.example", false),
            ("*.example", "login.example", false),
            ("login.example", "login.example", true),
            ("LOGIN.example", "login.EXAMPLE", true),
            ("example", "login.example", true),
            (".example", "login.example", true),
            (".login.example", "login.example", true),
            ("example.", "login.example.", true),
            ("gin.example", "login.example", false),
            ("login.example:443", "login.example", false),
            ("a, b login.example", "login.example", true),
            ("a,\tlogin.example , b", "login.example", true),
            ("login.example.com", "login.example", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.77", false),
            ("192.0.2.0/33", "192.0.2.77", false),
            ("192.0.2.0/x", "192.0.2.0", false),
            ("2.1", "192.0.2.1", false),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8:0:0::1]", true),
            ("2001:db8::/32", "[2001:db8:5::1]", true),
            ("2001:db8::/32", "[2001:db9::1]", false),
            ("::/0", "192.0.2.1", false),
        ] {
            let url: Url = format!("https://{host}/").parse().unwrap();
            assert_eq!(
                is_exempt(&url.host().unwrap(), list),
                exempt,
                "{list} {host}"
            );
        }
    }
}
