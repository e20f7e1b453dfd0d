//! Resources of two members, merged.
#![no_main]

use std::collections::BTreeSet;

use hexkeep::hex::index::Index;
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::policy::merge::{self, MemberPart, Origins, Rendered, SelectProviders};
use libfuzzer_sys::fuzz_target;

/// Everybody's share counts.
struct All;

impl SelectProviders for All {
    fn choose(&self, _package: &str, _parts: &mut Vec<usize>) {}
}

/// Every second name is answered by the view.
struct EverySecond;

impl Origins for EverySecond {
    fn rendered(&self, _part: usize, package: &str, _repository: Option<&str>) -> Rendered {
        if package.len() % 2 == 0 { Rendered::Omit } else { Rendered::Keep }
    }
}

fn versions(index: &Index) -> BTreeSet<Box<str>> {
    let releases = index.as_package().map(|package| package.releases.as_slice()).unwrap_or_default();
    releases.iter().map(|release| release.version.clone()).collect()
}

fn merged(view: &RepoName, resource: &RegistryResource, parts: &[&[u8]]) -> Option<Vec<u8>> {
    match resource {
        RegistryResource::Names => merge::names(view, parts, &All).ok(),
        RegistryResource::Versions => merge::versions(view, parts, &All).ok(),
        _ => {
            let hidden = BTreeSet::new();
            let parts: Vec<_> = parts.iter().map(|payload| MemberPart { payload, hidden: &hidden, is_private: false }).collect();
            merge::package(view, &parts, &EverySecond).ok().map(|merged| merged.payload)
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, length, rest @ ..] = bytes else { return };
    let (one, two) = rest.split_at(rest.len().min(usize::from(*length) * 4));
    let view: RepoName = "view".parse().expect("a name");
    let resource = match kind % 3 {
        0 => RegistryResource::Names,
        1 => RegistryResource::Versions,
        _ => RegistryResource::Package("foo".parse().expect("a name")),
    };
    // On anything at all: no panic, and the same parts make the same bytes.
    let result = merged(&view, &resource, &[one, two]);
    assert_eq!(result, merged(&view, &resource, &[one, two]));
    let (Ok(one), Ok(two)) = (Index::decode(&resource, one), Index::decode(&resource, two)) else { return };
    // On what decodes: it is merged, and what was made decodes, is the view's, and has what the parts have.
    let result = result.expect("what decodes can be merged");
    let index = Index::decode(&resource, &result).expect("what was merged decodes");
    assert_eq!(index.repository(), "view");
    assert_eq!(versions(&index), &versions(&one) | &versions(&two));
    // Merged once more alone, it stays as it is.
    assert_eq!(merged(&view, &resource, &[&result]), Some(result.clone()));
});
