//! All limits of the program.
//!
//! Input is always checked in this order: limit, hash, parse. Sizes are in bytes unless stated otherwise.

use std::time::Duration;

/// Length of a package name. hex.pm's only limit is that of its database; its longest names have about 60 characters.
pub const PACKAGE_NAME: usize = 128;

/// Length of a repository name.
pub const REPO_NAME: usize = 64;

/// Length of a policy name; the limit of hex.pm.
pub const POLICY_NAME: usize = 64;

/// A password.
pub const PASSWORD: usize = 1024;

/// Length of the text of a version. hex.pm allows at most 109 (three numbers of 14 digits, a pre-release of 64 bytes).
pub const VERSION: usize = 192;

/// Characters of the name of a program that requests access (OAuth device flow). A longer name is cut.
pub const PROGRAM_NAME: usize = 64;

/// The text of a PEM file. An RSA key of 8192 bits takes less than 8 KiB.
pub const PEM: usize = 64 * 1024;

/// Smallest RSA modulus that clients accept.
pub const RSA_MIN_BITS: usize = 2048;

/// Largest RSA modulus that clients accept.
pub const RSA_MAX_BITS: usize = 8192;

/// A compressed registry resource. hex.pm's largest, `versions`, has about 1 MiB.
pub const ENVELOPE: usize = 32 * 1024 * 1024;

/// The parts of an envelope beside its payload: signature, tags, unknown fields.
pub const ENVELOPE_OVERHEAD: usize = 64 * 1024;

/// A signature; RSA of 8192 bits.
pub const SIGNATURE: usize = RSA_MAX_BITS / 8;

/// The largest ratio of the uncompressed to the compressed size of a registry resource. Checksums do not compress, so
/// real resources stay below a tenth of this; a gzip bomb reaches a thousand.
pub const GZIP_RATIO: usize = 250;

/// Below this uncompressed size the ratio is not checked.
pub const GZIP_RATIO_FLOOR: usize = 1024 * 1024;

/// Payload of `names` and `versions`. hex.pm's `versions` has about 3 MiB.
pub const BULK_PAYLOAD: usize = 64 * 1024 * 1024;

/// Payload of `packages/NAME`. hex.pm's largest has about 1 MiB.
pub const PACKAGE_PAYLOAD: usize = 16 * 1024 * 1024;

/// Payload of `policies/NAME`.
pub const POLICY_PAYLOAD: usize = 1024 * 1024;

/// Packages in one repository.
pub const PACKAGES: usize = 1_000_000;

/// Releases of one package. The busiest packages of hex.pm have about 1,500.
pub const RELEASES: usize = 50_000;

/// Advisories of one package.
pub const ADVISORIES: usize = 10_000;

/// Dependencies of one release.
pub const DEPENDENCIES: usize = 10_000;

/// The tarball of a package; the limit of Hex 2.3 and later.
pub const TARBALL: usize = 16 * 1024 * 1024;

/// A documentation archive; as large as a tarball may be.
pub const DOCS: usize = TARBALL;

/// `VERSION` inside a tarball.
pub const TARBALL_VERSION: usize = 32;

/// `CHECKSUM` inside a tarball.
pub const TARBALL_CHECKSUM: usize = 128;

/// `metadata.config` inside a tarball.
pub const TARBALL_METADATA: usize = 1024 * 1024;

/// Parts of `metadata.config`: every item, key and value counts. Enough for as many files as an archive may have, and
/// 1,000 dependencies.
pub const METADATA_PARTS: usize = ARCHIVE_ENTRIES + 16 * 1024;

/// The number of licences, of links, of maintainers and of build tools of a package.
pub const METADATA_TEXTS: usize = 1024;

/// The value of `extra` in the metadata of a package, as JSON. It is small because every list of packages repeats it.
pub const EXTRA: usize = 64 * 1024;

/// How much of an untrusted text an error message quotes, in characters.
pub const EXCERPT: usize = 64;

/// A tarball that is downloaded from an upstream. Clients reject more than 16 MiB unless they are configured otherwise,
/// as users of private registries do.
pub const DOWNLOAD: u64 = 256 * 1024 * 1024;

/// A list of installers. The longest of builds.hex.pm has a few hundred kilobytes.
pub const INSTALLS_LIST: usize = 4 * 1024 * 1024;

/// The signature of a list of installers: base64.
pub const INSTALLS_SIGNATURE: usize = 4 * 1024;

/// The number of bytes at the end of a download that are not sent to the client until the digest of the file has been
/// verified. A file that is not larger is sent only when it is complete.
pub const HELD_BACK: u64 = 64 * 1024;

