//! The local repositories behind a virtual one, for the API, which shows more of them than the index.

use std::sync::Arc;

use super::VirtualRepository;
use crate::auth::ReadGrant;
use crate::hex::name::PackageName;
use crate::repository::NameRules;
use crate::repository::{LocalRepository, RepoError, Repository};

impl VirtualRepository {
    /// The first local repository that has a package, with the caller's right to read it.
    pub(in crate::repository) async fn local_with(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
    ) -> Result<Option<(Arc<LocalRepository>, ReadGrant)>, RepoError> {
        for (local, right, rules) in self.locals(grant) {
            let shown = right.packages().allows(name.as_str()) && rules.iter().all(|one| one.allows(name.as_str()));
            if shown && local.has_package(name).await? {
                return Ok(Some((local, right)));
            }
        }
        Ok(None)
    }

    /// The local repositories that a caller may read, in order of priority. Each comes with the name rules of all
    /// repositories on the way to it.
    pub(in crate::repository) fn locals(
        &self,
        grant: &ReadGrant,
    ) -> Vec<(Arc<LocalRepository>, ReadGrant, Vec<NameRules>)> {
        let mut found = Vec::new();
        if grant.repository() != self.key() {
            return found;
        }
        for (member, right) in self.members().iter().zip(grant.members()) {
            let Some(right) = right else { continue };
            let rules = [self.options.identity.names.clone(), member.names.clone()];
            match &member.repository {
                Repository::Remote(_) => {}
                Repository::Local(local) => found.push((Arc::clone(local), right.clone(), rules.into())),
                Repository::Virtual(below) => {
                    found.extend(
                        below
                            .locals(right)
                            .into_iter()
                            .map(|(local, right, more)| (local, right, rules.iter().cloned().chain(more).collect())),
                    );
                }
            }
        }
        found
    }
}
