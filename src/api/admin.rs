//! The administration API: the administrative commands of the command line over HTTP, for keys of administrators.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize as _, Serialize};

use super::body::Fields;
use super::error::ApiError;
use super::reply::Reply;
use super::request::ApiRequest;
use crate::auth::Principal;
use crate::hex::limits::{self, BodyLimit};
use crate::operations::commands::{Command, named};
use crate::operations::outcome::CommandOutcome;
use crate::operations::purge::Purge;
use crate::operations::{Blame, OperationError, Operations};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/admin/config", get(config))
        .route("/admin/public-keys/{repository}", get(public_keys))
        .route("/admin/purge", post(purge))
        .route("/admin/reload", post(reload))
        .route("/admin/{order}", post(run_command))
}

/// The administrator who sends the request, and the service that runs commands.
fn administrator(ask: &ApiRequest) -> Result<(&Principal, Arc<dyn Operations>), ApiError> {
    let principal = ask.principal()?;
    // The answer may contain secrets, so reading needs the same permission as writing.
    principal.may_run_commands()?;
    Ok((principal, ask.context.operations.upgrade().ok_or(ApiError::Internal)?))
}

fn outcome_reply<T: Serialize>(outcome: Result<T, OperationError>) -> Result<Reply, ApiError> {
    let outcome = outcome.map_err(command_error)?;
    let value = serde_json::to_value(outcome).map_err(|error| ApiError::internal(&error))?;
    Ok(Reply::ok(value).secret())
}

/// The outcome of a command, as the command line prints it.
pub(super) fn command_reply(outcome: Result<CommandOutcome, OperationError>) -> Result<Reply, ApiError> {
    outcome_reply(outcome.map(|outcome| outcome.text()))
}

/// The error of a failed command. Administrators see the full cause.
fn command_error(error: OperationError) -> ApiError {
    let sentence = error.sentence();
    match error.blame() {
        Blame::Order | Blame::Upstream => ApiError::Unprocessable(sentence),
        Blame::Server => {
            tracing::error!(error = &error as &dyn std::error::Error, "an administrative command failed");
            ApiError::Failed(sentence)
        }
    }
}

impl Fields for Purge {}

/// The name of a command, taken from the path; its fields are in the body.
struct CommandSeed<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for CommandSeed<'_> {
    type Value = Command;

    fn deserialize<D: Deserializer<'de>>(self, fields: D) -> Result<Command, D::Error> {
        Command::deserialize(named(self.0, CommandFields(fields)))
    }
}

/// The fields of a command. Unknown fields are refused: a client would assume that an ignored field had an effect.
struct CommandFields<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for CommandFields<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        self.0.deserialize_map(NoFields)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }
}

/// The fields of a command that has none.
struct NoFields;

impl<'de> Visitor<'de> for NoFields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        match fields.next_key::<String>()? {
            Some(field) => Err(A::Error::unknown_field(&field, &[])),
            None => Ok(()),
        }
    }
}

/// The size limit of a command's fields. Some commands receive the contents of lock files.
fn limit(order: &str) -> &'static BodyLimit {
    match order {
        "pin" | "unpin" | "policy-test" => &limits::LOCK_BODY,
        _ => &limits::SMALL_BODY,
    }
}

async fn config(ask: ApiRequest) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    outcome_reply(operations.show_config().await)
}

async fn public_keys(ask: ApiRequest, Path(repository): Path<String>) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    outcome_reply(operations.public_keys(repository).await)
}

async fn purge(ask: ApiRequest) -> Result<Reply, ApiError> {
    administrator(&ask)?;
    let purge: Purge = ask.fields().await?;
    let ask = ask.reauthenticated().await?;
    let (by, operations) = administrator(&ask)?;
    outcome_reply(operations.purge(purge, by.by()).await)
}

async fn reload(ask: ApiRequest) -> Result<Reply, ApiError> {
    let (_, operations) = administrator(&ask)?;
    outcome_reply(operations.reload().await)
}

async fn run_command(ask: ApiRequest, Path(name): Path<String>) -> Result<Reply, ApiError> {
    administrator(&ask)?;
    let command = ask.read(limit(&name), CommandSeed(&name)).await?;
    let ask = ask.reauthenticated().await?;
    let (by, operations) = administrator(&ask)?;
    command_reply(operations.administer(command, by.by()).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Refusal;
    use crate::shutdown::TaskError;

    #[test]
    fn who_is_to_blame_decides_the_status() {
        let order = command_error(Refusal::NoUser("sam".to_owned()).into());
        assert_eq!((order.status().as_u16(), order.to_string().as_str()), (422, "there is no user `sam`"));
        let ours = command_error(TaskError::Panicked.into());
        assert_eq!((ours.status().as_u16(), ours.to_string()), (500, TaskError::Panicked.to_string()));
    }
}
