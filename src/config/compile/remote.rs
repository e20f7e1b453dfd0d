//! A repository of type remote. Imports ground, `hex` names, `trust` keys and `config`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use globset::{Glob, GlobSet, GlobSetBuilder};
use http::HeaderValue;

use super::Context;
use crate::config::fault::{Fault, KeyOrigin};
use crate::config::problem::Excerpt;
use crate::config::read;
use crate::config::settings::{
    ChecksumChanges, CredentialSource, NamePatterns, NetworkMode, OnUpstreamDelete, RemoteSettings, SignatureMode,
};
use crate::config::tree::Value;
use crate::config::url::Url;
use crate::config::walk::{Field, Section};
use crate::config::{bounds, defaults, words};
use crate::hex::name::RepoName;
use crate::secret::Secret;
use crate::trust::PublicKey;

const WEB: &[&str] = &["http://", "https://"];
const PROXIES: &[&str] = &["http://", "https://", "socks5://"];

/// Keys of later versions.
const LATER: &[&str] = &[
    "direct",
    "policy",
    "private",
    "metadata",
    "mirror",
    "organization",
    "mutability",
    "dependency_check",
    "allowed_dependency_repositories",
    "dependency_aliases",
    "publish_view",
    "allow_new_packages",
    "members",
    "merge",
    "merge_across",
    "reserve",
    "allow_shadow",
    "grants_read",
    "on_member_failure",
    "deploy_to",
];

/// What one repository shares with the others.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    context: Context<'a>,
    listen: SocketAddr,
    /// Each host and the path of the list item that named it.
    hosts: BTreeMap<String, String>,
    /// Key → name, of repositories with problems too.
    pub(super) names: BTreeMap<RepoName, RepoName>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(context: Context<'a>, listen: SocketAddr) -> Self {
        Self { context, listen, hosts: BTreeMap::new(), names: BTreeMap::new() }
    }
}

/// Reads one repository; nothing if it cannot be used, which is then reported.
pub(super) fn remote(field: &Field<'_>, key: &RepoName, around: &mut Surroundings<'_>) -> Option<RemoteSettings> {
    let base = around.context.base;
    let mut section = field.table()?;
    let other_type = section.require("type", Fault::MissingType, kind) == Some(Kind::Later);
    if other_type {
        // The keys of a type that does not exist yet are not worth a word each.
        return None;
    }
    let name = section.get("name", key.clone(), Field::repo_name);
    around.names.insert(key.clone(), name.clone());
    let hosts = section.get("hosts", Vec::new(), |field| field.list(|item| host(item, &mut around.hosts)));
    let include = section.get("include", everything(), |field| {
        if field.is_empty_list() {
            field.fault(Fault::IncludesNothing);
        }
        patterns(field)
    });
    let exclude = section.get("exclude", nothing(), patterns);

    let url = section.require("url", Fault::MissingUrl, upstream_url);
    let public_keys = public_keys(&mut section, url.as_ref(), around.context);
    let credentials = section.optional("credentials", |field| Some(credentials(field, around.context)));
    anonymous_read(&mut section, credentials.is_some(), around.listen);
    let usual_changes = if credentials.is_none() && public_keys.contains(&PublicKey::hexpm()) {
        ChecksumChanges::Window
    } else {
        ChecksumChanges::Allow
    };
    let duration = |section: &mut Section<'_>, key, default, bounds| {
        section.get(key, default, |field: &Field<'_>| field.duration(bounds))
    };
    let settings = RemoteSettings {
        key: key.clone(),
        name,
        hosts,
        include,
        exclude,
        url: url.as_ref().map(Url::without_user_info).unwrap_or_default(),
        public_keys,
        signature: section.get("signature", SignatureMode::Upstream, |field| field.one_of(words::SIGNATURES)),
        network: section.get("network", NetworkMode::Fallback, |field| field.one_of(words::NETWORKS)),
        metadata_ttl: duration(&mut section, "metadata_ttl", defaults::METADATA_TTL, &bounds::METADATA_TTL),
        stale_while_revalidate: duration(
            &mut section,
            "stale_while_revalidate",
            defaults::STALE_WHILE_REVALIDATE,
            &bounds::STALE_WHILE_REVALIDATE,
        ),
        max_stale: duration(&mut section, "max_stale", defaults::MAX_STALE, &bounds::MAX_STALE),
        missing_ttl: duration(&mut section, "missing_ttl", defaults::MISSING_TTL, &bounds::MISSING_TTL),
        docs_ttl: duration(&mut section, "docs_ttl", defaults::DOCS_TTL, &bounds::DOCS_TTL),
        assumed_offline: duration(&mut section, "assumed_offline", defaults::ASSUMED_OFFLINE, &bounds::ASSUMED_OFFLINE),
        connect_timeout: duration(&mut section, "connect_timeout", defaults::CONNECT_TIMEOUT, &bounds::CONNECT_TIMEOUT),
        read_timeout: duration(&mut section, "read_timeout", defaults::READ_TIMEOUT, &bounds::READ_TIMEOUT),
        concurrency: section.get("concurrency", defaults::CONCURRENCY, |field| field.number(&bounds::CONCURRENCY)),
        credential: credentials.as_ref().and_then(|found| found.as_ref()).map(|(_, secret)| secret.clone()),
        credentials: credentials.flatten().map(|(source, _)| source),
        proxy: section.optional("proxy", proxy),
        ca_file: section.optional("ca_file", |field| field.file(base)),
        client_cert: section.optional("client_cert", |field| field.file(base)),
        checksum_changes: section.get("checksum_changes", usual_changes, |field| field.one_of(words::CHECKSUM_CHANGES)),
        on_upstream_delete: section
            .get("on_upstream_delete", OnUpstreamDelete::Hide, |field| field.one_of(words::ON_UPSTREAM_DELETE)),
    };
    section.finish(LATER);
    url.is_some().then_some(settings)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Remote,
    Later,
}

