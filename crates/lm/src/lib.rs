//! Decoder-only language models: load, run, sample, save.
