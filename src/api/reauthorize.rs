//! A right to write is found out twice: when a request begins, before its body is read, and once more directly before
//! something is written.
//!
//! Between the two lie up to ten minutes, in which a key may have been revoked, a user shut out, a role taken. Packages
//! are changed by a grant that carries a [`PackageChange`]; what changes accounts calls [`ApiRequest::again`] after it has read the
//! body, and looks at the rights of the caller that it gets. The configuration may be another one by then, too: the
//! second time it is the one of then that counts.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::error::ApiError;
use super::packages::{Intent, allowed, check_taken};
use super::request::{ApiRequest, agent};
use crate::auth::{Caller, ConfirmGrant, CredentialUse, Denied, GrantWithdrawn, PresentedCredential, Principal};
use crate::hex::name::PackageName;
use crate::repository::local::LocalRepository;

/// What a request's headers say about who sends it.
pub(super) fn presented<'a>(headers: &'a HeaderMap, client: IpAddr, otp: Option<&'a str>) -> PresentedCredential<'a> {
    let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    PresentedCredential { authorization, otp, address: client, agent: agent(headers) }
}

impl ApiRequest {
    /// The same request by the configuration of now; its credential is what it was found to be.
    pub(super) fn by_now(&self) -> Self {
        let (catalog, accounts) = self.call.present.configuration();
        let mut now = self.clone();
        let before = self.call.repository.as_ref();
        now.call.repository = before.and_then(|repository| catalog.get(repository.key().as_str()).cloned());
        (now.call.catalog, now.call.accounts) = (catalog, accounts);
        now
    }

    /// The same after its credential was looked at once more. A second factor that was shown stays shown: its code has
    /// ended by the time that a long body has come.
    pub(super) async fn again(&self) -> Result<Self, ApiError> {
        let before = self.principal()?;
        let mut again = self.by_now();
        let presented = presented(&self.headers, self.call.client, None);
        let caller = again.call.accounts.authenticate(presented, CredentialUse::Api).await?;
        let now = caller.principal().ok_or(ApiError::Denied(Denied::NeedsCredential))?;
        let principal = Principal { second_factor: before.second_factor, ..Principal::clone(now) };
        again.caller = Caller::Known(Arc::new(principal));
        Ok(again)
    }
}

/// What is answered to whoever was allowed to do something when the request began, and is not any more: they knew of it, so
/// it is not hidden from them.
pub(super) fn ended(error: ApiError) -> ApiError {
    match error {
        ApiError::Denied(Denied::Hidden) | ApiError::NotFound => ApiError::Denied(Denied::Forbidden),
        other => other,
    }
}

/// The same of a change to a package. What is gone meanwhile is gone, whoever may change it.
pub(super) fn gone_or_ended(error: ApiError) -> ApiError {
    if error == ApiError::NotFound { error } else { ended(error) }
}

/// What somebody is about to do to a package.
pub(super) struct PackageChange {
    pub(super) ask: ApiRequest,
    pub(super) local: Arc<LocalRepository>,
    pub(super) name: PackageName,
    pub(super) intent: Intent,
}

impl ConfirmGrant for PackageChange {
    fn confirm(&self) -> BoxFuture<'_, Result<(), GrantWithdrawn>> {
        Box::pin(async move {
            let found = async {
                let again = self.ask.again().await?;
                let local = again.writable()?;
                // Other rules hold now than those by which it was looked at.
                if !Arc::ptr_eq(local, &self.local) {
                    return Err(ApiError::bad_request(
                        "the configuration of the repository was changed while the request was answered: send it again",
                    ));
                }
                if self.intent == Intent::Publish {
                    check_taken(&again, local, &self.name)?;
                }
                allowed(&again, local, &self.name, self.intent).await
            };
            found.await.map(drop).map_err(|error| Arc::new(gone_or_ended(error)) as GrantWithdrawn)
        })
    }
}