fn kind(field: &Field<'_>) -> Option<Kind> {
    let text = field.text()?;
    if matches!(text, "local" | "virtual") {
        field.fault(Fault::TypeNotAvailable(Excerpt::new(text)));
        return Some(Kind::Later);
    }
    field.one_of(&[("remote", Kind::Remote)])
}

fn host(item: &Field<'_>, hosts: &mut BTreeMap<String, String>) -> Option<String> {
    let host = item.host()?;
    if let Some(first) = hosts.get(&host) {
        item.fault(Fault::DuplicateHost { host: Excerpt::new(&host), first: first.clone() });
        return None;
    }
    hosts.insert(host.clone(), item.path.clone());
    Some(host)
}

fn everything() -> NamePatterns {
    let pattern = Glob::new(defaults::INCLUDE);
    let set = pattern.and_then(|glob| GlobSetBuilder::new().add(glob).build());
    #[expect(clippy::expect_used, reason = "the pattern is compiled in, and every test of the defaults builds it")]
    NamePatterns { patterns: vec![defaults::INCLUDE.to_owned()], set: set.expect("a star is a pattern") }
}

fn nothing() -> NamePatterns {
    NamePatterns { patterns: Vec::new(), set: GlobSet::empty() }
}

fn patterns(field: &Field<'_>) -> Option<NamePatterns> {
    let globs = field.list(|item| {
        let text = item.text()?;
        let bad = |reason: &str| Fault::Pattern { pattern: Excerpt::new(text), reason: Excerpt::new(reason) };
        if text.len() > bounds::MAX_PATTERN_BYTES {
            item.fault(bad("it is too long"));
            return None;
        }
        item.check(Glob::new(text).map_err(|error| bad(&error.kind().to_string())))
    })?;
    let mut builder = GlobSetBuilder::new();
    for glob in &globs {
        builder.add(glob.clone());
    }
    let set = field.check(builder.build().map_err(|error| Fault::Patterns(Excerpt::new(&error.kind().to_string()))))?;
    Some(NamePatterns { patterns: globs.iter().map(|glob| glob.glob().to_owned()).collect(), set })
}

fn upstream_url(field: &Field<'_>) -> Option<Url> {
    let url = field.url(WEB, "https://repo.hex.pm")?;
    if url.user_info.is_some() {
        field.fault(Fault::UrlUserInfo);
        return None;
    }
    Some(url)
}

