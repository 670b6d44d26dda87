//! The address in a cell, in the forms that mail programs and web pages give it.
//!
//! `mailto:ada@a.example`, `Ada Lovelace <ada@a.example>` and addresses in quotes or angle brackets are
//! read as intended; what remains must be one address.

use super::invisible::trim_invisible;
use crate::address::{Address, AddressError};

/// What a cell of the address column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressCell {
    /// The address.
    pub address: Address,
    /// The name in front of it, for partners whose name cell is empty.
    pub name: Option<String>,
}

impl AddressCell {
    /// Reads a cell.
    ///
    /// # Errors
    /// If it has no address, several, or one that cannot be mailed.
    pub fn read(cell: &str) -> Result<Self, AddressError> {
        let (text, _) = trim_invisible(cell);
        let text = text.trim_end_matches([',', ';', ' ']);
        let (name, address) = split_name(text);
        let address = bare(address);
        let parts = text.split([',', ';', '/', '|', ' ', '\t', '\n', '\u{a0}', '<', '>']);
        let addresses = parts.filter(|it| it.contains('@')).count();
        let repeats = name.as_deref().is_some_and(|it| it == address);
        if addresses > 1 && !repeats {
            return Err(AddressError::Several);
        }
        if !address.is_empty() && !address.contains('@') {
            return Err(AddressError::NoAt);
        }
        Ok(Self {
            address: Address::parse(address)?,
            name: name.filter(|it| !it.is_empty() && !repeats),
        })
    }
}

/// A name in front of an address in angle brackets, as RFC 5322 §3.4 writes it.
fn split_name(text: &str) -> (Option<String>, &str) {
    let Some(inside) = text.strip_suffix('>') else {
        return (None, text);
    };
    let Some((name, address)) = inside.rsplit_once('<') else {
        return (None, text);
    };
    let name = unquoted(name.trim());
    let name = name.replace("\\\"", "\"").replace("\\\\", "\\");
    (Some(trim_invisible(&name).0.to_owned()), address)
}

/// An address without quotes around it, and without `mailto:` and what follows its `?` (RFC 6068).
fn bare(address: &str) -> &str {
    let address = unquoted(trim_invisible(address).0);
    match address.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => {
            let address = &address[7..];
            trim_invisible(address.split('?').next().unwrap_or(address)).0
        }
        _ => address,
    }
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| {
            let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
            // `"ada lovelace"@a.example"` is not in quotes as a whole.
            (!inside.contains(quote) || inside.contains("\\\"")).then_some(inside.trim())
        })
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::AddressCell;
    use crate::address::{Address, AddressError};

    #[test]
    fn addresses_are_read_as_intended() {
        let table = [
            ("ada@a.example", None),
            (" ada@a.example ", None),
            ("mailto:ada@a.example", None),
            ("MailTo: ada@a.example?subject=Hello", None),
            ("<ada@a.example>", None),
            ("\"ada@a.example\"", None),
            ("'ada@a.example'", None),
            ("ada@a.example;", None),
            ("Ada <ada@a.example>", Some("Ada")),
            ("Ada <mailto:ada@a.example>", Some("Ada")),
            ("\"Lovelace, Ada\" <ada@a.example>", Some("Lovelace, Ada")),
            ("Lovelace, Ada <ada@a.example>", Some("Lovelace, Ada")),
            (
                r#""Ada \"Countess\" L." <ada@a.example>"#,
                Some("Ada \"Countess\" L."),
            ),
            ("'ada@a.example' <ada@a.example>", None),
            ("\u{200b}ada@a.example\u{feff}", None),
            ("\u{feff} ada@a.example", None),
        ];

        for (cell, name) in table {
            let expected = AddressCell {
                address: Address::parse("ada@a.example").unwrap(),
                name: name.map(str::to_owned),
            };
            assert_eq!(AddressCell::read(cell), Ok(expected), "{cell:?}");
        }
    }

    #[test]
    fn what_is_not_one_address_is_refused() {
        let table = [
            ("", AddressError::Empty),
            ("ada@a.example; bob@b.example", AddressError::Several),
            ("ada@a.example,bob@b.example", AddressError::Several),
            ("ada@a.example bob@b.example", AddressError::Several),
            ("ada@a.example / bob@b.example", AddressError::Several),
            ("ada@a.example\nbob@b.example", AddressError::Several),
            (
                "Ada <ada@a.example>, Bob <bob@b.example>",
                AddressError::Several,
            ),
            ("bob@b.example <ada@a.example>", AddressError::Several),
            ("mailto:ada@a.example,bob@b.example", AddressError::Several),
            ("Ada Lovelace", AddressError::NoAt),
            ("ada@a.example <", AddressError::NameAround),
            ("ada\u{200b}@a.example", AddressError::LocalPart('\u{200b}')),
            ("\"ada lovelace\"@a.example", AddressError::Blank(' ')),
            ("\"ada\"@a.example", AddressError::Quoted),
        ];

        for (cell, error) in table {
            assert_eq!(AddressCell::read(cell), Err(error), "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cell_is_one_address_or_an_error(cell in "[a@.<>\"',; é\u{200b}]{0,24}") {
            if let Ok(read) = AddressCell::read(&cell) {
                prop_assert!(cell.contains(read.address.as_written()));
                prop_assert_eq!(Address::parse(read.address.as_written()), Ok(read.address));
            }
        }
    }
}
