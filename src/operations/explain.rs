//! Why a repository answers a name as it does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::Context;
use crate::repository::composite::Question;

/// How long members are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a repository answers a name as it does: in sentences, or as JSON where that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained(pub String);

impl Explained {
    pub(super) fn text(&self) -> Text {
        Text::lines(self.0.lines().map(str::to_owned))
    }
}

impl Operator {
    pub(super) async fn explain(
        &self,
        key: &str,
        package: &str,
        version: Option<&str>,
        json: bool,
    ) -> Result<Explained, OperationError> {
        let repository = self.repository(key)?;
        let name: PackageName = package.parse().map_err(Refusal::from)?;
        let version: Option<ReleaseVersion> = version.map(str::parse).transpose().map_err(Refusal::from)?;
        let context = Context { deadline: Instant::now() + PATIENCE, client: None };
        let tasks = &self.shared.tasks;
        let question = Question { name: &name, version: version.as_ref(), context, tasks };
        let explanation = repository.explain(&repository.access().console(), question).await?;
        Ok(Explained(match json {
            true => serde_json::to_string_pretty(&explanation)?,
            false => explanation.to_string(),
        }))
    }
}
