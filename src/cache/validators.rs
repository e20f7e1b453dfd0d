//! HTTP validators, to ask an upstream whether a resource has changed.

/// The validators of a resource, sent to the upstream to ask whether it has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// ETag.
    pub etag: Option<String>,
    /// Last-Modified.
    pub last_modified: Option<String>,
}
