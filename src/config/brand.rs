//! `[brand]`: how the mail looks, and what the organisation must say in it.

use std::path::{Path, PathBuf};

use super::key::Kind;
use super::reader::Section;
use super::text::{LocalizedText, paragraphs};
use super::values::{Value, one_line, parsed_text, path};
use crate::color::Rgb;
use crate::locale::Locale;

/// The colour of the shipped layout, and its shades for text on light and on dark.
const SHIPPED: [Rgb; 3] = [
    Rgb([0x00, 0x84, 0x75]),
    Rgb([0x00, 0x6b, 0x60]),
    Rgb([0x7f, 0xd6, 0xc6]),
];
/// The darkest light background of the shipped layout, and its lightest dark one.
const BACKGROUNDS: [Rgb; 2] = [Rgb([0xf3, 0xf5, 0xf4]), Rgb([0x21, 0x2b, 0x28])];

/// How the mail looks.
#[derive(Debug)]
pub struct Brand {
    /// The file of the logo.
    pub logo: Option<PathBuf>,
    /// The file of the logo for dark mode.
    pub logo_dark: Option<PathBuf>,
    /// The colour of the button, with white text on it.
    pub color: Rgb,
    /// Lines below the mail.
    pub footer: Option<LocalizedText>,
    /// The privacy statement, as written.
    pub privacy_url: Option<String>,
}

impl Brand {
    pub(super) fn read(section: &mut Section<'_>, folder: &Path, default_locale: &Locale) -> Self {
        let brand = Self {
            logo: section
                .key("logo", "the logo: PNG or JPEG, at most 100 KiB")
                .optional(path(folder)),
            logo_dark: section
                .key("logo_dark", "the logo for dark mode")
                .optional(path(folder)),
            color: section
                .key("color", "of the button, which has white text")
                .or("\"#008475\"", color()),
            footer: section
                .key("footer", "lines below the mail, such as the postal address")
                .optional(paragraphs(default_locale)),
            privacy_url: section
                .key("privacy_url", "the privacy statement")
                .optional(web_page()),
        };
        if brand.logo.is_none() && brand.logo_dark.is_some() {
            let message = "`brand.logo_dark` needs `brand.logo`, because mail programs without a dark mode show that one";
            section.problem("logo_dark", message);
        }
        brand
    }

    /// The files of the logos, each with its key.
    pub fn logos(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let logo = self.logo.iter().map(|it| ("brand.logo", &**it));
        let dark = self.logo_dark.iter().map(|it| ("brand.logo_dark", &**it));
        logo.chain(dark)
    }

    /// The colour as text on a light background.
    #[must_use]
    pub fn text_color(&self) -> Rgb {
        match self.color {
            color if color == SHIPPED[0] => SHIPPED[1],
            color => color.towards(Rgb::BLACK, 4.5, BACKGROUNDS[0]),
        }
    }

    /// The colour as text on a dark background.
    #[must_use]
    pub fn dark_color(&self) -> Rgb {
        match self.color {
            color if color == SHIPPED[0] => SHIPPED[2],
            color => color.towards(Rgb::WHITE, 7.0, BACKGROUNDS[1]),
        }
    }
}

fn color<'r>() -> Value<'r, Rgb> {
    parsed_text("a colour such as \"#0b57d0\"", Rgb::parse)
}

/// The URL of a web page for everybody, kept as it is written.
fn web_page<'r>() -> Value<'r, String> {
    const PAGE: &str = "the address of a page such as \"https://contoso.example/privacy\"";
    Value::new(Kind::Text(PAGE), |value| {
        let written = one_line(value)?;
        let parsed = url::Url::parse(&written).ok();
        let is_page = parsed.is_some_and(|it| it.scheme() == "https" && it.username().is_empty());
        // Mail programs end a link at such characters, or take them for markup.
        let ends_link = |it: char| !it.is_ascii_graphic() || "\"'<>\\^`{|}()[]*".contains(it);
        let begins = written.starts_with("https://") && written.len() <= 500;
        match written.chars().find(|it| ends_link(*it)) {
            _ if !is_page || !begins => Err(super::values::expected(&Kind::Text(PAGE), value)),
            Some(found) => Err(format!(
                "must contain only characters that every mail program takes for a part of a link; write `{}` in percent encoding",
                found.escape_debug()
            )),
            None => Ok(written),
        }
    })
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::*;

    #[test]
    fn the_privacy_url_is_kept_as_written_and_linked_as_a_whole_everywhere() {
        let read = |url: &str| {
            let toml = format!("'''{url}'''");
            let value = DeValue::parse(&toml).unwrap();
            (web_page().read)(value.get_ref())
        };
        for good in [
            "https://contoso.example",
            "https://Contoso.example/a/%C3%A9?x=1&y=2#z",
        ] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        for (wrong, why) in [
            ("http://contoso.example", "must be the address of a page"),
            ("contoso.example/privacy", "must be the address of a page"),
            (
                "https://ada@contoso.example/",
                "must be the address of a page",
            ),
            ("javascript:alert(1)", "must be the address of a page"),
            ("HTTPS://contoso.example", "must be the address of a page"),
            ("https://", "must be the address of a page"),
            (
                "https://contoso.example/a b",
                "write ` ` in percent encoding",
            ),
            ("https://contoso.example/é", "write `é` in percent encoding"),
            (
                "https://contoso.example/(x)",
                "write `(` in percent encoding",
            ),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn shades_of_any_colour_are_readable_as_text() {
        for color in [
            "#008475", "#ffe000", "#ffffff", "#000000", "#0b57d0", "#c00000", "#777777",
        ] {
            let brand = Brand {
                logo: None,
                logo_dark: None,
                color: Rgb::parse(color).unwrap(),
                footer: None,
                privacy_url: None,
            };
            let [light, dark] = BACKGROUNDS;
            assert!(brand.text_color().contrast(light) >= 4.5, "{color}");
            assert!(brand.dark_color().contrast(dark) >= 7.0, "{color}");
        }
    }
}
