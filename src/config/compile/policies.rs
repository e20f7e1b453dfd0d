//! Reads the section `policies`, and checks it against the repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::RepositorySettings;
use crate::config::tree::Value;
use crate::hex::name::{PackageName, PolicyName, RepoName};
use crate::hex::requirement::Requirement;
use crate::policy::class::Class;
use crate::policy::date_time;
use crate::policy::overrides::{Effect, Override};
use crate::policy::rules::{
    Cooldown, Grace, KEYS, LockFileProtection, Policy, RULES, ReleaseRules, RuleKey, RuleParseError, RuleValue,
};

type Repositories = BTreeMap<RepoName, RepositorySettings>;

/// Maximum length of a reason or a name in characters, the same as of a comment in Hex.
const TEXT: usize = 500;

/// Reads all policies of `top`, and checks the `policy` of each repository in `repositories`.
pub(super) fn read(top: &mut Section<'_>, repositories: &Repositories) -> BTreeMap<PolicyName, Arc<Policy>> {
    let known = keys(top);
    let mut found = BTreeMap::new();
    let mut faulty = BTreeSet::new();
    let written = top.field("policies");
    let entries = written.as_ref().and_then(|field| field.entries()).unwrap_or_default();
    let children = written.iter().flat_map(|field| entries.iter().map(|entry| (entry, field.child(entry))));
    for (entry, child) in children {
        match entry.key.parse::<PolicyName>() {
            Ok(name) => match policy(&child, name.clone(), &known, repositories) {
                Some(policy) => {
                    found.insert(name, Arc::new(policy));
                }
                None => {
                    faulty.insert(name);
                }
            },
            Err(error) => child.fault_at_key(Fault::Name(error)),
        }
    }
    for (key, field) in chosen(top) {
        let name = repositories.get(&key).and_then(RepositorySettings::policy);
        let Some(name) = name.filter(|name| !faulty.contains(*name)) else { continue };
        match found.get(name) {
            None => field.fault(Fault::UnknownPolicy {
                name: Excerpt::new(name.as_str()),
                known: found.keys().map(ToString::to_string).collect(),
            }),
            Some(policy) if !concerns(policy, &key, repositories) => {
                let members = members(&key, repositories);
                field.fault(Fault::PolicyWithoutRules {
                    policy: Excerpt::new(name.as_str()),
                    repositories: if members.is_empty() { vec![key.to_string()] } else { members },
                });
            }
            Some(_) => {}
        }
    }
    found
}

/// Whether a policy has rules for a repository or, if it is virtual, for any of its members.
fn concerns(policy: &Policy, key: &RepoName, repositories: &Repositories) -> bool {
    match repositories.get(key).and_then(RepositorySettings::as_virtual) {
        None => policy.repositories.contains_key(key),
        Some(composed) => composed.members.iter().any(|member| {
            policy.repositories.contains_key(&member.repository) || concerns(policy, &member.repository, repositories)
        }),
    }
}

/// The keys of the members of a virtual repository.
fn members(key: &RepoName, repositories: &Repositories) -> Vec<String> {
    let composed = repositories.get(key).and_then(RepositorySettings::as_virtual);
    composed.iter().flat_map(|one| &one.members).map(|member| member.repository.to_string()).collect()
}

/// The keys of all repositories, including those with problems.
fn keys(top: &mut Section<'_>) -> Vec<RepoName> {
    let entries = top.field("repositories").filter(|field| matches!(field.node.value, Value::Table(_)));
    let entries = entries.and_then(|field| field.entries()).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.key.parse().ok()).collect()
}

