//! One request to a repository: checks access, fetches the resource, builds the answer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, Response, StatusCode};

use super::body::ResponseBody;
use super::conditional;
use super::error::Refusal;
use super::hex_message;
use super::installs;
use super::observe::{RequestSummary, story_of};
use super::respond::{self, EntityFacts, ResponsePreferences};
use crate::auth::{Accounts, AuthError, Caller, CredentialUse, Denied, PresentedCredential, ReadGrant};
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource, Resource};
use crate::repository::{
    DeliveryExtent, DeliveryOrder, FetchLog, Installs, Purpose, RegistryAnswer, ReleaseFile, RepoError, Repository,
    RequestContext, RingKey, SignedBy,
};

/// The answer to a request.
pub(super) struct RepositoryAnswer {
    pub(super) response: Response<ResponseBody>,
    /// Set if the policy hides releases of the package from a caller whose client prints messages. Boxed: most answers
    /// have none.
    pub(super) hiding: Option<Box<HiddenNotice>>,
}

/// A package with hidden releases, and the caller from whom they are hidden.
pub(super) struct HiddenNotice {
    pub(super) package: PackageName,
    pub(super) answer: RegistryAnswer,
    pub(super) caller: Caller,
}

impl From<Response<ResponseBody>> for RepositoryAnswer {
    fn from(response: Response<ResponseBody>) -> Self {
        Self { response, hiding: None }
    }
}

/// A request for a resource of a repository.
pub(super) struct RepositoryRequest<'a> {
    pub(super) repository: &'a Repository,
    pub(super) resource: &'a Resource,
    pub(super) signed_by: SignedBy,
    /// The signing key, if the path contains one.
    pub(super) key: Option<RingKey>,
    pub(super) wishes: ResponsePreferences<'a>,
    pub(super) context: RequestContext,
    pub(super) accounts: &'a Accounts,
    pub(super) installs: &'a Installs,
    pub(super) fetch_log: &'a Arc<FetchLog>,
    pub(super) client: IpAddr,
}

impl RepositoryRequest<'_> {
    /// Checks access and answers the request.
    pub(super) async fn ask(&self, story: &mut RequestSummary) -> Result<RepositoryAnswer, Refusal> {
        let (repository, wishes) = (self.repository, self.wishes);
        if let Resource::PublicKey = self.resource {
            // The public key needs no credential: clients fetch it before they have one.
            let usual = || repository.public_key(self.signed_by);
            let pem = self.key.as_ref().map_or_else(usual, RingKey::public_key).to_spki_pem();
            let pem = Bytes::copy_from_slice(pem.as_bytes());
            return Ok(respond::fixed(wishes, pem).into());
        }
        if let Resource::Installs(path) = self.resource {
            // Mix does not send a credential for installers.
            let answer = installs::answer(self.installs, path, self.wishes, self.client, self.context, story);
            return Box::pin(answer).await.map(RepositoryAnswer::from);
        }
        let caller = self.caller().await?;
        let grant = match self.resource {
            Resource::Docs(_) => repository.access().read_docs(&caller),
            _ => repository.access().read(&caller),
        };
        let grant = grant.map_err(|denied| Refusal::from(&denied))?;
        let refuse = |error| match (error, &caller) {
            (RepoError::Withheld, Caller::Anonymous) => Refusal::from(&Denied::NeedsCredential),
            (error, _) => {
                log(&error);
                Refusal::of(&error, self.resource)
            }
        };
        let mut hiding = None;
        let response = match self.resource {
            Resource::PublicKey | Resource::Installs(_) => return Err(Refusal::internal()),
            Resource::Registry(resource) => {
                let served = repository.registry(&grant, resource, self.signed_by, self.context).await;
                let served = served.map_err(refuse)?;
                story_of(story, &served);
                let answer = served.value;
                let sealed = match &self.key {
                    Some(key) => key.sealed(answer.signed.clone()).await.map_err(refuse)?,
                    None => answer.signed.clone(),
                };
                let facts =
                    EntityFacts { etag: Some(sealed.etag().to_owned()), keep: answer.keep, status: served.status };
                let response = respond::whole(wishes, &facts, sealed.body().clone());
                if let RegistryResource::Package(name) = resource
                    && response.status() == StatusCode::OK
                    && answer.hides_releases()
                    && self.can_be_told()
                {
                    hiding = Some(Box::new(HiddenNotice { package: name.clone(), answer, caller }));
                }
                response
            }
            // Boxed: this is the largest branch, and it would make all other futures larger.
            Resource::Tarball(name) => {
                Box::pin(self.deliver(&grant, name, ReleaseFile::Tarball, story)).await.map_err(refuse)?
            }
            Resource::Docs(name) => {
                Box::pin(self.deliver(&grant, name, ReleaseFile::Docs, story)).await.map_err(refuse)?
            }
        };
        // A policy may be restricted to known callers, even if everybody may read the repository.
        let is_known = matches!(self.resource, Resource::Registry(RegistryResource::Policy(_)))
            && !matches!(grant.caller(), Caller::Anonymous);
        let response = if grant.is_public() && !is_known { response } else { respond::private(response) };
        Ok(RepositoryAnswer { response, hiding })
    }

    /// Whether the client prints a message that is sent with an answer.
    fn can_be_told(&self) -> bool {
        let agent = self.wishes.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        self.wishes.method == Method::GET && agent.is_some_and(hex_message::understood_by)
    }

    /// Authenticates the caller. Most requests have no credential and cost nothing.
    async fn caller(&self) -> Result<Caller, Refusal> {
        let headers = self.wishes.headers;
        let Some(authorization) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let presented = PresentedCredential {
            authorization: Some(authorization.as_bytes()),
            otp: None,
            address: self.client,
            agent,
        };
        let side = CredentialUse::Repository { open: self.repository.access().is_open() };
        self.accounts.authenticate(presented, side).await.map_err(|error: AuthError| Refusal::from(&error))
    }

    async fn deliver(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        file: ReleaseFile,
        story: &mut RequestSummary,
    ) -> Result<Response<ResponseBody>, RepoError> {
        let (condition, purpose) = (conditional::condition(self.wishes.headers), Purpose::Client(self.fetch_log));
        let amount = if self.wishes.method == Method::HEAD { DeliveryExtent::Head } else { DeliveryExtent::Whole };
        let order = DeliveryOrder { file, amount, purpose, condition: &condition };
        let served = self.repository.deliver(grant, name, order, self.context).await?;
        story_of(story, &served);
        Ok(respond::delivered(self.wishes, served))
    }
}

/// Logs an error and returns the answer for the client.
pub(super) fn refuse(error: RepoError) -> Refusal {
    log(&error);
    Refusal::from(&error)
}

fn log(error: &RepoError) {
    let chain = error as &dyn std::error::Error;
    match error {
        RepoError::Internal(_) | RepoError::State(_) | RepoError::Local(_) => {
            tracing::error!(error = chain, "a request failed")
        }
        // The failed download was already logged, once for all requests that waited for it.
        _ => tracing::debug!(error = chain, "a request was refused"),
    }
}
