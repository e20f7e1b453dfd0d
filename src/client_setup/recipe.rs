//! Steps for a person to follow, as text for a terminal and as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is for: a sentence.
    pub title: String,
    /// Commands for a shell. Empty where the step is a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// A file to write, or lines to add to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
}

/// A file of a project or a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path, in the project or from `~`.
    pub path: String,
    /// Its text, or the part of it that the step is about.
    pub text: String,
}

impl Step {
    pub(super) fn shell<const N: usize>(title: impl Into<String>, commands: [String; N]) -> Self {
        Self { title: title.into(), commands: commands.into(), file: None }
    }

    pub(super) fn file(title: impl Into<String>, path: &str, text: impl Into<String>) -> Self {
        Self { title: title.into(), commands: Vec::new(), file: Some(File { path: path.into(), text: text.into() }) }
    }

    pub(super) fn note(title: impl Into<String>) -> Self {
        Self { title: title.into(), commands: Vec::new(), file: None }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            writeln!(f, "# {}", step.title)?;
            for command in &step.commands {
                writeln!(f, "{command}")?;
            }
            if let Some(file) = &step.file {
                writeln!(f, "# {}:\n{}", file.path, file.text.trim_end())?;
            }
        }
        Ok(())
    }
}
