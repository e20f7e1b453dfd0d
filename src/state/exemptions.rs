//! Exemptions from policies: for each view (a repository with a policy), the releases that were already delivered or
//! are pinned by a lock file.
//!
//! An exemption is written before the last bytes of a release are sent. So a rule that holds the release later does not
//! take it from the users who have it in a lock file.

use super::audit::{self, Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql};
use super::{DatabaseError, Lock, State, StateError, in_order};
use crate::clock::Timestamp;

/// A release in a view, identified by its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    pub version: String,
    /// The checksum of the whole tarball in hexadecimal digits; the inner checksum if no other is known.
    pub checksum: String,
    /// The time of the first delivery.
    pub delivered: Option<Timestamp>,
    /// Whether its licences were read and allowed at a delivery.
    pub licences_known: bool,
    /// The times at which rules first held it after that.
    pub held_since: HeldSince,
    /// Whether a lock file pins it, and until when; `Some(None)` means forever.
    pub pinned: Option<Option<Timestamp>>,
}

/// For each kind of rule, the time at which it first held a release that was already delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldSince {
    pub cooldown: Option<Timestamp>,
    pub freeze: Option<Timestamp>,
    pub licences: Option<Timestamp>,
    pub advisory: Option<Timestamp>,
    pub retirement: Option<Timestamp>,
}

/// The view of exemptions: the requested repository, and the repository that the releases come from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub view: &'a str,
    pub source: &'a str,
}

/// A release in a lock file, with its checksum in hexadecimal digits: that of the whole tarball, if known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedRelease<'a> {
    pub package: &'a str,
    pub version: &'a str,
    pub checksum: &'a str,
}

/// A release to pin, with its checksum in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub package: String,
    pub version: String,
    pub checksum: String,
}

/// The kind of rule whose grace period begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraceKind {
    Cooldown,
    Freeze,
    Licences,
    Advisory,
    Retirement,
}

/// Writes the beginning of a grace period into its column, unless it is already set.
macro_rules! begin {
    ($column:literal) => {
        concat!(
            "UPDATE exemptions SET ",
            $column,
            " = coalesce(",
            $column,
            ", $5) WHERE view = $1 AND source = $2 AND package = $3 AND version = $4"
        )
    };
}

impl State {
    /// The exemptions of a package.
    pub async fn exemptions(&self, view: View<'_>, package: &str) -> Result<Vec<Exemption>, StateError> {
        let rows = sql(
            "SELECT version, checksum, delivered, advisory_since, retirement_since, pinned, pinned_until, licences_known, \
             cooldown_since, freeze_since, licences_since FROM exemptions WHERE view = $1 AND source = $2 AND package = $3",
        )
        .bind(view.view)
        .bind(view.source)
        .bind(package)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the exemptions"))?;
        rows.iter()
            .map(exemption)
            .collect::<Result<_, DatabaseError>>()
            .map_err(StateError::query("read the exemptions"))
    }

    /// Records that a release is delivered, unless it is recorded already. `licences_known` says whether its licences
    /// were read and allowed; it is never reset.
    pub async fn delivered(
        &self,
        view: View<'_>,
        release: &Pin,
        licences_known: bool,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.writing("write an exemption", Lock::None, |mut writing| async move {
            let query =
                sql("INSERT INTO exemptions (view, source, package, version, checksum, delivered, licences_known) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT (view, source, package, version, checksum) DO UPDATE SET \
                 delivered = coalesce(exemptions.delivered, $6), \
                 licences_known = CASE WHEN $7 = 1 THEN 1 ELSE exemptions.licences_known END")
                .bind(view.view)
                .bind(view.source)
                .bind(&release.package)
                .bind(&release.version)
                .bind(&release.checksum)
                .bind(sql_time(now))
                .bind(licences_known);
            writing.run(query).await?;
            writing.commit().await
        })
        .await
    }

    /// Records since when delivered releases of a package are held by rules whose grace period has not begun yet.
    pub async fn begin_graces(
        &self,
        view: View<'_>,
        package: &str,
        held: &[(String, GraceKind)],
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.writing("write an exemption", Lock::None, |mut writing| async move {
            for (version, grace) in in_order(held, |(version, _)| version) {
                let statement = match grace {
                    GraceKind::Cooldown => begin!("cooldown_since"),
                    GraceKind::Freeze => begin!("freeze_since"),
                    GraceKind::Licences => begin!("licences_since"),
                    GraceKind::Advisory => begin!("advisory_since"),
                    GraceKind::Retirement => begin!("retirement_since"),
                };
                let query = sql(statement).bind(view.view).bind(view.source).bind(package).bind(version);
                writing.run(query.bind(sql_time(now))).await?;
            }
            writing.commit().await
        })
        .await
    }

