//! Cost against the number of nodes, and against the number of allocations that the evaluation places.

use nomad_scheduler::NodeColumns;

use crate::cluster::Cluster;
use crate::picture::{Curve, Picture};
use crate::{ms, one_evaluation};

const NODES: [usize; 7] = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
const PLACED: [usize; 7] = [10, 50, 150, 300, 600, 1_200, 2_400];

fn measure(nodes: usize, allocs: usize, spread: bool) -> f64 {
    let cluster = Cluster::new(nodes, 50, allocs, spread);
    let columns = NodeColumns::from_view(&cluster.view);
    // The fastest of 15: a curve should show the work, not who else was using the machine.
    ms(one_evaluation(&cluster, &columns)[0])
}

fn curves(points: &[usize], at: impl Fn(usize, bool) -> f64) -> Vec<Curve> {
    [("no spread", false), ("spread", true)]
        .into_iter()
        .map(|(name, spread)| Curve {
            name,
            points: points.iter().map(|x| (*x as f64, at(*x, spread))).collect(),
        })
        .collect()
}

pub(crate) fn run() {
    let pictures = [
        (
            "nodes",
            Picture {
                title: "One evaluation of 300 placements against nodes",
                x: "nodes",
                y: "ms",
                curves: curves(&NODES, |nodes, spread| measure(nodes, 300, spread)),
            },
        ),
        (
            "allocations",
            Picture {
                title: "One evaluation on 10,000 nodes against placements",
                x: "allocations placed",
                y: "ms",
                curves: curves(&PLACED, |allocs, spread| measure(10_000, allocs, spread)),
            },
        ),
    ];
    // Benches run in the folder of their crate.
    let dir = std::path::Path::new("docs");
    if let Err(error) = std::fs::create_dir_all(dir) {
        panic!("create {}: {error}", dir.display());
    }
    for (name, picture) in pictures {
        for curve in &picture.curves {
            for (x, y) in &curve.points {
                println!("bench: curve of {name}, {}, {x} = {y:.3} ms", curve.name);
            }
        }
        let path = dir.join(format!("cost-{name}.svg"));
        if let Err(error) = std::fs::write(&path, picture.svg()) {
            panic!("write {}: {error}", path.display());
        }
    }
}
