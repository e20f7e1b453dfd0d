//! Work on the whole store, started by an administrator. May import ground, `hex`, `store`, `cache`, `repository`.

pub mod scrub;
