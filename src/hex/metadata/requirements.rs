//! Reads the dependencies of a release, in all formats that clients have written.

use std::collections::BTreeMap;

use super::{Dependency, NOT_TEXT, Pairs, entries, is_nothing, read_text, value};
use crate::hex::invalid::Invalid;
use crate::hex::limits;
use crate::hex::name::PackageName;
use crate::hex::requirement::{Requirement, RequirementError};
use crate::hex::term::Term;

const NO_REQUIREMENT: &str = "requirement can't be blank; use \">= 0.0.0\" if any version will do";

/// The fields of a dependency.
type Fields<'a> = BTreeMap<String, &'a Term>;

/// The value of the key `requirements`, sorted by package.
pub(super) fn read(pairs: &Pairs) -> Result<Vec<Dependency>, Invalid> {
    let Some(term) = value(pairs, "requirements") else { return Ok(Vec::new()) };
    let mut faults = Invalid::default();
    let mut found: BTreeMap<String, Dependency> = BTreeMap::new();
    for (name, fields) in required(term).ok_or_else(|| Invalid::of("requirements", "expected type map"))? {
        match dependency(&name, &fields) {
            Ok(dependency) => {
                found.insert(name, dependency);
            }
            Err(message) => faults.push(&["requirements", &name], message),
        }
    }
    if found.len() > limits::DEPENDENCIES {
        faults.push(&["requirements"], "too many");
    }
    faults.into_result(found.into_values().collect())
}

/// The name and the fields of each dependency. The format is a map of maps, a list of pairs, or a list of lists with
/// the name as a field.
fn required(term: &Term) -> Option<Vec<(String, Fields<'_>)>> {
    let fields = |term| Some(entries(term)?.into_iter().collect::<Fields<'_>>());
    if let Term::List(items) = term
        && items.iter().all(|item| matches!(item, Term::List(_) | Term::Map(_)))
    {
        return items
            .iter()
            .map(|item| {
                let fields = fields(item)?;
                Some((read_text(fields.get("name")?)?.into(), fields))
            })
            .collect();
    }
    entries(term)?.into_iter().map(|(name, term)| Some((name, fields(term)?))).collect()
}

fn dependency(name: &str, fields: &Fields<'_>) -> Result<Dependency, String> {
    let value = |key: &str| fields.get(key).copied().filter(|term| !is_nothing(term));
    let package: PackageName = name.parse().map_err(|_| "is not a valid package name".to_owned())?;
    let text = |key: &str| match value(key) {
        None => Ok(None),
        Some(term) => read_text(term).map(Some).ok_or_else(|| format!("{key} {NOT_TEXT}")),
    };
    let requirement = text("requirement")?.ok_or(NO_REQUIREMENT)?;
    let _valid: Requirement = requirement.parse().map_err(|error: RequirementError| error.to_string())?;
    let optional = match value("optional") {
        None => false,
        Some(Term::Atom(text)) if &**text == "true" => true,
        Some(Term::Atom(text)) if &**text == "false" => false,
        Some(_) => return Err("optional must be true or false".to_owned()),
    };
    let app = text("app")?.unwrap_or_else(|| name.into());
    Ok(Dependency { package, requirement, optional, app, repository: text("repository")? })
}
