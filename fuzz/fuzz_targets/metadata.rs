//! `metadata.config`.
#![no_main]

use hexkeep::hex::metadata::Metadata;
use hexkeep::hex::requirement::Requirement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(metadata) = Metadata::read(bytes) else { return };
    assert_eq!(Metadata::name_of(bytes).as_ref(), Ok(&metadata.name));
    assert!(metadata.name.as_str().len() >= 2);
    assert!(!metadata.version.as_str().contains('+'));
    assert!(!metadata.build_tools.is_empty());
    for dependency in &metadata.requirements {
        assert!(dependency.requirement.parse::<Requirement>().is_ok());
    }
});
