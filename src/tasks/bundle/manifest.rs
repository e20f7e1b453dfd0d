//! The manifest of a bundle: `hexkeep-bundle.json`, its first file.
//!
//! It contains no time and no host name, so that the same releases in the same state result in the same bytes. Names
//! are parsed into their types once, in [`Plan::of`]; no text of a bundle is used as a path on a disk.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::hex::checksum::{Sha256, Sha512};
use crate::hex::installs::{List, ListedChecksum};
use crate::hex::limits;
use crate::hex::resource::{ArtifactName, RegistryResource};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// SHA-256, in JSON as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub Sha256);

impl TryFrom<String> for Digest {
    type Error = crate::hex::checksum::ChecksumError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Sha256::from_hex(&text).map(Self)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.to_string()
    }
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Digest of the manifest of the earlier bundle that this one depends on.
    pub since: Option<Digest>,
    /// Repositories, ordered by key.
    pub repositories: Vec<Part>,
    /// Installer lists, each with its signature.
    pub lists: Vec<Named>,
    /// The files in these lists.
    pub installers: Vec<Installer>,
    /// The files of this bundle, in order.
    pub objects: Vec<Object>,
    /// Files that are in the earlier bundle.
    pub elsewhere: Vec<Object>,
}

/// The contents from one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Key of the repository on the server that created the bundle.
    pub key: String,
    /// Name of the repository in signed payloads.
    pub name: String,
    /// Signed resources by path: `packages/jason`.
    pub resources: Vec<Named>,
    /// Tarballs, named by release: `jason-1.4.4`.
    pub tarballs: Vec<Tarball>,
    /// Documentation archives, named by release.
    pub docs: Vec<Named>,
    /// Exemptions for lock files.
    pub exemptions: Vec<Exemption>,
}

/// A file with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
    pub sha256: Digest,
}

/// The tarball of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tarball {
    pub name: String,
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// Inner checksum, if its index has no other checksum.
    pub inner: Option<Digest>,
}

/// An installer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installer {
    pub sha256: Digest,
    /// Checksum in the installer list, if that is not `sha256`.
    pub sha512: Option<String>,
}

/// An exemption of a release in a view; see the table `exemptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    pub view: String,
    pub package: String,
    pub version: String,
    pub checksum: String,
    pub delivered: Option<Timestamp>,
    /// Left out if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub licences_known: bool,
    pub advisory_since: Option<Timestamp>,
    pub retirement_since: Option<Timestamp>,
    /// This field and the next two are left out if they have no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences_since: Option<Timestamp>,
    pub pinned: Option<Timestamp>,
    pub pinned_until: Option<Timestamp>,
    pub pinned_by: Option<String>,
    pub pin_reason: Option<String>,
}

/// A file, identified by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// Why a manifest is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not the expected JSON.
    #[error("its JSON cannot be parsed")]
    Json(#[source] serde_json::Error),
    /// A name is invalid.
    #[error("it contains the invalid name `{0}`")]
    Name(String),
    /// A file is used but not listed.
    #[error("it uses the file {0} without listing it")]
    NoObject(Sha256),
    /// A file is listed twice, is not used, or is in the wrong order.
    #[error("its file {0} is unused, duplicate or in the wrong order")]
    Place(Sha256),
    /// A file is too large.
    #[error("its file {0} is larger than the limit")]
    Size(Sha256),
}

/// The purpose of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// A signed resource.
    Resource {
        /// Index of its repository in the manifest.
        part: usize,
        /// The resource.
        resource: RegistryResource,
    },
    /// A tarball.
    Tarball {
        /// Index of its repository in the manifest.
        part: usize,
        /// The release.
        name: ArtifactName,
        /// Its inner checksum, if its index has no other checksum.
        inner: Option<Sha256>,
    },
    /// Documentation.
    Docs {
        /// Index of its repository in the manifest.
        part: usize,
        /// The release.
        name: ArtifactName,
    },
    /// An installer list.
    List(List),
    /// An installer, with its checksum in the list.
    Installer(ListedChecksum),
}

impl Use {
    /// Position in the bundle: files with a lower rank come first, so that a file comes before those that refer to it.
    fn rank(&self) -> u8 {
        match self {
            Self::Tarball { .. } | Self::Docs { .. } | Self::Installer(_) => 0,
            Self::List(_) => 1,
            Self::Resource { resource: RegistryResource::Names | RegistryResource::Versions, .. } => 3,
            Self::Resource { .. } => 2,
        }
    }

    fn max(&self) -> u64 {
        match self {
            Self::Tarball { .. } | Self::Docs { .. } | Self::Installer(_) => limits::DOWNLOAD,
            Self::List(_) => (2 * limits::INSTALLS_LIST) as u64,
            Self::Resource { .. } => limits::ENVELOPE as u64,
        }
    }

    /// Whether the file is a list or an index, which is read into memory.
    pub(super) fn is_listing(&self) -> bool {
        self.rank() > 0
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { resource, .. } => resource.fmt(f),
            Self::Tarball { name, .. } => f.write_str(&name.tarball_path()),
            Self::Docs { name, .. } => f.write_str(&name.docs_path()),
            Self::List(list) => list.fmt(f),
            Self::Installer(checksum) => write!(f, "the installer {checksum}"),
        }
    }
}

/// A manifest with parsed names.
#[derive(Debug)]
pub struct Plan {
    /// Purposes of each file.
    pub uses: HashMap<Sha256, Vec<Use>>,
}

