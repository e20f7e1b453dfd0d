//! A right to write is found out twice: when a request begins, before its body is read, and once more directly before
//! something is written. Imports `hex`, `auth`, `repository`, `api`.
//!
//! Between the two lie up to ten minutes, in which a key may have been revoked, a user shut out, a role taken. Packages
//! are changed by a grant that carries a [`Change`]; what changes accounts calls [`Ask::again`] after it has read the
//! body, and looks at the rights of the caller that it gets.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::ask::{Ask, agent};
use super::error::ApiError;
use super::packages::{Intent, allowed};
use crate::auth::{Caller, Confirm, Denied, Presented, Principal, Side, Withdrawn};
use crate::hex::name::PackageName;
use crate::repository::local::LocalRepository;

/// What a request's headers say about who sends it.
pub(super) fn presented<'a>(headers: &'a HeaderMap, client: IpAddr, otp: Option<&'a str>) -> Presented<'a> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    // Two are none: which of them would count?
    let authorization = given.next().filter(|_| given.next().is_none()).map(HeaderValue::as_bytes);
    Presented { authorization, otp, address: client, agent: agent(headers) }
}

impl Ask {
    /// The same request after its credential was looked at once more. A second factor that was shown stays shown: its code
    /// has ended by the time that a long body has come.
    pub(super) async fn again(&self) -> Result<Self, ApiError> {
        let before = self.principal()?;
        let presented = presented(&self.headers, self.call.client, None);
        let caller = self.call.accounts.authenticate(presented, Side::Api).await?;
        let now = caller.principal().ok_or(ApiError::Denied(Denied::NeedsCredential))?;
        let principal = Principal { second_factor: before.second_factor, ..Principal::clone(now) };
        let mut again = self.clone();
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

/// What somebody is about to do to a package.
pub(super) struct Change {
    pub(super) ask: Ask,
    pub(super) local: Arc<LocalRepository>,
    pub(super) name: PackageName,
    pub(super) intent: Intent,
}

impl Confirm for Change {
    fn confirm(&self) -> BoxFuture<'_, Result<(), Withdrawn>> {
        Box::pin(async move {
            let found = async {
                let again = self.ask.again().await?;
                allowed(&again, &self.local, &self.name, self.intent).await
            };
            match found.await {
                Ok(_) => Ok(()),
                // Gone meanwhile, whoever may change it.
                Err(error @ ApiError::NotFound) => Err(Arc::new(error) as Withdrawn),
                Err(error) => Err(Arc::new(ended(error)) as Withdrawn),
            }
        })
    }
}
