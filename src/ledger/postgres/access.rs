//! Who has asked for access: one row for each person, and for each domain, with a request for a package.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::connection::Session;
use super::errors::Failure;
use super::reader::{PAGE, Reader};
use super::rows;
use super::writer::{Lock, Writer};
use crate::invitation::{
    Access, AccessBy, AccessCounts, AccessState, Identity, PersonHash, PersonHasher,
};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::person_access::{AccessChange, People, PersonAccess};
use crate::link::PackageId;

impl Writer {
    /// Inserts and updates these people; gives those whose state has changed.
    pub async fn record_access(
        &mut self,
        package: PackageId,
        people: &[PersonAccess],
    ) -> Result<Vec<AccessChange>> {
        let package = package.to_string();
        let milliseconds = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
        let hashes: Vec<&[u8]> = people.iter().map(|it| &it.person.0[..]).collect();
        let states: Vec<&str> = people.iter().map(|it| it.state.as_str()).collect();
        let since: Vec<_> = people.iter().map(|it| milliseconds(it.at)).collect();
        let requested: Vec<_> = people
            .iter()
            .map(|it| milliseconds(it.requested_at))
            .collect();
        self.write(Lock::Shared, async |it| {
            let changed = it.session.query(
                "WITH before AS (
                    SELECT person, state FROM access WHERE package_id = $1 AND person = ANY ($2::bytea[])),
                 written AS (
                    INSERT INTO access (package_id, person, state, at, requested_at)
                    SELECT $1, * FROM unnest($2::bytea[], $3::text[], $4::bigint[], $5::bigint[])
                    ON CONFLICT (package_id, person) DO UPDATE
                    SET state = excluded.state, at = excluded.at, requested_at = excluded.requested_at
                    WHERE (access.state, access.at, access.requested_at)
                        IS DISTINCT FROM (excluded.state, excluded.at, excluded.requested_at)
                    RETURNING person, state)
                 SELECT person, coalesce(before.state, 'none'), written.state
                 FROM written LEFT JOIN before USING (person)
                 WHERE coalesce(before.state, 'none') <> written.state ORDER BY person",
                &[&package, &hashes, &states, &since, &requested],
            ).await?;
            let change = |row| {
                Ok(AccessChange {
                    person: person(row, 0)?,
                    from: row.parsed(1)?,
                    to: row.parsed(2)?,
                })
            };
            changed.iter().map(change).collect()
        })
        .await
    }

    /// Deletes people who have no request any more.
    pub async fn forget_access(&mut self, package: PackageId, people: &[PersonHash]) -> Result<()> {
        let package = package.to_string();
        let people: Vec<&[u8]> = people.iter().map(|it| &it.0[..]).collect();
        self.write(Lock::Shared, async |it| {
            let delete = "DELETE FROM access WHERE package_id = $1 AND person = ANY ($2::bytea[])";
            it.session.execute(delete, &[&package, &people]).await?;
            Ok(())
        })
        .await
    }

    /// Records when a package's requests were read. The time is that of the program, whose clock follows the server.
    pub async fn record_reading(&mut self, package: PackageId, at: Timestamp) -> Result<()> {
        let package = package.to_string();
        self.write(Lock::Shared, async |it| {
            it.session
                .execute(
                    "INSERT INTO access_reading (package_id, at) VALUES ($1, $2)
                     ON CONFLICT (package_id) DO UPDATE SET at = excluded.at",
                    &[&package, &at.as_millisecond()],
                )
                .await?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// Whether these partners have asked for access, in their order; `None` where requests for the package were
    /// never read.
    pub async fn access_of(&self, identities: Vec<Identity>) -> Result<Vec<Option<Access>>> {
        let hasher = PersonHasher::new(&self.opened.key);
        self.query(async move |session: &Session| access_of(session, &hasher, &identities).await)
            .await
    }

    /// When the requests for these packages were read, the oldest time; `None` if those for one of them were
    /// never read, or there are no packages.
    pub async fn requests_read_at(&self, packages: Vec<PackageId>) -> Result<Option<Timestamp>> {
        self.query(async move |session: &Session| {
            let read = read_at(session, packages.iter().copied()).await?;
            let times: Option<Vec<_>> = packages.iter().map(|it| read.get(it).copied()).collect();
            Ok(times.and_then(|it| it.into_iter().min()))
        })
        .await
    }

    /// The next page of all campaigns' invitations to a package, with their numbers, after `after`.
    pub async fn invitations_to(
        &self,
        package: PackageId,
        after: i64,
    ) -> Result<Vec<(i64, Identity)>> {
        let package = package.to_string();
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT id, campaign, package_id, address, occasion FROM invitation
                     WHERE id > $1 AND package_id = $2 AND occasion = 'invitation' ORDER BY id LIMIT $3",
                    &[&after, &package, &PAGE],
                )
                .await?;
            rows.iter()
                .map(|row| Ok((rows::value(row, 0)?, row.identity(1)?)))
                .collect()
        })
        .await
    }

    /// How many of a campaign's invitations have which access, only those to this package if one is given; `None` if
    /// requests were never read for any of them.
    pub async fn access_counts(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<Option<AccessCounts>> {
        let hasher = PersonHasher::new(&self.opened.key);
        let (campaign, package) = (campaign.to_owned(), package.map(|it| it.to_string()));
        self.query(async move |session: &Session| {
            let mut counts = AccessCounts::default();
            let mut packages: HashMap<PackageId, Option<People>> = HashMap::new();
            let mut after = 0_i64;
            loop {
                let page = session
                    .query(
                        "SELECT campaign, package_id, address, occasion, id FROM invitation
                     WHERE id > $1 AND campaign = $2 AND ($3::text IS NULL OR package_id = $3)
                        AND occasion = 'invitation'
                     ORDER BY id LIMIT 10000",
                        &[&after, &campaign, &package],
                    )
                    .await?;
                let Some(last) = page.last() else { break };
                after = rows::value(last, 4)?;
                for row in &page {
                    let identity = row.identity(0)?;
                    let people = match packages.entry(identity.package_id) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            new.insert(people_of(session, identity.package_id).await?)
                        }
                    };
                    if let Some(people) = people {
                        people.count(hasher.of_invited(&identity), &mut counts);
                    }
                }
            }
            Ok(counts.read_at.is_some().then_some(counts))
        })
        .await
    }

    /// The next people with a request for a package, and domains, in the order of their hashes.
    pub async fn people(
        &self,
        package: PackageId,
        after: Option<PersonHash>,
        limit: u32,
    ) -> Result<Vec<(PersonHash, AccessState)>> {
        let package = package.to_string();
        let after = after.map_or(Vec::new(), |it| it.0.to_vec());
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT person, state FROM access WHERE package_id = $1 AND person > $2
                     ORDER BY person LIMIT $3",
                    &[&package, &after, &i64::from(limit)],
                )
                .await?;
            rows.iter()
                .map(|row| Ok((person(row, 0)?, row.parsed(1)?)))
                .collect()
        })
        .await
    }
}

