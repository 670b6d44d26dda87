//! Finds a column by its header, as people compare headers: `E-Mail_Address` is `email address`.

use unicode_normalization::UnicodeNormalization;

use super::invisible::{is_invisible, trim_invisible};

/// The longest header that is compared by its spelling, in characters.
const COMPARED: usize = 256;

/// Why a header names no column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No column has it.
    #[error("there is no column `{}`{}", .wanted.escape_debug(), suggestion(.nearest.as_deref()))]
    Unknown {
        /// The header that was asked for.
        wanted: String,
        /// The header that is spelt most like it.
        nearest: Option<String>,
    },
    /// More than one column has it.
    #[error("`{}` names {} columns alike ({}); rename all but one", .wanted.escape_debug(), .columns.len(), listed(.columns))]
    Ambiguous {
        /// The header that was asked for.
        wanted: String,
        /// The headers that it could mean.
        columns: Vec<String>,
    },
}

/// The form in which headers are compared: without case, blanks, `-`, `_`, `.` and invisible
/// characters, and with compatible characters (full width, decomposed accents) as one.
#[must_use]
pub fn fold(header: &str) -> String {
    let folded = header.nfkc().flat_map(char::to_lowercase).nfkc();
    folded
        .filter(|it| !it.is_whitespace() && !is_invisible(*it) && !matches!(it, '-' | '_' | '.'))
        .map(|it| if it == '’' { '\'' } else { it })
        .collect()
}

/// The place of the column with this header: the one that is equal, else the one that is equal when folded.
///
/// # Errors
/// If there is none, or more than one.
pub fn find(headers: &[String], wanted: &str) -> Result<usize, HeaderError> {
    let (exact, _) = trim_invisible(wanted);
    let equal: Vec<usize> = places(headers, |it| trim_invisible(it).0 == exact);
    let folded = fold(wanted);
    let alike = || places(headers, |it| !folded.is_empty() && fold(it) == folded);
    let found = if equal.is_empty() { alike() } else { equal };
    match found.as_slice() {
        [place] => Ok(*place),
        [] => Err(HeaderError::Unknown {
            wanted: wanted.to_owned(),
            nearest: nearest(headers, &folded),
        }),
        several => Err(HeaderError::Ambiguous {
            wanted: wanted.to_owned(),
            columns: several.iter().map(|it| headers[*it].clone()).collect(),
        }),
    }
}

fn places(headers: &[String], is_wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..headers.len())
        .filter(|it| is_wanted(&headers[*it]))
        .collect()
}

/// The header that is spelt most like the wanted one, unless all are quite different.
fn nearest(headers: &[String], folded: &str) -> Option<String> {
    let length = folded.chars().count();
    headers
        .iter()
        .filter_map(|header| {
            let other = fold(header);
            let longest = length.max(other.chars().count());
            // The distance takes time and memory by the product of the two lengths.
            if other.is_empty() || longest > COMPARED {
                return None;
            }
            let distance = strsim::damerau_levenshtein(folded, &other);
            (distance <= longest / 2).then_some((distance, header))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, header)| header.clone())
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |it| {
        format!("; did you mean `{}`?", it.escape_debug())
    })
}

/// Headers in backticks, with commas.
fn listed(headers: &[String]) -> String {
    let shown: Vec<_> = headers
        .iter()
        .map(|it| format!("`{}`", it.escape_debug()))
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{find, fold};

    fn headers(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn headers_are_compared_as_people_read_them() {
        for (header, other) in [
            ("E-Mail_Address", "email address"),
            ("\u{feff}E.Mail", "EMAIL"),
            ("Ｅメール", "eメール"),
            ("Pre\u{301}nom", "Prénom"),
            ("Adresse d’e-mail", "adresse d'email"),
            ("First\u{a0}name", "firstname"),
        ] {
            assert_eq!(fold(header), fold(other), "{header}");
        }
        assert_ne!(fold("Nom"), fold("Prénom"));
        assert_ne!(fold("E-mail 2"), fold("E-mail"));
    }

    #[test]
    fn an_exact_header_wins_over_a_loosely_equal_one() {
        let list = headers(&["E-Mail", "e-mail ", "Name"]);

        assert_eq!(find(&list, "E-Mail"), Ok(0));
        assert_eq!(find(&list, "e-mail"), Ok(1));
        assert_eq!(find(&list, "NAME"), Ok(2));
    }

    #[test]
    fn an_unknown_or_ambiguous_header_is_reported_with_what_could_be_meant() {
        let list = headers(&["E-Mail", "e_mail", "First name"]);

        let error = |wanted: &str| find(&list, wanted).unwrap_err().to_string();
        assert_eq!(
            error("email"),
            "`email` names 2 columns alike (`E-Mail`, `e_mail`); rename all but one"
        );
        assert_eq!(
            error("Frist name"),
            "there is no column `Frist name`; did you mean `First name`?"
        );
        assert_eq!(error("Organisation"), "there is no column `Organisation`");
        assert_eq!(error("-"), "there is no column `-`");
    }
}
