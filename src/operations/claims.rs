//! Giving back the name of a package that a repository has had, on an open store.

use tokio::time::Instant;

use super::commands::Outcome;
use super::operator::Operator;
use super::{Failure, failure};
use crate::auth::WriteGrant;
use crate::hex::name::PackageName;
use crate::repository::Repository;
use crate::repository::local::WriteError;
use crate::repository::remote::Forgotten;
use crate::state::audit::By;

impl Operator {
    /// Lets others answer for a name of which a repository has no release any more.
    pub(super) async fn forget_name(&self, key: &str, package: &str, by: By) -> Result<Outcome, Failure> {
        let repository = self.repository(key)?;
        let name: PackageName = package.parse().map_err(failure)?;
        let forgotten = match &repository {
            Repository::Local(local) => {
                let grant = WriteGrant::administrator(local.key().clone(), by);
                match local.forget_name(&grant, &name).await {
                    Ok(()) => Forgotten::Done,
                    Err(WriteError::NotFound) => Forgotten::Unclaimed,
                    Err(WriteError::Invalid(_)) => Forgotten::StillHere,
                    Err(error) => return Err(failure(error)),
                }
            }
            Repository::Remote(remote) => {
                let deadline = Instant::now() + self.setup().deadline;
                remote.forget_name(&name, &by, deadline).await.map_err(failure)?
            }
            Repository::Virtual(_) => {
                return Err(Failure(format!(
                    "{key} is a virtual repository; a name is given back by the member that has had it"
                )));
            }
        };
        match forgotten {
            Forgotten::Done => {
                Ok(Outcome::remark(format!("{name} is not claimed by {key} any more: others may answer for it")))
            }
            Forgotten::Unclaimed => Err(Failure(format!("{key} has never had {name}, or it was given back"))),
            Forgotten::StillHere => {
                Err(Failure(format!("{key} still has releases of {name}: while it has, the name is not given back")))
            }
        }
    }
}
