//! Lists of tags, `v=DMARC1; p=none`, as in DKIM and DMARC records (RFC 6376 §3.2).

/// The tags of a record, in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Tags<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Tags<'t> {
    /// Reads a record. The error is the text that is no tag.
    pub fn parse(text: &'t str) -> Result<Self, &'t str> {
        let parts = text.split(';').map(str::trim).filter(|it| !it.is_empty());
        let tags = parts.map(|part| {
            let (name, value) = part.split_once('=').ok_or(part)?;
            Ok((name.trim(), value.trim()))
        });
        tags.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// The value of a tag; names are case-sensitive.
    pub fn get(&self, name: &str) -> Option<&'t str> {
        let found = self.0.iter().find(|it| it.0 == name);
        found.map(|it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::Tags;

    #[test]
    fn tags_are_read_with_blanks_and_a_missing_last_semicolon() {
        let tags = Tags::parse(" v = DMARC1 ;p=none;; rua=mailto:a@b?x=y").unwrap();
        assert_eq!(tags.get("v"), Some("DMARC1"));
        assert_eq!(tags.get("p"), Some("none"));
        assert_eq!(tags.get("rua"), Some("mailto:a@b?x=y"));
        assert_eq!(tags.get("P"), None);
        assert_eq!(Tags::parse("v=DMARC1; none"), Err("none"));
        assert_eq!(Tags::parse("").unwrap().get("v"), None);
    }
}
