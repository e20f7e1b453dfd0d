//! Exemptions and pins across all views: queries of pinned releases, and the transfer of exemptions to another server.

use super::audit::{self, Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::exemptions::HeldSince;
use super::{DatabaseError, Lock, State, StateError, in_order};
use crate::clock::Timestamp;

/// The stored exemption of a release in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredExemption {
    /// The key of the requested repository.
    pub view: String,
    /// The key of the repository that the release comes from.
    pub source: String,
    pub package: String,
    pub version: String,
    /// The checksum of the whole tarball in hexadecimal digits; the inner checksum if no other is known.
    pub checksum: String,
    pub delivered: Option<Timestamp>,
    /// Whether its licences were read and allowed at a delivery.
    pub licences_known: bool,
    /// The times at which rules first held it after that.
    pub held_since: HeldSince,
    /// The time at which a lock file first pinned it.
    pub pinned: Option<Timestamp>,
    /// The end of the pin; `None` means forever.
    pub pinned_until: Option<Timestamp>,
    pub pinned_by: Option<String>,
    pub pin_reason: Option<String>,
}

/// A release that is pinned in any view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedRelease {
    /// The key of the repository that it comes from.
    pub source: String,
    pub package: String,
    pub version: String,
    /// The checksum of the whole tarball in hexadecimal digits; the inner checksum if no other is known.
    pub checksum: String,
    /// The end of the last pin in any view; `None` means forever.
    pub until: Option<Timestamp>,
}

