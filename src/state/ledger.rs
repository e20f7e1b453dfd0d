//! The checksum ledger: the checksum of every release when its index was first verified.
//!
//! The checksum identifies the release from then on. Whether a different checksum may replace it is decided by
//! [`judge()`], which is pure. The ledger outlives the cached index, so nobody can smuggle in a change after a cache
//! eviction.

mod judge;

use std::collections::BTreeMap;

use super::audit::{from_sql_time, sql_time};
use super::engine::{Statement, sql};
use super::{DatabaseError, Lock, State, StateError, in_order};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::index::{PackageIndex, Release};

pub use judge::{
    ChangeRule, FileRequirement, KnownChecksums, LedgerRecord, PACKAGE_WINDOW, RELEASE_WINDOW, Verdict, judge,
};

/// What an index says about each release besides checksums, by version, in the encoding of `hex::index::remarks`.
pub type ReleaseRemarks = BTreeMap<Box<str>, Vec<u8>>;

/// An update of a release's row, only if it still has the checksums that were judged: `$1` to `$7`.
macro_rules! unchanged {
    ($change:literal) => {
        concat!(
            $change,
            " WHERE repository = $1 AND package = $2 AND version = $3 AND outer_checksum IS NOT DISTINCT FROM $4 \
             AND inner_checksum IS NOT DISTINCT FROM $5 AND inner_first = $6 AND refused_checksum IS NOT DISTINCT FROM $7"
        )
    };
}

/// The result of recording an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFindings {
    /// Versions whose changed checksum was accepted just now.
    pub changed: Vec<Box<str>>,
    /// Versions whose changed checksum is refused.
    pub refused: Vec<Box<str>>,
    /// Those of `refused` that were not refused with this checksum before.
    pub newly_refused: Vec<Box<str>>,
    /// Versions that were refused and have their former checksum again.
    pub restored: Vec<Box<str>>,
    /// By version, the checksums that the file must have, if more is known than the index contains.
    pub demands: BTreeMap<Box<str>, FileRequirement>,
}

