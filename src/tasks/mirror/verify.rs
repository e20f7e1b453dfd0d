//! `mirror --verify`: checks that all listed files are mirrored and valid. Sends no requests to the upstream.

use super::MirrorPlan;
use super::package::wanted;
use crate::cache::CacheError;
use crate::hex::checksum::Sha256;
use crate::hex::index::{Index, names_entries};
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::repository::RemoteRepository;
use crate::repository::remote::Soundness;
use crate::tasks::report::{Progress, Reporter};

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of packages with a valid index.
    pub packages: u64,
    /// Number of tarballs with the right checksum.
    pub tarballs: u64,
    /// Number of releases without a checksum in the registry; they are never stored.
    pub unprovable: u64,
    /// A sentence for each missing or damaged file.
    pub wrong: Vec<String>,
    /// The packages with missing or damaged files, with the digests of damaged files.
    pub concerned: Vec<(String, Vec<Sha256>)>,
}

/// Verifies `names` and `versions`, the index of each package, and its tarballs. Blocks.
pub fn run(remote: &RemoteRepository, plan: &MirrorPlan, report: &Reporter) -> Result<Verified, CacheError> {
    let mut found = Verified::default();
    if remote.stored(&RegistryResource::Versions)?.is_none() {
        found.wrong(report, "versions is missing or damaged".to_owned());
    }
    let Some(names) = remote.stored(&RegistryResource::Names)? else {
        found.wrong(report, "names is missing or damaged, so the packages cannot be verified".to_owned());
        return Ok(found);
    };
    let is_wanted =
        |name: &str| remote.allows(name) && plan.packages.as_ref().is_none_or(|packages| packages.is_match(name));
    let total = names_entries(names.payload()).filter(|entry| is_wanted(entry.name)).count() as u64;
    let mut progress = Progress { total, ..Progress::default() };
    for entry in names_entries(names.payload()).filter(|entry| is_wanted(entry.name)) {
        let old = entry.updated_at.zip(plan.since).is_some_and(|(updated_at, since)| updated_at < since);
        if let Ok(name) = entry.name.parse::<PackageName>()
            && !old
        {
            package(remote, plan, &name, &mut found, report)?;
        }
        progress.done += 1;
        report.progress(progress);
    }
    Ok(found)
}

fn package(
    remote: &RemoteRepository,
    plan: &MirrorPlan,
    name: &PackageName,
    found: &mut Verified,
    report: &Reporter,
) -> Result<(), CacheError> {
    let stored = remote.stored(&RegistryResource::Package(name.clone()))?;
    let Some(Index::Package(index)) = stored.as_ref().map(|stored| stored.index()) else {
        found.wrong(report, format!("packages/{name} is missing or damaged"));
        found.concerned.push((name.to_string(), Vec::new()));
        return Ok(());
    };
    found.packages += 1;
    let mut concerned = None;
    for (version, release) in wanted(index, plan) {
        let what = match remote.prove_tarball(&release)? {
            Soundness::Sound => {
                found.tarballs += 1;
                continue;
            }
            Soundness::Unprovable => {
                found.unprovable += 1;
                continue;
            }
            Soundness::Missing => "missing",
            Soundness::Damaged => "damaged",
        };
        found.wrong(report, format!("tarballs/{name}-{version}.tar is {what}"));
        let damaged = concerned.get_or_insert_with(Vec::new);
        if what == "damaged" {
            damaged.extend(remote.digest_of(&release));
        }
    }
    found.concerned.extend(concerned.map(|damaged| (name.to_string(), damaged)));
    Ok(())
}

impl Verified {
    fn wrong(&mut self, report: &Reporter, sentence: String) {
        report.say_blocking(sentence.clone());
        self.wrong.push(sentence);
    }
}
