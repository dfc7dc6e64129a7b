//! The toys, one file each.

use crate::Toy;

/// The table of toys: a line per file, which holds `TOY`.
macro_rules! toys {
    ($($module:ident)*) => {
        $( mod $module; )*

        /// All toys, in the order of their names.
        pub const TOYS: &[Toy] = &[$( $module::TOY ),*];
    };
}

toys! {
    aligndistil
    asft
    brain
    curry_dpo
    deep_research_rl
    densedpo
    did
    disco
    dno
    dove
    dpo
    dporm
    drpo
    egida
    irpo
    ld_dpo
    ln_dpo
    mah_dpo
    mo_grpo
    modpo
    more_is_less
    ofs_dpo
    oprl
    ppd
    properties_3d
    r_to_q
    ranking_accuracy
    redi
    rpo
    rto
    sail
    selm
    sft_bridge
    simpo
    srpo
    tars
    tgdpo
    tracealign
    xpo
}

/// The toy of that name (`simpo-toy`).
pub fn find(name: &str) -> Option<&'static Toy> {
    let row = name.strip_suffix("-toy")?;
    TOYS.iter().find(|t| t.row == row)
}