async fn people_of(
    session: &Session,
    package: PackageId,
) -> std::result::Result<Option<People>, Failure> {
    let read = read_at(session, std::iter::once(package)).await?;
    let Some(read_at) = read.get(&package).copied() else {
        return Ok(None);
    };
    let rows = session
        .query(
            "SELECT person, state FROM access WHERE package_id = $1",
            &[&package.to_string()],
        )
        .await?;
    let states = rows
        .iter()
        .map(|row| Ok((person(row, 0)?, row.parsed(1)?)))
        .collect::<std::result::Result<_, Failure>>()?;
    Ok(Some(People { states, read_at }))
}

/// Whether these partners have asked for access, in their order; `None` where requests for the package were never read.
pub async fn access_of(
    session: &Session,
    hasher: &PersonHasher,
    identities: &[Identity],
) -> std::result::Result<Vec<Option<Access>>, Failure> {
    let read = read_at(session, identities.iter().map(|it| it.package_id)).await?;
    if read.is_empty() {
        return Ok(vec![None; identities.len()]);
    }
    let invited: Vec<[PersonHash; 2]> = identities.iter().map(|it| hasher.of_invited(it)).collect();
    let keys = || identities.iter().zip(&invited);
    let packages: Vec<String> = keys()
        .flat_map(|(it, hashes)| hashes.map(|_| it.package_id.to_string()))
        .collect();
    let people: Vec<&[u8]> = invited.iter().flatten().map(|it| &it.0[..]).collect();
    let rows = session
        .query(
            "SELECT DISTINCT a.package_id, a.person, a.state, a.at, a.requested_at
             FROM unnest($1::text[], $2::bytea[]) AS k (package_id, person)
             JOIN access AS a USING (package_id, person)",
            &[&packages, &people],
        )
        .await?;
    let mut found: HashMap<(PackageId, PersonHash), PersonAccess> = HashMap::new();
    for row in &rows {
        let access = PersonAccess {
            person: person(row, 1)?,
            state: row.parsed(2)?,
            at: row.optional_timestamp(3)?,
            requested_at: row.optional_timestamp(4)?,
        };
        found.insert((row.package_id(0)?, access.person), access);
    }
    let by = [AccessBy::Address, AccessBy::Colleague];
    let access = |(identity, hashes): (&Identity, &[PersonHash; 2])| {
        read.get(&identity.package_id)?;
        let mut candidates = hashes.iter().zip(by);
        let first = candidates.find_map(|(person, by)| {
            let found = found.get(&(identity.package_id, *person))?;
            Some(found.access(by))
        });
        Some(first.unwrap_or_default())
    };
    Ok(keys().map(access).collect())
}

/// When the requests for these packages were read; a package is missing if they never were.
async fn read_at(
    session: &Session,
    packages: impl Iterator<Item = PackageId>,
) -> std::result::Result<HashMap<PackageId, Timestamp>, Failure> {
    let mut packages: Vec<String> = packages.map(|it| it.to_string()).collect();
    packages.sort();
    packages.dedup();
    let rows = session
        .query(
            "SELECT package_id, at FROM access_reading WHERE package_id = ANY ($1)",
            &[&packages],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.package_id(0)?, row.timestamp(1)?)))
        .collect()
}

fn person(row: &Row, column: usize) -> std::result::Result<PersonHash, Failure> {
    let hash: &[u8] = rows::value(row, column)?;
    let length = |_| Failure::Value("a hash of another length".into());
    Ok(PersonHash(hash.try_into().map_err(length)?))
}
