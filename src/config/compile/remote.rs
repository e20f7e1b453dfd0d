//! Reads a repository of type remote.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use super::Context;
use super::patterns::{everything, patterns};
use crate::config::fault::{Fault, KeyOrigin};
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::read;
use crate::config::settings::{
    AdvisorySettings, ChecksumChanges, CommonSettings, CredentialSource, MetadataMode, MirrorSettings, NetworkMode,
    OnUpstreamDelete, OsvSource, PrefetchMode, RemoteSettings, SignatureMode,
};
use crate::config::tree::Value;
use crate::config::url::Url;
use crate::config::{bounds, defaults};
use crate::hex::limits;
use crate::hex::name::RepoName;
use crate::policy::osv::AdvisoryDump;
use crate::secret::Secret;
use crate::trust::PublicKey;

const WEB: &[&str] = &["http://", "https://"];
const PROXIES: &[&str] = &["http://", "https://", "socks5://"];

/// Keys of this type that not all types have.
pub(super) const OWN: &[&str] = &[
    "url",
    "public_key",
    "signature",
    "network",
    "metadata_ttl",
    "stale_while_revalidate",
    "max_stale",
    "missing_ttl",
    "docs_ttl",
    "assumed_offline",
    "connect_timeout",
    "read_timeout",
    "concurrency",
    "credentials",
    "proxy",
    "ca_file",
    "client_cert",
    "checksum_changes",
    "on_upstream_delete",
    "api_url",
    "policy",
    "advisories",
    "private",
    "metadata",
    "prefetch",
    "mirror",
];

/// Reads a repository whose common keys have been read. Returns `None` after a problem that was reported.
pub(super) fn remote(
    section: &mut Section<'_>,
    mut common: CommonSettings,
    context: Context<'_>,
) -> Option<RemoteSettings> {
    let base = context.base;
    let url = section.require("url", Fault::MissingUrl, upstream_url);
    let public_keys = public_keys(section, url.as_ref(), context);
    let credentials = section.optional("credentials", |field| Some(credentials(field, context)));
    // If the upstream requires credentials, clients of this server do as well, unless the configuration allows
    // anonymous access.
    common.anonymous_read = section.get("anonymous_read", credentials.is_none(), Field::boolean);
    let has_credentials = credentials.is_some();
    let usual_changes = if credentials.is_none() && public_keys.contains(&PublicKey::hexpm()) {
        ChecksumChanges::Window
    } else {
        ChecksumChanges::Allow
    };
    let duration = |section: &mut Section<'_>, key, default, bounds| {
        section.get(key, default, |field: &Field<'_>| field.duration(bounds))
    };
    let settings = RemoteSettings {
        common,
        url: url.as_ref().map(Url::without_user_info).unwrap_or_default(),
        public_keys,
        signature: section.get("signature", SignatureMode::Upstream, Field::choice),
        network: section.get("network", NetworkMode::Fallback, Field::choice),
        metadata_ttl: duration(section, "metadata_ttl", defaults::METADATA_TTL, &bounds::METADATA_TTL),
        stale_while_revalidate: duration(
            section,
            "stale_while_revalidate",
            defaults::STALE_WHILE_REVALIDATE,
            &bounds::STALE_WHILE_REVALIDATE,
        ),
        max_stale: duration(section, "max_stale", defaults::MAX_STALE, &bounds::MAX_STALE),
        missing_ttl: duration(section, "missing_ttl", defaults::MISSING_TTL, &bounds::MISSING_TTL),
        docs_ttl: duration(section, "docs_ttl", defaults::DOCS_TTL, &bounds::DOCS_TTL),
        assumed_offline: duration(section, "assumed_offline", defaults::ASSUMED_OFFLINE, &bounds::ASSUMED_OFFLINE),
        connect_timeout: duration(section, "connect_timeout", defaults::CONNECT_TIMEOUT, &bounds::CONNECT_TIMEOUT),
        read_timeout: duration(section, "read_timeout", defaults::READ_TIMEOUT, &bounds::READ_TIMEOUT),
        concurrency: section
            .get("concurrency", defaults::CONCURRENCY, |field| field.number_limit(&bounds::CONCURRENCY)),
        credential: credentials.as_ref().and_then(|found| found.as_ref()).map(|(_, secret)| secret.clone()),
        credentials: credentials.flatten().map(|(source, _)| source),
        proxy: section.optional("proxy", proxy),
        ca_file: section.optional("ca_file", |field| field.file(base)),
        client_cert: section.optional("client_cert", |field| field.file(base)),
        checksum_changes: section.get("checksum_changes", usual_changes, Field::choice),
        on_upstream_delete: section.get("on_upstream_delete", OnUpstreamDelete::Hide, Field::choice),
        api_url: api_url(section, url.as_ref()),
        policy: section.optional("policy", |field| field.check(field.text()?.parse().map_err(Fault::Name))),
        advisories: section.optional("advisories", |field| advisories(field, base)),
        private: section.get("private", has_credentials, Field::boolean),
        metadata: section.get("metadata", MetadataMode::Lazy, Field::choice),
        prefetch: section.get("prefetch", PrefetchMode::Off, Field::choice),
        mirror: section.optional("mirror", mirror),
    };
    let asks_unasked = [("mirror", settings.mirror.is_some()), ("prefetch", settings.prefetch != PrefetchMode::Off)];
    for (key, _) in asks_unasked.into_iter().filter(|(_, wanted)| *wanted && settings.network == NetworkMode::Offline) {
        section.fault(key, Fault::OfflineFetch(key));
    }
    url.is_some().then_some(settings)
}