/// The keys that are written; else, for hex.pm, the one that is built in.
fn public_keys(section: &mut Section<'_>, url: Option<&Url>, context: Context<'_>) -> Vec<PublicKey> {
    let Some(field) = section.field("public_key") else {
        match url {
            Some(url) if is_hexpm(url) => return vec![PublicKey::hexpm()],
            Some(url) => section.fault("public_key", Fault::MissingPublicKey { url: url.without_user_info() }),
            // What is missing depends on the URL, which was already reported.
            None => {}
        }
        return Vec::new();
    };
    let mut keys: Vec<PublicKey> = Vec::new();
    if !matches!(field.node.value, Value::List(_)) {
        return public_key(&field, context).into_iter().collect();
    }
    field.list(|item| {
        let key = public_key(item, context)?;
        if keys.contains(&key) {
            item.fault(Fault::DuplicatePublicKey);
        } else {
            keys.push(key);
        }
        Some(())
    });
    if field.is_empty_list() {
        field.fault(Fault::NoPublicKeys);
    }
    keys
}

/// Whether hex.pm's own key signs what is there: its public repository and the organizations below it.
fn is_hexpm(url: &Url) -> bool {
    let organization = |path: &str| path.strip_prefix("/repos/").is_some_and(RepoName::is_valid);
    url.scheme == "https"
        && matches!(url.host.as_str(), "repo.hex.pm" | "repo.hex.pm:443")
        && (url.path.is_empty() || organization(&url.path))
}

fn public_key(field: &Field<'_>, context: Context<'_>) -> Option<PublicKey> {
    let text = field.text()?;
    if text == "hexpm" {
        return Some(PublicKey::hexpm());
    }
    let (from, key) = if text.contains("-----BEGIN") {
        (KeyOrigin::Inline, PublicKey::from_pem(text))
    } else {
        let path = field.path(context.base)?;
        let label = read::excerpt(&path);
        let pem = field.file_text(&path, &label)?;
        (KeyOrigin::File(label), PublicKey::from_pem(&pem))
    };
    field.check(key.map_err(|source| Fault::PublicKey { from, source }))
}

/// Where the credential is, and what it is. Nothing of what is written here is quoted in a problem.
fn credentials(field: &Field<'_>, context: Context<'_>) -> Option<(CredentialSource, Secret)> {
    let mut section = field.table()?;
    let (both, neither) = (section.has("env") && section.has("file"), !section.has("env") && !section.has("file"));
    let variable = section.field("env");
    let file = section.field("file");
    let found = match (variable, file) {
        _ if both || neither => {
            field.fault(Fault::CredentialSource);
            None
        }
        (Some(field), _) => from_variable(&field, context),
        (None, Some(field)) => from_file(&field, context),
        (None, None) => None,
    };
    section.finish(&[]);
    found
}

fn from_variable(field: &Field<'_>, context: Context<'_>) -> Option<(CredentialSource, Secret)> {
    let name = field.text()?;
    let value = field.check(context.variables.get(name).ok_or(Fault::MissingVariable))?;
    Some((CredentialSource::Env(name.to_owned()), secret(field, value)?))
}

fn from_file(field: &Field<'_>, context: Context<'_>) -> Option<(CredentialSource, Secret)> {
    let path: PathBuf = field.path(context.base)?;
    let text = field.file_text(&path, &Excerpt::new("credentials.file"))?;
    Some((CredentialSource::File(path), secret(field, &text)?))
}

fn secret(field: &Field<'_>, text: &str) -> Option<Secret> {
    let text = text.trim();
    // Visible ASCII and spaces: what else a header may hold, no server reads alike.
    let fits = text.len() <= bounds::MAX_CREDENTIAL_BYTES
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && HeaderValue::from_str(text).is_ok();
    let fault = if text.is_empty() {
        Fault::EmptyCredential
    } else if !fits {
        Fault::UnfitCredential
    } else {
        return Some(Secret::new(text));
    };
    field.fault(fault);
    None
}

/// Everything is served to everybody until accounts exist; what only a credential opens must then be meant to be open.
fn anonymous_read(section: &mut Section<'_>, credentials: bool, listen: SocketAddr) {
    let written = section.field("anonymous_read").map(|field| {
        if field.boolean() == Some(false) {
            field.fault(Fault::NobodyCouldRead);
        }
    });
    if credentials && written.is_none() && !listen.ip().to_canonical().is_loopback() {
        section.fault("anonymous_read", Fault::OpenWithCredentials { listen });
    }
}

fn proxy(field: &Field<'_>) -> Option<Secret> {
    let url = field.url(PROXIES, "http://proxy.example.com:3128")?;
    if !url.path.is_empty() {
        field.fault(Fault::ProxyPath);
        return None;
    }
    let user = url.user_info.map(|user| format!("{user}@")).unwrap_or_default();
    Some(Secret::new(format!("{}://{user}{}", url.scheme, url.host)))
}
