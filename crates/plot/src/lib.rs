//! Plot files: creation, opening, look-up, solving.
