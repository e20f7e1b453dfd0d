//! What the tests share.

use std::time::Duration;

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

/// Nothing that a test waits for takes this long, however much else the machine has to do: it only keeps a broken test
/// from hanging.
pub(crate) const SAFETY: Duration = Duration::from_secs(60);
