//! Replacing an address in every text of every table, such as notes about other partners.

use std::borrow::Cow;

use super::connection::{SCHEMA, Session};
use super::errors::{Failure, ensure_one_row};
use super::rows;
use crate::mentions::Mentions;

/// Replaces the address; gives how many texts named it. The server finds those that may name it; which do, and where,
/// is decided as in every other file.
pub async fn redact(session: &Session, mentions: &Mentions) -> Result<u64, Failure> {
    let patterns: Vec<String> = mentions.spellings().iter().map(|it| pattern(it)).collect();
    let mut changed = 0;
    for (table, column) in text_columns(session).await? {
        let found = session
            .query_once(
                &format!(
                    "SELECT ctid::text, \"{column}\" FROM \"{table}\"
                     WHERE lower(\"{column}\" COLLATE \"C\") LIKE ANY ($1) FOR UPDATE"
                ),
                &[&patterns],
            )
            .await?;
        for row in &found {
            let Cow::Owned(text) = mentions.removed_from(rows::value(row, 1)?) else {
                continue;
            };
            let place: &str = rows::value(row, 0)?;
            if (table.as_str(), column.as_str()) == ("notice", "name") {
                // Two notices that differ only in the address become one.
                session
                    .execute("DELETE FROM notice WHERE name = $1", &[&text])
                    .await?;
            }
            let update = format!(
                "UPDATE \"{table}\" SET \"{column}\" = $2 WHERE ctid = ($1::text)::tid RETURNING 1"
            );
            let updated = session.query_once(&update, &[&place, &text]).await?;
            ensure_one_row(updated.len() as u64)?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// A pattern of LIKE for every text that may have a spelling. A letter that is not ASCII may be written in several
/// ways; `K` and `I` have a third form beyond ASCII (U+212A, U+0130).
fn pattern(spelling: &str) -> String {
    let letter = |letter| match letter {
        'k' | 'i' | '\\' => '_',
        letter if letter.is_ascii() => letter,
        _ => '%',
    };
    format!("%{}%", spelling.chars().map(letter).collect::<String>())
}

/// Every column of every table that holds texts. Those of `meta` are places of ledgers, and only its owner writes it.
async fn text_columns(session: &Session) -> Result<Vec<(String, String)>, Failure> {
    let rows = session
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = c.oid
             WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'meta' AND a.attnum > 0 AND a.atttypid = 'text'::regtype
             ORDER BY c.relname, a.attnum",
            &[&SCHEMA],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((rows::value(row, 0)?, rows::value(row, 1)?)))
        .collect()
}
