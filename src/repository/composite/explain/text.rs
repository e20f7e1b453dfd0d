//! Formats an explanation as text.

use std::fmt;

use crate::clock::Timestamp;

use super::{ConflictReport, ExplainQuestion, ExplainedAnswer, Explanation, MemberOutcome};

/// The text for a member that claims a name and has no release to show. `once` is when it claimed the name, if it no
/// longer lists it.
pub(super) fn claimed(once: Option<Timestamp>) -> String {
    match once {
        Some(since) => format!("has claimed the name since {since}, but no longer has a release of it"),
        None => "claims the name, but has no release to show".to_owned(),
    }
}

/// The text for a private member without the package or release. `is_silent`: this is according to its last list,
/// because it is unreachable.
pub(super) fn without(is_silent: bool, question: ExplainQuestion<'_>) -> String {
    let words = MemberOutcome::Absent.words(question);
    if is_silent { format!("{words} according to its last list, and is unreachable now") } else { words.to_owned() }
}

impl MemberOutcome {
    pub(super) fn words(self, question: ExplainQuestion<'_>) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Claimed => "is not asked: a private member claims the name",
            Self::Reserved => "is not asked: the name is reserved",
            Self::Unheard => "is not asked: another member failed, so it is unknown which names are private",
            Self::Excluded => "is not asked: include or exclude patterns rule the name out",
            Self::Behind => "has it, but a member of higher priority comes first",
            Self::Held => "has it, but it is held by policy",
            Self::Conflict => "has a different release of this version, but a member of higher priority answers",
            Self::Absent if question.version.is_some() => "does not have this release",
            Self::Absent => "does not have it",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Explanation {
    /// Writes the explanation as several lines of text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        write!(f, "{}{version} in {}: ", self.package, self.repository)?;
        match (self.answer, &self.failure) {
            (ExplainedAnswer::Found, _) => writeln!(f, "answered by {}", self.answered_by.join(", "))?,
            (_, Some(failure)) => writeln!(f, "no answer: {failure}")?,
            _ => writeln!(f, "not found")?,
        }
        if self.reserved {
            writeln!(f, "  the name is reserved for private members")?;
        }
        if !self.claimed_by.is_empty() {
            writeln!(f, "  the name is claimed by {}", self.claimed_by.join(", "))?;
        }
        for member in &self.members {
            let side = match member.private {
                Some(true) => " (private)",
                Some(false) => " (public)",
                None => "",
            };
            write!(f, "  {}{side} {}", member.repository, member.why)?;
            if !member.shown.is_empty() {
                write!(f, ": {}", member.shown.join(", "))?;
            }
            if !member.hidden.is_empty() {
                write!(f, "; not shown: {}", member.hidden.join(", "))?;
            }
            writeln!(f)?;
            for said in member.held.iter().chain(&member.exempt) {
                writeln!(f, "    {}", said.why)?;
            }
        }
        for conflict in &self.conflicts {
            let ConflictReport { version, shown, hidden } = conflict;
            writeln!(
                f,
                "  conflict: {version} of {shown} is shown, but {hidden} has a different release of this version"
            )?;
        }
        Ok(())
    }
}
