//! The mail by which a partner refuses further mail: its subject is the id of the invitation
//! ([`invite_id`](super::invite_id)).

use std::fmt::Write as _;

use crate::address::Address;

/// The link that writes this mail (RFC 6068), for `List-Unsubscribe` (RFC 2369 §3.2) and for templates.
#[must_use]
pub fn unsubscribe_link(from: &Address, invite_id: &str) -> String {
    let mut link = "mailto:".to_owned();
    for byte in from.local_part().bytes() {
        // RFC 6068 §2: `some-delims`, and what is never reserved.
        if byte.is_ascii_alphanumeric() || b"-._~!$'*+".contains(&byte) {
            link.push(char::from(byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
    }
    format!("{link}@{}?subject={invite_id}", from.domain())
}

/// The id in the subject of such a mail: its only word of 32 hexadecimal digits, whatever a mail program or a
/// relay has put before it.
#[must_use]
pub fn id_in_subject(subject: &str) -> Option<String> {
    let is_id = |it: &&str| it.len() == 32 && it.bytes().all(|it| it.is_ascii_hexdigit());
    let mut ids = subject.split_whitespace().filter(is_id);
    let id = ids.next()?;
    ids.next().is_none().then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invitation::invite_id;

    #[test]
    fn the_link_names_address_and_id() {
        let id = invite_id("0123456789abcdef0123456789abcdef@contoso.example");
        for (from, expected) in [
            ("access@bücher.example", "access@xn--bcher-kva.example"),
            ("a+b.c_d@contoso.example", "a+b.c_d@contoso.example"),
            (
                "50%&c/o?#=@contoso.example",
                "50%25%26c%2Fo%3F%23%3D@contoso.example",
            ),
        ] {
            let link = unsubscribe_link(&Address::parse(from).unwrap(), &id);
            assert_eq!(link, format!("mailto:{expected}?subject={id}"));
        }
    }

    #[test]
    fn the_id_is_read_from_any_subject_that_has_one() {
        let id = invite_id("0123456789abcdef0123456789abcdef@contoso.example");
        let upper = id.to_uppercase();
        for subject in [&id, &upper, &format!("  [EXTERN] Re: {id} ")] {
            assert_eq!(id_in_subject(subject).as_ref(), Some(&id), "{subject}");
        }
        for other in [
            "",
            "unsubscribe",
            &id[1..],
            &format!("{id}0"),
            &format!("{id} {upper}"),
        ] {
            assert_eq!(id_in_subject(other), None, "{other}");
        }
    }
}
