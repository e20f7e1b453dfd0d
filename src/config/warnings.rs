//! Warnings of `check-config` about valid settings that may not be intended.

use std::net::IpAddr;

use super::reserve_gaps::reserve_gaps;
use super::settings::{
    LocalSettings, MetadataMode, OsvSource, Publishers, RemoteSettings, RepositorySettings, Settings, SignatureMode,
    VirtualSettings,
};
use crate::hex::name::RepoName;
use crate::policy::rules::{Mode, RuleInput};

/// All warnings, as a sentence each.
pub(super) fn advice(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    public_url(settings, &mut found);
    for remote in settings.repositories.values().filter_map(RepositorySettings::as_remote) {
        upstream(remote, settings, &mut found);
    }
    for repository in settings.repositories.values() {
        if let RepositorySettings::Local(local) = repository {
            writers(local, settings, &mut found);
        }
    }
    policies(settings, &mut found);
    reserves(settings, &mut found);
    reserve_gaps(settings, &mut found);
    advisories(settings, &mut found);
    metadata(settings, &mut found);
    installs(settings, &mut found);
    for base in settings.repositories.values() {
        let is_default = *base.key() == settings.default_repository;
        // Every repository also has organizations at /repos/KEY, but clients usually use the default repository or a
        // host.
        if is_default || !base.common().hosts.is_empty() {
            organizations(base, is_default, settings, &mut found);
        }
    }
    found
}

fn public_url(settings: &Settings, found: &mut Vec<String>) {
    let server = &settings.server;
    let host = host(&server.public_url);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if address.is_some_and(|ip| ip.is_unspecified()) {
        found.push(format!(
            "server.public_url: {} is not an address that clients can use; write the URL that clients use",
            server.public_url
        ));
    } else if is_loopback(host) && !listens_on_loopback(settings) {
        found.push(format!(
            "server.public_url: {} is a loopback address, but the server listens on {}; write the URL that clients on other machines use",
            server.public_url, server.listen
        ));
    }
}

fn installs(settings: &Settings, found: &mut Vec<String>) {
    let installs = &settings.installs;
    if installs.url.starts_with("http://") && !is_loopback(host(&installs.url)) && installs.public_keys.is_empty() {
        found.push(
            "installs.url: without TLS and without installs.public_key, installers cannot be verified; use https:// if the upstream supports it, or write the key that signs its lists as installs.public_key"
                .to_owned(),
        );
    }
}

fn upstream(remote: &RemoteSettings, settings: &Settings, found: &mut Vec<String>) {
    let (key, server) = (&remote.common.key, &settings.server);
    if remote.url.starts_with("http://") && !is_loopback(host(&remote.url)) {
        let sent = if remote.credentials.is_some() { "requests and credentials" } else { "requests" };
        found.push(format!(
            "repositories.{key}.url: without TLS, others can read {sent}, although packages are still verified by their signatures; use https:// if the upstream supports it"
        ));
    }
    if remote.credentials.is_some() && remote.common.anonymous_read && !listens_on_loopback(settings) {
        found.push(format!(
            "repositories.{key}.anonymous_read: everybody with access to {} can read `{key}` with the credentials of this server; remove the key to allow only users of this server",
            server.listen
        ));
    }
}

/// Warns about unintended write access to a local repository.
fn writers(local: &LocalSettings, settings: &Settings, found: &mut Vec<String>) {
    let key = &local.common.key;
    match (local.publish, local.allow_new_packages) {
        (Publishers::Users, false) => found.push(format!(
            "repositories.{key}.publish: `users` has no effect, because `allow_new_packages: false` forbids new packages; remove one of the two"
        )),
        (Publishers::Users, true) if !local.common.anonymous_read => found.push(format!(
            "repositories.{key}.publish: `{key}` is private, so only users with read access can publish to it; write `anonymous_read: true`, or grant read access to users"
        )),
        (Publishers::Users, true) if settings.auth.sign_up => found.push(format!(
            "repositories.{key}.publish: with `auth.sign_up: true`, everybody with access to this server can publish to `{key}`; disable sign-up if this is not intended"
        )),
        (Publishers::Users | Publishers::Members, _) => {}
    }
}

fn advisories(settings: &Settings, found: &mut Vec<String>) {
    for remote in settings.repositories.values().filter_map(RepositorySettings::as_remote) {
        let key = &remote.common.key;
        match remote.advisories.as_ref().map(|advisories| &advisories.osv) {
            Some(OsvSource::File { dump, .. }) if dump.is_empty() => found.push(format!(
                "repositories.{key}.advisories.osv: the dump has no advisory about a Hex package; check that it is the dump of the ecosystem Hex"
            )),
            Some(OsvSource::Url { base, .. }) if base.starts_with("http://") && !is_loopback(host(base)) => {
                found.push(format!(
                    "repositories.{key}.advisories.osv: the dump is not signed, so without TLS an attacker can change it; use https://"
                ));
            }
            _ => {}
        }
        if remote.advisories.is_some() && remote.signature == SignatureMode::Upstream {
            found.push(format!(
                "repositories.{key}.advisories: `{key}` serves the signed lists of its upstream unchanged, so clients get the advisories only through virtual repositories; write `signature: own` to add them to the lists of `{key}`"
            ));
        }
    }
}

