//! The files that `mix local.hex`, `mix local.rebar` and installers of Elixir and Erlang download: lists, and the files
//! in these lists (client-protocol §6).
//!
//! ```text
//! installs/hex-1.x.csv                      a list: VERSION,SHA512,ELIXIR[,ELIXIR…]
//! installs/hex-1.x.csv.signed               its signature, by a key that is part of Mix
//! installs/1.14.0/hex-2.0.6.ez              a file in the list
//! installs/hex.csv                          since Elixir 1.19: VERSION,SHA512,ELIXIR,OTP; no signature
//! installs/1.18.0/hex-2.2.2-otp-27.ez
//! builds/elixir/builds.txt                  a list: REF COMMIT DATE SHA256
//! builds/elixir/v1.18.4-otp-27.zip
//! builds/otp/amd64/ubuntu-24.04/builds.txt  the same for Erlang, for each system
//! builds/otp/amd64/ubuntu-24.04/OTP-27.3.4.tar.gz
//! ```
//!
//! A path is parsed once into an [`InstallsPath`]. All other paths are rejected, so clients cannot request other files
//! of the upstream.

use std::fmt;

use super::checksum::{Sha256, Sha512};

/// The longest word of a path: `OTP-27.3.4`, `ubuntu-24.04`, `1.18.0-rc.0`.
const WORD: usize = 64;

/// A program that a list below `installs` contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// The Hex archive, `.ez`.
    Hex,
    /// The rebar3 escript, without an ending.
    Rebar3,
    /// The old rebar escript.
    Rebar,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Rebar3, Self::Rebar, Self::Hex];

    fn word(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Rebar3 => "rebar3",
            Self::Rebar => "rebar",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Hex => ".ez",
            Self::Rebar3 | Self::Rebar => "",
        }
    }
}

/// A list of files, by the kind of files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum List {
    /// `installs/hex-1.x.csv`, `installs/rebar3-1.x.csv`, `installs/rebar-1.x.csv`: builds for Elixir versions.
    ForElixir(Tool),
    /// `installs/hex.csv`, `installs/rebar.csv`: builds for Elixir versions and OTP releases.
    ForOtp(Tool),
    /// `builds/elixir/builds.txt`
    Elixir,
    /// `builds/otp/SYSTEM/builds.txt`; the system is one word or two: `ubuntu-22.04`, `amd64/ubuntu-24.04`.
    Otp(Box<str>),
}

/// A path below `installs/` or `builds/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstallsPath {
    /// A list.
    List(List),
    /// The signature of a list.
    Signature(List),
    /// A file in a list.
    File(InstallFile),
}

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstallFile {
    /// `installs/ELIXIR/hex-VERSION[-otp-OTP].ez` or similar. Without a version, this is the newest one in its list for
    /// this Elixir version.
    Tool {
        /// The tool to install.
        tool: Tool,
        /// The folder: an Elixir version.
        elixir: Box<str>,
        /// The tool's version.
        version: Option<Box<str>>,
        /// The OTP release it was built with.
        otp: Option<Box<str>>,
    },
    /// `builds/elixir/REF.zip`, `builds/otp/SYSTEM/REF.tar.gz`
    Build {
        /// The list that must contain it.
        list: List,
        /// A tag or branch; for Elixir followed by the OTP release that it was compiled with.
        reference: Box<str>,
    },
}

/// The checksum of a file in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedChecksum {
    /// In lists below `installs`.
    Sha512(Sha512),
    /// In lists below `builds`.
    Sha256(Sha256),
}

/// The entry of a file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedInstaller {
    /// The path of the file at the upstream.
    pub path: String,
    /// The checksum; `None` for old builds, whose lines have none.
    pub checksum: Option<ListedChecksum>,
}

impl InstallsPath {
    /// Parses the decoded segments of a path below a base URL; `None` if no such path exists.
    pub fn parse(segments: &[&str]) -> Option<Self> {
        match segments {
            ["installs", file] => match file.strip_suffix(".signed") {
                Some(list) => List::parse_csv(list).map(Self::Signature),
                None => List::parse_csv(file).map(Self::List),
            },
            ["installs", elixir, file] => InstallFile::parse_tool(elixir, file).map(Self::File),
            ["builds", "elixir", file] => Self::parse_build(List::Elixir, file),
            ["builds", "otp", system, file] if is_word(system) => Self::parse_build(List::Otp((*system).into()), file),
            ["builds", "otp", machine, system, file] if is_word(machine) && is_word(system) => {
                Self::parse_build(List::Otp(format!("{machine}/{system}").into()), file)
            }
            _ => None,
        }
    }

