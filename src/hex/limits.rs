//! Every maximum of the program, in one place. May import nothing.
//!
//! The order is always: limit, then hash, then parse. Sizes are bytes unless the name says otherwise.

/// Length of a package name. hex.pm has no limit of its own beyond its database's; the longest names are near 60.
pub const PACKAGE_NAME: usize = 128;

/// Length of a repository name.
pub const REPO_NAME: usize = 64;

/// Length of a policy name, as hex.pm limits it.
pub const POLICY_NAME: usize = 64;

/// Length of the text of a version. hex.pm allows at most 109 (three numbers of 14 digits, a pre-release of 64 bytes).
pub const VERSION: usize = 192;

/// Segments of a request path below a base (`installs/1.18.0/hex-2.1.1.ez` has three).
pub const PATH_SEGMENTS: usize = 8;

/// Text of one PEM file. An RSA key of 8192 bits takes less than 8 KiB.
pub const PEM: usize = 64 * 1024;

/// Smallest RSA modulus that clients accept.
pub const RSA_MIN_BITS: usize = 2048;

/// Largest RSA modulus that clients accept.
pub const RSA_MAX_BITS: usize = 8192;
