//! What a message is sent for: the invitation, or a reminder of it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What a message is sent for. Part of the identity; its text is in the ledger and in reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// The invitation.
    #[default]
    Invitation,
    /// The reminder of this number; the first is 1.
    Reminder(u8),
}

impl Occasion {
    const INVITATION: &str = "invitation";
    const REMINDER: &str = "reminder-";

    /// Whether it is a reminder.
    #[must_use]
    pub fn is_reminder(self) -> bool {
        self != Self::Invitation
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invitation => f.write_str(Self::INVITATION),
            Self::Reminder(number) => write!(f, "{}{number}", Self::REMINDER),
        }
    }
}

impl FromStr for Occasion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = || {
            let number: u8 = text.strip_prefix(Self::REMINDER)?.parse().ok()?;
            let occasion = Self::Reminder(number);
            // Only as it is written, without a sign and leading zeros.
            (number > 0 && occasion.to_string() == text).then_some(occasion)
        };
        match text {
            Self::INVITATION => Ok(Self::Invitation),
            _ => number().ok_or("it must be invitation, reminder-1, reminder-2 and so on"),
        }
    }
}

impl Serialize for Occasion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Occasion;

    #[test]
    fn occasions_read_back_and_sort_by_number() {
        let mut all: Vec<Occasion> = (1..=u8::MAX).map(Occasion::Reminder).collect();
        all.insert(0, Occasion::Invitation);
        for occasion in &all {
            assert_eq!(occasion.to_string().parse(), Ok(*occasion));
        }
        assert!(all.is_sorted());
        for other in [
            "",
            "Invitation",
            "reminder",
            "reminder-0",
            "reminder-01",
            "reminder-+1",
            "reminder-256",
        ] {
            assert!(other.parse::<Occasion>().is_err(), "{other}");
        }
    }
}
