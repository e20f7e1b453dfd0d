//! Prints settings as an equivalent configuration file, without secrets.

mod composed;
mod policies;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::settings::{
    CommonSettings, CredentialSource, LocalSettings, OsvSource, RemoteSettings, RepositorySettings, Settings,
};
use super::{duration, url};
use crate::choice::Choice as _;
use crate::secret::Secret;
use crate::trust::PublicKey;

/// Prints `settings` as YAML: every key of this version with its value, and absolute paths.
///
/// Loading the output results in the same settings, except that the user name and password of a proxy are replaced by
/// `redacted`. Of credentials, only the source is printed.
pub fn show(settings: &Settings) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&Document::of(settings))
}

#[derive(Serialize)]
struct Document<'a> {
    server: Server,
    log: Log,
    storage: Storage,
    signing: Signing,
    default_repository: String,
    installs: Installs,
    auth: Auth,
    bundles: Bundles,
    fetch_log: FetchLog,
    policies: BTreeMap<String, policies::Policy<'a>>,
    repositories: BTreeMap<String, Repository>,
}

#[derive(Serialize)]
struct Installs {
    url: String,
    ttl: String,
    public_key: Option<Vec<String>>,
    proxy: Option<String>,
    ca_file: Option<String>,
}

#[derive(Serialize)]
struct Bundles {
    trusted_keys: Vec<String>,
}

#[derive(Serialize)]
struct Auth {
    sign_up: bool,
    basic: bool,
    totp: &'static str,
    rate_limits: RateLimits,
}

#[derive(Serialize)]
struct FetchLog {
    retain: String,
    addresses: &'static str,
}

