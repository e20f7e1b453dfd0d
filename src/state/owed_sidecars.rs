//! The packages whose sidecars are owed: a change marks its package in its own transaction, and the mark is removed after
//! the files are written. Marks are removed many at a time, so that a change waits for one commit alone.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::engine::{sql, sql_as};
use super::{Lock, State, StateError, Writing};

/// The number of marks that are removed at a time.
const BATCH: usize = 64;

/// The marks of this process.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The last mark of a package, by repository and package.
    last: BTreeMap<(String, String), i64>,
    /// Marks whose files are written.
    written: Vec<i64>,
}

/// A mark that a transaction has made.
#[derive(Debug)]
pub(super) struct Mark {
    repository: String,
    package: String,
    number: i64,
}

impl Marks {
    /// Takes over a mark after its commit.
    pub(super) fn apply(&self, mark: Mark) {
        self.0.lock().last.insert((mark.repository, mark.package), mark.number);
    }
}

impl State {
    /// The mark of the last change of a package, if the change was made by this process.
    pub fn sidecar_mark(&self, repository: &str, package: &str) -> Option<i64> {
        self.marks.0.lock().last.get(&(repository.to_owned(), package.to_owned())).copied()
    }

    /// Notes that the files of a package are written as they should be after the change with this mark.
    pub async fn sidecars_written(&self, mark: i64) -> Result<(), StateError> {
        let is_full = {
            let mut known = self.marks.0.lock();
            known.written.push(mark);
            known.written.len() >= BATCH
        };
        if is_full { self.clear_written_sidecars().await } else { Ok(()) }
    }

    /// Removes the marks whose files are written.
    pub async fn clear_written_sidecars(&self) -> Result<(), StateError> {
        let written = std::mem::take(&mut self.marks.0.lock().written);
        for batch in written.chunks(BATCH) {
            let places: Vec<String> = (1..=batch.len()).map(|place| format!("${place}")).collect();
            let clear = format!("DELETE FROM owed_sidecars WHERE mark IN ({})", places.join(", "));
            let clear = &clear;
            self.writing("remove the marks of written files", Lock::None, |mut writing| async move {
                writing.run(batch.iter().fold(sql(clear.clone()), |clear, mark| clear.bind(*mark))).await?;
                writing.commit().await
            })
            .await?;
            self.marks.0.lock().last.retain(|_, mark| !batch.contains(mark));
        }
        Ok(())
    }

    /// The packages of a repository whose sidecars are owed, with their marks.
    pub async fn owed_sidecars(&self, repository: &str) -> Result<Vec<(String, i64)>, StateError> {
        sql_as("SELECT package, mark FROM owed_sidecars WHERE repository = $1 ORDER BY package")
            .bind(repository)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("list the packages whose sidecars are owed"))
    }

    /// Marks packages whose sidecars differ from the database.
    pub async fn owe_sidecars(&self, repository: &str, packages: &[&str]) -> Result<(), StateError> {
        self.writing("mark packages", Lock::Repository(repository), |mut writing| async move {
            for package in packages {
                writing.owe_sidecars(repository, package).await?;
            }
            writing.commit().await
        })
        .await
    }
}

impl Writing<'_> {
    /// Marks a package: its sidecars are owed.
    pub(super) async fn owe_sidecars(&mut self, repository: &str, package: &str) -> Result<(), StateError> {
        let number = fastrand::i64(..);
        let mark = "INSERT INTO owed_sidecars (repository, package, mark) VALUES ($1, $2, $3) \
                    ON CONFLICT (repository, package) DO UPDATE SET mark = excluded.mark";
        self.run(sql(mark).bind(repository).bind(package).bind(number)).await?;
        self.owed.push(Mark { repository: repository.to_owned(), package: package.to_owned(), number });
        Ok(())
    }
}
