//! The values of the configuration: from TOML to a final type, or what was expected.
//!
//! An error is the second half of a sentence whose first half is the key: "must be
//! a list, not a table".

use std::net::{IpAddr, Ipv6Addr};

use encoding_rs::{Encoding, X_USER_DEFINED};
use jiff::civil::Date;
use toml::de::DeValue;

use super::{Recipients, Text};
use crate::address::Address;
use crate::locale::Locale;

/// A text of one line, not blank.
pub fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| expected("a text", value))?;
    if text.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if let Some(control) = text.chars().find(|it| it.is_control()) {
        return Err(format!(
            "must be one line without control characters (it has U+{:04X})",
            u32::from(control)
        ));
    }
    Ok(text.trim().to_owned())
}

/// A host: a name, an IPv4 address, or an IPv6 address with or without brackets. An address is
/// returned in its canonical form, without brackets.
pub fn host(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
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
                "{}; only an IPv6 address may stand in brackets, as in \"[2001:db8::25]\"",
                expected("a host name or an IP address", value)
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
    // A name of numbers would be read as an IPv4 address in a spelling of old.
    match url::Host::parse(&text) {
        Ok(url::Host::Domain(_)) => Ok(text),
        _ => Err(expected("a host name or an IP address", value)),
    }
}

/// A whole number within `range`.
pub fn number(
    range: std::ops::RangeInclusive<u32>,
) -> impl Fn(&DeValue<'_>) -> Result<u32, String> {
    move |value| {
        value
            .as_integer()
            .and_then(|it| u32::from_str_radix(it.as_str(), it.radix()).ok())
            .filter(|it| range.contains(it))
            .ok_or_else(|| {
                let wanted = format!("a whole number from {} to {}", range.start(), range.end());
                expected(&wanted, value)
            })
    }
}

/// A time span such as `90s`, `10m`, `8h` or `5d`, of at least a second.
pub fn duration(value: &DeValue<'_>) -> Result<jiff::SignedDuration, String> {
    let error = || {
        expected(
            "a time span such as \"90s\", \"30m\", \"8h\" or \"5d\"",
            value,
        )
    };
    let text = value.as_str().ok_or_else(error)?;
    let (count, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    count
        .trim()
        .parse::<u32>()
        .ok()
        .filter(|count| *count > 0)
        .map(|count| jiff::SignedDuration::from_secs(i64::from(count) * seconds))
        .ok_or_else(error)
}

/// One of a few words.
pub fn one_of<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let chosen = value
            .as_str()
            .and_then(|text| choices.iter().find(|(word, _)| *word == text));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices
                .iter()
                .map(|(word, _)| format!("\"{}\"", word.escape_debug()))
                .collect();
            expected(&words.join(" or "), value)
        })
    }
}

/// A label of the WHATWG Encoding Standard (§4.2); "auto" is `None`.
pub fn encoding(value: &DeValue<'_>) -> Result<Option<&'static Encoding>, String> {
    let label = text(value)?;
    if label == "auto" {
        return Ok(None);
    }
    // Labels of encodings that decode to nothing, and one that is private to scripts, are no names for a file.
    Encoding::for_label_no_replacement(label.as_bytes())
        .filter(|it| *it != X_USER_DEFINED)
        .map(Some)
        .ok_or_else(|| {
            expected(
                "\"auto\" or the name of an encoding such as \"utf-8\", \"utf-16le\", \"windows-1252\", \"windows-1250\", \"macintosh\", \"shift_jis\" or \"gb18030\"",
                value,
            )
        })
}

/// A list, each of its elements read by `read`.
pub fn list<T>(
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> impl Fn(&DeValue<'_>) -> Result<Vec<T>, String> {
    move |value| {
        let list = value.as_array().ok_or_else(|| expected("a list", value))?;
        list.iter().map(|it| read(it.get_ref())).collect()
    }
}

/// `must be X, not Y`, with what was found where that is short.
pub fn expected(what: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(text) if text.len() <= 60 => format!("\"{}\"", text.escape_debug()),
        DeValue::String(_) => "so long a text".into(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    };
    format!("must be {what}, not {found}")
}

/// The expectation alone, for a value that must not be shown.
pub fn without_value(expectation: &str) -> &str {
    expectation
        .split_once(", not ")
        .map_or(expectation, |(expected, _)| expected)
}

/// A program and its arguments: a list, or one text without arguments.
pub fn command(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let words = match value {
        DeValue::String(_) => text(value).map(|it| vec![it])?,
        _ => list(text)(value)?,
    };
    if words.is_empty() {
        return Err("must name a program".into());
    }
    Ok(words)
}

/// `Name <address>` or a bare address; the name may be quoted, but need not be.
pub fn mailbox(value: &DeValue<'_>) -> Result<(Option<String>, Address), String> {
    let wanted = "must be a mailbox such as \"Partner Desk <partners@contoso.example>\"";
    let written = text(value)?;
    let (name, address) = match written.strip_suffix('>').and_then(|it| it.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address.trim()),
        None => ("", written.as_str()),
    };
    let address = Address::parse(address).map_err(|error| format!("{wanted}: {error}"))?;
    let quoted = name.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let name = match quoted {
        Some(name) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    };
    Ok(((!name.is_empty()).then_some(name), address))
}

/// A text, or a table of texts by locale that has one for the default locale.
pub fn texts(value: &DeValue<'_>, default: &Locale) -> Result<Text, String> {
    let Some(table) = value.as_table() else {
        return text(value)
            .map(Text::Same)
            .map_err(|error| match value.as_str() {
                Some(_) => error,
                None => expected("a text, or a table of texts by locale", value),
            });
    };
    let mut texts = Vec::new();
    for (tag, value) in table {
        let locale = Locale::parse(tag.get_ref()).map_err(|error| format!("by locale: {error}"))?;
        let text = text(value.get_ref()).map_err(|error| format!("for {locale} {error}"))?;
        texts.push((locale, text));
    }
    let texts = Text::ByLocale(texts);
    match texts.in_locale(default, default) {
        Some(_) => Ok(texts),
        None => Err(format!("has no text for the default locale `{default}`")),
    }
}

pub fn locale(value: &DeValue<'_>) -> Result<Locale, String> {
    let tag = text(value)?;
    Locale::parse(&tag).map_err(|error| format!("must be a locale: {error}"))
}

/// A TOML local date, or the same as a text.
pub fn date(value: &DeValue<'_>) -> Result<Date, String> {
    let written = match value.as_datetime() {
        Some(date) => date.to_string(),
        None => value.as_str().unwrap_or_default().to_owned(),
    };
    written
        .parse()
        .ok()
        .filter(|_| written.len() == 10)
        .ok_or_else(|| expected("a date such as 2027-03-31", value))
}

/// `@domain` or an address.
pub fn recipients(value: &DeValue<'_>) -> Result<Recipients, String> {
    let written = text(value)?;
    let error = |error| format!("must list addresses or \"@domain\": {error}");
    match written.strip_prefix('@') {
        Some(domain) => Address::parse(&format!("a@{domain}"))
            .map(|it| Recipients::Domain(it.domain().to_owned()))
            .map_err(error),
        None => Address::parse(&written)
            .map(|it| Recipients::Address(it.canonical()))
            .map_err(error),
    }
}