impl State {
    /// The exemptions of a package from all views, in a fixed order.
    pub async fn exemptions_of_package(&self, source: &str, package: &str) -> Result<Vec<StoredExemption>, StateError> {
        let rows =
            sql("SELECT view, version, checksum, delivered, advisory_since, retirement_since, pinned, pinned_until, \
             pinned_by, pin_reason, licences_known, cooldown_since, freeze_since, licences_since FROM exemptions \
             WHERE source = $1 AND package = $2 ORDER BY view, version, checksum")
            .bind(source)
            .bind(package)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("read the exemptions"))?;
        let owed = |row: &Row| {
            let time = |column: usize| Ok::<_, DatabaseError>(row.try_get::<Option<i64>>(column)?.map(from_sql_time));
            Ok::<_, DatabaseError>(StoredExemption {
                view: row.try_get(0)?,
                source: source.to_owned(),
                package: package.to_owned(),
                version: row.try_get(1)?,
                checksum: row.try_get(2)?,
                delivered: time(3)?,
                held_since: HeldSince {
                    cooldown: time(11)?,
                    freeze: time(12)?,
                    licences: time(13)?,
                    advisory: time(4)?,
                    retirement: time(5)?,
                },
                pinned: time(6)?,
                pinned_until: time(7)?,
                pinned_by: row.try_get(8)?,
                pin_reason: row.try_get(9)?,
                licences_known: row.try_get(10)?,
            })
        };
        rows.iter().map(owed).collect::<Result<_, _>>().map_err(StateError::query("read the exemptions"))
    }

    /// Adds the exemptions of another server. Existing values are kept.
    pub async fn import_exemptions(&self, owed: &[StoredExemption]) -> Result<(), StateError> {
        self.writing("write exemptions", Lock::None, |mut writing| async move {
            for one in in_order(owed, |one| [&one.view, &one.source, &one.package, &one.version, &one.checksum]) {
                let query = sql(
                    "INSERT INTO exemptions (view, source, package, version, checksum, delivered, advisory_since, \
                     retirement_since, pinned, pinned_until, pinned_by, pin_reason, licences_known, cooldown_since, freeze_since, \
                     licences_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                     ON CONFLICT (view, source, package, version, checksum) DO UPDATE SET \
                     delivered = coalesce(exemptions.delivered, excluded.delivered), \
                     licences_known = CASE WHEN excluded.licences_known = 1 THEN 1 ELSE exemptions.licences_known END, \
                     cooldown_since = coalesce(exemptions.cooldown_since, excluded.cooldown_since), \
                     freeze_since = coalesce(exemptions.freeze_since, excluded.freeze_since), \
                     licences_since = coalesce(exemptions.licences_since, excluded.licences_since), \
                     advisory_since = coalesce(exemptions.advisory_since, excluded.advisory_since), \
                     retirement_since = coalesce(exemptions.retirement_since, excluded.retirement_since), \
                     pinned_until = CASE WHEN exemptions.pinned IS NULL THEN excluded.pinned_until \
                                         ELSE exemptions.pinned_until END, \
                     pinned_by = CASE WHEN exemptions.pinned IS NULL THEN excluded.pinned_by ELSE exemptions.pinned_by END, \
                     pin_reason = CASE WHEN exemptions.pinned IS NULL THEN excluded.pin_reason \
                                       ELSE exemptions.pin_reason END, \
                     pinned = coalesce(exemptions.pinned, excluded.pinned)",
                )
                .bind(&one.view)
                .bind(&one.source)
                .bind(&one.package)
                .bind(&one.version)
                .bind(&one.checksum)
                .bind(one.delivered.map(sql_time))
                .bind(one.held_since.advisory.map(sql_time))
                .bind(one.held_since.retirement.map(sql_time))
                .bind(one.pinned.map(sql_time))
                .bind(one.pinned_until.map(sql_time))
                .bind(&one.pinned_by)
                .bind(&one.pin_reason)
                .bind(one.licences_known)
                .bind(one.held_since.cooldown.map(sql_time))
                .bind(one.held_since.freeze.map(sql_time))
                .bind(one.held_since.licences.map(sql_time));
                writing.run(query).await?;
            }
            writing.commit().await
        })
        .await
    }

    /// Removes the pins of packages and versions in a view, for all checksums; returns the number of releases.
    pub async fn unpin(
        &self,
        view: &str,
        releases: &[(&str, &str)],
        now: Timestamp,
        by: &Actor,
    ) -> Result<u64, StateError> {
        self.writing("remove pins", Lock::View(view), |mut writing| async move {
            let mut count = 0;
            for (package, version) in in_order(releases, |(package, version)| [*package, *version]) {
                let query = sql(
                    "UPDATE exemptions SET pinned = NULL, pinned_until = NULL, pinned_by = NULL, pin_reason = NULL \
                     WHERE view = $1 AND package = $2 AND version = $3 AND pinned IS NOT NULL",
                );
                let changed = writing.run(query.bind(view).bind(*package).bind(*version)).await?;
                count += u64::from(changed > 0);
            }
            let detail = format!("{count} releases are no longer pinned");
            audit::insert(writing.connection(), now, Action::PolicyUnpin, (view, None, None), &detail, by)
                .await
                .map_err(StateError::query("remove pins"))?;
            writing.commit().await?;
            Ok(count)
        })
        .await
    }

    /// All releases that are pinned at `now`, in a fixed order.
    #[cfg(test)]
    pub async fn pinned(&self, now: Timestamp) -> Result<Vec<PinnedRelease>, StateError> {
        let mut all = Vec::new();
        self.each_pinned(now, |pinned| all.push(pinned)).await?;
        Ok(all)
    }

    /// Passes all releases that are pinned at `now` to `take`, in a fixed order. There may be very many.
    pub async fn each_pinned(&self, now: Timestamp, mut take: impl FnMut(PinnedRelease)) -> Result<(), StateError> {
        sql_as::<(String, String, String, String, Option<i64>)>(
            "SELECT source, package, version, checksum, \
             CASE WHEN count(*) = count(pinned_until) THEN max(pinned_until) END FROM exemptions \
             WHERE pinned IS NOT NULL AND (pinned_until IS NULL OR pinned_until > $1) \
             GROUP BY source, package, version, checksum ORDER BY source, package, version, checksum",
        )
        .bind(sql_time(now))
        .each(&self.pool, |(source, package, version, checksum, until)| {
            take(PinnedRelease { source, package, version, checksum, until: until.map(from_sql_time) });
        })
        .await
        .map_err(StateError::query("read the pins"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::exemptions::{LockedRelease, Pin, View};
    use crate::state::testing::{Database, on_each_engine};

    async fn what_another_server_owes_is_added_to_what_is_owed_here(database: Database) {
        let (there, here) = (database.another(), database);
        let (one, other) = (there.open().await, here.open().await);
        let view = View { view: "hexpm", source: "upstream" };
        let release = |version: &str| Pin { package: "jason".into(), version: version.into(), checksum: "aa".into() };
        let pin = |version| LockedRelease { package: "jason", version, checksum: "aa" };
        let at = Timestamp::from_secs;
        one.delivered(view, &release("1.0.0"), true, at(10)).await.unwrap();
        one.pin(view, &[pin("1.0.0"), pin("2.0.0")], Some(at(99)), "SEC-1", at(60), &Actor::console()).await.unwrap();
        other.delivered(view, &release("1.0.0"), false, at(5)).await.unwrap();
        other.pin(view, &[pin("2.0.0")], None, "ours", at(6), &Actor::console()).await.unwrap();

        let owed = one.exemptions_of_package("upstream", "jason").await.unwrap();
        other.import_exemptions(&owed).await.unwrap();
        other.import_exemptions(&owed).await.unwrap();
        let found = other.exemptions_of_package("upstream", "jason").await.unwrap();
        let known: Vec<bool> = found.iter().map(|one| one.licences_known).collect();
        assert_eq!(known, [true, false]);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.version.as_str(), one.delivered, one.pinned_until, one.pin_reason.as_deref()))
            .collect();
        assert_eq!(told, [("1.0.0", Some(at(5)), Some(at(99)), Some("SEC-1")), ("2.0.0", None, None, Some("ours"))]);
        let pinned = async |now| other.pinned(at(now)).await.unwrap().into_iter().map(|one| one.version);
        assert_eq!(pinned(98).await.collect::<Vec<_>>(), ["1.0.0", "2.0.0"]);
        assert_eq!(pinned(99).await.collect::<Vec<_>>(), ["2.0.0"]);
        // The longest pin in any view counts.
        let until = async || other.pinned(at(90)).await.unwrap().into_iter().map(|one| one.until).collect::<Vec<_>>();
        assert_eq!(until().await, [Some(at(99)), None]);
        let view = |view| View { view, source: "upstream" };
        other.pin(view("more"), &[pin("1.0.0")], Some(at(200)), "x", at(7), &Actor::console()).await.unwrap();
        assert_eq!(until().await, [Some(at(200)), None]);
        other.pin(view("ever"), &[pin("1.0.0")], None, "x", at(8), &Actor::console()).await.unwrap();
        assert_eq!(until().await, [None, None]);
    }

    on_each_engine!(what_another_server_owes_is_added_to_what_is_owed_here,);
}