/// Requests per minute to the API of an upstream. hex.pm allows 100 for each IP address, which this server may share
/// with others.
pub const UPSTREAM_API_PER_MINUTE: usize = 80;

/// Requests to the API of an upstream at one time.
pub const UPSTREAM_API_CONCURRENCY: usize = 4;

/// An answer of the API of an upstream.
pub const UPSTREAM_API_ANSWER: usize = 8 * 1024 * 1024;

/// The limits of the body of a request that is not an upload. Each route uses one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// The size in bytes.
    pub bytes: usize,
    /// The number of parts. Every key, every value, every list and every item counts.
    pub parts: usize,
    /// The depth of nested lists and maps.
    pub depth: usize,
}

/// Body of a request about keys, OAuth, members, owners, users and retirement, of administrative requests, and of forms
/// on pages. A key with 100 permissions has less than 8 KiB and 500 parts.
pub const SMALL_BODY: BodyLimit = BodyLimit { bytes: 16 * 1024, parts: 1024, depth: 8 };

/// Body of a request with the contents of lock files; the limit of hex.pm. A dependency has five fields.
pub const LOCK_BODY: BodyLimit = BodyLimit { bytes: 8 * 1024 * 1024, parts: 12 * LOCKED, depth: 8 };

/// Parameters in the query of a URL. Clients send fewer than ten.
pub const QUERY_PARAMETERS: usize = 64;

/// The longest time for the body of a request that is not an upload.
pub const API_BODY_TIME: Duration = Duration::from_secs(60);

/// The longest time for an upload, however steadily it arrives: 16 MiB at 27 KiB per second.
pub const UPLOAD_TIME: Duration = Duration::from_secs(600);

/// The longest time between two pieces of the body of a request.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// The smallest average rate of the body of a request, in bytes per second.
pub const BODY_RATE: u64 = 1024;

/// The longest time for the rest of a body that is discarded.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

/// How many bytes of an unwanted body are read and discarded, so that the client receives the answer.
pub const DRAINED: usize = 20 * 1024 * 1024;

/// The nesting depth of an Erlang term.
pub const TERM_DEPTH: usize = 64;

/// Parts of an Erlang term: every item, key and value counts.
pub const TERM_PARTS: usize = 1_000_000;

/// Bytes, or decimal digits, of a large integer.
pub const TERM_BIG: usize = 256;

/// Text of a version requirement.
pub const REQUIREMENT: usize = 1024;

/// The files of a package or of documentation, unpacked.
pub const UNPACKED: u64 = 128 * 1024 * 1024;

/// Files in an archive.
pub const ARCHIVE_ENTRIES: usize = 65_536;

/// Path of a file in an archive.
pub const ARCHIVE_PATH: usize = 4096;

/// The depth of folders in an archive.
pub const ARCHIVE_DEPTH: usize = 64;

/// Entries of the outer tar; a package has four.
pub const OUTER_ENTRIES: usize = 64;

/// The manifest of a bundle: about 300 bytes for each release.
pub const BUNDLE_MANIFEST: usize = 64 * 1024 * 1024;

/// The signature of a bundle, with the public key.
pub const BUNDLE_SIGNATURE: usize = 16 * 1024;

/// Text of a lock file. The largest projects have a few hundred dependencies and less than 100 KiB.
pub const LOCK: usize = 4 * 1024 * 1024;

/// Dependencies in a lock file.
pub const LOCKED: usize = 20_000;

/// Releases that are prefetched as dependencies of one requested release.
pub const CLOSURE: usize = 200;

/// The length of the queue of requested releases whose dependencies are still to be prefetched.
pub const PREFETCH_QUEUE: usize = 256;

/// The number of requested releases that are remembered, so that their dependencies are not prefetched again.
pub const ASKED_KNOWN: u64 = 20_000;

/// The name of a repository in a lock file: `hexpm`, `hexpm:acme`, or any name that the client configured.
pub const CLIENT_REPOSITORY: usize = 128;

/// Requests per second, over all repositories, to evaluate packages that no client has requested.
pub const EVALUATIONS_PER_SECOND: u32 = 4;

/// A dump of advisories. That of all Hex packages has a few hundred kilobytes.
pub const OSV_DUMP: usize = 64 * 1024 * 1024;

/// Files in a dump of advisories.
pub const OSV_FILES: usize = 65_000;

/// One file in a dump of advisories, unpacked.
pub const OSV_FILE: usize = 4 * 1024 * 1024;

/// All files in a dump of advisories, unpacked.
pub const OSV_CONTENT: usize = 256 * 1024 * 1024;
