//! Reads and writes the Protocol Buffers wire format, record by record.
//!
//! Only the frame of each record is decoded, so unknown fields are preserved. [`Fields`] borrows, never allocates,
//! never panics, and ends after its first error. Encoding: <https://protobuf.dev/programming-guides/encoding/>.

use std::borrow::Cow;

/// Why bytes are not a valid message, or a field does not match the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends within a record.
    #[error("the message ends inside the record at byte {offset}")]
    Truncated { offset: usize },
    /// A number of more than 64 bits.
    #[error("the number at byte {offset} has more than 64 bits")]
    Varint { offset: usize },
    /// Field numbers run from 1 to 2^29 - 1.
    #[error("the record at byte {offset} has an invalid field number")]
    FieldNumber { offset: usize },
    /// Wire types 3 and 4, which the registry never used.
    #[error("field {field} at byte {offset} is a group, which the registry does not use")]
    Group { field: u32, offset: usize },
    /// Wire types 6 and 7, which do not exist.
    #[error("field {field} at byte {offset} has the unknown wire type {wire_type}")]
    WireType { field: u32, wire_type: u8, offset: usize },
    /// A known field with the wrong wire type.
    #[error("field {field} has the wrong type")]
    Kind { field: u32 },
    /// A text that is not UTF-8.
    #[error("field {field} is not UTF-8 text")]
    Utf8 { field: u32 },
    /// A required field is missing.
    #[error("field {field} is missing")]
    Missing { field: u32 },
    /// A field that is not repeated occurs twice. Different readers would use different values.
    #[error("field {field} occurs more than once")]
    Duplicate { field: u32 },
}

/// The value of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// One record of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// The encoded record, including its tag. Copy it to keep the record.
    pub record: &'a [u8],
}

impl<'a> Field<'a> {
    /// The value as bytes or a message.
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Kind { field: self.number }),
        }
    }

    /// The value as text.
    pub fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8 { field: self.number })
    }

    /// The value as a number, an enumeration or a boolean.
    pub fn varint(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(WireError::Kind { field: self.number }),
        }
    }

    /// The values of one record of a repeated number field, packed or not.
    pub fn varints(&self) -> Result<Varints<'a>, WireError> {
        match self.value {
            Value::Varint(number) => Ok(Varints { single: Some(number), packed: Reader::new(&[]) }),
            Value::Bytes(bytes) => Ok(Varints { single: None, packed: Reader::new(bytes) }),
            _ => Err(WireError::Kind { field: self.number }),
        }
    }
}

/// Sets `slot`; an error if it was set before.
pub fn once<T>(slot: &mut Option<T>, value: T, field: u32) -> Result<(), WireError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(WireError::Duplicate { field }),
    }
}

/// An iterator over the records of a message, in order. It ends after an error.
#[derive(Clone, Debug)]
pub struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    /// The records of `message`.
    pub fn new(message: &'a [u8]) -> Self {
        Self(Reader::new(message))
    }

    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let (start, offset) = (self.0.rest, self.0.offset);
        let tag = self.0.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let field = number.ok_or(WireError::FieldNumber { offset })?;
        let value = match tag & 7 {
            0 => Value::Varint(self.0.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.0.array()?)),
            2 => {
                let length = self.0.varint()?;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated { offset })?;
                Value::Bytes(self.0.take(length)?)
            }
            3 | 4 => return Err(WireError::Group { field, offset }),
            5 => Value::Fixed32(u32::from_le_bytes(self.0.array()?)),
            // Only the wire types 6 and 7 are left.
            other => {
                let wire_type = u8::try_from(other).unwrap_or(u8::MAX);
                return Err(WireError::WireType { field, wire_type, offset });
            }
        };
        let length = self.0.offset.saturating_sub(offset);
        let record = start.get(..length).ok_or(WireError::Truncated { offset })?;
        Ok(Field { number: field, value, record })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0.rest = &[];
        }
        Some(field)
    }
}

/// An iterator over the numbers in a record of a repeated field. It ends after an error.
#[derive(Clone, Debug)]
pub struct Varints<'a> {
    single: Option<u64>,
    packed: Reader<'a>,
}

impl Iterator for Varints<'_> {
    type Item = Result<u64, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(number) = self.single.take() {
            return Some(Ok(number));
        }
        if self.packed.rest.is_empty() {
            return None;
        }
        let number = self.packed.varint();
        if number.is_err() {
            self.packed.rest = &[];
        }
        Some(number)
    }
}

