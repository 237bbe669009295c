//! The secret that lets a page change something: 32 random bytes, made at the start and kept nowhere.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::server::PageError;

/// The token, as hexadecimal text.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new() -> Result<Self, PageError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| PageError::Random(error.to_string()))?;
        Ok(Self(Zeroizing::new(hex::encode(*bytes))))
    }

    /// Its text, for the URL that is printed.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether a text is the token; the time that it takes does not tell how much of it is right.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_only_by_all_of_it_and_is_new_each_time() {
        let [one, two] = [(); 2].map(|()| Token::new().unwrap());
        assert_eq!(one.text().len(), 64);
        assert!(one.is(one.text()) && !one.is(two.text()));
        for other in ["", &one.text()[..63], &one.text().to_uppercase().replace(char::is_numeric, "F")] {
            assert!(!one.is(other), "{other}");
        }
    }
}
