//! The keys of a file with their values in canonical form, for the approval's digest.
//!
//! Comments, order, inline tables and the notation of numbers and texts do not change them. Of a key
//! that names the source of a secret, only its presence counts.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// Each key with its value as text, such as `smtp.host` with `"smtp.example.com"`.
pub fn keys<'k>(
    file: &DeTable<'_>,
    secrets: impl IntoIterator<Item = &'k str>,
) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    collect(file, "", &mut keys);
    for secret in secrets {
        if let Some(value) = keys.get_mut(secret) {
            "given".clone_into(value);
        }
    }
    keys
}

fn collect(table: &DeTable<'_>, above: &str, keys: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = format!("{above}{}", bare(key.get_ref()));
        match value.get_ref() {
            DeValue::Table(table) => collect(table, &format!("{key}."), keys),
            value => {
                keys.insert(key, canonical(value));
            }
        }
    }
}

/// A key as TOML writes it, in quotes only if they are needed.
fn bare(key: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

fn canonical(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.to_string(), |number| number.to_string()),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(it) => it.to_string(),
        DeValue::Datetime(it) => it.to_string(),
        DeValue::Array(list) => {
            let list: Vec<_> = list.iter().map(|it| canonical(it.get_ref())).collect();
            format!("[{}]", list.join(","))
        }
        DeValue::Table(table) => {
            let mut keys = BTreeMap::new();
            collect(table, "", &mut keys);
            format!("{keys:?}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> BTreeMap<String, String> {
        let secrets = ["smtp.password_file", "smtp.token_command"];
        keys(DeTable::parse(source).unwrap().get_ref(), secrets)
    }

    #[test]
    fn only_values_change_the_fingerprint() {
        let one = read(
            "campaign = \"spring\"\n[packages.x]\nname = { en = \"A\", fr = \"B\" }\nlink = 'l'\nrespond_by = 2099-12-31\n[limits]\nper_day = 10_000\nonly_to = [\"@a.example\", \"@b.example\"]\n",
        );
        let other = read(
            "# a comment\nlimits.only_to = [ # both\n \"@a.example\",\n '@b.example',\n]\nlimits.per_day = 0x2710\ncampaign = '''spring'''\n[packages]\n[packages.\"x\"]\nrespond_by = 2099-12-31   # soon\nlink = \"l\"\nname.fr = \"B\"\nname.en = \"A\"\n[retry]\n",
        );

        assert_eq!(one, other);
        let names: Vec<_> = one.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "campaign",
                "limits.only_to",
                "limits.per_day",
                "packages.x.link",
                "packages.x.name.en",
                "packages.x.name.fr",
                "packages.x.respond_by"
            ]
        );
        assert_ne!(read("a = 1"), read("a = \"1\""));
        assert_ne!(read("a = [1, 2]"), read("a = [2, 1]"));
        assert_ne!(read("\"a.b\" = 1"), read("a.b = 1"));
    }

    #[test]
    fn only_the_presence_of_a_secret_is_kept() {
        let file = |name: &str| {
            read(&format!(
                "[smtp]\nusername = \"ada\"\npassword_file = {name:?}\n"
            ))
        };

        assert_eq!(file("secret-1"), file("secret-2"));
        assert!(!format!("{:?}", file("secret-1")).contains("secret-1"));
        assert_ne!(
            file("x"),
            read("[smtp]\nusername = \"ada\"\ntoken_command = [\"x\"]\n")
        );
    }
}