    /// Pins releases, all or none, and adds an entry to the audit log. An existing pin gets the new end and reason.
    pub async fn pin(
        &self,
        view: View<'_>,
        pins: &[LockedRelease<'_>],
        until: Option<Timestamp>,
        reason: &str,
        now: Timestamp,
        by: &Actor,
    ) -> Result<(), StateError> {
        self.writing("pin releases", Lock::View(view.view), |mut writing| async move {
            for pin in in_order(pins, |pin| [pin.package, pin.version, pin.checksum]) {
                let query = sql(
                    "INSERT INTO exemptions (view, source, package, version, checksum, pinned, pinned_until, pinned_by, \
                     pin_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                     ON CONFLICT (view, source, package, version, checksum) DO UPDATE SET \
                     pinned = coalesce(exemptions.pinned, $6), pinned_until = $7, pinned_by = $8, pin_reason = $9",
                )
                .bind(view.view)
                .bind(view.source)
                .bind(pin.package)
                .bind(pin.version)
                .bind(pin.checksum)
                .bind(sql_time(now))
                .bind(until.map(sql_time))
                .bind(by.actor.as_deref())
                .bind(reason);
                writing.run(query).await?;
            }
            let until = until.map_or_else(|| "forever".to_owned(), |until| format!("until {until}"));
            let detail = format!("{} releases are pinned {until}: {reason}", pins.len());
            audit::insert(writing.connection(), now, Action::PolicyPin, (view.view, None, None), &detail, by)
                .await
                .map_err(StateError::query("pin releases"))?;
            writing.commit().await
        })
        .await
    }
}

fn exemption(row: &Row) -> Result<Exemption, DatabaseError> {
    let time = |column: usize| Ok::<_, DatabaseError>(row.try_get::<Option<i64>>(column)?.map(from_sql_time));
    let pinned = time(5)?.is_some();
    let until = time(6)?;
    Ok(Exemption {
        version: row.try_get(0)?,
        checksum: row.try_get(1)?,
        delivered: time(2)?,
        licences_known: row.try_get(7)?,
        held_since: HeldSince {
            cooldown: time(8)?,
            freeze: time(9)?,
            licences: time(10)?,
            advisory: time(3)?,
            retirement: time(4)?,
        },
        pinned: pinned.then_some(until),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{Database, on_each_engine};

    const VIEW: View<'_> = View { view: "hexpm", source: "upstream" };

    fn release(version: &str, checksum: &str) -> Pin {
        Pin { package: "jason".to_owned(), version: version.to_owned(), checksum: checksum.to_owned() }
    }

    async fn what_is_owed_is_written_once_and_kept(database: Database) {
        let state = database.open().await;
        let at = Timestamp::from_secs;
        state.delivered(VIEW, &release("1.0.0", "aa"), false, at(10)).await.unwrap();
        state.delivered(VIEW, &release("1.0.0", "aa"), true, at(20)).await.unwrap();
        state.delivered(VIEW, &release("1.0.0", "aa"), false, at(25)).await.unwrap();
        state.delivered(VIEW, &release("1.0.0", "bb"), false, at(30)).await.unwrap();
        state.begin_graces(VIEW, "jason", &[("1.0.0".to_owned(), GraceKind::Advisory)], at(40)).await.unwrap();
        let all = [GraceKind::Cooldown, GraceKind::Freeze, GraceKind::Licences, GraceKind::Advisory]
            .map(|one| ("1.0.0".to_owned(), one));
        state.begin_graces(VIEW, "jason", &all, at(50)).await.unwrap();
        let pin = |version, checksum| LockedRelease { package: "jason", version, checksum };
        let pins = [pin("1.0.0", "aa"), pin("2.0.0", "cc")];
        state.pin(VIEW, &pins, Some(at(99)), "SEC-1", at(60), &Actor::console()).await.unwrap();
        state.close().await;

        let state = database.open().await;
        let mut found = state.exemptions(VIEW, "jason").await.unwrap();
        found.sort_by(|one, other| one.checksum.cmp(&other.checksum));
        let exemption = |version: &str, checksum: &str, delivered: Option<u64>, pinned: Option<u64>| Exemption {
            version: version.to_owned(),
            checksum: checksum.to_owned(),
            delivered: delivered.map(at),
            licences_known: checksum == "aa",
            held_since: delivered.map_or(HeldSince::default(), |_| HeldSince {
                cooldown: Some(at(50)),
                freeze: Some(at(50)),
                licences: Some(at(50)),
                advisory: Some(at(40)),
                retirement: None,
            }),
            pinned: pinned.map(|until| Some(at(until))),
        };
        let expected = [
            exemption("1.0.0", "aa", Some(10), Some(99)),
            exemption("1.0.0", "bb", Some(30), None),
            exemption("2.0.0", "cc", None, Some(99)),
        ];
        assert_eq!(found, expected);
        assert_eq!(state.exemptions(View { view: "other", ..VIEW }, "jason").await.unwrap(), []);
        assert_eq!(state.exemptions(View { source: "other", ..VIEW }, "jason").await.unwrap(), []);
        let [line] = state.audit_log("hexpm", 9).await.unwrap().try_into().unwrap();
        assert_eq!((line.action.as_str(), line.by.actor.as_deref()), ("policy.pin", Some("console")));
        assert!(line.detail.contains("2 releases") && line.detail.contains("SEC-1"), "{}", line.detail);
    }

    on_each_engine!(what_is_owed_is_written_once_and_kept,);
}
