//! The one canonical encoding: fixed-width little-endian integers, no padding, no optional forms, and
//! every length bounded before anything is allocated. Equal values have equal bytes.
//!
//! Lists carry a `u32` count; byte strings of free length carry a `u32` length. The bound is the
//! caller's, since only the caller knows the rule that sets it.

use alloc::vec::Vec;

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends too early.
    #[error("input ends early: {needed} bytes needed, {left} left")]
    Short {
        /// Bytes that the value still needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes are left over.
    #[error("{left} bytes left over")]
    Trailing {
        /// Bytes left over.
        left: usize,
    },
    /// A length exceeds its bound.
    #[error("length {got} exceeds the bound {bound}")]
    TooLong {
        /// Length found.
        got: usize,
        /// Bound that holds here.
        bound: usize,
    },
    /// A value is outside its range or not in canonical form.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Writes the canonical encoding.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The encoding in a vector of its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// Reads the canonical encoding.
pub trait Decode: Sized {
    /// Reads one value, leaving the reader behind it.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no canonical encoding.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no canonical encoding, or [`DecodeError::Trailing`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// A cursor over untrusted bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Short { needed: len, left: self.rest.len() })?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Short { needed: N, left: self.rest.len() })?;
        self.rest = rest;
        Ok(*head)
    }

    /// Reads a `u32` length of at most `bound`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Short`].
    pub fn length(&mut self, bound: usize) -> Result<usize, DecodeError> {
        let got = usize::try_from(u32::decode(self)?).unwrap_or(usize::MAX);
        if got > bound { Err(DecodeError::TooLong { got, bound }) } else { Ok(got) }
    }

    /// Reads a byte string of at most `bound` bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], [`DecodeError::Short`].
    pub fn byte_string(&mut self, bound: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.length(bound)?;
        self.take(len)
    }

    /// Reads a list of at most `bound` values. Memory grows with the values read, not with the count claimed.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`], or what a value's decoder says.
    pub fn list<T: Decode>(&mut self, bound: usize) -> Result<Vec<T>, DecodeError> {
        let count = self.length(bound)?;
        (0..count).map(|_| T::decode(self)).collect()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { left: self.rest.len() }) }
    }
}

/// Appends a `u32` length and the bytes.
///
/// Lengths above `u32::MAX` cannot be written: no bound of the engine comes near.
pub fn encode_byte_string(bytes: &[u8], out: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).encode(out);
    out.extend_from_slice(bytes);
}

/// Appends a `u32` count and the values.
pub fn encode_list<T: Encode>(values: &[T], out: &mut Vec<u8>) {
    u32::try_from(values.len()).unwrap_or(u32::MAX).encode(out);
    values.iter().for_each(|value| value.encode(out));
}

macro_rules! integer {
    ($($int:ty),+) => {$(
        impl Encode for $int {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl Decode for $int {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self::from_le_bytes)
            }
        }
    )+};
}

integer!(u8, u16, u32, u64, u128);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_round_trip(value: u64) {
            prop_assert_eq!(u64::from_bytes(&value.to_bytes()), Ok(value));
        }

        #[test]
        fn byte_strings_round_trip(bytes: Vec<u8>) {
            let mut out = Vec::new();
            encode_byte_string(&bytes, &mut out);
            prop_assert_eq!(Reader::new(&out).byte_string(bytes.len()), Ok(bytes.as_slice()));
        }

        #[test]
        fn no_input_panics(bytes: Vec<u8>) {
            let _ = Reader::new(&bytes).list::<u64>(16);
            let _ = Reader::new(&bytes).byte_string(16);
        }
    }

    #[test]
    fn a_claimed_length_is_bounded_before_it_is_believed() {
        let claim = u32::MAX.to_bytes();
        assert_eq!(
            Reader::new(&claim).byte_string(100),
            Err(DecodeError::TooLong { got: u32::MAX as usize, bound: 100 })
        );
        assert_eq!(
            Reader::new(&claim).list::<u8>(usize::MAX),
            Err(DecodeError::Short { needed: 1, left: 0 })
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(u8::from_bytes(&[1, 2]), Err(DecodeError::Trailing { left: 1 }));
    }
}
