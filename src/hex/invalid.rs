//! What is wrong with something that a client has sent, field by field.

use std::fmt;

/// Faults, each with the path of the field it is about: `requirements`, `cowboy` → "package does not exist".
///
/// What clients print: hex.pm's errors of an update have this shape, too. Paths are kept in the order in which they were
/// found; where two faults are about one field the first stays, as clients show one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    faults: Vec<(Vec<Box<str>>, String)>,
}

impl Invalid {
    /// One fault of one field.
    pub fn of(field: &str, message: impl Into<String>) -> Self {
        Self::at(&[field], message)
    }

    /// One fault of a field inside others.
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        let mut found = Self::default();
        found.push(path, message);
        found
    }

    /// Adds a fault.
    pub fn push(&mut self, path: &[&str], message: impl Into<String>) {
        let path: Vec<Box<str>> = path.iter().map(|part| Box::from(*part)).collect();
        if !self.faults.iter().any(|(there, _)| *there == path) {
            self.faults.push((path, message.into()));
        }
    }

    /// Adds all of another's.
    pub fn extend(&mut self, other: Self) {
        for (path, message) in other.faults {
            let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
            self.push(&path, message);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Every path with its message.
    pub fn iter(&self) -> impl Iterator<Item = (&[Box<str>], &str)> {
        self.faults.iter().map(|(path, message)| (path.as_slice(), message.as_str()))
    }

    /// `value` where nothing is wrong.
    pub fn unless<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, message)) in self.faults.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {message}", path.join("."))?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_of_a_field_stays() {
        let mut found = Invalid::of("name", "is reserved");
        found.extend(Invalid::of("name", "is too short"));
        found.push(&["requirements", "cowboy"], "package does not exist");
        assert_eq!(found.to_string(), "name: is reserved; requirements.cowboy: package does not exist");
        assert!(found.unless(()).is_err());
        assert_eq!(Invalid::default().unless(1), Ok(1));
    }
}
