//! The URL of a PostgreSQL database, with the parameters of libpq.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html> describes both. A URL with a password is refused, and
//! no error about a URL that cannot be read contains a part of it that may be one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use super::host::is_loopback;
use super::names::nearest;

/// The schemes of a URL.
pub const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The parameters that are used. Those of a password are not among them.
const NAMES: [&str; 21] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "passfile",
    "service",
    "sslmode",
    "sslrootcert",
    "channel_binding",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "target_session_attrs",
    "load_balance_hosts",
    "options",
    "application_name",
    "client_encoding",
];

/// What a URL must look like.
const WANTED: &str =
    "must be the URL of a database such as \"postgres://user@db.contoso.example/invitations\"";
/// The fix for a password in a URL.
const NO_PASSWORD: &str = "must not contain a password, which others can read here; set `ledger.password_file`, `password_env` or `password_credential`, or use `.pgpass` (an `@` that belongs to a name is written `%40`)";

/// Parameters of a connection by their names; several hosts, addresses and ports are separated by commas.
pub type DatabaseParameters = BTreeMap<&'static str, String>;

/// The parameter of this name, if there is one that is used.
#[must_use]
pub fn database_parameter(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|it| *it == name)
}

/// Reads a URL.
///
/// # Errors
/// What is wrong, as the second half of a message that begins with the key.
pub fn parse_database_url(url: &str) -> Result<DatabaseParameters, String> {
    let mut found = DatabaseParameters::new();
    let rest = SCHEMES.iter().find_map(|it| url.strip_prefix(it));
    let rest = rest.ok_or(WANTED)?;
    let (head, query) = rest.split_once('?').unwrap_or((rest, ""));
    let head = match head.rsplit_once('@') {
        Some((login, _)) if login.contains(':') => return Err(NO_PASSWORD.into()),
        Some((login, head)) => {
            set(&mut found, "user", login)?;
            head
        }
        None => head,
    };
    let (hosts, database) = head.split_once('/').unwrap_or((head, ""));
    set(&mut found, "dbname", database)?;
    if !hosts.is_empty() {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = host_and_port(host)?;
            names.push(name);
            ports.push(port);
        }
        set(&mut found, "host", &names.join(","))?;
        if ports.iter().any(|it| !it.is_empty()) {
            set(&mut found, "port", &ports.join(","))?;
        }
    }
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or(
            "must have parameters of the form `name=value` after its `?`, separated by `&`",
        )?;
        if ["password", "sslpassword"].contains(&name) {
            return Err(NO_PASSWORD.into());
        }
        let known = database_parameter(name).ok_or_else(|| unknown(name))?;
        found.remove(known);
        set(&mut found, known, value)?;
    }
    Ok(found)
}

/// Adds a parameter, unless its value is empty.
fn set(found: &mut DatabaseParameters, name: &'static str, value: &str) -> Result<(), String> {
    let decoded = percent_decode_str(value).decode_utf8();
    let decoded =
        decoded.map_err(|_| "must be UTF-8 once its `%` escapes are decoded".to_owned())?;
    if decoded.contains(char::is_control) {
        return Err("must not contain control characters".into());
    }
    if !decoded.is_empty() {
        found.insert(name, decoded.into_owned());
    }
    Ok(())
}

/// Name and port of one of the hosts; the port is empty if there is none.
fn host_and_port(host: &str) -> Result<(&str, &str), String> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(host) => host
            .split_once(']')
            .ok_or("must have a `]` after an IPv6 address")?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((name, "")),
        Some(port) if port.is_empty() || port.parse::<u16>().is_ok() => Ok((name, port)),
        _ => Err("must have a port number after a host's `:`; an IPv6 address is in brackets, and a `/`, `?`, `@` or `:` in a name is percent-encoded".into()),
    }
}

fn unknown(name: &str) -> String {
    let plain = name
        .chars()
        .all(|it| it.is_ascii_alphanumeric() || it == '_');
    if !plain || name.len() > 30 {
        return "has a parameter that is unknown".into();
    }
    if ["sslcert", "sslkey", "sslcertmode"].contains(&name) {
        return format!(
            "has `{name}`, but client certificates are not supported; log in with a password"
        );
    }
    match nearest(name, NAMES) {
        Some(known) => format!("has the unknown parameter `{name}`; did you mean `{known}`?"),
        None => format!("has the unknown parameter `{name}`; remove it"),
    }
}

