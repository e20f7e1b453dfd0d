//! Encodes a policy as Hex's own `Policy` resource, for clients that show and apply policies themselves.
//!
//! Fields: <https://github.com/hexpm/specifications>, registry-v2. Hex policies have no licences, freezes and expiry
//! dates: only this server enforces these. Expired exceptions are left out.

use prost::Message as _;

use super::overrides::{Effect, Override};
use super::rules::{RULES, ReleaseRules};
use crate::clock::Timestamp;
use crate::hex::message;
use crate::hex::name::{PackageName, PolicyName, RepoName};

/// Who may fetch a policy; a field of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Private,
    Public,
}

/// A policy as one repository address publishes it.
#[derive(Clone, Debug)]
pub struct PublishedPolicy<'a> {
    /// The name under which clients have configured the address. They match releases by it, and reject `hexpm`.
    pub repository: &'a RepoName,
    pub name: &'a PolicyName,
    pub description: Option<&'a str>,
    pub visibility: Visibility,
    /// The rules for the releases that the address serves.
    pub rules: &'a ReleaseRules,
    /// Exceptions that administrators granted without changing the policy.
    pub waivers: &'a [Override],
    /// Packages of private members: the address serves them, but the rules do not apply to them.
    pub exempt: &'a [PackageName],
}

/// Longest comment that clients accept, in characters.
const COMMENT: usize = 500;

impl PublishedPolicy<'_> {
    /// The payload of the resource, without the exceptions that have expired at `now`.
    pub fn encode(&self, now: Timestamp) -> Vec<u8> {
        let visibility = match self.visibility {
            Visibility::Private => message::Visibility::Private,
            Visibility::Public => message::Visibility::Public,
        };
        let exempt = self.exempt.iter().map(|package| message::Override {
            action: message::OverrideAction::Allow.into(),
            r#ref: message::PackageRef { package: package.to_string(), requirement: None },
            advisory_id: None,
            retirement_reason: None,
            comment: None,
        });
        let lasting = self.rules.overrides.iter().chain(self.waivers).filter(|found| found.is_active(now));
        let rules = message::RepositoryPolicy {
            repository: self.repository.to_string(),
            restriction: Some(self.restriction()),
            // The first match wins: the exceptions of the policy come before the exemptions of private packages.
            overrides: lasting.map(encode_override).chain(exempt).collect(),
        };
        let policy = message::Policy {
            repository: self.repository.to_string(),
            name: self.name.to_string(),
            description: self.description.map(str::to_owned),
            visibility: visibility.into(),
            repositories: vec![rules],
        };
        policy.encode_to_vec()
    }

    fn restriction(&self) -> message::Restriction {
        let mut restriction = message::Restriction::default();
        for rule in RULES {
            rule.publish(self.rules, &mut restriction);
        }
        restriction
    }
}

/// Removes control and formatting characters and replaces separators with spaces: clients ignore an override whose
/// comment contains them.
fn printable(character: char) -> Option<char> {
    let formats = matches!(
        character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}'
    );
    match character {
        _ if formats || character.is_control() => None,
        _ if character.is_whitespace() => Some(' '),
        _ => Some(character),
    }
}

fn encode_override(found: &Override) -> message::Override {
    let (action, advisory_id, retirement_reason) = match &found.effect {
        Effect::Allow => (message::OverrideAction::Allow, None, None),
        Effect::Deny => (message::OverrideAction::Deny, None, None),
        Effect::IgnoreAdvisory(id) => (message::OverrideAction::Advisory, Some(id.clone()), None),
        Effect::IgnoreRetirement(reason) => (message::OverrideAction::Retirement, None, Some(reason.on_the_wire())),
        Effect::IgnoreCooldown => (message::OverrideAction::Cooldown, None, None),
    };
    let requirement = found.requirement.as_ref().map(|requirement| requirement.as_str().to_owned());
    let printable = |text: &String| text.chars().filter_map(printable).take(COMMENT).collect::<String>();
    message::Override {
        action: action.into(),
        r#ref: message::PackageRef { package: found.package.to_string(), requirement },
        advisory_id,
        retirement_reason: retirement_reason.map(Into::into),
        comment: found.reason.as_ref().map(printable).filter(|comment| !comment.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::index::Index;
    use crate::hex::resource::RegistryResource;
    use crate::policy::severity::Severity;

    #[test]
    fn what_clients_read() {
        let exception = |effect, requirement: Option<&str>, until| Override {
            effect,
            package: "phoenix".parse().unwrap(),
            requirement: requirement.map(|text| text.parse().unwrap()),
            until,
            reason: Some("SEC-1\n\u{202e}\u{2028}a b".to_owned()),
            by: None,
        };
        let rules = ReleaseRules {
            cooldown: Some("7d".parse().unwrap()),
            advisory_min_severity: Some(Severity::High),
            retirement_reasons: [crate::hex::build::RetirementReason::Security].into(),
            overrides: vec![
                exception(Effect::Allow, Some("~> 1.7"), None),
                exception(Effect::Deny, None, Some(Timestamp::from_secs(5))),
                exception(Effect::IgnoreAdvisory("GHSA-1".to_owned()), None, None),
                exception(Effect::IgnoreRetirement(crate::hex::build::RetirementReason::Security), None, None),
                exception(Effect::IgnoreCooldown, Some("1.7.1"), None),
            ],
            ..ReleaseRules::default()
        };
        let (repository, name) = ("acme".parse().unwrap(), "company".parse().unwrap());
        let published = PublishedPolicy {
            repository: &repository,
            name: &name,
            description: Some("Ours"),
            visibility: Visibility::Private,
            rules: &rules,
            waivers: &[],
            exempt: &["acme_core".parse().unwrap()],
        };
        let payload = published.encode(Timestamp::from_secs(5));
        let index = Index::decode(&RegistryResource::Policy(name.clone()), &payload).unwrap();
        assert_eq!((index.repository(), index.name()), ("acme", Some("company")));
        let policy = message::Policy::decode(&*payload).unwrap();
        let [rules] = policy.repositories.as_slice() else { panic!("{policy:?}") };
        assert_eq!(rules.repository, "acme");
        assert_eq!(rules.restriction.as_ref().unwrap().cooldown.as_deref(), Some("7d"));
        assert_eq!(rules.restriction.as_ref().unwrap().advisory_min_severity, Some(3));
        assert_eq!(rules.restriction.as_ref().unwrap().retirement_reasons, [2]);
        let actions: Vec<_> =
            rules.overrides.iter().map(|found| (found.action, found.r#ref.package.as_str())).collect();
        let expected = [(0, "phoenix"), (2, "phoenix"), (3, "phoenix"), (4, "phoenix"), (0, "acme_core")];
        assert_eq!(actions, expected, "what has ended is left out");
        assert_eq!(rules.overrides[0].r#ref.requirement.as_deref(), Some("~> 1.7"));
        assert_eq!(rules.overrides[0].comment.as_deref(), Some("SEC-1 a b"));
        // Clients ignore an override whose fields do not fit its action.
        let fields = rules.overrides.iter().map(|found| (found.advisory_id.as_deref(), found.retirement_reason));
        let fields: Vec<_> = fields.collect();
        assert_eq!(fields, [(None, None), (Some("GHSA-1"), None), (None, Some(2)), (None, None), (None, None)]);
    }
}
