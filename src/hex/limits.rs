//! Every maximum of the program, in one place.
//!
//! The order is always: limit, then hash, then parse. Sizes are bytes unless the name says otherwise.

use std::time::Duration;

/// Length of a package name. hex.pm has no limit of its own beyond its database's; the longest names are near 60.
pub const PACKAGE_NAME: usize = 128;

/// Length of a repository name.
pub const REPO_NAME: usize = 64;

/// Length of a policy name, as hex.pm limits it.
pub const POLICY_NAME: usize = 64;

/// Length of the text of a version. hex.pm allows at most 109 (three numbers of 14 digits, a pre-release of 64 bytes).
pub const VERSION: usize = 192;

/// Characters of the name by which a program that asks to be let in calls itself; what is longer is cut.
pub const PROGRAM_NAME: usize = 64;

/// Text of one PEM file. An RSA key of 8192 bits takes less than 8 KiB.
pub const PEM: usize = 64 * 1024;

/// Smallest RSA modulus that clients accept.
pub const RSA_MIN_BITS: usize = 2048;

/// Largest RSA modulus that clients accept.
pub const RSA_MAX_BITS: usize = 8192;

/// A registry resource as it comes, compressed. hex.pm's largest, `versions`, has about 1 MiB.
pub const ENVELOPE: usize = 32 * 1024 * 1024;

/// What an envelope has beside its payload: signature, tags, fields yet unknown.
pub const ENVELOPE_OVERHEAD: usize = 64 * 1024;

/// A signature; RSA of 8192 bits.
pub const SIGNATURE: usize = RSA_MAX_BITS / 8;

/// How many times its compressed size a registry resource may have. Checksums do not compress, so real ones stay
/// below a tenth of this; a gzip bomb reaches a thousand.
pub const GZIP_RATIO: usize = 250;

/// Below this size the ratio does not count.
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

/// A package's tarball; what Hex 2.3 and later accept.
pub const TARBALL: usize = 16 * 1024 * 1024;

/// A documentation archive; as large as a tarball may be.
pub const DOCS: usize = TARBALL;

/// `VERSION` inside a tarball.
pub const TARBALL_VERSION: usize = 32;

/// `CHECKSUM` inside a tarball.
pub const TARBALL_CHECKSUM: usize = 128;

/// `metadata.config` inside a tarball.
pub const TARBALL_METADATA: usize = 1024 * 1024;

/// Parts of `metadata.config`: every item, key and value counts. A package may name as many files as an archive has, and
/// 1,000 dependencies.
pub const METADATA_PARTS: usize = ARCHIVE_ENTRIES + 16 * 1024;

/// Licences, links, maintainers and build tools of a package, each.
pub const METADATA_TEXTS: usize = 1024;

/// What a package's metadata adds under `extra`, as JSON: every list of packages repeats it.
pub const EXTRA: usize = 64 * 1024;

/// How much of a foreign text an error message repeats, in characters.
pub const EXCERPT: usize = 64;

/// A tarball that is passed on. Clients refuse more than 16 MiB unless they are told otherwise, which private
/// registries do tell them.
pub const DOWNLOAD: u64 = 256 * 1024 * 1024;

/// A list of installers. The longest of builds.hex.pm has some hundred kilobytes.
pub const INSTALLS_LIST: usize = 4 * 1024 * 1024;

/// The signature of a list of installers: base64.
pub const INSTALLS_SIGNATURE: usize = 4 * 1024;

/// The last bytes of a file that is being fetched, held back until its digest has matched. A file that is not larger
/// is answered only when it is whole.
pub const HELD_BACK: u64 = 64 * 1024;

/// Requests to the API of an upstream in a minute. hex.pm allows an address 100, and we may not be alone behind ours.
pub const UPSTREAM_API_PER_MINUTE: usize = 80;

/// Requests to the API of an upstream at one time.
pub const UPSTREAM_API_CONCURRENCY: usize = 4;

/// An answer of the API of an upstream.
pub const UPSTREAM_API_ANSWER: usize = 8 * 1024 * 1024;

