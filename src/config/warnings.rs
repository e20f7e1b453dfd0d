//! What is allowed and perhaps not meant, said by `check-config` after "OK".

use std::net::IpAddr;

use super::reserve_gaps::cuts;
use super::settings::{
    LocalSettings, MetadataMode, OsvSource, Publishers, RemoteSettings, RepositorySettings, Settings, SignatureMode,
    VirtualSettings,
};
use crate::hex::name::RepoName;
use crate::policy::rules::{Mode, RuleInput};

/// One sentence for each finding.
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
    cuts(settings, &mut found);
    advisories(settings, &mut found);
    metadata(settings, &mut found);
    installs(settings, &mut found);
    for base in settings.repositories.values() {
        let is_default = *base.key() == settings.default_repository;
        // Every repository is also a base at /repos/KEY, but organizations are asked for where clients are pointed to.
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
            "server.public_url: {} is no address that a client can call; write the one that clients use",
            server.public_url
        ));
    } else if is_loopback(host) && !listens_on_loopback(settings) {
        found.push(format!(
            "server.public_url: {} is loopback while the server listens on {}; write the URL that clients on other machines use",
            server.public_url, server.listen
        ));
    }
}

fn installs(settings: &Settings, found: &mut Vec<String>) {
    let installs = &settings.installs;
    if installs.url.starts_with("http://") && !is_loopback(host(&installs.url)) && installs.public_keys.is_empty() {
        found.push(
            "installs.url: without TLS and without installs.public_key nobody proves where the installers come from; use https:// if the upstream has it, or name the key that signs its lists"
                .to_owned(),
        );
    }
}

fn upstream(remote: &RemoteSettings, settings: &Settings, found: &mut Vec<String>) {
    let (key, server) = (&remote.common.key, &settings.server);
    if remote.url.starts_with("http://") && !is_loopback(host(&remote.url)) {
        let sent =
            if remote.credentials.is_some() { "what is asked for and the credentials" } else { "what is asked for" };
        found.push(format!(
            "repositories.{key}.url: without TLS, packages are still verified by their signatures, but others can read {sent}; use https:// if the upstream has it"
        ));
    }
    if remote.credentials.is_some() && remote.common.anonymous_read && !listens_on_loopback(settings) {
        found.push(format!(
            "repositories.{key}.anonymous_read: whoever reaches {} reads `{key}` with the credentials of this server; take the key out if only its own users should",
            server.listen
        ));
    }
}

/// Who may write to a local repository, where that is perhaps not meant.
fn writers(local: &LocalSettings, settings: &Settings, found: &mut Vec<String>) {
    let key = &local.common.key;
    match (local.publish, local.allow_new_packages) {
        (Publishers::Users, false) => found.push(format!(
            "repositories.{key}.publish: with `allow_new_packages: false` nobody publishes a new name, so `users` allows nothing; take one of the two out"
        )),
        (Publishers::Users, true) if !local.common.anonymous_read => found.push(format!(
            "repositories.{key}.publish: `{key}` is private, so of all users only those who may read it can publish to it; write `anonymous_read: true`, or grant them the right to read"
        )),
        (Publishers::Users, true) if settings.auth.sign_up => found.push(format!(
            "repositories.{key}.publish: with `auth.sign_up: true` everybody who reaches this server can publish to `{key}`"
        )),
        (Publishers::Users | Publishers::Members, _) => {}
    }
}