#[derive(Clone, Debug)]
struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated { offset: self.offset })?;
        self.rest = rest;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let offset = self.offset;
        self.take(N)?.try_into().map_err(|_| WireError::Truncated { offset })
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        // Almost all tags and lengths in registry resources have one byte.
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            self.offset += 1;
            return Ok(u64::from(*byte));
        }
        let offset = self.offset;
        let mut number = 0_u64;
        for (place, &byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte can contain only one bit.
            if place == 9 && byte > 1 {
                return Err(WireError::Varint { offset });
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.take(place + 1)?;
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { WireError::Truncated { offset } } else { WireError::Varint { offset } })
    }
}

/// Appends `number` in the shortest form.
pub fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

/// Appends a record of wire type 2.
pub fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_varint(out, (u64::from(field) << 3) | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Rewrites a message record by record. Copies nothing until the first record changes.
#[derive(Debug)]
pub struct Rewrite<'a> {
    source: &'a [u8],
    kept: usize,
    out: Option<Vec<u8>>,
}

impl<'a> Rewrite<'a> {
    /// Begins to rewrite `source`. Every record must be kept, replaced or removed, in order.
    pub fn new(source: &'a [u8]) -> Self {
        Self { source, kept: 0, out: None }
    }

    /// Keeps a record unchanged.
    pub fn keep(&mut self, field: &Field<'_>) {
        match &mut self.out {
            Some(out) => out.extend_from_slice(field.record),
            None => self.kept += field.record.len(),
        }
    }

    /// Removes a record. Returns the output, to write other records in its place.
    pub fn replace(&mut self) -> &mut Vec<u8> {
        let (source, kept) = (self.source, self.kept);
        self.out.get_or_insert_with(|| {
            let mut out = Vec::with_capacity(source.len());
            out.extend_from_slice(source.get(..kept).unwrap_or(source));
            out
        })
    }

    /// The rewritten message; borrowed if every record was kept.
    pub fn finish(self) -> Cow<'a, [u8]> {
        match self.out {
            Some(out) => Cow::Owned(out),
            None => Cow::Borrowed(self.source),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(message: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        Fields::new(message).collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let message = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 2, 0, 0, 0];
        let fields = all(&message).unwrap();
        let values: Vec<_> = fields.iter().map(|field| (field.number, field.value)).collect();
        let expected =
            [(1, Value::Varint(150)), (2, Value::Fixed64(1)), (3, Value::Bytes(b"hi")), (4, Value::Fixed32(2))];
        assert_eq!(values, expected);
        assert_eq!(fields.iter().flat_map(|field| field.record).copied().collect::<Vec<_>>(), message);
        assert_eq!(fields[2].text(), Ok("hi"));
        assert_eq!(fields[0].text(), Err(WireError::Kind { field: 1 }));
        assert_eq!(fields[2].varint(), Err(WireError::Kind { field: 3 }));
    }

    #[test]
    fn broken_messages_are_refused_once() {
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let cases: [(&[u8], WireError); 9] = [
            (&[0x80], WireError::Truncated { offset: 0 }),
            (&[0x08], WireError::Truncated { offset: 1 }),
            (&[0x0a, 5, b'x'], WireError::Truncated { offset: 2 }),
            (&huge, WireError::Truncated { offset: 11 }),
            (&[0xff; 11], WireError::Varint { offset: 0 }),
            (&[0x00, 0x00], WireError::FieldNumber { offset: 0 }),
            (&[0x0b, 0x0c], WireError::Group { field: 1, offset: 0 }),
            (&[0x08, 0x00, 0x0e], WireError::WireType { field: 1, wire_type: 6, offset: 2 }),
            (&[0x0d, 0, 0], WireError::Truncated { offset: 1 }),
        ];
        for (message, error) in cases {
            assert_eq!(all(message).unwrap_err(), error, "{message:?}");
            let results: Vec<_> = Fields::new(message).collect();
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        }
    }

    #[test]
    fn packed_and_single_numbers_read_alike() {
        let fields = all(&[0x18, 3, 0x1a, 3, 3, 0x80, 0x01, 0x1a, 1, 0x80]).unwrap();
        let numbers = |field: &Field<'_>| field.varints().unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(numbers(&fields[0]), Ok(vec![3]));
        assert_eq!(numbers(&fields[1]), Ok(vec![3, 128]));
        assert_eq!(numbers(&fields[2]), Err(WireError::Truncated { offset: 0 }));
    }

    proptest! {
        #[test]
        fn numbers_survive(number in any::<u64>()) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number);
            prop_assert_eq!(bytes.len(), prost::encoding::encoded_len_varint(number));
            prop_assert_eq!(Reader::new(&bytes).varint(), Ok(number));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic_and_whole(message in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(fields) = all(&message) {
                prop_assert_eq!(fields.iter().flat_map(|field| field.record).copied().collect::<Vec<_>>(), message);
            }
        }
    }
}
