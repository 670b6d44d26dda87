//! What `ledger copy` copies: the tables that both stores have, with their columns, and a digest of their rows.

use sha2::{Digest, Sha256};

use self::Kind::{Bool, Bytes, Int, Text};
use super::witness::Id;
use crate::invitation::MessageIdKey;

/// How many rows are copied at a time.
pub const PAGE: usize = 1000;

/// A value of a row; a truth is 0 or 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a row, in the order of the columns.
pub type Row = Vec<Value>;

/// The type of a column. A truth is a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    Bytes,
    Bool,
}

/// A table of both stores. A run in a database has the id and the counter of its writer.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// The columns by which its rows are ordered.
    pub key: &'static [&'static str],
}

impl Table {
    /// The names of its columns, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// All tables; each refers to earlier ones only.
pub const TABLES: [Table; 11] = [
    Table {
        name: "run",
        columns: &[
            ("number", Int),
            ("id", Bytes),
            ("verb", Text),
            ("campaign", Text),
            ("started_at", Int),
            ("ended_at", Int),
            ("version", Text),
            ("host", Text),
            ("os_user", Text),
            ("digest", Text),
            ("counts", Text),
            ("exit_code", Int),
            ("changes", Int),
        ],
        key: &["number"],
    },
    Table {
        name: "invitation",
        columns: &[
            ("id", Int),
            ("campaign", Text),
            ("package_id", Text),
            ("address", Text),
            ("occasion", Text),
            ("package", Text),
            ("email", Text),
            ("name", Text),
            ("organization", Text),
            ("locale", Text),
            ("template_locale", Text),
            ("state", Text),
            ("generation", Int),
            ("message_id", Text),
            ("attempts", Int),
            ("deferrals", Int),
            ("repeat", Bool),
            ("created_at", Int),
            ("updated_at", Int),
            ("accepted_at", Int),
            ("deferred_since", Int),
            ("next_attempt_at", Int),
            ("message_date", Int),
            ("message_sha256", Bytes),
            ("latest", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "history",
        columns: &[
            ("id", Int),
            ("invitation", Int),
            ("at", Int),
            ("from_state", Text),
            ("to_state", Text),
            ("cause", Text),
            ("phase", Text),
            ("smtp_code", Int),
            ("enhanced_code", Text),
            ("reply", Text),
            ("relay", Text),
            ("message_id", Text),
            ("note", Text),
            ("run", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "campaign",
        columns: &[("name", Text), ("confirmed_at", Int)],
        key: &["name"],
    },
    Table {
        name: "gap",
        columns: &[
            ("id", Int),
            ("at", Int),
            ("run", Int),
            ("witness_run", Bytes),
            ("witness_changes", Int),
            ("note", Text),
        ],
        key: &["id"],
    },
    Table {
        name: "notice",
        columns: &[("name", Text), ("at", Int)],
        key: &["name"],
    },
    Table {
        name: "suppression",
        columns: &[
            ("hash", Bytes),
            ("address", Text),
            ("at", Int),
            ("source", Text),
            ("note", Text),
            ("run", Int),
        ],
        key: &["hash"],
    },
    Table {
        name: "approval",
        columns: &[
            ("id", Int),
            ("campaign", Text),
            ("digest", Text),
            ("approved_by", Text),
            ("at", Int),
            ("note", Text),
            ("run", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "access",
        columns: &[
            ("package_id", Text),
            ("person", Bytes),
            ("state", Text),
            ("at", Int),
            ("requested_at", Int),
        ],
        key: &["package_id", "person"],
    },
    Table {
        name: "access_reading",
        columns: &[("package_id", Text), ("at", Int)],
        key: &["package_id"],
    },
    Table {
        name: "erased_invitation",
        columns: &[("hash", Bytes), ("at", Int)],
        key: &["hash"],
    },
];

/// What a ledger has besides its tables.
#[derive(Clone)]
pub struct LedgerIdentity {
    pub id: Id,
    pub key: MessageIdKey,
    /// Its counter of changes.
    pub changes: i64,
}

impl LedgerIdentity {
    /// Whether both are those of one ledger, at the same change.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        (self.id, self.key.0, self.changes) == (other.id, other.key.0, other.changes)
    }
}

/// How far a ledger was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is a ledger of its own.
    Own,
    /// It was moved to this place, and is not written any more. `finished` if the copy there is in use.
    Moved { to: String, finished: bool },
    /// It is a copy of this place, and perhaps not complete.
    Incomplete { from: String },
}

/// What a target of `ledger copy` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// There is no ledger.
    Absent,
    /// A copy of this place was begun there.
    Incomplete { from: String },
    /// There is a ledger that is in use.
    InUse,
}

/// The number of rows of a table and their digest, in their order.
#[derive(Clone, Debug, Default)]
pub struct TableDigest {
    pub rows: u64,
    hash: Sha256,
}

impl TableDigest {
    /// Adds rows.
    pub fn add(&mut self, rows: &[Row]) {
        for value in rows.iter().flatten() {
            match value {
                Value::Null => self.hash.update(b"n"),
                Value::Int(number) => {
                    self.hash.update(b"i");
                    self.hash.update(number.to_be_bytes());
                }
                Value::Text(text) => self.add_bytes(b"t", text.as_bytes()),
                Value::Bytes(bytes) => self.add_bytes(b"b", bytes),
            }
        }
        self.rows += rows.len() as u64;
    }

    fn add_bytes(&mut self, kind: &[u8], bytes: &[u8]) {
        self.hash.update(kind);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    /// Whether both have the same rows.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        self.rows == other.rows && self.hash.clone().finalize() == other.hash.clone().finalize()
    }
}