#[derive(Serialize)]
struct RateLimits {
    per_account: usize,
    per_address: usize,
    failed_logins: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Repository {
    Remote(Box<Remote>),
    Local(Box<Local>),
    Virtual(Box<composed::Virtual>),
}

#[derive(Serialize)]
struct Common {
    name: String,
    hosts: Vec<String>,
    direct: bool,
    anonymous_read: bool,
    include: Vec<String>,
    exclude: Vec<String>,
}

#[derive(Serialize)]
struct Local {
    r#type: &'static str,
    #[serde(flatten)]
    common: Common,
    organization: String,
    mutability: &'static str,
    dependency_check: &'static str,
    allowed_dependency_repositories: Option<Vec<String>>,
    dependency_aliases: BTreeMap<String, String>,
    allow_new_packages: bool,
    publish_view: Option<String>,
    publish: &'static str,
    changes: &'static str,
}

#[derive(Serialize)]
struct Server {
    listen: String,
    ops_listen: String,
    public_url: String,
    tls: Option<Tls>,
    trusted_proxies: Vec<String>,
    max_connections: usize,
    deadline: String,
}

#[derive(Serialize)]
struct Tls {
    cert: String,
    key: String,
}

#[derive(Serialize)]
struct Log {
    format: &'static str,
    level: &'static str,
}

#[derive(Serialize)]
struct Storage {
    path: String,
    cache_limit: String,
    memory_limit: String,
}

#[derive(Serialize)]
struct Signing {
    keys: Vec<SigningKey>,
    active: String,
}

#[derive(Serialize)]
struct SigningKey {
    id: String,
    file: Option<String>,
}

#[derive(Serialize)]
struct Remote {
    r#type: &'static str,
    #[serde(flatten)]
    common: Common,
    url: String,
    public_key: Vec<String>,
    signature: &'static str,
    network: &'static str,
    metadata_ttl: String,
    stale_while_revalidate: String,
    max_stale: String,
    missing_ttl: String,
    docs_ttl: String,
    assumed_offline: String,
    connect_timeout: String,
    read_timeout: String,
    concurrency: usize,
    credentials: Option<Credentials>,
    proxy: Option<String>,
    ca_file: Option<String>,
    client_cert: Option<String>,
    checksum_changes: &'static str,
    on_upstream_delete: &'static str,
    api_url: Option<String>,
    policy: Option<String>,
    advisories: Option<Advisories>,
    private: bool,
    metadata: &'static str,
    prefetch: &'static str,
    mirror: Option<Mirror>,
}

#[derive(Serialize)]
struct Advisories {
    osv: String,
}

#[derive(Serialize)]
struct Mirror {
    schedule: String,
    packages: Vec<String>,
    latest: Option<usize>,
    docs: bool,
    connections: usize,
    rate: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct Credentials {
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl<'a> Document<'a> {
    fn of(settings: &'a Settings) -> Self {
        let Settings { server, log, storage, signing, default_repository, installs, auth, .. } = settings;
        let Settings { bundles, fetch_log, policies, repositories, .. } = settings;
        Self {
            server: Server {
                listen: server.listen.to_string(),
                ops_listen: server.ops_listen.to_string(),
                public_url: server.public_url.clone(),
                tls: server.tls.as_ref().map(|tls| Tls { cert: path(&tls.cert), key: path(&tls.key) }),
                trusted_proxies: server.trusted_proxies.iter().map(ToString::to_string).collect(),
                max_connections: server.max_connections,
                deadline: duration(server.deadline),
            },
            log: Log { format: log.format.word(), level: log.level.word() },
            storage: Storage {
                path: path(&storage.path),
                cache_limit: storage.cache_limit.to_string(),
                memory_limit: storage.memory_limit.to_string(),
            },
            signing: Signing {
                keys: signing
                    .keys
                    .iter()
                    .map(|key| SigningKey { id: key.id.clone(), file: key.file.as_deref().map(path) })
                    .collect(),
                active: signing.active.clone(),
            },
            default_repository: default_repository.to_string(),
            installs: Installs {
                url: installs.url.clone(),
                ttl: duration(installs.ttl),
                public_key: Some(&installs.public_keys)
                    .filter(|keys| !keys.is_empty())
                    .map(|keys| keys.iter().map(public_key).collect()),
                proxy: installs.proxy.as_ref().map(proxy),
                ca_file: installs.ca_file.as_deref().map(path),
            },
            auth: Auth {
                sign_up: auth.sign_up,
                basic: auth.basic,
                totp: auth.totp.word(),
                rate_limits: RateLimits {
                    per_account: auth.rate_limits.per_account,
                    per_address: auth.rate_limits.per_address,
                    failed_logins: auth.rate_limits.failed_logins,
                },
            },
            bundles: Bundles { trusted_keys: bundles.trusted_keys.iter().map(ToString::to_string).collect() },
            fetch_log: FetchLog { retain: duration(fetch_log.retain), addresses: fetch_log.addresses.word() },
            policies: policies.iter().map(|(name, policy)| (name.to_string(), policies::Policy::of(policy))).collect(),
            repositories: repositories
                .iter()
                .map(|(key, repository)| {
                    let shown = match repository {
                        RepositorySettings::Remote(remote) => Repository::Remote(Box::new(Remote::of(remote))),
                        RepositorySettings::Local(local) => Repository::Local(Box::new(Local::of(local))),
                        RepositorySettings::Virtual(composed) => {
                            Repository::Virtual(Box::new(composed::Virtual::of(composed)))
                        }
                    };
                    (key.to_string(), shown)
                })
                .collect(),
        }
    }
}

impl Common {
    fn of(common: &CommonSettings) -> Self {
        Self {
            name: common.name.to_string(),
            hosts: common.hosts.clone(),
            direct: common.direct,
            anonymous_read: common.anonymous_read,
            include: common.include.patterns.clone(),
            exclude: common.exclude.patterns.clone(),
        }
    }
}

impl Local {
    fn of(local: &LocalSettings) -> Self {
        let keys = |keys: &Vec<crate::hex::name::RepoName>| keys.iter().map(ToString::to_string).collect();
        Self {
            r#type: "local",
            common: Common::of(&local.common),
            organization: local.organization.clone(),
            mutability: local.mutability.word(),
            dependency_check: local.dependency_check.word(),
            allowed_dependency_repositories: local.allowed_dependency_repositories.as_ref().map(keys),
            dependency_aliases: local
                .dependency_aliases
                .iter()
                .map(|(word, key)| (word.clone(), key.to_string()))
                .collect(),
            allow_new_packages: local.allow_new_packages,
            publish_view: local.publish_view.as_ref().map(ToString::to_string),
            publish: local.publish.word(),
            changes: local.changes.word(),
        }
    }
}

impl Remote {
    fn of(remote: &RemoteSettings) -> Self {
        Self {
            r#type: "remote",
            common: Common::of(&remote.common),
            url: remote.url.clone(),
            public_key: remote.public_keys.iter().map(public_key).collect(),
            signature: remote.signature.word(),
            network: remote.network.word(),
            metadata_ttl: duration(remote.metadata_ttl),
            stale_while_revalidate: duration(remote.stale_while_revalidate),
            max_stale: duration(remote.max_stale),
            missing_ttl: duration(remote.missing_ttl),
            docs_ttl: duration(remote.docs_ttl),
            assumed_offline: duration(remote.assumed_offline),
            connect_timeout: duration(remote.connect_timeout),
            read_timeout: duration(remote.read_timeout),
            concurrency: remote.concurrency,
            credentials: remote.credentials.as_ref().map(|source| match source {
                CredentialSource::Env(name) => Credentials { env: Some(name.clone()), file: None },
                CredentialSource::File(file) => Credentials { env: None, file: Some(path(file)) },
            }),
            proxy: remote.proxy.as_ref().map(proxy),
            ca_file: remote.ca_file.as_deref().map(path),
            client_cert: remote.client_cert.as_deref().map(path),
            checksum_changes: remote.checksum_changes.word(),
            on_upstream_delete: remote.on_upstream_delete.word(),
            api_url: remote.api_url.clone(),
            policy: remote.policy.as_ref().map(ToString::to_string),
            advisories: remote.advisories.as_ref().map(|found| Advisories {
                osv: match &found.osv {
                    OsvSource::File { path: file, .. } => path(file),
                    OsvSource::Url { base, file } => format!("{base}/{file}"),
                },
            }),
            private: remote.private,
            metadata: remote.metadata.word(),
            prefetch: remote.prefetch.word(),
            mirror: remote.mirror.as_ref().map(|mirror| Mirror {
                schedule: duration(mirror.schedule),
                packages: mirror.packages.patterns.clone(),
                latest: mirror.latest,
                docs: mirror.docs,
                connections: mirror.connections,
                rate: mirror.rate.map(|rate| rate.to_string()),
            }),
        }
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn duration(value: Duration) -> String {
    duration::print(value)
}

fn public_key(key: &PublicKey) -> String {
    if *key == PublicKey::hexpm() { "hexpm".to_owned() } else { key.to_spki_pem().to_owned() }
}

fn proxy(secret: &Secret) -> String {
    url::redact(secret.expose())
}
