//! `[bounces]`: where delivery reports arrive.

use std::path::{Path, PathBuf};

use super::client_secret::{PASSWORD, SecretSource};
use super::host::host;
use super::microsoft::Microsoft;
use super::oauth::OAuth;
use super::reader::Section;
use super::values::{choice, parsed_text, path, port, switch, text};
use crate::address::Address;

/// Where delivery reports arrive. Without a source, `sync` reads only the files that it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounces {
    /// A Maildir.
    pub maildir: Option<PathBuf>,
    /// An mbox file.
    pub mbox: Option<PathBuf>,
    /// The address of a mailbox that is read through Microsoft Graph.
    pub graph_mailbox: Option<Address>,
    /// A mailbox over IMAP.
    pub imap: Option<Imap>,
    /// Whether to ask relays for reports of success, too.
    pub receipts: bool,
    /// Whether a bounce suppresses the address if the mailbox is unknown or disabled.
    pub suppress: bool,
}

/// A mailbox over IMAP, with TLS from the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imap {
    /// The server's name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user name of the login.
    pub username: String,
    /// How it logs in.
    pub login: ImapCredential,
    /// The folder that is read.
    pub folder: String,
    /// The folder into which recorded reports are moved; unset, the mailbox stays as it is.
    pub move_to: Option<String>,
    /// Trusted certificates in addition to the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// How a mailbox is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImapCredential {
    /// With a password.
    Password(SecretSource),
    /// With an access token of Microsoft Entra: `[microsoft]`.
    Microsoft(Box<Microsoft>),
    /// With an access token of another issuer: `[smtp.oauth]`.
    Issuer(Box<OAuth>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Password,
    Microsoft,
    Issuer,
}

impl Bounces {
    pub(super) fn read(
        section: &mut Section<'_>,
        folder: &Path,
        microsoft: Option<&Microsoft>,
        issuer: Option<&OAuth>,
    ) -> Self {
        let bounces = Self {
            maildir: section
                .key("maildir", "the Maildir of the mailbox that reports come to")
                .optional(path(folder)),
            mbox: section
                .key("mbox", "or its mbox file")
                .optional(path(folder)),
            graph_mailbox: section
                .key(
                    "graph_mailbox",
                    "or its address, to read it through Microsoft Graph",
                )
                .optional(parsed_text(
                    "the address of a mailbox such as \"partner-access@contoso.example\"",
                    |it| Address::parse(it).ok(),
                )),
            receipts: section
                .key("receipts", "ask relays for reports of success, too")
                .or("false", switch()),
            suppress: section
                .key(
                    "suppress",
                    "suppress the addresses of unknown mailboxes, in all campaigns",
                )
                .or("false", switch()),
            imap: section.read("imap", |it| Imap::read(it, folder, microsoft, issuer)),
        };
        if bounces.graph_mailbox.is_some() && microsoft.is_none() {
            let message = "`bounces.graph_mailbox` needs the table `[microsoft]`, the app registration that reads the mailbox; add it";
            section.problem("graph_mailbox", message);
        }
        bounces
    }

    /// The files that it names, each with what to call it.
    pub(super) fn files(&self) -> [(&'static str, Option<&Path>); 3] {
        let imap = self.imap.as_ref();
        let ca_file = imap.and_then(|it| it.ca_file.as_deref());
        let password = imap.and_then(|it| match &it.login {
            ImapCredential::Password(source) => source.file(),
            _ => None,
        });
        [
            ("the mailbox of `bounces.mbox`", self.mbox.as_deref()),
            ("the file of `bounces.imap.ca_file`", ca_file),
            ("the file of `bounces.imap.password_file`", password),
        ]
    }
}

impl Imap {
    /// `None` if the table is absent or empty, and after a problem.
    fn read(
        section: &mut Section<'_>,
        folder: &Path,
        microsoft: Option<&Microsoft>,
        issuer: Option<&OAuth>,
    ) -> Option<Self> {
        let given = !section.is_empty();
        let server = section
            .key("host", "the IMAP server of that mailbox")
            .optional(host());
        let port = section
            .key("port", "with TLS from the first byte")
            .or("993", port());
        let username = section
            .key("username", "the login's user name")
            .optional(text());
        let auth = section
            .key(
                "auth",
                "or \"microsoft\", \"oauth\": with a token for that table",
            )
            .or(
                "\"password\"",
                choice(&[
                    ("password", Auth::Password),
                    ("microsoft", Auth::Microsoft),
                    ("oauth", Auth::Issuer),
                ]),
            );
        let mut passwords = SecretSource::read(section, &PASSWORD, folder);
        let read_folder = section
            .key("folder", "the folder to read")
            .or("\"INBOX\"", text());
        let move_to = section
            .key(
                "move_to",
                "a folder for recorded reports; unset: nothing is moved",
            )
            .optional(text());
        let ca_file = section.ca_file(folder);
        let login = match auth {
            Auth::Password => passwords.pop().map(|it| ImapCredential::Password(it.1)),
            Auth::Microsoft => microsoft.map(|it| ImapCredential::Microsoft(Box::new(it.clone()))),
            Auth::Issuer => issuer.map(|it| ImapCredential::Issuer(Box::new(it.clone()))),
        };
        if given {
            let missing = ["host", "username"]
                .into_iter()
                .find(|it| !section.contains(it));
            if let Some(missing) = missing {
                let message = format!("`[bounces.imap]` needs `{missing}`");
                section.problem(missing, message);
            }
            let excess = !passwords.is_empty() && auth == Auth::Password;
            if login.is_none() || excess {
                let needs = match auth {
                    Auth::Password => {
                        "one of `password_file`, `password_env` and `password_credential`"
                    }
                    Auth::Microsoft => "the table `[microsoft]`",
                    Auth::Issuer => "a login at the relay by `[smtp.oauth]`",
                };
                section.problem("auth", format!("`[bounces.imap]` needs {needs}"));
            }
        }
        Some(Self {
            host: server?,
            port,
            username: username?,
            login: login?,
            folder: read_folder,
            move_to,
            ca_file,
        })
    }
}
