//! An explanation as words for people.

use std::fmt;

use crate::clock::Timestamp;

use super::{ConflictReport, ExplainQuestion, ExplainedAnswer, Explanation, MemberOutcome};

/// Of a member that claims a name and has nothing to show; `once`: since when, where it does not list it any more.
pub(super) fn claimed(once: Option<Timestamp>) -> String {
    match once {
        Some(since) => format!("claims the name since {since}, and no longer has a release of it"),
        None => "claims the name, and has nothing of it to show".to_owned(),
    }
}

/// Of a private member that does not have what is asked about; `is_silent`: by its last list, since it does not answer.
pub(super) fn without(is_silent: bool, question: ExplainQuestion<'_>) -> String {
    let words = MemberOutcome::Absent.words(question);
    if is_silent { format!("{words} by its last list, and does not answer now") } else { words.to_owned() }
}

impl MemberOutcome {
    pub(super) fn words(self, question: ExplainQuestion<'_>) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Claimed => "is not heard: a private member claims the name",
            Self::Reserved => "is not heard: the name is reserved",
            Self::Unheard => "is not heard: another member failed, and which names are private is not known without it",
            Self::Excluded => "is not asked: patterns leave the name out",
            Self::Behind => "has it, and a member of higher priority comes first",
            Self::Held => "has it, and a policy holds it back",
            Self::Conflict => "has another release of the same version, and a member of higher priority answers",
            Self::Absent if question.version.is_some() => "does not have this release",
            Self::Absent => "does not have it",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Explanation {
    /// Some lines for people.
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
            writeln!(f, "  conflict: {version} of {shown} is shown, and {hidden} has another release of that version")?;
        }
        Ok(())
    }
}
