//! `[privacy]`: how long the ledger keeps what it knows about partners.

use jiff::SignedDuration;

use super::reader::Section;
use super::values::duration;

/// How long closed invitations stay on record; `None` means without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// From the last change of an invitation.
    pub retain: Option<SignedDuration>,
}

impl Privacy {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            retain: section
                .key(
                    "retain",
                    "closed invitations are erased this long after their last change",
                )
                .optional(duration()),
        }
    }
}
