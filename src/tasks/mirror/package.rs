//! Mirrors one package: its tarballs and docs, and then its index.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::due_packages::DuePackage;
use super::{MirrorPlan, Run, sentence};
use crate::cache::artifacts::ArtifactPlace;
use crate::cache::record::MirrorRecord;
use crate::cache::registry::{StagedIndex, TakenOver};
use crate::hex::checksum::Sha256;
use crate::hex::index::{Index, PackageIndex, Release};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::version::ReleaseVersion;
use crate::repository::RepoError;
use crate::tasks::background_retry::retry;

/// Maximum number of attempts if the index of a package changes in the cache during a run.
const ROUNDS: u32 = 3;

const NO_ROOM: &str = "no space: the disk is full, or storage.cache_limit is reached";

/// The result for one release.
enum Brought {
    Stored(Sha256),
    /// The registry has no checksum for the release, so it is not downloaded.
    Unprovable,
    /// The registry lists the file, but does not have it at present.
    Missing,
    Failed,
}

impl Run<'_> {
    /// Mirrors one package. Failures are recorded in the tally.
    pub(super) async fn package(&self, due: DuePackage) {
        for _ in 0..ROUNDS {
            match self.round(&due).await {
                Ok(TakenOver::ChangedMeanwhile) => {}
                Ok(TakenOver::Done) => return,
                Ok(TakenOver::NotStored) => {
                    return self.failed(format!("packages/{}: {NO_ROOM}", due.name)).await;
                }
                Err(error) => return self.failed(format!("packages/{}: {}", due.name, sentence(&error))).await,
            }
        }
        self.failed(format!("packages/{}: the package changed during the download; the next run updates it", due.name))
            .await;
    }

    async fn round(&self, due: &DuePackage) -> Result<TakenOver, RepoError> {
        let resource = RegistryResource::Package(due.name.clone());
        let staged = retry(RepoError::again_after, || self.stage(&resource)).await?;
        // The package was removed after it was listed. The next list will not contain it.
        let Some(staged) = staged else { return Ok(TakenOver::Done) };
        let Index::Package(index) = staged.index() else { return Ok(TakenOver::Done) };
        let wanted = wanted(index, self.plan);
        let uncounted = due.releases.saturating_sub(wanted.len() as u64);
        if self.plan.dry_run {
            self.count(wanted).await?;
            self.advance(due.releases, 0);
            return Ok(TakenOver::Done);
        }
        let mut tarballs = Vec::new();
        let (mut complete, mut settled) = (true, true);
        let each = stream::iter(wanted).map(|(version, release)| async move {
            let name = ArtifactName { package: due.name.clone(), version };
            let brought = self.release(&name, &release).await;
            (self.plan.docs && !matches!(brought, Brought::Failed), name, brought)
        });
        let mut each = std::pin::pin!(each.buffer_unordered(self.plan.connections.max(1)));
        while let Some((docs, name, brought)) = each.next().await {
            match brought {
                Brought::Stored(digest) => tarballs.push(digest.to_string()),
                Brought::Unprovable => {}
                // It may appear later. The next run requests it again.
                Brought::Missing => settled = false,
                Brought::Failed => complete = false,
            }
            if docs {
                complete &= self.docs(&name).await;
            }
        }
        self.advance(uncounted, 0);
        if !complete {
            // The failure has been reported. The index is not updated.
            return Ok(TakenOver::Done);
        }
        let taken = self.remote.take_over(staged).await?;
        if taken == TakenOver::Done && settled {
            tarballs.sort_unstable();
            let mirrored = MirrorRecord { fingerprint: due.fingerprint.clone(), tarballs };
            let name = due.name.clone();
            self.remote.blocking(move |remote| remote.note_mirrored(name.as_str(), &mirrored)).await?;
        }
        Ok(taken)
    }

    async fn stage(&self, resource: &RegistryResource) -> Result<Option<StagedIndex>, RepoError> {
        let _place = self.places.acquire().await;
        self.remote.stage(resource).await
    }

    async fn release(&self, name: &ArtifactName, release: &Release) -> Brought {
        let outcome = retry(RepoError::again_after, || async {
            let _place = self.places.acquire().await;
            self.pace.wait().await;
            self.remote.bring(name, release).await
        });
        let failed = match outcome.await {
            Ok(ArtifactPlace::AlreadyStored(digest)) => {
                self.tally.lock().there += 1;
                self.advance(1, 0);
                return Brought::Stored(digest);
            }
            Ok(ArtifactPlace::Fetched(digest, bytes)) => {
                self.pace.spent(bytes);
                {
                    let mut tally = self.tally.lock();
                    tally.brought += 1;
                    tally.bytes += bytes;
                }
                self.advance(1, bytes);
                return Brought::Stored(digest);
            }
            Err(RepoError::NoChecksum { .. }) => {
                self.advance(1, 0);
                return Brought::Unprovable;
            }
            Err(RepoError::NotFound) => {
                self.advance(1, 0);
                self.tally.lock().missing.push(name.tarball_path());
                return Brought::Missing;
            }
            Ok(ArtifactPlace::NotStored) => NO_ROOM.to_owned(),
            Err(error) => sentence(&error),
        };
        self.advance(1, 0);
        self.failed(format!("{}: {failed}", name.tarball_path())).await;
        Brought::Failed
    }

    async fn docs(&self, name: &ArtifactName) -> bool {
        let outcome = retry(RepoError::again_after, || async {
            let _place = self.places.acquire().await;
            self.pace.wait().await;
            self.remote.bring_docs(name).await
        });
        match outcome.await {
            Ok(Some(bytes)) => {
                self.pace.spent(bytes);
                self.tally.lock().docs += 1;
                self.advance(0, bytes);
                true
            }
            Ok(None) => true,
            Err(error) => {
                self.failed(format!("{}: {}", name.docs_path(), sentence(&error))).await;
                false
            }
        }
    }

    /// Counts the files that a run would download.
    async fn count(&self, wanted: Vec<(ReleaseVersion, Release)>) -> Result<(), RepoError> {
        let here = self.remote.blocking(move |remote| {
            let is_here = |release: &Release| remote.digest_of(release).is_some_and(|digest| remote.has_blob(&digest));
            let here = wanted.iter().filter(|(_, release)| is_here(release)).count();
            (here as u64, wanted.len() as u64)
        });
        let (here, all) = here.await?;
        let mut tally = self.tally.lock();
        tally.there += here;
        tally.brought += all - here;
        Ok(())
    }
}

/// The releases to mirror, newest first.
pub(super) fn wanted(index: &PackageIndex, plan: &MirrorPlan) -> Vec<(ReleaseVersion, Release)> {
    let releases = index.releases.iter().filter(|release| {
        let old = release.published_at.zip(plan.since).is_some_and(|(published_at, since)| published_at < since);
        !old
    });
    // An invalid version cannot be requested.
    let mut wanted: Vec<(ReleaseVersion, Release)> =
        releases.filter_map(|release| Some((release.version.parse().ok()?, release.clone()))).collect();
    wanted.sort_unstable_by(|(left, _), (right, _)| right.cmp(left));
    wanted.truncate(plan.latest.unwrap_or(usize::MAX));
    wanted
}
