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
    awm
    brain
    curry_dpo
    d3po
    deep_research_rl
    densedpo
    did
    diffusion_dpo
    diffusion_dro
    disco
    dno
    dove
    dpo
    dporm
    drpo
    dso
    egida
    inversion_dpo
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
    rankdpo
    ranking_accuracy
    redi
    rpo
    rto
    sail
    selm
    sft_bridge
    simpo
    smpo
    srpo
    tars
    tgdpo
    tracealign
    xpo
}

/// Papers on denoisers, whose toys are the only experiments: their names do without `-toy`.
const DENOISERS: [&str; 10] =
    ["awm", "d3po", "densedpo", "diffusion-dpo", "diffusion-dro", "dso", "inversion-dpo", "ppd", "rankdpo", "smpo"];

/// The toy of that name (`simpo-toy`; those of denoisers also without `-toy`).
pub fn find(name: &str) -> Option<&'static Toy> {
    let bare = || Some(name).filter(|name| DENOISERS.contains(name));
    let row = name.strip_suffix("-toy").or_else(bare)?;
    TOYS.iter().find(|t| t.row == row)
}
