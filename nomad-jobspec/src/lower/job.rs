//! `job` and the blocks that stand directly in it.

use nomad_core::spec::{
    Job, JobUi, JobUiLink, Multiregion, MultiregionRegion, MultiregionStrategy, ParameterizedJob,
    Periodic, TaskGroup,
};

use super::body::Reader;
use super::constraint::{affinities, constraints, spreads};
use super::{all, group, labelled, one, policy, task, vault};

/// The only job of a file. `None` where there is none, which has been told unless `lenient`: after a syntax error the
/// missing job may be the one that could not be read.
pub(crate) fn lower_job(top: Reader<'_>, lenient: bool) -> Option<Job> {
    let found = only_job(&top);
    for known in ["variable", "variables", "locals"] {
        top.blocks(known, if known == "variable" { &["name"] } else { &[] });
    }
    let evaluator = top.evaluator;
    let missing =
        found.is_none() && !lenient && top.body.blocks.iter().all(|block| block.name != "job");
    top.finish();
    if missing {
        evaluator.tell(
            crate::diagnostic::Diagnostic::error("Missing job block", "A job block is required.")
                .expected("job \"name\" { ... }"),
        );
    }
    found.map(job)
}

/// The job block. The files of a directory may each hold a part of it under the same name.
fn only_job<'e>(top: &Reader<'e>) -> Option<Reader<'e>> {
    let mut found = top.blocks("job", &["name"]).into_iter();
    let mut first = found.next()?;
    let mut files = vec![first.header().file];
    for part in found {
        if files.contains(&part.header().file) || part.label(0) != first.label(0) {
            top.evaluator.error(
                part.header(),
                "Duplicate job block",
                format!(
                    "Only one block of type \"job\" is allowed. Previous definition was at {}.",
                    top.evaluator.sources.range(first.header())
                ),
            );
        } else {
            files.push(part.header().file);
            first.absorb(&part);
        }
    }
    Some(first)
}

fn job(reader: Reader<'_>) -> Job {
    let label = reader.label(0).to_owned();
    // Tasks right in the job are groups of their own, and come first.
    let mut groups: Vec<TaskGroup> = labelled(&reader, "task", task::task)
        .unwrap_or_default()
        .into_iter()
        .map(|task| TaskGroup {
            name: Some(task.name.clone()),
            tasks: Some(vec![task]),
            ..TaskGroup::default()
        })
        .collect();
    groups.extend(labelled(&reader, "group", group::group).unwrap_or_default());

    let vault = one(&reader, "vault", vault::vault);
    let secrets = vault::secrets(&reader);
    for task in groups
        .iter_mut()
        .flat_map(|group| group.tasks.iter_mut().flatten())
    {
        if task.vault.is_none() {
            task.vault.clone_from(&vault);
        }
        if let Some(secrets) = &secrets {
            task.secrets
                .get_or_insert_default()
                .extend(secrets.iter().cloned());
        }
    }
    let job = Job {
        id: Some(reader.string("id").unwrap_or_else(|| label.clone())),
        name: Some(reader.string("name").unwrap_or(label)),
        region: reader.string("region"),
        namespace: reader.string("namespace"),
        job_type: reader.string("type"),
        priority: reader.int("priority"),
        all_at_once: reader.bool("all_at_once"),
        datacenters: reader.strings("datacenters"),
        node_pool: reader.string("node_pool"),
        constraints: constraints(&reader),
        affinities: affinities(&reader),
        spreads: spreads(&reader),
        task_groups: if groups.is_empty() {
            None
        } else {
            Some(groups)
        },
        update: one(&reader, "update", policy::update),
        migrate: one(&reader, "migrate", policy::migrate),
        reschedule: one(&reader, "reschedule", policy::reschedule),
        periodic: one(&reader, "periodic", periodic),
        parameterized_job: one(&reader, "parameterized", parameterized),
        multiregion: one(&reader, "multiregion", multiregion),
        meta: reader.string_map("meta"),
        ui: one(&reader, "ui", ui),
        ..Job::default()
    };
    reader.finish();
    job
}

fn periodic(reader: Reader<'_>) -> Periodic {
    let periodic = Periodic {
        enabled: reader.bool("enabled"),
        spec: reader.string("cron"),
        specs: reader.strings("crons"),
        spec_type: Some("cron".to_owned()),
        prohibit_overlap: reader.bool("prohibit_overlap"),
        time_zone: reader.string("time_zone"),
    };
    reader.finish();
    periodic
}

fn parameterized(reader: Reader<'_>) -> ParameterizedJob {
    let parameterized = ParameterizedJob {
        payload: reader.text("payload"),
        meta_required: reader.strings("meta_required"),
        meta_optional: reader.strings("meta_optional"),
    };
    reader.finish();
    parameterized
}

fn multiregion(reader: Reader<'_>) -> Multiregion {
    let multiregion = Multiregion {
        strategy: one(&reader, "strategy", |reader| {
            let strategy = MultiregionStrategy {
                max_parallel: reader.int("max_parallel"),
                on_failure: reader.string("on_failure"),
            };
            reader.finish();
            strategy
        }),
        regions: labelled(&reader, "region", |reader| {
            let region = MultiregionRegion {
                name: reader.label(0).to_owned(),
                count: reader.int("count"),
                datacenters: reader.strings("datacenters"),
                node_pool: reader.text("node_pool"),
                meta: reader.string_map_block("meta"),
            };
            reader.finish();
            region
        }),
    };
    reader.finish();
    multiregion
}

fn ui(reader: Reader<'_>) -> JobUi {
    let ui = JobUi {
        description: reader.text("description"),
        links: all(&reader, "link", |reader| {
            let link = JobUiLink {
                label: reader.text("label"),
                url: reader.text("url"),
            };
            reader.finish();
            link
        }),
    };
    reader.finish();
    ui
}
