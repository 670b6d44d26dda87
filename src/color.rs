//! Colours of the mail, and their contrast as WCAG 2.2 measures it (§1.4.3: text needs at least 4.5 : 1).

use std::fmt;

/// The contrast that text needs.
pub const ENOUGH_FOR_TEXT: f64 = 4.5;

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Reads `#rrggbb` or `#rgb`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        let digits = match digits.len() {
            3 => digits.chars().flat_map(|it| [it, it]).collect(),
            _ => digits.to_owned(),
        };
        let number = u32::from_str_radix(&digits, 16).ok()?;
        let [_, rgb @ ..] = number.to_be_bytes();
        (digits.len() == 6).then_some(Self(rgb))
    }

    /// The contrast with another colour, from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// The nearest mixture with `other` that has this contrast on a background; `other` if none has.
    #[must_use]
    pub fn towards(self, other: Self, contrast: f64, background: Self) -> Self {
        let mixtures = (0..=100_u32).map(|percent| self.mixed(other, percent));
        let mut readable = mixtures.filter(|it| it.contrast(background) >= contrast);
        readable.next().unwrap_or(other)
    }

    fn mixed(self, other: Self, percent: u32) -> Self {
        let mut mixed = self.0;
        for (channel, other) in mixed.iter_mut().zip(other.0) {
            let sum = u32::from(*channel) * (100 - percent) + u32::from(other) * percent;
            *channel = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }

    /// The relative luminance.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|it| match f64::from(it) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            light => ((light + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(text: &str) -> Rgb {
        Rgb::parse(text).unwrap()
    }

    #[test]
    fn a_colour_is_six_or_three_hexadecimal_digits() {
        assert_eq!(rgb("#0B57d0").to_string(), "#0b57d0");
        assert_eq!(rgb("#0af").to_string(), "#00aaff");
        for wrong in [
            "", "#", "0b57d0", "#0b57d", "#0b57d0f", "#+b57d0", "#ééé", "red", "#ff;x",
        ] {
            assert_eq!(Rgb::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        // From WCAG's own examples: #777777 just fails on white, #767676 just passes.
        for (one, other, expected) in [
            ("#000", "#fff", 21.0),
            ("#fff", "#fff", 1.0),
            ("#777777", "#fff", 4.478),
            ("#fff", "#767676", 4.542),
        ] {
            let found = rgb(one).contrast(rgb(other));
            assert!((found - expected).abs() < 0.001, "{one} {other} {found}");
        }
    }

    #[test]
    fn a_mixture_is_readable_and_no_farther_than_needed() {
        let panel = rgb("#f3f5f4");
        let dark_enough = rgb("#123456");
        assert_eq!(dark_enough.towards(Rgb::BLACK, 4.5, panel), dark_enough);
        for color in ["#ffe000", "#ffffff", "#00ff00", "#ff8800"] {
            let found = rgb(color).towards(Rgb::BLACK, 4.5, panel);
            let contrast = found.contrast(panel);
            assert!((4.5..4.8).contains(&contrast), "{color} {found} {contrast}");
        }
        assert_eq!(rgb("#777").towards(Rgb::WHITE, 22.0, panel), Rgb::WHITE);
    }
}
