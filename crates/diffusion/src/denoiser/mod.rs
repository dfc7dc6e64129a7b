//! Small networks that denoise.
