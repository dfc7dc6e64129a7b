//! Fronts and volumes.
use proptest::prelude::*;
use tropism_evaluation::pareto::*;

/// Volume of a union of boxes from 0, by inclusion and exclusion.
fn inclusion_exclusion(points: &[Vec<f64>]) -> f64 {
    let dim = points[0].len();
    (1u32..1 << points.len())
        .map(|set| {
            let corner = |d: usize| {
                let members = (0..points.len()).filter(|i| set >> i & 1 == 1);
                members.map(|i| points[i][d].max(0.0)).fold(f64::INFINITY, f64::min)
            };
            let volume: f64 = (0..dim).map(corner).product();
            if set.count_ones() % 2 == 1 { volume } else { -volume }
        })
        .sum()
}

#[test]
fn by_hand() {
    let points = vec![vec![1.0, 3.0], vec![2.0, 2.0], vec![3.0, 1.0], vec![2.0, 1.0], vec![2.0, 2.0]];
    assert_eq!(pareto_front(&points).unwrap(), [0, 1, 2, 4]);
    assert_eq!(hypervolume(&points, &[0.0, 0.0]).unwrap(), 6.0);
    assert_eq!(hypervolume(&points, &[1.0, 1.0]).unwrap(), 1.0);
    assert_eq!(hypervolume(&points, &[5.0, 5.0]).unwrap(), 0.0);
    assert_eq!(hypervolume(&[vec![2.0], vec![5.0]], &[1.0]).unwrap(), 4.0);
    // three boxes of 2 × 2 × 1 that share the unit cube
    let cube = [vec![2.0, 2.0, 1.0], vec![2.0, 1.0, 2.0], vec![1.0, 2.0, 2.0]];
    assert_eq!(hypervolume(&cube, &[0.0; 3]).unwrap(), 7.0);
}

proptest! {
    #[test]
    fn volume_by_inclusion_and_exclusion(dim in 1usize..5, seed in prop::collection::vec(-0.2f64..1.0, 32), n in 1usize..8) {
        let points: Vec<Vec<f64>> = (0..n).map(|i| seed[i * dim..(i + 1) * dim].to_vec()).collect();
        let found = hypervolume(&points, &vec![0.0; dim]).unwrap();
        prop_assert!((found - inclusion_exclusion(&points)).abs() < 1e-12, "{found}");
        // points that are dominated add nothing
        let front: Vec<Vec<f64>> = pareto_front(&points).unwrap().into_iter().map(|i| points[i].clone()).collect();
        prop_assert!((found - hypervolume(&front, &vec![0.0; dim]).unwrap()).abs() < 1e-12);
        // a further axis on which all are 2
        let deeper: Vec<Vec<f64>> = points.iter().map(|p| p.iter().copied().chain([2.0]).collect()).collect();
        prop_assert!((2.0 * found - hypervolume(&deeper, &vec![0.0; dim + 1]).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn fronts_hold_what_nothing_dominates(points in prop::collection::vec(prop::collection::vec(0u8..5, 3), 1..20)) {
        let points: Vec<Vec<f64>> = points.into_iter().map(|p| p.into_iter().map(f64::from).collect()).collect();
        let front = pareto_front(&points).unwrap();
        for i in 0..points.len() {
            let dominated = points.iter().any(|p| dominates(p, &points[i]));
            prop_assert_eq!(front.contains(&i), !dominated);
        }
    }
}