/// Checks the values of parameters, whichever place they come from.
///
/// # Errors
/// What is wrong, as the second half of a message.
pub fn check_database_parameters(parameters: &DatabaseParameters) -> Result<(), String> {
    let value = |name: &str| parameters.get(name).map(String::as_str);
    let count = |name: &str| value(name).map(|it| it.split(',').count());
    let hosts = count("hostaddr").or(count("host")).unwrap_or(1);
    if count("host").is_some_and(|it| it != hosts) {
        return Err(
            "must have as many entries in `hostaddr` as in `host`, separated by commas".into(),
        );
    }
    if count("port").is_some_and(|it| it != 1 && it != hosts) {
        return Err("must have one port, or one for each host, separated by commas".into());
    }
    for port in value("port").unwrap_or_default().split(',') {
        if !port.is_empty() && !port.parse::<u16>().is_ok_and(|it| it > 0) {
            return Err(format!("must have a `port` from 1 to 65535, not `{port}`"));
        }
    }
    for address in value("hostaddr").unwrap_or_default().split(',') {
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            return Err(format!(
                "must have IP addresses as `hostaddr`, not `{address}`"
            ));
        }
    }
    let words: [(&str, &[&str]); 4] = [
        (
            "sslmode",
            &[
                "disable",
                "allow",
                "prefer",
                "require",
                "verify-ca",
                "verify-full",
            ],
        ),
        ("channel_binding", &["disable", "prefer", "require"]),
        ("load_balance_hosts", &["disable", "random"]),
        ("keepalives", &["0", "1"]),
    ];
    for (name, words) in words {
        if let Some(value) = value(name).filter(|it| !words.contains(it)) {
            return Err(format!(
                "must have `{name}` {}, not `{value}`",
                words.join(" or ")
            ));
        }
    }
    match value("target_session_attrs") {
        None | Some("any" | "read-write" | "primary") => {}
        Some(other) => {
            return Err(format!(
                "must have `target_session_attrs=read-write`, or none, because the ledger is written, not `{other}`"
            ));
        }
    }
    if let Some(encoding) = value("client_encoding")
        && !["auto", "utf8", "utf-8"].contains(&encoding.to_lowercase().as_str())
    {
        return Err("must have no other `client_encoding` than `UTF8`".into());
    }
    for (name, range) in NUMBERS {
        if let Some(value) = value(name)
            && !value.parse().is_ok_and(|it| range.contains(&it))
        {
            let (first, last) = (range.start(), range.end());
            return Err(format!(
                "must have a number from {first} to {last} as `{name}`, not `{value}`"
            ));
        }
    }
    check_encryption(parameters)
}

/// The parameters that are numbers, and their ranges: seconds, except for `tcp_user_timeout` (milliseconds).
const NUMBERS: [(&str, RangeInclusive<u32>); 5] = [
    ("connect_timeout", 0..=3_600),
    ("tcp_user_timeout", 0..=3_600_000),
    ("keepalives_idle", 0..=86_400),
    ("keepalives_interval", 0..=86_400),
    ("keepalives_count", 0..=1_000),
];

/// Refuses a connection to another machine that need not be encrypted and verified.
fn check_encryption(parameters: &DatabaseParameters) -> Result<(), String> {
    let Some(mode) = parameters.get("sslmode") else {
        return Ok(());
    };
    let hosts = parameters.get("host").or(parameters.get("hostaddr"));
    let remote = hosts
        .into_iter()
        .flat_map(|it| it.split(','))
        .find(|it| !is_local_database(it));
    match remote {
        Some(host) if ["disable", "allow", "prefer"].contains(&mode.as_str()) => Err(format!(
            "must not have `sslmode={mode}` for `{host}`, which is another machine: passwords and partners could be read on the way; set `sslmode=verify-full`, or remove it"
        )),
        _ => Ok(()),
    }
}