/// The key `policy` of each repository.
fn chosen<'t>(top: &mut Section<'t>) -> Vec<(RepoName, Field<'t>)> {
    let Some(field) = top.field("repositories").filter(|field| matches!(field.node.value, Value::Table(_))) else {
        return Vec::new();
    };
    let entries = field.entries().unwrap_or_default();
    let tables = entries.iter().filter_map(|entry| {
        let child = field.child(entry);
        let is_table = matches!(child.node.value, Value::Table(_));
        Some((entry.key.parse().ok()?, is_table.then(|| child.table())??))
    });
    tables.filter_map(|(key, mut table): (RepoName, Section<'t>)| Some((key, table.field("policy")?))).collect()
}

fn policy(field: &Field<'_>, name: PolicyName, known: &[RepoName], repositories: &Repositories) -> Option<Policy> {
    let mut section = field.table()?;
    let mode = section.require("mode", Fault::MissingMode, Field::choice);
    let rules = section.require("repositories", Fault::PolicyWithoutRepositories, |field| {
        let entries = field.entries()?;
        if entries.is_empty() {
            field.fault(Fault::PolicyWithoutRepositories);
        }
        let read = entries.iter().filter_map(|entry| {
            let child = field.child(entry);
            let Some(key) = entry.key.parse::<RepoName>().ok().filter(|key| known.contains(key)) else {
                child.fault_at_key(Fault::UnknownRepository(Excerpt::new(&entry.key)));
                return None;
            };
            Some((key.clone(), rules(&child, repositories.get(&key))?))
        });
        Some(read.collect())
    });
    let description = section.optional("description", line).map(String::into_boxed_str);
    section.finish();
    Some(Policy { name, description, mode: mode?, repositories: rules? })
}

fn rules(field: &Field<'_>, repository: Option<&RepositorySettings>) -> Option<ReleaseRules> {
    let mut section = field.table()?;
    let mut rules = ReleaseRules::default();
    let are_read = keys_of_rules(&mut section, KEYS, &mut rules);
    rules.locked = section.get("locked", rules.locked.clone(), locked);
    let mut before: Vec<Override> = Vec::new();
    if let Some(field) = section.field("overrides") {
        field.list(|item| {
            let exception = exception(item)?;
            if let Some(why) = why_ineffective(&exception, are_read.then_some(&rules), &before, repository) {
                item.fault(Fault::OverrideNever(why));
            }
            before.push(exception);
            Some(())
        });
    }
    rules.overrides = before;
    section.finish();
    Some(rules)
}

/// Reads the keys of rules. Each [`RuleKey`] defines how it is read. Returns whether all their values were read; if not,
/// the rules are incomplete, and the keys are not checked against each other.
fn keys_of_rules(section: &mut Section<'_>, keys: &'static [RuleKey], rules: &mut ReleaseRules) -> bool {
    let mut are_read = true;
    for key in keys {
        let Some(field) = section.field(key.name).filter(|field| !(key.may_be_null && field.node.is_null())) else {
            continue;
        };
        are_read &= match &key.written {
            RuleValue::Text { read, .. } => text_of_rule(&field, |text| read(rules, text)).is_some(),
            RuleValue::Texts { read, .. } => {
                let items = field.list(|item| Some(text_of_rule(item, |text| read(rules, text)).is_some()));
                items.is_some_and(|items| items.into_iter().all(|is_read| is_read))
            }
            RuleValue::Flag { read, .. } => field.boolean().map(|flag| read(rules, flag)).is_some(),
            RuleValue::Table { begin, keys, .. } => field.table().is_some_and(|mut section| {
                begin(rules);
                let are_read = keys_of_rules(&mut section, keys, rules);
                section.finish();
                are_read
            }),
        };
    }
    if !are_read {
        return false;
    }
    for (key, sentence) in keys.iter().filter_map(|key| Some((key, (key.check)(rules)?))) {
        section.fault(key.name, Fault::Rule(sentence));
    }
    true
}

fn text_of_rule(field: &Field<'_>, read: impl FnOnce(&str) -> Result<(), RuleParseError>) -> Option<()> {
    let text = field.text()?;
    field.check(read(text).map_err(|misread| match misread {
        RuleParseError::Sentence(sentence) => Fault::Rule(sentence),
        RuleParseError::Text(sentence) => Fault::Text { found: Excerpt::new(text), sentence },
        RuleParseError::Choice(choices) => Fault::Choice { found: Excerpt::new(text), choices },
    }))
}

fn locked(field: &Field<'_>) -> Option<LockFileProtection> {
    if let Value::Scalar { text, .. } = &field.node.value {
        if text == "hold" {
            return Some(LockFileProtection::HOLD);
        }
        field.fault(Fault::Locked(Excerpt::new(text)));
        return None;
    }
    let mut section = field.table()?;
    if section.has("time_rules") {
        section.refuse("time_rules", Fault::TimeRules);
    }
    let mut locked = LockFileProtection::default();
    for class in Class::ALL {
        let usual = *locked.get(*class);
        *locked.get_mut(*class) = section.get(class.word(), usual, grace);
    }
    section.finish();
    Some(locked)
}

fn grace(field: &Field<'_>) -> Option<Grace> {
    match field.text()? {
        "keep" => Some(Grace::Keep),
        "hold" => Some(Grace::Hold),
        text => {
            let time = text.parse::<Cooldown>().map_err(|_| Fault::Grace(Excerpt::new(text)));
            field.check(time).map(|time| Grace::For(time.duration()))
        }
    }
}

/// Reads a time in UTC as in RFC 3339, or a date, which means the end of that day.
fn point_in_time(field: &Field<'_>) -> Option<Timestamp> {
    let text = field.text()?;
    field.check(
        date_time::parse(text).ok_or_else(|| Fault::Text { found: Excerpt::new(text), sentence: date_time::EXPECTED }),
    )
}

fn exception(item: &Field<'_>) -> Option<Override> {
    let mut section = item.table()?;
    let package = |field: &Field<'_>| field.check(field.text()?.parse::<PackageName>().map_err(Fault::Name));
    let allow = section.optional("allow", package);
    let deny = section.optional("deny", package);
    let named = section.optional("package", package);
    let advisory = section.optional("ignore_advisory", |field| line(field));
    let retirement = section.optional("ignore_retirement", Field::choice);
    let cooldown = section.optional("ignore_cooldown", Field::boolean);
    let requirement = section.optional("requirement", requirement);
    let exception = Override {
        effect: Effect::Allow,
        package: named.clone().or(allow.clone()).or(deny.clone()).or_else(|| "x".parse().ok())?,
        requirement,
        until: section.optional("until", point_in_time),
        reason: section.optional("reason", |field| line(field)),
        by: section.optional("by", |field| line(field)),
    };
    let words = ["allow", "deny", "ignore_advisory", "ignore_retirement", "ignore_cooldown"];
    let written: Vec<&str> = words.into_iter().filter(|word| section.has(word)).collect();
    if written.len() != 1 {
        item.fault(Fault::OverrideEffect);
    } else if written.first().is_some_and(|word| word.starts_with("ignore")) != section.has("package") {
        item.fault(Fault::OverridePackage);
    }
    section.finish();
    let effect = match (allow, deny, advisory, retirement, cooldown) {
        (Some(_), None, None, None, None) => Effect::Allow,
        (None, Some(_), None, None, None) => Effect::Deny,
        (None, None, Some(id), None, None) => Effect::IgnoreAdvisory(id),
        (None, None, None, Some(reason), None) => Effect::IgnoreRetirement(reason),
        (None, None, None, None, Some(true)) => Effect::IgnoreCooldown,
        // All other problems have been reported, except for `ignore_cooldown: false`.
        (None, None, None, None, Some(false)) => {
            item.fault(Fault::OverrideEffect);
            return None;
        }
        _ => return None,
    };
    Some(Override { effect, ..exception })
}

fn requirement(field: &Field<'_>) -> Option<Requirement> {
    let requirement = field.check(Requirement::with_unequal(field.text()?).map_err(Fault::Requirement))?;
    if !requirement.can_match() {
        field.fault(Fault::RequirementNever(Excerpt::new(requirement.as_str())));
    }
    Some(requirement)
}

/// Reads a text of one line.
fn line(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.chars().count() > TEXT || text.contains(char::is_control) {
        field.fault(Fault::Line { max: TEXT });
        return None;
    }
    Some(text.to_owned())
}

/// The reason why an override never has an effect, if that is so. `rules` is `None` if they could not be read.
fn why_ineffective(
    exception: &Override,
    rules: Option<&ReleaseRules>,
    before: &[Override],
    repository: Option<&RepositorySettings>,
) -> Option<&'static str> {
    let name = exception.package.as_str();
    let serves = |one: &RepositorySettings| one.include().set.is_match(name) && !one.exclude().set.is_match(name);
    if repository.is_some_and(|repository| !serves(repository)) {
        return Some("the repository does not serve this package");
    }
    let useless = |rules| RULES.iter().find_map(|rule| rule.useless_override(rules, &exception.effect));
    if let Some(why) = rules.and_then(useless) {
        return Some(why);
    }
    let covers = |earlier: &Override| {
        earlier.is_final()
            && exception.is_final()
            && earlier.package == exception.package
            && earlier.requirement == exception.requirement
            // An earlier override that expires leaves time for the later one.
            && earlier.until.is_none_or(|until| exception.until.is_some_and(|later| later <= until))
    };
    before.iter().any(covers).then_some("an earlier override already decides about the same releases")
}

impl RepositorySettings {
    fn include(&self) -> &crate::config::settings::NamePatterns {
        match self {
            Self::Remote(remote) => &remote.common.include,
            Self::Local(local) => &local.common.include,
            Self::Virtual(composed) => &composed.common.include,
        }
    }

    fn exclude(&self) -> &crate::config::settings::NamePatterns {
        match self {
            Self::Remote(remote) => &remote.common.exclude,
            Self::Local(local) => &local.common.exclude,
            Self::Virtual(composed) => &composed.common.exclude,
        }
    }
}
