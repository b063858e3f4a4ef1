//! Choosing nodes for the groups of a job: candidates and rankings per job version, on top of the plan so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocatedResources, Allocation};
use nomad_core::job::{Job, JobType};
use nomad_core::metric::AllocMetric;
use nomad_core::node::ALL_NODE_POOL;
use nomad_core::scheduler_config::{SchedulerAlgorithm, SchedulerConfiguration};
use nomad_core::view::ClusterView;

use crate::candidates::Candidates;
use crate::columns::NodeColumns;
use crate::eligibility::Eligibility;
use crate::explain::NodeExplanation;
use crate::preempt::{self, Victims};
use crate::propose::Proposed;
use crate::rank::{Choice, Ranking, Style, TopScores, Wanted};
use crate::rng::{Rng, mix};
use crate::schedule::Input;

/// A node chosen for a placement, and what the placement gets there.
pub(crate) struct Selected {
    pub(crate) slot: u32,
    pub(crate) resources: AllocatedResources,
    pub(crate) metric: AllocMetric,
    /// Allocations that make room.
    pub(crate) preempted: Vec<Arc<Allocation>>,
}

/// One job version: where it may run, and its groups' rankings.
struct Side {
    job: Arc<Job>,
    candidates: Arc<Candidates>,
    rankings: BTreeMap<String, Ranking>,
    /// Whether the candidates are all that the job may use: only then are rankings kept for later evaluations.
    whole: bool,
}

/// The nodes, the plan so far, and everything that was learned about both.
pub(crate) struct Stack<'a> {
    pub(crate) proposed: Proposed<'a>,
    pub(crate) eligibility: Eligibility,
    sides: Vec<Side>,
    /// Rankings of nodes that run the job already, for updates in place.
    here: Vec<Side>,
    seed: u64,
    rng: Rng,
    victims: Victims,
    shown: TopScores,
}

/// How scores of a job are formed: its pool's configuration over the cluster's.
pub(crate) fn style(view: &dyn ClusterView, job: &Job, seed: u64) -> Style {
    let config: &SchedulerConfiguration = view.scheduler_config();
    let pool = (job.node_pool != ALL_NODE_POOL)
        .then(|| view.node_pool(&job.node_pool))
        .flatten()
        .and_then(|pool| pool.scheduler_configuration.as_ref());
    Style {
        algorithm: match pool.map(|pool| pool.scheduler_algorithm.as_str()) {
            Some("binpack") => SchedulerAlgorithm::Binpack,
            Some("spread") => SchedulerAlgorithm::Spread,
            _ => config.scheduler_algorithm,
        },
        oversubscription: pool
            .and_then(|pool| pool.memory_oversubscription_enabled)
            .unwrap_or(config.memory_oversubscription_enabled),
        seed,
    }
}

/// Whether jobs of the type may evict others.
pub(crate) fn may_preempt(view: &dyn ClusterView, job_type: JobType) -> bool {
    let config = &view.scheduler_config().preemption_config;
    match job_type {
        JobType::Service => config.service_scheduler_enabled,
        JobType::Batch => config.batch_scheduler_enabled,
        JobType::System => config.system_scheduler_enabled,
        JobType::Sysbatch => config.sys_batch_scheduler_enabled,
        JobType::Core => false,
    }
}

impl<'a> Stack<'a> {
    pub(crate) fn new(
        input: &Input<'a>,
        columns: &'a NodeColumns,
        job: nomad_core::ids::JobKey,
    ) -> Self {
        // Ties are decided alike in every evaluation of a seed, but ports are not: neighbours would all try the same.
        let salt = input.eval.id.0.0.iter();
        let salt = salt.fold(0_u64, |salt, byte| salt.rotate_left(8) ^ u64::from(*byte));
        let seed = input.seed;
        Self {
            proposed: Proposed::new(input.view, columns, job),
            eligibility: Eligibility::default(),
            sides: Vec::new(),
            here: Vec::new(),
            seed,
            rng: Rng::new(mix(seed ^ mix(salt))),
            victims: Victims::default(),
            shown: TopScores::default(),
        }
    }

    fn side(&mut self, job: &Arc<Job>) -> usize {
        if let Some(at) = self
            .sides
            .iter()
            .position(|side| side.job.version == job.version)
        {
            return at;
        }
        self.sides.push(Side {
            job: Arc::clone(job),
            candidates: self
                .proposed
                .columns
                .kept
                .candidates(job, self.proposed.columns),
            rankings: BTreeMap::new(),
            whole: true,
        });
        self.sides.len() - 1
    }