/// Reads the key `mirror`.
fn mirror(field: &Field<'_>) -> Option<MirrorSettings> {
    let mut section = field.table()?;
    let schedule =
        section.require("schedule", Fault::MissingSchedule, |field| field.duration(&bounds::MIRROR_SCHEDULE));
    let settings = MirrorSettings {
        schedule: schedule.unwrap_or_default(),
        packages: section.get("packages", everything(), patterns),
        latest: section.optional("latest", |field| field.number(&bounds::MIRROR_LATEST)),
        docs: section.get("docs", false, Field::boolean),
        connections: section
            .get("connections", defaults::MIRROR_CONNECTIONS, |field| field.number_limit(&bounds::CONCURRENCY)),
        rate: section.optional("rate", |field| field.size_limit(&bounds::MIRROR_RATE)),
    };
    section.finish();
    schedule.is_some().then_some(settings)
}

pub(super) fn upstream_url(field: &Field<'_>) -> Option<Url> {
    let url = field.url(WEB, "https://repo.hex.pm")?;
    if url.user_info.is_some() {
        field.fault(Fault::UrlUserInfo);
        return None;
    }
    Some(url)
}

/// Reads the key `api_url`, which may be `null`. The default is the API of hex.pm for its public repository, otherwise
/// none.
fn api_url(section: &mut Section<'_>, url: Option<&Url>) -> Option<String> {
    let hexpm = url.filter(|url| is_hexpm(url) && url.path.is_empty()).map(|_| defaults::HEXPM_API.to_owned());
    let Some(field) = section.field("api_url") else { return hexpm };
    if field.node.is_null() {
        return None;
    }
    upstream_url(&field).as_ref().map(Url::without_user_info)
}

/// Reads the key `public_key`. The default for hex.pm is its built-in key.
fn public_keys(section: &mut Section<'_>, url: Option<&Url>, context: Context<'_>) -> Vec<PublicKey> {
    let Some(field) = section.field("public_key") else {
        match url {
            Some(url) if is_hexpm(url) => return vec![PublicKey::hexpm()],
            Some(url) => section.fault("public_key", Fault::MissingPublicKey { url: url.without_user_info() }),
            // The problem with the URL was already reported.
            None => {}
        }
        return Vec::new();
    };
    public_key_list(&field, context)
}

/// Reads one public key, or a list of them.
pub(super) fn public_key_list(field: &Field<'_>, context: Context<'_>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = Vec::new();
    if !matches!(field.node.value, Value::List(_)) {
        return public_key(field, context).into_iter().collect();
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

/// Whether the key of hex.pm signs the resources at `url`: its public repository or one of its organizations.
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

/// Reads the key `advisories`. A dump in a file is read at once, so that a problem is reported with its place.
fn advisories(field: &Field<'_>, base: &Path) -> Option<AdvisorySettings> {
    let mut section = field.table()?;
    let found = section.require("osv", Fault::MissingOsv, |field| {
        if field.text()?.contains("://") {
            let url = upstream_url(field)?.without_user_info();
            let parts = url.rsplit_once('/').filter(|(base, file)| !base.ends_with('/') && !file.is_empty());
            let (base, file) = field.check(parts.ok_or(Fault::OsvUrl))?;
            return Some(AdvisorySettings { osv: OsvSource::Url { base: base.to_owned(), file: file.to_owned() } });
        }
        let path = field.path(base)?;
        let bytes = field.file_bytes(&path, limits::OSV_DUMP)?;
        let dump = field
            .check(AdvisoryDump::read(&bytes).map_err(|error| Fault::OsvDump(Excerpt::new(&error.to_string()))))?;
        Some(AdvisorySettings { osv: OsvSource::File { path, dump: Arc::new(dump) } })
    });
    section.finish();
    found
}

/// Reads the key `credentials`: the source of the credential, and its value. Problems never quote the text of this key.
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
    section.finish();
    found
}

fn from_variable(field: &Field<'_>, context: Context<'_>) -> Option<(CredentialSource, Secret)> {
    let name = field.text()?;
    let value = field.check(context.variables.get(name).ok_or(Fault::MissingVariable))?;
    Some((CredentialSource::Env(name.to_owned()), secret(field, value)?))
}

fn from_file(field: &Field<'_>, context: Context<'_>) -> Option<(CredentialSource, Secret)> {
    let path: PathBuf = field.path(context.base)?;
    // Only an existing path, or one in an existing folder, is quoted in a message: other text may be the secret itself.
    let folder =
        path.parent().filter(|folder| folder.parent().is_some() && field.text().is_some_and(|text| text.contains('/')));
    let is_path = path.exists() || folder.is_some_and(Path::is_dir);
    let label = if is_path { read::excerpt(&path) } else { read::excerpt(Path::new("credentials.file")) };
    let text = field.file_text(&path, &label)?;
    Some((CredentialSource::File(path), secret(field, &text)?))
}

fn secret(field: &Field<'_>, text: &str) -> Option<Secret> {
    let text = text.trim();
    // Only printable ASCII, because servers interpret other header characters differently.
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

pub(super) fn proxy(field: &Field<'_>) -> Option<Secret> {
    let url = field.url(PROXIES, "http://proxy.example.com:3128")?;
    if !url.path.is_empty() {
        field.fault(Fault::ProxyPath);
        return None;
    }
    let user = url.user_info.map(|user| format!("{user}@")).unwrap_or_default();
    Some(Secret::new(format!("{}://{user}{}", url.scheme, url.host)))
}
