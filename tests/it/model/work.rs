//! Work that takes releases out of the daemon without a client, and pins.

use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::PolicyCommand;
use hexkeep::operations::jobs::{BundleJob, CreateBundle, Job, MirrorAction, MirrorJob, PrefetchJob};
use hexkeep::operations::locked_releases::{LockFileRelease, LockedReleases};
use hexkeep::state::audit::Actor;
use hexkeep::tasks::report::Reporter;

use super::reference::Key;
use super::steps::Holder;
use super::world::{GUARDED, World, is_guarded};

impl World {
    pub(super) async fn pin(&mut self, holder: Holder, key: Key) {
        let Some(wanted) = self.wanted(holder, key) else { return };
        let digest = wanted.releases.iter().next().unwrap().outer.unwrap().to_owned();
        let (repository, reason) = (holder.key().to_owned(), "SEC-1".to_owned());
        let order = PolicyCommand::Pin { repository, releases: wanted.releases, until: None, reason };
        // Whether or not all of it was done.
        let _ = self.hub.app().core().administer(order.into(), Actor::console()).await;
        self.reference.pin(holder, &digest);
    }

    /// What a lock file names of a release that the public registry, or the private one, has.
    pub(super) fn wanted(&mut self, holder: Holder, key: Key) -> Option<PrefetchJob> {
        if holder == Holder::Guarded && !is_guarded(key.0) {
            return None;
        }
        let listed = self.reference.public.now.get(&key).or_else(|| self.reference.corp.now.get(&key))?;
        let inner = self.inner[&listed.digest].to_string();
        let locked = LockFileRelease {
            repository: None,
            package: key.0.text(),
            version: key.1.text(),
            inner: Some(&inner),
            outer: Some(&listed.digest),
        };
        let mut releases = LockedReleases::default();
        releases.push(locked).unwrap();
        let repository = Some(holder.key().to_owned());
        Some(PrefetchJob { repository, releases, docs: true, latest: 0, closure: false })
    }

    /// Does work to its end, whatever comes of it.
    pub(super) async fn work(&self, job: Job) {
        let (reporter, mut events) = Reporter::new();
        let listening = async { while events.recv().await.is_some() {} };
        let (_outcome, ()) = tokio::join!(self.hub.app().core().work(job, reporter), listening);
    }

    pub(super) async fn bundle(&mut self, holder: Holder, key: Key) -> Result<(), String> {
        let Some(wanted) = self.wanted(holder, key) else { return Ok(()) };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.bundle");
        let create = CreateBundle { wanted, installers: false, since: None, file: file.clone() };
        self.work(Job::Bundle(BundleJob::Create(create))).await;
        // None is made where something that goes into it cannot be had.
        if let Ok(file) = std::fs::File::open(&file) {
            let mut archive = tar::Archive::new(file);
            for entry in archive.entries().unwrap() {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry.unwrap(), &mut bytes).unwrap();
                self.judge_carried(holder, "a bundle", &bytes)?;
            }
        }
        Ok(())
    }

    pub(super) async fn mirror(&mut self, holder: Holder) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let repository = if holder == Holder::Virtual { "upstream" } else { "guarded" };
        let packages =
            if holder == Holder::Virtual { vec![] } else { GUARDED.map(|name| name.text().to_owned()).into() };
        let mirror = MirrorJob {
            repository: repository.to_owned(),
            packages,
            latest: None,
            since: None,
            docs: true,
            connections: 4,
            rate: None,
            action: MirrorAction::Bring,
            to: Some(folder.path().join("tree")),
        };
        self.work(Job::Mirror(mirror)).await;
        let mut folders = vec![folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => self.judge_carried(holder, "a mirror's folder", &std::fs::read(path).unwrap())?,
                }
            }
        }
        Ok(())
    }
}
