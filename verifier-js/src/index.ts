// The verifier as others import it.
// Rules: none of its own.

export { RuleError } from "./rule.js";
export { fromHex, idFromText, idText, toHex } from "./bytes.js";
export { readSpec, type ChainSpec } from "./spec.js";
export { blockId, commitmentOf, readSealed, writeSealed, type SealedHeader } from "./header.js";
export { groupId, plotId, type Group } from "./plot.js";
export { readProof } from "./proof.js";
export { verifySpace } from "./space.js";
export { verifySealSignature, verifyVrf } from "./keys.js";
export { prove, type ProvenHeader } from "./proven.js";
export { HeaderTree, type Node } from "./tree.js";
export { checkEvidence, evidenceCommitment, readEvidence, writeEvidence, type Evidence } from "./evidence.js";
export { checkBans, checkState, proveBlock, readBlock, type Block, type BodyCommitment } from "./block.js";
export { merkleRoot, readBody } from "./body.js";
export { checkChain, readBlockFile, type BlockFile, type CheckedChain } from "./export.js";
export { challengeOf, isAsked, lotteryWeight, qualityOf, wins } from "./lottery.js";
export { compactTarget, nextDifficulty } from "./difficulty.js";
export { nextSeed } from "./seeds.js";
