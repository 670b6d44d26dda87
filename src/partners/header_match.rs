//! Finds a column by its header, as people compare headers: `E-Mail_Address` is `email address`.

use unicode_normalization::UnicodeNormalization;

use super::invisible::{is_invisible, trim_invisible};

/// Why a header names no column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// No column has this header.
    Unknown(String),
    /// More than one column has this header.
    Ambiguous(String),
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
        [] => Err(HeaderError::Unknown(wanted.to_owned())),
        _ => Err(HeaderError::Ambiguous(wanted.to_owned())),
    }
}

/// The places of the headers that are wanted.
pub fn places(headers: &[String], is_wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..headers.len())
        .filter(|it| is_wanted(&headers[*it]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{HeaderError, find, fold};

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
    fn an_unknown_or_ambiguous_header_is_reported() {
        let list = headers(&["E-Mail", "e_mail", "First name"]);

        let ambiguous = HeaderError::Ambiguous("email".into());
        assert_eq!(find(&list, "email"), Err(ambiguous));
        for wanted in ["Frist name", "Organisation", "-"] {
            let unknown = HeaderError::Unknown(wanted.into());
            assert_eq!(find(&list, wanted), Err(unknown));
        }
    }
}