impl Manifest {
    /// Sorts the files, so that each file comes before those that refer to it.
    pub(super) fn arrange(&mut self) -> Result<(), ManifestError> {
        let uses = uses(self)?;
        let rank = |object: &Object| uses.get(&object.sha256.0).and_then(|uses| uses.iter().map(Use::rank).max());
        self.objects.sort_by_key(|object| (rank(object), object.sha256));
        self.elsewhere.sort_by_key(|object| object.sha256);
        Ok(())
    }
}

impl Plan {
    /// Parses the names of a manifest, and checks the order of its files.
    pub fn of(manifest: &Manifest) -> Result<Self, ManifestError> {
        let uses = uses(manifest)?;
        let mut known: BTreeMap<Sha256, bool> = BTreeMap::new();
        let mut last = 0;
        for (object, here) in
            manifest.objects.iter().map(|object| (object, true)).chain(manifest.elsewhere.iter().map(|o| (o, false)))
        {
            let digest = object.sha256.0;
            let of = uses.get(&digest).ok_or(ManifestError::Place(digest))?;
            let rank = of.iter().map(Use::rank).max().unwrap_or_default();
            if of.iter().any(|one| one.rank() != rank) {
                return Err(ManifestError::Place(digest));
            }
            if known.insert(digest, here).is_some() || (here && rank < last) {
                return Err(ManifestError::Place(digest));
            }
            if here {
                last = rank;
            }
            if of.iter().any(|one| object.size > one.max()) {
                return Err(ManifestError::Size(digest));
            }
        }
        match uses.keys().find(|digest| !known.contains_key(digest)) {
            Some(digest) => Err(ManifestError::NoObject(*digest)),
            None => Ok(Self { uses }),
        }
    }
}

fn uses(manifest: &Manifest) -> Result<HashMap<Sha256, Vec<Use>>, ManifestError> {
    let mut uses: HashMap<Sha256, Vec<Use>> = HashMap::new();
    let mut add = |digest: Digest, one: Use| uses.entry(digest.0).or_default().push(one);
    let bad = |name: &str| ManifestError::Name(name.chars().take(limits::EXCERPT).collect());
    let release = |name: &str| ArtifactName::parse_tarball(&format!("{name}.tar")).map_err(|_| bad(name));
    for (part, of) in manifest.repositories.iter().enumerate() {
        for one in &of.resources {
            let resource = RegistryResource::of_path(&one.name).ok_or_else(|| bad(&one.name))?;
            add(one.sha256, Use::Resource { part, resource });
        }
        for one in &of.tarballs {
            let inner = one.inner.map(|inner| inner.0);
            add(one.sha256, Use::Tarball { part, name: release(&one.name)?, inner });
        }
        for one in &of.docs {
            add(one.sha256, Use::Docs { part, name: release(&one.name)? });
        }
    }
    for one in &manifest.lists {
        let list = List::from_file_name(&one.name).ok_or_else(|| bad(&one.name))?;
        add(one.sha256, Use::List(list));
    }
    for one in &manifest.installers {
        let listed = match &one.sha512 {
            Some(text) => ListedChecksum::Sha512(Sha512::from_hex(text).map_err(|_| bad(text))?),
            None => ListedChecksum::Sha256(one.sha256.0),
        };
        add(one.sha256, Use::Installer(listed));
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest(Sha256::of(text.as_bytes()))
    }

    fn object(text: &str) -> Object {
        Object { sha256: digest(text), size: text.len() as u64 }
    }

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            since: None,
            repositories: vec![Part {
                key: "hexpm".into(),
                name: "hexpm".into(),
                resources: vec![
                    Named { name: "names".into(), sha256: digest("names") },
                    Named { name: "packages/jason".into(), sha256: digest("index") },
                ],
                tarballs: vec![Tarball { name: "jason-1.4.4".into(), sha256: digest("tarball"), inner: None }],
                docs: vec![],
                exemptions: vec![],
            }],
            lists: vec![],
            installers: vec![],
            objects: vec![object("names"), object("index"), object("tarball")],
            elsewhere: vec![],
        }
    }

    #[test]
    fn files_come_before_what_speaks_of_them() {
        let mut manifest = manifest();
        assert!(matches!(Plan::of(&manifest), Err(ManifestError::Place(_))));
        manifest.arrange().unwrap();
        let order: Vec<Digest> = manifest.objects.iter().map(|object| object.sha256).collect();
        assert_eq!(order, ["tarball", "index", "names"].map(digest));
        assert_eq!(Plan::of(&manifest).unwrap().uses.len(), 3);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let sound = || {
            let mut manifest = manifest();
            manifest.arrange().unwrap();
            manifest
        };
        let refusal = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = sound();
            change(&mut manifest);
            Plan::of(&manifest).unwrap_err()
        };
        assert!(matches!(refusal(&|m| m.objects.push(object("more"))), ManifestError::Place(_)));
        assert!(matches!(refusal(&|m| m.elsewhere.push(object("names"))), ManifestError::Place(_)));
        assert!(matches!(refusal(&|m| m.objects.truncate(2)), ManifestError::NoObject(_)));
        assert!(matches!(refusal(&|m| m.objects[1].size = 1 << 40), ManifestError::Size(_)));
        for name in ["../../etc/passwd", "packages/../x", "packages/a/b", "tarballs/a-1.0.0.tar", ""] {
            let refused = refusal(&|m| m.repositories[0].resources[0].name = name.into());
            assert!(matches!(refused, ManifestError::Name(_)), "{name}");
        }
        assert!(matches!(
            refusal(&|m| m.repositories[0].tarballs[0].name = "../x-1.0.0".into()),
            ManifestError::Name(_)
        ));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = serde_json::to_string(&manifest()).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest());
        assert!(serde_json::from_str::<Manifest>(&text.replace("\"since\"", "\"sins\"")).is_err());
    }
}
