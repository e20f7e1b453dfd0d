//! Explains which repository serves a package, and why.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::operator::Operator;
use super::outcome::Text;
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
            true => in_ascii(&serde_json::to_string_pretty(&explanation)?),
            false => explanation.to_string(),
        }))
    }
}

/// Escapes all non-ASCII characters of a JSON text. They can only be in strings, where JSON allows it.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_ascii() {
            true => ascii.push(c),
            false => ascii.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| escape(*unit))),
        }
    }
    ascii
}

/// A UTF-16 unit as a JSON escape of six characters.
fn escape(unit: u16) -> impl Iterator<Item = char> {
    let digits = [12, 8, 4, 0].map(|shift| char::from_digit(u32::from(unit >> shift & 0xf), 16).unwrap_or('0'));
    ['\\', 'u'].into_iter().chain(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn json_in_ascii_says_the_same(text in "\\PC*|(?s).*") {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let ascii = in_ascii(&json);
            proptest::prop_assert!(ascii.is_ascii());
            proptest::prop_assert_eq!(serde_json::from_str::<Vec<String>>(&ascii).unwrap(), vec![text]);
        }
    }
}
