//! Request paths.
#![no_main]

use hexkeep::hex::resource::Resource;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let segments: Vec<&str> = path.split('/').collect();
    if let Ok(resource) = Resource::parse(&segments) {
        assert_eq!(resource.path(), path);
        assert!(segments.iter().all(|segment| !segment.is_empty() && *segment != "." && *segment != ".."));
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
    }
});
