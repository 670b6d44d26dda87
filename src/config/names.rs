//! Names in messages: the nearest known one, and the first of many.

/// The longest name that is compared, in characters. Comparing takes time and memory by the
/// product of both lengths.
const COMPARED: usize = 256;

/// The candidate with the most similar spelling, unless all are too different.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let longest = length.max(candidate.chars().count());
        let distance =
            (longest <= COMPARED).then(|| strsim::damerau_levenshtein(&wanted, &candidate));
        distance.filter(|it| *it <= longest / 2)
    };
    candidates
        .into_iter()
        .filter_map(|it| Some((distance(it)?, it)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// The first names, and how many more there are.
pub fn first_of(names: impl ExactSizeIterator<Item = String>, shown: usize) -> String {
    let more = names.len().saturating_sub(shown);
    let names = names.take(shown).collect::<Vec<_>>().join(", ");
    match more {
        0 => names,
        _ => format!("{names} and {more} more"),
    }
}
