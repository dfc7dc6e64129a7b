//! Preference losses over errors and step log-densities.
