//! Validation errors of requests, field by field.

use std::fmt;

/// A list of validation errors, each with the path of its field: `requirements`, `cowboy` → "package does not exist".
///
/// Clients print them: the validation errors of hex.pm have the same structure. Paths stay in the order in which they
/// were added. Of several errors about one field only the first is kept, because clients show one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    faults: Vec<(Vec<Box<str>>, String)>,
}

impl Invalid {
    /// One error about a field.
    pub fn of(field: &str, message: impl Into<String>) -> Self {
        Self::at(&[field], message)
    }

    /// One error about a nested field.
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        let mut found = Self::default();
        found.push(path, message);
        found
    }

    /// Adds an error.
    pub fn push(&mut self, path: &[&str], message: impl Into<String>) {
        let path: Vec<Box<str>> = path.iter().map(|part| Box::from(*part)).collect();
        if !self.faults.iter().any(|(there, _)| *there == path) {
            self.faults.push((path, message.into()));
        }
    }

    /// Adds all errors of `other`.
    pub fn extend(&mut self, other: Self) {
        for (path, message) in other.faults {
            let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
            self.push(&path, message);
        }
    }

    /// Whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All errors: path and message.
    pub fn iter(&self) -> impl Iterator<Item = (&[Box<str>], &str)> {
        self.faults.iter().map(|(path, message)| (path.as_slice(), message.as_str()))
    }

    /// Returns `value` if there are no errors.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
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
        assert!(found.into_result(()).is_err());
        assert_eq!(Invalid::default().into_result(1), Ok(1));
    }
}
