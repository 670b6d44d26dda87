//! A finished message for another channel than the relay: as a draft, or as plain text.

use mail_parser::MessageParser;
use memchr::memmem;

/// The headers of a draft. The others belong to a mail that a program sends once: its ids, its date, and what quiets
/// automatic replies.
const KEPT: [&str; 7] = [
    "from",
    "to",
    "reply-to",
    "subject",
    "content-language",
    "mime-version",
    "content-type",
];

/// The message as a draft that Outlook and other mail programs open for sending by its header `X-Unsent`.
#[must_use]
pub fn draft(message: &[u8]) -> Vec<u8> {
    let end = memmem::find(message, b"\r\n\r\n").map_or(message.len(), |it| it + 2);
    let (head, body) = message.split_at(end);
    let mut draft = b"X-Unsent: 1\r\n".to_vec();
    let mut is_kept = false;
    for line in head.split_inclusive(|it| *it == b'\n') {
        // A folded header continues on lines that begin with a blank.
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|it| *it == b':').next().unwrap_or_default();
            is_kept = KEPT
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it.as_bytes()));
        }
        if is_kept {
            draft.extend_from_slice(line);
        }
    }
    draft.extend_from_slice(body);
    draft
}

/// The subject and the text part of a message, its lines ended by LF.
#[must_use]
pub fn subject_and_text(message: &[u8]) -> Option<(String, String)> {
    let parsed = MessageParser::default().parse(message)?;
    let text = parsed.body_text(0)?.replace("\r\n", "\n");
    Some((parsed.subject()?.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_has_the_headers_that_a_person_fills_in_and_the_same_body() {
        let message = b"From: a@a.example\r\nTo: \"Ada\"\r\n <b@b.example>\r\nSubject: =?utf-8?q?a?=\r\n b\r\nDate: x\r\nMessage-ID: <1@a>\r\nX-Access-Invite-Id: 1\r\nList-Unsubscribe: <mailto:a>,\r\n <mailto:b>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nDate: body\r\n\r\nFrom: body\r\n";

        let draft = String::from_utf8(draft(message)).unwrap();

        assert_eq!(
            draft,
            "X-Unsent: 1\r\nFrom: a@a.example\r\nTo: \"Ada\"\r\n <b@b.example>\r\nSubject: =?utf-8?q?a?=\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nDate: body\r\n\r\nFrom: body\r\n"
        );
        let (subject, text) = subject_and_text(draft.as_bytes()).unwrap();
        assert_eq!((&*subject, &*text), ("a b", "Date: body\n\nFrom: body\n"));
    }
}
