//! What an idle allocation costs this process.

use nomad_client::Assignment;
use nomad_core::alloc::ClientStatus;
use nomad_core::job::JobType;

use crate::world::{World, shell};

/// Bytes of heap and stacks that this process has touched.
fn anonymous() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find(|line| line.starts_with("Anonymous:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn an_idle_allocation_is_small() {
    const COUNT: u64 = 100;
    let world = World::new().await;
    // The first ones pay for what is shared.
    for _ in 0..5 {
        let id = world.assign(World::alloc(
            JobType::Service,
            vec![shell("t", "exec sleep 1000")],
        ));
        world.status(id, ClientStatus::Running).await;
    }
    let before = anonymous();
    let allocs: Vec<_> = (0..COUNT)
        .map(|_| World::alloc(JobType::Service, vec![shell("t", "exec sleep 1000")]))
        .collect();
    let ids: Vec<_> = allocs.iter().map(|alloc| alloc.id).collect();
    let begun = std::time::Instant::now();
    world.client.assign(Assignment {
        allocs,
        ..Assignment::default()
    });
    for id in ids {
        world.status(id, ClientStatus::Running).await;
    }
    println!("{COUNT} allocations running after {:?}", begun.elapsed());
    let each = anonymous().saturating_sub(before) / COUNT;
    println!(
        "{} KiB for each idle allocation, its job included",
        each / 1024
    );
    // Other tests of this process run at the same time; alone it is far less.
    assert!(each < 100 * 1024, "{each} bytes each");
    world.end().await;
}