    fn ranking<'s>(
        side: &'s mut Side,
        group: &str,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
        seed: u64,
    ) -> Option<(&'s mut Ranking, &'s Candidates)> {
        if !side.rankings.contains_key(group) {
            let index = side.job.task_groups.iter().position(|g| g.name == group)?;
            let style = style(proposed.view, &side.job, seed);
            let columns = proposed.columns;
            let (job, candidates) = (&side.job, &side.candidates);
            let kept = side
                .whole
                .then(|| {
                    columns
                        .kept
                        .take(job, &job.task_groups[index], style, columns)
                })
                .flatten();
            let ranking = match kept {
                Some((mut ranking, changed)) => {
                    ranking.revive(job, index, changed, candidates, proposed, eligibility);
                    ranking
                }
                None => Ranking::new(job, index, style, candidates, proposed, eligibility),
            };
            side.rankings.insert(group.to_owned(), ranking);
        }
        Some((side.rankings.get_mut(group)?, &side.candidates))
    }

    /// Whether the job may run on the node at all.
    pub(crate) fn is_candidate(&mut self, job: &Arc<Job>, node: nomad_core::ids::NodeId) -> bool {
        let side = self.side(job);
        self.proposed
            .columns
            .slot(node)
            .is_some_and(|slot| self.sides[side].candidates.position(slot).is_some())
    }

    /// Chooses a node for one placement; evicts others for it only where nothing else is left and `preempt` allows it.
    ///
    /// # Errors
    /// No node is feasible and has room: the metrics say why.
    pub(crate) fn select(
        &mut self,
        job: &Arc<Job>,
        group: &str,
        wanted: &Wanted,
        preempt: bool,
    ) -> Result<Selected, Box<AllocMetric>> {
        let at = self.side(job);
        let Some((ranking, candidates)) = Self::ranking(
            &mut self.sides[at],
            group,
            &self.proposed,
            &mut self.eligibility,
            self.seed,
        ) else {
            return Err(Box::default());
        };
        let chosen = ranking.select(candidates, &self.proposed, wanted);
        let mut metric = ranking.metric(candidates, &self.proposed);
        if let Some(choice) = chosen
            && let Some(selected) = give(ranking, &self.proposed, &choice, &mut self.rng)
        {
            metric.score_meta_data = self.shown.of(&choice.top, &self.proposed);
            return Ok(Selected {
                slot: choice.slot,
                resources: selected,
                metric,
                preempted: Vec::new(),
            });
        }
        if preempt {
            // A second look over all nodes, so the reasons of whole classes are known now.
            metric = ranking.metric(candidates, &self.proposed);
            if let Some(found) = preempt::select(
                ranking,
                candidates,
                &self.proposed,
                &self.victims,
                wanted,
                &mut self.rng,
            ) {
                metric.score_meta_data = self.shown.of(&found.top, &self.proposed);
                metric.nodes_exhausted = 0;
                metric.class_exhausted.clear();
                metric.dimension_exhausted.clear();
                return Ok(Selected {
                    slot: found.slot,
                    resources: found.resources,
                    metric,
                    preempted: found.victims,
                });
            }
        }
        Err(Box::new(metric))
    }

    /// What every candidate says to one placement.
    pub(crate) fn explain(
        &mut self,
        job: &Arc<Job>,
        group: &str,
        wanted: &Wanted,
        preempt: bool,
    ) -> Vec<NodeExplanation> {
        let at = self.side(job);
        let Some((ranking, candidates)) = Self::ranking(
            &mut self.sides[at],
            group,
            &self.proposed,
            &mut self.eligibility,
            self.seed,
        ) else {
            return Vec::new();
        };
        let mut nodes = ranking.explain(candidates, &self.proposed, wanted);
        let any = nodes.iter().any(|node| node.verdict.score().is_some());
        if preempt && !any {
            preempt::explain(
                ranking,
                candidates,
                &self.proposed,
                &self.victims,
                wanted,
                &mut nodes,
            );
        }
        nodes
    }

    /// The evaluation is decided: keeps its rankings for the next one that asks alike.
    pub(crate) fn keep(mut self) {
        let columns = self.proposed.columns;
        for side in self.sides.drain(..).filter(|side| side.whole) {
            for (_, mut ranking) in side.rankings {
                if ranking.is_keepable() {
                    ranking.rest(&self.proposed);
                    columns.kept.put(ranking, columns.recorded());
                }
            }
        }
    }

    /// The plan evicts an allocation.
    pub(crate) fn evict(&mut self, victim: &Arc<Allocation>) {
        self.victims.add(victim);
        self.proposed.remove(victim);
    }

    /// Whether an allocation can go on where it is, under another version of its job.
    pub(crate) fn fits_in_place(&mut self, alloc: &Arc<Allocation>, job: &Arc<Job>) -> bool {
        let Some(slot) = self.proposed.columns.slot(alloc.node_id) else {
            return false;
        };
        if self.here.is_empty() {
            let mut slots: Vec<u32> = self
                .proposed
                .view
                .allocs_of_job(&self.proposed.job)
                .filter_map(|alloc| self.proposed.columns.slot(alloc.node_id))
                .collect();
            slots.sort_unstable();
            slots.dedup();
            self.here.push(Side {
                job: Arc::clone(job),
                candidates: Arc::new(Candidates {
                    slots,
                    ..Candidates::default()
                }),
                rankings: BTreeMap::new(),
                whole: false,
            });
        }
        self.proposed.remove(alloc);
        let wanted = Wanted {
            index: alloc.index(),
            ..Wanted::default()
        };
        let fits = Self::ranking(
            &mut self.here[0],
            &alloc.task_group,
            &self.proposed,
            &mut self.eligibility,
            self.seed,
        )
        .is_some_and(|(ranking, candidates)| {
            ranking.probe(slot, candidates, &self.proposed, &wanted)
        });
        self.proposed.restore(alloc);
        fits
    }
}

/// Gives a chosen node's ports, devices and cores.
fn give(
    ranking: &Ranking,
    proposed: &Proposed<'_>,
    choice: &Choice,
    rng: &mut Rng,
) -> Option<AllocatedResources> {
    ranking
        .ask
        .give(
            ranking.group(),
            proposed.columns.row(choice.slot),
            &proposed.columns.nets[choice.slot as usize],
            proposed.items(choice.slot),
            rng,
        )
        .ok()
        .map(|(resources, _)| resources)
}
