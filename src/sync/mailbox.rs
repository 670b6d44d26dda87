//! A mailbox over IMAP as a source of reports.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tracing::debug;

use crate::config::{Imap, ImapCredential};
use crate::http::Proxies;
use crate::inbox::{ImapError, ImapLogin, ImapSession, Mail};
use crate::oauth::{MicrosoftApi, OAuthError, Settings, TokenSource};
use crate::os_error::without_os_code;
use crate::relay::{SetupError, tls_trusting};
use crate::secret::{self, SecretError};

/// How long connecting and the TLS handshake may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How many mails are held in memory.
const BATCH: usize = 20;
/// Mail is read from this long before the first message on, because the server's clock may differ.
pub(super) const MARGIN: SignedDuration = SignedDuration::from_hours(48);

/// Why a mailbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The password cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no access token.
    #[error(transparent)]
    Token(#[from] OAuthError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The server refuses something, or the connection was lost.
    #[error(transparent)]
    Imap(#[from] ImapError),
}

/// An open mailbox.
pub struct Mailbox {
    session: ImapSession<TlsStream<TcpStream>>,
    name: String,
    /// The ids of the mails that are still to be read, from the end.
    ids: Vec<u32>,
}

impl Mailbox {
    /// Connects, logs in and opens the folder, read-only unless reports are to be moved. `first_sent` is when
    /// the first message was sent.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn open(config: &Imap, first_sent: Option<Timestamp>) -> Result<Self, MailboxError> {
        let login = login(config).await?;
        let stream = connect(config).await?;
        let mut session = ImapSession::log_in(stream, &login).await?;
        let since = first_sent.map(|it| (it - MARGIN).strftime("%-d-%b-%Y").to_string());
        let writable = config.move_to.is_some();
        let mut ids = session
            .open(&config.folder, writable, since.as_deref())
            .await?;
        ids.reverse();
        debug!(
            mailbox = name(config),
            mails = ids.len() as u64,
            "mailbox opened"
        );
        Ok(Self {
            session,
            name: name(config),
            ids,
        })
    }

    /// The next mails with their ids; empty at the end.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn next(&mut self) -> Result<Vec<(u32, Mail)>, MailboxError> {
        while !self.ids.is_empty() {
            let start = self.ids.len().saturating_sub(BATCH);
            let batch: Vec<u32> = self.ids.drain(start..).rev().collect();
            let mails = self.session.fetch(&batch).await?;
            if !mails.is_empty() {
                let mail = |(id, bytes)| {
                    let origin = format!("{}, UID {id}", self.name);
                    (id, Mail { origin, bytes })
                };
                return Ok(mails.into_iter().map(mail).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Moves these mails, and ends the session.
    ///
    /// # Errors
    /// If the server refuses that.
    pub async fn close(mut self, moved: &[u32], folder: Option<&str>) -> Result<(), MailboxError> {
        if let (Some(folder), false) = (folder, moved.is_empty()) {
            self.session.move_to(moved, folder).await?;
        }
        self.session.log_out().await;
        Ok(())
    }
}

/// What the mailbox is called in messages.
#[must_use]
pub fn name(config: &Imap) -> String {
    format!("imaps://{}/{}", config.host, config.folder)
}

async fn login(config: &Imap) -> Result<ImapLogin, MailboxError> {
    let username = config.username.clone();
    let settings = match &config.login {
        ImapCredential::Password(source) => {
            let password = secret::read(source, "password")?;
            return Ok(ImapLogin::Password(username, password));
        }
        // The token for Exchange Online is the same for SMTP and IMAP.
        ImapCredential::Microsoft(it) => Settings::microsoft(it, MicrosoftApi::Smtp),
        ImapCredential::Issuer(it) => Settings::issuer(it),
    };
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    let tokens = TokenSource::new(settings, proxies, Timestamp::now)?;
    let token = tokens.token().await?;
    Ok(ImapLogin::Token(username, token.secret().clone()))
}

async fn connect(config: &Imap) -> Result<TlsStream<TcpStream>, MailboxError> {
    let Imap { host, port, .. } = config;
    let failed = |why: String| {
        MailboxError::Unreachable(format!(
            "cannot connect to the IMAP server {host}:{port}: {why}"
        ))
    };
    let tls = tls_trusting(config.ca_file.as_deref(), "bounces.imap.ca_file")?;
    let server = ServerName::try_from(host.clone()).map_err(|it| failed(it.to_string()))?;
    let connecting = async {
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        tls.connect(server, stream).await
    };
    match timeout(DEADLINE, connecting).await {
        Ok(connected) => connected.map_err(|error| failed(without_os_code(error))),
        Err(_) => Err(failed(format!("no answer within {} s", DEADLINE.as_secs()))),
    }
}
