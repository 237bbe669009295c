//! What outlives the node: the counts in the canonical encoding, with a version. What waits is not among them, for
//! nobody saw how long it waited while the node was away.

use mass_primitives::{Decode, DecodeError, Encode, Reader};

use super::{Estimator, Span, horizon::Horizon};

/// The layout below.
const VERSION: u32 = 2;

impl Encode for Estimator {
    fn encode(&self, out: &mut Vec<u8>) {
        let span = self.longest_span();
        [VERSION, self.best, span.first, span.last].iter().for_each(|number| number.encode(out));
        [&self.short, &self.medium, &self.long].into_iter().for_each(|horizon| horizon.encode(out));
    }
}

impl Decode for Estimator {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if u32::decode(reader)? != VERSION {
            return Err(DecodeError::Invalid("fee estimates of another version"));
        }
        let mut new = Self::new();
        new.best = u32::decode(reader)?;
        new.past = Span { first: u32::decode(reader)?, last: u32::decode(reader)? };
        if new.past.first > new.past.last || new.past.last > new.best {
            return Err(DecodeError::Invalid("fee estimates of blocks that were never seen"));
        }
        let end = new.bounds.len().saturating_add(1);
        for horizon in new.horizons() {
            *horizon = Horizon::decode(horizon.reach(), end, reader)?;
        }
        Ok(new)
    }
}

impl Estimator {
    /// Of this run and the one before, the record that covers more.
    fn longest_span(&self) -> Span {
        let own = if self.first == 0 { Span::default() } else { Span { first: self.first, last: self.best } };
        let length = |span: &Span| span.last.saturating_sub(span.first);
        if length(&own) >= length(&self.past) { own } else { self.past }
    }
}
