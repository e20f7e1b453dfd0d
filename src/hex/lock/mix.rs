//! Reads `mix.lock`: `%{"app": {:hex, :package, "1.0.0", inner, managers, dependencies, repository, outer}}`.
//!
//! Old versions of Hex wrote fewer elements.

use super::{Collected, Lock, LockEntry, LockError, LockFormat, elixir};
use crate::hex::term::{Term, TermError};

const FORMAT: LockFormat = LockFormat::Mix;

pub(super) fn read(text: &str) -> Result<Lock, LockError> {
    let term = elixir::parse(text).map_err(|source| match source {
        TermError::Syntax { line, what } => LockError::Syntax { format: FORMAT, line, what: what.into() },
        source => LockError::Term { format: FORMAT, source },
    })?;
    let Term::Map(entries) = term else { return Err(LockError::Format) };
    let mut lock = Collected::new(FORMAT);
    for (key, value) in &entries {
        let name = word(key).ok_or_else(|| lock.fault("-", "the name of a dependency is expected"))?;
        let Term::Tuple(elements) = value else { return Err(lock.fault(name, "a tuple is expected")) };
        match elements.as_slice() {
            [Term::Atom(kind), rest @ ..] if &**kind == "hex" => dependency(&mut lock, name, rest)?,
            [Term::Atom(_), ..] => lock.other(name)?,
            _ => return Err(lock.fault(name, "`{:hex, …}` or another kind of dependency is expected")),
        }
    }
    Ok(lock.finish())
}

/// Reads the elements after `:hex`.
fn dependency(lock: &mut Collected, name: &str, elements: &[Term]) -> Result<(), LockError> {
    let (Some(package), Some(version)) = (elements.first().and_then(word), elements.get(1).and_then(Term::as_str))
    else {
        return Err(lock.fault(name, "a package and a version are expected after `:hex`"));
    };
    let text = |place: usize, what: &str| match elements.get(place) {
        None => Ok(None),
        Some(Term::Atom(nil)) if &**nil == "nil" => Ok(None),
        Some(term) => term.as_str().map(Some).ok_or_else(|| lock.fault(name, format_args!("{what} is expected"))),
    };
    let inner = text(2, "a checksum")?;
    let repository = text(5, "the name of a repository")?;
    let outer = text(6, "a checksum")?;
    lock.release(name, LockEntry { repository, package, version, inner, outer })
}

/// An atom or a string.
fn word(term: &Term) -> Option<&str> {
    match term {
        Term::Atom(atom) => Some(atom),
        term => term.as_str(),
    }
}
