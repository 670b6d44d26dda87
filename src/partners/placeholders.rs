//! Cells that hold a placeholder in place of a value: `#N/A`, `(null)`, `{{name}}`, `O&#39;Brien`.
//!
//! They come from formulas, exports and mail merges that failed. Each is only a warning, because a
//! person may be called Nan.

/// What a cell holds in place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Placeholder {
    /// The error of a formula.
    #[strum(to_string = "it is the error of a formula, not a value")]
    FormulaError,
    /// What programs write for nothing.
    #[strum(to_string = "programs write it for a missing value; leave the cell empty")]
    NoValue,
    /// The field of a template that was never filled.
    #[strum(to_string = "it is a field of a template that was not filled")]
    TemplateField,
    /// A character as HTML writes it.
    #[strum(to_string = "it contains a character as HTML writes it, not the character itself")]
    HtmlEntity,
}

/// Errors of formulas in English, as files store them, and as German, French, Spanish and Italian exports show them.
const FORMULA_ERRORS: &str = "#n/a #name? #ref! #value! #div/0! #null! #num! #spill! #calc! #error! #data! \
    #nv #bezug! #wert! #zahl! #nom? #valeur! #nombre! #¡ref! #¡valor! #¿nombre? #n/d";

/// What databases, Python, JavaScript, spreadsheets and people write for nothing.
const NO_VALUES: &str = "nan none null nil undefined (null) (none) (blank) (empty) <null> <none> [null] n/a n.a. k.a. \
    tbd - -- ?";

/// The delimiters of a field of a template: Tera, Word, shells, Mailchimp, Salesforce and others.
const INSIDE: [(&str, &str); 4] = [("{{", "}}"), ("${", "}"), ("*|", "|*"), ("<<", ">>")];
/// Delimiters of a field only if they enclose the whole cell.
const AROUND: [(&str, &str); 5] = [("«", "»"), ("%", "%"), ("[", "]"), ("<", ">"), ("{", "}")];

/// The placeholder that a cell holds, if it does.
#[must_use]
pub fn placeholder(cell: &str) -> Option<Placeholder> {
    if is_plain(cell) {
        return None;
    }
    let cell = cell.trim().to_lowercase();
    let is_one_of = |list: &str, text: &str| list.split(' ').any(|it| it == text);
    if cell.starts_with('#') && is_one_of(FORMULA_ERRORS, &cell) {
        return Some(Placeholder::FormulaError);
    }
    // `null null` comes of a pattern over two cells.
    let mut words = cell.split_whitespace();
    let is_no_value = !cell.is_empty() && words.all(|it| is_one_of(NO_VALUES, it));
    if is_no_value || cell == "[object object]" {
        return Some(Placeholder::NoValue);
    }
    let inside = INSIDE.iter().any(|(begin, end)| {
        cell.split_once(begin)
            .is_some_and(|(_, rest)| rest.contains(end))
    });
    let around = AROUND.iter().any(|(begin, end)| {
        cell.strip_prefix(begin)
            .and_then(|it| it.strip_suffix(end))
            .is_some_and(|it| !it.is_empty() && !it.contains(end))
    });
    if inside || around {
        return Some(Placeholder::TemplateField);
    }
    has_entity(&cell).then_some(Placeholder::HtmlEntity)
}

/// Fast path for nearly all cells: no placeholder begins with another letter and has none of these characters.
fn is_plain(cell: &str) -> bool {
    let first = cell.bytes().next().map(|it| it.to_ascii_lowercase());
    let is_other = first.is_some_and(|it| it.is_ascii_lowercase() && !b"nukt".contains(&it));
    is_other && !cell.bytes().any(|it| b"{$*<&".contains(&it))
}

/// Whether a text holds a character reference (HTML §13.5), numeric or by one of the usual names.
fn has_entity(text: &str) -> bool {
    const NAMES: [&str; 9] = [
        "amp", "lt", "gt", "quot", "apos", "nbsp", "szlig", "oslash", "aring",
    ];
    const ACCENTS: [&str; 7] = ["acute", "grave", "uml", "circ", "cedil", "tilde", "caron"];
    text.split('&').skip(1).any(|rest| {
        let Some((name, _)) = rest.split_once(';') else {
            return false;
        };
        let is_number =
            |digits: &str, radix| !digits.is_empty() && digits.chars().all(|it| it.is_digit(radix));
        if let Some(number) = name.strip_prefix('#') {
            return match number.strip_prefix('x') {
                Some(digits) => is_number(digits, 16),
                None => is_number(number, 10),
            };
        }
        let accented = |accent: &&str| {
            let letter = name.strip_suffix(*accent);
            letter.is_some_and(|it| it.chars().count() == 1)
        };
        NAMES.contains(&name) || ACCENTS.iter().any(accented)
    })
}

#[cfg(test)]
mod tests {
    use super::Placeholder::{FormulaError, HtmlEntity, NoValue, TemplateField};
    use super::placeholder;

    #[test]
    fn placeholders_are_told_from_names() {
        for (cell, expected) in [
            ("#N/A", FormulaError),
            ("#NV", FormulaError),
            (" #¡REF! ", FormulaError),
            ("nan", NoValue),
            ("None", NoValue),
            ("(null)", NoValue),
            ("null null", NoValue),
            ("N/A", NoValue),
            ("-", NoValue),
            ("[object Object]", NoValue),
            ("{{name}}", TemplateField),
            ("Hello {{ first_name }}", TemplateField),
            ("«Name»", TemplateField),
            ("%FIRSTNAME%", TemplateField),
            ("*|FNAME|*", TemplateField),
            ("[First name]", TemplateField),
            ("${name}", TemplateField),
            ("O&#39;Brien", HtmlEntity),
            ("O&#x27;Brien", HtmlEntity),
            ("Haven &amp; Dokken", HtmlEntity),
            ("Fran&ccedil;ois", HtmlEntity),
            ("Zo&euml;", HtmlEntity),
        ] {
            assert_eq!(placeholder(cell), Some(expected), "{cell}");
        }
        for name in [
            "",
            "Ada",
            "Nan Goldin",
            "Na",
            "O'Brien",
            "D'Aoust, Zoé",
            "L'Atelier «Le Port»",
            "R&D; Harbour",
            "AT&T",
            "100 %",
            "Ada [she/her]",
            "Núñez",
            "山田 太郎",
            "Null & Sons",
        ] {
            assert_eq!(placeholder(name), None, "{name}");
        }
    }
}
