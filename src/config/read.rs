//! Readers for all kinds of values.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::fault::Fault;
use super::fields::Field;
use super::problem::Excerpt;
use super::url::{self, Url};
use super::{bounds, duration};
use crate::choice::Choice;
use crate::hex::name::RepoName;
use crate::size::ByteSize;

impl Field<'_> {
    /// Reads one of a few words.
    pub(super) fn choice<T: Choice>(&self) -> Option<T> {
        let text = self.text()?;
        self.check(T::from_word(text).ok_or_else(|| Fault::Choice { found: Excerpt::new(text), choices: T::words() }))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                self.fault(Fault::Boolean(Excerpt::new(other)));
                None
            }
        }
    }

    pub(super) fn number(&self, bounds: &RangeInclusive<usize>) -> Option<usize> {
        let text = self.plain()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Some YAML parsers read a number with a leading zero as octal.
        if !digits || (text.len() > 1 && text.starts_with('0')) {
            self.fault(Fault::Number(Excerpt::new(text)));
            return None;
        }
        // A number that does not fit in the type is out of bounds.
        self.within(text.parse().unwrap_or(usize::MAX), bounds, |number| number.to_string())
    }

    /// Reads a limit: a number within bounds, or 0 for no limit.
    pub(super) fn number_limit(&self, bounds: &RangeInclusive<usize>) -> Option<usize> {
        if self.plain()? == "0" { Some(0) } else { self.number(bounds) }
    }

    /// Reads a limit: a size within bounds, or 0 for no limit.
    pub(super) fn size_limit(&self, bounds: &RangeInclusive<ByteSize>) -> Option<ByteSize> {
        let none = ByteSize::new(0);
        if self.text()?.parse() == Ok(none) { Some(none) } else { self.size(bounds) }
    }

    pub(super) fn duration(&self, bounds: &RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.text()?;
        let value = self.check(humantime::parse_duration(text).map_err(|_| Fault::Duration(Excerpt::new(text))))?;
        self.within(value, bounds, |value| duration::print(*value))
    }

    pub(super) fn size(&self, bounds: &RangeInclusive<ByteSize>) -> Option<ByteSize> {
        let text = self.text()?;
        let value = self.check(text.parse().map_err(|_| Fault::Size(Excerpt::new(text))))?;
        self.within(value, bounds, ToString::to_string)
    }

    fn within<T: PartialOrd>(&self, value: T, bounds: &RangeInclusive<T>, print: fn(&T) -> String) -> Option<T> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let found = Excerpt::new(self.text().unwrap_or_default());
        self.fault(Fault::Bounds { found, min: print(bounds.start()), max: print(bounds.end()) });
        None
    }

    pub(super) fn repo_name(&self) -> Option<RepoName> {
        self.check(self.text()?.parse().map_err(Fault::Name))
    }

    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        let text = self.text()?;
        self.check(text.parse().map_err(|_| Fault::Address(Excerpt::new(text))))
    }

    /// Reads a network in CIDR notation, or a single address. A network of IPv4-mapped addresses
    /// (`::ffff:10.0.0.0/104`) is converted to the IPv4 network.
    pub(super) fn network(&self) -> Option<IpNet> {
        let text = self.text()?;
        let network = text.parse::<IpNet>().map(|network| network.trunc());
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        self.check(network.map(canonical).map_err(|_| Fault::Network(Excerpt::new(text))))
    }

    /// Reads a host name, and converts it to lower case.
    pub(super) fn host(&self) -> Option<String> {
        let text = self.text()?;
        let host = text.to_ascii_lowercase();
        self.check(if url::is_host(&host) { Ok(host) } else { Err(Fault::Host(Excerpt::new(text))) })
    }

    pub(super) fn url(&self, schemes: &'static [&'static str], example: &'static str) -> Option<Url> {
        self.check(url::parse(self.text()?, schemes, example))
    }

    /// Reads a path, and makes it absolute. The file need not exist.
    pub(super) fn path(&self, base: &Path) -> Option<PathBuf> {
        let text = self.text()?;
        if text.contains(char::is_control) {
            self.fault(Fault::Path);
            return None;
        }
        // `components` removes single dots: `./data` and `data` are the same path.
        Some(base.join(text).components().collect())
    }

    /// Reads the path of a file that exists, can be opened and is not empty, and makes it absolute.
    pub(super) fn file(&self, base: &Path) -> Option<PathBuf> {
        let path = self.path(base)?;
        self.check(open(&path, &excerpt(&path)))?;
        Some(path)
    }

    /// Reads the text of the small file at `path`. Messages use `label` as its name.
    pub(super) fn file_text(&self, path: &Path, label: &Excerpt) -> Option<String> {
        self.check(read_text(path, label))
    }
}

impl Field<'_> {
    /// Reads the file at `path`, of at most `max` bytes.
    pub(super) fn file_bytes(&self, path: &Path, max: usize) -> Option<Vec<u8>> {
        let label = excerpt(path);
        let max = max as u64;
        let mut bytes = Vec::new();
        let read = self.check(open(path, &label))?.take(max + 1).read_to_end(&mut bytes);
        self.check(read.map_err(|source| Fault::UnreadableFile { path: label.clone(), source }))?;
        if bytes.len() as u64 > max {
            self.fault(Fault::LongFile { path: label, max });
            return None;
        }
        Some(bytes)
    }
}

/// A path for a message.
pub(super) fn excerpt(path: &Path) -> Excerpt {
    Excerpt::new(&path.to_string_lossy())
}

fn open(path: &Path, label: &Excerpt) -> Result<File, Fault> {
    let unreadable = |source: io::Error| Fault::UnreadableFile { path: label.clone(), source };
    // Check the type before opening the file: opening a pipe would wait for a writer.
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        // The path exists, so it is not a secret that was written here by mistake.
        return Err(Fault::NotAFile(excerpt(path)));
    }
    if meta.len() == 0 {
        return Err(Fault::EmptyFile(label.clone()));
    }
    File::open(path).map_err(unreadable)
}

fn read_text(path: &Path, label: &Excerpt) -> Result<String, Fault> {
    let max = bounds::MAX_REFERENCED_BYTES;
    let mut bytes = Vec::new();
    let read = open(path, label)?.take(max + 1).read_to_end(&mut bytes);
    read.map_err(|source| Fault::UnreadableFile { path: label.clone(), source })?;
    if bytes.len() as u64 > max {
        return Err(Fault::LongFile { path: label.clone(), max });
    }
    String::from_utf8(bytes).map_err(|_| Fault::BinaryFile(label.clone()))
}

fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let v4 = match (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED)) {
        (IpAddr::V4(address), Some(prefix)) if network.addr().is_ipv6() => Ipv4Net::new(address, prefix).ok(),
        _ => None,
    };
    v4.map_or(network, IpNet::V4)
}
