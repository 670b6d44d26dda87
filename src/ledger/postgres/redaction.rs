//! Replacing an address in every text of every table, such as notes about other partners.

use std::borrow::Cow;

use super::connection::{SCHEMA, Session};
use super::errors::Failure;
use super::rows;
use crate::mentions::Mentions;

/// Replaces the address; gives how many texts named it. The server finds the rows that may name it; which texts do, and
/// where, is decided as in every other file.
pub async fn redact(session: &Session, mentions: &Mentions) -> Result<u64, Failure> {
    let patterns: Vec<String> = mentions.spellings().iter().map(|it| pattern(it)).collect();
    let mut changed = 0;
    for (table, columns) in text_columns(session).await? {
        let quoted: Vec<_> = columns.iter().map(|it| format!("\"{it}\"")).collect();
        let all = quoted.join(", ");
        let found = session
            .query_once(
                &format!(
                    "SELECT ctid::text, {all} FROM \"{table}\"
                     WHERE lower(concat_ws(' ', {all}) COLLATE \"C\") LIKE ANY ($1) FOR UPDATE"
                ),
                &[&patterns],
            )
            .await?;
        for row in &found {
            // Where the row is. It moves with each change.
            let mut place: String = rows::value(row, 0)?;
            for (at, column) in quoted.iter().enumerate() {
                let text: Option<&str> = rows::value(row, at + 1)?;
                let Some(Cow::Owned(text)) = text.map(|it| mentions.removed_from(it)) else {
                    continue;
                };
                if table == "notice" {
                    // Two notices that differ only in the address become one.
                    session
                        .execute("DELETE FROM notice WHERE name = $1", &[&text])
                        .await?;
                }
                let update = format!(
                    "UPDATE \"{table}\" SET {column} = $2 WHERE ctid = ($1::text)::tid RETURNING ctid::text"
                );
                let updated = session.query_once(&update, &[&place, &text]).await?;
                place = rows::value(updated.first().ok_or(Failure::NoEffect)?, 0)?;
                changed += 1;
            }
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

/// Every table, with its columns that hold texts. Those of `meta` are places of ledgers, and only its owner writes it.
async fn text_columns(session: &Session) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let rows = session
        .query(
            "SELECT c.relname::text, array_agg(a.attname::text) FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = c.oid
             WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'meta' AND a.attnum > 0
                AND a.atttypid = 'text'::regtype
             GROUP BY c.relname ORDER BY c.relname",
            &[&SCHEMA],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((rows::value(row, 0)?, rows::value(row, 1)?)))
        .collect()
}
