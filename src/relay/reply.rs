//! Reading replies (RFC 5321 §4.2) strictly, because the outcomes depend on them.
//!
//! A reply is 1–n lines `ddd[ -]text CRLF` with the same code on each, first digit 2 to 5, at most 2,048
//! octets a line and 64 KiB in all. The text may be empty or any bytes. Anything else is not a reply and
//! ends the connection.

use crate::outcome::Reply;

/// The longest line, CRLF included.
const LINE_LIMIT: usize = 2_048;
/// The longest reply.
const REPLY_LIMIT: usize = 64 * 1024;
/// How many characters of the text are kept.
const TEXT_LIMIT: usize = 500;

/// Why received data is not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReply {
    /// A TLS record where a line should be.
    #[error("it sent TLS, so this port begins with TLS")]
    Tls,
    /// A line does not begin with a code and a blank or hyphen.
    #[error("a line does not begin with a reply code: \"{0}\"")]
    Code(String),
    /// The first digit is not 2, 3, 4 or 5.
    #[error("the reply code {0} does not exist")]
    Class(u16),
    /// The lines contradict each other.
    #[error("one reply has the codes {0} and {1}")]
    Mixed(u16, u16),
    /// LF without CR.
    #[error("a line ends without CR")]
    BareLf,
    /// A line is too long.
    #[error("a line is longer than {LINE_LIMIT} octets")]
    LineTooLong,
    /// The reply is too long.
    #[error("the reply is longer than 64 KiB")]
    ReplyTooLong,
}

/// Collects what the relay sends until it is a reply.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    /// How much of the buffer is complete lines of an unfinished reply.
    read: usize,
    code: Option<u16>,
    lines: Vec<Vec<u8>>,
    /// The texts of the lines of the last reply.
    last: Vec<String>,
}

impl ReplyReader {
    /// Adds received bytes, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The lines of the last reply; EHLO needs them.
    #[must_use]
    pub fn last_lines(&self) -> &[String] {
        &self.last
    }

    /// Whether further bytes follow the last reply.
    #[must_use]
    pub fn holds_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next complete reply; `None` if it is not complete yet.
    ///
    /// # Errors
    /// If the bytes cannot become a reply.
    pub fn take(&mut self) -> Result<Option<Reply>, MalformedReply> {
        loop {
            let rest = &self.buffer[self.read..];
            let Some(end) = rest.iter().position(|it| *it == b'\n') else {
                check_beginning(rest)?;
                if rest.len() >= LINE_LIMIT {
                    return Err(MalformedReply::LineTooLong);
                }
                return Ok(None);
            };
            let line = &rest[..=end];
            if line.len() > LINE_LIMIT {
                return Err(MalformedReply::LineTooLong);
            }
            let Some(line) = line.strip_suffix(b"\r\n") else {
                return Err(MalformedReply::BareLf);
            };
            let (code, last, text) = split_line(line)?;
            if let Some(first) = self.code
                && first != code
            {
                return Err(MalformedReply::Mixed(first, code));
            }
            self.code = Some(code);
            self.lines.push(text.to_vec());
            self.read += end + 1;
            if self.read > REPLY_LIMIT {
                return Err(MalformedReply::ReplyTooLong);
            }
            if last {
                self.buffer.drain(..self.read);
                self.read = 0;
                self.code = None;
                let lines = std::mem::take(&mut self.lines);
                self.last = lines.iter().map(|it| clean(it)).collect();
                return Ok(Some(describe(code, &self.last)));
            }
        }
    }
}

/// Code, whether it is the last line, and text.
fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), MalformedReply> {
    check_beginning(line)?;
    let no_code = || MalformedReply::Code(shown(line));
    let code = line
        .get(..3)
        .and_then(|it| std::str::from_utf8(it).ok())
        .and_then(|it| it.parse().ok())
        .ok_or_else(no_code)?;
    match line.get(3) {
        None => Ok((code, true, &[])),
        Some(b' ') => Ok((code, true, &line[4..])),
        Some(b'-') => Ok((code, false, &line[4..])),
        Some(_) => Err(no_code()),
    }
}

