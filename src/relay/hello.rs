//! The name that EHLO gives (RFC 5321 §4.1.1.1): a host name that others can resolve, or else
//! the address of the connection as a literal (§4.1.3).

use std::net::IpAddr;

/// Last labels that no name service of the internet knows (RFC 6761, RFC 6762, and what
/// installers and routers make up).
const LOCAL_ONLY: [&str; 10] = [
    "localhost",
    "localdomain",
    "localdomain4",
    "localdomain6",
    "local",
    "lan",
    "home",
    "internal",
    "invalid",
    "test",
];

/// The name for EHLO on a machine of this name, over a connection from this address.
pub fn hello(host_name: &str, local: IpAddr) -> String {
    if is_resolvable(host_name) {
        return host_name.to_owned();
    }
    match local.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Whether a name is fully qualified and not one that only this machine or network knows.
fn is_resolvable(name: &str) -> bool {
    let Some((first, _)) = name.split_once('.') else {
        return false;
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|it| it.is_ascii_digit());
    let local = LOCAL_ONLY
        .iter()
        .any(|it| it.eq_ignore_ascii_case(last) || *it == "localhost" && first == *it);
    !numeric && !local && idna::domain_to_ascii_strict(name).is_ok_and(|it| it == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r16_a_name_that_only_this_machine_knows_becomes_an_address_literal() {
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
                hello(name, "192.0.2.7".parse().unwrap()),
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
            assert_eq!(hello("web01", local.parse().unwrap()), expected);
        }
    }
}