impl State {
    /// All ledger records of a package, by version.
    pub async fn ledger(&self, repository: &str, package: &str) -> Result<BTreeMap<String, LedgerRecord>, StateError> {
        let rows =
            sql("SELECT version, outer_checksum, inner_checksum, published_at, first_seen, refused_checksum, remark, \
             inner_first FROM ledger WHERE repository = $1 AND package = $2")
            .bind(repository)
            .bind(package)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("read the checksum ledger"))?;
        let digest = |text: Option<String>| text.and_then(|text| Sha256::from_hex(&text).ok());
        rows.into_iter()
            .map(|row| {
                let record = LedgerRecord {
                    known: KnownChecksums {
                        outer: digest(row.try_get(1)?),
                        inner: digest(row.try_get(2)?),
                        inner_first: row.try_get(7)?,
                    },
                    published_at: row.try_get::<Option<i64>>(3)?.map(from_sql_time),
                    first_seen: from_sql_time(row.try_get(4)?),
                    refused: row.try_get(5)?,
                    remark: row.try_get(6)?,
                };
                Ok((row.try_get(0)?, record))
            })
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the checksum ledger"))
    }

    /// For each release of a package, its checksum, and the time at which it was first seen.
    pub async fn first_sights(
        &self,
        repository: &str,
        package: &str,
    ) -> Result<BTreeMap<String, (Option<Sha256>, Timestamp)>, StateError> {
        let rows = sql("SELECT version, coalesce(outer_checksum, inner_checksum), coalesce(changed_at, first_seen) \
             FROM ledger WHERE repository = $1 AND package = $2")
        .bind(repository)
        .bind(package)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the checksum ledger"))?;
        rows.into_iter()
            .map(|row| {
                let checksum = row.try_get::<Option<String>>(1)?.and_then(|text| Sha256::from_hex(&text).ok());
                Ok((row.try_get(0)?, (checksum, from_sql_time(row.try_get(2)?))))
            })
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the checksum ledger"))
    }

    /// All checksums ever seen of a repository's releases, or of one package or release. Tarballs are stored under
    /// them, even if their index is gone.
    pub async fn checksums(
        &self,
        repository: &str,
        package: Option<&str>,
        version: Option<&str>,
    ) -> Result<Vec<(Option<Sha256>, Option<Sha256>)>, StateError> {
        let rows = sql("SELECT outer_checksum, inner_checksum FROM ledger WHERE repository = $1 \
             AND ($2 IS NULL OR package = $2) AND ($3 IS NULL OR version = $3)")
        .bind(repository)
        .bind(package)
        .bind(version)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the checksum ledger"))?;
        let digest = |text: Option<String>| text.and_then(|text| Sha256::from_hex(&text).ok());
        rows.into_iter()
            .map(|row| Ok((digest(row.try_get(0)?), digest(row.try_get(1)?))))
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the checksum ledger"))
    }

    /// All releases of a repository whose current checksum is refused, as package and version.
    pub async fn refused(&self, repository: &str) -> Result<Vec<(String, String)>, StateError> {
        let rows = sql("SELECT package, version FROM ledger WHERE repository = $1 AND refused_checksum IS NOT NULL \
             ORDER BY package, version")
        .bind(repository)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the checksum ledger"))?;
        rows.into_iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the checksum ledger"))
    }

    /// Judges every release of a verified index and records what is new or allowed, in one transaction. If the write
    /// fails, the findings are still valid, and the second value is the error. The remarks of a release are updated,
    /// unless its checksum is refused, since they are then about another file. Concurrent changes by other processes
    /// are taken into account.
    pub async fn record(
        &self,
        repository: &str,
        index: &PackageIndex,
        remarks: &ReleaseRemarks,
        rule: ChangeRule,
        now: Timestamp,
    ) -> Result<(LedgerFindings, Result<(), StateError>), StateError> {
        let mut left = ATTEMPTS;
        loop {
            let known = self.ledger(repository, &index.name).await?;
            let (findings, writes) = judged(index, remarks, &known, rule, now);
            if writes.is_empty() {
                return Ok((findings, Ok(())));
            }
            left -= 1;
            match self.write(repository, &index.name, &writes, now).await {
                Ok(false) if left > 0 => {}
                Ok(true) => return Ok((findings, Ok(()))),
                Ok(false) => return Ok((findings, Err(StateError::query(WRITE)(DatabaseError::changing())))),
                Err(error) => return Ok((findings, Err(error))),
            }
        }
    }

    /// Writes the judged records, all or nothing; false if any of them was changed in the meantime.
    async fn write(
        &self,
        repository: &str,
        package: &str,
        writes: &[Entry<'_>],
        now: Timestamp,
    ) -> Result<bool, StateError> {
        self.writing(WRITE, Lock::None, |mut writing| async move {
            for entry in in_order(writes, |entry| &entry.release.version) {
                if writing.run(entry.statement(repository, package, now)).await? == 0 {
                    return Ok(false);
                }
            }
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

const WRITE: &str = "write the checksum ledger";

/// The number of attempts to judge an index while other processes write about the same releases.
const ATTEMPTS: u32 = 5;

/// The findings for an index, and the records to write.
fn judged<'a>(
    index: &'a PackageIndex,
    remarks: &'a ReleaseRemarks,
    known: &'a BTreeMap<String, LedgerRecord>,
    rule: ChangeRule,
    now: Timestamp,
) -> (LedgerFindings, Vec<Entry<'a>>) {
    let package_born = known.values().map(LedgerRecord::born).min().unwrap_or(now);
    let mut findings = LedgerFindings::default();
    let mut writes = Vec::new();
    for release in &index.releases {
        let record = known.get(&*release.version);
        let verdict = judge(release, record, package_born, rule, now);
        let known = KnownChecksums::after(verdict, release, record);
        if verdict != Verdict::Refused
            && let Some(demand) = known.demand(Some(release))
            && Some(demand) != KnownChecksums::of(release).demand(Some(release))
        {
            findings.demands.insert(release.version.clone(), demand);
        }
        let remark = remarks.get(&release.version).map(Vec::as_slice);
        let says_more = remark.is_some() && record.and_then(|record| record.remark.as_deref()) != remark;
        match verdict {
            Verdict::Same if record.is_some_and(|record| record.refused.is_some()) => {
                findings.restored.push(release.version.clone());
            }
            Verdict::Same if !says_more => continue,
            Verdict::Same | Verdict::New | Verdict::Completed => {}
            Verdict::Changed => findings.changed.push(release.version.clone()),
            Verdict::Refused => {
                findings.refused.push(release.version.clone());
                if record.and_then(|record| record.refused.as_deref()) == Some(&*checksum_text(release)) {
                    continue;
                }
                findings.newly_refused.push(release.version.clone());
            }
        }
        writes.push(Entry { release, verdict, before: record, known, remark });
    }
    (findings, writes)
}

/// The record of a release to write.
struct Entry<'a> {
    release: &'a Release,
    verdict: Verdict,
    /// The record that was the basis of the judgement.
    before: Option<&'a LedgerRecord>,
    known: KnownChecksums,
    remark: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// A statement that changes no row if the record changed after the judgement.
    fn statement(&self, repository: &'a str, package: &'a str, now: Timestamp) -> Statement<'a> {
        let Self { release, verdict, before, known, remark } = self;
        let text = |digest: Option<Sha256>| digest.map(|digest| digest.to_string());
        let Some(before) = before else {
            return sql(
                "INSERT INTO ledger (repository, package, version, outer_checksum, inner_checksum, published_at, \
                 first_seen, remark) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (repository, package, version) DO NOTHING",
            )
            .bind(repository)
            .bind(package)
            .bind(&*release.version)
            .bind(text(known.outer))
            .bind(text(known.inner))
            .bind(release.published_at.map(sql_time))
            .bind(sql_time(now))
            .bind(*remark);
        };
        let update = match verdict {
            Verdict::Refused => unchanged!("UPDATE ledger SET refused_checksum = $8"),
            _ => unchanged!(
                "UPDATE ledger SET outer_checksum = $8, inner_checksum = $9, inner_first = $10, \
                 changed_at = coalesce($11, changed_at), refused_checksum = NULL, remark = coalesce($12, remark)"
            ),
        };
        let update = sql(update)
            .bind(repository)
            .bind(package)
            .bind(&*release.version)
            .bind(text(before.known.outer))
            .bind(text(before.known.inner))
            .bind(before.known.inner_first)
            .bind(before.refused.as_deref());
        match verdict {
            Verdict::Refused => update.bind(checksum_text(release)),
            _ => update
                .bind(text(known.outer))
                .bind(text(known.inner))
                .bind(known.inner_first)
                .bind((*verdict == Verdict::Changed).then(|| sql_time(now)))
                .bind(*remark),
        }
    }
}

/// The checksum that identifies a release: the outer one if it is known.
fn checksum_text(release: &Release) -> String {
    release.outer.as_ref().or(release.inner.as_ref()).map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
