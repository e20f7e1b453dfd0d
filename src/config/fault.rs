//! Everything that can be wrong with a configuration, as a sentence that says what to do.
//!
//! No sentence may hold a secret: values of `credentials`, URLs and the content of referenced files are never quoted.

use std::io;

use crate::hex::name::NameError;
use crate::hex::requirement::RequirementError;
use crate::trust::KeyError;

use super::fields::enumerate;
use super::problem::Excerpt;

/// What is wrong with one value.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    // The text as a whole.
    /// The configuration file cannot be read.
    #[error("the file cannot be read: {0}; give a readable YAML file with --config or HEXKEEP_CONFIG")]
    UnreadableConfig(#[source] io::Error),
    /// Not UTF-8.
    #[error("the file is not UTF-8 text; save it as UTF-8")]
    NotUtf8,
    /// Too many bytes.
    #[error("the text is longer than {max} bytes; a configuration is never that long")]
    TextTooLong { max: usize },
    /// Too many nodes.
    #[error("the document has more than {max} values; a configuration never needs that many")]
    TooManyNodes { max: usize },
    /// Too many levels.
    #[error("the document is nested deeper than {max} levels; no key lies that deep")]
    TooDeep { max: usize },
    /// The parser's own words.
    #[error("this is not YAML: {0}; check indentation, quotes and brackets here and in the line before")]
    Syntax(Excerpt),
    /// `---` in the middle.
    #[error("the file holds more than one document; keep one and take out the `---` before the other")]
    SeveralDocuments,
    /// A key given twice.
    #[error("this key was already given in line {first_line}; keep one of the two")]
    DuplicateKey { first_line: usize },
    /// A list or a table as key.
    #[error("keys are plain texts here; a list, a table or an alias cannot be one")]
    KeyNotText,
    /// `<<`
    #[error("merge keys (`<<`) are not understood; write the values out")]
    MergeKey,
    /// `&x`
    #[error(
        "anchors (`&name`) are not understood; write the value out where it is wanted, and quote a text that begins with `&`"
    )]
    Anchor,
    /// `*x`
    #[error("aliases (`*name`) are not understood; write the value out, and quote a text that begins with `*`")]
    Alias,
    /// `!!str`
    #[error("tags (`!name`) are not understood; write the value out, and quote a text that begins with `!`")]
    Tag,

    // Kinds of values.
    /// A list or table where a scalar belongs.
    #[error("expected a single value, found a list or a table")]
    ExpectedText,
    /// No list.
    #[error("expected a list, such as [a, b]")]
    ExpectedList,
    /// No table.
    #[error("expected a table of keys and values")]
    ExpectedTable,
    /// Null where there is no "none".
    #[error("the key has no value; write one, or take the key out to get the default")]
    NoValue,
    /// A number or truth value in quotes.
    #[error("in quotes this is a text; take the quotes off")]
    Quoted,

    // Keys.
    /// A mirror without its rhythm.
    #[error("a mirror needs a schedule, such as `schedule: 15m`")]
    MissingSchedule,
    /// Something is to be fetched ahead of time from an upstream that is never asked.
    #[error("with `network: offline` the upstream is never asked; take `{0}` out, or let it be asked")]
    OfflineFetch(&'static str),
    /// Nobody knows this key.
    #[error("unknown key; {}", match guess {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!("the keys here are {}", enumerate(known.iter().copied())),
    })]
    UnknownKey { guess: Option<&'static str>, known: Vec<&'static str> },

    // Scalars.
    /// Not one of the words allowed.
    #[error("{found} is not allowed here; write one of {}", enumerate(choices.iter().copied()))]
    Choice { found: Excerpt, choices: Vec<&'static str> },
    /// No number.
    #[error("{0} is not a whole number; write digits alone, without a zero in front")]
    Number(Excerpt),
    /// No boolean.
    #[error("{0} is neither `true` nor `false`")]
    Boolean(Excerpt),
    /// No duration.
    #[error("{0} is not a duration; write numbers with units, such as 500ms, 30s, 5m, 1h 30m or 30d")]
    Duration(Excerpt),
    /// No size.
    #[error("{0} is not a size; write a number of bytes with a unit, such as 512MiB or 50GiB")]
    Size(Excerpt),
    /// Outside its bounds.
    #[error("{found} is out of bounds; write a value from {min} to {max}")]
    Bounds { found: Excerpt, min: String, max: String },
    /// No repository name.
    #[error("{0}")]
    Name(#[source] NameError),
    /// No socket address.
    #[error("{0} is not an address; write IP:PORT, such as 127.0.0.1:4000 or \"[::1]:4000\" (in quotes)")]
    Address(Excerpt),
    /// No network.
    #[error("{0} is not a network; write a CIDR such as 10.0.0.0/8, or a single IP address")]
    Network(Excerpt),
    /// No host name.
    #[error("{0} is not a host name; write it without scheme, port and path, such as hex.example.com")]
    Host(Excerpt),
    /// Not a URL at all.
    #[error("this is not a URL that can be used; write one such as {example}")]
    Url { example: &'static str },
    /// `ftp:`
    #[error("this is not a URL of a scheme that can be used here; begin it with {}", enumerate(allowed.iter().copied()))]
    UrlScheme { allowed: &'static [&'static str] },
    /// `user:password@`
    #[error("a user name or password does not belong into this URL; take it out and use `credentials`")]
    UrlUserInfo,
    /// `user:password@` where there is nothing to use instead.
    #[error("a user name or password does not belong into this URL; take it out")]
    PublicUrlUserInfo,
    /// `?` or `#`
    #[error("a query (`?`) or a fragment (`#`) does not belong into this URL; take it out")]
    UrlQuery,
    /// A path where only an authority makes sense.
    #[error("a path does not belong into the URL of a proxy; end it after the port")]
    ProxyPath,
    /// Globset's own words.
    #[error(
        "{pattern} is not a pattern: {reason}; patterns are made of name characters, `*`, `?` and classes like `[a-f]`"
    )]
    Pattern { pattern: Excerpt, reason: Excerpt },
    /// Globset cannot join the patterns.
    #[error("these patterns are too many or too large together ({0}); use fewer or shorter ones")]
    Patterns(Excerpt),
    /// `include: []`
    #[error("an empty list would serve nothing; name patterns, or take the key out to serve every package")]
    IncludesNothing,

    // Files.
    /// Characters that no file name has.
    #[error("this is not a path; take the control characters out")]
    Path,
    /// Not there, or not for us.
    #[error(
        "{path} cannot be read: {source}; give a readable file (a relative path starts at the configuration's folder)"
    )]
    UnreadableFile { path: Excerpt, source: io::Error },
    /// A folder or device.
    #[error("{0} is not a file; give the path of a file")]
    NotAFile(Excerpt),
    /// Nothing in it.
    #[error("{0} is empty")]
    EmptyFile(Excerpt),
    /// Too much in it.
    #[error("{path} is longer than {max} bytes; it cannot be what is asked for here")]
    LongFile { path: Excerpt, max: u64 },
    /// Not UTF-8.
    #[error("{0} is not text; give a file of UTF-8 text")]
    BinaryFile(Excerpt),

    // Server.
    /// Two listeners on one address.
    #[error("`listen` and `ops_listen` are both {0}; give each an address of its own")]
    SameListen(Excerpt),
    /// Only one of two files.
    #[error("this key is missing; TLS needs both `cert` and `key`, the paths of two PEM files")]
    MissingTlsFile,

    // Signing.
    /// No `id`.
    #[error("this key is missing; give the signing key an id such as k1")]
    MissingKeyId,
    /// A bad `id`.
    #[error(
        "{0} is not an id of a signing key; write 1 to 32 of a-z, 0-9, `_` and `-`, beginning with a letter or digit"
    )]
    KeyId(Excerpt),
    /// Two keys of one id.
    #[error("another signing key has the id {0}; give each an id of its own")]
    DuplicateKeyId(Excerpt),
    /// An empty list of keys.
    #[error("the list is empty; give at least one signing key, such as {{ id: k1 }}, or take the key out")]
    NoSigningKeys,
    /// `active` names none.
    #[error("{active} is not the id of a signing key; set `active` to one of {}", enumerate(known.iter().map(String::as_str)))]
    ActiveKey { active: Excerpt, known: Vec<String> },

    // Bundles.
    /// No fingerprint.
    #[error(
        "{0} is not the fingerprint of a bundle key; write what `hexkeep bundle key` prints where the bundles are made: \
         SHA256: and 43 characters"
    )]
    BundleKey(Excerpt),

    // Repositories.
    /// An empty table of repositories.
    #[error("there is no repository; configure at least one, or take the key out to get hexpm")]
    NoRepositories,
    /// No such default repository.
    #[error("{name} is not a repository of this configuration; set `default_repository` to one of {}", enumerate(known.iter().map(String::as_str)))]
    DefaultRepository { name: Excerpt, known: Vec<String> },
    /// A key that clients or people mean something else by.
    #[error("`{0}` is kept for the pages of this server below `/{0}`; give the repository another key")]
    KeptKey(&'static str),
    /// The key hexpm on another repository.
    #[error(
        "the default repository `{default}` is what clients call hexpm (its `name` is hexpm), so no other repository may have this key; rename this one, for example to `upstream`"
    )]
    HexpmTaken { default: String },
    /// No `type`.
    #[error("this key is missing; write `type: remote`, `type: local` or `type: virtual`")]
    MissingType,
    /// No `url`.
    #[error("this key is missing; write the base URL of the upstream, such as https://repo.hex.pm")]
    MissingUrl,
    /// A host twice.
    #[error("the host {host} already belongs to {first}; a host serves one repository")]
    DuplicateHost { host: Excerpt, first: String },
    /// No `public_key` and no way to know it.
    #[error(
        "this key is missing; nothing can be verified without the upstream's public key. Get it with: curl -o KEY.pem {url}/public_key, compare its fingerprint with the operator's, and write `public_key: KEY.pem`"
    )]
    MissingPublicKey { url: String },
    /// An empty list of public keys.
    #[error("the list is empty; give at least one public key: `hexpm`, a PEM text or the path of a PEM file")]
    NoPublicKeys,
    /// A key twice.
    #[error("this public key was already given; keep one of the two")]
    DuplicatePublicKey,
    /// An inline PEM text or a file that is no key.
    #[error("{from} holds no usable public key: {source}")]
    PublicKey { from: KeyOrigin, source: KeyError },
    /// Neither or both of `env` and `file`.
    #[error("write exactly one of `env: NAME` (an environment variable) and `file: PATH`")]
    CredentialSource,
    /// No such variable. Its name is not quoted: people write the secret itself here.
    #[error("there is no environment variable of this name; set it to the value of the Authorization header")]
    MissingVariable,
    /// The variable or file holds nothing.
    #[error("the credential found there is empty; it is the value of the Authorization header")]
    EmptyCredential,
    /// The credential does not fit into a header.
    #[error("the credential found there cannot be sent; it must be one line of at most {max} printable ASCII characters", max = super::bounds::MAX_CREDENTIAL_BYTES)]
    UnfitCredential,
    /// A key of another type of repository.
    #[error("this key belongs to repositories of type {}, and this one is of type `{found}`; take it out", belongs.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" or "))]
    OtherType { belongs: Vec<&'static str>, found: &'static str },
    /// No name of an organization.
    #[error("{0} is not a name of an organization; write 2 to 64 of a-z, 0-9 and `_`")]
    Organization(Excerpt),
    /// No such repository for a dependency.
    #[error("{0} is not a repository of this configuration")]
    UnknownRepository(Excerpt),

    /// A virtual repository of nothing.
    #[error("a virtual repository has at least one member; list the keys of repositories in order of priority")]
    NoMembers,
    /// Its own member.
    #[error("a virtual repository cannot be its own member; take it out")]
    SelfMember,
    /// A ring of virtual repositories.
    #[error("these virtual repositories are members of one another: {}; take one of them out", path.join(" -> "))]
    MemberCycle { path: Vec<String> },
    /// A member twice.
    #[error("{member} is already a member, at {first}; keep one of the two")]
    DuplicateMember { member: Excerpt, first: String },
    /// A member without its repository.
    #[error("this key is missing; write the key of the repository that is the member")]
    MissingMember,
    /// Nothing can be published there.
    #[error(
        "{0} is no local repository among the members; name one, or take the key out, and nothing can be published here"
    )]
    DeployTo(Excerpt),
    /// No member.
    #[error("{0} is not among the members of this repository")]
    NotAMember(Excerpt),
    /// `merge_across` without `merge: release`
    #[error("this means something with `merge: release` alone: otherwise the releases of a package are never united")]
    MergeAcross,
    /// No such view.
    #[error("{0} is no virtual repository that has this one as a member")]
    PublishView(Excerpt),
    /// Hidden and asked for.
    #[error(
        "this repository answers {at} and would be unreachable with `direct: false`, which is the default of a member of a virtual repository that has a `policy` or a `reserve`; write `direct: true`, or make the virtual repository answer there"
    )]
    NotDirect { at: String },
    // Policies.
    /// `advisories` without a dump.
    #[error(
        "this key is missing; write the path or the URL of a dump in the format of OSV, such as `osv: ./hex-osv.zip`"
    )]
    MissingOsv,
    /// A URL of no file.
    #[error(
        "this is the URL of a server and of no file; write that of the dump, such as `https://example.com/Hex/all.zip`"
    )]
    OsvUrl,
    /// A dump that is none.
    #[error("this is no dump of advisories in the format of OSV: {0}")]
    OsvDump(Excerpt),
    /// No such policy.
    #[error("there is no policy {name}; {}", match known.as_slice() {
        [] => "write it under `policies`".to_owned(),
        known => format!("the policies are {}", enumerate(known.iter().map(String::as_str))),
    })]
    UnknownPolicy { name: Excerpt, known: Vec<String> },
    /// A policy that says nothing about the repository that names it.
    #[error(
        "the policy {policy} has no rules for {}; write them under `repositories` of the policy",
        enumerate(repositories.iter().map(String::as_str))
    )]
    PolicyWithoutRules { policy: Excerpt, repositories: Vec<String> },
    /// No `mode`.
    #[error("this key is missing; write `mode: dry_run` to see what would be held, or `mode: enforce` to hold it")]
    MissingMode,
    /// No rules at all.
    #[error("a policy without repositories holds nothing; write the keys of repositories, each with its rules")]
    PolicyWithoutRepositories,
    /// What a rule says of what is written for it.
    #[error("{0}")]
    Rule(&'static str),
    /// What is said of a text, behind it.
    #[error("{found} {sentence}")]
    Text { found: Excerpt, sentence: &'static str },
    /// No requirement.
    #[error("{0}; requirements are written as in mix.exs, such as `~> 1.7` or `>= 1.0.0 and < 2.0.0`")]
    Requirement(#[source] RequirementError),
    /// A requirement that contradicts itself.
    #[error("no version satisfies {0}")]
    RequirementNever(Excerpt),
    /// Neither `hold` nor a table.
    #[error(
        "{0} is not allowed here; write `hold`, or a table such as {{cooldown: keep, licenses: hold, advisories: 14d}}"
    )]
    Locked(Excerpt),
    /// A key that was divided.
    #[error("this key has become one for each rule; write `cooldown`, `freeze` and `licenses`")]
    TimeRules,
    /// No grace.
    #[error("{0} is not allowed here; write `keep`, `hold` or a time such as 14d, 2w or 1mo")]
    Grace(Excerpt),
    /// Not exactly one effect.
    #[error(
        "write exactly one of `allow: PACKAGE`, `deny: PACKAGE`, `ignore_advisory: ID`, `ignore_retirement: REASON` and `ignore_cooldown: true`"
    )]
    OverrideEffect,
    /// `package` where it is missing or doubled.
    #[error(
        "`package: NAME` belongs to `ignore_advisory`, `ignore_retirement` and `ignore_cooldown`, and to them alone"
    )]
    OverridePackage,
    /// An override for nothing.
    #[error("this override can never count: {0}")]
    OverrideNever(&'static str),
    /// Too long, or more than a line.
    #[error("this text is too long or has more than one line; write at most {max} characters on one line")]
    Line { max: usize },

    // Environment.
    /// `HEXKEEP_A____B`
    #[error(
        "this is no override; write its name as HEXKEEP_SECTION__KEY, in capitals and with two underscores between levels"
    )]
    OverrideName,
    /// Repositories exist only in the file.
    #[error("no repository of the configuration is called so; an override can change a repository and not make one")]
    OverrideRepository,
    /// Two repositories that are spelled alike in the environment.
    #[error(
        "{first} and {second} are spelled alike in the environment, so an override cannot tell them apart; change the file instead"
    )]
    OverrideAmbiguous { first: Excerpt, second: Excerpt },
}

/// Where a public key was looked for.
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