/// Refuses a line as soon as its first bytes show that it is not part of a reply.
fn check_beginning(line: &[u8]) -> Result<(), MalformedReply> {
    // An alert or a handshake, followed by the version (RFC 8446 §5.1).
    if matches!(line, [0x15 | 0x16] | [0x15 | 0x16, 3, ..]) {
        return Err(MalformedReply::Tls);
    }
    let digits = &line[..line.len().min(3)];
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedReply::Code(shown(line)));
    }
    match digits {
        [b'2'..=b'5', ..] | [] => {}
        [first, ..] => return Err(MalformedReply::Class(u16::from(first - b'0') * 100)),
    }
    match line.get(3) {
        None | Some(b' ' | b'-' | b'\r') => Ok(()),
        Some(_) => Err(MalformedReply::Code(shown(line))),
    }
}

/// The reply in one line, without control characters.
fn describe(code: u16, lines: &[String]) -> Reply {
    let enhanced = lines
        .first()
        .and_then(|it| it.split(' ').next())
        .filter(|it| is_enhanced(it, code))
        .map(str::to_owned);
    let text: Vec<&str> = lines
        .iter()
        .map(|line| match &enhanced {
            Some(enhanced) => line.strip_prefix(enhanced.as_str()).unwrap_or(line).trim(),
            None => line.trim(),
        })
        .filter(|it| !it.is_empty())
        .collect();
    let text = text.join(" ");
    Reply {
        code,
        enhanced,
        text: text.chars().take(TEXT_LIMIT).collect(),
    }
}

/// `class.subject.detail` (RFC 3463) of the same class as the code.
fn is_enhanced(text: &str, code: u16) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    let small = |it: &&str| (1..=3).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(small) && numbers[0] == (code / 100).to_string()
}

fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|it| if it.is_control() { '?' } else { it })
        .collect()
}

