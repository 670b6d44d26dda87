//! URLs that secrets are sent to: https, or http to this machine.

use toml::de::DeValue;
use url::Url;

use super::host::is_loopback;
use super::key::Kind;
use super::values::{Value, expected, one_line};

const URL: Kind = Kind::Text("a URL that begins with https://");

/// The URL of an endpoint.
pub fn endpoint<'r>() -> Value<'r, Url> {
    Value::new(URL, read)
}

/// A URL that paths are appended to, so it has no query.
pub fn base_url<'r>() -> Value<'r, Url> {
    Value::new(URL, |value| match read(value)? {
        url if url.query().is_some() => Err("must not have a query (`?`)".into()),
        url => Ok(url),
    })
}

fn read(value: &DeValue<'_>) -> Result<Url, String> {
    parse_endpoint(&one_line(value)?).map_err(|why| why.unwrap_or_else(|| expected(&URL, value)))
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// What it must be, without the URL itself; `None` if it is not a URL that begins with `https://`.
pub fn parse_endpoint(text: &str) -> Result<Url, Option<String>> {
    let url = Url::parse(text).map_err(|_| None)?;
    // The value is not printed: this part of it may be a secret.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Some("must not contain a user name or a password".into()));
    }
    if url.fragment().is_some() {
        return Err(Some("must not have a fragment (`#`)".into()));
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host.trim_matches(['[', ']'])) => Ok(url),
        "http" => Err(Some(
            "must begin with https://; http is accepted only for this machine, because the request contains a secret"
                .into(),
        )),
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, String> {
        let toml = format!("\"{url}\"");
        let value = DeValue::parse(&toml).unwrap();
        (base_url().read)(value.get_ref()).map(String::from)
    }

    #[test]
    fn only_https_and_http_to_this_machine_are_accepted() {
        for (url, parsed) in [
            ("https://login.example", "https://login.example/"),
            (
                "https://login.example:8443/a",
                "https://login.example:8443/a",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("http://localhost:8080", "http://localhost:8080/"),
        ] {
            assert_eq!(read(url).as_deref(), Ok(parsed));
        }
        for (url, reason) in [
            (
                "http://login.example",
                "http is accepted only for this machine",
            ),
            (
                "http://127.0.0.1.example",
                "http is accepted only for this machine",
            ),
            (
                "http://localhost@login.example",
                "a user name or a password",
            ),
            (
                "https://ada:hunter2@login.example",
                "a user name or a password",
            ),
            ("ftp://login.example", "a URL that begins with https://"),
            ("login.example", "a URL that begins with https://"),
            ("https://login.example/#a", "a fragment"),
            ("https://login.example/?a=b", "a query"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }
}
