//! Names of the shipped languages, in English and in the language itself, and of regions and scripts beside them.

use super::super::header_match::fold;

/// Tags of languages, each with its names; compared as `header_match::fold` makes them, which drops blanks and hyphens.
const LANGUAGES: &str = include_str!("languages.txt");

/// Regions and scripts in parentheses; others do not change the language.
const REGIONS: &str = include_str!("regions.txt");

/// The tag of a language that is named, with a region or script in parentheses if there is one.
pub fn tag_of(text: &str) -> Option<String> {
    let text = text.replace('（', "(").replace('）', ")");
    let (name, inside) = match text.split_once('(') {
        Some((name, inside)) => (name, inside.trim_end().strip_suffix(')')?),
        None => (text.as_str(), ""),
    };
    let mut tag = find(LANGUAGES, name)?.to_owned();
    let mut regions: Vec<&str> = inside
        .split(',')
        .filter_map(|it| find(REGIONS, it))
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

fn find(table: &'static str, name: &str) -> Option<&'static str> {
    let name = fold(name);
    let mut lines = table.lines().filter_map(|it| it.split_once(": "));
    let found = lines.find(|(_, names)| names.split(';').any(|it| fold(it) == name));
    found.map(|(tag, _)| tag)
}
