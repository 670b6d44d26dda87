//! The host of the relay.

use std::net::{IpAddr, Ipv6Addr};

use toml::de::DeValue;

use super::key::Kind;
use super::values::{Value, expected, one_line};

const HOST: Kind = Kind::Text("a host name or an IP address");

/// A name, an IPv4 address, or an IPv6 address with or without brackets. An address is returned in
/// its canonical form, without brackets.
pub fn host<'r>() -> Value<'r, String> {
    Value::new(HOST, read)
}

fn read(value: &DeValue<'_>) -> Result<String, String> {
    let text = one_line(value)?;
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some((_, zone)) = text.split_once('%').filter(|_| text.contains(':')) {
        let zone = zone.trim_end_matches(']');
        return Err(format!(
            "must be an address without a zone (`%{zone}`); use an address that is not link-local, or a name"
        ));
    }
    if inner.is_some() || text.contains(['[', ']']) {
        let address = inner.and_then(|it| it.parse::<Ipv6Addr>().ok());
        return address.map(|it| it.to_string()).ok_or_else(|| {
            format!(
                "{}; only an IPv6 address may be in brackets, as in \"[2001:db8::25]\"",
                expected(&HOST, value)
            )
        });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if text.contains("://") {
        return Err(format!(
            "must be a host name or an IP address, without `{}://`",
            text.split("://").next().unwrap_or_default()
        ));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && !name.contains(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(format!(
            "must be a host name or an IP address without a port; write `host = \"{name}\"` and `port = {port}`"
        ));
    }
    // A name of digits would be read as an IPv4 address in a historical notation.
    match url::Host::parse(&text) {
        Ok(url::Host::Domain(_)) => Ok(text),
        _ => Err(expected(&HOST, value)),
    }
}

/// Whether a host is this machine, without resolving its name.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|it| it.to_canonical().is_loopback())
}
