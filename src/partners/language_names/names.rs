//! Names of the shipped languages, in English and in every shipped language, and of regions and scripts beside them.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::super::header_match::fold;

/// Tags of languages by their names. Most names are those of CLDR 48.
static LANGUAGES: LazyLock<HashMap<String, &str>> =
    LazyLock::new(|| by_name(include_str!("languages.txt")));

/// Tags of regions and scripts by their names in parentheses; others do not change the language.
static REGIONS: LazyLock<HashMap<String, &str>> =
    LazyLock::new(|| by_name(include_str!("regions.txt")));

/// The tag of a language that is named, with a region or script in parentheses if there is one.
pub fn tag_of(text: &str) -> Option<String> {
    let text = text.replace('（', "(").replace('）', ")");
    let (name, inside) = match text.split_once('(') {
        Some((name, inside)) => (name, inside.trim_end().strip_suffix(')')?),
        None => (text.as_str(), ""),
    };
    let mut tag = (*LANGUAGES.get(&key(name))?).to_owned();
    let mut regions: Vec<&str> = inside
        .split(',')
        .filter_map(|it| REGIONS.get(&key(it)).copied())
        .collect();
    // A script precedes a region.
    regions.sort_by_key(|it| std::cmp::Reverse(it.len()));
    for region in regions {
        if !tag.contains('-') || region.len() == 2 && tag.len() == 7 {
            tag = format!("{tag}-{region}");
        }
    }
    Some(tag)
}

/// A line has a tag and its names: `de: German; Deutsch`.
fn by_name(table: &'static str) -> HashMap<String, &'static str> {
    let lines = table.lines().filter_map(|it| it.split_once(": "));
    lines
        .flat_map(|(tag, names)| names.split("; ").map(move |it| (key(it), tag)))
        .collect()
}

/// Names are the same without accents, because lists come from programs and people that drop them.
fn key(name: &str) -> String {
    fold(name)
        .nfd()
        .filter(|it| !is_combining_mark(*it))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{LANGUAGES, REGIONS, by_name};

    /// If two lines had one name, the table would keep only one of them.
    #[test]
    fn no_name_stands_for_two_tags() {
        for (text, table) in [
            (include_str!("languages.txt"), &LANGUAGES),
            (include_str!("regions.txt"), &REGIONS),
        ] {
            for line in text.lines() {
                for (name, tag) in by_name(line.to_owned().leak()) {
                    assert_eq!(table[&name], tag, "{name}");
                }
            }
        }
    }
}
