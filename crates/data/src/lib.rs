//! Preference records, readers, tokenisation, packing and the audit.
