//! What is good: a chain of the built-in `dev` from real plots of two farmers, and double seals.

use mass_consensus::{
    evidence::Evidence,
    header::{Header, Seal, SealClaim, SealedHeader},
    keys::FarmerSecret,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::HeaderTree,
};
use mass_primitives::{BlockId, BodyRoot, FarmerPublicKey, Slot};

use crate::farm::{Counter, Farm};

const GENESIS: BlockId = BlockId::new([1; 32]);
const KEYS: [[u8; 32]; 2] = [[7; 32], [8; 32]];
/// A few more than a period.
const HEADERS: usize = 20;

pub struct Sound {
    pub spec: ChainSpec,
    pub headers: Vec<SealedHeader>,
    /// The tree before each header.
    pub trees: Vec<HeaderTree>,
    pub evidence: Vec<Evidence>,
    secrets: [FarmerSecret; 2],
}

impl Sound {
    pub fn new() -> Self {
        let farms = KEYS.map(|key| Farm::with_key(8, key));
        let spec = farms[0].spec.clone();
        let (mut tip, mut tree) = (GENESIS, HeaderTree::new(spec.clone(), GENESIS));
        let (mut headers, mut trees, mut evidence) = (Vec::new(), Vec::new(), Vec::new());
        for farm in farms.iter().cycle().take(HEADERS) {
            let sealed = farm.next(tip, tree.expectation(&tip, Slot::ZERO).unwrap());
            trees.push(tree.clone());
            tree.link(&ProvenHeader::prove(&spec, sealed).unwrap()).unwrap();
            tip = sealed.id();
            evidence.push(Evidence::new(
                sealed,
                farm.seal(sealed.header.parent, BodyRoot::ZERO, sealed.seal.claim),
            ));
            headers.push(sealed);
        }
        Self { spec, headers, trees, evidence, secrets: KEYS.map(|key| FarmerSecret::from_seed(&key)) }
    }

    /// The secret of a farmer of the chain.
    pub fn secret(&self, farmer: &FarmerPublicKey) -> Option<&FarmerSecret> {
        self.secrets.iter().find(|secret| secret.public() == *farmer)
    }

    /// What a dishonest farmer makes of a header and a claim: a seal that is good as far as a key can make it so.
    pub fn reseal(&self, header: Header, claim: SealClaim, number: u64) -> Option<SealedHeader> {
        let secret = self.secret(claim.farmer())?;
        let round = self.spec.round(claim.slot);
        let (_, vrf_proof) = secret.evaluate(&claim.chain, &claim.seed, round, Counter(number));
        let signature = secret.sign(&claim.chain, &header.id(), Counter(number));
        Some(SealedHeader { header, seal: Seal { claim, vrf_proof, signature } })
    }
}