    fn parse_build(list: List, file: &str) -> Option<Self> {
        if file == "builds.txt" {
            return Some(Self::List(list));
        }
        let reference = file.strip_suffix(list.archive_ending())?;
        let reference = is_word(reference).then(|| reference.into())?;
        Some(Self::File(InstallFile::Build { list, reference }))
    }

    /// The path below a base URL, without a leading slash.
    pub fn path(&self) -> String {
        match self {
            Self::List(list) => list.path(),
            Self::Signature(list) => list.signature_path(),
            Self::File(file) => file.path(),
        }
    }
}

impl List {
    fn parse_csv(file: &str) -> Option<Self> {
        match file {
            "hex-1.x.csv" => Some(Self::ForElixir(Tool::Hex)),
            "rebar3-1.x.csv" => Some(Self::ForElixir(Tool::Rebar3)),
            "rebar-1.x.csv" => Some(Self::ForElixir(Tool::Rebar)),
            "hex.csv" => Some(Self::ForOtp(Tool::Hex)),
            "rebar.csv" => Some(Self::ForOtp(Tool::Rebar3)),
            _ => None,
        }
    }

    /// The path below a base URL, without a leading slash.
    pub fn path(&self) -> String {
        match self {
            Self::ForElixir(tool) => format!("installs/{}-1.x.csv", tool.word()),
            Self::ForOtp(Tool::Hex) => "installs/hex.csv".to_owned(),
            Self::ForOtp(Tool::Rebar3 | Tool::Rebar) => "installs/rebar.csv".to_owned(),
            Self::Elixir => "builds/elixir/builds.txt".to_owned(),
            Self::Otp(system) => format!("builds/otp/{system}/builds.txt"),
        }
    }

    /// The path of its signature.
    pub fn signature_path(&self) -> String {
        format!("{}.signed", self.path())
    }

    /// Whether the upstream signs this list. Mix requests signatures only for these.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::ForElixir(_))
    }

    fn archive_ending(&self) -> &'static str {
        match self {
            Self::Otp(_) => ".tar.gz",
            Self::Elixir | Self::ForElixir(_) | Self::ForOtp(_) => ".zip",
        }
    }

    /// A file name for this list in the store: `hex-1.x.csv`, `otp+amd64+ubuntu-24.04`.
    pub fn file_name(&self) -> String {
        match self {
            Self::ForElixir(_) | Self::ForOtp(_) => self.path().replace("installs/", ""),
            Self::Elixir => "elixir".to_owned(),
            Self::Otp(system) => format!("otp+{}", system.replace('/', "+")),
        }
    }

    /// Parses a name that [`List::file_name`] returned.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let path = match name.strip_prefix("otp+") {
            Some(system) => format!("builds/otp/{}/builds.txt", system.replace('+', "/")),
            None if name == "elixir" => "builds/elixir/builds.txt".to_owned(),
            None => format!("installs/{name}"),
        };
        match InstallsPath::parse(&path.split('/').collect::<Vec<_>>()) {
            Some(InstallsPath::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Whether a text contains an entry of this list. A captive portal, for example, answers with another page.
    pub fn has_entries(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        match self {
            Self::ForElixir(_) | Self::ForOtp(_) => text.lines().any(|line| sha512_of(line).is_some()),
            Self::Elixir | Self::Otp(_) => text.lines().any(|line| {
                let mut fields = line.split_ascii_whitespace();
                let commit = fields.nth(1).filter(|commit| commit.len() >= 7);
                commit.is_some_and(|commit| commit.bytes().all(|b| b.is_ascii_hexdigit())) && fields.next().is_some()
            }),
        }
    }

    /// All checksums in the text of this list.
    pub fn checksums<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = ListedChecksum> + use<'a> {
        let is_csv = matches!(self, Self::ForElixir(_) | Self::ForOtp(_));
        std::str::from_utf8(text).unwrap_or_default().lines().filter_map(move |line| {
            if is_csv {
                sha512_of(line).map(ListedChecksum::Sha512)
            } else {
                sha256_of(line).map(ListedChecksum::Sha256)
            }
        })
    }

    /// The entry of `file` in the text of this list; `None` if it is not listed. Lines that are not entries are
    /// ignored. If a file has two entries, the later one counts, as for Mix.
    pub fn find(&self, text: &[u8], file: &InstallFile) -> Option<ListedInstaller> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.lines().rev();
        match file {
            InstallFile::Tool { tool, elixir, version, otp } => lines.find_map(|line| {
                let mut fields = line.trim_end().split(',');
                let (found, checksum) = (fields.next()?, fields.next()?);
                if version.as_deref().is_some_and(|version| version != found) || !is_word(found) {
                    return None;
                }
                let fits = match otp {
                    None => fields.any(|field| field == &**elixir),
                    Some(otp) => fields.next() == Some(elixir) && fields.next() == Some(otp),
                };
                let checksum = Sha512::from_hex(checksum).ok().filter(|_| fits)?;
                let (elixir, version) = (elixir.clone(), Some(found.into()));
                let named = InstallFile::Tool { tool: *tool, elixir, version, otp: otp.clone() };
                Some(ListedInstaller { path: named.path(), checksum: Some(ListedChecksum::Sha512(checksum)) })
            }),
            InstallFile::Build { reference, .. } => lines.find_map(|line| {
                let mut fields = line.split_ascii_whitespace();
                if fields.next() != Some(&**reference) {
                    return None;
                }
                Some(ListedInstaller { path: file.path(), checksum: sha256_of(line).map(ListedChecksum::Sha256) })
            }),
        }
    }
}

