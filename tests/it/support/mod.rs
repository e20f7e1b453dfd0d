//! What the tests share.

pub(crate) mod disk;
pub(crate) mod hub;
pub(crate) mod installs;
pub(crate) mod local;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod registry;
pub(crate) mod site;
pub(crate) mod tarballs;
pub(crate) mod tls;
pub(crate) mod upstream;
