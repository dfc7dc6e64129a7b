//! Typed containers and stable numerics shared by the objectives.
