//! Who has asked for access: one row for each person, and for each domain, with a request for a package.
//!
//! Ledgers before version 3 know nothing about it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::errors::ApplyError;
use super::reader::{PAGE, Reader};
use super::schema;
use super::writer_thread::WriterThread;
use crate::invitation::{
    Access, AccessBy, AccessCounts, AccessState, Identity, PersonHash, PersonHasher,
};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::person_access::{AccessChange, People, PersonAccess};
use crate::link::PackageId;

impl WriterThread {
    /// Inserts and updates these people; gives those whose state has changed.
    pub fn record_access(
        &mut self,
        package: PackageId,
        people: &[PersonAccess],
    ) -> Result<Vec<AccessChange>> {
        let package = package.to_string();
        self.write(|it| {
            let mut replace = it.connection.prepare_cached(
                "REPLACE INTO access (package_id, person, state, at, requested_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut changes = Vec::new();
            for new in people {
                let before = find(&it.connection, &package, new.person)?;
                if before == Some(*new) {
                    continue;
                }
                let [at, requested_at] = [new.at, new.requested_at].map(in_milliseconds);
                replace.execute((&package, new.person.0, new.state.as_str(), at, requested_at))?;
                let from = before.map_or(AccessState::None, |it| it.state);
                if from != new.state {
                    changes.push(AccessChange {
                        person: new.person,
                        from,
                        to: new.state,
                    });
                }
            }
            Ok(changes)
        })
    }

    /// Deletes people who have no request any more.
    pub fn forget_access(&mut self, package: PackageId, people: &[PersonHash]) -> Result<()> {
        let package = package.to_string();
        self.write(|it| {
            let mut delete = it
                .connection
                .prepare_cached("DELETE FROM access WHERE package_id = ?1 AND person = ?2")?;
            for person in people {
                delete.execute((&package, person.0))?;
            }
            Ok(())
        })
    }

    /// Records when a package's requests were read.
    pub fn record_reading(&mut self, package: PackageId, at: Timestamp) -> Result<()> {
        self.write(|it| {
            it.connection
                .execute(
                    "REPLACE INTO access_reading (package_id, at) VALUES (?1, ?2)",
                    (package.to_string(), at.as_millisecond()),
                )
                .map_err(ApplyError::from)
                .map(drop)
        })
    }
}

impl Reader {
    /// Whether these partners have asked for access, in their order; `None` where requests for the package were
    /// never read.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn access_of(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Option<Access>>>> {
        let hasher = PersonHasher::new(&self.opened.key);
        self.query(move |connection| {
            if !is_recorded(connection)? {
                return Ok(vec![None; identities.len()]);
            }
            identities
                .iter()
                .map(|it| access_of(connection, &hasher, it))
                .collect()
        })
    }

