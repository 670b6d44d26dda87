//! Answers of an IMAP server: lines, with literals in them (RFC 3501 §4.3).

use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use super::error::{ImapError, lost};
use crate::inbox::source::MAIL_LIMIT;

/// The longest line of an answer; a search over a million mails gives a line of 8 MB.
const LINE_LIMIT: usize = 16 << 20;
/// The largest literal: a mail up to its limit, with room for servers that count otherwise.
const LITERAL_LIMIT: usize = MAIL_LIMIT + 1024;
/// How many literals an answer may have.
const MAX_LITERALS: usize = 16;

/// One answer of the server.
#[derive(Debug, Default)]
pub struct Response {
    /// Its text without its literals.
    pub text: String,
    /// The literals in it.
    pub literals: Vec<Vec<u8>>,
}

impl Response {
    /// The number after a word, such as `UID 7`.
    pub fn number_after(&self, word: &str) -> Option<u32> {
        let mut words = self
            .text
            .split(|it: char| it.is_ascii_whitespace() || "()".contains(it));
        words.find(|it| it.eq_ignore_ascii_case(word))?;
        words.next()?.parse().ok()
    }
}

/// Reads answers from a stream.
pub struct ResponseReader<S> {
    pub stream: BufReader<S>,
}

impl<S: AsyncRead + Unpin> ResponseReader<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The next answer, which ends with a line that announces no literal.
    pub async fn next(&mut self) -> Result<Response, ImapError> {
        let mut response = Response::default();
        loop {
            let line = self.line().await?;
            let literal = literal_length(&line);
            let text = match literal {
                Some(_) => &line[..line.rfind('{').unwrap_or(line.len())],
                None => &line,
            };
            response.text.push_str(text);
            let Some(length) = literal else {
                return Ok(response);
            };
            if length > LITERAL_LIMIT || response.literals.len() == MAX_LITERALS {
                return Err(ImapError::Malformed("it sends more than was asked for"));
            }
            let mut bytes = vec![0; length];
            let read = self.stream.read_exact(&mut bytes).await;
            read.map_err(|error| lost(&error))?;
            response.literals.push(bytes);
        }
    }

    /// A line without its end.
    async fn line(&mut self) -> Result<String, ImapError> {
        let mut line = Vec::new();
        loop {
            let byte = self.stream.read_u8().await.map_err(|error| lost(&error))?;
            if byte == b'\n' {
                break;
            }
            if line.len() == LINE_LIMIT {
                return Err(ImapError::Malformed("a line does not end"));
            }
            line.push(byte);
        }
        if line.pop_if(|it| *it == b'\r').is_none() {
            return Err(ImapError::Malformed("a line ends without CR"));
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// The length of the literal that a line announces at its end: `{123}`.
fn literal_length(line: &str) -> Option<usize> {
    let (_, length) = line.strip_suffix('}')?.rsplit_once('{')?;
    // A length that does not fit is one that is too large.
    let digits = !length.is_empty() && length.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| length.parse().unwrap_or(usize::MAX))
}
