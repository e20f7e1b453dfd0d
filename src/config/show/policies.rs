//! `policies:` as it is written. Imports `policy`, `config`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::words::{self, word};
use crate::policy::cooldown::print_days;
use crate::policy::overrides::{Effect, Override};
use crate::policy::rules::{self, Grace};
use crate::policy::severity::Severity;

#[derive(Serialize)]
pub(super) struct Policy {
    description: Option<String>,
    mode: &'static str,
    repositories: BTreeMap<String, Rules>,
}

#[derive(Serialize)]
struct Rules {
    cooldown: Option<String>,
    advisory_min_severity: Option<&'static str>,
    retirement_reasons: Vec<&'static str>,
    licenses: Option<Licences>,
    freeze_after: Option<String>,
    unknown_published_at: &'static str,
    locked: Locked,
    cooldown_exempt_security_fixes: bool,
    overrides: Vec<Exception>,
}

#[derive(Serialize)]
struct Licences {
    deny: Vec<String>,
    unknown: &'static str,
}

#[derive(Serialize)]
struct Locked {
    cooldown: String,
    freeze: String,
    licenses: String,
    advisories: String,
    retirement: String,
}

/// Only what is written.
#[derive(Default, Serialize)]
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

impl Policy {
    pub(super) fn of(policy: &rules::Policy) -> Self {
        let rules = policy.repositories.iter().map(|(key, rules)| (key.to_string(), Rules::of(rules)));
        let description = policy.description.as_deref().map(str::to_owned);
        Self { description, mode: word(words::POLICY_MODES, &policy.mode), repositories: rules.collect() }
    }
}

impl Rules {
    fn of(rules: &rules::Rules) -> Self {
        Self {
            cooldown: rules.cooldown.as_ref().map(ToString::to_string),
            advisory_min_severity: rules.advisory_min_severity.map(Severity::as_str),
            retirement_reasons: rules.retirement_reasons.iter().map(|reason| reason.as_str()).collect(),
            licenses: rules.licences.as_ref().map(|licences| Licences {
                deny: licences.denied().to_vec(),
                unknown: word(words::WHERE_UNKNOWN, &licences.unknown()),
            }),
            freeze_after: rules.freeze_after.map(|at| at.to_string()),
            unknown_published_at: word(words::WHERE_UNKNOWN, &rules.unknown_published_at),
            locked: Locked {
                cooldown: grace(rules.locked.cooldown),
                freeze: grace(rules.locked.freeze),
                licenses: grace(rules.locked.licences),
                advisories: grace(rules.locked.advisories),
                retirement: grace(rules.locked.retirement),
            },
            cooldown_exempt_security_fixes: rules.cooldown_exempt_security_fixes,
            overrides: rules.overrides.iter().map(Exception::of).collect(),
        }
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
            Effect::IgnoreRetirement(reason) => Self { package, ignore_retirement: Some(reason.as_str()), ..rest },
            Effect::IgnoreCooldown => Self { package, ignore_cooldown: Some(true), ..rest },
        }
    }
}
