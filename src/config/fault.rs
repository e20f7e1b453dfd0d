//! All problems of a configuration, each with a sentence that says what is wrong and what to write instead.
//!
//! A sentence must not contain secrets: values of `credentials`, URLs and the content of referenced files are never
//! quoted.

use std::io;

use crate::hex::name::NameError;
use crate::hex::requirement::RequirementError;
use crate::trust::KeyError;

use super::fields::enumerate;
use super::problem::Excerpt;

/// The problem with a value.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    // The text as a whole.
    /// The configuration file cannot be read.
    #[error("cannot read the file: {0}; use a readable YAML file with --config or HEXKEEP_CONFIG")]
    UnreadableConfig(#[source] io::Error),
    /// The file is not UTF-8.
    #[error("the file is not UTF-8 text; save it as UTF-8")]
    NotUtf8,
    /// The text is too long.
    #[error("the text is longer than {max} bytes; shorten it")]
    TextTooLong { max: usize },
    /// There are too many values.
    #[error("the document has more than {max} values; remove some")]
    TooManyNodes { max: usize },
    /// There are too many levels.
    #[error("the document is nested deeper than {max} levels; no valid configuration is nested that deep")]
    TooDeep { max: usize },
    /// The text is not valid YAML, with the message of the parser.
    #[error("this is not valid YAML: {0}; check indentation, quotes and brackets here and in the line before")]
    Syntax(Excerpt),
    /// There is a `---` in the middle of the file.
    #[error("the file has more than one YAML document; remove the `---` and the other document")]
    SeveralDocuments,
    /// A key is used twice.
    #[error("this key is already on line {first_line}; remove one of the two")]
    DuplicateKey { first_line: usize },
    /// A key is not a text.
    #[error("a key must be a plain text; it cannot be a list, a table or an alias")]
    KeyNotText,
    /// A merge key `<<`.
    #[error("merge keys (`<<`) are not supported; write the values here")]
    MergeKey,
    /// An anchor `&x`.
    #[error(
        "anchors (`&name`) are not supported; write the value in each place, and put a text that begins with `&` in quotes"
    )]
    Anchor,
    /// An alias `*x`.
    #[error("aliases (`*name`) are not supported; write the value here, and put a text that begins with `*` in quotes")]
    Alias,
    /// A tag such as `!!str`.
    #[error(
        "tags (`!name`) are not supported; write the value without a tag, and put a text that begins with `!` in quotes"
    )]
    Tag,

    // Kinds of values.
    /// A list or table in place of a single value.
    #[error("expected a single value, but found a list or a table")]
    ExpectedText,
    /// Not a list.
    #[error("expected a list, such as [a, b]")]
    ExpectedList,
    /// Not a table.
    #[error("expected a table, with keys and values")]
    ExpectedTable,
    /// An empty value where one is required.
    #[error("the key has no value; write one, or remove the key to use the default")]
    NoValue,
    /// A number or boolean in quotes.
    #[error("expected a number or `true` or `false`, but found a text in quotes; remove the quotes")]
    Quoted,

    // Keys.
    /// A mirror without a schedule.
    #[error("this key is missing; write the time between runs of the mirror, such as `schedule: 15m`")]
    MissingSchedule,
    /// Background downloads from an upstream to which no requests are sent.
    #[error("with `network: offline` no requests are sent to the upstream; remove `{0}`, or change `network`")]
    OfflineFetch(&'static str),
    /// The key is unknown.
    #[error("unknown key; {}", match guess {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!("use one of {}", enumerate(known.iter().copied())),
    })]
    UnknownKey { guess: Option<&'static str>, known: Vec<&'static str> },

    // Scalars.
    /// Not one of the allowed words.
    #[error("{found} is not allowed here; write one of {}", enumerate(choices.iter().copied()))]
    Choice { found: Excerpt, choices: Vec<&'static str> },
    /// Not a number.
    #[error("{0} is not a whole number; write only digits, without leading zeros")]
    Number(Excerpt),
    /// Not a boolean.
    #[error("{0} is not allowed here; write `true` or `false`")]
    Boolean(Excerpt),
    /// Not a duration.
    #[error("{0} is not a duration; write numbers with units, such as 500ms, 30s, 5m, 1h 30m or 30d")]
    Duration(Excerpt),
    /// Not a size.
    #[error("{0} is not a size; write a number of bytes with a unit, such as 512MiB or 50GiB")]
    Size(Excerpt),
    /// Out of bounds.
    #[error("{found} is out of bounds; write a value from {min} to {max}")]
    Bounds { found: Excerpt, min: String, max: String },
    /// Not a name of a repository, package or policy.
    #[error("{0}")]
    Name(#[source] NameError),
    /// Not a socket address.
    #[error("{0} is not an address; write IP:PORT, such as 127.0.0.1:4000 or \"[::1]:4000\" (with the quotes)")]
    Address(Excerpt),
    /// Not a network.
    #[error("{0} is not a network; write a CIDR such as 10.0.0.0/8, or a single IP address")]
    Network(Excerpt),
    /// Not a host name.
    #[error("{0} is not a host name; write a name without scheme, port and path, such as hex.example.com")]
    Host(Excerpt),
    /// Not a valid URL.
    #[error("this is not a valid URL; write a URL such as {example}")]
    Url { example: &'static str },
    /// A URL with another scheme, such as `ftp:`.
    #[error("the URL has no supported scheme; begin it with {}", enumerate(allowed.iter().copied()))]
    UrlScheme { allowed: &'static [&'static str] },
    /// A URL with `user:password@`, where `credentials` are possible.
    #[error("the URL must not contain a user name or password; remove them and use `credentials`")]
    UrlUserInfo,
    /// A URL with `user:password@`, where no credentials are possible.
    #[error("the URL must not contain a user name or password; remove them")]
    PublicUrlUserInfo,
    /// A URL with `?` or `#`.
    #[error("the URL must not contain a query (`?`) or a fragment (`#`); remove it")]
    UrlQuery,
    /// The URL of a proxy with a path.
    #[error("the URL of a proxy must not contain a path; end it after the port")]
    ProxyPath,
    /// Not a pattern, with the message of the crate globset.
    #[error(
        "{pattern} is not a valid pattern: {reason}; use characters that are allowed in names, `*`, `?` and classes such as `[a-f]`"
    )]
    Pattern { pattern: Excerpt, reason: Excerpt },
    /// The patterns cannot be combined.
    #[error("the patterns are too many or too long ({0}); use fewer or shorter ones")]
    Patterns(Excerpt),
    /// An empty `include`.
    #[error("with an empty list, no package would be served; write patterns, or remove the key to serve every package")]
    IncludesNothing,

    // Files.
    /// A path with control characters.
    #[error("this is not a path; remove the control characters")]
    Path,
    /// The file does not exist or cannot be read.
    #[error(
        "cannot read {path}: {source}; write the path of a readable file (a relative path starts at the folder of the \
         configuration file)"
    )]
    UnreadableFile { path: Excerpt, source: io::Error },
    /// The path of a folder or device.
    #[error("{0} is not a file; write the path of a file")]
    NotAFile(Excerpt),
    /// The file is empty.
    #[error("the file {0} is empty; write the path of another file")]
    EmptyFile(Excerpt),
    /// The file is too long.
    #[error("the file {path} is longer than {max} bytes; check that it is the right file")]
    LongFile { path: Excerpt, max: u64 },
    /// The file is not UTF-8.
    #[error("the file {0} is not UTF-8 text; write the path of a text file")]
    BinaryFile(Excerpt),

    // Server.
    /// The two listeners have the same address.
    #[error("`listen` and `ops_listen` are both {0}; use two different addresses")]
    SameListen(Excerpt),
    /// One of two files is missing.
    #[error("this key is missing; write both `cert` and `key`, the paths of two PEM files")]
    MissingTlsFile,

    // Signing.
    /// The key `id` is missing.
    #[error("this key is missing; write an id for the signing key, such as k1")]
    MissingKeyId,
    /// An invalid `id`.
    #[error(
        "{0} is not a valid id of a signing key; write 1 to 32 characters of a-z, 0-9, `_` and `-`, beginning with a letter or \
         digit"
    )]
    KeyId(Excerpt),
    /// Two keys with the same id.
    #[error("another signing key has the id {0}; write a different id")]
    DuplicateKeyId(Excerpt),
    /// An empty list of keys.
    #[error("the list is empty; write at least one signing key, such as {{ id: k1 }}, or remove the key `keys`")]
    NoSigningKeys,
    /// `active` is not the id of a key.
    #[error("{active} is not the id of a signing key; set `active` to one of {}", enumerate(known.iter().map(String::as_str)))]
    ActiveKey { active: Excerpt, known: Vec<String> },

    // Bundles.
    /// Not a fingerprint.
    #[error(
        "{0} is not the fingerprint of a bundle key; write the output of `hexkeep bundle key` on the server that creates the \
         bundles: SHA256: and 43 characters"
    )]
    BundleKey(Excerpt),

    // Repositories.
    /// An empty table of repositories.
    #[error("the table is empty; add a repository, or remove the key to get the default repository hexpm")]
    NoRepositories,
    /// The default repository does not exist.
    #[error("{name} is not a repository of this configuration; set `default_repository` to one of {}", enumerate(known.iter().map(String::as_str)))]
    DefaultRepository { name: Excerpt, known: Vec<String> },
    /// A key that is reserved.
    #[error("`{0}` is reserved for the web pages of this server at `/{0}`; use another key for the repository")]
    KeptKey(&'static str),
    /// The key hexpm for another repository than the default one.
    #[error(
        "the default repository `{default}` has the name hexpm, so no other repository can have the key hexpm; use another key for this repository, for example `upstream`"
    )]
    HexpmTaken { default: String },
    /// The key `type` is missing.
    #[error("this key is missing; write `type: remote`, `type: local` or `type: virtual`")]
    MissingType,
    /// The key `url` is missing.
    #[error("this key is missing; write the base URL of the upstream, such as https://repo.hex.pm")]
    MissingUrl,
    /// A host is used twice.
    #[error("the host {host} is already used by {first}; a host can serve only one repository")]
    DuplicateHost { host: Excerpt, first: String },
    /// The key `public_key` is missing, and there is no default.
    #[error(
        "this key is missing; packages cannot be verified without the public key of the upstream. Download it with: curl -o KEY.pem {url}/public_key, compare its fingerprint with that from the operator, and write `public_key: KEY.pem`"
    )]
    MissingPublicKey { url: String },
    /// An empty list of public keys.
    #[error("the list is empty; write at least one public key: `hexpm`, a PEM text or the path of a PEM file")]
    NoPublicKeys,
    /// A public key is used twice.
    #[error("this public key is already in the list; remove one of the two")]
    DuplicatePublicKey,
    /// An inline PEM text or a file is not a public key.
    #[error("{from} is not a valid public key: {source}")]
    PublicKey { from: KeyOrigin, source: KeyError },
    /// None or both of `env` and `file`.
    #[error(
        "the source of the credential is missing or ambiguous; write either `env: NAME` (an environment variable) or `file: PATH`"
    )]
    CredentialSource,
    /// The variable does not exist. Its name is not quoted, because people sometimes write the secret itself here.
    #[error("there is no environment variable with this name; set it to the value of the Authorization header")]
    MissingVariable,
    /// The variable or file is empty.
    #[error("the credential is empty; write the value of the Authorization header to the variable or file")]
    EmptyCredential,
    /// The credential is not a valid header value.
    #[error("the credential is not valid in a header; use one line of at most {max} printable ASCII characters", max = super::bounds::MAX_CREDENTIAL_BYTES)]
    UnfitCredential,
    /// A key of another type of repository.
    #[error("this key is only for repositories of type {}, but this repository is of type `{found}`; remove the key", belongs.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" or "))]
    OtherType { belongs: Vec<&'static str>, found: &'static str },
    /// Not a name of an organization.
    #[error("{0} is not a valid name of an organization; write 2 to 64 characters of a-z, 0-9 and `_`")]
    Organization(Excerpt),
    /// The repository does not exist.
    #[error("{0} is not a repository of this configuration; write the key of a repository")]
    UnknownRepository(Excerpt),

    /// A virtual repository without members.
    #[error("a virtual repository needs at least one member; write the keys of repositories in order of priority")]
    NoMembers,
    /// A virtual repository that is its own member.
    #[error("a virtual repository cannot be its own member; remove it from the list")]
    SelfMember,
    /// A cycle of virtual repositories.
    #[error("these virtual repositories are members of each other: {}; remove one of them", path.join(" -> "))]
    MemberCycle { path: Vec<String> },
    /// A member is listed twice.
    #[error("{member} is already a member, at {first}; remove one of the two")]
    DuplicateMember { member: Excerpt, first: String },
    /// The repository of a member is missing.
    #[error("this key is missing; write the key of the repository that is the member")]
    MissingMember,
    /// `deploy_to` is not a local member.
    #[error(
        "{0} is not a local repository in `members`; write the key of one, or remove this key to disable publishing here"
    )]
    DeployTo(Excerpt),
    /// Not a member.
    #[error("{0} is not in `members` of this repository; write the key of a member")]
    NotAMember(Excerpt),
    /// `merge_across` without `merge: release`
    #[error("this key requires `merge: release`; change `merge`, or remove this key")]
    MergeAcross,
    /// `publish_view` is not a virtual repository with this member.
    #[error(
        "{0} is not a virtual repository with this repository as a member; write the key of one, or remove this key"
    )]
    PublishView(Excerpt),
    /// A repository that must be reachable has `direct: false`.
    #[error(
        "this repository is served {at}, which is impossible with `direct: false`, the default for members of a virtual repository with a `policy` or a `reserve`; write `direct: true`, or serve the virtual repository there instead"
    )]
    NotDirect { at: String },
    // Policies.
    /// The key `osv` is missing.
    #[error(
        "this key is missing; write the path or URL of an advisory dump in OSV format, such as `osv: ./hex-osv.zip`"
    )]
    MissingOsv,
    /// A URL without a file name.
    #[error("the URL has no file name; write the URL of the dump, such as `https://example.com/Hex/all.zip`")]
    OsvUrl,
    /// The file is not a dump.
    #[error("this is not an advisory dump in OSV format: {0}; use another file")]
    OsvDump(Excerpt),
    /// The policy does not exist.
    #[error("there is no policy {name}; {}", match known.as_slice() {
        [] => "add it under `policies`".to_owned(),
        known => format!("the policies are {}", enumerate(known.iter().map(String::as_str))),
    })]
    UnknownPolicy { name: Excerpt, known: Vec<String> },
    /// The policy of a repository has no rules for it.
    #[error(
        "the policy {policy} has no rules for {}; add rules under `repositories` of the policy",
        enumerate(repositories.iter().map(String::as_str))
    )]
    PolicyWithoutRules { policy: Excerpt, repositories: Vec<String> },
    /// The key `mode` is missing.
    #[error(
        "this key is missing; write `mode: dry_run` to only report releases that would be held, or `mode: enforce` to hold them"
    )]
    MissingMode,
    /// The policy has no rules.
    #[error("a policy without repositories has no effect; write the keys of repositories, each with its rules")]
    PolicyWithoutRepositories,
    /// The message of a rule about its value.
    #[error("{0}")]
    Rule(&'static str),
    /// A text, followed by a message about it.
    #[error("{found} {sentence}")]
    Text { found: Excerpt, sentence: &'static str },
    /// Not a version requirement.
    #[error("{0}; write a requirement as in mix.exs, such as `~> 1.7` or `>= 1.0.0 and < 2.0.0`")]
    Requirement(#[source] RequirementError),
    /// A requirement that no version can meet.
    #[error("no version can match {0}; change the requirement")]
    RequirementNever(Excerpt),
    /// Neither `hold` nor a table.
    #[error(
        "{0} is not allowed here; write `hold`, or a table such as {{cooldown: keep, licenses: hold, advisories: 14d}}"
    )]
    Locked(Excerpt),
    /// A key of an earlier version that is now three keys.
    #[error("this key was replaced by one key for each rule; write `cooldown`, `freeze` and `licenses`")]
    TimeRules,
    /// Not a grace period.
    #[error("{0} is not allowed here; write `keep`, `hold` or a time such as 14d, 2w or 1mo")]
    Grace(Excerpt),
    /// None or several effects in an override.
    #[error(
        "an override needs exactly one effect; write one of `allow: PACKAGE`, `deny: PACKAGE`, `ignore_advisory: ID`, `ignore_retirement: REASON` and `ignore_cooldown: true`"
    )]
    OverrideEffect,
    /// `package` is missing, or not allowed.
    #[error(
        "write `package: NAME` together with `ignore_advisory`, `ignore_retirement` or `ignore_cooldown`, and only with these"
    )]
    OverridePackage,
    /// An override without an effect.
    #[error("this override never has an effect: {0}; change or remove it")]
    OverrideNever(&'static str),
    /// A text is too long, or has more than one line.
    #[error("this text is too long or has more than one line; write at most {max} characters on one line")]
    Line { max: usize },

    // Environment.
    /// An invalid name of an override, such as `HEXKEEP_A____B`.
    #[error(
        "invalid name of an override; write HEXKEEP_SECTION__KEY, in capitals and with two underscores between levels"
    )]
    OverrideName,
    /// An override with bytes that are not UTF-8.
    #[error("the name and the value of an override must be UTF-8 text; correct or unset the variable")]
    OverrideNotUtf8,
    /// An override for a repository that does not exist.
    #[error(
        "there is no repository with this key in the configuration file; an override can only change existing repositories"
    )]
    OverrideRepository,
    /// Two repositories have the same spelling in the environment.
    #[error(
        "{first} and {second} have the same spelling in environment variables, so this override is ambiguous; change the configuration file instead"
    )]
    OverrideAmbiguous { first: Excerpt, second: Excerpt },
}

/// The place of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// In the configuration.
    Inline,
    /// In a file.
    File(Excerpt),
}

impl std::fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline => f.write_str("the text"),
            Self::File(path) => path.fmt(f),
        }
    }
}
