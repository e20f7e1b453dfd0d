//! Prints the section `policies`.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::choice::Choice as _;
use crate::policy::class::Class;
use crate::policy::overrides::{Effect, Override};
use crate::policy::rules::{self, Grace, KEYS, RuleKey, RuleValue, print_days};

#[derive(serde::Serialize)]
pub(super) struct Policy<'a> {
    description: Option<&'a str>,
    mode: &'static str,
    repositories: BTreeMap<String, ShownRules<'a>>,
}

#[derive(serde::Serialize)]
struct ShownRules<'a> {
    #[serde(flatten)]
    keys: Keys<'a>,
    locked: ShownProtection<'a>,
    overrides: Vec<Exception>,
}

/// The keys of rules with their values.
struct Keys<'a> {
    keys: &'static [RuleKey],
    rules: &'a rules::ReleaseRules,
}

/// The protection of lock files, by class of rules.
struct ShownProtection<'a>(&'a rules::LockFileProtection);

/// An override, with only the keys that it has.
#[derive(Default, serde::Serialize)]
struct Exception {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deny: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_advisory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_retirement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_cooldown: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl<'a> Policy<'a> {
    pub(super) fn of(policy: &'a rules::Policy) -> Self {
        let rules = policy.repositories.iter().map(|(key, rules)| (key.to_string(), ShownRules::of(rules)));
        let description = policy.description.as_deref();
        Self { description, mode: policy.mode.word(), repositories: rules.collect() }
    }
}

impl<'a> ShownRules<'a> {
    fn of(rules: &'a rules::ReleaseRules) -> Self {
        Self {
            keys: Keys { keys: KEYS, rules },
            locked: ShownProtection(&rules.locked),
            overrides: rules.overrides.iter().map(Exception::of).collect(),
        }
    }
}

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for key in self.keys {
            match &key.written {
                RuleValue::Text { print, .. } => map.serialize_entry(key.name, &print(self.rules))?,
                RuleValue::Texts { print, .. } => map.serialize_entry(key.name, &print(self.rules))?,
                RuleValue::Flag { print, .. } => map.serialize_entry(key.name, &print(self.rules))?,
                RuleValue::Table { keys, is_written, .. } => {
                    let table = is_written(self.rules).then_some(Keys { keys, rules: self.rules });
                    map.serialize_entry(key.name, &table)?;
                }
            }
        }
        map.end()
    }
}

impl Serialize for ShownProtection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Class::ALL.iter().map(|class| (class.word(), grace(*self.0.get(*class)))))
    }
}

fn grace(grace: Grace) -> String {
    match grace {
        Grace::Keep => "keep".to_owned(),
        Grace::Hold => "hold".to_owned(),
        Grace::For(time) => print_days(time),
    }
}

impl Exception {
    fn of(found: &Override) -> Self {
        let package = Some(found.package.to_string());
        let rest = Self {
            requirement: found.requirement.as_ref().map(|requirement| requirement.as_str().to_owned()),
            until: found.until.map(|until| until.to_string()),
            reason: found.reason.clone(),
            by: found.by.clone(),
            ..Self::default()
        };
        match &found.effect {
            Effect::Allow => Self { allow: package, ..rest },
            Effect::Deny => Self { deny: package, ..rest },
            Effect::IgnoreAdvisory(id) => Self { package, ignore_advisory: Some(id.clone()), ..rest },
            Effect::IgnoreRetirement(reason) => Self { package, ignore_retirement: Some(reason.word()), ..rest },
            Effect::IgnoreCooldown => Self { package, ignore_cooldown: Some(true), ..rest },
        }
    }
}
