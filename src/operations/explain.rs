//! Explains which repository serves a package, and why.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::operator::Operator;
use super::outcome::{Text, terminal_json};
use super::{OperationError, Refusal};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::RequestContext;
use crate::repository::composite::ExplainQuestion;

/// Time limit for the members of a virtual repository.
const PATIENCE: Duration = Duration::from_secs(30);

/// The explanation, as text or as JSON.
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
        let context = RequestContext { deadline: Instant::now() + PATIENCE, client: None };
        let tasks = &self.shared.tasks;
        let question = ExplainQuestion { name: &name, version: version.as_ref(), context, tasks };
        let explanation = repository.explain(&repository.access().console(), question).await?;
        Ok(Explained(match json {
            true => terminal_json(&explanation)?,
            false => explanation.to_string(),
        }))
    }
}
