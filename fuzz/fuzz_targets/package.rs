//! Payloads of registry resources, and edits of them.
#![no_main]

use std::borrow::Cow;

use hexkeep::hex::index::Index;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::hex::splice;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, payload)) = bytes.split_first() else { return };
    let name = "other".parse().expect("a name");
    let resource = match kind % 4 {
        0 => RegistryResource::Names,
        1 => RegistryResource::Versions,
        2 => RegistryResource::Package("foo".parse().expect("a name")),
        _ => RegistryResource::Policy("foo".parse().expect("a name")),
    };
    let even = |text: &str| text.len() % 2 == 0;
    // On anything at all: no panic.
    let kept = splice::retain_packages(payload, &even);
    let released = splice::drop_releases_from_package(payload, &even);
    let listed = splice::drop_releases_from_versions(payload, &|_, version| even(version));
    let renamed = splice::set_repository(&resource, payload, &name);
    if Index::decode(&resource, payload).is_err() {
        return;
    }
    // On what decodes: the edit works, and what it made decodes.
    let edited = match resource {
        RegistryResource::Names => vec![kept],
        RegistryResource::Versions => {
            let all = splice::drop_releases_from_versions(payload, &|_, _| false).expect("decodes");
            assert!(matches!(all, Cow::Borrowed(_)));
            vec![kept, listed]
        }
        RegistryResource::Package(_) => vec![released],
        RegistryResource::Policy(_) => vec![],
    };
    for edited in edited {
        let edited = edited.expect("what decodes can be edited");
        assert!(edited.len() <= payload.len());
        Index::decode(&resource, &edited).expect("what was edited decodes");
    }
    let renamed = renamed.expect("what decodes can be renamed");
    let index = Index::decode(&resource, &renamed).expect("what was renamed decodes");
    assert_eq!(index.repository(), "other");
});
