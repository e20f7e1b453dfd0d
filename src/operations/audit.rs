//! Lines of the audit log.

use serde::{Deserialize, Serialize};

use super::commands::Account;
use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::display_text::shown;
use crate::state::audit::Entry;

/// Lines of the audit log, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLines(pub Vec<AuditLine>);

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Time of the action.
    pub at: Timestamp,
    /// Name of the action, as it is stored.
    pub action: String,
    /// Who did it: `user:alice`, `org:acme` or `console`; `None` for hexkeep itself.
    pub actor: Option<String>,
    /// Credential that authenticated the actor.
    pub credential: Option<String>,
    /// IP address of the client.
    pub address: Option<String>,
    /// User agent of the client.
    pub agent: Option<String>,
    /// Key of the repository; empty for an action on an account.
    pub repository: String,
    /// Package of the action, if any.
    pub package: Option<String>,
    /// Version of the action, if any.
    pub version: Option<String>,
    /// Account that the action changed, if any.
    pub subject: Option<String>,
    /// Description of the action.
    pub detail: String,
}

impl From<Entry> for AuditLine {
    fn from(entry: Entry) -> Self {
        let Entry { at, action, repository, subject, package, version, detail, by } = entry;
        let address = by.address.map(|address| address.to_string());
        let (actor, credential, agent) = (by.actor, by.credential, by.agent);
        Self { at, action, actor, credential, address, agent, repository, package, version, subject, detail }
    }
}

impl AuditLine {
    fn line(&self) -> String {
        let subject = [self.package.as_deref(), self.version.as_deref(), self.subject.as_deref()];
        let subject: Vec<&str> = subject.into_iter().flatten().collect();
        let subject = match (self.repository.as_str(), subject.join(" ")) {
            ("", subject) => subject,
            (repository, subject) if subject.is_empty() => repository.to_owned(),
            (repository, subject) => format!("{repository}/{subject}"),
        };
        let or_none = |text: &Option<String>| shown(text.as_deref().unwrap_or("-"));
        let (actor, credential) = (or_none(&self.actor), or_none(&self.credential));
        let (address, agent, detail) = (or_none(&self.address), or_none(&self.agent), shown(&self.detail));
        format!("{}\t{}\t{actor}\t{credential}\t{address}\t{subject}\t{detail}\t{agent}", self.at, self.action)
    }
}

impl AuditLines {
    pub(super) fn text(&self) -> Text {
        Text::lines(self.0.iter().map(AuditLine::line))
    }
}

impl Operator {
    /// Reads a page of 100 lines: about an account, about a repository, or of the whole log.
    pub(super) async fn audit_lines(
        &self,
        repository: Option<&str>,
        account: Option<&Account>,
        page: u32,
    ) -> Result<AuditLines, OperationError> {
        let entries: Vec<Entry> = match (repository, account) {
            (_, Some(account)) => self.accounts().audit_of(self.owner(account).await?, page).await?,
            (Some(key), None) => {
                let entries = self.state.audit_of_repository(key, page).await?;
                // The log keeps the lines of a repository that is no longer configured.
                if let (true, Err(_)) = (entries.is_empty() && page <= 1, self.repository(key)) {
                    return Err(Refusal::NoAuditEntries(key.to_owned()).into());
                }
                entries
            }
            (None, None) => self.state.audit_of_everything(page).await?,
        };
        Ok(AuditLines(entries.into_iter().map(AuditLine::from).collect()))
    }
}
