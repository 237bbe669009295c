//! Farming: plots on many disks, challenges, proofs, the signing guard, submission.
