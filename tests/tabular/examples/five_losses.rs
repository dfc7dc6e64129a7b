//! Trains the same table with five losses: `cargo run --release -p tropism-tabular --example five_losses`.

use tropism_objectives::{Dpo, Ipo, Kto, Nca, Objective, ObjectiveError, PlackettLuce};
use tropism_tabular::{World, train};

fn main() -> Result<(), ObjectiveError> {
    let world = World::new(1, 400);
    println!("expected reward of the reference: {:.3}", world.reward(&world.start()));
    let losses: [(Objective, f64); 5] = [
        (Dpo::default().with_beta(0.5).into(), 4.0),
        (Ipo::default().with_beta(0.5).into(), 0.5),
        (Nca::default().with_beta(0.5).into(), 4.0),
        (Kto::default().with_beta(0.5).into(), 8.0),
        (PlackettLuce::default().with_beta(0.5).into(), 1.0),
    ];
    for (objective, rate) in losses {
        let trained = train(&world, &objective, 300, rate)?;
        println!("{:>14}: {:.3}", objective.name(), world.reward(&trained));
    }
    Ok(())
}
