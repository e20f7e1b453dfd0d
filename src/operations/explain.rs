//! Why a repository answers a name as it does, from an open store.

use std::time::Duration;

use tokio::time::Instant;

use super::commands::Outcome;
use super::operator::Operator;
use super::{Failure, failure};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::Context;
use crate::repository::composite::Question;

/// How long members are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Operator {
    pub(super) async fn explain(
        &self,
        key: &str,
        package: &str,
        version: Option<&str>,
        json: bool,
    ) -> Result<Outcome, Failure> {
        let repository = self.repository(key)?;
        let name: PackageName = package.parse().map_err(failure)?;
        let version: Option<ReleaseVersion> = version.map(str::parse).transpose().map_err(failure)?;
        let context = Context { deadline: Instant::now() + PATIENCE, client: None };
        let tasks = &self.shared.tasks;
        let question = Question { name: &name, version: version.as_ref(), context, tasks };
        let explanation = repository.explain(question).await;
        let text = match json {
            true => serde_json::to_string_pretty(&explanation).map_err(failure)?,
            false => explanation.to_string(),
        };
        Ok(Outcome { lines: text.lines().map(str::to_owned).collect(), ..Outcome::default() })
    }
}
