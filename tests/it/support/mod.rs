//! What the tests share.

pub(crate) mod tls;
pub(crate) mod upstream;
