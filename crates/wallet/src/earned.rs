//! Block rewards on their way: earned by blocks, paid some thousand blocks later.

use mass_primitives::{Amount, FarmerPublicKey};
use mass_rpc::{ClientError, CoinsClient as _, HttpClient};

use crate::{
    error::{WalletError, from_call},
    wallet::Wallet,
};

/// Addresses that are asked for in one call, as nodes answer it.
const ADDRESSES_MAX: usize = 1_000;
const METHOD_NOT_FOUND: i32 = -32601;

impl Wallet {
    /// What blocks have earned for the addresses that the wallet gave out and was not paid yet; with a farmer key, what
    /// that key's blocks have earned for whatever address. `None` if the node does not tell.
    ///
    /// # Errors
    /// [`WalletError::NoNode`], or an answer that makes no sense.
    pub async fn earned(
        &self,
        node: &HttpClient,
        farmer: Option<FarmerPublicKey>,
    ) -> Result<Option<Amount>, WalletError> {
        const METHOD: &str = "mass_pending";
        let mut rewards = Vec::new();
        if let Some(farmer) = farmer {
            rewards = node.pending(farmer).await.map_err(|error| from_call(METHOD, error))?;
        } else {
            for addresses in self.given_addresses().chunks(ADDRESSES_MAX) {
                match node.pending_to(addresses.to_vec()).await {
                    Ok(found) => rewards.extend(found),
                    Err(ClientError::Call(refusal)) if refusal.code() == METHOD_NOT_FOUND => return Ok(None),
                    Err(error) => return Err(from_call(METHOD, error)),
                }
            }
        }
        let sum = rewards.iter().try_fold(Amount::ZERO, |sum, reward| sum.checked_add(reward.amount));
        let reason = || WalletError::NodeAnswer { method: METHOD, reason: "amounts overflow".to_owned() };
        sum.map(Some).ok_or_else(reason)
    }
}
