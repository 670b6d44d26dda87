//! Masks addresses in texts that are kept where partners should not be named, such as a log.

use std::borrow::Cow;

/// The length of the local part of a Message-ID of this program: 128 bits in hexadecimal.
const MESSAGE_ID: usize = 32;

/// The text with every address shortened to the first letter of its local part and its domain:
/// `ada@fabrikam.example` becomes `a…@fabrikam.example`. Also in a URL, where `@` is `%40`. The Message-IDs of this
/// program stay, because they name nobody.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut copied = 0;
    for (at, sign) in signs(text) {
        let (before, after) = (&text[copied..at], &text[at + sign.len()..]);
        let local = local_part(before);
        if local.is_empty() || !after.starts_with(is_of_domain) || is_message_id(local) {
            continue;
        }
        // A quotation mark or the slash of a path, which may also be a part of it, tells nothing.
        let bare = local.trim_start_matches(['"', '\'', '`', '/']);
        shown += &before[..before.len() - bare.len()];
        shown.extend(bare.chars().next());
        shown += "…";
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(shown + &text[copied..])
}

/// Where the text has `@` or `%40`.
fn signs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut signs: Vec<_> = text.match_indices('@').collect();
    signs.extend(text.match_indices("%40"));
    signs.sort_unstable();
    signs.into_iter()
}

/// The local part at the end of a text, also one in quotes (RFC 5321 §4.1.2).
fn local_part(before: &str) -> &str {
    if let Some(inside) = before.strip_suffix('"')
        && let Some(start) = inside.rfind('"')
    {
        return &before[start..];
    }
    let start = before.rfind(|it| !is_of_local_part(it));
    let start = start.map_or(0, |it| {
        it + before[it..].chars().next().map_or(1, char::len_utf8)
    });
    &before[start..]
}

fn is_of_local_part(it: char) -> bool {
    it.is_alphanumeric() || "!#$%&*+-/=?^_{|}~.'`".contains(it)
}

fn is_of_domain(it: char) -> bool {
    it.is_alphanumeric() || it == '['
}

fn is_message_id(local: &str) -> bool {
    local.len() == MESSAGE_ID
        && local
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::masked;

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        for (text, expected) in [
            (
                "no address, 5 @ 3, @home and a@",
                "no address, 5 @ 3, @home and a@",
            ),
            (
                "to ada.lovelace@a.example: 250 ok",
                "to a…@a.example: 250 ok",
            ),
            (
                "<ada@a.example>,<bob@b.example>",
                "<a…@a.example>,<b…@b.example>",
            ),
            ("RCPT TO:<o'hara+x@a.example>", "RCPT TO:<o…@a.example>"),
            ("\"ada lovelace\"@a.example", "\"a…@a.example"),
            ("é@bücher.example", "é…@bücher.example"),
            ("x@[192.0.2.1]", "x…@[192.0.2.1]"),
            (
                "GET /users/ada%40a.example/messages",
                "GET /u…%40a.example/messages",
            ),
            (
                "3ee7ef682687fd430c4d55d39e89e00a@x.example",
                "3ee7ef682687fd430c4d55d39e89e00a@x.example",
            ),
            ("（ada@a.example）", "（a…@a.example）"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_local_part_of_two_letters_or_more_is_left(
            before in "\\PC{0,8}", local in "[a-z0-9.+_-]{2,20}", after in "\\PC{0,8}",
        ) {
            let address = format!("{local}@fabrikam.example");
            let text = format!("{before} {address} {after}");
            prop_assert!(!masked(&text).contains(&address), "{}", masked(&text));
        }
    }
}