fn metadata(settings: &Settings, found: &mut Vec<String>) {
    let covers = |whole: &RepoName, key: &RepoName| {
        let composed = settings.repositories.get(whole).and_then(RepositorySettings::as_virtual);
        whole == key || composed.is_some_and(|one| below(one, settings).iter().any(|member| member.key() == key))
    };
    let asks = |key: &RepoName| {
        let mut rules = settings.policies.values().flat_map(|policy| &policy.repositories);
        rules.any(|(of, rules)| rules.need(RuleInput::Licences) && covers(of, key))
    };
    for remote in settings.repositories.values().filter_map(RepositorySettings::as_remote) {
        if remote.metadata == MetadataMode::Full && !asks(&remote.common.key) {
            let key = &remote.common.key;
            found.push(format!(
                "repositories.{key}.metadata: `full` has no effect, because no policy has rules about licences for `{key}`; remove the key, or add such rules"
            ));
        }
    }
}

fn reserves(settings: &Settings, found: &mut Vec<String>) {
    let virtuals = settings.repositories.values().filter_map(RepositorySettings::as_virtual);
    for composed in virtuals.filter(|one| !one.reserve.is_empty()) {
        for member in below(composed, settings).iter().filter(|member| member.common().direct) {
            found.push(format!(
                "repositories.{0}.direct: `{0}` is also served at its own address, where the `reserve` of `{1}` does not apply; remove `direct`",
                member.key(),
                composed.common.key
            ));
        }
    }
}

fn policies(settings: &Settings, found: &mut Vec<String>) {
    for repository in settings.repositories.values() {
        let (key, policy) = (repository.key(), repository.policy());
        let Some(policy) = policy.and_then(|name| settings.policies.get(name)) else { continue };
        if !repository.is_signed_here() {
            found.push(format!(
                "repositories.{key}.policy: `{key}` serves the signed lists of its upstream unchanged, so held releases stay in the lists, and only their download is refused; write `signature: own` to remove them from the lists"
            ));
        }
        for member in repository.as_virtual().map(|one| below(one, settings)).unwrap_or_default() {
            if member.common().direct && member.policy() != Some(&policy.name) {
                found.push(format!(
                    "repositories.{0}.direct: `{0}` is also served at its own address, where the policy of `{key}` does not apply; remove `direct`, or set the same `policy` there",
                    member.key()
                ));
            }
        }
        if policy.mode == Mode::Enforce {
            found.push(format!(
                "policies.{}.mode: a new policy breaks builds whose lock files contain held releases; if this policy is new, use `dry_run` until these lock files are pinned (hexkeep pin {key} --lock mix.lock --reason REASON)",
                policy.name
            ));
        }
    }
    for (name, policy) in &settings.policies {
        for (key, rules) in &policy.repositories {
            let advice = rules.configured().flat_map(|rule| rule.warnings(rules));
            found.extend(advice.map(|said| format!("policies.{name}.repositories.{key}.{said}")));
        }
    }
}

/// All direct and indirect members of a virtual repository.
fn below<'s>(composed: &VirtualSettings, settings: &'s Settings) -> Vec<&'s RepositorySettings> {
    let members = composed.members.iter().filter_map(|member| settings.repositories.get(&member.repository));
    members
        .flat_map(|one| one.as_virtual().map(|one| below(one, settings)).into_iter().flatten().chain([one]))
        .collect()
}

/// Warns about repositories that cannot be organizations of `base`. Clients verify `BASE:ORG` with their key for BASE,
/// and expect ORG as the name of the repository.
fn organizations(base: &RepositorySettings, is_default: bool, settings: &Settings, found: &mut Vec<String>) {
    // Members of a virtual repository are used through it, and repositories with `direct: false` are not served.
    let is_member = |other: &RepositorySettings| base.as_virtual().is_some_and(|base| has(base, other, settings));
    let others = || {
        let others = settings.repositories.values().filter(|other| other.key() != base.key() && other.common().direct);
        others.filter(|other| !is_member(other))
    };
    let address = match (is_default, base.common().hosts.first()) {
        (false, Some(host)) => format!("`{}` (on {host})", base.key()),
        (_, _) => format!("`{}` (at /)", base.key()),
    };
    let url = &settings.server.public_url;
    for other in others().filter(|other| other.common().name != *other.key()) {
        let (key, name) = (other.key(), &other.common().name);
        found.push(format!(
            "repositories.{key}: its packages belong to a repository with the name `{name}`, so clients cannot use it as the organization `{key}` of {address}; add it to clients as a separate repository: mix hex.repo add {name} {url}/repos/{key} --public-key FILE, with the output of: hexkeep public-key {key}"
        ));
    }
    for other in others().filter(|other| other.common().name == *other.key() && !other.verifies_like(base)) {
        let key = other.key();
        found.push(format!(
            "repositories.{key}: it is not signed with the key that clients use for {address}, so clients cannot use it as an organization; add it to clients as a separate repository: mix hex.repo add {key} {url}/repos/{key} --public-key FILE, or set its key: mix hex.repo set hexpm:{key} --public-key FILE, with the output of: hexkeep public-key {key}"
        ));
    }
}

/// Whether `other` is a member of `base`, or of one of its members.
fn has(base: &VirtualSettings, other: &RepositorySettings, settings: &Settings) -> bool {
    base.members.iter().any(|member| {
        let below = settings.repositories.get(&member.repository).and_then(RepositorySettings::as_virtual);
        member.repository == *other.key() || below.is_some_and(|below| has(below, other, settings))
    })
}

fn listens_on_loopback(settings: &Settings) -> bool {
    settings.server.listen.ip().to_canonical().is_loopback()
}

/// The host of a valid URL.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        // A colon inside brackets is part of an IPv6 address.
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