impl InstallFile {
    fn parse_tool(elixir: &str, file: &str) -> Option<Self> {
        if !is_version(elixir) {
            return None;
        }
        let elixir = elixir.into();
        for tool in Tool::ALL {
            let Some(rest) = file.strip_prefix(tool.word()).and_then(|rest| rest.strip_suffix(tool.ending())) else {
                continue;
            };
            if rest.is_empty() {
                return Some(Self::Tool { tool, elixir, version: None, otp: None });
            }
            let Some(rest) = rest.strip_prefix('-') else { continue };
            let (version, otp) = match rest.split_once("-otp-") {
                Some((version, otp)) => (version, Some(otp)),
                None => (rest, None),
            };
            let sound = is_version(version) && otp.is_none_or(is_number) && (otp.is_none() || tool != Tool::Rebar);
            return sound.then(|| Self::Tool { tool, elixir, version: Some(version.into()), otp: otp.map(Into::into) });
        }
        None
    }

    /// The list that must contain it.
    pub fn list(&self) -> List {
        match self {
            Self::Tool { tool, otp: None, .. } => List::ForElixir(*tool),
            Self::Tool { tool, otp: Some(_), .. } => List::ForOtp(*tool),
            Self::Build { list, .. } => list.clone(),
        }
    }

    /// The path below a base URL, without a leading slash.
    pub fn path(&self) -> String {
        match self {
            Self::Tool { tool, elixir, version, otp } => {
                let version = version.as_ref().map(|version| format!("-{version}")).unwrap_or_default();
                let otp = otp.as_ref().map(|otp| format!("-otp-{otp}")).unwrap_or_default();
                format!("installs/{elixir}/{}{version}{otp}{}", tool.word(), tool.ending())
            }
            Self::Build { list, reference } => {
                let folder = list.path().replace("builds.txt", "");
                format!("{folder}{reference}{}", list.archive_ending())
            }
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl fmt::Display for ListedChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha512(digest) => digest.fmt(f),
            Self::Sha256(digest) => digest.fmt(f),
        }
    }
}

fn sha512_of(line: &str) -> Option<Sha512> {
    line.split(',').nth(1).and_then(|field| Sha512::from_hex(field).ok())
}

fn sha256_of(line: &str) -> Option<Sha256> {
    line.split_ascii_whitespace().nth(3).and_then(|field| Sha256::from_hex(field).ok())
}

/// Whether a text consists of letters, digits, dots, hyphens and underscores, and begins with a letter or a digit.
fn is_word(text: &str) -> bool {
    text.len() <= WORD
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Whether a text looks like a version: `1.14.0`, `3.24.0-rc.1`; older files of rebar have two numbers.
fn is_version(text: &str) -> bool {
    is_word(text) && text.starts_with(|c: char| c.is_ascii_digit()) && !text.ends_with(['.', '-'])
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
