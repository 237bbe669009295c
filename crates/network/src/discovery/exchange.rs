//! The question for addresses and its answer, in the canonical encoding.

use mass_primitives::{Decode, DecodeError, Encode, Reader, encoding::encode_list};

use super::Endpoint;
use crate::codec::Message;

/// Addresses in one answer at the most.
pub const ADDRESSES_MAX: usize = 250;
/// Tag, address and port.
const ENDPOINT_BYTES_MAX: usize = 1 + 16 + 2;

/// Where are others?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question;

/// There.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer(pub Vec<Endpoint>);

impl Message for Question {
    const BYTES_MAX: usize = 1;
}

impl Message for Answer {
    const BYTES_MAX: usize = 4 + ADDRESSES_MAX * ENDPOINT_BYTES_MAX;
}

impl Encode for Question {
    fn encode(&self, out: &mut Vec<u8>) {
        0u8.encode(out);
    }
}

impl Decode for Question {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(Self),
            _ => Err(DecodeError::Invalid("unknown kind of question")),
        }
    }
}

impl Encode for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(&self.0, out);
    }
}

impl Decode for Answer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list(ADDRESSES_MAX).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_answer_fits_its_bound_and_no_longer_one_is_read() {
        let endpoint = Endpoint::new("2606:4700::1".parse().unwrap(), 1);
        let answer = Answer(vec![endpoint; ADDRESSES_MAX]);
        assert_eq!(answer.to_bytes().len(), Answer::BYTES_MAX);
        assert_eq!(Answer::from_bytes(&answer.to_bytes()), Ok(answer));
        assert!(Answer::from_bytes(&Answer(vec![endpoint; ADDRESSES_MAX + 1]).to_bytes()).is_err());
        assert_eq!(Question::from_bytes(&Question.to_bytes()), Ok(Question));
    }
}