    /// When the requests for these packages were read, the oldest time; `None` if those for one of them were
    /// never read, or there are no packages.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn requests_read_at(&self, packages: Vec<PackageId>) -> Result<Option<Timestamp>> {
        self.query(move |connection| {
            if !is_recorded(connection)? {
                return Ok(None);
            }
            let times = packages.into_iter().map(|it| read_at(connection, it));
            let times: Option<Vec<_>> = times.collect::<rusqlite::Result<_>>()?;
            Ok(times.and_then(|it| it.into_iter().min()))
        })
        .await
    }

    /// The next page of all campaigns' invitations to a package, with their numbers, after `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn invitations_to(
        &self,
        package: PackageId,
        after: i64,
    ) -> Result<Vec<(i64, Identity)>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, campaign, package_id, address, occasion FROM invitation
                 WHERE id > ?1 AND package_id = ?2 AND occasion = 'invitation' ORDER BY id LIMIT ?3",
            )?;
            statement
                .query_map((after, package.to_string(), PAGE), |row| {
                    Ok((row.get(0)?, row.identity(1)?))
                })?
                .collect()
        })
        .await
    }

    /// How many of a campaign's invitations have which access, only those to this package if one is given; `None` if
    /// requests were never read for any of them.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn access_counts(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<Option<AccessCounts>> {
        let hasher = PersonHasher::new(&self.opened.key);
        let (campaign, package) = (campaign.to_owned(), package.map(|it| it.to_string()));
        self.query(move |connection| {
            let mut counts = AccessCounts::default();
            if !is_recorded(connection)? {
                return Ok(None);
            }
            let mut packages: HashMap<PackageId, Option<People>> = HashMap::new();
            let mut statement = connection.prepare(
                "SELECT campaign, package_id, address, occasion FROM invitation
                 WHERE campaign = ?1 AND (?2 IS NULL OR package_id = ?2) AND occasion = 'invitation'",
            )?;
            let mut rows = statement.query((campaign, package))?;
            while let Some(row) = rows.next()? {
                let identity = row.identity(0)?;
                let people = match packages.entry(identity.package_id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(people_of(connection, identity.package_id)?),
                };
                if let Some(people) = people {
                    people.count(hasher.of_invited(&identity), &mut counts);
                }
            }
            Ok(counts.read_at.is_some().then_some(counts))
        })
        .await
    }

    /// The next people with a request for a package, and domains, in the order of their hashes.
    pub(in crate::ledger) fn people(
        &self,
        package: PackageId,
        after: Option<PersonHash>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PersonHash, AccessState)>>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT person, state FROM access WHERE package_id = ?1 AND person > ?2
                 ORDER BY person LIMIT ?3",
            )?;
            let after = after.map_or(Vec::new(), |it| it.0.to_vec());
            statement
                .query_map((package.to_string(), after, limit), |row| {
                    Ok((PersonHash(row.get(0)?), row.parsed(1)?))
                })?
                .collect()
        })
    }
}

fn people_of(connection: &Connection, package: PackageId) -> rusqlite::Result<Option<People>> {
    let Some(read_at) = read_at(connection, package)? else {
        return Ok(None);
    };
    let mut statement =
        connection.prepare_cached("SELECT person, state FROM access WHERE package_id = ?1")?;
    let states = statement.query_map([package.to_string()], |row| {
        Ok((PersonHash(row.get(0)?), row.parsed(1)?))
    })?;
    let states = states.collect::<rusqlite::Result<_>>()?;
    Ok(Some(People { states, read_at }))
}

/// Whether a partner has asked for access; `None` if requests for the package were never read.
pub fn access_of(
    connection: &Connection,
    hasher: &PersonHasher,
    identity: &Identity,
) -> rusqlite::Result<Option<Access>> {
    if read_at(connection, identity.package_id)?.is_none() {
        return Ok(None);
    }
    let package = identity.package_id.to_string();
    let by = [AccessBy::Address, AccessBy::Colleague];
    for (person, by) in hasher.of_invited(identity).into_iter().zip(by) {
        if let Some(found) = find(connection, &package, person)? {
            return Ok(Some(found.access(by)));
        }
    }
    Ok(Some(Access::default()))
}

fn find(
    connection: &Connection,
    package: &str,
    person: PersonHash,
) -> rusqlite::Result<Option<PersonAccess>> {
    connection
        .prepare_cached(
            "SELECT state, at, requested_at FROM access WHERE package_id = ?1 AND person = ?2",
        )?
        .query_row((package, person.0), |row| {
            Ok(PersonAccess {
                person,
                state: row.parsed(0)?,
                at: row.optional_timestamp(1)?,
                requested_at: row.optional_timestamp(2)?,
            })
        })
        .optional()
}

fn in_milliseconds(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

/// When the requests for a package were read.
fn read_at(connection: &Connection, package: PackageId) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT at FROM access_reading WHERE package_id = ?1")?
        .query_row([package.to_string()], |row| row.timestamp(0))
        .optional()
}

/// Whether the tables have a version that records access.
fn is_recorded(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(schema::version(connection)? >= 3)
}
