//! `[entra]`: what is asked of Microsoft Entra before mail is sent.

use super::login::TokenTable;
use super::microsoft::{Cloud, Microsoft};
use super::reader::Section;
use super::values::{choice, switch};

/// What is asked of Microsoft Entra. Without the table, nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entra {
    /// What `send` does about access packages that partners cannot request.
    pub before_send: BeforeSend,
    /// Whether `sync` reads the message trace of Exchange Online.
    pub message_trace: bool,
    /// Whether partners who have asked for access are not invited.
    pub skip_if_requested: bool,
}

/// What `send` does about access packages that partners cannot request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeforeSend {
    /// Errors stop it; what cannot be read is a warning.
    #[default]
    Errors,
    /// What cannot be read stops it, too.
    Refuse,
    /// Nothing stops it.
    Warn,
    /// Nothing is asked.
    Off,
}

impl BeforeSend {
    const CHOICES: [(&'static str, Self); 3] = [
        ("refuse", Self::Refuse),
        ("warn", Self::Warn),
        ("off", Self::Off),
    ];
}

impl Entra {
    /// `None` without the table, which may be empty.
    pub(super) fn read(
        section: &mut Section<'_>,
        microsoft: &TokenTable<Microsoft>,
    ) -> Option<Self> {
        let before_send = section
            .key(
                "before_send",
                "unset: access packages that partners cannot request stop a `send`",
            )
            .optional(choice(&BeforeSend::CHOICES));
        let entra = Self {
            before_send: before_send.unwrap_or_default(),
            message_trace: section
                .key(
                    "message_trace",
                    "`sync` reads the message trace of Exchange Online, too",
                )
                .or("false", switch()),
            skip_if_requested: section
                .key(
                    "skip_if_requested",
                    "`send` does not invite partners who have asked for access",
                )
                .or("false", switch()),
        };
        let cloud = microsoft.table.as_ref().map(|it| it.cloud);
        if entra.message_trace && cloud.is_some_and(|it| it != Cloud::Global) {
            let message = "`entra.message_trace` needs `microsoft.cloud` = \"global\", because Microsoft Graph has no message trace in the other clouds; remove it";
            section.problem("message_trace", message);
        }
        if section.is_given() && !microsoft.given {
            let message = "`[entra]` needs `[microsoft]`, the app registration that reads Microsoft Entra; add it, or remove `[entra]`";
            section.problem("before_send", message);
        }
        section.is_given().then_some(entra)
    }
}
