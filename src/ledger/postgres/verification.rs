//! What shows that a ledger in a database is intact.

use std::collections::BTreeSet;

use super::connection::{SCHEMA, Session};
use super::errors::Failure;
use super::reader::Reader;
use super::{rows, schema};
use crate::ledger::error::Result;
use crate::ledger::verified::{Sums, Verified};
use crate::ledger::witness::hex;

/// How many invitations are compared at a time.
const PAGE: i64 = 5000;

impl Reader {
    /// Checks tables, columns, indexes, counters, histories and Message-IDs. The pages of the database are the matter
    /// of the server (`pg_amcheck`, `pg_checksums`).
    pub async fn verify(&self) -> Result<Vec<Verified>> {
        let key = self.opened.key.clone();
        self.query(async move |session: &Session| {
            let mut all = vec![tables(session).await?];
            // Without its tables, there is nothing to count.
            if all[0].result.is_ok() {
                all.push(counter(session).await?);
                let (mut sums, mut after) = (Sums::new(&key), 0_i64);
                loop {
                    let page = page(session, after).await?;
                    let Some(last) = page.last() else { break };
                    after = rows::value(last, 4)?;
                    for row in &page {
                        sums.add(row)?;
                    }
                }
                all.push(sums.result());
            }
            Ok(all)
        })
        .await
    }
}

async fn page(
    session: &Session,
    after: i64,
) -> std::result::Result<Vec<tokio_postgres::Row>, Failure> {
    session
        .query(
            "SELECT i.campaign, i.package_id, i.address, i.occasion, i.id, i.state, h.to_state, i.generation,
                i.message_id
             FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest AND h.invitation = i.id
             WHERE i.id > $1 ORDER BY i.id LIMIT $2",
            &[&after, &PAGE],
        )
        .await
}

/// Compares tables, columns, keys and indexes with those that this program creates.
async fn tables(session: &Session) -> std::result::Result<Verified, Failure> {
    let (id, ..) = schema::identity(session).await?;
    let found = parts(session).await?;
    let wanted = parts_of(schema::TABLES);
    let known = format!("version {}, ledger {}", schema::VERSION, hex(id));
    Ok(Verified::tables(&found, &wanted, known))
}

/// Columns with their types, unique keys, and indexes, as [`parts_of`] names them.
async fn parts(session: &Session) -> std::result::Result<BTreeSet<String>, Failure> {
    let rows = session
        .query(
            "WITH relation AS (
                SELECT c.oid, c.relname::text AS name, c.relkind FROM pg_class AS c
                JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1)
             SELECT 'column ' || r.name || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
             FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid
             WHERE r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             UNION ALL
             SELECT 'key of ' || r.name || ': ' || pg_get_constraintdef(k.oid)
             FROM relation AS r JOIN pg_constraint AS k ON k.conrelid = r.oid
             WHERE k.contype IN ('p', 'u')
             UNION ALL
             SELECT 'index ' || r.name FROM relation AS r JOIN pg_index AS i ON i.indexrelid = r.oid
             WHERE i.indisvalid AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = r.oid)",
            &[&SCHEMA],
        )
        .await?;
    rows.iter().map(|row| rows::value(row, 0)).collect()
}

/// The parts that these statements create: columns with their types, unique keys, and indexes.
fn parts_of(statements: &str) -> BTreeSet<String> {
    let lines = statements
        .lines()
        .filter(|it| !it.trim_start().starts_with("--"));
    let statements = lines.collect::<Vec<_>>().join(" ");
    let mut parts = BTreeSet::new();
    for statement in statements.split(';').map(str::trim) {
        if let Some(index) = statement.strip_prefix("CREATE INDEX ") {
            let name = index.split_whitespace().next().unwrap_or_default();
            parts.insert(format!("index {name}"));
        }
        let Some((table, rest)) = statement
            .strip_prefix("CREATE TABLE ")
            .and_then(|it| it.split_once('('))
        else {
            continue;
        };
        let table = table.trim();
        for part in within_parentheses(rest) {
            let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
            let key = if part.starts_with("PRIMARY KEY") || part.starts_with("UNIQUE") {
                Some(part)
            } else {
                let (column, kind) = part.split_once(' ').unwrap_or_default();
                let kind = kind.split(' ').next().unwrap_or_default();
                parts.insert(format!("column {table}.{column} {kind}"));
                let is_key = part.contains(" PRIMARY KEY");
                is_key.then(|| format!("PRIMARY KEY ({column})"))
            };
            parts.extend(key.map(|it| format!("key of {table}: {it}")));
        }
    }
    parts
}

/// What commas separate up to the parenthesis that closes this one.
fn within_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0_u32, 0);
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
                if letter == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    parts
}

/// The change counter is never behind a writer.
async fn counter(session: &Session) -> std::result::Result<Verified, Failure> {
    let row = session
        .query_one(
            "SELECT (SELECT last_value FROM pg_sequences WHERE schemaname = $1 AND sequencename = 'change'),
                (SELECT count(*) FROM run), (SELECT coalesce(max(changes), 0) FROM writer)",
            &[&SCHEMA],
        )
        .await?;
    let (changes, highest): (Option<i64>, i64) = (rows::value(&row, 0)?, rows::value(&row, 2)?);
    let runs: i64 = rows::value(&row, 1)?;
    // None before the first change, and if this user may not read it.
    let changes = changes.unwrap_or(highest);
    Ok(Verified::counter(changes, runs, highest))
}