fn shown(line: &[u8]) -> String {
    clean(line).chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The replies in `bytes`, fed in pieces of `size`, and what ended the reading.
    fn read(bytes: &[u8], size: usize) -> (Vec<Reply>, Option<MalformedReply>) {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for piece in bytes.chunks(size) {
            reader.push(piece);
            loop {
                match reader.take() {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    }

    fn reply(code: u16, enhanced: Option<&str>, text: &str) -> Reply {
        Reply {
            code,
            enhanced: enhanced.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    #[test]
    fn replies_are_read_in_pieces_of_any_size() {
        let table: [(&[u8], Reply); 11] = [
            (
                b"250 2.0.0 Ok: queued as 4X\r\n",
                reply(250, Some("2.0.0"), "Ok: queued as 4X"),
            ),
            (b"250\r\n", reply(250, None, "")),
            (b"250 \r\n", reply(250, None, "")),
            (b"250-\r\n250\r\n", reply(250, None, "")),
            (b"354 go\r\n", reply(354, None, "go")),
            (
                b"550-5.1.1 no\r\n550 5.1.1 such user\r\n",
                reply(550, Some("5.1.1"), "no such user"),
            ),
            (b"550 4.7.1 liar\r\n", reply(550, None, "4.7.1 liar")),
            (
                b"451 4.7.500 Server busy\r\n",
                reply(451, Some("4.7.500"), "Server busy"),
            ),
            (
                b"250 angenommen f\xfcr Ada\r\n",
                reply(250, None, "angenommen f\u{fffd}r Ada"),
            ),
            (b"250 \x1b[31mred\0\r\n", reply(250, None, "?[31mred?")),
            (b"268 whatever\r\n", reply(268, None, "whatever")),
        ];

        for (bytes, expected) in table {
            for size in [1, 2, 3, 7, bytes.len()] {
                assert_eq!(read(bytes, size), (vec![expected.clone()], None));
            }
        }
    }

    #[test]
    fn malformed_replies_are_refused_at_once() {
        let long = [b"250 ".as_slice(), &[b'x'; 2_048]].concat();
        let code = |text: &str| MalformedReply::Code(text.into());
        let table: [(&[u8], MalformedReply); 7] = [
            (b"\x15\x03\x03\x00\x02\x02\x28", MalformedReply::Tls),
            (b"250 ok\n", MalformedReply::BareLf),
            (b"250-a\r\n550 b\r\n", MalformedReply::Mixed(250, 550)),
            (b"150 wait\r\n", MalformedReply::Class(100)),
            (b"0", MalformedReply::Class(0)),
            (b"650 x\r\n", MalformedReply::Class(600)),
            (&long, MalformedReply::LineTooLong),
        ];
        // The error text if the bytes arrive one by one, and if they arrive together.
        let no_code: [(&[u8], &str, &str); 5] = [
            (b"25 x\r\n", "25 ", "25 x"),
            (b"2500 x\r\n", "2500", "2500 x"),
            (b"250_x\r\n", "250_", "250_x"),
            (b"HTTP/1.1 400", "H", "HTTP/1.1 400"),
            (b"\r\n", "?", ""),
        ];
        let same = table.map(|(bytes, error)| (bytes, error.clone(), error));
        let differ = no_code.map(|(bytes, first, whole)| (bytes, code(first), code(whole)));

        for (bytes, first, whole) in same.into_iter().chain(differ) {
            assert_eq!(read(bytes, 1), (vec![], Some(first)));
            assert_eq!(read(bytes, bytes.len()), (vec![], Some(whole)));
        }
    }

    #[test]
    fn a_reply_of_many_lines_is_bounded() {
        let mut bytes =
            b"250-0123456789012345678901234567890123456789012345678901234567890\r\n".repeat(900);
        bytes.extend_from_slice(b"250 end\r\n");
        assert_eq!(read(&bytes, 4096).0.len(), 1);

        let endless = b"250-0123456789\r\n".repeat(5_000);
        assert_eq!(read(&endless, 4096).1, Some(MalformedReply::ReplyTooLong));
    }

    #[test]
    fn data_after_a_reply_is_noticed() {
        let mut reader = ReplyReader::default();
        reader.push(b"250 one\r\n250 two\r\n");

        assert_eq!(reader.take().unwrap().unwrap().text, "one");
        assert!(reader.holds_more());
        assert_eq!(reader.take().unwrap().unwrap().text, "two");
        assert!(!reader.holds_more());
    }

    proptest! {
        #[test]
        fn every_well_formed_reply_is_read(
            code in 200..600_u16,
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..6),
            size in 1usize..70,
        ) {
            let mut bytes = Vec::new();
            for (nth, line) in lines.iter().enumerate() {
                let mark = if nth + 1 == lines.len() { b' ' } else { b'-' };
                bytes.extend_from_slice(code.to_string().as_bytes());
                bytes.push(mark);
                bytes.extend(line.iter().filter(|it| !matches!(it, b'\r' | b'\n')));
                bytes.extend_from_slice(b"\r\n");
            }

            let (replies, error) = read(&bytes, size);

            prop_assert_eq!((replies.len(), error), (1, None));
            prop_assert_eq!(replies[0].code, code);
            prop_assert!(!replies[0].text.contains(char::is_control));
        }

        #[test]
        fn the_size_of_pieces_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'2'), Just(b'5'), Just(b'0'), Just(b'-'), Just(b' '), Just(b'\r'), Just(b'\n'), any::<u8>(),
            ], 0..80),
            size in 1usize..20,
        ) {
            let (whole, error) = read(&bytes, bytes.len().max(1));
            let (pieces, piecewise) = read(&bytes, size);
            prop_assert_eq!(&whole, &pieces);
            prop_assert_eq!(error.is_some(), piecewise.is_some());
            for reply in whole {
                prop_assert!((200..600).contains(&reply.code));
                prop_assert!(!reply.text.contains(char::is_control));
            }
        }
    }
}
