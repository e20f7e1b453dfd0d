//! The lines that make a client work with a repository, as it is configured.

use serde::{Deserialize, Serialize};

use super::operator::Operator;
use super::outcome::{Text, terminal_json};
use super::{OperationError, Refusal};
use crate::choice::Choice;
use crate::client_setup::{Client, Reader, Role, VerifyingKey, recipe};
use crate::trust::PublicKey;

/// The lines for a client: for people, or as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLines(String);

impl ClientLines {
    pub(super) fn text(&self) -> Text {
        Text::lines(self.0.lines().map(str::to_owned))
    }
}

/// For whom the lines are, from what was given for it.
pub(super) fn reader(user: Option<String>, role: Option<&str>, version: Option<&str>) -> Result<Reader, Refusal> {
    let role = match role {
        None => Role::Developer,
        Some(word) => choice("role", word)?,
    };
    let version = match version {
        None => None,
        Some(text) => Some(major_and_minor(text).ok_or_else(|| Refusal::ClientVersion(text.to_owned()))?),
    };
    Ok(Reader { role, user, version })
}

fn choice<C: Choice>(what: &'static str, word: &str) -> Result<C, Refusal> {
    C::from_word(word).ok_or_else(|| Refusal::UnknownWord { what, word: word.to_owned(), words: C::words() })
}

fn major_and_minor(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split('.');
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next()?.parse().ok()?))
}

impl Operator {
    pub(super) async fn client_setup(
        &self,
        client: &str,
        repository: &str,
        reader: Reader,
        json: bool,
    ) -> Result<ClientLines, OperationError> {
        let client: Client = choice("client", client)?;
        let setup = self.setup();
        let managed = setup.managed(repository)?;
        if !managed.repository.identity().direct {
            return Err(Refusal::NoAddress(repository.to_owned()).into());
        }
        let key = self.public_keys(repository).await?.into_iter().next();
        let key = key.ok_or_else(|| Refusal::NotSigned(repository.to_owned()))?;
        let key = VerifyingKey {
            is_hexpms: key.fingerprint == PublicKey::hexpm().fingerprint().to_string(),
            pem: key.pem,
            fingerprint: key.fingerprint,
        };
        let recipe = recipe(client, &managed.endpoint, &key, &reader);
        Ok(ClientLines(if json { terminal_json(&recipe)? } else { recipe.to_string() }))
    }
}
