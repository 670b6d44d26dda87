//! The outcome of a row, in columns. Their names are an interface.

use jiff::civil::Date;

use crate::invitation::{Access, Erasure, Record, State};
use crate::partners::{Partner, RowFinding};
use crate::plan::Skip;
use crate::report::{generated_cell, utc};

/// The names of the columns: those of `status`, with a prefix that no list has.
pub const COLUMNS: [&str; 16] = [
    "invitation_state",
    "invitation_smtp_code",
    "invitation_enhanced_code",
    "invitation_reply",
    "invitation_note",
    "invitation_attempts",
    "invitation_created_at",
    "invitation_updated_at",
    "invitation_accepted_at",
    "invitation_next_attempt_at",
    "invitation_template_locale",
    "invitation_relay",
    "invitation_message_id",
    "invitation_access",
    "invitation_access_at",
    "invitation_access_by",
];

/// The outcome of a row; empty for an empty row.
#[derive(Default)]
pub struct OutcomeColumns {
    state: &'static str,
    note: String,
    record: Option<Record>,
    access: Option<Access>,
}

impl OutcomeColumns {
    /// Why a row is bad.
    pub fn of_bad(reasons: &[RowFinding]) -> Self {
        let reason = |it: &RowFinding| match &it.column {
            Some(column) => format!("column {column}: {}", it.reason),
            None => it.reason.clone(),
        };
        let reasons: Vec<String> = reasons.iter().map(reason).collect();
        Self {
            state: "bad_row",
            note: reasons.join("; "),
            ..Self::default()
        }
    }

    /// What the ledger has recorded about a partner, and whether their package is closed.
    pub fn of(
        partner: &Partner,
        record: Option<Record>,
        access: Option<Access>,
        erasure: Option<Erasure>,
        today: Date,
    ) -> Self {
        if let Some(erasure) = erasure {
            return Self {
                state: match erasure {
                    Erasure::Forgotten => "forgotten",
                    Erasure::Retention => "erased",
                },
                note: Skip::Erased(erasure).to_string(),
                ..Self::default()
            };
        }
        let state = record.as_ref().map(|it| it.standing.state);
        let undecided = matches!(state, None | Some(State::Pending | State::Deferred));
        let last_day = partner.package.respond_by;
        let closed = last_day.filter(|it| undecided && *it < today);
        let closed = closed.map(|it| Skip::Closed(it).to_string());
        let note = record.as_ref().and_then(|it| it.latest.note.clone());
        let notes: Vec<String> = [note, closed].into_iter().flatten().collect();
        Self {
            state: state.map_or("not_invited", State::as_str),
            note: notes.join("; "),
            record,
            access,
        }
    }

    /// The cells, each on one line, none of them a formula.
    pub fn cells(self) -> [String; COLUMNS.len()] {
        let record = self.record.as_ref();
        let standing = record.map(|it| &it.standing);
        let latest = record.map(|it| &it.latest);
        let code = latest.and_then(|it| it.smtp_code);
        let accepted_at = record.and_then(|it| it.accepted_at);
        let next_attempt_at = standing.and_then(|it| it.next_attempt_at);
        [
            Some(self.state.into()),
            code.map(|it| it.to_string()),
            latest.and_then(|it| it.enhanced_code.clone()),
            latest.and_then(|it| it.reply.clone()),
            Some(self.note),
            standing.map(|it| it.attempts.to_string()),
            record.map(|it| utc(it.created_at)),
            standing.map(|it| utc(it.updated_at)),
            accepted_at.map(utc),
            next_attempt_at.map(utc),
            record.map(|it| it.invitee.template_locale.clone()),
            latest.and_then(|it| it.relay.clone()),
            standing.map(|it| it.message_id.clone()),
            self.access.map(|it| it.state.to_string()),
            self.access.and_then(|it| it.at).map(utc),
            self.access
                .and_then(|it| it.by)
                .map(|it| it.as_str().into()),
        ]
        .map(|it| generated_cell(&it.unwrap_or_default()))
    }
}
