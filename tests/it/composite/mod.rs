//! Virtual repositories: one address for several, in which nobody slips anything in under a private name.

mod absence;
mod api;
mod claims;
mod explain;
mod failures;
mod guard;
mod hearing;
mod merging;
mod publishing;
mod remade;
mod rights;
mod silence;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Dependency, Names, Package, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::trust::{Origin, PublicKey, verify};
use prost::Message as _;
use reqwest::Method;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::{self, package};
use super::support::registry::TestRegistry;
use super::support::upstream::ScriptedUpstream;

/// The remote and the local member of the drop-in set-up.
const MEMBERS: [&str; 2] =
    ["upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\" }", "acme: { type: local }"];

/// A daemon whose default repository `hexpm` unites the members above, with more settings in YAML flow.
async fn drop_in(settings: &str) -> Hub {
    united(&format!("members: [acme, upstream]{settings}"), &[]).await
}

/// The same with other members; `more` are more repositories.
async fn united(settings: &str, more: &[String]) -> Hub {
    let mut instead: Vec<String> = MEMBERS.iter().map(|member| (*member).to_owned()).collect();
    instead.push(format!("hexpm: {{ type: virtual, {settings} }}"));
    instead.extend(more.iter().cloned());
    Hub::with(Wishes { instead, ..Wishes::default() }).await
}

/// A private registry elsewhere, and the line that makes it a repository here.
struct Elsewhere {
    upstream: ScriptedUpstream,
    registry: TestRegistry,
}

impl Elsewhere {
    async fn new(name: &str) -> Self {
        Self { upstream: ScriptedUpstream::start().await, registry: TestRegistry::new(name) }
    }

    fn publish(&self) {
        self.registry.publish(&self.upstream);
    }

    fn line(&self, settings: &str) -> String {
        let name = &self.registry.name;
        format!("{name}: {{ type: remote, url: \"{}\", public_key: \"{{key}}\"{settings} }}", self.upstream.url())
    }
}

impl Hub {
    /// A GET below the root with a key; without one where it is empty.
    async fn fetch(&self, key: &str, path: &str) -> Answer {
        match key {
            "" => self.get(path).await,
            key => self.get_with(path, &[("authorization", key)]).await,
        }
    }

    /// The payload of a resource below `base`, verified with the key that is handed out there.
    async fn payload(&self, key: &str, base: &str, name: &str, resource: &RegistryResource) -> Bytes {
        let answer = self.fetch(key, &format!("{base}/{}", resource.path())).await;
        assert_eq!(answer.status, 200, "{resource:?}: {}", answer.text());
        let pem = self.get(&format!("{base}/public_key")).await.text();
        let public_key = PublicKey::from_pem(&pem).unwrap();
        let repository: RepoName = name.parse().unwrap();
        let envelope = Envelope::open(answer.body, resource.max_payload()).unwrap();
        let origin = Origin { repository: &repository, resource };
        verify(envelope, &[public_key], &origin).unwrap().payload().clone()
    }

    /// `packages/NAME` of the default repository.
    async fn shown(&self, key: &str, name: &str) -> Package {
        let resource = RegistryResource::Package(name.parse().unwrap());
        Package::decode(self.payload(key, "", "hexpm", &resource).await).unwrap()
    }

    /// The names that `names` lists, and those that `versions` does, which are the same.
    async fn listed(&self, key: &str) -> Vec<String> {
        let names = Names::decode(self.payload(key, "", "hexpm", &RegistryResource::Names).await).unwrap();
        let names: Vec<String> = names.packages.into_iter().map(|package| package.name).collect();
        let versions = self.versions(key).await;
        assert_eq!(names, versions.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        names
    }

    /// The versions of each package in `versions`.
    async fn versions(&self, key: &str) -> Vec<(String, Vec<String>)> {
        let versions = Versions::decode(self.payload(key, "", "hexpm", &RegistryResource::Versions).await).unwrap();
        versions.packages.into_iter().map(|package| (package.name, package.versions)).collect()
    }

    /// The versions of a package, in the order of the index.
    async fn releases(&self, key: &str, name: &str) -> Vec<String> {
        self.shown(key, name).await.releases.into_iter().map(|release| release.version).collect()
    }

    /// Publishes to the default repository, as mix does.
    async fn publish_here(&self, key: &str, name: &str, version: &str, more: &str) -> Answer {
        let path = format!("/api/packages/{name}/releases");
        let tarball = package(name, version, more);
        self.call(Method::POST, &path, key, "application/octet-stream", Some(tarball)).await
    }

    /// The same, which has to succeed.
    async fn published_here(&self, key: &str, name: &str, version: &str) -> Bytes {
        let answer = self.publish_here(key, name, version, "").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        package(name, version, "")
    }
}

/// A requirement of a package, as mix writes it for what has no repository of its own.
fn requires(name: &str) -> String {
    local::requires(name, "hexpm")
}

/// A dependency in an upstream's index.
fn depends(name: &str) -> Dependency {
    Dependency { package: name.to_owned(), requirement: "~> 1.0".to_owned(), ..Dependency::default() }
}

/// Name and repository of each dependency of a package's first release.
fn dependencies(package: &Package) -> Vec<(String, Option<String>)> {
    let found = package.releases[0].dependencies.iter();
    found.map(|dependency| (dependency.package.clone(), dependency.repository.clone())).collect()
}

fn etag_of(tarball: &[u8]) -> String {
    format!("\"{}\"", Sha256::of(tarball))
}
