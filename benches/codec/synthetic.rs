//! Registries of hex.pm's size, made of nothing but numbers, and rules of a view of them: the same on every machine.

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Dependency, Names, Package, Release, Timestamp, Versions, names, versions};
use hexkeep::policy::merge::{Origins, Rendered, SelectProviders};
use prost::Message;

/// The first member that has a package owns it.
pub(crate) struct First;

impl SelectProviders for First {
    fn choose(&self, _package: &str, parts: &mut Vec<usize>) {
        parts.truncate(1);
    }
}

/// Every second dependency lives in the view.
pub(crate) struct EverySecond;

impl Origins for EverySecond {
    fn rendered(&self, _part: usize, package: &str, _repository: Option<&str>) -> Rendered {
        if package.ends_with(['0', '2', '4', '6', '8']) { Rendered::Omit } else { Rendered::Keep }
    }
}

/// A registry with as many packages as asked for, and ten releases each on average.
#[derive(Clone)]
pub(crate) struct Registry {
    name: &'static str,
    packages: Vec<(String, Vec<String>)>,
}

impl Registry {
    /// `packages` packages, called after numbers that `seed` shuffles.
    pub(crate) fn new(name: &'static str, prefix: &str, packages: u64, seed: u64) -> Self {
        let mut packages: Vec<_> = (0..packages)
            .map(|n| {
                let random = mix(n ^ seed);
                // From one to some hundreds, mostly few: as on hex.pm.
                let releases =
                    1 + random % 9 + if random.is_multiple_of(40) { random >> 8 & 0xff } else { random >> 8 & 3 };
                (format!("{prefix}{}_{n}", word(random)), (0..releases).map(|v| version(random, v)).collect())
            })
            .collect();
        packages.sort();
        Self { name, packages }
    }

    /// The packages with their versions.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.packages.iter().map(|(name, versions)| (name.as_str(), versions.as_slice()))
    }

    /// One more release of the package at a place.
    pub(crate) fn publish(&mut self, at: usize) {
        let count = self.packages.len();
        let (_, versions) = &mut self.packages[at % count];
        let number = versions.len();
        versions.push(format!("99.{number}.0"));
    }

    /// The payload of `names`.
    pub(crate) fn names(&self) -> Vec<u8> {
        let packages = self.packages.iter().map(|(name, versions)| names::Package {
            name: name.clone(),
            updated_at: Some(time(mix(name.len() as u64), versions.len() as u64)),
        });
        Names { packages: packages.collect(), repository: self.name.to_owned() }.encode_to_vec()
    }

    /// The payload of `versions`.
    pub(crate) fn versions(&self) -> Vec<u8> {
        let packages = self.packages.iter().map(|(name, versions)| versions::Package {
            name: name.clone(),
            versions: versions.clone(),
            retired: if versions.len() % 20 == 3 { vec![0, 2] } else { vec![] },
            with_advisories: if versions.len() % 50 == 7 { vec![1] } else { vec![] },
        });
        Versions { packages: packages.collect(), repository: self.name.to_owned() }.encode_to_vec()
    }
}

/// The payload of `packages/NAME`: `releases` releases with ten dependencies each.
pub(crate) fn package(repository: &str, name: &str, releases: u16) -> Vec<u8> {
    let checksum = |n: u16| Sha256::of(&n.to_be_bytes()).as_bytes().to_vec();
    let dependency = |n: u8| Dependency {
        package: format!("dependency_{n}"),
        requirement: format!("~> {n}.0 or ~> {n}.1"),
        ..Default::default()
    };
    let releases = (0..releases).map(|n| Release {
        version: format!("1.{n}.0"),
        inner_checksum: checksum(n),
        outer_checksum: Some(checksum(n.wrapping_add(1))),
        dependencies: (0..10).map(dependency).collect(),
        published_at: Some(time(n.into(), 0)),
        ..Default::default()
    });
    Package { name: name.into(), repository: repository.into(), releases: releases.collect(), advisories: vec![] }
        .encode_to_vec()
}

fn version(random: u64, place: u64) -> String {
    format!(
        "{}.{}.{}",
        random % 3 + place / 12,
        place % 12,
        if place.is_multiple_of(3) { 0 } else { random >> place & 7 }
    )
}

fn word(random: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ex", "ph", "oenix", "plug", "ecto", "gen", "json", "web", "cow", "boy", "lib", "test", "log", "ma", "ti", "on",
    ];
    let syllable = |shift: u64| SYLLABLES[usize::try_from(random >> shift & 15).unwrap_or_default()];
    format!("{}{}{}", syllable(20), syllable(24), if random >> 32 & 1 == 0 { "" } else { syllable(28) })
}

fn time(random: u64, later: u64) -> Timestamp {
    let seconds = 1_500_000_000 + random % 200_000_000 + later;
    Timestamp {
        seconds: i64::try_from(seconds).unwrap_or_default(),
        nanos: i32::try_from(random % 1000).unwrap_or_default() * 1_000_000,
    }
}

/// SplitMix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
