//! Lists the files of local repositories: those that the database refers to, and those that sidecars refer to, so that
//! they are kept while the database does not know them.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;

use super::sidecar::{FORMAT, MAX_BYTES, Sidecar};
use super::{LocalFailure, LocalRepository};
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::repository::RepoError;
use crate::state::State;
use crate::store::vault::{Listed, Prefix, Vault, VaultName, VaultPath};

/// The files that sidecars refer to, of all local repositories, including repositories that are not configured now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarFiles {
    /// Tarballs and documentation. Tarballs that an administrator removed are not included.
    pub named: BTreeSet<Sha256>,
    /// Repositories with a sidecar of a version that is missing in the database, or with a file that is not a readable
    /// sidecar.
    pub unindexed: BTreeSet<String>,
}

impl SidecarFiles {
    /// Reads all sidecars, and compares them with the database.
    pub async fn read(vault: &dyn Vault, state: &State) -> Result<Self, RepoError> {
        let mut found = Self::default();
        // Files are listed folder by folder.
        let mut known = (String::new(), BTreeSet::new());
        let mut files = vault.list(Prefix::Folders);
        while let Some(listed) = files.try_next().await.map_err(LocalFailure::from)? {
            let path = match listed {
                Listed::File(VaultName::Path(path)) => path,
                Listed::File(VaultName::Digest(_)) => continue,
                Listed::Stranger(file) => {
                    found
                        .unindexed
                        .extend(file.split('/').next().filter(|key| RepoName::is_valid(key)).map(str::to_owned));
                    continue;
                }
            };
            let key = path.folder().as_str().to_owned();
            if !RepoName::is_valid(&key) {
                continue;
            }
            if known.0 != key {
                known = (key.clone(), state.known_versions(&key, None).await?);
            }
            let is_indexed = match readable(vault, path).await {
                Some((sidecar, files)) => {
                    found.named.extend(files);
                    known.1.contains(&(sidecar.package, sidecar.version))
                }
                None => false,
            };
            if !is_indexed {
                found.unindexed.insert(key);
            }
        }
        Ok(found)
    }
}

impl LocalRepository {
    /// Every file that must exist, with its path.
    pub async fn files(&self) -> Result<Vec<(String, Sha256)>, RepoError> {
        let mut files = Vec::new();
        for package in self.state.listed(self.key().as_str()).await? {
            for release in &package.releases {
                let of = format!("{}-{}", package.name, release.version);
                files.push((format!("{}/tarballs/{of}.tar", self.key()), release.outer));
                files.extend(release.docs.map(|docs| (format!("{}/docs/{of}.tar.gz", self.key()), docs.digest)));
            }
        }
        Ok(files)
    }
}

/// Reads a sidecar and the digests in it; `None` if that is impossible.
async fn readable(vault: &dyn Vault, path: VaultPath) -> Option<(Sidecar, Vec<Sha256>)> {
    let bytes = vault.read(path.into(), MAX_BYTES).await.ok()??;
    let sidecar: Sidecar = serde_json::from_slice(&bytes).ok()?;
    if sidecar.format != FORMAT {
        return None;
    }
    let is_final = sidecar.tombstone.as_ref().is_some_and(|tombstone| tombstone.is_final);
    let tarball = (!is_final).then_some(&sidecar.outer_checksum);
    let docs = sidecar.docs.as_ref().map(|(digest, _)| digest);
    let digests = tarball.into_iter().chain(docs).map(|digest| Sha256::from_hex(digest).ok()).collect::<Option<_>>()?;
    Some((sidecar, digests))
}
