//! `policies:`, and what must hold between them and the repositories. Imports ground, `hex` names, `policy`, `config`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::fault::Fault;
use crate::config::problem::Excerpt;
use crate::config::settings::RepositorySettings;
use crate::config::tree::Value;
use crate::config::walk::{Field, Section};
use crate::config::words;
use crate::hex::name::{PackageName, PolicyName, RepoName};
use crate::hex::requirement::Requirement;
use crate::policy::cooldown::Cooldown;
use crate::policy::licence::{LicenceRules, WhereUnknown};
use crate::policy::moment;
use crate::policy::overrides::{Effect, Override};
use crate::policy::rules::{Grace, Locked, Policy, Rules};
use crate::policy::severity::Severity;

type Repositories = BTreeMap<RepoName, RepositorySettings>;

/// Longest text of a reason or a name, in characters: what Hex takes as a comment.
const TEXT: usize = 500;

/// Reads every policy of `top`, and looks at those that `repositories`, which have been read, name.
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

/// Whether a policy has rules for a repository; for a virtual one, for what any member has.
fn concerns(policy: &Policy, key: &RepoName, repositories: &Repositories) -> bool {
    match repositories.get(key).and_then(RepositorySettings::as_virtual) {
        None => policy.repositories.contains_key(key),
        Some(composed) => composed.members.iter().any(|member| {
            policy.repositories.contains_key(&member.repository) || concerns(policy, &member.repository, repositories)
        }),
    }
}

/// The keys of a virtual repository's members.
fn members(key: &RepoName, repositories: &Repositories) -> Vec<String> {
    let composed = repositories.get(key).and_then(RepositorySettings::as_virtual);
    composed.iter().flat_map(|one| &one.members).map(|member| member.repository.to_string()).collect()
}

/// The keys of all repositories, of those with problems too.
fn keys(top: &mut Section<'_>) -> Vec<RepoName> {
    let entries = top.field("repositories").filter(|field| matches!(field.node.value, Value::Table(_)));
    let entries = entries.and_then(|field| field.entries()).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.key.parse().ok()).collect()
}

/// Where repositories name their policies.
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
    let mode = section.require("mode", Fault::MissingMode, |field| field.one_of(words::POLICY_MODES));
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

