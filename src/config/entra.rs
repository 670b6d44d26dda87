//! `[entra]`: what is asked of Microsoft Entra before mail is sent.

use super::microsoft::Cloud;
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
    /// `given`: whether the file has the table, which may be empty.
    pub(super) fn read(
        mut section: Section<'_>,
        given: bool,
        has_app: bool,
        cloud: Option<Cloud>,
    ) -> Option<Self> {
        let before_send = section
            .key(
                "before_send",
                "unset: access packages that partners cannot request stop a `send`",
            )
            .optional(choice(&BeforeSend::CHOICES));
        let message_trace = section
            .key(
                "message_trace",
                "`sync` reads the message trace of Exchange Online, too",
            )
            .or("false", switch());
        if message_trace && cloud.is_some_and(|it| it != Cloud::Global) {
            let message = "`entra.message_trace` needs `microsoft.cloud` = \"global\", because Microsoft Graph has no message trace in the other clouds; remove it";
            section.problem("message_trace", message);
        }
        let skip_if_requested = section
            .key(
                "skip_if_requested",
                "`send` does not invite partners who have asked for access",
            )
            .or("false", switch());
        if given && !has_app {
            let message = "`[entra]` needs `[microsoft]`, the app registration that reads Microsoft Entra; add it, or remove `[entra]`";
            section.problem("before_send", message);
        }
        section.finish();
        given.then(|| Self {
            before_send: before_send.unwrap_or_default(),
            message_trace,
            skip_if_requested,
        })
    }
}
