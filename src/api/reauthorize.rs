//! The second permission check of a write. The first is at the start of the request, before its body is read; the
//! second is immediately before the write.
//!
//! Up to ten minutes pass between the two. In that time a key may be revoked, a user deactivated, a role removed.
//! Changes of packages use a grant that contains a [`PackageChange`]. Changes of accounts call [`ApiRequest::reauthenticated`]
//! after the body is read, and check the permissions of the new caller. The second check uses the configuration of that
//! moment.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::error::ApiError;
use super::packages::{Intent, check_name_accepted, check_write};
use super::request::{ApiRequest, agent};
use crate::auth::{Caller, ConfirmGrant, CredentialUse, Denied, GrantWithdrawn, PresentedCredential, Principal};
use crate::hex::name::PackageName;
use crate::repository::local::LocalRepository;

/// The credential in the headers of a request.
pub(super) fn presented_credential<'a>(
    headers: &'a HeaderMap,
    client: IpAddr,
    otp: Option<&'a str>,
) -> PresentedCredential<'a> {
    let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    PresentedCredential { authorization, otp, address: client, agent: agent(headers) }
}

impl ApiRequest {
    /// The same request with the current configuration; the caller stays the same.
    pub(super) fn with_current_configuration(&self) -> Self {
        let (catalog, accounts) = self.context.current.configuration();
        let mut now = self.clone();
        let before = self.context.repository.as_ref();
        now.context.repository = before.and_then(|repository| catalog.get(repository.key().as_str()).cloned());
        (now.context.catalog, now.context.accounts) = (catalog, accounts);
        now
    }

    /// The same request after its credential was checked again. A second factor stays accepted: its code expires while
    /// a long body is received.
    pub(super) async fn reauthenticated(&self) -> Result<Self, ApiError> {
        let before = self.principal()?;
        let mut again = self.with_current_configuration();
        let presented = presented_credential(&self.headers, self.context.client, None);
        let caller = again.context.accounts.authenticate(presented, CredentialUse::Api).await?;
        let now = caller.principal().ok_or(ApiError::Denied(Denied::NeedsCredential))?;
        let principal = Principal { second_factor: before.second_factor, ..Principal::clone(now) };
        again.caller = Caller::Known(Arc::new(principal));
        Ok(again)
    }
}

/// The error for a caller whose permission ended during the request: "forbidden" instead of "not found", because the
/// caller already knew that the resource exists.
pub(super) fn permission_ended(error: ApiError) -> ApiError {
    match error {
        ApiError::Denied(Denied::Hidden) | ApiError::NotFound => ApiError::Denied(Denied::Forbidden),
        other => other,
    }
}

/// The same for a change of a package. A package that was deleted in the meantime is still "not found".
pub(super) fn gone_or_permission_ended(error: ApiError) -> ApiError {
    if error == ApiError::NotFound { error } else { permission_ended(error) }
}

/// A change of a package, with everything that is needed to check it again.
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
                let again = self.ask.reauthenticated().await?;
                let local = again.writable()?;
                // The configuration changed since the first check.
                if !Arc::ptr_eq(local, &self.local) {
                    return Err(ApiError::bad_request(
                        "the configuration of the repository changed during the request: send the request again",
                    ));
                }
                if self.intent == Intent::Publish {
                    check_name_accepted(&again, local, &self.name)?;
                }
                check_write(&again, local, &self.name, self.intent).await
            };
            found.await.map(drop).map_err(|error| Arc::new(gone_or_permission_ended(error)) as GrantWithdrawn)
        })
    }
}
