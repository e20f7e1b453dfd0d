//! Reads `rebar.lock`: `{"1.2.0", [{App, {pkg, Package, Version}, Level}]}.`, and a second term with the checksums of
//! the applications.
//!
//! Before rebar3 3.1, the file contained only the list, without checksums.

use std::collections::HashMap;

use super::{Collected, Lock, LockEntry, LockError, LockFormat};
use crate::hex::term::{Term, TermError, text};

const FORMAT: LockFormat = LockFormat::Rebar;

pub(super) fn read(file: &str) -> Result<Lock, LockError> {
    let terms = text::parse(file.as_bytes()).map_err(|source| match source {
        TermError::Syntax { line, what } => LockError::Syntax { format: FORMAT, line, what: what.into() },
        source => LockError::Term { format: FORMAT, source },
    })?;
    let (entries, attributes) = match terms.as_slice() {
        [Term::List(entries)] => (entries, None),
        [Term::Tuple(versioned), rest @ ..] => match (versioned.as_slice(), rest) {
            ([_, Term::List(entries)], []) => (entries, None),
            ([_, Term::List(entries)], [Term::List(attributes)]) => (entries, Some(attributes)),
            _ => return Err(LockError::Format),
        },
        _ => return Err(LockError::Format),
    };
    let mut lock = Collected::new(FORMAT);
    let (mut inner, mut outer) = (HashMap::new(), HashMap::new());
    for attribute in attributes.into_iter().flatten() {
        let Term::Tuple(pair) = attribute else { continue };
        match pair.as_slice() {
            [Term::Atom(kind), Term::List(hashes)] if &**kind == "pkg_hash" => inner = by_name(hashes),
            [Term::Atom(kind), Term::List(hashes)] if &**kind == "pkg_hash_ext" => outer = by_name(hashes),
            _ => {}
        }
    }
    for entry in entries {
        let (name, source) = match entry {
            Term::Tuple(entry) => match entry.as_slice() {
                [name, Term::Tuple(source), ..] => (name.as_str(), source.as_slice()),
                _ => (None, &[][..]),
            },
            _ => (None, &[][..]),
        };
        let Some(name) = name else { return Err(lock.fault("-", "`{Name, Source, Level}` is expected")) };
        match source {
            [Term::Atom(kind), package, version, ..] if &**kind == "pkg" => {
                let (Some(package), Some(version)) = (package.as_str(), version.as_str()) else {
                    return Err(lock.fault(name, "a package and a version are expected after `pkg`"));
                };
                let (inner, outer) = (inner.get(name).copied(), outer.get(name).copied());
                lock.release(name, LockEntry { repository: None, package, version, inner, outer })?;
            }
            [Term::Atom(_), ..] => lock.other(name)?,
            _ => return Err(lock.fault(name, "`{pkg, …}` or another kind of dependency is expected")),
        }
    }
    Ok(lock.finish())
}

fn by_name(hashes: &[Term]) -> HashMap<&str, &str> {
    let pairs = hashes.iter().filter_map(|hash| match hash {
        Term::Tuple(pair) => Some(pair.as_slice()),
        _ => None,
    });
    let texts = pairs.filter_map(|pair| match pair {
        [name, hash] => Some((name.as_str()?, hash.as_str()?)),
        _ => None,
    });
    texts.collect()
}
