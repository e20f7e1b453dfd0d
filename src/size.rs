//! Sizes in bytes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes; written `50GiB`, `128MiB`, `700kB` or plain `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// As a limit: zero is none.
    pub const fn as_limit(self) -> Self {
        if self.0 == 0 { Self(u64::MAX) } else { self }
    }

    /// In the largest binary unit that it fills, with one decimal place: `1.5MiB`. For people, not to be parsed.
    pub fn rounded(self) -> String {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match units.into_iter().find(|(_, shift)| self.0 >= 1 << shift) {
            Some((unit, shift)) => {
                let tenths = (u128::from(self.0) * 10) >> shift;
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
            None => format!("{}B", self.0),
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is not a size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a size; write a number of bytes with a unit, such as 512MiB or 50GiB")]
pub struct ParseByteSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed: bytesize::ByteSize = text.trim().parse().map_err(|_| ParseByteSizeError(text.to_owned()))?;
        Ok(Self(parsed.as_u64()))
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that divides the number, so that what is printed parses back to the same size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 >= 1 << shift && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for bytes in [0, 1, 1023, 1024, 50 << 30, 128 << 20, 3 << 40, u64::from(u32::MAX)] {
            let size = ByteSize::new(bytes);
            assert_eq!(size.to_string().parse(), Ok(size), "{size}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(ByteSize::new(0).as_limit(), ByteSize::new(u64::MAX));
        assert_eq!(ByteSize::new(1).as_limit(), ByteSize::new(1));
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "lots", "-1MiB", "12 parsecs"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