/// Whether a host of a database is this machine: a socket, or a loopback address.
#[must_use]
pub fn is_local_database(host: &str) -> bool {
    host.is_empty() || host.starts_with('/') || is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Vec<(&'static str, String)> {
        parse_database_url(url).expect(url).into_iter().collect()
    }

    #[test]
    fn the_forms_of_libpq_are_read() {
        let table: [(&str, &[(&str, &str)]); 8] = [
            ("postgres://", &[]),
            ("postgresql://db.example", &[("host", "db.example")]),
            (
                "postgres://ada@db.example:5433/invitations",
                &[
                    ("dbname", "invitations"),
                    ("host", "db.example"),
                    ("port", "5433"),
                    ("user", "ada"),
                ],
            ),
            (
                "postgres:///inv?host=/run/postgresql",
                &[("dbname", "inv"), ("host", "/run/postgresql")],
            ),
            (
                "postgres://%2Frun%2Fpostgresql/inv",
                &[("dbname", "inv"), ("host", "/run/postgresql")],
            ),
            (
                "postgres://[::1]:5433,b.example/x?target_session_attrs=read-write",
                &[
                    ("dbname", "x"),
                    ("host", "::1,b.example"),
                    ("port", "5433,"),
                    ("target_session_attrs", "read-write"),
                ],
            ),
            ("postgres://?service=inv", &[("service", "inv")]),
            (
                "postgres://a%40b@h/x?options=-c%20work_mem%3D8MB",
                &[
                    ("dbname", "x"),
                    ("host", "h"),
                    ("options", "-c work_mem=8MB"),
                    ("user", "a@b"),
                ],
            ),
        ];
        for (url, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect();
            assert_eq!(parsed(url), expected, "{url}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        for url in [
            "postgres://ada:hunter2@db.example/x",
            "postgres://ada:hunter2/y@db.example/x",
            "postgres://ada:hunter2?z@db.example/x",
            "postgres://ada:hun@ter2@db.example/x",
            "postgres://ada@db.example/x?password=hunter2",
            "postgres://ada@db.example/x?pasword=hunter2",
            "postgres://ada@db.example/x?hunter2",
            "host=db.example password=hunter2",
        ] {
            let error = parse_database_url(url).expect_err(url);
            assert!(!error.contains("hun"), "{url}: {error}");
        }
        let error = parse_database_url("postgres://ada:hunter2@h/x").unwrap_err();
        assert!(error.contains("must not contain a password"), "{error}");
        let error = parse_database_url("postgres://ada@h/x?ssl_mode=require").unwrap_err();
        assert!(error.ends_with("did you mean `sslmode`?"), "{error}");
    }

    #[test]
    fn wrong_values_are_refused_each_with_its_reason() {
        for (url, reason) in [
            ("postgres://h:0/x", "from 1 to 65535"),
            ("postgres://a,b/x?port=1,2,3", "one for each host"),
            ("postgres://a/x?hostaddr=localhost", "IP addresses"),
            ("postgres://a,b/x?hostaddr=127.0.0.1", "as many entries"),
            (
                "postgres://h/x?sslmode=on",
                "must have `sslmode` disable or",
            ),
            ("postgres://h/x?sslmode=prefer", "another machine"),
            ("postgres://127.0.0.1,h/x?sslmode=disable", "for `h`, which"),
            (
                "postgres://h/x?target_session_attrs=standby",
                "because the ledger is written",
            ),
            ("postgres://h/x?connect_timeout=soon", "a number from 0 to"),
            ("postgres://h/x?client_encoding=latin1", "client_encoding"),
        ] {
            let parameters = parse_database_url(url).expect(url);
            let error = check_database_parameters(&parameters).expect_err(url);
            assert!(error.contains(reason), "{url}: {error}");
        }
        for url in [
            "postgres://127.0.0.1,localhost,[::1]/x?sslmode=disable",
            "postgres:///x?host=/run/postgresql&sslmode=prefer",
            "postgres://h/x?sslmode=require",
            "postgres://a,b:5433/x?target_session_attrs=read-write&connect_timeout=3",
        ] {
            let parameters = parse_database_url(url).expect(url);
            check_database_parameters(&parameters).expect(url);
        }
    }
}