fn advisories(settings: &Settings, found: &mut Vec<String>) {
    for remote in settings.repositories.values().filter_map(RepositorySettings::as_remote) {
        let key = &remote.common.key;
        match remote.advisories.as_ref().map(|advisories| &advisories.osv) {
            Some(OsvSource::File { dump, .. }) if dump.is_empty() => found.push(format!(
                "repositories.{key}.advisories.osv: the dump has no advisory about a package of Hex; is it that of the ecosystem Hex?"
            )),
            Some(OsvSource::Url { base, .. }) if base.starts_with("http://") && !is_loopback(host(base)) => {
                found.push(format!(
                    "repositories.{key}.advisories.osv: nobody signs a dump, and without TLS anybody on the way can hold releases back; use https://"
                ));
            }
            _ => {}
        }
        if remote.advisories.is_some() && remote.signature == SignatureMode::Upstream {
            found.push(format!(
                "repositories.{key}.advisories: `{key}` passes the lists of its upstream on as they are signed, so clients see the advisories through virtual repositories alone; write `signature: own` to have them in its own lists, too"
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
                "repositories.{key}.metadata: no policy has rules about licences of `{key}`, so `full` reads nothing; take it out, or write them"
            ));
        }
    }
}

fn reserves(settings: &Settings, found: &mut Vec<String>) {
    let virtuals = settings.repositories.values().filter_map(RepositorySettings::as_virtual);
    for composed in virtuals.filter(|one| !one.reserve.is_empty()) {
        for member in below(composed, settings).iter().filter(|member| member.common().direct) {
            found.push(format!(
                "repositories.{0}.direct: `{0}` also answers at its own address, where the `reserve` of `{1}` does not hold; leave `direct` out",
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
                "repositories.{key}.policy: `{key}` passes the lists of its upstream on as they are signed, so what the policy holds is listed and only its download is refused; write `signature: own` to have it left out of the lists, too"
            ));
        }
        for member in repository.as_virtual().map(|one| below(one, settings)).unwrap_or_default() {
            if member.common().direct && member.policy() != Some(&policy.name) {
                found.push(format!(
                    "repositories.{0}.direct: `{0}` also answers at its own address, where the policy of `{key}` does not hold; leave `direct` out, or name the policy there, too",
                    member.key()
                ));
            }
        }
        if policy.mode == Mode::Enforce {
            found.push(format!(
                "policies.{}.mode: a new policy breaks lock files that name what it holds; if this one is new, begin with `dry_run` until lock files are pinned (hexkeep pin {key} --lock mix.lock)",
                policy.name
            ));
        }
    }
    for (name, policy) in &settings.policies {
        for (key, rules) in &policy.repositories {
            let advice = rules.set().flat_map(|rule| rule.advice(rules));
            found.extend(advice.map(|said| format!("policies.{name}.repositories.{key}.{said}")));
        }
    }
}

/// The members of a virtual repository, and theirs.
fn below<'s>(composed: &VirtualSettings, settings: &'s Settings) -> Vec<&'s RepositorySettings> {
    let members = composed.members.iter().filter_map(|member| settings.repositories.get(&member.repository));
    members
        .flat_map(|one| one.as_virtual().map(|one| below(one, settings)).into_iter().flatten().chain([one]))
        .collect()
}

/// Clients verify `BASE:ORG` with the key they hold for BASE, and expect ORG as the repository's name.
fn organizations(base: &RepositorySettings, is_default: bool, settings: &Settings, found: &mut Vec<String>) {
    // What a virtual repository unites is asked for under its name, and what hides is asked for nowhere.
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
            "repositories.{key}: its packages say they come from `{name}`, so it cannot be an organization of {address} under the name `{key}`; add it as a repository of its own: mix hex.repo add {name} {url}/repos/{key} --public-key FILE, with the output of: hexkeep public-key {key}"
        ));
    }
    for other in others().filter(|other| other.common().name == *other.key() && !other.verifies_like(base)) {
        let key = other.key();
        found.push(format!(
            "repositories.{key}: it is not signed by the key that clients hold for {address}, so it cannot be an organization of it; add it as a repository of its own: mix hex.repo add {key} {url}/repos/{key} --public-key FILE, or set its key: mix hex.repo set hexpm:{key} --public-key FILE, with the output of: hexkeep public-key {key}"
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

/// The host of a URL that was checked before.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        // A colon inside brackets is a part of an IPv6 address.
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
