//! The toys of linear scorers: `curry-dpo`, `dove`, `irpo`, `ofs-dpo`, `tars`.
#![allow(clippy::unwrap_used)]
mod common;
use common::came_out;

#[test]
fn dove() {
    let relations = ["reward(40 joint) > reward(uniform)", "reward(40 conditional) > reward(40 joint)"];
    came_out("dove", 8, &relations);
}
