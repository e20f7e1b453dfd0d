//! Tells a virtual repository which names belong to this private member.

use std::sync::Arc;

use futures_util::future::try_join;
use tokio::time::Instant;

use super::RemoteRepository;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::registry::Confirmation;
use crate::cache::{CacheError, Served};
use crate::hex::name::{PackageName, PolicyName};
use crate::hex::resource::RegistryResource;
use crate::repository::private_text::TypedText;
use crate::repository::{CacheLifetime, RepoError, RequestContext};
use crate::state::audit::Actor;
use crate::state::claims::{self, ForgottenName};

/// The result of giving up the claim to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetOutcome {
    /// The claim is given up: others may have the name.
    Done,
    /// The repository has never had the name.
    Unclaimed,
    /// The repository still has the package, as far as is known.
    StillHere,
    /// This is unknown, because its list of names is neither stored nor available.
    Unknown,
}

impl RemoteRepository {
    /// Its list of names including releases held by policy, and how current the list is.
    pub(in crate::repository) async fn confirmed_names(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<(Served<(Payload, CacheLifetime)>, Confirmation), RepoError> {
        let (served, standing) = self.registry.confirmed(&RegistryResource::Names, deadline).await?;
        let names = self.own(&RegistryResource::Names, &served.value).await?;
        Ok((served.map(|_| (names, CacheLifetime::For(self.options.rules.ttl))), standing))
    }

    /// Whether it has a package that is not in its list of names. Only a signed index proves that it has. While the
    /// list is not confirmed (`standing`), an answer without a signature does not prove that it has not. If the
    /// upstream gives no answer, its last list counts.
    pub(in crate::repository) async fn has_unlisted(
        self: &Arc<Self>,
        name: &PackageName,
        standing: &Confirmation,
        deadline: Instant,
    ) -> Result<bool, RepoError> {
        let resource = RegistryResource::Package(name.clone());
        let (error, standing) = match standing {
            Confirmation::UpstreamUnreachable(_) => match self.in_silence(name, &resource, deadline).await {
                Ok(heard) => heard,
                Err(decided) => return decided,
            },
            Confirmation::Confirmed | Confirmation::UnsignedAnswer(_) => {
                match self.resource(&resource, deadline).await {
                    Ok(_) => return Ok(true),
                    Err(error) => (error, standing.clone()),
                }
            }
        };
        let error = match error {
            RepoError::Upstream(error) => self.registry.last_word(&resource, error).into(),
            error => error,
        };
        match standing {
            Confirmation::Confirmed if error.is_absence() || error.is_silence() => Ok(false),
            Confirmation::UpstreamUnreachable(_) if error.is_silence() => Ok(false),
            Confirmation::UpstreamUnreachable(why) | Confirmation::UnsignedAnswer(why)
                if error.is_absence() || error.is_silence() =>
            {
                tracing::warn!(
                    repository = %self.key(), error = &why as &dyn std::error::Error,
                    "no repository can serve a package name now, because the list of names of a private repository could not be confirmed"
                );
                Err(why.into())
            }
            Confirmation::Confirmed | Confirmation::UpstreamUnreachable(_) | Confirmation::UnsignedAnswer(_) => {
                Err(error)
            }
        }
    }

    /// Waits for a package, and at the same time for the list, whose request may still be answered. The error is the
    /// result if one of them decides. Otherwise returns why there is no package, and how current the list is.
    async fn in_silence(
        self: &Arc<Self>,
        name: &PackageName,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<(RepoError, Confirmation), Result<bool, RepoError>> {
        let package = async {
            // An answer from before the upstream became silent does not count.
            match self.registry.get_newest(resource, true, deadline).await {
                Ok(_) => Err(Ok(true)),
                Err(error) => Ok(RepoError::from(error)),
            }
        };
        let list = async {
            match self.registry.confirmed(&RegistryResource::Names, deadline).await {
                Ok((names, standing)) => match self.is_listed(&names.value, name).await {
                    Ok(false) => Ok(standing),
                    decided => Err(decided),
                },
                Err(error) => Ok(Confirmation::UnsignedAnswer(error)),
            }
        };
        try_join(package, list).await
    }

    /// Whether the upstream, which was silent, has begun to answer the request for its list or for the package `name`.
    pub(in crate::repository) fn has_begun_to_answer(&self, name: Option<&PackageName>) -> bool {
        let package = name.map(|name| RegistryResource::Package(name.clone()));
        [Some(RegistryResource::Names), package].iter().flatten().any(|asked| !self.registry.is_silent(asked))
    }

    /// Whether a text contains a private name: one that this repository has or ever had, if its names are private.
    pub(in crate::repository) async fn is_named_privately(
        self: &Arc<Self>,
        text: &TypedText,
        context: RequestContext,
    ) -> bool {
        if !self.options.is_private {
            return false;
        }
        // The names in a list are claimed before the list is returned.
        let listed = self.resource(&RegistryResource::Names, context.deadline).await;
        match (listed, self.state.claimed(self.key().as_str()).await) {
            (Ok(_), Ok(names)) => names.any(|name| text.contains_name(name)),
            _ => true,
        }
    }

    /// Whether a name must not be sent to its upstream without a client's request: a view of which this is a member has
    /// the name as a private one of others, or cannot tell.
    pub async fn is_kept_from(&self, package: &PackageName) -> bool {
        self.directory.is_kept_from(self.key(), package).await
    }

    /// Gives up the claim to a name of a package that the repository no longer has: according to its newest signed
    /// list, or the last one if no newer one is available. The package is removed from the cache, so that nothing
    /// claims the name again.
    pub async fn forget_name(
        self: &Arc<Self>,
        name: &PackageName,
        by: &Actor,
        deadline: Instant,
    ) -> Result<ForgetOutcome, RepoError> {
        let names = match self.registry.get_newest(&RegistryResource::Names, true, deadline).await {
            Ok(served) => served.value,
            Err(error) => match self.registry.stored_entry(&RegistryResource::Names, deadline).await? {
                Some(names) => names,
                None => {
                    tracing::warn!(repository = %self.key(), %name, error = &error as &dyn std::error::Error, "the claim to a name was not given up");
                    return Ok(ForgetOutcome::Unknown);
                }
            },
        };
        let package = RegistryResource::Package(name.clone());
        if self.is_listed(&names, name).await? || self.newest_known(&package, deadline).await?.is_some() {
            return Ok(ForgetOutcome::StillHere);
        }
        let forgotten = self.give_back(name.as_str(), by).await?;
        if forgotten == ForgetOutcome::Done {
            self.purge(Some(name), None).await?;
        }
        Ok(forgotten)
    }

    /// Gives up the claim to the name of a policy that the repository no longer has.
    pub async fn forget_policy(
        self: &Arc<Self>,
        name: &PolicyName,
        by: &Actor,
        deadline: Instant,
    ) -> Result<ForgetOutcome, RepoError> {
        let policy = RegistryResource::Policy(name.clone());
        if self.newest_known(&policy, deadline).await?.is_some() {
            return Ok(ForgetOutcome::StillHere);
        }
        let forgotten = self.give_back(&claims::of_policy(name.as_str()), by).await?;
        if forgotten == ForgetOutcome::Done {
            let registry = Arc::clone(&self.registry);
            self.shared.blocking(move |_| registry.purge(Some(&policy))).await??;
        }
        Ok(forgotten)
    }

    /// A resource as its upstream has it now, or the last copy if the upstream gives no answer; `None` if it does not
    /// exist.
    async fn newest_known(
        &self,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<ReadyResource>>, RepoError> {
        match self.registry.get_newest(resource, true, deadline).await {
            Ok(served) => Ok(Some(served.value)),
            Err(CacheError::Missing) => Ok(None),
            Err(_) => Ok(self.registry.stored_entry(resource, deadline).await?),
        }
    }

    async fn give_back(&self, claimed: &str, by: &Actor) -> Result<ForgetOutcome, RepoError> {
        let subject = (self.key().as_str(), claimed);
        Ok(match self.state.forget_name(self.shared.clock.now(), subject, by).await? {
            ForgottenName::Done => ForgetOutcome::Done,
            ForgottenName::Unclaimed => ForgetOutcome::Unclaimed,
            ForgottenName::HasReleases => ForgetOutcome::StillHere,
        })
    }
}