fn rules(field: &Field<'_>, repository: Option<&RepositorySettings>) -> Option<Rules> {
    let mut section = field.table()?;
    let default = Rules::default();
    let mut rules = Rules {
        cooldown: section.optional("cooldown", cooldown),
        advisory_min_severity: section.optional("advisory_min_severity", |field| field.one_of(Severity::WORDS)),
        retirement_reasons: section.get("retirement_reasons", BTreeSet::new(), |field| {
            field.list(|item| item.one_of(words::RETIREMENT_REASONS)).map(|list| list.into_iter().collect())
        }),
        licences: section.optional("licenses", licences),
        freeze_after: section.optional("freeze_after", point_in_time),
        unknown_published_at: section
            .get("unknown_published_at", default.unknown_published_at, |field| field.one_of(words::WHERE_UNKNOWN)),
        cooldown_exempt_security_fixes: section.get(
            "cooldown_exempt_security_fixes",
            default.cooldown_exempt_security_fixes,
            Field::boolean,
        ),
        locked: section.get("locked", default.locked, locked),
        overrides: Vec::new(),
    };
    let timeless = rules.cooldown().is_none() && rules.freeze_after.is_none();
    if timeless && rules.unknown_published_at == WhereUnknown::Hold {
        section.fault("unknown_published_at", Fault::NothingAboutAge);
    }
    if rules.cooldown().is_none() && rules.cooldown_exempt_security_fixes {
        section.fault("cooldown_exempt_security_fixes", Fault::NoCooldown);
    }
    let mut before: Vec<Override> = Vec::new();
    if let Some(field) = section.field("overrides") {
        field.list(|item| {
            let exception = exception(item)?;
            if let Some(why) = never(&exception, &rules, &before, repository) {
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

fn cooldown(field: &Field<'_>) -> Option<Cooldown> {
    field.check(field.text()?.parse().map_err(Fault::Cooldown))
}

fn licences(field: &Field<'_>) -> Option<LicenceRules> {
    let mut section = field.table()?;
    let deny = section.get("deny", Vec::new(), |field| field.list(|item| item.text().map(str::to_owned)));
    let unknown = section.get("unknown", WhereUnknown::Allow, |field| field.one_of(words::WHERE_UNKNOWN));
    if deny.is_empty() && unknown == WhereUnknown::Allow {
        section.fault("deny", Fault::NoLicenceDenied);
    }
    section.finish();
    Some(LicenceRules::new(deny, unknown))
}

fn locked(field: &Field<'_>) -> Option<Locked> {
    if let Value::Scalar { text, .. } = &field.node.value {
        if text == "hold" {
            return Some(Locked::HOLD);
        }
        field.fault(Fault::Locked(Excerpt::new(text)));
        return None;
    }
    let mut section = field.table()?;
    if section.has("time_rules") {
        section.refuse("time_rules", Fault::TimeRules);
    }
    let default = Locked::default();
    let locked = Locked {
        cooldown: section.get("cooldown", default.cooldown, grace),
        freeze: section.get("freeze", default.freeze, grace),
        licences: section.get("licenses", default.licences, grace),
        advisories: section.get("advisories", default.advisories, grace),
        retirement: section.get("retirement", default.retirement, grace),
    };
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

/// A point in time, RFC 3339 in UTC; a date alone means its end.
fn point_in_time(field: &Field<'_>) -> Option<Timestamp> {
    let text = field.text()?;
    field.check(moment::parse(text).ok_or_else(|| Fault::Moment(Excerpt::new(text))))
}

fn exception(item: &Field<'_>) -> Option<Override> {
    let mut section = item.table()?;
    let package = |field: &Field<'_>| field.check(field.text()?.parse::<PackageName>().map_err(Fault::Name));
    let allow = section.optional("allow", package);
    let deny = section.optional("deny", package);
    let named = section.optional("package", package);
    let advisory = section.optional("ignore_advisory", |field| line(field));
    let retirement = section.optional("ignore_retirement", |field| field.one_of(words::RETIREMENT_REASONS));
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
        // What is wrong has been said, except for `ignore_cooldown: false`.
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

/// A text for people, on one line.
fn line(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.chars().count() > TEXT || text.contains(char::is_control) {
        field.fault(Fault::Line { max: TEXT });
        return None;
    }
    Some(text.to_owned())
}

/// Why an exception can never count, whatever is published.
fn never(
    exception: &Override,
    rules: &Rules,
    before: &[Override],
    repository: Option<&RepositorySettings>,
) -> Option<&'static str> {
    let name = exception.package.as_str();
    let serves = |one: &RepositorySettings| one.include().set.is_match(name) && !one.exclude().set.is_match(name);
    if repository.is_some_and(|repository| !serves(repository)) {
        return Some("the repository does not serve this package");
    }
    match &exception.effect {
        Effect::IgnoreAdvisory(_) if rules.advisory_min_severity.is_none() => {
            return Some("no `advisory_min_severity` is written, so no advisory holds anything");
        }
        Effect::IgnoreRetirement(reason) if !rules.retirement_reasons.contains(reason) => {
            return Some("`retirement_reasons` does not have this reason, so it holds nothing");
        }
        Effect::IgnoreCooldown if rules.cooldown().is_none() => {
            return Some("no `cooldown` is written, so none holds anything");
        }
        _ => {}
    }
    let covers = |earlier: &Override| {
        earlier.is_final()
            && exception.is_final()
            && earlier.package == exception.package
            && earlier.requirement == exception.requirement
            // One that ends leaves something to the other.
            && earlier.until.is_none_or(|until| exception.until.is_some_and(|later| later <= until))
    };
    before.iter().any(covers).then_some("an earlier one says something else about the same releases")
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
