//! A mailbox over `IMAP4rev1` (RFC 3501), as far as reading reports needs it.
//!
//! The mailbox is opened with EXAMINE, so that nothing in it changes, unless reports are to be moved. Every
//! answer has a deadline and a limit of size, because the server may stall, lie about sizes or end the
//! connection.

mod error;
mod response;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub use self::error::ImapError;
use self::error::{DEADLINE, lost, silent};
use self::response::{Response, ResponseReader};
use super::source::MAIL_LIMIT;
use super::text::line_of;

/// How many mails are asked for with one command.
const BATCH: usize = 20;

/// How a mailbox is opened.
pub enum ImapLogin {
    /// A user name and its password.
    Password(String, SecretString),
    /// A user name and an access token (XOAUTH2).
    Token(String, SecretString),
}

/// A connection to an IMAP server.
pub struct ImapSession<S> {
    reader: ResponseReader<S>,
    tag: u32,
    capabilities: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ImapSession<S> {
    /// Reads the greeting, and logs in.
    ///
    /// # Errors
    /// If the server does not answer as IMAP, or refuses the login.
    pub async fn log_in(stream: S, login: &ImapLogin) -> Result<Self, ImapError> {
        let mut session = Self {
            reader: ResponseReader::new(stream),
            tag: 0,
            capabilities: Vec::new(),
        };
        let greeting = session.next().await?;
        if !greeting.text.to_ascii_uppercase().starts_with("* OK") {
            let answer = line_of(&greeting.text);
            return Err(ImapError::Refused {
                command: "the connection",
                answer,
            });
        }
        session.read_capabilities().await?;
        session.authenticate(login).await?;
        // A server may offer more after the login.
        session.read_capabilities().await?;
        Ok(session)
    }

    /// Opens a folder, and gives the ids of its mails since a day such as `30-Nov-2026`, or of all.
    ///
    /// # Errors
    /// If the server refuses that.
    pub async fn open(
        &mut self,
        folder: &str,
        writable: bool,
        since: Option<&str>,
    ) -> Result<Vec<u32>, ImapError> {
        let verb = if writable { "SELECT" } else { "EXAMINE" };
        let command = format!("{verb} {}", quoted(folder));
        self.command("the folder", &command).await?;
        let search = match since {
            Some(day) => format!("UID SEARCH SINCE {day}"),
            None => "UID SEARCH ALL".to_owned(),
        };
        let answers = self.command("UID SEARCH", &search).await?;
        let ids = untagged(&answers, "SEARCH").filter_map(|it| it.parse().ok());
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The beginnings of some mails, each with its id. Mails that were deleted meanwhile are left out.
    ///
    /// # Errors
    /// If the connection is lost, or the server sends something else.
    pub async fn fetch(&mut self, ids: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, ImapError> {
        let mut mails = Vec::new();
        for batch in ids.chunks(BATCH) {
            let command = format!("UID FETCH {} (UID BODY.PEEK[]<0.{MAIL_LIMIT}>)", set(batch));
            for answer in self.command("UID FETCH", &command).await? {
                let id = answer.number_after("UID").filter(|it| batch.contains(it));
                if let (Some(id), Some(bytes)) = (id, answer.literals.into_iter().next()) {
                    mails.push((id, bytes));
                }
            }
        }
        Ok(mails)
    }

    /// Moves mails into another folder (RFC 6851; with servers that lack it, by copy and deletion).
    ///
    /// # Errors
    /// If the server refuses that.
    pub async fn move_to(&mut self, ids: &[u32], folder: &str) -> Result<(), ImapError> {
        let folder = quoted(folder);
        for batch in ids.chunks(BATCH) {
            let ids = set(batch);
            if self.offers("MOVE") {
                self.command("UID MOVE", &format!("UID MOVE {ids} {folder}"))
                    .await?;
                continue;
            }
            self.command("UID COPY", &format!("UID COPY {ids} {folder}"))
                .await?;
            let delete = format!("UID STORE {ids} +FLAGS.SILENT (\\Deleted)");
            self.command("UID STORE", &delete).await?;
            // Without UIDPLUS, EXPUNGE would also remove what others have marked.
            if self.offers("UIDPLUS") {
                self.command("UID EXPUNGE", &format!("UID EXPUNGE {ids}"))
                    .await?;
            }
        }
        Ok(())
    }

    /// Ends the session; the result is ignored.
    pub async fn log_out(mut self) {
        let _ = timeout(Duration::from_secs(2), self.command("LOGOUT", "LOGOUT")).await;
    }

    fn offers(&self, capability: &str) -> bool {
        let mut offered = self.capabilities.iter();
        offered.any(|it| it.eq_ignore_ascii_case(capability))
    }

    async fn read_capabilities(&mut self) -> Result<(), ImapError> {
        let answers = self.command("CAPABILITY", "CAPABILITY").await?;
        let offered = untagged(&answers, "CAPABILITY");
        self.capabilities = offered.map(str::to_owned).collect();
        Ok(())
    }

    async fn authenticate(&mut self, login: &ImapLogin) -> Result<(), ImapError> {
        let (mechanism, initial) = match login {
            ImapLogin::Password(user, password) => {
                ("PLAIN", format!("\0{user}\0{}", password.expose_secret()))
            }
            ImapLogin::Token(user, token) => (
                "XOAUTH2",
                format!(
                    "user={user}\x01auth=Bearer {}\x01\x01",
                    token.expose_secret()
                ),
            ),
        };
        let initial = BASE64.encode(initial);
        let offered = self.offers(&format!("AUTH={mechanism}"));
        let result = match login {
            ImapLogin::Password(user, password) if !offered => {
                if self.offers("LOGINDISABLED") {
                    let why = "it offers no login with a password".to_owned();
                    return Err(ImapError::Login(why));
                }
                let command = format!(
                    "LOGIN {} {}",
                    quoted(user),
                    quoted(password.expose_secret())
                );
                self.command("LOGIN", &command).await
            }
            _ if !offered => {
                let why = format!("it does not offer {mechanism}");
                return Err(ImapError::Login(why));
            }
            _ if self.offers("SASL-IR") => {
                let command = format!("AUTHENTICATE {mechanism} {initial}");
                self.command("AUTHENTICATE", &command).await
            }
            _ => {
                let tag = self.send(&format!("AUTHENTICATE {mechanism}")).await?;
                let answer = self.next().await?;
                if answer.text.starts_with('+') {
                    self.write(&format!("{initial}\r\n")).await?;
                    self.finish("AUTHENTICATE", &tag).await
                } else {
                    Err(ImapError::Login(line_of(&answer.text)))
                }
            }
        };
        result.map(drop).map_err(|error| match error {
            ImapError::Refused { answer, .. } => ImapError::Login(answer),
            error => error,
        })
    }

    /// Sends a command and reads its answers.
    async fn command(
        &mut self,
        name: &'static str,
        command: &str,
    ) -> Result<Vec<Response>, ImapError> {
        let tag = self.send(command).await?;
        self.finish(name, &tag).await
    }

    async fn send(&mut self, command: &str) -> Result<String, ImapError> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.write(&format!("{tag} {command}\r\n")).await?;
        Ok(tag)
    }

    async fn write(&mut self, text: &str) -> Result<(), ImapError> {
        let stream = &mut self.reader.stream;
        let written = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        let written = timeout(DEADLINE, written).await.map_err(|_| silent())?;
        written.map_err(|error| lost(&error))
    }

    /// Reads answers up to the one with this tag.
    async fn finish(&mut self, name: &'static str, tag: &str) -> Result<Vec<Response>, ImapError> {
        let mut answers = Vec::new();
        loop {
            let answer = self.next().await?;
            if answer.text.starts_with('+') {
                // A refused XOAUTH2 first sends its reason, and waits for an empty line.
                self.write("\r\n").await?;
                let reason = answer.text[1..].trim();
                let reason = BASE64.decode(reason).unwrap_or_default();
                let reason = line_of(&String::from_utf8_lossy(&reason));
                let refused = Box::pin(self.finish(name, tag)).await.err();
                return Err(match refused {
                    Some(ImapError::Refused { command, answer }) => ImapError::Refused {
                        command,
                        answer: format!("{answer} {reason}"),
                    },
                    Some(error) => error,
                    None => ImapError::Malformed("it asks for more than was begun"),
                });
            }
            let Some(result) = answer.text.strip_prefix(tag).map(str::trim_start) else {
                if answer.text.to_ascii_uppercase().starts_with("* BYE") && name != "LOGOUT" {
                    let why = format!(
                        "the server ended the session: {}",
                        line_of(&answer.text[5..])
                    );
                    return Err(ImapError::Connection(why));
                }
                answers.push(answer);
                continue;
            };
            let is_ok = result
                .get(..2)
                .is_some_and(|it| it.eq_ignore_ascii_case("OK"));
            return if is_ok {
                Ok(answers)
            } else {
                Err(ImapError::Refused {
                    command: name,
                    answer: line_of(result),
                })
            };
        }
    }

    async fn next(&mut self) -> Result<Response, ImapError> {
        let read = timeout(DEADLINE, self.reader.next()).await;
        read.map_err(|_| silent())?
    }
}

/// The words of the untagged answers of this kind: `* SEARCH 2 84`.
fn untagged<'a>(answers: &'a [Response], kind: &str) -> impl Iterator<Item = &'a str> {
    let data = answers.iter().filter_map(move |it| {
        let (first, rest) = it.text.strip_prefix("* ")?.split_once(' ')?;
        first.eq_ignore_ascii_case(kind).then_some(rest)
    });
    data.flat_map(str::split_ascii_whitespace)
}

/// A quoted string (RFC 3501 §4.3).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn set(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests;