/// How much of a request's body a route reads that is no upload. Each route declares one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// Length.
    pub bytes: usize,
    /// Every key and every value counts, also a list and what is in it.
    pub parts: usize,
    /// Lists and maps within one another.
    pub depth: usize,
}

/// Body of a request for keys, OAuth, members, owners, users, retirement, orders, forms of pages: a key with 100
/// permissions has less than 8 KiB and 500 parts.
pub const SMALL_BODY: BodyLimit = BodyLimit { bytes: 16 * 1024, parts: 1024, depth: 8 };

/// Body of a request that carries what lock files name, as hex.pm limits bodies. A dependency has five fields.
pub const LOCK_BODY: BodyLimit = BodyLimit { bytes: 8 * 1024 * 1024, parts: 12 * LOCKED, depth: 8 };

/// Parameters in the query of an address; clients send fewer than ten.
pub const QUERY_PARAMETERS: usize = 64;

/// How long such a body may take, whole.
pub const API_BODY_TIME: Duration = Duration::from_secs(60);

/// How long an upload may take, whole, however steadily it comes: sixteen megabytes at 27 KiB a second.
pub const UPLOAD_TIME: Duration = Duration::from_secs(600);

/// How long the next bytes of a request's body may take.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// Bytes a second at which a request's body has to come in, on the whole.
pub const BODY_RATE: u64 = 1024;

/// How long a client may take for the rest of a body that nobody reads.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What is read and dropped of a body that nobody wants, so that the client gets its answer.
pub const DRAINED: usize = 20 * 1024 * 1024;

/// Nesting of an Erlang term.
pub const TERM_DEPTH: usize = 64;

/// Parts of an Erlang term: every item, key and value counts.
pub const TERM_PARTS: usize = 1_000_000;

/// Bytes, or decimal digits, of a large integer.
pub const TERM_BIG: usize = 256;

/// Text of a version requirement.
pub const REQUIREMENT: usize = 1024;

/// A package's files, or those of documentation, unpacked.
pub const UNPACKED: u64 = 128 * 1024 * 1024;

/// Files in an archive.
pub const ARCHIVE_ENTRIES: usize = 65_536;

/// Path of a file in an archive.
pub const ARCHIVE_PATH: usize = 4096;

/// Folders that a file in an archive lies in, one within the other.
pub const ARCHIVE_DEPTH: usize = 64;

/// Entries of the outer tar; a package has four.
pub const OUTER_ENTRIES: usize = 64;

/// The manifest of a bundle: about 300 bytes for each release.
pub const BUNDLE_MANIFEST: usize = 64 * 1024 * 1024;

/// The signature of a bundle with its key.
pub const BUNDLE_SIGNATURE: usize = 16 * 1024;

/// Text of a lock file. The largest projects have some hundred dependencies and less than 100 KiB.
pub const LOCK: usize = 4 * 1024 * 1024;

/// Dependencies in a lock file.
pub const LOCKED: usize = 20_000;

/// Releases that are brought because something that depends on them was asked for, for each such thing.
pub const CLOSURE: usize = 200;

/// Things that were asked for and whose dependencies are still to be looked for.
pub const ASKED: usize = 256;

/// Things that were asked for of which that is remembered.
pub const ASKED_KNOWN: u64 = 20_000;

/// What a lock file calls a repository: `hexpm`, `hexpm:acme`, or any name that a client has given it.
pub const CLIENT_REPOSITORY: usize = 128;

/// Requests a second to evaluate what nobody has asked for, of all repositories together.
pub const EVALUATIONS_PER_SECOND: u32 = 4;

/// A dump of advisories; that of all of Hex has some hundred kilobytes.
pub const OSV_DUMP: usize = 64 * 1024 * 1024;

/// Files of one.
pub const OSV_FILES: usize = 65_000;

/// One of them, unpacked.
pub const OSV_FILE: usize = 4 * 1024 * 1024;

/// All of them, unpacked.
pub const OSV_CONTENT: usize = 256 * 1024 * 1024;
